"""A client and a server joined without a socket, on a clock of their own, and what passes written
down: ``1.20 > event`` is the client's, ``1.20 < event`` the server's, ``1.20 * …`` an effect."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient
from voxpy.wire.realtime.events.codec import encode_append
from voxpy.wire.realtime.events.types import ServerEvent
from voxpy.wire.realtime.server import effects as fx
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import Quirks

PLAIN = Quirks(end_padding=False)
SHOWN = ("item_id", "delta", "transcript", "phrase", "reason", "probability", "utterance_index")
WRAPPING = {
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "conversation.item.added",
    "conversation.item.done",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
}
SHORT = {"event": "e", "response": "resp"}


class Talk:
    """Both ends. Every method ends with the client having read all that was sent.

    ``session`` is the session.update to begin with; the transcript starts after it.
    """

    def __init__(
        self,
        quirks: Quirks = PLAIN,
        *,
        draw: Callable[[], float] = lambda: 0.0,
        session: Mapping[str, Any] | None = None,
        client: RealtimeClient | None = None,
    ) -> None:
        counts: dict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self.server = RealtimeServer(
            session_id="sess_1",
            new_id=lambda kind: f"{SHORT.get(kind, kind)}_{next(counts[kind])}",
            quirks=quirks,
            draw=draw,
        )
        self.client = client or RealtimeClient()
        self.now = 0.0
        self.lines: list[str] = []
        self.events: list[ServerEvent] = []
        self.heard: list[Audio] = []
        self.asked: list[fx.Effect] = []
        self.server.open(self.now)
        self.settle()
        if session is not None:
            self.send("session.update", session=dict(session))
        self.lines.clear()
        self.asked.clear()

    # -- what is done

    def send(self, kind: str, **fields: Any) -> None:
        """One event of the client's."""
        self._line(">", kind, fields.get("item", fields))
        event = {"type": kind, **fields}
        self.settle(self.server.receive(self.client.send(event), self.now))

    def append(self, audio: bytes) -> None:
        """Caller audio, not written down."""
        self.settle(self.server.receive(encode_append(audio), self.now))

    def turn(self, text: str, *, length_s: float = 1.0) -> None:
        """One whole turn of the caller, recognised as soon as it is over."""
        self.settle(self.server.speech_started(self.now * 1000, self.now))
        self.wait(length_s)
        self.server.speech_stopped(self.now * 1000, self.now)
        self.settle()
        self.settle(self.server.transcript_completed(text, self.now))

    def answer(self, text: str, *, length_ms: int = 0) -> str:
        """The active response says this and ends; 24 kHz PCM."""
        response_id = self.server.active_response_id
        assert response_id is not None
        self.server.text(response_id, text, self.now)
        if length_ms:
            self.server.audio(response_id, b"\1\0" * 24 * length_ms, self.now)
        self.server.finish(response_id, self.now)
        self.settle()
        return response_id

    def wait(self, seconds: float) -> None:
        """Let time pass; the server is called when it asks to be."""
        end = self.now + seconds
        while (due := self.server.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.settle(self.server.tick(self.now))
            after = self.server.next_deadline()
            assert after is None or after > self.now, "due again at once"
        self.now = end

    # -- what came of it

    def settle(self, effects: list[fx.Effect] | None = None) -> None:
        """Write down effects and everything that is on the wire."""
        for effect in [*(effects or ()), *self.server.effects()]:
            self.asked.append(effect)
            if isinstance(effect, fx.ConsiderBackchannel | fx.Fill | fx.Summarise | fx.Stop):
                self._line("*", type(effect).__name__, {})
        for frame in self.server.outgoing():
            self._line("<", *_typed(frame))
            for each in self.client.receive(frame):
                if isinstance(each, Audio):
                    self.heard.append(each)
                else:
                    self.events.append(each)

    def last(self, kind: type[Any]) -> Any:
        """Return the newest effect of a class."""
        return next(effect for effect in reversed(self.asked) if isinstance(effect, kind))

    def _line(self, arrow: str, kind: str, fields: Mapping[str, Any]) -> None:
        told = []
        for name in SHOWN:
            value = fields.get(name)
            if value is not None:
                told.append("…" if "audio.delta" in kind and name == "delta" else str(value))
        status = (fields.get("response") or {}).get("status") if kind == "response.done" else None
        code = (fields.get("error") or {}).get("code") if kind == "error" else None
        line = [f"{self.now:.2f}", arrow, kind, *told, status or "", code or ""]
        self.lines.append(" ".join(word for word in line if word))

    def transcript(self) -> list[str]:
        """Return the lines so far and begin a new page."""
        lines, self.lines = self.lines, []
        return lines

    def brief(self) -> list[str]:
        """Return the transcript without the events that only wrap a response's content."""
        return [line for line in self.transcript() if line.split()[2] not in WRAPPING]


def _typed(frame: bytes) -> tuple[str, dict[str, Any]]:
    fields = orjson.loads(frame)
    return fields.get("type", "(no type)"), fields
