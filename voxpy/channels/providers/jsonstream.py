"""Streams in the manner of Twilio's, which most providers took over with other names of fields.

Every message is JSON and says in ``event`` what it is: ``connected``, ``start``, ``media`` with a
base64 ``payload``, ``dtmf``, ``mark``, ``clear``, ``stop``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from voxpy.channels.providers.events import (
    Audio,
    Clear,
    HostEvent,
    Mark,
    MarkPlayed,
    Play,
    Start,
    StreamEvent,
    Unknown,
)
from voxpy.channels.providers.provider import Carrier, MediaStream, Message, PhoneCall, Provider


def as_json(**fields: object) -> str:
    """Return a message."""
    return orjson.dumps(fields).decode()


class JsonStream(MediaStream):
    """Our role."""

    stream_key: ClassVar[str] = ""
    """What a message of ours calls the stream it is for; empty where it names none."""
    _before, _behind = '{"event":"media","media":{"payload":"', '"}}'

    def _text(self, message: str) -> Sequence[StreamEvent]:
        value = self.parsed(message)
        match kind := value.get("event"):
            case "media":
                media = self.part(value, "media")
                if media.get("track", "inbound") != "inbound":
                    return ()  # our own voice, where both tracks were asked for
                return (self._audio(media),)
            case "connected":
                return ()
            case "start":
                return (self._start(value),)
            case "dtmf":
                return (self.digit(self.part(value, "dtmf").get("digit")),)
            case "mark":
                return (MarkPlayed(self.text(self.part(value, "mark"), "name")),)
            case "stop":
                return (self.stopped(value),)
        return self._other(str(kind), value)

    @abstractmethod
    def _start(self, value: Mapping[str, Any]) -> Start: ...

    def _audio(self, media: Mapping[str, Any]) -> Audio:
        return Audio(self.payload(media))

    def _other(self, kind: str, value: Mapping[str, Any]) -> Sequence[StreamEvent]:
        """Return what the provider's own kind of message says."""
        return (Unknown(kind, value),)

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        raise self.wrong(f"a binary message of {len(message)} bytes")

    def _begin(self, start: Start) -> None:
        super()._begin(start)
        if self.stream_key:
            name = orjson.dumps(start.stream_id).decode()
            self._before = f'{{"event":"media","{self.stream_key}":{name},"media":{{"payload":"'

    def command(self, event: str, **fields: object) -> str:
        """Return a message for this stream."""
        named = {self.stream_key: self.started.stream_id} if self.stream_key else {}
        return as_json(event=event, **named, **fields)

    def audio(self, data: bytes) -> Message:
        """``media``."""
        return f"{self._before}{self.base64(data)}{self._behind}"

    def mark(self, name: str) -> Message:
        """``mark``; it comes back when it has played, or at once after a ``clear``."""
        return self.command("mark", mark={"name": name})

    def clear(self) -> Message:
        """``clear``."""
        return self.command("clear")


class JsonCarrier(Carrier):
    """The provider's role: counts messages and chunks, and names the stream in every message.

    A subclass must say what its messages call the stream and their number.
    """

    stream_key: ClassVar[str]
    number_key: ClassVar[str]
    numbers_are_text: ClassVar[bool] = True
    media_fields: ClassVar[Mapping[str, object]] = {}
    host_names_stream: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for key in ("stream_key", "number_key"):
            if not hasattr(cls, key):
                raise TypeError(f"{cls.__name__} needs a {key}: the name of that field on the wire")

    def __init__(self, provider: Provider, call: PhoneCall) -> None:
        super().__init__(provider, call)
        self.stream_id = f"stream-{call.call_id}"
        self._number = 0
        self._chunk = 0

    # -- out ---------------------------------------------------------------------------------------

    def connected(self, **fields: object) -> str:
        """Return the message before the start, which takes the first number."""
        self._number = 1
        return as_json(event="connected", **fields)

    def message(self, event: str, **fields: object) -> str:
        """Return a numbered message of this stream."""
        number, self._number = self._number, self._number + 1
        head = {self.number_key: self.count(number), self.stream_key: self.stream_id}
        return as_json(event=event, **head, **fields)

    def count(self, number: int) -> str | int:
        """Return a number as this provider writes it."""
        return str(number) if self.numbers_are_text else number

    def audio(self, frame: bytes) -> Message | None:
        """``media``."""
        self._chunk += 1
        at_ms = (self._chunk - 1) * round(1000 * self.inbound.duration_s(len(frame)))
        media = {
            **self.media_fields,
            "chunk": self.count(self._chunk),
            "timestamp": str(at_ms),
            "payload": self.base64(frame),
        }
        return self.message("media", media=media)

    def digit(self, digit: str) -> Message:
        """``dtmf``."""
        return self.message("dtmf", dtmf={**self.media_fields, "digit": digit})

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """``mark``; a ``clear`` sends back those it drops too."""
        return self.message("mark", mark={"name": name})

    # -- in ----------------------------------------------------------------------------------------

    def _text(self, message: str) -> Sequence[HostEvent]:
        value = self.parsed(message)
        if self.host_names_stream:
            self.of_this_stream(value)
        match kind := value.get("event"):
            case "media":
                return (self.played(self.part(value, "media")),)
            case "mark":
                return (Mark(self.text(self.part(value, "mark"), "name")),)
            case "clear":
                return (Clear(),)
        raise self.wrong(f"an event it does not know: {kind!r}")

    def _binary(self, message: bytes) -> Sequence[HostEvent]:
        raise self.wrong(f"a binary message of {len(message)} bytes")

    def of_this_stream(self, value: Mapping[str, Any]) -> None:
        """Refuse a message for another stream. Raises RemoteProtocolError."""
        if value.get(self.stream_key) != self.stream_id:
            raise self.wrong(
                f"a {value.get('event')} for the stream {value.get(self.stream_key)!r} on the "
                f"stream {self.stream_id!r}"
            )

    def played(self, media: Mapping[str, Any]) -> Play:
        """Return the audio of a ``media``. Raises RemoteProtocolError."""
        return self.sound(self.payload(media))
