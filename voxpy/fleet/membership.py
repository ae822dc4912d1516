"""One process among those that share a store: what it has told there, and what it knows of them.

It keeps one lease, under which everything that it tells hangs: where its users are, which
conferences it has, how many calls. All that is kept here too, and told again whenever the store has
lost it or was away. So nobody waits for the store to tell it something, and while it is away a
process goes on with what it has and what it last knew of the others.
"""

from __future__ import annotations

import math
import secrets
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs
import orjson
import trio

from voxpy.engine import clock
from voxpy.engine.trace import Trace
from voxpy.fleet.counts import Counts
from voxpy.fleet.news import News
from voxpy.fleet.port import Lease, Store, StoreAway

HOSTS, KEY = "hosts/", "fleet/key"
LEASE_S, BEAT_S = 15.0, 5.0
"""Three beats may be lost before a host counts as dead."""
RETRY_S, LONGEST_RETRY_S = 0.5, 5.0
LOOK_S = 0.5
"""So often at most those who ask for hosts that are not known make us look for them."""
KEEP_S = 3600.0
"""For how long what has no end of its own is told at once; told again after half of it."""
LONG_S = 10 * 365 * 86400.0
LAST_WORDS_S = 1.0
KEY_BYTES = 32


def mark_of(host: str) -> str:
    """Return what stands for a host in ids: eight digits of its name's checksum."""
    return f"{zlib.crc32(host.encode()):08x}"


@attrs.frozen(kw_only=True)
class Member:
    """A process as it tells of itself. ``url`` is where other hosts reach its HTTP.

    ``sip`` is its ``host:port`` for calls from other hosts, or empty. ``version`` stands for the
    files it runs by.
    """

    host: str
    worker: int = 0
    url: str = ""
    sip: str = ""
    running: int = 0
    limit: int = 0
    draining: bool = False
    version: str = ""
    news: int = 0
    """How many times it has told some."""
    member_id: str = ""
    token: int = 0
    silent_s: float = attrs.field(default=0.0, eq=False)
    """Since it was last heard."""

    @property
    def mark(self) -> str:
        """What stands for its host in ids."""
        return mark_of(self.host)


_FIELDS = attrs.fields_dict(Member)


async def find_members(store: Store) -> dict[str, Member]:
    """Return all that live, by id. Raises StoreAway."""
    members = {}
    for entry in await store.find(HOSTS):
        known = {k: v for k, v in orjson.loads(entry.value).items() if k in _FIELDS}
        worker = int(entry.key.split("/")[2])
        members[entry.key] = Member(
            **known,
            worker=worker,
            member_id=entry.key,
            token=entry.token,
            silent_s=max(0.0, LEASE_S - entry.left_s),
        )
    return members


@attrs.define
class _Told:
    """What is to stand at a key, or is to go."""

    value: str
    until: float
    claimed: bool = False
    lost: Callable[[], None] = lambda: None
    lease: Lease | None = None
    again_at: float = 0.0
    wanted: bool = True


class Fleet:
    """``run`` it beside what it stands for. Without a ``host`` name there are no other hosts.

    ``look`` gives what is told of this process: fields of Member.
    """

    def __init__(
        self,
        store: Store,
        *,
        host: str = "",
        worker: int = 0,
        look: Callable[[], Mapping[str, Any]] = dict,
        log: Trace | None = None,
    ) -> None:
        self.store = store
        self.host, self.worker = host, worker
        self.look = look
        self.sip = ""
        """How other hosts call this one by SIP: ``host:port``."""
        self.member_id = f"{HOSTS}{host or '-'}/{worker}/{secrets.token_hex(4)}"
        self.lease: Lease | None = None
        self.members: Mapping[str, Member] = {}
        """All that live, ourselves too, by id, as they were last seen."""
        self.key = secrets.token_bytes(KEY_BYTES)
        """A secret that all members know, once we have joined."""
        self._log = log
        self._held_until = self._certain_at = self._beat_at = 0.0
        self._looked_at = -math.inf
        self._looking = trio.Lock()
        self._told: dict[str, _Told] = {}
        self._woken = trio.Event()
        self.counts = Counts(self)
        """What the fleet has only so many of."""
        self.news = News(store, self.member_id)
        self._versions = 1
        store.changed = self._note_change

    # -- what is known of the others ---------------------------------------------------------------

    @property
    def mark(self) -> str:
        """What stands for this host in ids; empty where there are no others."""
        return mark_of(self.host) if self.host else ""

    @property
    def holds(self) -> bool:
        """Whether our lease is surely not over, by our own clock: to the others we are alive."""
        return self.lease is not None and clock.now() < self._held_until

    @property
    def versions(self) -> int:
        """How many different states of the files the hosts run by."""
        return len({m.version for m in self.members.values()}) or 1

    @property
    def hosts(self) -> set[str]:
        """The names of all hosts that live."""
        return {member.host for member in self.members.values()}

    async def find_host(self, mark: str) -> Member | None:
        """Return a process of the host with a mark, of the newest that is called so.

        For one that is not known the store is asked again, by all who want to know at once.
        """
        if (found := self._by_mark(mark)) is not None or self.lease is None:
            return found
        came_at = clock.now()
        async with self._looking:
            if self._looked_at <= came_at:  # since then nobody has looked
                await trio.sleep(max(0.0, self._looked_at + LOOK_S - clock.now()))
                with suppress(StoreAway):
                    await self._look_around()
        return self._by_mark(mark)

    def _by_mark(self, mark: str) -> Member | None:
        found = [m for m in self.members.values() if m.host and m.mark == mark]
        return max(found, key=lambda m: m.token, default=None)

    async def member(self, member_id: str) -> Member | None:
        """Return a process that lives; the store is asked for one that we have not seen yet."""
        if member_id not in self.members:
            with suppress(StoreAway):
                await self._look_around()
        return self.members.get(member_id)

    def is_gone(self, member_id: str) -> bool:
        """Whether a process is surely dead.

        After a pause of the store everybody's lease is over: nobody counts as dead for as long as
        it takes to come back.
        """
        certain = self.store.up and self.lease is not None
        certain = certain and clock.now() - self._certain_at >= LEASE_S
        return certain and member_id not in self.members

    # -- what we tell ------------------------------------------------------------------------------

    def tell(self, key: str, value: str, ttl_s: float = math.inf) -> None:
        """Have a value stand at a key for ``ttl_s``, at most for as long as we live; soon."""
        self._told[key] = _Told(value, clock.now() + ttl_s)
        self._woken.set()

    def untell(self, key: str) -> None:
        """Take back what was told or claimed, soon."""
        if (told := self._told.get(key)) is not None:
            told.wanted, told.again_at = False, 0.0
            self._woken.set()

    async def claim(
        self, key: str, value: str, *, lost: Callable[[], None] = lambda: None
    ) -> Lease | None:
        """Take a key for as long as we live; None if another process has it.

        Raises StoreAway. The key is ours here then, and taken when the store is back, unless it has
        been given away: then ``lost`` is called.
        """
        told = _Told(value, math.inf, claimed=True, lost=lost)
        try:
            await self._claim(key, told)
        except StoreAway:
            self._told[key] = told
            raise
        if told.lease is not None:
            self._told[key] = told
        return told.lease

    # -- living ------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Tell now what ``look`` gives."""
        self._beat_at = clock.now()
        self.tell_soon()

    def tell_soon(self) -> None:
        """Tell now what is new."""
        self._woken.set()

    async def run(self) -> None:
        """Live until cancelled."""
        async with trio.open_nursery() as nursery:
            # Who is cancelled still says goodbye, and needs the store's connections for that.
            held = trio.CancelScope(shield=True)
            nursery.start_soon(self._hold, held)
            self.counts.spawn = nursery.start_soon
            retry_s, self._beat_at = RETRY_S, clock.now()
            try:
                while True:
                    with trio.move_on_at(self._beat_at):
                        await self._woken.wait()
                    self._woken = trio.Event()
                    try:
                        await self._live()
                        retry_s = RETRY_S
                    except StoreAway:
                        self._beat_at = clock.now() + retry_s
                        retry_s = min(LONGEST_RETRY_S, 2 * retry_s)
            finally:
                with trio.move_on_after(LAST_WORDS_S, shield=True), suppress(StoreAway):
                    if self.lease is not None:
                        await self.store.release(self.lease)
                held.cancel()
                self.counts.spawn = None
                nursery.cancel_scope.cancel()

    async def _hold(self, held: trio.CancelScope) -> None:
        with held:
            await self.store.run()

    async def _live(self) -> None:
        """Do what is due. Raises StoreAway."""
        due = clock.now() >= self._beat_at
        if not self.store.up and not (due and await self.store.probe()):
            if due:
                raise StoreAway
            return
        if due or self.lease is None:
            await self._beat()
            self._beat_at = clock.now() + BEAT_S
        for key, told in tuple(self._told.items()):
            if told.again_at <= clock.now():
                await self._say(key, told)
        await self.counts.tell()

    async def _beat(self) -> None:
        began = clock.now()
        if self.lease is None:
            await self._know_key()
        await self.news.tell()
        own = {"host": self.host, "sip": self.sip, "news": self.news.told}
        value = orjson.dumps({**self.look(), **own}).decode()
        if self.lease is None or not await self.store.renew(self.lease, LEASE_S, value=value):
            self.lease = await self.store.claim(self.member_id, value, LEASE_S)
            if self.lease is None:  # the answer to an earlier claim was lost: that lease ends
                raise StoreAway("our lease is somebody's whom we do not know")
            self._certain_at = began
            for told in self._told.values():
                told.again_at, told.lease = 0.0, None
        self._held_until = began + LEASE_S
        self.counts.tell_again()
        await self._look_around()
        await self.news.hear(self.members)

    async def _look_around(self) -> None:
        self._looked_at = clock.now()
        self.members = members = await find_members(self.store)
        if self._log is not None and self.versions > self._versions:
            by = {m.host: m.version for m in members.values()}
            self._log.warning("hosts run by different files", versions=by)
        self._versions = self.versions

    async def _know_key(self) -> None:
        """Learn the secret of the members; whoever comes first makes it."""
        await self.store.claim(KEY, self.key.hex(), LONG_S)
        if (there := await self.store.get(KEY)) is not None:
            self.key = bytes.fromhex(there.value)

    async def _say(self, key: str, told: _Told) -> None:
        now = clock.now()
        if not told.wanted or told.until <= now:
            if told.claimed and told.lease is None:  # the answer to a claim may have been lost
                await self._claim(key, told)
            if told.lease is not None:
                await self.store.release(told.lease)
            elif not told.claimed:
                await self.store.remove(key)
            self._drop(key, told)
        elif not told.claimed:
            left_s = min(told.until - now, KEEP_S)
            await self.store.put(key, told.value, left_s, under=self.lease)
            told.again_at = now + left_s / 2 if told.until - now > KEEP_S else told.until
        elif told.lease is None or not await self.store.renew(told.lease, KEEP_S):
            await self._claim(key, told)
            if told.lease is None:
                self._drop(key, told)
                told.lost()
        else:
            told.again_at = now + KEEP_S / 2

    async def our_lease(self) -> Lease:
        """Return the lease that all of ours hangs under. Raises StoreAway before we have one."""
        if self.lease is None:
            await trio.lowlevel.checkpoint()
            raise StoreAway("this process has not joined the others yet")
        return self.lease

    async def _claim(self, key: str, told: _Told) -> None:
        under = await self.our_lease()
        told.lease = await self.store.claim(key, told.value, KEEP_S, under=under)
        told.again_at = clock.now() + KEEP_S / 2

    def _drop(self, key: str, told: _Told) -> None:
        if self._told.get(key) is told:  # nothing new was told meanwhile
            del self._told[key]

    def _note_change(self, up: bool, problem: str) -> None:
        self._certain_at = clock.now()
        if self._log is None:
            return
        if up:
            self._log.step("what hosts share is there again")
        else:
            told = "what hosts share is away; calls go on with what is known here"
            self._log.warning(told, problem=problem)
