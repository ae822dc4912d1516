"""What counts once on a host, in whichever of its workers it comes, and in a fleet.

Of signatures processes tell each other by what hosts share, some seconds later: enough, as a
provider may repeat one for a minute. A call is held by a lock on one byte of a file that the
workers share: whoever has it is the only one, at once, and the system takes it back from a process
that dies.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

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
        self._calls: dict[str, _Call] = {}
        self._locks: int | None = None

    def share(self, locks: Path) -> None:
        """Hold calls against the other processes that share the file ``locks``."""
        self._locks = os.open(locks, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def is_replay(self, signature: str, now_s: float) -> bool:
        """Remember a signature; return whether it first came longer ago than a retry."""
        mark = hashlib.blake2b(signature.encode(), digest_size=16).hexdigest()
        if mark not in self._first_s:
            self._news.append(mark)
        return now_s - self._note(mark, now_s) > RETRY_S

    def is_up(self, call_id: str, call: _Call) -> bool:
        """Return whether there is such a call already; hold this one if not."""
        self.let_go()
        if call_id in self._calls or not self._lock(call_id, held=True):
            return True
        self._calls[call_id] = call
        return False

    def let_go(self) -> None:
        """Let the calls that are over be taken by others."""
        for call_id in [name for name, call in self._calls.items() if call.state == "ended"]:
            del self._calls[call_id]
            self._lock(call_id, held=False)

    def _lock(self, call_id: str, *, held: bool) -> bool:
        if self._locks is None:
            return True
        import fcntl  # Windows has neither it nor workers

        digest = hashlib.blake2b(call_id.encode("utf-8", "replace"), digest_size=8).digest()
        place = int.from_bytes(digest) >> 2  # of files that reach beyond 2^62 no byte can be locked
        try:
            how = fcntl.LOCK_EX | fcntl.LOCK_NB if held else fcntl.LOCK_UN
            fcntl.lockf(self._locks, how, 1, place)
        except BlockingIOError:
            return False
        return True

    # -- among processes ---------------------------------------------------------------------------

    def news(self) -> list[str]:
        """Return, once, what of signatures is new here."""
        news, self._news = self._news[-MOST_SEEN:], []
        return news

    def learn(self, signatures: Sequence[str], now_s: float) -> None:
        """Take the signatures that are new to another."""
        for mark in signatures:
            self._note(mark, now_s)

    def _note(self, mark: str, now_s: float) -> float:
        first_s = self._first_s.setdefault(mark, now_s)
        if len(self._first_s) > MOST_SEEN:
            self._first_s.popitem(last=False)
        return first_s
