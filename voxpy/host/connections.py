"""How many connections there may be, in all and from one address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

__all__ = ["ConnectionLimits", "Connections"]


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """Bounds of what strangers may do to the port.

    ``head_bytes`` and ``head_s`` are for a request's first lines, TLS included; ``start_s`` from an
    open WebSocket to the start of its stream. A provider calls from a handful of addresses, and
    behind a proxy there is one: hence the generous ``per_address``.
    """

    head_bytes: int = 16 * 1024
    head_s: float = 5.0
    start_s: float = 10.0
    connections: int = 2048
    per_address: int = 512


class Connections:
    """Counts what is open."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.open = 0
        self._limits = limits
        self._by_address: Counter[str] = Counter()

    @contextmanager
    def one(self, address: str) -> Iterator[str]:
        """Count a connection for as long as it is open; gives why it must be closed, or nothing."""
        self.open += 1
        self._by_address[address] += 1
        try:
            yield self._refusal(address)
        finally:
            self.open -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _refusal(self, address: str) -> str:
        if self.open > self._limits.connections:
            return "too many connections"
        if self._by_address[address] > self._limits.per_address:
            return "too many connections of one address"
        return ""
