"""What a phone provider is: one record, and the two roles of its media stream.

A provider's file makes one ``Provider`` of plain data and functions. It names two classes for its
messages. ``MediaStream`` is our role: what the provider sends becomes events, what we want becomes
messages. ``Carrier`` is the provider's own: with it ``voxpy call`` and the tests are that provider,
and a test that joins both proves either. The bases here speak of bytes as they are, which is what
three of nine providers do with audio; ``jsonstream`` has the manner most others copied from Twilio.

Neither role owns a socket, a clock or a task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.channels.providers.events import (
    Audio,
    Dtmf,
    HostEvent,
    Odd,
    Play,
    Start,
    Stop,
    StreamEvent,
)
from voxpy.channels.providers.http import (
    TOKEN_SECRET,
    Answer,
    Asked,
    Outcome,
    RestApi,
    Signature,
    derived_token,
)
from voxpy.channels.providers.placing import Placer
from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.text import json

Message = str | bytes
"""A WebSocket message: text or binary. Of a provider on TCP, any piece of the byte stream."""

KEYS = frozenset("0123456789*#ABCD")
CALLER_WORDS = ("from", "caller", "callerid", "caller_id", "callerid(num)")
CALLEE_WORDS = ("to", "called", "callee", "destination", "did")
LONGEST_QUOTE = 80


@attrs.frozen(kw_only=True, eq=False)
class Provider:
    """Everything about one provider.

    ``source``: where its protocol is written down. ``formats``: what its streams carry, the usual
    first. ``hang_up``: what releases the line from our side: ``close`` the stream, a ``message`` on
    it, or a ``rest`` call of its API (closing then only ends the stream). ``ahead``: it buffers
    what is sent, fills gaps itself and can ``clear``; to the others a frame goes every 20 ms,
    silence too. ``chunk_frames``: how many frames of 20 ms its messages must hold.

    ``client_type`` is what scenarios are told that its callers are.

    ``signature``: how it signs requests, if it does. ``takes_token``: whether its streams can bear
    a token of ours, in the address or as Authorization. ``answer_call(outcome, stream_url,
    asked)``: the markup that its webhook gets, for those that ask before a call. ``rest``: its API,
    if ours is to use it; ``placer``: how that places calls.
    """

    name: str
    source: str
    stream: type[MediaStream]
    carrier: type[Carrier]
    formats: tuple[Format, ...]
    transport: Literal["websocket", "tcp"] = "websocket"
    subprotocol: str | None = None
    hang_up: Literal["close", "message", "rest"]
    ahead: bool = True
    marks: bool = True
    sends_dtmf: bool = False
    chunk_frames: int = 1
    client_type: str = "pstn"
    signature: Signature | None = None
    takes_token: bool = True
    answer_call: Callable[[Outcome, str, Asked], Answer] | None = None
    rest: RestApi | None = None
    placer: Placer | None = None

    def open_stream(self, query: Mapping[str, str] | None = None) -> MediaStream:
        """Return our side of a new stream; ``query`` are the parameters of its address."""
        return self.stream(self, query)

    def place(self, call: PhoneCall) -> Carrier:
        """Return the provider's own side of ``call``.

        Raises LocalProtocolError if it does not carry the call's format.
        """
        return self.carrier(self, call)

    def stream_headers(
        self, url: str, secret: Callable[[str], str | None], *, now: float, nonce: str
    ) -> list[tuple[str, str]]:
        """Return what it proves itself with when it opens a stream to ``url``; none if it cannot.

        ``secret(name)`` gives a secret or None. ``now`` is the date in seconds since 1970,
        ``nonce`` a text never used before.
        """
        signature = self.signature
        if (
            signature is not None
            and signature.sign is not None
            and (key := secret(signature.secret))
        ):
            return signature.sign(url, key, now, nonce)
        master = secret(TOKEN_SECRET) if self.takes_token else None
        return [("Authorization", f"Bearer {derived_token(master, self.name)}")] if master else []


@attrs.frozen(kw_only=True)
class PhoneCall:
    """Who calls whom, and what the caller's audio goes as to the host.

    ``parameters`` are what the provider adds.
    """

    call_id: str
    caller: str
    callee: str
    format: Format
    parameters: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def named(self) -> dict[str, str]:
        """The parameters, and caller and callee as ``from`` and ``to`` among them."""
        return {"from": self.caller, "to": self.callee, **self.parameters}


class UnusableStream(RemoteProtocolError):
    """The stream cannot become a call as it is set up: somebody must change that."""


class _Role:
    """What both roles need to read the other's messages."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def wrong(self, problem: str) -> RemoteProtocolError:
        """Return the error that says what the other side did wrong."""
        return RemoteProtocolError(f"{self.provider.name}: {problem}")

    def cannot(self, what: str) -> LocalProtocolError:
        """Return the error that says what the protocol does not have."""
        return LocalProtocolError(f"the protocol of {self.provider.name} has no {what}")

    def parsed(self, message: str) -> dict[str, Any]:
        """Return a JSON object. Raises RemoteProtocolError for anything else."""
        try:
            value = json.loads(message)
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
        """Return an object inside a message, empty if there is none."""
        part = value.get(name)
        return part if isinstance(part, dict) else {}

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

    def base64(self, data: bytes) -> str:
        """Return audio as it stands in JSON."""
        return b2a_base64(data, newline=False).decode("ascii")


class MediaStream(_Role, ABC):
    """Our side of one stream: the provider's messages become events, commands become messages.

    ``query`` are the parameters of the address the provider called; those of its start message
    come before them.

    Providers are sloppy, and a call must not end for it: what cannot be understood, or comes before
    the start or twice, becomes an ``Odd`` and is counted in ``odd_messages``. What is strict about
    a stream, because it protects the host, is its size, and that stands in the socket's limits.
    """

    def __init__(self, provider: Provider, query: Mapping[str, str] | None = None) -> None:
        super().__init__(provider)
        self.query = dict(query or {})
        self._sample_bytes = 1
        self.start: Start | None = None
        self.odd_messages = 0

    # -- in ----------------------------------------------------------------------------------------

    def receive(self, message: Message) -> Sequence[StreamEvent]:
        """Return what a message says.

        Raises UnusableStream for a start that no call can come of; nothing after the start raises.
        """
        try:
            events = self._text(message) if isinstance(message, str) else self._binary(message)
        except RemoteProtocolError as error:
            if self.start is None and isinstance(error, UnusableStream):
                raise
            return (self.odd(error),)
        if len(events) == 1 and type(event := events[0]) is Audio and self.start is not None:
            # Fifty times a second: the usual frame needs no list.
            return events if not len(event.data) % self._sample_bytes else [self._checked(event)]
        return [self._checked(event) for event in events]

    def _checked(self, event: StreamEvent) -> StreamEvent:
        """Return an event, or what is odd about it at this point of the stream."""
        if isinstance(event, Audio):
            if self.start is None:
                return self.odd(self.wrong("audio before the start of the stream"))
            if len(event.data) % self._sample_bytes:
                return self.odd(self.wrong(f"{len(event.data)} bytes of audio, half a sample"))
        elif isinstance(event, Dtmf):
            if self.start is None:
                return self.odd(self.wrong("a digit before the start of the stream"))
        elif isinstance(event, Start):
            if self.start is not None:
                return self.odd(self.wrong("a second start of the stream"))
            self._begin(event)
        return event

    def odd(self, error: RemoteProtocolError) -> Odd:
        """Count a message that is dropped."""
        self.odd_messages += 1
        return Odd(str(error))

    @abstractmethod
    def _text(self, message: str) -> Sequence[StreamEvent]: ...

    def _binary(self, message: bytes) -> Sequence[StreamEvent]:
        return (Audio(message),)

    def _begin(self, start: Start) -> None:
        self.start = start
        self._sample_bytes = start.inbound.sample_bytes

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

    def audio(self, data: bytes) -> Message:
        """Return the message with whole frames of audio in the stream's format."""
        return data

    def mark(self, name: str) -> Message:
        """Return what asks to be told when everything before it has played."""
        raise self.cannot("marks")

    def clear(self) -> Message:
        """Return what drops all audio that has not been played."""
        raise self.cannot("clear")

    def ringing(self) -> Message | None:
        """Return what lets the caller hear that it rings, where the phone is not answered yet."""
        return None

    def connected(self) -> Message | None:
        """Return what tells the caller's phone that the call is answered."""
        return None

    def hang_up(self) -> Message:
        """Return what hangs the call up."""
        raise self.cannot("hanging up by message")

    def leave(self, code: int, reason: str) -> Message:
        """Return what hangs up or refuses, for a protocol that says why; a SIP status and words."""
        return self.hang_up()

    def words(self, text: str) -> Message | None:
        """Return a text message inside the call, or None where a call has none."""
        return None

    def dtmf(self, digits: str) -> Message:
        """Return what plays digits to the far end."""
        raise self.cannot("sending digits")

    # -- for the providers' files ------------------------------------------------------------------

    def digit(self, digit: object) -> Dtmf:
        """Return the event of a key. Raises RemoteProtocolError if there is no such key."""
        if isinstance(digit, str) and digit.upper() in KEYS:
            return Dtmf(digit.upper())
        raise self.wrong(f"a digit that no phone has: {_quoted(digit)}")

    def format_of(self, encoding: object, rate_hz: object) -> Format:
        """Return the Format a provider names. Raises UnusableStream for one we do not carry.

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
        raise self.unusable(
            f"audio as {_quoted(encoding)} at {_quoted(rate_hz)} Hz; configure mu-law or A-law at "
            "8000 Hz or linear PCM"
        )

    def unusable(self, problem: str) -> UnusableStream:
        """Return the error that says what must be set up otherwise."""
        return UnusableStream(f"{self.provider.name}: {problem}")

    def begun(
        self,
        *,
        call_id: str,
        stream_id: str,
        fmt: Format,
        outbound: Format | None = None,
        parameters: Mapping[str, Any] | None = None,
        caller: object = None,
        callee: object = None,
    ) -> Start:
        """Return the start of the stream; who calls whom may stand in the parameters.

        ``outbound`` is the same as ``fmt`` where nothing else is said.
        """
        given = {str(k): str(v) for k, v in (parameters or {}).items() if v is not None}
        named = {**self.query, **given}
        return Start(
            call_id=call_id,
            stream_id=stream_id,
            caller=str(caller or "") or _first(named, CALLER_WORDS),
            callee=str(callee or "") or _first(named, CALLEE_WORDS),
            parameters=named,
            inbound=fmt,
            outbound=outbound or fmt,
        )

    def stopped(self, value: Mapping[str, Any]) -> Stop:
        """Return the end of the stream, with a reason if the provider gives one."""
        stop = value.get("stop")
        reason = stop.get("reason") if isinstance(stop, dict) else None
        return Stop(reason if isinstance(reason, str) else "")


class Carrier(_Role, ABC):
    """The provider's side of one stream: a phone call becomes messages to a host, and back.

    Raises LocalProtocolError for a call in a format that the provider does not carry.
    """

    def __init__(self, provider: Provider, call: PhoneCall) -> None:
        super().__init__(provider)
        if call.format not in provider.formats:
            known = ", ".join(str(fmt) for fmt in provider.formats)
            raise LocalProtocolError(f"{provider.name} carries {known}, not {call.format}")
        self.call = call
        self.inbound = call.format
        self.outbound = call.format
        """What the host's audio must come as."""

    @property
    def query(self) -> Mapping[str, str]:
        """What stands in the address that the provider dials."""
        return {}

    # -- out ---------------------------------------------------------------------------------------

    @abstractmethod
    def opening(self) -> Sequence[Message]:
        """Return what is said when the stream has been opened."""

    def audio(self, frame: bytes) -> Message | None:
        """Return the message with 20 ms of the caller, or None while one is being filled."""
        return frame

    def digit(self, digit: str) -> Message:
        """Return what tells of a key. Raises LocalProtocolError where nothing does."""
        raise self.cannot("digits")

    def mark_passed(self, name: str, *, played: bool) -> Message | None:
        """Return what says that a mark was reached, or dropped by a ``clear``."""
        return None

    def cleared(self) -> Message | None:
        """Return what answers a ``clear``."""
        return None

    def stop(self) -> Message | None:
        """Return what is said when the caller hangs up; the stream is closed behind it."""
        return None

    # -- in ----------------------------------------------------------------------------------------

    def receive(self, message: Message) -> Sequence[HostEvent]:
        """Return what the host asks for. Raises RemoteProtocolError for what no provider takes."""
        return self._text(message) if isinstance(message, str) else self._binary(message)

    @abstractmethod
    def _text(self, message: str) -> Sequence[HostEvent]: ...

    def _binary(self, message: bytes) -> Sequence[HostEvent]:
        return (self.sound(message),)

    # -- for the providers' files ------------------------------------------------------------------

    def wrong(self, problem: str) -> RemoteProtocolError:
        """Return the error that says what the host did wrong."""
        return RemoteProtocolError(f"the host sent {self.provider.name} {problem}")

    def sound(self, data: bytes) -> Play:
        """Return audio. Raises RemoteProtocolError if a sample was cut in two."""
        if len(data) % self.outbound.sample_bytes:
            raise self.wrong(f"{len(data)} bytes of audio, half a sample among them")
        return Play(data)


def _first(parameters: Mapping[str, str], words: Sequence[str]) -> str:
    lower = {name.lower(): value for name, value in parameters.items()}
    return next((lower[word] for word in words if lower.get(word)), "")


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"
