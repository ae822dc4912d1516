"""A fleet of real processes on this machine: Kamailio, Redis, three hosts, and what befalls them.

    python benchmarks/fleet.py                   everything: about five minutes
    python benchmarks/fleet.py restart kill      some of it

Debian: kamailio, sip-tester, redis-server. Parts, each with a fleet of its own; exit code 1 if one
of them is not as it must be:

spread   300 calls of a carrier, spread over the hosts within 20 %
restart  a rolling restart of all hosts under load drops no call
kill     kill -9 of a host ends its calls alone; its user is reached again; its lease ends
list     500 numbers, worked by three hosts of which one is killed: each called once an attempt
redis    Redis is gone for 20 s under load: no running call is harmed, new ones go on
"""

from __future__ import annotations

import csv
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
import trio

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.channels.sip.peers.processes import running
from tests.channels.sip.peers.sipp import script
from tests.fleet.conftest import RedisServer, redis_server
from tests.fleet.standing import CARRIER, Standing, standing
from voxpy.errors import CallFailed
from voxpy.fleet.membership import BEAT_S, LEASE_S, find_members
from voxpy.fleet.redis import RedisStore
from voxpy.testing.sipphone import SipPhone, sip_phone

HOSTS, CALLS, NUMBERS, AWAY_S = 3, 300, 500, 20.0


class Wrong(Exception):
    """Something was not as it must be."""


def must(fact: bool, what: str) -> None:
    """Say what is so; raise if it should not be."""
    print(f"  {'ok' if fact else 'WRONG'}: {what}", flush=True)
    if not fact:
        raise Wrong(what)


async def spread(fleet: Standing, redis: RedisServer) -> None:
    """Calls of a carrier."""
    good, bad = await fleet.calls(CALLS, a_second=15, hold_ms=2000)
    counts = fleet.spread()
    mean = CALLS / HOSTS
    off = max(abs(count - mean) for count in counts) / mean
    must((good, bad) == (CALLS, 0), f"{good} calls went well, {bad} did not")
    must(off <= 0.2, f"hosts had {counts}: {off:.1%} from even")


async def restart(fleet: Standing, redis: RedisServer) -> None:
    """One host after the other ends in order and starts anew, with calls of 3 s all the time."""
    async with trio.open_nursery() as nursery:
        load = await nursery.start(partial(fleet.keep_calling, number=40, a_second=8))
        for port in fleet.ports:
            began = time.monotonic()
            await fleet.stop(port, signal.SIGTERM)
            drained_s = time.monotonic() - began
            await fleet.start(port)
            await fleet.knows(port, answers=True)
            took_s = time.monotonic() - began
            print(f"  {port}: drained in {drained_s:.1f} s, takes calls after {took_s:.1f} s")
        load.over.set()
    elsewhere = sum(
        line.count("the next host has it")
        for line in (fleet.folder / "kamailio.txt").read_text().splitlines()
    )
    print(f"  {elsewhere} times Kamailio asked the next host")
    must(load.bad == 0, f"{load.good} calls went well, {load.bad} did not")


async def kill(fleet: Standing, redis: RedisServer) -> None:
    """A host dies with calls, and with the registration of a user."""
    dead = fleet.ports[0]
    async with (
        sip_phone(user="bert", password="b", server=fleet.proxy) as bert,
        sip_phone(user="anna", password="a", server=fleet.proxy) as anna,
    ):
        must(await bert.register() == 200, "bert is registered")
        result: list[tuple[int, int]] = []

        async def call() -> None:
            result.append(await fleet.calls(30, a_second=15, hold_ms=12_000))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            while sum(fleet.spread()) < 30:  # noqa: ASYNC110  processes set no Event
                await trio.sleep(0.1)
            await trio.sleep(1)
            its = fleet.spread()[0]
            await fleet.stop(dead, signal.SIGKILL)
            killed_at = time.monotonic()
            lost = await reach(fleet, anna, bert)
            print(f"  bert without a new REGISTER: {lost or 'reached'}")
            must(await bert.register() == 200, "bert registers again")
            again = await reach(fleet, anna, bert)
            must(not again, f"and then: {again or 'reached'}")
            await until_gone(redis, "host-0", killed_at)
        good, bad = result[0]
        must((good, bad) == (30 - its, its), f"it had {its} calls: {bad} ended, {good} went well")


async def reach(fleet: Standing, caller: SipPhone, callee: SipPhone) -> str:
    """Call somebody often enough for every host to carry it; return why that failed."""
    for n in range(8):
        try:
            call = await caller.connect(fleet.uri(callee.user))
        except CallFailed as error:
            return f"not reached by call {n + 1}: {error}"
        callee.calls[-1].hang_up()
        await call.over.wait()
    return ""


async def until_gone(redis: RedisServer, host: str, since: float) -> None:
    """Wait for the end of a dead host's lease."""
    store = RedisStore(redis.url)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        with trio.move_on_after(2 * LEASE_S):
            while host in {m.host for m in (await find_members(store)).values()}:  # noqa: ASYNC110
                await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
    took_s = time.monotonic() - since
    must(took_s <= LEASE_S + 1, f"its lease ended after {took_s:.1f} s (at most {LEASE_S:.0f})")


async def list_of_numbers(fleet: Standing, redis: RedisServer) -> None:
    """A list, of which a host dies in the middle."""
    rows = ["to", *(f"+1555{n:07}" for n in range(NUMBERS))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "carrier.xml").write_text(script("<INVITE >180 .300 >200 <ACK <BYE >200"))
        command = ["sipp", "-sf", "carrier.xml", "-i", CARRIER, "-mi", CARRIER, "-nostdin"]
        command += ["-p", str(fleet.carrier), "-trace_msg", "-message_file", "messages.txt"]
        async with running(command, folder / "printed.txt", cwd=folder):
            began = time.monotonic()
            url = address(fleet, fleet.ports[1])
            async with httpx.AsyncClient() as client:
                made = await client.post(
                    f"{url}/api/lists?rule_name=dial&at_once=30&retry=1&retry_after=5s",
                    content="\n".join(rows).encode(),
                    headers={"Content-Type": "text/csv"},
                )
                must(made.status_code == 201, f"the list is taken: {made.status_code} {made.text}")
                one = f"{url}/api/lists/{made.json()['list_id']}"
                killed = False
                while True:
                    totals = (await client.get(one)).json()["result"]
                    if not killed and totals["counts"].get("done", 0) >= NUMBERS / 3:
                        await fleet.stop(fleet.ports[0], signal.SIGKILL)
                        killed = True
                        print(f"  a host is killed at {totals}")
                    if totals["state"] == "done":
                        break
                    await trio.sleep(0.5)
                results = csv.DictReader((await client.get(f"{one}/results")).text.splitlines())
                attempts = {row["to"]: int(row["attempts"]) for row in results}
        called = Counter(
            number
            for number, _ in set(
                re.findall(
                    r"INVITE sip:(\+\d+)@[^\0]*?\nCall-ID: (\S+)",
                    (folder / "messages.txt").read_text(),
                )
            )
        )
    print(f"  {totals} in {time.monotonic() - began:.0f} s")
    too_often = {to: (n, attempts[to]) for to, n in called.items() if n > attempts[to]}
    must(not too_often, f"{len(called)} numbers called, none more often than attempted {too_often}")
    twice = sum(n == 2 for n in attempts.values())
    must(
        len(called) == NUMBERS and sum(called.values()) <= NUMBERS + twice,
        f"{sum(called.values())} calls; {twice} numbers had a second attempt",
    )


def address(fleet: Standing, port: int) -> str:
    """Return where a host's API is."""
    found = re.search(r"http://127.0.0.1:\d+", fleet.hosts[port].printed)
    assert found is not None
    return found[0]


async def redis_gone(fleet: Standing, redis: RedisServer) -> None:
    """Redis is killed, and is there again 20 s later with nothing in it."""
    async with trio.open_nursery() as nursery:
        load = await nursery.start(partial(fleet.keep_calling, number=40, a_second=8))
        await trio.sleep(3)
        redis.stop()
        await trio.sleep(AWAY_S / 2)
        async with httpx.AsyncClient() as client:
            for port in fleet.ports:
                health = (await client.get(f"{address(fleet, port)}/health")).json()
                must(health["fleet"]["store"] == "away", f"{port} says so: {health}")
        await trio.sleep(AWAY_S / 2)
        redis.start()
        await trio.sleep(2 * BEAT_S)
        load.over.set()
        async with httpx.AsyncClient() as client:
            for port in fleet.ports:
                health = (await client.get(f"{address(fleet, port)}/health")).json()
                there = health["fleet"]
                must((there["store"], there["hosts"]) == ("up", HOSTS), f"{port} is back: {health}")
    must(load.bad == 0, f"{load.good} calls went well, {load.bad} did not")


PARTS: dict[str, Callable[[Standing, RedisServer], Awaitable[None]]] = {
    "spread": spread,
    "restart": restart,
    "kill": kill,
    "list": list_of_numbers,
    "redis": redis_gone,
}


async def run(part: str) -> bool:
    """Run a part in a fleet of its own; return whether all was as it must be."""
    print(f"{part}: {(PARTS[part].__doc__ or '').strip()}", flush=True)
    began, well = time.monotonic(), True
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        async with standing(Path(folder), HOSTS, redis=redis.url) as fleet:
            try:
                await PARTS[part](fleet, redis)
            except* Wrong:
                well = False
                print("\n".join(fleet.failures))
    print(f"  {time.monotonic() - began:.0f} s\n", flush=True)
    return well


def main() -> None:
    """Run what is asked for."""
    asked = sys.argv[1:] or list(PARTS)
    if not set(asked) <= set(PARTS):
        raise SystemExit(__doc__)
    well = [trio.run(run, part) for part in asked]
    raise SystemExit(not all(well))


if __name__ == "__main__":
    main()
