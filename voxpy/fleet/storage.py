"""What scenarios of all hosts of a fleet keep beyond their session."""

from __future__ import annotations

import re

from voxpy.engine.storage import Entry, Storage
from voxpy.fleet.port import Store

FOLDER = "storage/"


class SharedStorage(Storage):
    """Keeps texts where the hosts keep what they share. Every method raises StoreAway."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def get(self, key: str) -> Entry | None:
        found = await self._store.get(FOLDER + key)
        return Entry(key, found.value, found.expire_at_s) if found else None

    async def put(self, key: str, value: str, ttl_s: float) -> Entry:
        found = await self._store.put(FOLDER + key, value, ttl_s)
        assert found is not None, "nobody has a lease of it"
        return Entry(key, value, found.expire_at_s)

    async def keys(self, pattern: str, count: int) -> list[str]:
        literal = re.split(r"[*?]", pattern, maxsplit=1)[0]
        wanted = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        names = [name[len(FOLDER) :] for name in await self._store.names(FOLDER + literal)]
        return [name for name in names if re.fullmatch(wanted, name, re.DOTALL)][:count]

    async def remove(self, key: str) -> Entry | None:
        found = await self._store.remove(FOLDER + key)
        return Entry(key, found.value, found.expire_at_s) if found else None
