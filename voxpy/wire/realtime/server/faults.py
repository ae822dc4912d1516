"""Faults on purpose, between a server's frames and the wire.

What a real service does on a bad day, so that a client can be tested against it: refuse the
connection, close or fall silent in the middle, send rubbish, or send frames twice, late or out of
order. The filter decides; whoever owns the socket carries it out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs
import orjson

from voxpy.wire.realtime.endpoint import Refusal
from voxpy.wire.realtime.server.quirks import switch


@attrs.frozen(kw_only=True)
class Faults:
    """Which faults there are. ``Faults()`` has none. Counts are of frames as they leave, from 1."""

    refuse_status: int | None = switch(None, "answer the handshake with this HTTP status")
    refuse_message: str = switch("refused on purpose", "the message in that answer's JSON body")
    handshake_s: float = switch(0.0, "answer the handshake so many seconds late")
    close_after_frames: int | None = switch(None, "close the connection after so many frames")
    close_at_event: str | None = switch(None, "close after the first event of this type")
    close_code: int = switch(1011, "the code it is closed with")
    close_reason: str = switch("closed on purpose", "the reason it is closed with")
    stall_after_frames: int | None = switch(None, "send nothing for a while after so many frames")
    stall_at_event: str | None = switch(None, "send nothing for a while after the first of these")
    stall_s: float = switch(math.inf, "how long nothing is sent")
    malformed_every: int | None = switch(None, "spoil every so-manyth frame")
    malformed_how: Literal["cut", "untyped", "array"] = switch(
        "cut", "spoilt how: half a frame, no type, or an array in place of an object"
    )
    duplicate_share: float = switch(0.0, "share of frames that are sent twice, 0 to 1")
    reorder_window: int = switch(0, "frames come in any order within groups of so many")
    delay_ms: float = switch(0.0, "wait so long before each frame")

    def refusal(self) -> Refusal | None:
        """Return the answer to every handshake, or None to let them through."""
        if self.refuse_status is None:
            return None
        error = {"type": "server_error", "code": None, "message": self.refuse_message}
        return Refusal(self.refuse_status, orjson.dumps({"error": error}))


@attrs.frozen
class Deliver:
    """Send this frame, ``delay_s`` after the one before."""

    frame: bytes
    delay_s: float = 0.0


@attrs.frozen
class Stall:
    """Send nothing for so long; infinity is for good."""

    seconds: float


@attrs.frozen
class Close:
    """Close the connection; nothing follows."""

    code: int
    reason: str


Outcome: TypeAlias = Deliver | Stall | Close

_TYPE = re.compile(rb'"type":"([^"]*)"')  # of our own frames, where it comes first


class FaultFilter:
    """Applies faults to the frames of one connection.

    ``draw()`` gives numbers from 0 to below 1; seeded, the same frames meet the same faults. After
    ``Close`` whatever is fed is swallowed.
    """

    def __init__(self, faults: Faults, *, draw: Callable[[], float]) -> None:
        self._faults = faults
        self._draw = draw
        self._held: list[bytes] = []
        self._count = 0
        self._stalled = False
        self._closed = False

    def feed(self, frame: bytes) -> list[Outcome]:
        """Take the next frame; return what is to be done now, which may be nothing yet."""
        self._held.append(frame)
        return [] if len(self._held) < self._faults.reorder_window else self.flush()

    def flush(self) -> list[Outcome]:
        """Return what was held back to be put out of order: there is no next frame for now."""
        held, self._held = self._held, []
        outcomes: list[Outcome] = []
        for frame in self._shuffled(held):
            outcomes += self._sent(frame)
            if self._draw_duplicate():
                outcomes += self._sent(frame)
        return outcomes

    def _shuffled(self, frames: list[bytes]) -> list[bytes]:
        if self._faults.reorder_window < 2:
            return frames
        keyed = [(self._draw(), position) for position in range(len(frames))]
        return [frames[position] for _, position in sorted(keyed)]

    def _draw_duplicate(self) -> bool:
        share = self._faults.duplicate_share
        return share > 0 and self._draw() < share

    def _sent(self, frame: bytes) -> list[Outcome]:
        faults = self._faults
        if self._closed:
            return []
        self._count += 1
        kind = _kind(frame)
        if faults.malformed_every and self._count % faults.malformed_every == 0:
            frame = _SPOIL[faults.malformed_how](frame)
        outcomes: list[Outcome] = [Deliver(frame, faults.delay_ms / 1000)]
        if not self._stalled and self._reached(
            faults.stall_after_frames, faults.stall_at_event, kind
        ):
            self._stalled = True
            outcomes.append(Stall(faults.stall_s))
        if self._reached(faults.close_after_frames, faults.close_at_event, kind):
            self._closed = True
            outcomes.append(Close(faults.close_code, faults.close_reason))
        return outcomes

    def _reached(self, count: int | None, event: str | None, kind: str) -> bool:
        return self._count == count or (event is not None and kind == event)


def _kind(frame: bytes) -> str:
    found = _TYPE.search(frame, 0, 120)
    return found[1].decode() if found else ""


_SPOIL: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda frame: frame[: len(frame) // 2],
    "untyped": lambda frame: frame.replace(b'"type":', b'"kind":', 1),
    "array": lambda frame: b"[" + frame + b"]",
}
