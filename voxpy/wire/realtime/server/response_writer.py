"""One response, from ``response.created`` to ``response.done``, in the order the services send.

Order: created, then per item ``output_item.added``, ``conversation.item.added``,
``content_part.added``, deltas; at the end of a message ``output_audio.done``,
``output_audio_transcript.done``, ``output_text.done``, ``content_part.done``,
``conversation.item.done``, ``output_item.done``; last ``response.done``. A message stays open while
function calls come and go beside it, since its audio may be synthesised later than the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import attrs
import orjson

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE, WholeSamples, audio_format
from voxpy.wire.realtime.events.types import ServerEvent, nulls
from voxpy.wire.realtime.server.conversation import Conversation, Entry
from voxpy.wire.realtime.server.output import Outbox, OutputBuffer
from voxpy.wire.realtime.server.quirks import Quirks

_FILLER_CHUNKS_PER_S = 10
_PADDINGS_PER_S = 2000  # half a millisecond: 24 bytes at 24 kHz, of the "under 80" that were seen
_SILENT_SAMPLE = {"pcm16": b"\0\0", "pcmu": b"\xff", "pcma": b"\xd5", "float32": b"\0\0\0\0"}
"""Inworld's padding is all zeroes, seen with PCM only; zero bytes of G.711 would be a bang."""


@attrs.define(kw_only=True)
class _Message:
    """The spoken or written item of a response."""

    entry: Entry
    output_index: int
    text: str = ""
    has_audio: bool = False


@attrs.define(kw_only=True)
class ResponseWriter:
    """Writes the events of one response. ``overrides`` as of ``response_overrides``."""

    id: str
    session: Mapping[str, Any]
    overrides: Mapping[str, Any]
    conversation_id: str | None
    """None is beside the conversation: its items are told as output alone."""
    conversation: Conversation
    outbox: Outbox
    output_buffer: OutputBuffer
    new_id: Callable[[str], str]
    quirks: Quirks
    has_content: bool = attrs.field(default=False, init=False)
    """Whether there is more than filler."""
    _items: list[Entry] = attrs.field(factory=list, init=False)
    _message: _Message | None = attrs.field(default=None, init=False)
    _format: tuple[str, int] = attrs.field(init=False)
    _samples: WholeSamples = attrs.field(factory=WholeSamples, init=False)
    _audio_part: bytes = attrs.field(default=b"", init=False)

    def __attrs_post_init__(self) -> None:
        self._format = audio_format(self.session, "output")

    @property
    def speaks(self) -> bool:
        return "audio" in self._modalities

    @property
    def voice(self) -> str:
        """Name of the voice this response is spoken with."""
        return str(self.overrides.get("voice", self.session["audio"]["output"]["voice"]))

    @property
    def _modalities(self) -> list[str]:
        return list(self.overrides.get("output_modalities") or self.session["output_modalities"])

    def open(self) -> None:
        self.outbox.emit(se.ResponseCreated(response=self._as_json("in_progress", None, None)))

    def text(self, delta: str) -> None:
        """Say or write more. Empty text only makes sure that there is a message."""
        self.has_content = True
        message = self._message or self._begin_message()
        message.text += delta
        if not delta:
            return
        where = self._where(message)
        told: list[ServerEvent] = []
        if self.speaks:
            told.append(
                se.ResponseOutputAudioTranscriptDelta(**where, content_index=0, delta=delta)
            )
        text_index = self._text_index
        if text_index is not None:
            told.append(se.ResponseOutputTextDelta(**where, content_index=text_index, delta=delta))
        for event in reversed(told) if self.quirks.text_first else told:
            self.outbox.emit(event)

    def audio(self, data: bytes, now: float) -> bool:
        """Send audio in the output format; False if this response has no audio modality.

        Half a sample is sent when its other half comes.
        """
        if not self.speaks:
            return False
        self.has_content = self.has_content or bool(data)
        self._send_audio(data, now)
        return True

    def filler(self, data: bytes, now: float) -> bool:
        """Send audio that bridges the wait and is in no transcript; False if it is too late."""
        if not self.speaks or self.has_content:
            return False
        encoding, rate_hz = self._format
        size = BYTES_PER_SAMPLE[encoding]
        step = rate_hz // _FILLER_CHUNKS_PER_S * size
        whole = len(data) // size * size
        for start in range(0, whole, step):
            self._send_audio(data[start : min(start + step, whole)], now)
        if self._message is not None:
            self._message.entry.filler.add(whole // size, rate_hz)
        return True

    def _send_audio(self, data: bytes, now: float) -> None:
        encoding, rate_hz = self._format
        data = self._samples.take(data, encoding)
        if not data:
            return
        message = self._message or self._begin_message()
        message.has_audio = True
        self.output_buffer.start(self.id)
        self.outbox.emit_audio(data, part=self._audio_part)
        n_samples = len(data) // BYTES_PER_SAMPLE[encoding]
        message.entry.audio.add(n_samples, rate_hz)
        self.conversation.keep(message.entry, data, encoding, rate_hz)
        if encoding == "pcmu" and self.quirks.mulaw_thirds:
            message.entry.time_base = Fraction(1, 3)
        self.output_buffer.extend(n_samples, rate_hz, now=now)

    def call(self, name: str, arguments: str) -> str:
        """Send a whole function call and return its call id. ``arguments`` is JSON text."""
        self.has_content = True
        call_id = self.new_id("call")
        fields = {"type": "function_call", "name": name, "call_id": call_id, "arguments": ""}
        entry, index = self._begin_item(fields)
        where: dict[str, Any] = {
            "response_id": self.id,
            "item_id": entry.id,
            "output_index": index,
            "call_id": call_id,
        }
        if arguments:
            self.outbox.emit(se.ResponseFunctionCallArgumentsDelta(**where, delta=arguments))
        told_name = name if self.quirks.call_done_name else None
        self.outbox.emit(
            se.ResponseFunctionCallArgumentsDone(**where, name=told_name, arguments=arguments)
        )
        self._end_item(entry, index, {"status": "completed", "arguments": arguments})
        return call_id

    def close(
        self,
        status: str,
        *,
        now: float,
        details: Mapping[str, Any] | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> None:
        """End what is open and send ``response.done`` with this status."""
        if self._message is not None:
            if self._message.has_audio and status == "completed" and self.quirks.end_padding:
                self._pad(now)
            self._end_message(self._message, status)
        else:
            self.output_buffer.stop()
        self.outbox.emit(se.ResponseDone(response=self._as_json(status, details, usage)))

    def _pad(self, now: float) -> None:
        encoding, rate_hz = self._format
        self._samples.clear()
        silence = _SILENT_SAMPLE[encoding]
        self._send_audio(silence * (rate_hz // _PADDINGS_PER_S), now)

    def _begin_item(self, fields: Mapping[str, Any]) -> tuple[Entry, int]:
        previous = self.conversation.last_id
        if fields["type"] == "function_call" and self.quirks.null_call_previous_id:
            previous = None
        head = {"id": self.conversation.reserve(), "object": "realtime.item"}
        entry = self.conversation.append({**head, "status": "in_progress", **fields})
        index = len(self._items)
        self._items.append(entry)
        self.outbox.emit(
            se.ResponseOutputItemAdded(response_id=self.id, output_index=index, item=entry.item)
        )
        if self.conversation_id is not None:
            extra = nulls(previous_item_id=previous)
            self.outbox.emit(
                se.ConversationItemAdded(item=entry.item, previous_item_id=previous, extra=extra)
            )
        return entry, index

    def _end_item(self, entry: Entry, index: int, changes: Mapping[str, Any]) -> None:
        entry.item = {**entry.item, **changes}
        previous = self.conversation.previous_id(entry)
        if entry.item["type"] == "function_call" and self.quirks.null_call_previous_id:
            previous = None
        if self.conversation_id is not None:
            extra = nulls(previous_item_id=previous)
            self.outbox.emit(
                se.ConversationItemDone(item=entry.item, previous_item_id=previous, extra=extra)
            )
        self.outbox.emit(
            se.ResponseOutputItemDone(response_id=self.id, output_index=index, item=entry.item)
        )

    def _begin_message(self) -> _Message:
        entry, index = self._begin_item({"type": "message", "role": "assistant", "content": []})
        message = self._message = _Message(entry=entry, output_index=index)
        where = self._where(message)
        for content_index, part in enumerate(self._parts("")):
            self.outbox.emit(
                se.ResponseContentPartAdded(**where, content_index=content_index, part=part)
            )
        fields = {**where, "content_index": 0}
        self._audio_part = orjson.dumps(fields)[1:-1]
        return message

    def _end_message(self, message: _Message, status: str) -> None:
        where = self._where(message)
        if message.has_audio:
            self.outbox.emit(se.ResponseOutputAudioDone(**where, content_index=0))
        self.output_buffer.stop()
        if self.speaks:
            self.outbox.emit(
                se.ResponseOutputAudioTranscriptDone(
                    **where, content_index=0, transcript=message.text
                )
            )
        text_index = self._text_index
        if text_index is not None:
            self.outbox.emit(
                se.ResponseOutputTextDone(**where, content_index=text_index, text=message.text)
            )
        for content_index, part in enumerate(self._parts(message.text)):
            self.outbox.emit(
                se.ResponseContentPartDone(**where, content_index=content_index, part=part)
            )
        final = "completed" if status == "completed" else "incomplete"
        content = self._content(message.entry.cut(message.text))
        changes = {"status": final, "content": content}
        self._end_item(message.entry, message.output_index, changes)

    @property
    def _text_index(self) -> int | None:
        return int(self.speaks) if "text" in self._modalities else None

    def _where(self, message: _Message) -> dict[str, Any]:
        return {
            "response_id": self.id,
            "item_id": message.entry.id,
            "output_index": message.output_index,
        }

    def _parts(self, text: str) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        if self.speaks:
            parts.append({"type": "audio", "transcript": text})
        if "text" in self._modalities:
            parts.append({"type": "text", "text": text})
        return parts

    def _content(self, text: str) -> list[dict[str, Any]]:
        """Return the content of the finished item: one part, though two may have streamed."""
        if self.speaks:
            return [{"type": "output_audio", "transcript": text}]
        return [{"type": "output_text", "text": text}]

    def _as_json(
        self, status: str, details: Mapping[str, Any] | None, usage: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        output = self.session["audio"]["output"]
        limit = self.overrides.get("max_output_tokens", self.session["max_output_tokens"])
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": [entry.item for entry in self._items] if status != "in_progress" else [],
            "conversation_id": self.conversation_id,
            "output_modalities": self._modalities,
            "max_output_tokens": limit,
            "audio": {"output": {"format": output["format"], "voice": self.voice}},
            "usage": usage,
            "metadata": self.overrides.get("metadata"),
        }
