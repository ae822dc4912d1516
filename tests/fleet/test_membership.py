"""Processes that share a store on virtual time: they come, tell, die, and lose the store."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.fleet.local import LocalStore
from voxpy.fleet.membership import BEAT_S, LEASE_S, Fleet, Member, mark_of
from voxpy.fleet.port import Store, StoreAway
from voxpy.host.hostlog import host_log
from voxpy.simulation.virtual import run_virtual


@attrs.define
class Server:
    """What stands for Redis: it can be away for all, and it can lose what it has."""

    store: LocalStore = attrs.field(factory=LocalStore)
    away: bool = False

    def lose_all(self) -> None:
        self.store = LocalStore()


class Line(Store):
    """One host's connection to the server; it may be cut, and lose answers."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.cut = False
        self.loses_answers = False
        self.looks = 0

    async def do(self, operation: str, args: tuple[str | int, ...]) -> Any:
        if self.cut or self.server.away:
            await trio.lowlevel.checkpoint()
            raise StoreAway("connection refused")
        self.looks += operation == "find"
        told = await self.server.store.do(operation, args)
        if self.loses_answers:
            raise StoreAway("connection lost")
        return told


@attrs.define
class Ground:
    nursery: trio.Nursery
    server: Server = attrs.field(factory=Server)
    log: io.StringIO = attrs.field(factory=io.StringIO)

    def host(self, name: str, **look: Any) -> tuple[Fleet, Line, trio.CancelScope]:
        line = Line(self.server)
        log = host_log(self.log, tuple, as_lines_of_json=True)
        fleet = Fleet(line, host=name, look=lambda: look, log=log)
        scope = trio.CancelScope()

        async def live() -> None:
            with scope:
                await fleet.run()

        self.nursery.start_soon(live)
        return fleet, line, scope


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    async with trio.open_nursery() as nursery:
        yield Ground(nursery)
        nursery.cancel_scope.cancel()


def hosts(fleet: Fleet) -> list[str]:
    return sorted(member.host for member in fleet.members.values())


async def beats(n: float = 1) -> None:
    await trio.sleep(n * BEAT_S + 0.1)


async def test_hosts_see_each_other_and_what_they_tell(autojump_clock: object) -> None:
    async with ground() as g:
        a, *_ = g.host("a", url="http://10.0.0.1:8080", running=3, limit=100, version="1")
        b, _, leaves = g.host("b", version="1")
        await beats()
        assert hosts(a) == hosts(b) == ["a", "b"]
        seen = await b.find_host(mark_of("a"))
        assert seen is not None
        assert (seen.url, seen.running, seen.limit) == ("http://10.0.0.1:8080", 3, 100)
        assert a.key == b.key
        assert a.holds
        leaves.cancel()
        await beats()
        assert hosts(a) == ["a"]


async def test_a_host_that_came_a_moment_after_a_look_is_found(autojump_clock: object) -> None:
    async with ground() as g:
        a, line, _ = g.host("a")
        await beats()  # it has just looked for all
        g.host("b")
        await trio.testing.wait_all_tasks_blocked()
        found: list[Member | None] = []
        looks = line.looks

        async def find(mark: str) -> None:
            found.append(await a.find_host(mark))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(find, mark_of("b"))
        assert [member and member.host for member in found] == ["b"] * 20
        assert line.looks == looks + 1, "one for all of them"
        assert await a.find_host(mark_of("nobody")) is None


async def test_a_host_that_dies_is_gone_after_its_lease_and_not_before(
    autojump_clock: object,
) -> None:
    async with ground() as g:
        a, *_ = g.host("a")
        b, line, _ = g.host("b")
        await beats()
        b.tell("users/mary/b", "phone")
        assert await b.claim("conferences/weekly", "b") is not None
        await beats(3)
        line.cut = True  # it goes on, but nobody hears of it
        await beats(2)
        assert not a.is_gone(b.member_id)
        await beats(2)
        assert a.is_gone(b.member_id)
        assert not b.holds
        assert await a.store.find("users/") == []
        assert await a.claim("conferences/weekly", "a") is not None


async def test_what_was_told_is_told_again_to_a_store_that_lost_it(autojump_clock: object) -> None:
    async with ground() as g:
        a, *_ = g.host("a")
        await beats()
        a.tell("users/mary/a", "phone", ttl_s=600)
        home = await a.claim("conferences/weekly", "a")
        await beats()
        g.server.lose_all()
        await beats(2)
        found = [await a.store.get(key) for key in ("users/mary/a", "conferences/weekly")]
        assert [entry and entry.value for entry in found] == ["phone", "a"]
        assert home is not None
        a.untell("users/mary/a")
        a.untell("conferences/weekly")
        await beats()
        found = [await a.store.get(key) for key in ("users/mary/a", "conferences/weekly")]
        assert found == [None, None]


async def test_without_the_store_calls_are_counted_by_what_was_known(
    autojump_clock: object,
) -> None:
    async with ground() as g:
        a, *_ = g.host("a")
        b, *_ = g.host("b")
        await beats()
        assert [await a.counts.occupy("trunks/pstn", 3) for _ in range(2)] == [True, True]
        assert [await b.counts.occupy("trunks/pstn", 3) for _ in range(2)] == [True, False]
        assert not b.counts.has_room("trunks/pstn", 3)
        g.server.away = True
        assert not await b.counts.occupy("trunks/pstn", 3)  # two are a's, as it last said
        a.counts.free("trunks/pstn")
        assert await a.counts.occupy("trunks/pstn", 3)  # a may be one above what b has by now
        b.counts.free("trunks/pstn")
        assert await b.counts.occupy("trunks/pstn", 3)
        await beats(4)
        assert not a.is_gone(b.member_id)
        assert hosts(a) == ["a", "b"]
        g.server.away = False
        await beats(2)
        assert not a.is_gone(b.member_id)
        assert not await a.counts.occupy("trunks/pstn", 3)
        b.counts.free("trunks/pstn")
        await beats()
        assert await a.counts.occupy("trunks/pstn", 3)
        said = [line for line in g.log.getvalue().splitlines() if "share" in line]
        assert len(said) == 4  # each host: away, there again


async def test_after_an_outage_nobody_counts_as_dead_before_all_could_come_back(
    autojump_clock: object,
) -> None:
    async with ground() as g:
        a, *_ = g.host("a")
        b, late, _ = g.host("b")
        await beats()
        g.server.away = True
        await trio.sleep(60)
        late.cut = True
        g.server.away = False
        await beats(2)
        assert hosts(a) == ["a"]
        assert not a.is_gone(b.member_id)
        late.cut = False
        await beats(2)
        assert hosts(a) == ["a", "b"]
        late.cut = True
        await trio.sleep(2 * LEASE_S)
        assert a.is_gone(b.member_id)


async def test_what_was_claimed_while_the_store_was_away_is_taken_or_lost(
    autojump_clock: object,
) -> None:
    async with ground() as g:
        a, cut, _ = g.host("a")
        b, *_ = g.host("b")
        await beats()
        lost: list[str] = []
        cut.cut = True
        for name in ("weekly", "daily"):
            with pytest.raises(StoreAway):
                await a.claim(f"conferences/{name}", "a", lost=partial(lost.append, name))
        assert await b.claim("conferences/weekly", "b") is not None
        cut.cut = False
        await beats(2)
        assert lost == ["weekly"]
        found = await b.store.get("conferences/daily")
        assert found is not None
        assert found.value == "a"


async def test_hosts_by_different_files_are_said_and_counted(autojump_clock: object) -> None:
    async with ground() as g:
        a, *_ = g.host("a", version="1")
        g.host("b", version="2")
        await beats(2)
        assert a.versions == 2
        assert "different files" in g.log.getvalue()


async def test_what_is_told_in_passing_is_heard_once_by_all(autojump_clock: object) -> None:
    async with ground() as g:
        heard: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        fresh: list[str] = []

        def news() -> list[str]:
            told, fresh[:] = list(fresh), []
            return told

        fleets = {name: g.host(name) for name in "ab"}
        for name, (fleet, *_) in fleets.items():
            fleet.news.learn = heard[name].extend
        a, line, _ = fleets["a"]
        a.news.fresh = news
        for told in ("one", "two"):
            fresh.append(told)
            await beats(2)
        assert heard["b"] == ["one", "two"]
        line.cut = True
        fresh.append("three")
        await beats(1)
        line.cut = False
        await beats(2)
        late, *_ = g.host("c")
        late.news.learn = heard["c"].extend
        await beats(2)
        assert heard == {"a": [], "b": ["one", "two", "three"], "c": ["one", "two", "three"]}


# -- whatever happens ------------------------------------------------------------------------------

MOST = 4
EVENT = st.one_of(
    st.tuples(st.just("occupy"), st.integers(0, 2)),
    st.tuples(st.just("free"), st.integers(0, 2)),
    st.tuples(st.just("claim"), st.integers(0, 2)),
    st.tuples(st.just("cut"), st.integers(0, 2)),
    st.tuples(st.just("loses answers"), st.integers(0, 2)),
    st.tuples(st.just("lose all"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 20)),
)


@settings(max_examples=60)
@given(st.lists(EVENT, max_size=25))
def test_counts_add_up_and_homes_are_one_once_all_is_well(events: list[tuple[str, int]]) -> None:
    async def live() -> None:
        async with ground() as g:
            lives = [g.host(name)[:2] for name in "abc"]
            await beats()
            had, homes = [0, 0, 0], {0: False, 1: False, 2: False}
            for what, n in events:
                fleet, line = lives[n % 3]
                match what:
                    case "occupy":
                        connected = not any(line.cut or line.loses_answers for _, line in lives)
                        granted = await fleet.counts.occupy("c", MOST)
                        had[n] += granted
                        if connected and all(f.holds for f, _ in lives) and granted:
                            assert had[n] <= MOST
                    case "free" if had[n]:
                        fleet.counts.free("c")
                        had[n] -= 1
                    case "claim":
                        try:
                            homes[n] = bool(
                                await fleet.claim("h/1", "abc"[n], lost=_lose(homes, n))
                            )
                        except StoreAway:
                            homes[n] = True
                    case "cut":
                        line.cut = not line.cut
                    case "loses answers":
                        line.loses_answers = not line.loses_answers
                    case "lose all":
                        g.server.lose_all()
                    case "wait":
                        await trio.sleep(n)
            for _, line in lives:
                line.cut = line.loses_answers = False
            await trio.sleep(3 * LEASE_S)
            for n, (fleet, _) in enumerate(lives):
                assert hosts(fleet) == ["a", "b", "c"]
                await fleet.counts.occupy("c", 0)
                assert fleet.counts._counts["c"].others == sum(had) - had[n]
            assert sum(homes.values()) <= 1

    run_virtual(live)


def _lose(homes: dict[int, bool], n: int) -> Any:
    def lost() -> None:
        homes[n] = False

    return lost
