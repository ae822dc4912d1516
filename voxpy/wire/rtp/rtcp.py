"""RTCP (RFC 3550 section 6): reports of sender and receiver, the canonical name, and goodbye.

Reports go out every five seconds, the shortest interval of section 6.2. From the other end's we
learn what it lost, and the round trip: its report quotes the middle of the time in ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import attrs

from voxpy.errors import RemoteProtocolError
from voxpy.wire.rtp.packet import Reception, Sender

INTERVAL_S = 5.0
SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, GOODBYE = 200, 201, 202, 203
NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900, where NTP counts from, to 1970."""
_BLOCK = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!IIIII")


@attrs.frozen(kw_only=True)
class PeerReport:
    """What the other end says of what it hears from ``about``, and when it heard our last report.

    ``sent_middle`` is the time of its own report if it sends too (0 if not): quote it in ours.
    """

    ssrc: int
    about: int | None = None
    fraction_lost: float = 0.0
    lost: int = 0
    jitter_units: int = 0
    last_report: int = 0
    since_last_s: float = 0.0
    sent_middle: int = 0

    def round_trip_s(self, now_middle: int) -> float | None:
        """Return the round trip (6.4.1, figure 2); None before it heard a report of ours."""
        if not self.last_report:
            return None
        units = (now_middle - self.last_report) & 0xFFFFFFFF
        trip_s = units / 65536 - self.since_last_s
        return max(0.0, trip_s) if units < 0x80000000 else None


@attrs.frozen
class Goodbye:
    """The other end has stopped sending."""

    ssrcs: tuple[int, ...]


def ntp_middle(wall_s: float) -> int:
    """Return the middle 32 bits of an NTP time; ``wall_s`` counts from 1970."""
    return int((wall_s + NTP_EPOCH_S) * 65536) & 0xFFFFFFFF


def pack_report(
    sender: Sender,
    reception: Reception | None,
    *,
    cname: str,
    wall_s: float,
    heard_middle: int = 0,
    heard_ago_s: float = 0.0,
    goodbye: bool = False,
) -> bytes:
    """Return a compound packet: a report, the name, and BYE at the end of a call.

    ``heard_middle`` and ``heard_ago_s`` tell of the other end's last sender report.
    """
    blocks = b""
    if reception is not None:
        blocks = _BLOCK.pack(
            reception.ssrc,
            reception.fraction_lost << 24 | (reception.lost & 0xFFFFFF),
            reception.highest,
            reception.jitter_units,
            heard_middle,
            min(0xFFFFFFFF, int(heard_ago_s * 65536)),
        )
    count = 1 if blocks else 0
    if sender.packets:
        ntp = int((wall_s + NTP_EPOCH_S) * 2**32)
        info = _SENDER.pack(
            ntp >> 32 & 0xFFFFFFFF,
            ntp & 0xFFFFFFFF,
            sender.timestamp,
            sender.packets & 0xFFFFFFFF,
            sender.payload_bytes & 0xFFFFFFFF,
        )
        report = _packet(SENDER_REPORT, count, sender.ssrc.to_bytes(4, "big") + info + blocks)
    else:
        report = _packet(RECEIVER_REPORT, count, sender.ssrc.to_bytes(4, "big") + blocks)
    name = cname.encode()[:255]
    item = sender.ssrc.to_bytes(4, "big") + bytes([1, len(name)]) + name + b"\x00"
    found = report + _packet(DESCRIPTION, 1, item + bytes(-len(item) % 4))
    if goodbye:
        found += _packet(GOODBYE, 1, sender.ssrc.to_bytes(4, "big"))
    return found


def unpack_rtcp(data: bytes) -> list[PeerReport | Goodbye]:
    """Read a compound packet; kinds we do not know are passed over. RemoteProtocolError."""
    found: list[PeerReport | Goodbye] = []
    at = 0
    while at < len(data):
        if len(data) - at < 4 or data[at] >> 6 != 2:
            raise RemoteProtocolError("this is no RTCP packet")
        count, kind = data[at] & 0x1F, data[at + 1]
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            raise RemoteProtocolError("an RTCP packet ends before its length")
        found += _read(kind, count, data[at + 4 : end])
        at = end
    return found


def _read(kind: int, count: int, body: bytes) -> Iterable[PeerReport | Goodbye]:
    if kind == GOODBYE:
        return [Goodbye(tuple(_words(body[: 4 * count])))]
    if kind not in (SENDER_REPORT, RECEIVER_REPORT) or len(body) < 4:
        return []
    ssrc, at, middle = int.from_bytes(body[:4], "big"), 4, 0
    if kind == SENDER_REPORT:
        if len(body) < 24:
            raise RemoteProtocolError("a sender report is too short")
        middle, at = int.from_bytes(body[6:10], "big"), 24
    reports = [
        _block(ssrc, middle, body[begin : begin + 24])
        for begin in range(at, min(at + 24 * count, len(body) - 23), 24)
    ]
    return reports or [PeerReport(ssrc=ssrc, sent_middle=middle)]


def _block(ssrc: int, middle: int, block: bytes) -> PeerReport:
    about, losses, _, jitter, last, since = _BLOCK.unpack(block)
    lost = losses & 0xFFFFFF
    return PeerReport(
        ssrc=ssrc,
        about=about,
        fraction_lost=(losses >> 24) / 256,
        lost=lost - 0x1000000 if lost & 0x800000 else lost,
        jitter_units=jitter,
        last_report=last,
        since_last_s=since / 65536,
        sent_middle=middle,
    )


def _words(body: bytes) -> Iterable[int]:
    whole = len(body) - len(body) % 4
    return (int.from_bytes(body[n : n + 4], "big") for n in range(0, whole, 4))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return bytes([0x80 | count, kind]) + (len(body) // 4).to_bytes(2, "big") + body
