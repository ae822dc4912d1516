"""The audio of a SIP call: RTP on a UDP port of its own, read and written by the media tick.

No task waits for packets: the tick reads what has come, plays what is due and sends 20 ms, all by
plain calls on a socket that does not block. What comes goes through the jitter buffer; digits come
and go beside the audio (RFC 4733) where the other end speaks that, else as sound.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import deque
from collections.abc import Callable, Iterator

import attrs

from voxpy.audio.frame import FRAME_MS, PCMA, PCMU, Format
from voxpy.engine import clock
from voxpy.errors import ConnectFailed, LimitExceeded, RemoteProtocolError
from voxpy.media.digits import DigitQueue
from voxpy.media.jitter import Packet
from voxpy.media.receiver import Receiver, frame_settings
from voxpy.media.unit import MediaPort
from voxpy.wire.rtp.packet import RtpPacket, Sender, Source, is_rtcp, unpack_rtp
from voxpy.wire.rtp.rtcp import INTERVAL_S, Goodbye, ntp_middle, pack_report, unpack_rtcp
from voxpy.wire.rtp.telephone_event import (
    EventBegan,
    EventPacket,
    EventReceiver,
    EventSender,
)
from voxpy.wire.sdp import MediaFormat, Stream

FORMATS: dict[str, Format] = {"PCMU": PCMU, "PCMA": PCMA}
"""What we speak, by its name in SDP."""
SPOKEN = (
    MediaFormat(payload_type=0, name="PCMU", clock_hz=8000),
    MediaFormat(payload_type=8, name="PCMA", clock_hz=8000),
)
DIGITS = MediaFormat(payload_type=101, name="TELEPHONE-EVENT", clock_hz=8000, fmtp="0-16")
COMFORT_NOISE = 13
MOST_PACKETS_A_TICK = 32
"""1,600 a second: a flood of one port costs its own call, and the rest of it is dropped."""
MOST_PACKET_BYTES = 2048
MOST_DIGITS = 500
SILENT_AFTER_S = 1.0
"""Nothing heard for so long is told as RtpStopped."""


@attrs.define
class PortRange:
    """UDP ports for RTP, even ones; the odd ones above are RTCP's. Used in turn."""

    lowest: int
    highest: int
    _next: int = 0

    def bind(self, host: str) -> tuple[socket.socket, socket.socket]:
        """Return two sockets that do not block. Raises ConnectFailed if no port is free."""
        pairs = max(1, (self.highest - self.lowest + 1) // 2)
        for _ in range(pairs):
            port = self.lowest + 2 * (self._next % pairs)
            self._next += 1
            with contextlib.suppress(OSError):
                return _pair(host, port)
        raise ConnectFailed(f"no RTP port is free from {self.lowest} to {self.highest}")


def _pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    rtp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        rtp.bind((host, port))
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            rtcp.bind((host, port + 1))
        except OSError:
            rtcp.close()
            raise
    except OSError:
        rtp.close()
        raise
    rtp.setblocking(False)
    rtcp.setblocking(False)
    return rtp, rtcp


@attrs.define(kw_only=True)
class MediaCounts:
    """What has happened to the audio of one call."""

    sent_packets: int = 0
    received_packets: int = 0
    odd_packets: int = 0
    strangers: int = 0
    peer_fraction_lost: float = 0.0
    round_trip_s: float | None = None


class RtpMedia:
    """One stream of audio both ways. Open from the offer to the end of the call.

    ``on_digit`` gets digits that came beside the audio; ``on_first`` is called at the first packet,
    ``on_silence`` when packets stop (True) and when they come again (False).
    """

    def __init__(
        self,
        name: str,
        fmt: Format,
        sockets: tuple[socket.socket, socket.socket],
        *,
        ssrc: int,
        cname: str,
    ) -> None:
        self.format = fmt
        self.counts = MediaCounts()
        self.digits = DigitQueue(fmt)
        self.media = MediaPort(name=name, source=_Hears(self), sink=_Speaks(self))
        self.on_tick: Callable[[], None] = lambda: None
        self.on_digit: Callable[[str], None] = lambda digit: None
        self.on_first: Callable[[], None] = lambda: None
        self.on_silence: Callable[[bool], None] = lambda silent: None
        self.speaks = self.hears = False
        """Which ways are open, as the calls' state and the descriptions say."""
        self._rtp, self._rtcp = sockets
        self._cname = cname
        self._receiver = self._new_receiver()
        self._source = Source()
        self._sender = Sender(ssrc=ssrc, sequence=ssrc & 0xFFFF, timestamp=ssrc)
        self._payload_type = 0
        self._digit_type: int | None = None
        self._target: tuple[str, int] | None = None
        self._rtcp_target: tuple[str, int] | None = None
        self._presses = EventReceiver()
        self._keys = _Keys()
        self._spoke = False
        self._report_at = clock.now() + INTERVAL_S
        self._heard_report: tuple[int, float] = (0, 0.0)
        self._heard_at: float | None = None
        self._is_silent = False

    @property
    def port(self) -> int:
        return int(self._rtp.getsockname()[1])

    def agree(self, theirs: Stream) -> None:
        """Take what the other end said of itself: where, which numbers, which ways."""
        spoken = next(f for f in theirs.formats if f.name in FORMATS)
        self._payload_type = spoken.payload_type
        if FORMATS[spoken.name] != self.format:
            self.format = self.digits.format = FORMATS[spoken.name]
            self._receiver = self._new_receiver()
        digits = theirs.format_named("telephone-event")
        self._digit_type = digits.payload_type if digits is not None else None
        target = (theirs.address, theirs.port)
        if target != self._target:
            self._target = target
            rtcp = theirs.port if theirs.rtcp_mux else theirs.rtcp_port or theirs.port + 1
            self._rtcp_target = (theirs.address, rtcp)
            self._source.unlock()
        self.speaks = theirs.direction in ("sendrecv", "recvonly")
        self.hears = theirs.direction in ("sendrecv", "sendonly")
        if theirs.address == "0.0.0.0":  # noqa: S104  an old way to say hold
            self.speaks = False

    @property
    def types_digits(self) -> bool:
        """Whether digits go beside the audio."""
        return self._digit_type is not None

    def type_digits(self, digits: str) -> None:
        """Send digits: beside the audio, or as sound. Raises LimitExceeded."""
        if self.types_digits:
            self._keys.write(digits)
        else:
            self.digits.write(digits)

    def close(self) -> None:
        """Say goodbye and free the ports. Again does nothing."""
        if self._rtp.fileno() >= 0:
            self._report(goodbye=True)
            self._rtp.close()
            self._rtcp.close()

    # -- from the other end -----------------------------------------------------------------------

    def pull(self) -> bytes | None:
        """Read what has come, and return the 20 ms that are due."""
        self.on_tick()
        if self._rtp.fileno() < 0:
            return None
        now = clock.now()
        for data, address in _waiting(self._rtp):
            self._take(data, address, now)
        for data, _ in _waiting(self._rtcp):
            self._take_report(data, now)
        if now >= self._report_at:
            self._report_at = now + INTERVAL_S
            self._report()
        self._watch_silence(now)
        frame = self._receiver.pull(now)
        return frame if self.hears else None

    def _take(self, data: bytes, address: tuple[str, int], now: float) -> None:
        if is_rtcp(data):
            self._take_report(data, now)
            return
        try:
            packet = unpack_rtp(data)
        except RemoteProtocolError:
            self.counts.odd_packets += 1
            return
        before = self._source.ssrc
        if not self._source.takes(packet, address, now):
            self.counts.strangers += 1
            return
        if before is not None and before != packet.ssrc:
            self._receiver = self._new_receiver()
            self._presses = EventReceiver()
        self.counts.received_packets += 1
        if self._heard_at is None:
            self.on_first()
        self._heard_at = now
        self._hear(packet, now)

    def _hear(self, packet: RtpPacket, now: float) -> None:
        if packet.payload_type == self._digit_type:
            try:
                told = self._presses.receive(packet.timestamp, packet.payload, marker=packet.marker)
            except RemoteProtocolError:
                self.counts.odd_packets += 1
                return
            for event in told:
                if isinstance(event, EventBegan):
                    self.on_digit(event.digit)
        elif packet.payload_type in (self._payload_type, COMFORT_NOISE):
            noise = packet.payload_type == COMFORT_NOISE
            self._receiver.put(
                Packet(
                    sequence=packet.sequence,
                    timestamp=packet.timestamp,
                    payload=packet.payload,
                    marker=packet.marker,
                    comfort_noise=noise,
                ),
                now,
            )
        else:
            self.counts.odd_packets += 1

    def _watch_silence(self, now: float) -> None:
        if self._heard_at is None:
            return
        silent = now - self._heard_at > SILENT_AFTER_S
        if silent != self._is_silent:
            self._is_silent = silent
            self.on_silence(silent)

    def _new_receiver(self) -> Receiver:
        return Receiver(self.format, frame_settings(self.format, min_delay_s=0.02))

    # -- to the other end -------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        """Send 20 ms, or the digit that is being typed."""
        if not self.speaks or self._target is None or self._rtp.fileno() < 0:
            self._sender.advance(self.format.frame_samples)
            self._spoke = False
            return
        if self._typed():
            self._sender.advance(self.format.frame_samples)
            return
        data = self._sender.packet(
            self.digits.replace(frame), payload_type=self._payload_type, marker=not self._spoke
        )
        self._spoke = True
        self._sender.advance(self.format.frame_samples)
        self._send(data)

    def _typed(self) -> bool:
        """Send what a digit under way sends at this tick; True if there was one."""
        packets = self._keys.tick(self._sender.timestamp)
        if packets is None or self._digit_type is None:
            return False
        for packet in packets:
            data = self._sender.at(
                packet.payload,
                packet.timestamp,
                payload_type=self._digit_type,
                marker=packet.marker,
            )
            self._send(data)
        self._spoke = False
        return True

    def _send(self, data: bytes) -> None:
        address = self._source.address or self._target
        assert isinstance(address, tuple)
        with contextlib.suppress(OSError):  # full, or the network is away: the next one will do
            self._rtp.sendto(data, address[:2])
            self.counts.sent_packets += 1

    # -- reports ----------------------------------------------------------------------------------

    def _report(self, *, goodbye: bool = False) -> None:
        if self._rtcp_target is None:
            return
        middle, heard_at = self._heard_report
        data = pack_report(
            self._sender,
            self._source.report(),
            cname=self._cname,
            wall_s=clock.wall().timestamp(),
            heard_middle=middle,
            heard_ago_s=clock.now() - heard_at if middle else 0.0,
            goodbye=goodbye,
        )
        with contextlib.suppress(OSError):
            self._rtcp.sendto(data, self._rtcp_target)

    def _take_report(self, data: bytes, now: float) -> None:
        try:
            told = unpack_rtcp(data)
        except RemoteProtocolError:
            self.counts.odd_packets += 1
            return
        for report in told:
            if isinstance(report, Goodbye):
                continue
            if report.sent_middle:
                self._heard_report = (report.sent_middle, now)
            if report.about == self._sender.ssrc:
                self.counts.peer_fraction_lost = report.fraction_lost
                middle = ntp_middle(clock.wall().timestamp())
                self.counts.round_trip_s = report.round_trip_s(middle)


DIGIT_UNITS = 800
"""How long a digit of ours lasts: 100 ms."""
GAP_TICKS, PAUSE_TICKS = 100 // FRAME_MS, 500 // FRAME_MS


class _Keys:
    """Digits that wait to be typed beside the audio, and the one that is down."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._sender = EventSender()
        self._down_at: int | None = None
        self._rest_ticks = 0

    def write(self, digits: str) -> None:
        if len(self._waiting) + len(digits) > MOST_DIGITS:
            raise LimitExceeded(f"send_digits: more than {MOST_DIGITS} digits would wait")
        self._waiting += digits

    def tick(self, stamp: int) -> list[EventPacket] | None:
        """Return what to send in place of audio at this timestamp; None while no key is down."""
        if self._down_at is not None:
            if (stamp - self._down_at) % 2**32 < DIGIT_UNITS:
                return self._sender.update(stamp)
            self._down_at, self._rest_ticks = None, GAP_TICKS
            return self._sender.end(stamp)
        if self._sender.busy:
            return self._sender.update(stamp)
        if self._rest_ticks:
            self._rest_ticks -= 1
            return None
        digit = self._waiting.popleft() if self._waiting else None
        if digit == "p":
            self._rest_ticks = PAUSE_TICKS
        if digit is None or digit == "p":
            return None
        self._sender.begin(digit, timestamp=stamp)
        self._down_at = stamp
        return []


class _Hears:
    """The media Source of a call."""

    def __init__(self, media: RtpMedia) -> None:
        self._media = media
        self.pull = media.pull

    @property
    def format(self) -> Format:
        return self._media.format


class _Speaks:
    """The media Sink of a call."""

    def __init__(self, media: RtpMedia) -> None:
        self._media = media
        self.push = media.push

    @property
    def format(self) -> Format:
        return self._media.format


def _waiting(sock: socket.socket) -> Iterator[tuple[bytes, tuple[str, int]]]:
    """Yield what has come, not more than is good for the other calls."""
    for _ in range(MOST_PACKETS_A_TICK):
        try:
            data, address = sock.recvfrom(MOST_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
                continue  # what we sent before was not wanted there; it may be soon
            return
        yield data, address[:2]
