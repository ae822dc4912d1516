"""What processes tell each other in passing, within some seconds: signatures that were accepted.

Each numbers what it tells and says in its presence how far it is, so that nobody looks for what is
not there, and who missed a beat hears it later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import orjson

from voxpy.fleet.port import Store

if TYPE_CHECKING:
    from voxpy.fleet.membership import Member

KEEP_S = 600.0
"""Who comes later does not hear of it."""
MOST_UNTOLD = 20_000


class News:
    """One process' end. ``fresh`` gives what is new here, once; ``learn`` gets what others tell."""

    def __init__(self, store: Store, member_id: str) -> None:
        self.fresh: Callable[[], list[str]] = list
        self.learn: Callable[[list[str]], None] = lambda told: None
        self.told = 0
        """How many times we have told something."""
        self._store = store
        self._member_id = member_id
        self._untold: list[str] = []
        self._heard: dict[str, int] = {}

    async def tell(self) -> None:
        """Tell what is new. Raises StoreAway; it is told the next time then."""
        self._untold = [*self._untold, *self.fresh()][-MOST_UNTOLD:]
        if self._untold:
            told = orjson.dumps(self._untold).decode()
            await self._store.put(_place(self._member_id, self.told + 1), told, KEEP_S)
            self.told, self._untold = self.told + 1, []

    async def hear(self, members: Mapping[str, Member]) -> None:
        """Learn what the others have told since the last time. Raises StoreAway."""
        self._heard = {name: n for name, n in self._heard.items() if name in members}
        for name, member in members.items():
            if name == self._member_id:
                continue
            if name not in self._heard:
                found = await self._store.find(f"news/{name}/")
            else:
                places = [_place(name, n + 1) for n in range(self._heard[name], member.news)]
                found = [entry for place in places if (entry := await self._store.get(place))]
            for entry in found:
                self.learn(orjson.loads(entry.value))
            self._heard[name] = member.news


def _place(member_id: str, number: int) -> str:
    return f"news/{member_id}/{number:08d}"
