"""A phone at a provider whose media stream goes to a host: a call from outside, without a provider.

To a ``SimulatedCaller`` it is a line like ``SimulatedLeg``: what the caller says goes into
``mouth``, and what reaches the phone is heard, 20 ms by 20 ms. In between is the provider's buffer,
so that what a host sent ahead is heard in its time, or not at all after a ``clear``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs
import trio

from voxpy.audio.convert import Converter, encode
from voxpy.audio.frame import PCMU, Format
from voxpy.audio.line import Line as PhoneLine
from voxpy.audio.mix import audible
from voxpy.audio.tones import dtmf
from voxpy.channels.mediastream.line import ByteLine, Line
from voxpy.channels.providers.events import (
    Clear,
    HangUp,
    HostEvent,
    Mark,
    Play,
    PlayDigits,
)
from voxpy.channels.providers.provider import Carrier, Message
from voxpy.channels.simulated import FarEnd, PressedAs, Transmission
from voxpy.engine import clock
from voxpy.engine.ports import Endpoint, OpenStream
from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.media.digits import DigitQueue
from voxpy.media.playout import Playout
from voxpy.simulation.caller import StepFailed
from voxpy.sockets import CloseInfo, connect

NORMAL, PROTOCOL_ERROR = 1000, 1002
ENDS_A_CALL = (1000, 1001, 1005)
"""Close codes of a host that is done; any other says what is wrong (RFC 6455 section 7.4.1)."""
TEMPORARILY_UNAVAILABLE, SERVICE_UNAVAILABLE, BAD_GATEWAY = 480, 503, 502
LONGEST_SPEECH_S = 600.0
PAUSE_TICKS = 3
"""Dry for so long, and nothing was being said; for less, and what was said had a hole."""

_Arriving = tuple[float, Callable[[], None]]


async def dial_host(
    open_stream: OpenStream,
    url: str,
    carrier: Carrier,
    *,
    headers: Iterable[tuple[str, str]] = (),
) -> Line:
    """Open the stream of ``carrier`` to ``ws(s)://host/path``, or ``tcp://host:port``.

    Raises HandshakeRefused and ConnectFailed as ``voxpy.sockets.connect`` does, LocalProtocolError
    for a URL that this provider cannot dial.
    """
    provider = carrier.provider
    parts = urlsplit(url)
    if provider.transport == "tcp":
        if parts.scheme != "tcp" or not parts.hostname or not parts.port:
            raise LocalProtocolError(f"{provider.name} dials tcp://host:port, not {url!r}")
        endpoint = Endpoint(host=parts.hostname, port=parts.port, tls=False)
        return ByteLine(await open_stream(endpoint))
    query = urlencode({**dict(parse_qsl(parts.query)), **carrier.query})
    return await connect(
        open_stream,
        urlunsplit(parts._replace(query=query)),
        headers=headers,
        subprotocols=[provider.subprotocol] if provider.subprotocol else [],
    )


@attrs.define
class BufferStatistics:
    """Counts of one call. Frames are 20 ms."""

    received_frames: float = 0.0
    most_waiting_frames: float = 0.0
    """At the fullest: what a lost ``clear`` would have cost."""
    clears: int = 0
    cleared_frames: float = 0.0
    """Dropped by ``clear`` before anybody heard them."""
    gaps: int = 0
    """Times it ran dry in the middle of what was said: audio came later than it had to play."""


class CarrierBuffer:
    """Audio in the order it came, with marks in between; plays 20 ms at a time, never faster.

    Marks are reached when all that came before them has been pulled, or at once if nothing waits.
    """

    def __init__(self, fmt: Format) -> None:
        self.format = fmt
        self.statistics = BufferStatistics()
        self._parts: deque[bytes | str] = deque()  # audio, and the names of marks between
        self._waiting_bytes = 0
        self._dry_ticks = PAUSE_TICKS

    @property
    def waiting_frames(self) -> float:
        """How much waits to be played."""
        return self._waiting_bytes / self.format.frame_bytes

    def put(self, data: bytes) -> None:
        """Add audio of any length."""
        if 0 < self._dry_ticks < PAUSE_TICKS and audible(data, self.format):
            self.statistics.gaps += 1
        self._dry_ticks = 0
        self._parts.append(data)
        self._waiting_bytes += len(data)
        statistics = self.statistics
        statistics.received_frames += len(data) / self.format.frame_bytes
        statistics.most_waiting_frames = max(statistics.most_waiting_frames, self.waiting_frames)

    def mark(self, name: str) -> None:
        """Add a mark behind what waits."""
        self._parts.append(name)

    def clear(self) -> list[str]:
        """Drop everything; return the marks that were among it."""
        marks = [part for part in self._parts if isinstance(part, str)]
        self.statistics.clears += 1
        self.statistics.cleared_frames += self.waiting_frames
        self._parts.clear()
        self._waiting_bytes = 0
        self._dry_ticks = PAUSE_TICKS
        return marks

    def pull(self) -> tuple[bytes | None, list[str]]:
        """Return the next 20 ms, None if nothing waits, and the marks reached by playing them.

        A last piece shorter than 20 ms is filled up with silence.
        """
        marks = self._reached()
        wanted, pieces = self.format.frame_bytes, []
        while wanted and self._parts:
            data = self._parts.popleft()
            assert isinstance(data, bytes)
            pieces.append(data[:wanted])
            if len(data) > wanted:
                self._parts.appendleft(data[wanted:])
            wanted -= len(pieces[-1])
            marks += self._reached()
        if not pieces:
            self._dry_ticks += 1
            return None, marks
        self._waiting_bytes -= self.format.frame_bytes - wanted
        self._dry_ticks = 0
        frame = b"".join(pieces)
        return frame + self.format.silence[len(frame) :], marks

    def _reached(self) -> list[str]:
        marks: list[str] = []
        while self._parts and isinstance(self._parts[0], str):
            marks.append(self._parts[0])
            self._parts.popleft()
        return marks


class ProviderPhone:
    """One call over an open stream. ``run`` must be running.

    ``to_host`` and ``to_phone`` are the line between the phone and the provider. ``delay_s`` is the
    way between the provider and the host, in each direction. ``taps`` get each 20 ms of mu-law that
    was said and heard.
    """

    def __init__(
        self,
        line: Line,
        carrier: Carrier,
        *,
        to_host: PhoneLine | None = None,
        to_phone: PhoneLine | None = None,
        delay_s: float = 0.0,
        answer_marks: bool = True,
    ) -> None:
        self.mouth = Playout(PCMU, limit_s=LONGEST_SPEECH_S)
        self.buffer = CarrierBuffer(carrier.outbound)
        self.taps: list[Callable[[bytes, bytes], None]] = []
        self.info: CloseInfo | None = None
        self._line = line
        self._carrier = carrier
        self._to_host = Transmission(to_host or PhoneLine())
        self._to_phone = Transmission(to_phone or PhoneLine())
        self._said = Converter(PCMU, carrier.inbound)
        self._heard = Converter(carrier.outbound, PCMU)
        self._digits = DigitQueue(PCMU)
        self._delay_s = delay_s
        self._answer_marks = answer_marks
        self._far_end: FarEnd | None = None
        self._over = False
        self._under_way, self._arriving = trio.open_memory_channel[_Arriving](math.inf)

    @property
    def buffer_statistics(self) -> BufferStatistics:
        """What the provider's buffer has seen."""
        return self.buffer.statistics

    # -- as a SimulatedCaller sees it --------------------------------------------------------------

    def connect_far_end(self, far_end: FarEnd) -> None:
        """Put a person at the phone."""
        self._far_end = far_end

    def far_end_presses(self, digits: str, how: PressedAs | None = None) -> None:
        """Send digits beside the audio, as sound if ``how`` is ``inband``.

        Raises StepFailed where the protocol has no digits.
        """
        if how == "inband":
            self.mouth.write(encode(dtmf(digits), PCMU))
            return
        for digit in digits:
            try:
                self._send(self._carrier.digit(digit))
            except LocalProtocolError as error:
                raise StepFailed(
                    f"{error}; `press: {{digits: {digits}, how: inband}}` is heard as sound"
                ) from error

    def far_end_hangs_up(self) -> None:
        """Say that the caller hung up, and close."""
        self._send(self._carrier.stop())
        self._line.close(NORMAL)
        self._end(200, "Hung up by the caller")

    def far_end_sends_message(self, text: str) -> None:
        """Raise StepFailed: a phone call has no text."""
        raise StepFailed("a phone call has no text messages")

    def far_end_transfers(self, to: str) -> None:
        """Refuse: a provider's stream has no transfer. Raises StepFailed."""
        raise StepFailed("a call through a provider's stream cannot ask for a transfer")

    def far_end_sends_info(self, mime_type: str, body: str) -> None:
        """Raise StepFailed: a media stream has no INFO."""
        raise StepFailed("a media stream has no INFO")

    # -- the life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the call, carry audio both ways until it is over."""
        self._line.on_message = self._receive
        ticking = clock.MediaClock()
        ticking.add(self._tick)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ticking.run)
            nursery.start_soon(self._carry, self._arriving)
            for message in self._carrier.opening():
                self._line.send(message)
            if self._far_end is not None:
                self._far_end.answered()
            self.info = await self._line.run()
            nursery.cancel_scope.cancel()
        self._end(*self._how_it_ended(self.info))

    async def aclose(self) -> None:
        """Close the stream and wait until everything is freed."""
        await self._line.aclose()

    def _how_it_ended(self, info: CloseInfo) -> tuple[int, str]:
        if not info.clean:
            return SERVICE_UNAVAILABLE, f"The stream broke: {info.reason} ({info.code})"
        if info.code not in ENDS_A_CALL:
            told = info.reason or "no reason given"
            return TEMPORARILY_UNAVAILABLE, f"The host refused: {told} ({info.code})"
        if self._carrier.provider.hang_up == "rest":
            keeper = self._carrier.provider.name
            return 200, (
                f"The host closed the stream; {keeper} keeps the line until its API is asked to "
                "hang up"
            )
        return 200, "Hung up by the host"

    def _end(self, code: int, reason: str) -> None:
        if not self._over:
            self._over = True
            if self._far_end is not None:
                self._far_end.ended(code, reason)

    # -- every 20 ms -------------------------------------------------------------------------------

    def _tick(self, now_s: float) -> None:
        if self._over:
            return
        said = self._to_host.carry(self.mouth.pull() or PCMU.silence) or PCMU.silence
        self._later(partial(self._send_audio, self._said.convert(said)))
        frame, marks = self.buffer.pull()
        for name in marks:
            self.pass_mark(name, played=True)
        heard = self._heard.convert(frame or self.buffer.format.silence)
        heard = self._to_phone.carry(self._digits.replace(heard)) or PCMU.silence
        self.hear(heard, something=frame is not None)
        for tap in self.taps:
            tap(said, heard)

    def hear(self, frame: bytes, *, something: bool) -> None:
        """Let the person hear 20 ms of mu-law; ``something`` if the host sent any of it."""
        if self._far_end is not None:
            self._far_end.hears(frame)

    def pass_mark(self, name: str, *, played: bool) -> None:
        """Tell the host that a mark was reached, or dropped."""
        if self._answer_marks:
            self._later(partial(self._send, self._carrier.mark_passed(name, played=played)))

    # -- what the host sends -----------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        self._later(partial(self._take, message))

    def _take(self, message: Message) -> None:
        if self._over:
            return
        try:
            for event in self._carrier.receive(message):
                self.obey(event)
        except RemoteProtocolError as error:
            self._line.close(PROTOCOL_ERROR, str(error)[:100])
            self._end(BAD_GATEWAY, str(error))

    def obey(self, event: HostEvent) -> None:
        """Do what the host asked for."""
        match event:
            case Play():
                self.buffer.put(event.data)
            case Mark():
                self.buffer.mark(event.name)
            case Clear():
                for name in self.buffer.clear():
                    self.pass_mark(name, played=False)
                self._send(self._carrier.cleared())
            case PlayDigits():
                self._digits.write(event.digits)
            case HangUp():
                self._line.close(NORMAL)
                self._end(200, "Hung up by the host")

    def _send_audio(self, frame: bytes) -> None:
        self._send(self._carrier.audio(frame))

    def _send(self, message: Message | None) -> None:
        if message is not None:
            self._line.send(message)

    def _later(self, do: Callable[[], None]) -> None:
        """Do something when it has gone the way between provider and host."""
        if self._delay_s == 0:
            do()
        else:
            self._under_way.send_nowait((clock.now() + self._delay_s, do))

    async def _carry(self, arriving: trio.MemoryReceiveChannel[_Arriving]) -> None:
        async for at_s, do in arriving:
            await trio.sleep_until(at_s)
            do()
