"""The RTCP of a call: what we report every five seconds, and what the other end does."""

from __future__ import annotations

from voxpy.channels.sip.ports import Address
from voxpy.engine import clock
from voxpy.wire.rtp.packet import Sender, Source
from voxpy.wire.rtp.rtcp import (
    INTERVAL_S,
    Goodbye,
    PeerReport,
    ntp_middle,
    pack_report,
    unpack_rtcp,
)


class Reports:
    """Reports of one stream. ``to`` is where they go."""

    def __init__(self, sender: Sender, source: Source, cname: str) -> None:
        self.to: Address | None = None
        self.round_trip_s: float | None = None
        self.theirs: PeerReport | None = None
        """What the other end said last of what it hears from us."""
        self._sender = sender
        self._source = source
        self._cname = cname
        self._due_at = clock.now() + INTERVAL_S
        self._heard: tuple[int, float] = (0, 0.0)

    def is_due(self, now: float) -> bool:
        """Return whether it is time for a report; once for each."""
        if now < self._due_at:
            return False
        self._due_at = now + INTERVAL_S
        return True

    def make(self, now: float, *, goodbye: bool = False) -> bytes:
        """Return what is to be sent."""
        middle, heard_at = self._heard
        return pack_report(
            self._sender,
            self._source.report(),
            cname=self._cname,
            wall_s=clock.wall().timestamp(),
            heard_middle=middle,
            heard_ago_s=now - heard_at if middle else 0.0,
            goodbye=goodbye,
        )

    def take(self, data: bytes, address: Address, now: float) -> bool:
        """Take what came; return whether the other end stops sending.

        Raises RemoteProtocolError.
        """
        told, stops = unpack_rtcp(data), False
        heard_from = self._source.address
        if isinstance(heard_from, tuple) and heard_from[0] == address[0]:
            self.to = address  # symmetric, as the audio
        for report in told:
            if isinstance(report, Goodbye):
                stops = stops or self._source.ssrc in report.ssrcs
                continue
            if report.sent_middle:
                self._heard = (report.sent_middle, now)
            if report.about == self._sender.ssrc:
                self.theirs = report
                self.round_trip_s = report.round_trip_s(ntp_middle(clock.wall().timestamp()))
        return stops
