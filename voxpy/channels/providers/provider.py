"""The interface of every provider's adapter, and the table of what each can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import orjson

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.channels.providers.events import Audio, Dtmf, Start, Stop, StreamEvent
from voxpy.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MediaStream", "Message", "Provider"]

Message = str | bytes
"""A WebSocket message: text or binary. Of a provider on TCP, any piece of the byte stream."""

KEYS = frozenset("0123456789*#ABCD")
CALLER_WORDS = ("from", "caller", "callerid", "caller_id", "callerid(num)")
CALLEE_WORDS = ("to", "called", "callee", "destination", "did")
LONGEST_QUOTE = 80


@attrs.frozen(kw_only=True)
class Provider:
    """What a provider's stream can do, where they differ.

    ``hang_up``: what releases the line from our side: ``close`` the stream, a ``message`` on it, or
    a ``rest`` call of the provider's API (closing then only ends the stream). ``transfer`` the
    same, or ``none``. ``ahead``: it buffers what is sent, fills gaps itself and can ``clear``; to
    the others a frame goes every 20 ms, silence too. ``chunk_frames``: how many frames of 20 ms its
    messages must hold. ``source``: where the protocol is written down.
    """

    name: str
    transport: Literal["websocket", "tcp"] = "websocket"
    hang_up: Literal["close", "message", "rest"]
    transfer: Literal["rest", "none"] = "rest"
    ahead: bool = True
    marks: bool = True
    sends_dtmf: bool = False
    chunk_frames: int = 1
    subprotocol: str | None = None
    source: str


class MediaStream(ABC):
    """One stream, without its socket: messages in become events, commands become messages.

    ``query`` are the parameters of the address the provider called; those of its start message
    come before them.
    """

    provider: ClassVar[Provider]

    def __init__(self, query: Mapping[str, str] | None = None) -> None:
        self._query = dict(query or {})
        self.start: Start | None = None

    # -- in ----------------------------------------------------------------------------------------

    def receive(self, message: Message) -> Sequence[StreamEvent]:
        """Return what a message says. Raises RemoteProtocolError for one that cannot be."""
        events = self._text(message) if isinstance(message, str) else self._binary(message)
        for event in events:
            if isinstance(event, Start):
                self._begin(event)
            elif self.start is None and isinstance(event, Audio | Dtmf):
                raise self.wrong("audio or digits before the start of the stream")
        return events

    @abstractmethod
    def _text(self, message: str) -> Sequence[StreamEvent]: ...

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        raise self.wrong(f"a binary message of {len(message)} bytes")

    def _begin(self, start: Start) -> None:
        if self.start is not None:
            raise self.wrong("a second start of the stream")
        self.start = start

    # -- out ---------------------------------------------------------------------------------------

    @property
    def started(self) -> Start:
        """The start of the stream. Raises LocalProtocolError before it."""
        if self.start is None:
            raise LocalProtocolError(f"{self.provider.name}: the stream has not started")
        return self.start

    def answer(self) -> Message | None:
        """Return what must be sent before the first audio, if anything."""
        return None

    @abstractmethod
    def audio(self, data: bytes) -> Message:
        """Return the message with whole frames of audio in the stream's format."""

    def mark(self, name: str) -> Message:
        """Return what asks to be told when everything before it has played."""
        raise self._cannot("marks")

    def clear(self) -> Message:
        """Return what drops all audio that has not been played."""
        raise self._cannot("clear")

    def hang_up(self) -> Message:
        """Return what hangs the call up."""
        raise self._cannot("hanging up by message")

    def dtmf(self, digits: str) -> Message:
        """Return what plays digits to the far end."""
        raise self._cannot("sending digits")

    def _cannot(self, what: str) -> LocalProtocolError:
        return LocalProtocolError(f"the protocol of {self.provider.name} has no {what}")

    # -- for the adapters --------------------------------------------------------------------------

    def wrong(self, problem: str) -> RemoteProtocolError:
        """Return the error that says what the provider did wrong."""
        return RemoteProtocolError(f"{self.provider.name}: {problem}")

    def parsed(self, message: str) -> dict[str, Any]:
        """Return a JSON object. Raises RemoteProtocolError for anything else."""
        try:
            value = orjson.loads(message)
        except ValueError as error:
            raise self.wrong(f"no JSON: {_quoted(message)}") from error
        if not isinstance(value, dict):
            raise self.wrong(f"no JSON object: {_quoted(message)}")
        return value

    def part(self, value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """Return an object inside a message. Raises RemoteProtocolError if there is none."""
        part = value.get(name)
        if not isinstance(part, dict):
            raise self.wrong(f"a message without {name!r}: {_quoted(value)}")
        return part

    def optional(self, value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """Return an object inside a message, empty if it is absent or null.

        Raises RemoteProtocolError if something else stands in its place.
        """
        return {} if value.get(name) is None else self.part(value, name)

    def text(self, value: Mapping[str, Any], name: str) -> str:
        """Return a string inside a message, of a number its digits. Raises RemoteProtocolError."""
        found = value.get(name)
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise self.wrong(f"a message without {name!r}: {_quoted(value)}")
        return str(found)

    def payload(self, value: Mapping[str, Any]) -> bytes:
        """Return the audio of ``payload``. Raises RemoteProtocolError if it is not base64."""
        payload = value.get("payload")
        if isinstance(payload, str):
            try:
                return a2b_base64(payload, strict_mode=True)
            except ValueError:  # binascii.Error is one, and letters that are not ASCII give another
                pass
        raise self.wrong(f"a payload that is not base64: {_quoted(payload)}")

    def digit(self, digit: object) -> Dtmf:
        """Return the event of a key. Raises RemoteProtocolError if there is no such key."""
        if isinstance(digit, str) and digit.upper() in KEYS:
            return Dtmf(digit.upper())
        raise self.wrong(f"a digit that no phone has: {_quoted(digit)}")

    def format_of(self, encoding: object, rate_hz: object) -> Format:
        """Return the Format a provider names. Raises RemoteProtocolError for one we do not carry.

        Names are compared without regard to case or an ``audio/x-`` in front.
        """
        name = str(encoding).lower().removeprefix("audio/").removeprefix("x-").partition(";")[0]
        try:
            rate = int(str(rate_hz))
            if name in ("mulaw", "pcmu", "ulaw") and rate == PCMU.rate_hz:
                return PCMU
            if name in ("alaw", "pcma") and rate == PCMA.rate_hz:
                return PCMA
            if name in ("l16", "pcm16", "slin", "raw", "base64", "raw/slin"):
                return pcm16(rate)
        except ValueError:
            pass
        raise self.wrong(
            f"audio as {_quoted(encoding)} at {_quoted(rate_hz)} Hz; configure mu-law or A-law at "
            "8000 Hz or linear PCM"
        )

    def begun(
        self,
        *,
        call_id: str,
        stream_id: str,
        fmt: Format,
        parameters: Mapping[str, Any] | None = None,
        caller: object = None,
        callee: object = None,
    ) -> Start:
        """Return the start of the stream; who calls whom may stand in the parameters."""
        given = {str(k): str(v) for k, v in (parameters or {}).items() if v is not None}
        named = {**self._query, **given}
        return Start(
            call_id=call_id,
            stream_id=stream_id,
            caller=str(caller or "") or _first(named, CALLER_WORDS),
            callee=str(callee or "") or _first(named, CALLEE_WORDS),
            parameters=named,
            format=fmt,
        )

    def base64(self, data: bytes) -> str:
        """Return audio as it stands in JSON."""
        return b2a_base64(data, newline=False).decode("ascii")

    def stopped(self, value: Mapping[str, Any]) -> Stop:
        """Return the end of the stream, with a reason if the provider gives one."""
        stop = value.get("stop")
        reason = stop.get("reason") if isinstance(stop, dict) else None
        return Stop(reason if isinstance(reason, str) else "")


def _first(parameters: Mapping[str, str], words: Sequence[str]) -> str:
    lower = {name.lower(): value for name, value in parameters.items()}
    return next((lower[word] for word in words if lower.get(word)), "")


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"
