"""What one address may ask for: so many requests outside of calls, and so many wrong passwords.

Whoever asks for more is not answered: an answer to a forged address would hit somebody else.
Networks of trunks are not limited; they send what they were paid for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import attrs

REQUESTS_A_SECOND, MOST_AT_ONCE = 50.0, 200.0
WRONG_A_MINUTE = 20
"""After so many wrong passwords an address is not answered for the rest of the minute."""
MINUTE_S = 60.0
MOST_ADDRESSES = 10_000


@attrs.define
class _Address:
    left: float
    at: float
    wrong: int = 0
    wrong_since: float = 0.0


class SourceLimits:
    """``is_free`` says of an address whether it is not limited."""

    def __init__(self, is_free: Callable[[str], bool]) -> None:
        self._is_free = is_free
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def admits(self, address: str, now: float) -> bool:
        """Count a request; return whether it may be answered."""
        if self._is_free(address):
            return True
        known = self._of(address, now)
        if known.wrong >= WRONG_A_MINUTE and now - known.wrong_since < MINUTE_S:
            return False
        known.left = min(MOST_AT_ONCE, known.left + REQUESTS_A_SECOND * (now - known.at))
        known.at = now
        if known.left < 1:
            return False
        known.left -= 1
        return True

    def wrong(self, address: str, now: float) -> None:
        """Count a wrong password."""
        known = self._of(address, now)
        if now - known.wrong_since >= MINUTE_S:
            known.wrong, known.wrong_since = 0, now
        known.wrong += 1

    def _of(self, address: str, now: float) -> _Address:
        known = self._addresses.get(address)
        if known is None:
            known = self._addresses[address] = _Address(MOST_AT_ONCE, now)
            if len(self._addresses) > MOST_ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(address)
        return known
