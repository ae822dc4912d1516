"""What counts once on a host, in whichever of its workers it comes.

Workers tell each other by way of their parent, a moment later: enough for a signature, which its
provider may repeat for a minute, and for a call, which has a second stream by mistake or by malice.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol
from weakref import WeakValueDictionary

RETRY_S = 60.0
"""Within which a provider may ask again because our answer was lost on its way."""
MOST_SEEN = 20_000
"""Requests remembered: some hours of a busy host."""


class _Call(Protocol):
    @property
    def state(self) -> str: ...


class Once:
    """Signatures that were accepted, and calls that are up, here and in the other workers."""

    def __init__(self) -> None:
        self._first_s: OrderedDict[str, float] = OrderedDict()
        self._news: list[str] = []
        self._calls: WeakValueDictionary[str, _Call] = WeakValueDictionary()
        self._elsewhere: frozenset[str] = frozenset()

    def is_replay(self, signature: str, now_s: float) -> bool:
        """Remember a signature; return whether it first came longer ago than a retry."""
        mark = hashlib.blake2b(signature.encode(), digest_size=16).hexdigest()
        if mark not in self._first_s:
            self._news.append(mark)
        return now_s - self._note(mark, now_s) > RETRY_S

    def is_up(self, call_id: str, call: _Call) -> bool:
        """Return whether there is such a call already; remember this one if not."""
        first = self._calls.get(call_id)
        if (first is not None and first.state != "ended") or call_id in self._elsewhere:
            return True
        self._calls[call_id] = call
        return False

    # -- among workers -----------------------------------------------------------------------------

    def calls(self) -> list[str]:
        """Return the calls that are up here."""
        return [name for name, call in self._calls.items() if call.state != "ended"]

    def news(self) -> list[str]:
        """Return, once, what of signatures is new here."""
        news, self._news = self._news[-MOST_SEEN:], []
        return news

    def learn(self, signatures: Sequence[str], calls: Iterable[str], now_s: float) -> None:
        """Take what the others know: new signatures, and all calls that are up there."""
        for mark in signatures:
            self._note(mark, now_s)
        self._elsewhere = frozenset(calls)

    def _note(self, mark: str, now_s: float) -> float:
        first_s = self._first_s.setdefault(mark, now_s)
        if len(self._first_s) > MOST_SEEN:
            self._first_s.popitem(last=False)
        return first_s
