"""``ApplicationStorage``: texts that outlive a session, shared by all sessions of a host or fleet.

VoxEngine: ApplicationStorage. ``require(Modules.ApplicationStorage)``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs

from voxpy.engine.context import current
from voxpy.engine.storage import Entry, Storage
from voxpy.errors import HelpsWithNames, LimitExceeded, RequestFailed, ScenarioError

__all__ = ["ApplicationStorage", "ApplicationStorageNamespace", "StorageKey", "StorageKeys"]

KEY_CHARACTERS = 200
VALUE_CHARACTERS = 2000
LONGEST_S = 7_776_000
"""VoxEngine: platform/voxengine/limits; 90 days."""

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class StorageKey(HelpsWithNames):
    """One entry; ``expire_at`` is in milliseconds since 1970 (VoxEngine: StorageKey)."""

    key: str
    value: str
    expire_at: int


@attrs.frozen(kw_only=True)
class StorageKeys(HelpsWithNames):
    """Names of entries (VoxEngine: StorageGetKeysResult)."""

    keys: Sequence[str]


class ApplicationStorageNamespace(HelpsWithNames):
    """The functions of the namespace; made once, as ``ApplicationStorage``.

    Each raises RequestFailed if the storage cannot be used: a full disk, a fleet's Redis that is
    away. Nothing has to have been done then.
    """

    __slots__ = ()

    async def get(self, key: str) -> StorageKey | None:
        """Return an entry, None if there is none or its time is over.

        Raises ScenarioError for what is no key. VoxEngine: ApplicationStorage.get.
        """
        name = _key("get", key)
        return await _done("get", lambda storage: storage.get(name), name)

    async def put(self, key: str, value: str, ttl: float) -> StorageKey:
        """Keep ``value`` for ``ttl`` seconds, 1 to 7,776,000; return the entry.

        Raises LimitExceeded for a key of over 200 or a value of over 2,000 characters,
        ScenarioError for another wrong argument. VoxEngine: ApplicationStorage.put.
        """
        name = _key("put", key)
        if not isinstance(value, str):
            raise ScenarioError(
                f"ApplicationStorage.put: the value must be text, not {value!r}; "
                "encode it, as with json.dumps"
            )
        if len(value) > VALUE_CHARACTERS:
            raise LimitExceeded(
                f"ApplicationStorage.put: a value has at most {VALUE_CHARACTERS} characters, "
                f"not {len(value)}"
            )
        given: object = ttl  # scenarios are not always type checked
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not 0 <= ttl <= LONGEST_S:
            raise ScenarioError(
                f"ApplicationStorage.put: ttl is 0 to {LONGEST_S} seconds, not {ttl!r}"
            )
        entry = await _done("put", lambda storage: storage.put(name, value, ttl), name)
        assert entry is not None
        return entry

    async def keys(self, pattern: str = "*", count: int = 1000) -> StorageKeys:
        """Return the names of at most ``count`` entries; ``*`` and ``?`` stand for others.

        VoxEngine: ApplicationStorage.keys.
        """
        session = current("ApplicationStorage.keys")
        session.trace.command("ApplicationStorage.keys", pattern=pattern)
        found = await _told("keys", lambda: session.context.storage.keys(str(pattern), int(count)))
        session.context.inputs.note("storage", "keys", personal={"result": found})
        return StorageKeys(keys=found)

    async def remove(self, key: str) -> StorageKey | None:
        """Forget an entry, and return it. VoxEngine: ApplicationStorage.remove."""
        name = _key("remove", key)
        return await _done("remove", lambda storage: storage.remove(name), name)

    def _title(self) -> str:
        return "ApplicationStorage"


ApplicationStorage = ApplicationStorageNamespace()


def _key(what: str, key: object) -> str:
    if not isinstance(key, str) or not key:
        raise ScenarioError(f"ApplicationStorage.{what}: a key is text, not {key!r}")
    if len(key) > KEY_CHARACTERS:
        raise LimitExceeded(
            f"ApplicationStorage.{what}: a key has at most {KEY_CHARACTERS} characters, "
            f"not {len(key)}"
        )
    return key


async def _told(what: str, work: Callable[[], Awaitable[T]]) -> T:
    try:
        return await work()
    except (sqlite3.Error, OSError) as error:
        raise RequestFailed(f"ApplicationStorage.{what}: {error}") from error


async def _done(
    what: str, work: Callable[[Storage], Awaitable[Entry | None]], key: str
) -> StorageKey | None:
    session = current(f"ApplicationStorage.{what}")
    session.trace.command(f"ApplicationStorage.{what}", text=key)
    found = await _told(what, lambda: work(session.context.storage))
    session.context.inputs.note(
        "storage", what, personal={"result": attrs.astuple(found) if found else None}
    )
    if found is None:
        return None
    return StorageKey(key=found.key, value=found.value, expire_at=int(found.expire_at_s * 1000))
