"""The audio of a SIP call: RTP, read and written by the media tick.

No task waits for packets: the tick reads what has come, plays what is due and sends 20 ms, all by
plain calls. What comes is judged (whose is it, is it proven), goes through the jitter buffer and is
decoded as it plays; digits come and go beside the audio (RFC 4733) where the other end speaks that,
else as sound. What is agreed upon comes from ``negotiation.py``, and may change in the call.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from voxpy.audio.frame import FRAME_MS, FRAME_S, Format
from voxpy.channels.sip.codecs import Codec
from voxpy.channels.sip.ports import Address, RtpLine
from voxpy.channels.sip.reports import Reports
from voxpy.engine import clock
from voxpy.errors import RemoteProtocolError
from voxpy.media.digits import DigitQueue
from voxpy.media.jitter import JitterSettings
from voxpy.media.receiver import Receiver
from voxpy.media.unit import MediaPort, StreamFigures
from voxpy.wire.rtp.packet import (
    COMFORT_NOISE,
    RtpPacket,
    Sender,
    Source,
    is_rtcp,
    unpack_rtp,
)
from voxpy.wire.rtp.srtp import KeyPair, Protection
from voxpy.wire.rtp.telephone_event import EventBegan, EventReceiver, Typist

SILENT_AFTER_S = 5.0
"""Nothing heard for so long is told as RtpStopped (VoxEngine: within 7 s)."""
SILENT_AFTER_NOISE_S = 30.0
"""The same behind comfort noise: who sent that said that nothing would follow for a while."""
MOST_LATE_S = 0.12
FINE_S = 0.01
"""Frames of senders whose packets are no multiple of 20 ms."""


@attrs.frozen(kw_only=True)
class Agreed:
    """What both ends have agreed upon. Numbers of payload types are what each calls its own.

    ``target`` is where the other end wants its audio, None if that is no address;
    ``packet_ms`` how much of it in a packet. ``keys`` None is plain RTP.
    """

    codec: Codec
    payload_type: int
    accepts: frozenset[int]
    digit_type: int | None = None
    digit_hz: int = 8000
    accepts_digits: frozenset[int] = frozenset()
    target: Address | None = None
    rtcp_target: Address | None = None
    rtcp_mux: bool = False
    packet_ms: int = FRAME_MS
    speaks: bool = True
    hears: bool = True
    keys: KeyPair | None = None


@attrs.define(kw_only=True)
class MediaCounts:
    """What has happened to the audio of one call."""

    sent_packets: int = 0
    received_packets: int = 0
    odd_packets: int = 0
    strangers: int = 0
    unproven: int = 0


class Ear:
    """The way in of one stream of ``codec``, whatever the length of its packets."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._expect(FRAME_S)

    def _expect(self, frame_s: float) -> None:
        """Begin anew, with frames of that length."""
        codec, share = self._codec, frame_s / FRAME_S
        size = codec.frame_bytes
        settings = JitterSettings(
            frame_bytes=None if size is None else round(size * share),
            frame_units=round(codec.frame_units * share),
            start_delay_s=FRAME_S,
            frame_s=frame_s,
        )
        decoder = codec.decoder() if codec.decoder is not None else None
        self._receiver = Receiver(codec.format, settings, decoder=decoder)
        self._frame_s = frame_s

    def put(self, packet: RtpPacket, now: float) -> bool:
        """Take a packet; False if it is none of this codec."""
        if not (packet.payload_type == COMFORT_NOISE or self._fits(packet.payload)):
            return False
        self._receiver.put(packet, now)
        return True

    def pull(self, now: float) -> bytes | None:
        """Return the 20 ms that are due, None for silence."""
        return self._receiver.pull(now)

    def _fits(self, payload: bytes) -> bool:
        """Return whether a payload is whole frames; frames of another length begin a new stream."""
        codec, frame_s = self._codec, self._frame_s
        if codec.frame_bytes == len(payload) and frame_s == FRAME_S:
            return True
        tens = codec.payload_ms(payload) / 10
        if tens < 1 or tens % 1:
            return False
        wanted_s = frame_s
        if codec.frame_bytes is None:
            wanted_s = tens / 100
        elif tens % 2:  # and so it stays, or a sender that changes would begin again and again
            wanted_s = FINE_S
        if wanted_s != frame_s:
            self._expect(wanted_s)
        return True


class RtpMedia:
    """One stream of audio both ways. Open from the offer to the end of the call.

    ``on_digit`` gets digits that came beside the audio; ``on_first`` is called at the first packet,
    ``on_silence`` when packets stop (True) and when they come again (False); ``on_trouble`` gets
    the first of each kind of what was dropped.
    """

    def __init__(self, name: str, codec: Codec, line: RtpLine, *, ssrc: int, cname: str) -> None:
        self.counts = MediaCounts()
        self.digits = DigitQueue(codec.format)
        self._hears, self._speaks = _Hears(self, codec.format), _Speaks(self, codec.format)
        self.media = MediaPort(
            name=name, source=self._hears, sink=self._speaks, figures=self.figures
        )
        self.on_tick: Callable[[], None] = lambda: None
        self.on_digit: Callable[[str], None] = lambda digit: None
        self.on_first: Callable[[], None] = lambda: None
        self.on_silence: Callable[[bool], None] = lambda silent: None
        self.on_trouble: Callable[[str, str], None] = lambda kind, text: None
        self.on_lost: Callable[[], None] = lambda: None
        """The way to the other end is gone, and will not come back."""
        self.agreed: Agreed | None = None
        self.speaks = self.hears = False
        """Which ways are open, as the calls' state and the descriptions say."""
        self.is_closed = False
        self._line = line
        self._now = clock.stopwatch()
        self._tick_at = -FRAME_S
        self._protection: Protection | None = None
        self._source = Source()
        # The lower half of the numbers: SRTP counts their turns, and both ends must agree on it.
        self._sender = Sender(ssrc=ssrc, sequence=ssrc & 0x7FFF, timestamp=ssrc)
        self._to: Address | None = None
        self._reports = Reports(self._sender, self._source, cname)
        self._typist = Typist()
        self._spoke = False
        self._pending = b""
        self._heard_at: float | None = None
        self._heard_noise = False
        self._is_silent = False
        self._troubles: set[str] = set()
        self._begin(codec)

    def _begin(self, codec: Codec) -> None:
        """Speak a codec from now on."""
        self.codec = codec
        self.format = self.digits.format = codec.format
        self._hears.format = self._speaks.format = codec.format
        self._encode = codec.encoder().encode if codec.encoder is not None else None
        self._source.clock_hz = codec.wire.clock_hz
        self._pending = b""
        self._ear = Ear(codec)
        self._presses = EventReceiver(clock_hz=codec.wire.clock_hz)

    @property
    def port(self) -> int:
        return self._line.port

    @property
    def is_secure(self) -> bool:
        """Whether what is sent is encrypted."""
        return self._protection is not None

    def agree(self, agreed: Agreed) -> None:
        """Go on as agreed. Raises EngineMissing if that needs a library that is absent."""
        before, self.agreed = self.agreed, agreed
        if agreed.codec is not self.codec:
            self._begin(agreed.codec)
        if agreed.keys != (before.keys if before is not None else None):
            self._protection = (
                Protection(agreed.keys, self._protection) if agreed.keys is not None else None
            )
        self._typist.clock_hz = agreed.digit_hz
        if before is None or agreed.target != before.target:
            self._to, self._reports.to = agreed.target, agreed.rtcp_target
            if agreed.target is not None:
                self._source.expect(agreed.target, self._now())
        self.speaks, self.hears = agreed.speaks, agreed.hears
        if not agreed.hears:
            self._heard_at = None if self._heard_at is None else self._now()

    def open(self) -> None:
        """Let flow what is agreed upon: the call is up."""
        if self.agreed is not None:
            self.speaks, self.hears = self.agreed.speaks, self.agreed.hears

    @property
    def types_digits(self) -> bool:
        """Whether digits go beside the audio."""
        return self.agreed is not None and self.agreed.digit_type is not None

    def type_digits(self, digits: str) -> None:
        """Send digits: beside the audio, or as sound. Raises LimitExceeded."""
        if self.types_digits:
            self._typist.write(digits)
        else:
            self.digits.write(digits)

    def close(self) -> None:
        """Say goodbye and free the ports. Again does nothing."""
        if not self.is_closed:
            self._report(goodbye=True)
            self.is_closed = True
            self._line.close()

    def figures(self) -> tuple[StreamFigures, StreamFigures]:
        """Return how the streams have done so far: what comes, and what goes."""
        expected, received = self._source.totals
        coming = StreamFigures(
            id=_name(self._source.ssrc),
            packets=received,
            lost=max(0, expected - received),
            jitter_s=self._source.jitter_s,
        )
        told, clock_hz = self._reports.theirs, self.codec.wire.clock_hz
        going = StreamFigures(
            id=_name(self._sender.ssrc),
            packets=self._sender.packets,
            lost=max(0, told.lost) if told is not None else 0,
            jitter_s=told.jitter_units / clock_hz if told is not None else 0.0,
        )
        return coming, going

    # -- from the other end -----------------------------------------------------------------------

    def pull(self) -> bytes | None:
        """Read what has come, and return the 20 ms that are due."""
        self.on_tick()
        if self.is_closed:
            return None
        now = self._tick_at = self._due()
        packets, reports = self._line.read()
        while packets:
            data, address = packets.popleft()
            self._take(data, address, now)
        while reports:
            data, address = reports.popleft()
            self._take_report(data, address, now)
        if self._reports.is_due(now):
            self._report()
        self._watch_silence(now)
        frame = self._ear.pull(now)
        return frame if self.hears else None

    def _due(self) -> float:
        """Return when this tick was due.

        Ticks run late by a little, each by another; seen from there a punctual sender is not, and
        would be given more delay than it needs. After a stall the ticks that were missed run at
        once, at most 100 ms of them.
        """
        now = self._now()
        late_s = now - self._tick_at - FRAME_S
        return now - late_s if 0 < late_s < MOST_LATE_S else now

    def _take(self, data: bytes, address: Address, now: float) -> None:
        if is_rtcp(data):
            self._take_report(data, address, now)
            return
        protection = self._protection
        try:
            opened = data if protection is None else protection.unprotect(data)
            if opened is None:
                return  # it came before
            packet = unpack_rtp(opened)
        except RemoteProtocolError as error:
            self._drop(error)
            return
        source, before = self._source, self._source.ssrc
        moved = address != source.address
        if not source.takes(packet, address, now, proven=protection is not None):
            self.counts.strangers += 1
            self._trouble("RTP of a stranger", f"from {address[0]}:{address[1]}, dropped")
            return
        if moved:
            self._to = address
        if before is not None and before != packet.ssrc:
            self._ear = Ear(self.codec)
            self._presses = EventReceiver(clock_hz=self.codec.wire.clock_hz)
        self.counts.received_packets += 1
        if self._heard_at is None:
            self.on_first()
        self._heard_at = now
        self._hear(packet, now)

    def _hear(self, packet: RtpPacket, now: float) -> None:
        agreed, kind = self.agreed, packet.payload_type
        if agreed is None:
            return
        if kind in agreed.accepts_digits:
            self._press(packet)
        elif kind in agreed.accepts or kind == COMFORT_NOISE:
            self._heard_noise = kind == COMFORT_NOISE
            if not self._ear.put(packet, now):
                self._odd(f"a payload of {len(packet.payload)} bytes is no {self.codec.name}")
        else:
            self._odd(f"payload type {kind} was not agreed upon")

    def _press(self, packet: RtpPacket) -> None:
        try:
            told = self._presses.receive(packet.timestamp, packet.payload, marker=packet.marker)
        except RemoteProtocolError as error:
            self._drop(error)
            return
        for event in told:
            if isinstance(event, EventBegan):
                self.on_digit(event.digit)

    def _watch_silence(self, now: float) -> None:
        if self._heard_at is None:
            return
        if not self.hears or (self.agreed is not None and not self.agreed.speaks):
            self._heard_at = now  # on hold nothing has to come
            return
        patience_s = SILENT_AFTER_NOISE_S if self._heard_noise else SILENT_AFTER_S
        silent = now - self._heard_at > patience_s
        if silent != self._is_silent:
            self._is_silent = silent
            self.on_silence(silent)

    # -- to the other end -------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        """Send 20 ms, or the digit that is being typed."""
        agreed, codec, sender = self.agreed, self.codec, self._sender
        if not self.speaks or agreed is None or self._to is None or self.is_closed:
            self._pass()
            return
        if self._typist.is_busy and agreed.digit_type is not None:
            events = self._typist.tick(sender.timestamp)
            if events is not None:
                for event in events:
                    self._send(
                        sender.at(
                            event.payload,
                            event.timestamp,
                            payload_type=agreed.digit_type,
                            marker=event.marker,
                        )
                    )
                self._pass()
                return
        frame = self.digits.replace(frame)
        if agreed.packet_ms == FRAME_MS:
            self._speak(frame, agreed.payload_type, codec.frame_units)
            return
        self._pending += frame
        size = codec.format.frame_bytes * agreed.packet_ms // FRAME_MS
        units = codec.frame_units * agreed.packet_ms // FRAME_MS
        while len(self._pending) >= size:
            self._speak(self._pending[:size], agreed.payload_type, units)
            self._pending = self._pending[size:]

    def _speak(self, audio: bytes, payload_type: int, units: int) -> None:
        payload = audio if self._encode is None else self._encode(audio)
        sender = self._sender
        self._send(sender.packet(payload, payload_type=payload_type, marker=not self._spoke))
        self._spoke = True
        sender.advance(units)

    def _pass(self) -> None:
        """Let 20 ms go by, with what waited for a whole packet."""
        waited = len(self._pending) * self.codec.frame_units // self.format.frame_bytes
        self._sender.advance(waited + self.codec.frame_units)
        self._pending, self._spoke = b"", False

    def _send(self, data: bytes) -> None:
        assert self._to is not None
        if self._protection is not None:
            data = self._protection.protect(data)
        if self._line.send(data, self._to):
            self.counts.sent_packets += 1

    # -- reports ----------------------------------------------------------------------------------

    def _report(self, *, goodbye: bool = False) -> None:
        agreed = self.agreed
        muxed = agreed is not None and agreed.rtcp_mux
        to = self._to if muxed else self._reports.to
        if agreed is None or to is None:
            return
        data = self._reports.make(self._now(), goodbye=goodbye)
        if self._protection is not None:
            data = self._protection.protect_rtcp(data)
        send = self._line.send if muxed else self._line.send_rtcp
        send(data, to)

    def _take_report(self, data: bytes, address: Address, now: float) -> None:
        try:
            opened = data if self._protection is None else self._protection.unprotect_rtcp(data)
            stops = opened is not None and self._reports.take(opened, address, now)
        except RemoteProtocolError as error:
            self._drop(error)
            return
        if stops and self.hears and self._heard_at is not None:
            self._heard_at = now - SILENT_AFTER_NOISE_S - FRAME_S  # told in this tick

    # -- what is dropped --------------------------------------------------------------------------

    def _drop(self, error: RemoteProtocolError) -> None:
        if str(error).startswith("SRTP"):
            self.counts.unproven += 1
            self._trouble("SRTP that is not proven", f"{error}; dropped")
        else:
            self._odd(str(error))

    def _odd(self, text: str) -> None:
        self.counts.odd_packets += 1
        self._trouble("RTP that is not understood", f"{text}; dropped")

    def _trouble(self, kind: str, text: str) -> None:
        if kind not in self._troubles:
            self._troubles.add(kind)
            self.on_trouble(kind, text)


def _name(ssrc: int | None) -> str:
    return "" if ssrc is None else f"{ssrc:08x}"


class _Hears:
    """The media Source of a call."""

    def __init__(self, media: RtpMedia, fmt: Format) -> None:
        self.format = fmt
        self.pull = media.pull


class _Speaks:
    """The media Sink of a call."""

    def __init__(self, media: RtpMedia, fmt: Format) -> None:
        self.format = fmt
        self.push = media.push
