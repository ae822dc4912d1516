"""What a socket is allowed, what it counts, and how it ended."""

from __future__ import annotations

import math

import attrs


@attrs.frozen(kw_only=True)
class SocketLimits:
    """The bounds of one socket; every one has an end that names it."""

    message_bytes: int = 16 * 1024 * 1024
    """An audio delta of a long sentence is megabytes of base64; others cap at the same figure."""
    outbox_bytes: int = 16 * 1024 * 1024
    """What may wait for a far side that does not read; beyond it the socket is cut."""
    handshake_s: float = 10.0
    """For the HTTP upgrade, name lookup and TLS included."""
    close_s: float = 2.0
    """For what waits to be written and the far side's answer to our close."""
    ping_s: float = 20.0
    """Between two pings; ``math.inf`` sends none."""
    pong_s: float = 20.0
    """How long after a ping something, anything, must have come."""
    units_per_s: float = math.inf
    """What the far side may send for long: a unit is a frame, or 1 KiB of one. Beyond it the socket
    is closed with 1008."""
    burst_units: int = 1500
    """What may come faster: 30 s of a phone whose network has stood still."""

    @classmethod
    def without_pings(cls) -> SocketLimits:
        """Return the defaults without keep-alive, for links that cannot die unnoticed."""
        return cls(ping_s=math.inf)


@attrs.define
class Allowance:
    """What the far side may still send, in units; what time is worth is added when none are left.

    So a socket within its limits costs a subtraction, and no look at a clock.
    """

    limits: SocketLimits
    at_s: float
    left: float = attrs.field(init=False)

    @left.default
    def _first(self) -> float:
        return self.limits.burst_units if self.limits.units_per_s < math.inf else math.inf

    def refill(self, now_s: float) -> bool:
        """Add what the time since the last look is worth; return whether that is enough."""
        earned = (now_s - self.at_s) * self.limits.units_per_s
        self.left, self.at_s = min(self.limits.burst_units, self.left + earned), now_s
        return self.left >= 0


@attrs.define(kw_only=True)
class SocketStatistics:
    """Counts of one socket."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    """Bytes of the messages themselves, without their frames."""
    overflowed: int = 0
    """How often the outbox was full: at most once, for it ends the socket."""


@attrs.frozen
class CloseInfo:
    """How a socket ended.

    ``code`` is the far side's close code (RFC 6455 section 7.4; 1005 if it named none), 1006 when
    the connection broke, or what we told a far side that broke the protocol. ``clean``: the closing
    handshake was completed.
    """

    code: int
    reason: str
    clean: bool
