"""The port to what hosts share: few operations, of which each happens whole or not at all.

A **lease** is a key that one process has until a time it keeps putting off; its **token** grows
with every lease that is given, and only whoever shows the newest may write. What hangs ``under``
another lease is gone with that one: a host keeps one lease alive and all it has told stays true;
it dies, and so does all of that, at once. What hangs carries nothing itself. So what is renewed is
as much as there are hosts, not calls.

A **queue** gives each member that is due to one process, under a lease of its own. A **count** is
what each host has of something that the fleet has only so many of; a host says how many it has and
not "one more", so that what is said twice, or again after a pause, counts once.

Times are the store's own: no host's clock is asked. An operation that does not come through within
``deadline_s`` raises StoreAway, and so does every other one, at once, until ``probe`` finds the
store again: a call that comes in must not wait for a machine that is gone. Whether an operation
that failed was done nobody knows. Each may be asked again with the same effect, but ``claim`` of a
key under no lease and ``take``: what those have given away unheard comes back when its time ends.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

DEADLINE_S = 0.5


class StoreAway(ConnectionError):
    """What hosts share cannot be reached; what an operation has done is not known."""


@attrs.frozen
class Lease:
    """A key that is ours, as far as ``token`` is the newest. ``queue`` is where it was taken."""

    key: str
    token: int
    queue: str = ""

    @property
    def member(self) -> str:
        """The member of ``queue`` that was taken."""
        return self.key[len(self.queue) + 1 :]


@attrs.frozen
class Entry:
    """What stands at a key. ``token`` is 0 where nobody has a lease of it."""

    key: str
    value: str
    token: int
    left_s: float
    expire_at_s: float
    """In seconds since 1970, by the store's clock."""


@attrs.frozen
class Occupied:
    """Whether a count was taken, and how many the other hosts have."""

    granted: bool
    others: int


class Store(abc.ABC):
    """What is shared. Every method raises StoreAway. ``up`` is whether it answered last.

    Keys are paths, as ``users/mary/host-1``; what stands before the first slash is the folder in
    which ``find`` looks. A write under a lease, or with one as its ``fence``, is done if that lease
    holds then; otherwise nothing is, and the answer is None or False.
    """

    deadline_s = DEADLINE_S

    def __init__(self) -> None:
        self.up = True
        self.errors = 0
        self.changed: Callable[[bool, str], None] = lambda up, problem: None
        """Told when the store goes away, with the problem, and when it is back."""
        self._problem = ""

    # -- entries -----------------------------------------------------------------------------------

    async def get(self, key: str) -> Entry | None:
        """Return what stands at a key."""
        return _entry(await self._ask("get", key))

    async def find(self, prefix: str) -> list[Entry]:
        """Return what stands at all keys that begin so, sorted; ``prefix`` names its folder."""
        found = await self._ask("find", prefix)
        return sorted((e for each in found if (e := _entry(each))), key=lambda e: e.key)

    async def names(self, prefix: str) -> list[str]:
        """Return all keys that begin so, sorted; some may be gone as soon as they are asked for."""
        return sorted(_text(name) for name in await self._ask("names", prefix))

    async def put(
        self,
        key: str,
        value: str,
        ttl_s: float,
        *,
        under: Lease | None = None,
        fence: Lease | None = None,
    ) -> Entry | None:
        """Keep a value for ``ttl_s``. None, and nothing done, at a key somebody has a lease of."""
        args = (key, value, _ms(ttl_s), *_shown(under), *_shown(fence))
        return _entry(await self._ask("put", *args))

    async def remove(self, key: str, *, fence: Lease | None = None) -> Entry | None:
        """Forget a key that nobody has a lease of; return what stood there."""
        return _entry(await self._ask("remove", key, *_shown(fence)))

    # -- leases ------------------------------------------------------------------------------------

    async def claim(
        self, key: str, value: str, ttl_s: float, *, under: Lease | None = None
    ) -> Lease | None:
        """Take a key that nobody has; None if somebody does.

        Under a lease of ours, a key that we have with the same value is ours again.
        """
        token = await self._ask("claim", key, value, _ms(ttl_s), *_shown(under))
        return Lease(key, int(token)) if token else None

    async def renew(
        self, lease: Lease, ttl_s: float, *, value: str | None = None, under: Lease | None = None
    ) -> bool:
        """Keep a lease for ``ttl_s`` from now, with a new value, hanging under another; or False.

        One that hangs under another still does when ``under`` is left out.
        """
        told = () if value is None else (value,)
        shown = (lease.key, lease.token)
        return bool(await self._ask("renew", *shown, _ms(ttl_s), *_shown(under), *told))

    async def release(self, lease: Lease, *, again_s: float | None = None) -> bool:
        """Give a lease back, and with it the entry.

        One that was taken from a queue is due there again in ``again_s``; without that it is done.
        """
        again = "" if again_s is None else _ms(again_s)
        told = await self._ask("release", lease.key, lease.token, lease.queue, lease.member, again)
        return bool(told)

    # -- queues ------------------------------------------------------------------------------------

    async def queue(self, name: str, members: Mapping[str, float]) -> None:
        """Add members, or change when they are due: in so many seconds."""
        told = [part for member, due_s in members.items() for part in (member, _ms(due_s))]
        await self._ask("queue", name, *told)

    async def take(self, name: str, value: str, ttl_s: float) -> Lease | None:
        """Take the member that has been due for longest and that nobody has; None if there is none.

        Its lease has the key ``name/member``; whoever means to keep it for long renews it under a
        lease of its own. When the lease ends without ``release`` the member is due again.
        """
        told = await self._ask("take", name, value, _ms(ttl_s))
        return Lease(f"{name}/{_text(told[0])}", int(told[1]), name) if told else None

    async def forget(self, name: str) -> None:
        """Empty a queue; what was taken stays with who has it."""
        await self._ask("forget", name)

    async def length(self, name: str) -> int:
        """Return how many members a queue has, those that are taken too."""
        return int(await self._ask("length", name))

    # -- counts ------------------------------------------------------------------------------------

    async def occupy(
        self, name: str, count: int, under: Lease, most: int | None = None
    ) -> Occupied | None:
        """Say that we have ``count`` of something; None if our lease is gone.

        More than before is granted if that makes at most ``most`` in all; fewer always is. Without
        ``most`` it is noted whatever it makes.
        """
        limit = "" if most is None else most
        told = await self._ask("occupy", name, count, *_shown(under), limit)
        return Occupied(bool(int(told[0])), int(told[1])) if told else None

    # -- being there -------------------------------------------------------------------------------

    async def probe(self) -> bool:
        """Ask a store that was away whether it is there again."""
        try:
            await self._ask("length", "probe", probing=True)
        except StoreAway:
            return False
        return True

    async def run(self) -> None:
        """Hold what it needs until cancelled."""
        await trio.sleep_forever()

    async def _ask(self, operation: str, *args: str | int, probing: bool = False) -> Any:
        if not (self.up or probing):
            await trio.lowlevel.checkpoint()
            raise StoreAway(self._problem)
        try:
            with trio.fail_after(self.deadline_s):
                told = await self.do(operation, args)
        except (StoreAway, trio.TooSlowError) as error:
            late = f"no answer within {self.deadline_s:g} s"
            self._problem = late if isinstance(error, trio.TooSlowError) else str(error)
            self.errors += 1
            self._note(False)
            raise StoreAway(self._problem) from error
        self._note(True)
        return told

    def _note(self, up: bool) -> None:
        if up != self.up:
            self.up = up
            self.changed(up, self._problem)

    @abc.abstractmethod
    async def do(self, operation: str, args: tuple[str | int, ...]) -> Any:
        """Do one operation whole; times are in milliseconds. Raises StoreAway."""


def _shown(lease: Lease | None) -> tuple[str, int]:
    return ("", 0) if lease is None else (lease.key, lease.token)


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _text(told: Any) -> str:
    return told.decode() if isinstance(told, bytes) else str(told)


def _entry(told: Any) -> Entry | None:
    if not told:
        return None
    key, value, token, left_ms, expires_ms = told
    return Entry(_text(key), _text(value), int(token), int(left_ms) / 1000, int(expires_ms) / 1000)
