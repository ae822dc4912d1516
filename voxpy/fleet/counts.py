"""What a process has of what the fleet has only so many of: calls of a rule, of a trunk."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import trio

from voxpy.engine import clock
from voxpy.fleet.port import StoreAway

if TYPE_CHECKING:
    from voxpy.fleet.membership import Fleet

FRESH_S = 10.0
"""For so long it counts what the others had."""


@attrs.define
class _Count:
    """What we have of something, and what the others had when they were last asked."""

    mine: int = 0
    others: int = 0
    asked_at: float = -math.inf
    told: bool = True
    turn: trio.Lock = attrs.field(factory=trio.Lock)


_NONE = _Count()


class Counts:
    """The counts of one process. What is taken here, or given back, the store is told of."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._counts: dict[str, _Count] = {}
        self.spawn: Callable[..., None] | None = None
        """Starts what takes a moment, while the fleet runs."""

    async def occupy(self, name: str, most: int) -> bool:
        """Take one more of something, if there are at most ``most`` in all then. ``free`` it.

        Without the store the others count as they last did.
        """
        count = self._counts.setdefault(name, _Count())
        async with count.turn:
            try:
                granted = await self._say(name, count, 1, most)
            except StoreAway:
                granted = count.mine + count.others < most
                count.told = False
            count.mine += granted
            return granted

    def occupy_soon(self, name: str, most: int, told: Callable[[bool], None]) -> None:
        """Do ``occupy`` for who cannot wait; ``told`` gets the answer, perhaps at once."""

        async def ask() -> None:
            told(await self.occupy(name, most))

        if self.spawn is not None:
            self.spawn(ask)
            return
        granted = self.has_room(name, most)
        if granted:
            self.note(name)
        told(granted)

    def note(self, name: str, more: int = 1) -> None:
        """Have more of something, whatever that makes. ``free`` each."""
        count = self._counts.setdefault(name, _Count())
        count.mine += more
        count.told = False
        self._fleet.tell_soon()

    def free(self, name: str) -> None:
        """Give one of something back."""
        self.note(name, -1)

    def has_room(self, name: str, most: int) -> bool:
        """Whether one more would be granted, for all that was heard a moment ago."""
        count = self._counts.get(name, _NONE)
        others = count.others if clock.now() - count.asked_at < FRESH_S else 0
        return count.mine + others < most

    def tell_again(self) -> None:
        """Put right what was told at a bad moment."""
        for count in self._counts.values():
            count.told &= not count.mine

    async def tell(self) -> None:
        """Tell what is new. Raises StoreAway."""
        for name, count in tuple(self._counts.items()):
            if not count.told:
                async with count.turn:
                    await self._say(name, count)

    async def _say(self, name: str, count: _Count, more: int = 0, most: int | None = None) -> bool:
        """Tell a count in its turn; return whether ``more`` are granted. Raises StoreAway."""
        lease = await self._fleet.our_lease()
        mine = count.mine + more
        told = await self._fleet.store.occupy(name, mine, lease, most)
        if told is None:
            raise StoreAway("this process' lease is over")
        count.others, count.asked_at = told.others, clock.now()
        count.told = count.mine + more == mine  # one may have been given back meanwhile
        return told.granted
