"""What the processes of one host share: in memory, or in a file where there are several."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from voxpy.engine import clock
from voxpy.engine.storage import write_ahead
from voxpy.fleet.port import Store, StoreAway

FILE_NAME = "shared.db"
LOCK_S = 0.2
"""How long we wait for another process, which writes a row or two."""
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    token INTEGER NOT NULL,            -- 0 without a lease
    owner TEXT NOT NULL,               -- the key that it hangs under, or nothing
    owner_token INTEGER NOT NULL,
    expires INTEGER NOT NULL           -- milliseconds since 1970, as in every table here
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_end ON entries (expires);
CREATE TABLE IF NOT EXISTS members (
    queue TEXT NOT NULL, member TEXT NOT NULL, due INTEGER NOT NULL, PRIMARY KEY (queue, member)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_by_due ON members (queue, due, member);
CREATE TABLE IF NOT EXISTS counts (
    name TEXT NOT NULL, owner TEXT NOT NULL, owner_token INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (name, owner)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (last INTEGER NOT NULL);
INSERT INTO tokens SELECT 0 WHERE NOT EXISTS (SELECT * FROM tokens);
"""
_LIVING = (
    "e.expires > :now AND (e.owner = '' OR EXISTS (SELECT * FROM entries o WHERE o.key = e.owner "
    "AND o.token = e.owner_token AND o.owner = '' AND o.expires > :now))"
)
_SHOWN = "SELECT e.key, e.value, e.token, e.expires - :now, e.expires FROM entries e WHERE "
_DUE = (
    "SELECT m.member FROM members m WHERE m.queue = :name AND m.due <= :now AND NOT EXISTS "  # noqa: S608
    "(SELECT * FROM entries e WHERE e.key = :name || '/' || m.member AND " + _LIVING + ") "
    "ORDER BY m.due, m.member LIMIT 1"
)


class LocalStore(Store):
    """Implements ``Store`` by SQLite. Without a path it is one process' own."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._path = path
        self._open: sqlite3.Connection | None = None
        self._turn = trio.Lock()
        self._now = 0

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._open is not None:
            self._open.close()
            self._open = None

    async def do(self, operation: str, args: tuple[str | int, ...]) -> Any:
        if self._path is None:
            await trio.lowlevel.checkpoint()
            return self._do(operation, args, int(clock.wall().timestamp() * 1000))
        async with self._turn:  # a file may be slow, or another process at it: calls go on
            now = int(clock.wall().timestamp() * 1000)
            return await clock.off_loop(self._do, operation, args, now)

    def _do(self, operation: str, args: tuple[str | int, ...], now: int) -> Any:
        try:
            db = self._database()
            db.execute("BEGIN IMMEDIATE")
            try:
                self._now = now
                told = getattr(self, f"_{operation}")(*args)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise StoreAway(f"{self._path or 'memory'}: {error}") from error
        return told

    # -- operations --------------------------------------------------------------------------------

    def _get(self, key: str) -> Sequence[Any] | None:
        found = self._rows(f"{_SHOWN}e.key = :key AND {_LIVING}", key=key)
        return found[0] if found else None

    def _find(self, prefix: str) -> list[Any]:
        within = f"e.key >= :prefix AND e.key < :prefix || char(0x10ffff) AND {_LIVING}"
        return self._rows(_SHOWN + within, prefix=prefix)

    def _names(self, prefix: str) -> list[str]:
        return [row[0] for row in self._find(prefix)]

    def _put(
        self, key: str, value: str, ttl: int, owner: str, ot: int, fence: str, ft: int
    ) -> Sequence[Any] | None:
        there = self._get(key)
        if not (self._carries(owner, ot) and self._holds(fence, ft)) or (there and there[2]):
            return None
        self._write(key, value, 0, ttl, owner, ot)
        return key, value, 0, ttl, self._now + ttl

    def _remove(self, key: str, fence: str, ft: int) -> Sequence[Any] | None:
        there = self._get(key)
        if there is None or there[2] or not self._holds(fence, ft):
            return None
        self._rows("DELETE FROM entries WHERE key = :key", key=key)
        return there

    def _claim(self, key: str, value: str, ttl: int, owner: str, ot: int) -> int | None:
        if not self._carries(owner, ot):
            return None
        there = self._get(key)
        token = None if there is None else self._again(key, there, value, owner, ot)
        if there is not None and token is None:
            return None
        token = token or self._new_token()
        self._write(key, value, token, ttl, owner, ot)
        return token

    def _again(self, key: str, there: Sequence[Any], value: str, owner: str, ot: int) -> int | None:
        """Return the token of a key that we have already, under the same lease of ours."""
        same = self._rows(
            "SELECT token FROM entries WHERE key = :key AND value = :value AND owner = :owner "
            "AND owner_token = :ot AND owner != '' AND token != 0",
            key=key,
            value=value,
            owner=owner,
            ot=ot,
        )
        return int(same[0][0]) if same else None

    def _renew(
        self, key: str, token: int, ttl: int, owner: str, ot: int, value: str | None = None
    ) -> int:
        if not (self._holds(key, token) and self._carries(owner, ot)) or key == owner:
            return 0
        self._rows(
            "UPDATE entries SET expires = :now + :ttl, value = ifnull(:value, value), "
            "owner = iif(:owner = '', owner, :owner), "
            "owner_token = iif(:owner = '', owner_token, :ot) WHERE key = :key",
            key=key,
            ttl=ttl,
            value=value,
            owner=owner,
            ot=ot,
        )
        return 1

    def _release(self, key: str, token: int, queue: str, member: str, again: str | int) -> int:
        if not self._holds(key, token):
            return 0
        self._rows("DELETE FROM entries WHERE key = :key", key=key)
        if queue and again != "":
            self._queue(queue, member, int(again))
        elif queue:
            gone = "DELETE FROM members WHERE queue = :queue AND member = :member"
            self._rows(gone, queue=queue, member=member)
        return 1

    def _queue(self, name: str, *told: Any) -> None:
        for member, due in zip(told[::2], told[1::2], strict=True):
            self._rows(
                "INSERT OR REPLACE INTO members VALUES (:name, :member, :now + :due)",
                name=name,
                member=member,
                due=due,
            )

    def _take(self, name: str, value: str, ttl: int) -> tuple[str, int] | None:
        found = self._rows(_DUE, name=name)
        if not found:
            return None
        token = self._new_token()
        self._write(f"{name}/{found[0][0]}", value, token, ttl, "", 0)
        return str(found[0][0]), token

    def _forget(self, name: str) -> None:
        self._rows("DELETE FROM members WHERE queue = :name", name=name)

    def _length(self, name: str) -> int:
        found = self._rows("SELECT count(*) FROM members WHERE queue = :name", name=name)
        return int(found[0][0])

    def _occupy(
        self, name: str, count: int, owner: str, ot: int, most: str | int
    ) -> tuple[int, int] | None:
        if not self._carries(owner, ot):
            return None
        self._rows(
            "DELETE FROM counts WHERE name = :name AND NOT EXISTS (SELECT * FROM entries e WHERE "
            "e.key = counts.owner AND e.token = counts.owner_token AND e.owner = '' "
            "AND e.expires > :now)",
            name=name,
        )
        (mine, others), *_ = self._rows(
            "SELECT ifnull(sum(iif(owner = :owner, count, 0)), 0), "
            "ifnull(sum(iif(owner = :owner, 0, count)), 0) FROM counts WHERE name = :name",
            name=name,
            owner=owner,
        )
        if most != "" and count > mine and count + others > int(most):
            return 0, others
        self._rows(
            "INSERT OR REPLACE INTO counts VALUES (:name, :owner, :ot, :count)",
            name=name,
            owner=owner,
            ot=ot,
            count=count,
        )
        return 1, others

    # -- rows --------------------------------------------------------------------------------------

    def _holds(self, key: str, token: int) -> bool:
        if not key:
            return True
        there = self._get(key)
        return there is not None and there[2] == token != 0

    def _carries(self, owner: str, token: int) -> bool:
        hangs = self._rows("SELECT 1 FROM entries WHERE key = :key AND owner != ''", key=owner)
        return self._holds(owner, token) and not hangs

    def _write(self, key: str, value: str, token: int, ttl: int, owner: str, ot: int) -> None:
        self._rows("DELETE FROM entries WHERE expires <= :now")
        self._rows(
            "INSERT OR REPLACE INTO entries "
            "VALUES (:key, :value, :token, :owner, :ot, :now + :ttl)",
            key=key,
            value=value,
            token=token,
            ttl=ttl,
            owner=owner,
            ot=ot,
        )

    def _new_token(self) -> int:
        return int(self._rows("UPDATE tokens SET last = last + 1 RETURNING last")[0][0])

    def _rows(self, statement: str, **values: Any) -> list[Any]:
        return self._database().execute(statement, {"now": self._now, **values}).fetchall()

    def _database(self) -> sqlite3.Connection:
        if self._open is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(
                self._path or ":memory:",
                timeout=LOCK_S,
                isolation_level=None,
                check_same_thread=False,
            )
            weakref.finalize(self, self._open.close)  # whoever has a store of its own may drop it
            if self._path is not None:
                write_ahead(self._open, self._path)
            self._open.executescript(_TABLES)
        return self._open
