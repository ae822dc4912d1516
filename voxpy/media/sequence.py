"""RTP sequence numbers: which packet is new, which was seen, which belongs to another stream.

RFC 3550 appendix A.1, with a memory of what arrived, so that a duplicate is known from a late one.
"""

from __future__ import annotations

import enum

MISORDER = 100
DROPOUT = 3000
"""How far numbers may jump back and ahead within a stream (RFC 3550 appendix A.1)."""

_BITS = 16
_SEEN = (1 << (MISORDER + 1)) - 1


def extended(value: int, bits: int, *, near: int) -> int:
    """Return the number closest to ``near`` whose lowest ``bits`` are ``value``'s."""
    half = 1 << (bits - 1)
    return near + ((value - near + half) & ((1 << bits) - 1)) - half


class Place(enum.Enum):
    """How a packet stands to those before it."""

    NEWEST = "newest"
    EARLIER = "earlier"
    """Overtaken by others on the way, and not seen before."""
    DUPLICATE = "duplicate"
    FOREIGN = "foreign"
    """Too far from the stream: a stray, or the first packet of a new one."""
    RESTART = "restart"
    """The first packet at all, or the second of a new stream."""


class SequenceTracker:
    """Follows the numbers of one stream.

    ``last`` is the number last placed and ``highest`` the newest, both extended beyond 16 bits, so
    that they only grow; ``step`` how far the newest was ahead. ``expected - unique`` packets are
    lost or still on their way.
    """

    def __init__(self) -> None:
        self.highest: int | None = None
        self.last = 0
        self.step = 1
        self.expected = 0
        self.unique = 0
        self._first = 0
        self._seen = 0  # bit n: highest - n has arrived
        self._candidate: int | None = None  # what a new stream would continue with

    def place(self, number: int) -> Place:
        """Return where the packet with that 16-bit number belongs."""
        if self.highest is None:
            return self._restart(number & 0xFFFF, packets=1)
        sequence = extended(number, _BITS, near=self.highest)
        ahead = sequence - self.highest
        if not -MISORDER <= ahead <= DROPOUT:
            if number == self._candidate:
                following = self.highest + 1
                return self._restart(following + ((number - following) & 0xFFFF), packets=2)
            self._candidate = (number + 1) & 0xFFFF
            return Place.FOREIGN
        self.last = sequence
        if ahead > 0:
            self.highest, self.step = sequence, ahead
            self._seen = (self._seen << ahead | 1) & _SEEN
            self.expected += ahead
            self.unique += 1
            return Place.NEWEST
        if self._seen >> -ahead & 1:
            return Place.DUPLICATE
        self._seen |= 1 << -ahead
        self.unique += 1
        if sequence < self._first:
            self.expected += self._first - sequence
            self._first = sequence
        return Place.EARLIER

    def follow(self) -> int:
        """Place the very next packet, and return its number."""
        assert self.highest is not None
        self.highest = self.last = self.highest + 1
        self.step = 1
        self._seen = (self._seen << 1 | 1) & _SEEN
        self.expected += 1
        self.unique += 1
        return self.last

    def _restart(self, sequence: int, *, packets: int) -> Place:
        self.highest = self.last = sequence
        self._first = sequence - packets + 1
        self.step, self._seen, self._candidate = 1, (1 << packets) - 1, None
        self.expected += packets
        self.unique += packets
        return Place.RESTART
