"""What stands for Redis in a simulated fleet, and each host's way to it: both can fail.

The store behind it is voxpy's own for one process. Beside it stands a book of leases of our own,
much simpler: it knows what was granted and until when, and so whether something was granted twice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import attrs
import trio

from voxpy.engine import clock
from voxpy.fleet.local import LocalStore
from voxpy.fleet.port import Store, StoreAway

LATE_S = 2.0
"""A Redis that hangs answers after any host has stopped waiting."""


@attrs.define
class Faults:
    """What is wrong at the moment. ``lost`` and ``late`` are chances of an answer."""

    down: bool = False
    hangs: bool = False
    lost: float = 0.0
    late: float = 0.0


@attrs.frozen
class _Granted:
    token: int
    until: float
    owner: str
    owner_token: int


class LeaseBook:
    """Every lease by its key. ``wrong`` is told what must not be."""

    def __init__(self, wrong: Callable[[str], None]) -> None:
        self._wrong = wrong
        self._granted: dict[str, _Granted] = {}
        self._last = 0

    def note(self, operation: str, args: tuple[Any, ...], told: Any) -> None:
        """Take note of what the store has done."""
        if operation == "claim" and told:
            key, _, ttl, owner, owner_token = args
            self._grant(key, int(told), ttl, owner, owner_token)
        elif operation == "take" and told:
            queue, _, ttl = args
            self._grant(f"{queue}/{told[0]}", int(told[1]), ttl, "", 0)
        elif operation == "renew" and told:
            key, token, ttl, owner, owner_token, *_ = args
            known = self._granted.get(key)
            if known is None or known.token != token:
                self._wrong(f"{key} was renewed by somebody who no longer has it")
            elif not owner:
                owner, owner_token = known.owner, known.owner_token
            self._granted[key] = _Granted(token, clock.now() + ttl / 1000, owner, owner_token)
        elif operation == "release" and told:
            self._granted.pop(args[0], None)

    def lost_all(self) -> None:
        """Take note that the store has forgotten everything."""
        self._granted.clear()

    def living(self, key: str) -> bool:
        """Whether somebody has a key."""
        known = self._granted.get(key)
        if known is None or known.until <= clock.now():
            return False
        if not known.owner:
            return True
        above = self._granted.get(known.owner)
        return above is not None and above.token == known.owner_token and self.living(known.owner)

    def _grant(self, key: str, token: int, ttl: int, owner: str, owner_token: int) -> None:
        if self.living(key):
            known = self._granted[key]
            again = (token, owner, owner_token) == (known.token, known.owner, known.owner_token)
            if not (again and owner):
                self._wrong(f"{key} was given to a second one while the first still has it")
        elif token <= self._last:
            self._wrong(f"{key} was given with token {token} after {self._last}")
        self._last = max(self._last, token)
        self._granted[key] = _Granted(token, clock.now() + ttl / 1000, owner, owner_token)


class SimulatedRedis:
    """The server. ``make`` gives its store: a test plants a fault there."""

    def __init__(
        self, draw: random.Random, wrong: Callable[[str], None], store: LocalStore | None = None
    ) -> None:
        self.store = store or LocalStore()
        self.faults = Faults()
        self.book = LeaseBook(wrong)
        self.operations: dict[str, int] = {}
        self.emptied_at = -math.inf
        self._draw = draw

    async def ask(self, operation: str, args: tuple[str | int, ...]) -> Any:
        """Do an operation, or not, or do it and say nothing."""
        faults = self.faults
        if faults.down:
            await trio.lowlevel.checkpoint()
            raise StoreAway("connection refused")
        if faults.hangs:
            await trio.sleep(LATE_S)
            raise StoreAway("connection lost")
        if faults.late and self._draw.random() < faults.late:
            await trio.sleep(self._draw.expovariate(4))
        told = await self.store.do(operation, args)
        self.book.note(operation, args, told)
        self.operations[operation] = self.operations.get(operation, 0) + 1
        if faults.lost and self._draw.random() < faults.lost:
            raise StoreAway("connection lost")
        return told

    def lose_all(self) -> None:
        """Start again with nothing, as a Redis that keeps no file."""
        # Its tokens go on: in Redis they follow the time.
        for table in ("entries", "members", "counts"):
            self.store._rows(f"DELETE FROM {table}")
        self.book.lost_all()
        self.emptied_at = clock.now()


class Line(Store):
    """One process' way to the server. ``cut`` is a network that is gone, or a process that died."""

    def __init__(self, redis: SimulatedRedis) -> None:
        super().__init__()
        self.redis = redis
        self.cut = False

    async def do(self, operation: str, args: tuple[str | int, ...]) -> Any:
        if self.cut:
            await trio.lowlevel.checkpoint()
            raise StoreAway("no route to host")
        told = await self.redis.ask(operation, args)
        if self.cut:
            raise StoreAway("connection lost")
        return told
