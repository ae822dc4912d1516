"""The interface of every provider's own side: a phone call becomes messages to a host, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
import orjson

from voxpy.audio.frame import Format
from voxpy.channels.providers.provider import Message
from voxpy.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "Carrier",
    "Clear",
    "HangUp",
    "HostEvent",
    "Ignored",
    "Mark",
    "PhoneCall",
    "Play",
    "PlayDigits",
]

LONGEST_QUOTE = 80


@attrs.frozen(kw_only=True)
class PhoneCall:
    """Who calls whom, and how the stream carries it; ``parameters`` are what the provider adds."""

    call_id: str
    caller: str
    callee: str
    format: Format
    parameters: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def named(self) -> dict[str, str]:
        """The parameters, and caller and callee as ``from`` and ``to`` among them."""
        return {"from": self.caller, "to": self.callee, **self.parameters}


@attrs.frozen
class HostEvent:
    """The host asked for something."""


@attrs.frozen
class Play(HostEvent):
    """Let the caller hear this, after what waits already."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


@attrs.frozen
class Mark(HostEvent):
    """Tell when everything before this has been played."""

    name: str


@attrs.frozen
class Clear(HostEvent):
    """Drop everything that has not been played."""


@attrs.frozen
class PlayDigits(HostEvent):
    """Let the caller hear the tones of these digits."""

    digits: str


@attrs.frozen
class HangUp(HostEvent):
    """End the call."""


@attrs.frozen
class Ignored(HostEvent):
    """A message that changes nothing for the caller."""

    kind: str


class Carrier(ABC):
    """One stream without its socket, as its provider speaks it.

    ``name`` is that of the adapter at the other end (``voxpy.channels.providers.providers``);
    ``formats`` what the provider carries, the usual first. Raises LocalProtocolError for a call in
    another format.
    """

    name: ClassVar[str]
    formats: ClassVar[tuple[Format, ...]]

    def __init__(self, call: PhoneCall) -> None:
        if call.format not in self.formats:
            known = ", ".join(str(fmt) for fmt in self.formats)
            raise LocalProtocolError(f"{self.name} carries {known}, not {call.format}")
        self.call = call

    @property
    def query(self) -> Mapping[str, str]:
        """What stands in the address that the provider dials."""
        return {}

    # -- out -----------------------------------------------------------------------------------

    @abstractmethod
    def opening(self) -> Sequence[Message]:
        """Return what is said when the stream has been opened."""

    @abstractmethod
    def audio(self, frame: bytes) -> Message | None:
        """Return the message with 20 ms of the caller, or None while one is being filled."""

    def digit(self, digit: str) -> Message:
        """Return what tells of a key. Raises LocalProtocolError where nothing does."""
        raise LocalProtocolError(f"the protocol of {self.name} has no digits")

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """Return what says that a mark was reached, or dropped by a ``clear``."""
        return None

    def cleared(self) -> Message | None:
        """Return what answers a ``clear``."""
        return None

    def stop(self) -> Message | None:
        """Return what is said when the caller hangs up; the stream is closed behind it."""
        return None

    # -- in ------------------------------------------------------------------------------------

    def receive(self, message: Message) -> Sequence[HostEvent]:
        """Return what the host asks for. Raises RemoteProtocolError for what no provider takes."""
        return self._text(message) if isinstance(message, str) else self._binary(message)

    @abstractmethod
    def _text(self, message: str) -> Sequence[HostEvent]: ...

    def _binary(self, message: bytes) -> Sequence[HostEvent]:
        raise self.wrong(f"a binary message of {len(message)} bytes")

    # -- for the carriers ------------------------------------------------------------------------

    def wrong(self, problem: str) -> RemoteProtocolError:
        """Return the error that says what the host did wrong."""
        return RemoteProtocolError(f"the host sent {self.name} {problem}")

    def parsed(self, message: str) -> dict[str, Any]:
        """Return a JSON object. Raises RemoteProtocolError for anything else."""
        try:
            value = orjson.loads(message)
        except ValueError as error:
            raise self.wrong(f"no JSON: {message[:LONGEST_QUOTE]!r}") from error
        if not isinstance(value, dict):
            raise self.wrong(f"no JSON object: {message[:LONGEST_QUOTE]!r}")
        return value

    def part(self, value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """Return an object inside a message. Raises RemoteProtocolError if there is none."""
        part = value.get(name)
        if not isinstance(part, dict):
            raise self.wrong(f"a {value.get('event', 'message')} without {name!r}")
        return part

    def text(self, value: Mapping[str, Any], name: str) -> str:
        """Return a string inside a message. Raises RemoteProtocolError if there is none."""
        found = value.get(name)
        if not isinstance(found, str):
            raise self.wrong(f"a {value.get('event', 'message')} without {name!r}")
        return found

    def played(self, payload: object) -> Play:
        """Return base64 audio. Raises RemoteProtocolError for anything else."""
        if isinstance(payload, str):
            try:
                return self.sound(b64decode(payload, validate=True))
            except (Base64Error, ValueError):  # ValueError: letters that are not ASCII
                pass
        raise self.wrong("a payload that is not base64")

    def sound(self, data: bytes) -> Play:
        """Return audio. Raises RemoteProtocolError if a sample was cut in two."""
        if len(data) % self.call.format.sample_bytes:
            raise self.wrong(f"{len(data)} bytes of audio, half a sample among them")
        return Play(data)

    def base64(self, data: bytes) -> str:
        """Return audio as it stands in JSON."""
        return b64encode(data).decode("ascii")
