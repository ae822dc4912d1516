"""One response, from ``response.created`` to ``response.done``, in the order the services send.

Order: created, then per item ``output_item.added``, ``conversation.item.added``,
``content_part.added``, deltas; at the end of a message ``output_audio.done``,
``output_audio_transcript.done``, ``output_text.done``, ``content_part.done``,
``conversation.item.done``, ``output_item.done``; last ``response.done``. A message stays open while
function calls come and go beside it, since its audio may be synthesised later than the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import orjson

from voxpy.wire.realtime import server_events as se
from voxpy.wire.realtime.conversation import Conversation, Entry
from voxpy.wire.realtime.outbox import Outbox
from voxpy.wire.realtime.output_buffer import OutputBuffer
from voxpy.wire.realtime.session import BYTES_PER_SAMPLE, audio_format
from voxpy.wire.realtime.types import nulls

__all__ = ["ResponseWriter"]


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
    conversation_id: str
    conversation: Conversation
    outbox: Outbox
    output_buffer: OutputBuffer
    new_id: Callable[[str], str]
    _items: list[Entry] = attrs.field(factory=list, init=False)
    _message: _Message | None = attrs.field(default=None, init=False)
    _byte_rate: float = attrs.field(init=False)
    _audio_part: bytes = attrs.field(default=b"", init=False)

    def __attrs_post_init__(self) -> None:
        encoding, rate_hz = audio_format(self.session, "output")
        self._byte_rate = BYTES_PER_SAMPLE[encoding] * rate_hz

    @property
    def _modalities(self) -> list[str]:
        return list(self.overrides.get("output_modalities") or self.session["output_modalities"])

    def open(self) -> None:
        """Send ``response.created``."""
        self.outbox.emit(se.ResponseCreated(response=self._as_json("in_progress", None, None)))

    def text(self, delta: str) -> None:
        """Say or write more. Empty text only makes sure that there is a message."""
        message = self._message or self._begin_message()
        message.text += delta
        if not delta:
            return
        where = self._where(message)
        if "audio" in self._modalities:
            self.outbox.emit(
                se.ResponseOutputAudioTranscriptDelta(**where, content_index=0, delta=delta)
            )
        text_index = self._text_index
        if text_index is not None:
            self.outbox.emit(
                se.ResponseOutputTextDelta(**where, content_index=text_index, delta=delta)
            )

    def audio(self, data: bytes, now: float) -> bool:
        """Send audio in the output format; False if this response has no audio modality."""
        if "audio" not in self._modalities:
            return False
        if not data:
            return True
        message = self._message or self._begin_message()
        message.has_audio = True
        self.output_buffer.start()
        self.outbox.emit_audio(data, part=self._audio_part)
        duration_s = len(data) / self._byte_rate
        message.entry.audio_ms += duration_s * 1000
        self.output_buffer.extend(duration_s, now)
        return True

    def call(self, name: str, arguments: str) -> str:
        """Send a whole function call and return its call id. ``arguments`` is JSON text."""
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
        self.outbox.emit(
            se.ResponseFunctionCallArgumentsDone(**where, name=name, arguments=arguments)
        )
        self._end_item(entry, index, {"status": "completed", "arguments": arguments})
        return call_id

    def close(
        self,
        status: str,
        *,
        details: Mapping[str, Any] | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> None:
        """End what is open and send ``response.done`` with this status."""
        if self._message is not None:
            self._end_message(self._message, status)
        else:
            self.output_buffer.stop()
        self.outbox.emit(se.ResponseDone(response=self._as_json(status, details, usage)))

    def _begin_item(self, fields: Mapping[str, Any]) -> tuple[Entry, int]:
        previous = self.conversation.last_id
        if fields["type"] == "function_call":
            previous = None  # as Inworld sends it, in the middle of a conversation too
        head = {"id": self.conversation.reserve(), "object": "realtime.item"}
        entry = self.conversation.append({**head, "status": "in_progress", **fields})
        index = len(self._items)
        self._items.append(entry)
        self.outbox.emit(
            se.ResponseOutputItemAdded(response_id=self.id, output_index=index, item=entry.item)
        )
        extra = nulls(previous_item_id=previous)
        self.outbox.emit(
            se.ConversationItemAdded(item=entry.item, previous_item_id=previous, extra=extra)
        )
        return entry, index

    def _end_item(self, entry: Entry, index: int, changes: Mapping[str, Any]) -> None:
        entry.item = {**entry.item, **changes}
        previous = self.conversation.previous_id(entry)
        if entry.item["type"] == "function_call":
            previous = None
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
        if "audio" in self._modalities:
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
        modalities = self._modalities
        return None if "text" not in modalities else int("audio" in modalities)

    def _where(self, message: _Message) -> dict[str, Any]:
        return {
            "response_id": self.id,
            "item_id": message.entry.id,
            "output_index": message.output_index,
        }

    def _parts(self, text: str) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        if "audio" in self._modalities:
            parts.append({"type": "audio", "transcript": text})
        if "text" in self._modalities:
            parts.append({"type": "text", "text": text})
        return parts

    def _content(self, text: str) -> list[dict[str, Any]]:
        """Return the content of the finished item: one part, though two may have streamed."""
        if "audio" in self._modalities:
            return [{"type": "output_audio", "transcript": text}]
        return [{"type": "output_text", "text": text}]

    def _as_json(
        self, status: str, details: Mapping[str, Any] | None, usage: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        output = self.session["audio"]["output"]
        voice = self.overrides.get("voice", output["voice"])
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
            "audio": {"output": {"format": output["format"], "voice": voice}},
            "usage": usage,
            "metadata": self.overrides.get("metadata"),
        }
