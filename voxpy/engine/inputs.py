"""What comes into a session from outside, kept line by line so that the session can be replayed.

Beside the trace, which tells what was done, stands ``inputs.jsonl``: what the far side of each leg
and each socket did, what HTTP answered, which secrets there were; and, by name only, what of ours
came before it, because that is what provoked it. One JSON object per line; ``t`` is in seconds on
the trace's clock. Whatever may be personal stands under ``personal`` and nowhere else.

Frames stand there as they came, audio included: base64 in a line costs what it cost on the wire,
10 kB a second of speech in mu-law, less than the recording beside it. A frame is only noted here;
its line is made, and masked, where lines are written, which is not on the event loop.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import orjson

from voxpy.engine.trace import Masking, as_json
from voxpy.text import json

INPUTS_VERSION = 1

APPEND = "input_audio_buffer.append"
"""What the caller says, on its way to the service: the recording has it."""

_AUDIO = '"response.output_audio.delta"'
_HEAD_CHARACTERS = 200
"""Where the type of an event is looked for; elsewhere it is found too, only slower."""

Line: TypeAlias = bytes | Callable[[], bytes]
"""One line with its end, or what makes it, in a thread; it may be empty."""

Write = Callable[[Line], None]


def kind_of(frame: str | bytes) -> str:
    """Return what names a JSON message of ours: its type, or the first key where there is none."""
    told = orjson.loads(frame)
    return str(told.get("type") or next(iter(told), ""))


class Inputs:
    """Writes the lines. Without ``write`` it keeps nothing and costs nothing."""

    def __init__(
        self,
        write: Write | None = None,
        *,
        now: Callable[[], float] = lambda: 0.0,
        masking: Masking | None = None,
    ) -> None:
        self._write = write
        self._now = now
        self._masking = masking
        self._sockets = 0
        self._exchanges = 0

    def note(self, kind: str, name: str = "", *, of: str = "", **fields: Any) -> None:
        """Keep one thing that came; fields that may be personal come as ``personal=``."""
        if self._write is None or self._masking is None:
            return
        line: dict[str, Any] = {"t": round(self._now(), 4), "kind": kind}
        line.update({k: v for k, v in (("name", name), ("of", of)) if v})
        line.update(self._masking.json(fields))
        self._write(as_json(line) + b"\n")

    def socket(self, url: str) -> SocketInputs | None:
        """Return what keeps one connection's frames, or None if nothing is kept."""
        if self._write is None or self._masking is None:
            return None
        self._sockets += 1
        of = f"socket-{self._sockets}"
        self.note("socket", "dials", of=of, url=url)
        return SocketInputs(self, of, self._write, self._now, self._masking)

    def exchange(self, method: str, url: str) -> Callable[..., None]:
        """Return what notes what became of one HTTP request to a service."""
        self._exchanges += 1
        of = f"service-{self._exchanges}"
        self.note("service", "asked", of=of, method=method, personal=url)
        return partial(self.note, "service", of=of)


class SocketInputs:
    """The lines of one connection."""

    def __init__(
        self,
        inputs: Inputs,
        of: str,
        write: Write,
        now: Callable[[], float],
        masking: Masking,
    ) -> None:
        self._inputs = inputs
        self._of = of
        self._put = write
        self._now = now
        self._masking = masking

    def note(self, name: str, **fields: Any) -> None:
        """Keep what became of the connection: ``opened``, ``refused``, ``failed``, ``closed``."""
        self._inputs.note("socket", name, of=self._of, **fields)

    def sent(self, frame: bytes) -> None:
        """Keep the type of an event of ours; audio goes by unmentioned."""
        self._put(partial(self._sent_line, self._now(), frame))

    def received(self, message: str | bytes) -> None:
        """Keep a message of the far side, whole; of text, secret values are masked."""
        self._put(partial(self._frame_line, self._now(), message))

    def _sent_line(self, t: float, frame: bytes) -> bytes:
        kind = kind_of(frame)
        return b"" if kind == APPEND else self._line(t, "sent", name=kind)

    def _frame_line(self, t: float, message: str | bytes) -> bytes:
        if isinstance(message, bytes):
            return self._line(t, "binary", personal=base64.b64encode(message).decode())
        audio = _AUDIO in message[:_HEAD_CHARACTERS] and "\n" not in message
        frame = message if audio else self._masked(message)
        if frame is None:
            return self._line(t, "text", personal=self._masking.text(message))
        line = f'{{"t":{t:.4f},"kind":"frame","of":"{self._of}","personal":{frame}}}\n'
        return line.encode("utf-8", "replace")

    def _line(self, t: float, kind: str, **fields: str) -> bytes:
        return as_json({"t": round(t, 4), "kind": kind, "of": self._of, **fields}) + b"\n"

    def _masked(self, message: str) -> str | None:
        """Return the JSON of a message on one line, or None if it is none."""
        try:
            value = json.loads(message)
        except ValueError:
            return None
        masked = self._masking.json(value)
        return message if masked == value and "\n" not in message else as_json(masked).decode()
