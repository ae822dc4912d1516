"""What both stores promise, asked of both; and that they answer alike whatever is asked."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleet.conftest import RedisServer
from voxpy.fleet.local import LocalStore
from voxpy.fleet.membership import Fleet
from voxpy.fleet.port import Lease, Store, StoreAway

SHORT_S, LONG_S = 0.02, 60.0
_names = itertools.count()

Opened = Callable[[], Any]


@asynccontextmanager
async def _redis(server: RedisServer, deadline_s: float = 20) -> AsyncIterator[Store]:
    redis = pytest.importorskip("voxpy.fleet.redis")
    store = redis.RedisStore(server.url, name=f"test-{next(_names)}", deadline_s=deadline_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        yield store
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _local() -> AsyncIterator[Store]:
    store = LocalStore()
    yield store
    store.close()


@pytest.fixture(params=["memory", "file", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Store]:
    if request.param == "redis":
        async with _redis(request.getfixturevalue("shared_redis")) as found:
            yield found
    elif request.param == "file":
        local = LocalStore(tmp_path / "shared.db")
        yield local
        local.close()
    else:
        async with _local() as found:
            yield found


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until it is so: a lease ends by itself, and nobody tells."""
    with trio.fail_after(60):
        while not (found := await condition()):
            await trio.lowlevel.checkpoint()
    return found


async def _host(store: Store, name: str, ttl_s: float = LONG_S) -> Lease:
    lease = await store.claim(f"hosts/{name}", name, ttl_s)
    assert lease is not None
    return lease


# -- leases ----------------------------------------------------------------------------------------


async def test_a_key_is_one_owners_until_it_gives_it_back(store: Store) -> None:
    first = await store.claim("homes/weekly", "a", LONG_S)
    assert first is not None
    assert await store.claim("homes/weekly", "b", LONG_S) is None
    assert await store.release(first)
    second = await store.claim("homes/weekly", "b", LONG_S)
    assert second is not None
    assert second.token > first.token


async def test_an_old_token_writes_nothing(store: Store) -> None:
    old = await store.claim("homes/weekly", "a", SHORT_S)
    assert old is not None
    new = await until(partial(store.claim, "homes/weekly", "b", LONG_S))
    assert not await store.renew(old, LONG_S, value="a")
    assert not await store.release(old)
    assert await store.put("results/1", "a", LONG_S, fence=old) is None
    assert await store.put("results/1", "b", LONG_S, fence=new) is not None
    assert await store.remove("results/1", fence=old) is None
    found = [(await store.get(key)) for key in ("homes/weekly", "results/1")]
    assert [entry and entry.value for entry in found] == ["b", "b"]


async def test_a_lease_that_is_renewed_stays(store: Store) -> None:
    lease = await store.claim("homes/weekly", "a", LONG_S)
    assert lease is not None
    assert await store.renew(lease, SHORT_S, value="b")
    found = await store.get("homes/weekly")
    assert found is None or (found.value, found.left_s <= SHORT_S) == ("b", True)
    await until(partial(_is_gone, store, "homes/weekly"))
    assert not await store.renew(lease, LONG_S)


async def _is_gone(store: Store, key: str) -> bool:
    return await store.get(key) is None


async def test_what_hangs_under_a_lease_ends_with_it(store: Store) -> None:
    host = await _host(store, "a")
    home = await store.claim("homes/weekly", "a", LONG_S, under=host)
    assert home is not None
    assert await store.put("users/mary/a", "phone", LONG_S, under=host) is not None
    assert await store.release(host)
    assert await store.find("users/") == []
    assert not await store.renew(home, LONG_S)
    assert await store.claim("homes/weekly", "b", LONG_S) is not None
    assert await store.put("users/mary/a", "phone", LONG_S, under=host) is None


async def test_who_comes_again_under_the_same_lease_has_its_key_still(store: Store) -> None:
    host, other = await _host(store, "a"), await _host(store, "b")
    home = await store.claim("homes/weekly", "a", LONG_S, under=host)
    assert await store.claim("homes/weekly", "a", LONG_S, under=host) == home
    assert await store.claim("homes/weekly", "b", LONG_S, under=other) is None


# -- entries ---------------------------------------------------------------------------------------


async def test_entries_are_found_by_how_they_begin(store: Store) -> None:
    for key in ("users/mary/b", "users/mary/a", "users/max/a", "other/mary"):
        entry = await store.put(key, key.upper(), LONG_S)
        assert entry is not None
        assert 0 < entry.left_s <= LONG_S
    assert [e.key for e in await store.find("users/mary/")] == ["users/mary/a", "users/mary/b"]
    assert await store.names("users/") == ["users/mary/a", "users/mary/b", "users/max/a"]
    removed = await store.remove("users/mary/a")
    assert removed is not None
    assert removed.value == "USERS/MARY/A"
    assert await store.remove("users/mary/a") is None
    assert [e.value for e in await store.find("users/mary/")] == ["USERS/MARY/B"]


async def test_an_entry_ends_by_itself(store: Store) -> None:
    await store.put("app/naïve", "läuft ab", SHORT_S)
    await until(partial(_is_gone, store, "app/naïve"))
    assert await store.find("app/") == []


async def test_nobody_writes_over_a_lease(store: Store) -> None:
    lease = await store.claim("homes/weekly", "a", LONG_S)
    assert await store.put("homes/weekly", "b", LONG_S) is None
    assert await store.remove("homes/weekly") is None
    found = await store.get("homes/weekly")
    assert lease is not None
    assert found is not None
    assert (found.value, found.token) == ("a", lease.token)


# -- queues ----------------------------------------------------------------------------------------


async def test_each_member_is_taken_once_in_the_order_it_is_due(store: Store) -> None:
    await store.queue("lists/1/rows", {"c": 0.0, "a": -2.0, "b": -1.0, "later": 60.0})
    taken = [await store.take("lists/1/rows", "me", LONG_S) for _ in range(4)]
    assert [lease and lease.member for lease in taken] == ["a", "b", "c", None]
    assert taken[0] is not None
    assert taken[1] is not None
    assert await store.release(taken[0])
    assert await store.release(taken[1], again_s=0)
    again = await store.take("lists/1/rows", "me", LONG_S)
    assert again is not None
    assert again.member == "b"
    assert again.token > taken[1].token
    assert not await store.release(taken[1])
    assert await store.length("lists/1/rows") == 3
    await store.forget("lists/1/rows")
    assert await store.length("lists/1/rows") == 0


async def test_a_member_whose_taker_dies_is_due_again(store: Store) -> None:
    host = await _host(store, "a")
    await store.queue("lists/1/rows", {"row": 0})
    lost = await store.take("lists/1/rows", "a", SHORT_S)
    assert lost is not None
    found = await until(partial(store.take, "lists/1/rows", "b", LONG_S))
    assert await store.renew(found, LONG_S, value="attempt 1", under=host)
    assert await store.take("lists/1/rows", "c", LONG_S) is None
    assert await store.release(host)
    assert not await store.release(found)
    third = await until(partial(store.take, "lists/1/rows", "c", LONG_S))
    assert third.member == "row"


# -- counts ----------------------------------------------------------------------------------------


async def test_no_more_are_granted_than_there_are(store: Store) -> None:
    a, b = await _host(store, "a"), await _host(store, "b")
    granted = [await store.occupy("trunks/pstn", n, a, 3) for n in (1, 2)]
    assert [attrs.astuple(o) for o in granted if o] == [(True, 0), (True, 0)]
    told = [await store.occupy("trunks/pstn", n, b, 3) for n in (1, 1, 2)]
    assert [attrs.astuple(o) for o in told if o] == [(True, 2), (True, 2), (False, 2)]
    fewer = await store.occupy("trunks/pstn", 1, a)
    assert fewer is not None
    assert fewer.granted
    more = await store.occupy("trunks/pstn", 2, b, 3)
    assert more is not None
    assert more.granted
    over = await store.occupy("trunks/pstn", 9, a)
    assert over is not None
    assert over.granted


async def test_what_a_dead_host_had_is_free(store: Store) -> None:
    a, b = await _host(store, "a", SHORT_S), await _host(store, "b")
    await store.occupy("trunks/pstn", 3, a)

    async def free() -> bool:
        told = await store.occupy("trunks/pstn", 3, b, 3)
        return told is not None and told.granted

    await until(free)
    assert await store.occupy("trunks/pstn", 1, a) is None


# -- the same from both ----------------------------------------------------------------------------

KEYS = st.sampled_from(["k/1", "k/2", "k/3", "q/1", "q/2"])
HELD = st.integers(0, 5) | st.none()
VALUES = st.sampled_from(["a", "b"])
ASKED = st.one_of(
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("put"), KEYS, VALUES, HELD, HELD),
    st.tuples(st.just("remove"), KEYS, HELD),
    st.tuples(st.just("claim"), KEYS, VALUES, HELD),
    st.tuples(st.just("renew"), st.integers(0, 5), st.none() | VALUES, HELD),
    st.tuples(st.just("release"), st.integers(0, 5), st.none() | st.just(-1.0)),
    st.tuples(st.just("queue"), st.sampled_from(["1", "2", "3"])),
    st.tuples(st.just("take"), VALUES),
    st.tuples(st.just("occupy"), st.integers(0, 4), st.integers(0, 5), st.none() | st.just(5)),
)


async def _ask(store: Store, leases: list[Lease], asked: tuple[Any, ...]) -> Any:
    """Ask one thing; return the answer without what differs: times, and what tokens are called."""

    def held(n: int | None) -> Lease | None:
        return leases[n % len(leases)] if n is not None and leases else None

    def named(lease: Lease | None) -> Any:
        if lease is not None and lease not in leases:
            leases.append(lease)
        return None if lease is None else (lease.key, leases.index(lease))

    what, *args = asked
    match what:
        case "get":
            found = await store.get(args[0])
        case "put":
            key, value, under, fence = args
            found = await store.put(key, value, LONG_S, under=held(under), fence=held(fence))
        case "remove":
            found = await store.remove(args[0], fence=held(args[1]))
        case "claim":
            return named(await store.claim(args[0], args[1], LONG_S, under=held(args[2])))
        case "take":
            return named(await store.take("q", args[0], LONG_S))
        case "queue":
            return await store.queue("q", {args[0]: -float(args[0])})
        case "renew":
            lease, under = held(args[0]), held(args[2])
            return lease and await store.renew(lease, LONG_S, value=args[1], under=under)
        case "release":
            lease = held(args[0])
            return lease and await store.release(lease, again_s=args[1])
        case _:
            lease = held(args[1])
            return lease and await store.occupy("c", args[0], lease, args[2])
    return found and (found.key, found.value, bool(found.token))


def test_both_stores_answer_alike(shared_redis: RedisServer) -> None:
    @settings(max_examples=50)
    @given(st.lists(ASKED, max_size=30))
    def alike(all_asked: list[tuple[Any, ...]]) -> None:
        trio.run(both, all_asked)

    async def both(all_asked: list[tuple[Any, ...]]) -> None:
        async with _redis(shared_redis) as redis, _local() as local:
            one: list[Lease] = []
            two: list[Lease] = []
            for asked in all_asked:
                assert await _ask(local, one, asked) == await _ask(redis, two, asked), asked
            for prefix in ("k/", "q/"):
                found = [await each.find(prefix) for each in (local, redis)]
                told = [[(e.key, e.value, bool(e.token)) for e in each] for each in found]
                assert told[0] == told[1]

    alike()


# -- going away ------------------------------------------------------------------------------------


async def test_a_server_that_stops_is_said_at_once_and_its_return_too(
    own_redis: RedisServer,
) -> None:
    said: list[bool] = []
    async with _redis(own_redis) as store:
        store.changed = lambda up, problem: said.append(up)
        first = await store.claim("homes/weekly", "a", LONG_S)
        own_redis.stop()
        with pytest.raises(StoreAway):
            await store.get("homes/weekly")
        with pytest.raises(StoreAway):
            await store.get("homes/weekly")
        assert store.errors == 1  # the second was not even tried
        assert not await store.probe()
        own_redis.start()
        await until(store.probe)
        assert said == [False, True]
        assert first is not None
        assert not await store.renew(first, LONG_S)
        second = await store.claim("homes/weekly", "b", LONG_S)
        assert second is not None
        assert second.token > first.token  # although the server has lost its count


async def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_said(
    own_redis: RedisServer,
) -> None:
    async with _redis(own_redis, deadline_s=0.3) as store:
        lease = await until(partial(_claimed, store))
        own_redis.hang(True)
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(50):  # more than there are connections
                    nursery.start_soon(_fails, store)
            assert not store.up
            assert not await store.probe()
        finally:
            own_redis.hang(False)
        await until(store.probe)
        assert await until(partial(store.renew, lease, LONG_S))


async def _claimed(store: Store) -> Lease | None:
    """Claim, on a machine that may be so slow that the first time is too late."""
    try:
        return await store.claim("hosts/a", "a", LONG_S)
    except StoreAway:
        await store.probe()
        return None


async def _fails(store: Store) -> None:
    with pytest.raises(StoreAway):
        await store.get("homes/weekly")


async def test_a_host_that_stops_in_order_is_gone_at_once(shared_redis: RedisServer) -> None:
    async with _redis(shared_redis) as seen:
        redis = pytest.importorskip("voxpy.fleet.redis")
        store = redis.RedisStore(shared_redis.url, name=getattr(seen, "name", ""), deadline_s=20)
        fleet = Fleet(store, host="a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fleet.run)
            await until(partial(seen.find, "hosts/"))
            nursery.cancel_scope.cancel()
        assert await seen.find("hosts/") == []
