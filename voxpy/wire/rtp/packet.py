"""RTP packets and one stream of them each way (RFC 3550), without a socket or a clock.

``Sender`` numbers what goes out. ``Source`` judges what comes in: whose it is (one SSRC at a time,
from one address at a time), and the figures a receiver reports of it.

Symmetric RTP: phones behind a NAT send from another address than their SDP names, and want our
audio there (RFC 4961). So the first good packet says where the other end is. From then on anybody
who guesses the port could turn the call to himself, so another address is taken only

- if the description names it, or a new description has come since,
- if the packet is proven (SRTP),
- if the old one has been silent for ``RELOCK_S`` and the packet goes on where it stopped, with its
  SSRC and its numbers: a phone whose NAT gave it another port.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Hashable

import attrs

from voxpy.errors import RemoteProtocolError

HEADER_BYTES = 12
COMFORT_NOISE = 13
MOST_PACKET_BYTES = 1500
RELOCK_S = 1.0
FREE_S = 5.0
"""How long after a new description the first packet of another address is believed."""
STEADY_S = 0.2
"""So long a stream has had its beginning before another may take its place."""
_DROPOUT = 3000
_HEADER = struct.Struct("!BBHII")
_MOST_CSRC_BYTES = 60


@attrs.define
class RtpPacket:
    """One packet. ``sequence`` has 16 bits, ``timestamp`` 32."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    @property
    def comfort_noise(self) -> bool:
        """Whether the payload is the description of a silence (RFC 3389)."""
        return self.payload_type == COMFORT_NOISE


def is_rtcp(data: bytes) -> bool:
    """Return whether a packet of a port that carries both is RTCP (RFC 5761 section 4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


def pack_rtp(
    payload: bytes, *, payload_type: int, sequence: int, timestamp: int, ssrc: int, marker: bool
) -> bytes:
    """Return a packet without extensions."""
    second = payload_type | (0x80 if marker else 0)
    return _HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def unpack_rtp(data: bytes) -> RtpPacket:
    """Read a packet; its extensions are passed over, its padding is cut. RemoteProtocolError."""
    if not HEADER_BYTES <= len(data) <= MOST_PACKET_BYTES or data[0] >> 6 != 2:
        raise RemoteProtocolError("this is no RTP packet")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    begins, ends = HEADER_BYTES + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if begins + 4 > ends:
            raise RemoteProtocolError("an RTP packet ends within its header")
        begins += 4 + 4 * int.from_bytes(data[begins + 2 : begins + 4], "big")
    if first & 0x20:
        ends -= data[-1]
        if not data[-1]:
            raise RemoteProtocolError("an RTP packet is padded by nothing")
    if begins > ends:
        raise RemoteProtocolError("an RTP packet ends within its header")
    payload = data[begins:ends]
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, payload, second > 0x7F)


class Sender:
    """What goes out: one SSRC, numbers that only go up. The first ones come from outside."""

    def __init__(self, *, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.sequence = sequence & 0xFFFF
        self.timestamp = timestamp & 0xFFFFFFFF
        self.packets = self.payload_bytes = 0

    def packet(self, payload: bytes, *, payload_type: int, marker: bool = False) -> bytes:
        """Return the next packet, at the present timestamp."""
        return self.at(payload, self.timestamp, payload_type=payload_type, marker=marker)

    def at(self, payload: bytes, timestamp: int, *, payload_type: int, marker: bool) -> bytes:
        """Return the next packet with a timestamp of its own, as digits have (RFC 4733)."""
        data = pack_rtp(
            payload,
            payload_type=payload_type,
            sequence=self.sequence,
            timestamp=timestamp,
            ssrc=self.ssrc,
            marker=marker,
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.packets += 1
        self.payload_bytes += len(payload)
        return data

    def advance(self, units: int) -> None:
        """Let the media clock go on, whether anything is sent or not."""
        self.timestamp = (self.timestamp + units) & 0xFFFFFFFF


@attrs.frozen(kw_only=True)
class Reception:
    """What a receiver says of a source (section 6.4.1). ``jitter_units`` is in timestamp units."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter_units: int
    expected: int
    received: int


class Source:
    """What comes in from the other end; judged before anything is done with it."""

    def __init__(self, *, clock_hz: int = 8000) -> None:
        self.clock_hz = clock_hz
        self.ssrc: int | None = None
        self.address: Hashable | None = None
        """Where the other end sends from; None until it is heard."""
        self.strangers = 0
        """Packets of addresses, or streams, that are not the other end's."""
        self._named: Hashable | None = None
        self._free_until = -math.inf
        self._heard_at = self._began_at = -math.inf
        self._base = self._highest = 0
        self._received = self._jitter = 0.0
        self._transit: float | None = None
        self._before = (0, 0.0)

    def expect(self, address: Hashable, now: float) -> None:
        """Take it that a new description names this address."""
        self._named = address
        self._free_until = now + FREE_S

    def takes(
        self, packet: RtpPacket, address: Hashable, now: float, *, proven: bool = False
    ) -> bool:
        """Return whether a packet is the other end's, and note it."""
        if address != self.address and not (proven or self._may_move(packet, address, now)):
            self.strangers += 1
            return False
        if packet.ssrc != self.ssrc:
            if now - self._began_at < STEADY_S and address == self.address:
                self.strangers += 1  # two streams at once: the first is kept
                return False
            self._begin(packet, now)
        if address != self.address:
            self.address, self._free_until = address, -math.inf
        self._heard_at = now
        self._count(packet, now)
        return True

    def _may_move(self, packet: RtpPacket, address: Hashable, now: float) -> bool:
        if self.address is None or address == self._named or now < self._free_until:
            return True
        ahead = (packet.sequence - self._highest) & 0xFFFF
        goes_on = packet.ssrc == self.ssrc and 0 < ahead < _DROPOUT
        return goes_on and now - self._heard_at >= RELOCK_S

    def _begin(self, packet: RtpPacket, now: float) -> None:
        self.ssrc, self._began_at = packet.ssrc, now
        self._base = self._highest = packet.sequence
        self._received = self._jitter = 0.0
        self._transit = None
        self._before = (0, 0.0)

    def _count(self, packet: RtpPacket, now: float) -> None:
        self._received += 1
        ahead = (packet.sequence - self._highest) & 0xFFFF
        if ahead < 0x8000:
            self._highest += ahead
        transit = now * self.clock_hz - packet.timestamp
        if self._transit is not None:
            late = abs((transit - self._transit + 0x80000000) % 0x100000000 - 0x80000000)
            if late < self.clock_hz * 10:  # else the sender's clock was set
                self._jitter += (late - self._jitter) / 16  # section 6.4.1, appendix A.8
        self._transit = transit

    @property
    def totals(self) -> tuple[int, int]:
        """How many packets were sent to us, by their numbers, and how many came."""
        expected = self._highest - self._base + 1 if self.ssrc is not None else 0
        return expected, int(self._received)

    @property
    def jitter_s(self) -> float:
        return self._jitter / self.clock_hz

    def report(self) -> Reception | None:
        """Return the figures since the report before; None while nothing was heard."""
        if self.ssrc is None:
            return None
        expected = self._highest - self._base + 1
        before_expected, before_received = self._before
        due, came = expected - before_expected, self._received - before_received
        self._before = (expected, self._received)
        missing = max(0, due - came)
        lost = max(-(2**23), min(2**23 - 1, expected - int(self._received)))
        return Reception(
            ssrc=self.ssrc,
            fraction_lost=min(255, int(256 * missing / due)) if due > 0 else 0,
            lost=lost,
            highest=self._highest & 0xFFFFFFFF,
            jitter_units=min(2**32 - 1, int(self._jitter)),
            expected=expected,
            received=int(self._received),
        )
