"""A simulated fleet: hosts, a balancer, a Redis, and everything that happens to them, by a seed.

``run(plan)`` lives a fleet through and returns what was seen and what was wrong. Nothing in it may
be wrong, whatever the seed:

- No call is dropped by a host, and none is taken by one that said it drains; only a death costs
  calls, and only those of the host that died.
- No call is refused while a host that the balancer can know of has room.
- Nobody has a lease that another still has; of a dead host none lasts longer than it was given.
- Nobody on a list is called more often than there are attempts.
- What callers, hosts, metrics and history count is the same.
"""

from __future__ import annotations

import math
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.fleet.simulated.balancer import (
    PROBE_S,
    SLACK_S,
    Balancer,
    Caller,
    Few,
    new_outcomes,
)
from tests.fleet.simulated.callees import Callees
from tests.fleet.simulated.hosts import QuietFiles, SimulatedHost, read_project
from tests.fleet.simulated.redis import Line, SimulatedRedis
from voxpy.calllists.store import Lists
from voxpy.calllists.terms import Terms
from voxpy.calllists.working import LEASE_S as LIST_LEASE_S
from voxpy.engine import clock
from voxpy.engine.trace import Trace
from voxpy.fleet.local import LocalStore
from voxpy.fleet.membership import BEAT_S, LEASE_S, Fleet
from voxpy.history.history import History
from voxpy.history.store import SqliteStore
from voxpy.host.serve import Host
from voxpy.simulation.virtual import run_virtual

ROUTING = """
rules:
  - name: few
    pattern: 'few-.*'
    scenarios: [incoming.py]
    most_calls: MOST
    replayable: false
    watchdogs: {no_inbound_media_s: off, dead_air_s: off, longest_call_s: off}
  - name: incoming
    pattern: 'in-.*'
    scenarios: [incoming.py]
    replayable: false
    watchdogs: {no_inbound_media_s: off, dead_air_s: off, longest_call_s: off}
  - name: list
    pattern: 'nobody'
    scenarios: [list.py]
    replayable: false
    watchdogs: {no_inbound_media_s: off, dead_air_s: off, longest_call_s: off}
channels: {}
"""
INCOMING = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
"""
LIST = """
import json
from voxpy import CallEvents, CallList, VoxEngine

call = VoxEngine.call_sip(json.loads(VoxEngine.custom_data())["to"], "1")

def over(event):
    CallList.report_result({"code": 200})
    VoxEngine.terminate()

def failed(event):
    CallList.report_error({"code": event.code})
    VoxEngine.terminate()

call.add_event_listener(CallEvents.Disconnected, over)
call.add_event_listener(CallEvents.Failed, failed)
"""
RETRY, RETRY_AFTER_S = 2, 30.0
LIST_PATIENCE_S = 900.0
STRAIN_S = 2 * LIST_LEASE_S
"""After a host may have lost its rows to another, while it still talks to those people."""
LONGEST_TALK_S = 120.0
MOST_OF_A_KIND = 3
SETTLED_S = LEASE_S + 3 * BEAT_S
"""After anything was wrong with the Redis or the way there, until everybody knows of everybody."""


def _nothing(host: SimulatedHost) -> None:
    """Plant nothing."""


@attrs.frozen(kw_only=True)
class Plan:
    """What is to happen. ``store`` makes what is behind the Redis, ``plant`` may spoil a host.

    ``whole`` is the share of calls that have a whole session; the others have a bare one.
    """

    seed: int = 0
    calls: int = 10_000
    hosts: int = 5
    deploys: int = 2
    deaths: int = 3
    outages: int = 4
    mean_talk_s: float = 20.0
    by_load: bool = True
    whole: float = 1.0
    store: Callable[[], LocalStore] = LocalStore
    plant: Callable[[SimulatedHost], None] = _nothing

    @classmethod
    def drawn(cls, seed: int, calls: int, **more: Any) -> Plan:
        """Return a plan of as many calls; how much befalls the fleet goes by the seed."""
        draw = random.Random(seed)
        often = max(1, calls // 2500)
        drawn = {
            "hosts": draw.randint(2, 7),
            "deploys": draw.randint(1, often),
            "deaths": draw.randint(1, 2 * often),
            "outages": draw.randint(1, 2 * often),
            "by_load": draw.random() < 0.7,
        }
        return cls(seed=seed, calls=calls, **{**drawn, **more})


@attrs.frozen(kw_only=True)
class Seen:
    """What came of a plan."""

    wrong: list[str]
    outcomes: Counter[str]
    answered: int
    lasted_s: float
    operations: dict[str, int]
    deaths: int
    deploys: int
    outages: int
    placed: int
    """Calls to people on the list."""
    people: dict[str, int]
    """What became of them."""


class World:
    """The fleet while it runs."""

    def __init__(self, plan: Plan, folder: Path, nursery: trio.Nursery) -> None:
        self.plan, self.folder, self.nursery = plan, folder, nursery
        self.draw = random.Random(plan.seed)
        self.problems: list[str] = []
        self._told: Counter[str] = Counter()
        self.outcomes = new_outcomes()
        self.answered = 0
        self.seen: Counter[str] = Counter()
        self.redis = SimulatedRedis(random.Random(plan.seed + 1), self.wrong, plan.store())
        self.people = max(30, plan.calls // 20)
        self._strained_until = -math.inf
        self._well_s = 0
        self.balancer = Balancer(self, by_load=plan.by_load)
        self.hosts = [
            SimulatedHost(
                self,
                f"host-{n}",
                most_calls=self.draw.randint(20, 60),
                cost=self.draw.uniform(0.01, 0.03),
            )
            for n in range(plan.hosts)
        ]
        carried = sum(host.carries for host in self.hosts)
        self.few = Few(self, max(3, carried // 12))
        routing = ROUTING.replace("MOST", str(self.few.most))
        scenarios = {"incoming.py": INCOMING, "list.py": LIST}
        self._project, self.secrets = read_project(folder, routing, scenarios)
        self._at_once = max(3, carried // 10)
        self.callees = Callees(self, most_calls=1 + RETRY, most_at_once=self._at_once)

    def wrong(self, what: str) -> None:
        """Take note of what must not be; a few of each kind are enough."""
        kind = re.sub(r"\d+", "", what)
        self._told[kind] += 1
        if self._told[kind] <= MOST_OF_A_KIND:
            self.problems.append(f"{clock.now():.3f} s: {what}")

    def files(self, log: Trace) -> QuietFiles:
        """Return the files for one more host."""
        return QuietFiles(self._project, log=log)

    def plant(self, host: SimulatedHost) -> None:
        """Spoil a host that is about to run, if the plan says so."""
        self.plan.plant(host)

    def talk_s(self) -> float:
        """Draw how long somebody talks."""
        return min(LONGEST_TALK_S, self.draw.expovariate(1 / self.plan.mean_talk_s))

    @property
    def strained(self) -> bool:
        """Whether a host may have been away for longer than it keeps what it had."""
        return clock.now() < self._strained_until

    def refused_one(self, began_s: float) -> None:
        """Judge the refusal of a call that began then: had anybody room whom it could try?"""
        for host in self.hosts:
            known = host.up_since < began_s - PROBE_S - SLACK_S and host.listens
            has = 0 if host.quiet is None else host.quiet.most_lately()
            if known and has < host.carries:
                self.wrong(f"a call was refused while {host.name} had {has} of {host.carries}")

    # -- a life ------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Let everything happen."""
        async with trio.open_nursery() as nursery:
            for host in self.hosts:
                await self._start(host)
            nursery.start_soon(self.balancer.probe)
            nursery.start_soon(self._watch)
            await trio.sleep(2 * BEAT_S)
            await self._add_list()
            async with trio.open_nursery() as calls:
                for befalls in (self._deploy, self._die, self._be_away):
                    calls.start_soon(befalls)
                await self._call(calls)
            self.redis.faults.down = self.redis.faults.hangs = False
            await self._finish_list()
            await trio.sleep(4 * BEAT_S)
            self._count()
            nursery.cancel_scope.cancel()
        for host in self.hosts:
            if host.alive:
                host.drain()
                await host.stopped.wait()
        await trio.sleep(LEASE_S + SLACK_S)
        await self._look_for_leases()

    async def _start(self, host: SimulatedHost) -> None:
        started = trio.Event()
        self.nursery.start_soon(host.live, started.set)
        await started.wait()

    async def _add_list(self) -> None:
        people = [{"to": f"sip:person-{n}@far.test"} for n in range(self.people)]
        terms = Terms(at_once=self._at_once, retry=RETRY, retry_after_s=RETRY_AFTER_S)
        self._lists = Lists(Line(self.redis))
        now = clock.wall().timestamp()
        self._list = await self._lists.add(people, "people.csv", "list", terms, now)

    async def _finish_list(self) -> None:
        """Wait for the list to be done; then it says the same as those who were called."""
        with trio.move_on_after(LIST_PATIENCE_S):
            while await self._lists.at_work():  # noqa: ASYNC110  a store sets no Event
                await trio.sleep(BEAT_S)
        if self.redis.emptied_at > 0:
            return  # nobody knows of a list any more
        (found,) = await self._lists.lists(self._list)
        if found.state != "done":
            self.wrong(f"the list is not done: {dict(found.counts)}")
        results = await self._lists.results(self._list)
        for row in results:
            to, attempts = row["data"]["to"], row["attempts"]
            if self.callees.calls[to] > attempts:
                self.wrong(f"{to} was called {self.callees.calls[to]} times in {attempts} attempts")
        counts = Counter(row["state"] for row in results)
        if (counts["done"], counts["failed"]) != (found.counts["done"], found.counts["failed"]):
            self.wrong(f"the list has {dict(counts)} and counts {dict(found.counts)}")
        self.seen.update(counts)

    @property
    def _lasts_s(self) -> float:
        """How long the calls will come for: at four fifths of what the fleet carries."""
        carried = sum(host.carries for host in self.hosts)
        return self.plan.calls * self.plan.mean_talk_s / carried / 0.8

    async def _call(self, nursery: trio.Nursery) -> None:
        lasts_s = self._lasts_s
        began = clock.now()
        for number in range(self.plan.calls):
            phase = 2 * math.pi * 5 * (clock.now() - began) / lasts_s
            rate = self.plan.calls / lasts_s * (1 + 0.6 * math.sin(phase))
            await trio.sleep(self.draw.expovariate(rate))
            caller = Caller(self, number)
            nursery.start_soon(caller.run, self.talk_s())

    async def _deploy(self) -> None:
        """Start every host again, one after another."""
        for _ in range(self.plan.deploys):
            await trio.sleep(self.draw.uniform(0.1, 0.6) * self._lasts_s / self.plan.deploys)
            self.seen["deploys"] += 1
            for host in self.hosts:
                host.drain()
                await host.stopped.wait() if host.alive else None
                await trio.sleep(self.draw.uniform(1, 5))
                if not host.alive:
                    await self._start(host)

    async def _die(self) -> None:
        for _ in range(self.plan.deaths):
            await trio.sleep(self.draw.uniform(0.2, 1) * self._lasts_s / self.plan.deaths)
            host = self.draw.choice(self.hosts)
            if not host.alive or host.up_since == math.inf:
                continue
            self.seen["deaths"] += 1
            host.kill()
            self.nursery.start_soon(self._revive, host, self.draw.uniform(1, 60))

    async def _revive(self, host: SimulatedHost, after_s: float) -> None:
        await trio.sleep(after_s)
        if not host.alive:
            await self._start(host)

    async def _be_away(self) -> None:
        faults = self.redis.faults
        for _ in range(self.plan.outages):
            await trio.sleep(self.draw.uniform(0.2, 0.9) * self._lasts_s / self.plan.outages)
            self.seen["outages"] += 1
            self._well_s = 0
            what = self.draw.choice(["down", "hangs", "loses", "late", "cut", "empty"])
            lasts_s = self.draw.uniform(1, 40)
            if what in ("down", "hangs"):
                setattr(faults, what, True)
            elif what == "loses":
                faults.lost = 0.3
            elif what == "late":
                faults.late = 0.5
            elif what == "empty":
                self.redis.lose_all()
            host = self.draw.choice(self.hosts)
            line = host.line
            if what == "cut":
                host.cut_off(True)
            if lasts_s > LIST_LEASE_S / 2 or what == "empty":
                self._strained_until = clock.now() + lasts_s + STRAIN_S
            await trio.sleep(lasts_s)
            faults.down = faults.hangs = False
            faults.lost = faults.late = 0.0
            if what == "cut" and host.alive and host.line is line:
                host.cut_off(False)

    # -- what is looked at -------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look every second whether hosts count what callers do, and know who is there."""
        off: Counter[str] = Counter()
        while True:
            await trio.sleep(1)
            faults = self.redis.faults
            away = faults.down or faults.hangs or faults.lost or faults.late
            away = away or self.redis.emptied_at > clock.now() - 1
            self._well_s = 0 if away else self._well_s + 1
            for host in self.hosts:
                running, fleet = host.host, host.fleet
                counted = 0 if running is None else running.admission.running
                more = self._settled_s(host) > SETTLED_S and counted > len(host.mine)
                differs = running is not None and (counted < len(host.mine) or more)
                off[host.name] = off[host.name] + 1 if differs else 0
                if off[host.name] == 5:
                    self.wrong(f"{host.name} counts {counted} calls, of {len(host.mine)}")
                if fleet is not None:
                    self._look_at_members(host, fleet)

    def _settled_s(self, host: SimulatedHost) -> float:
        """Return for how long nothing has come between a host and the Redis."""
        return min(self._well_s, clock.now() - host.well_since)

    @property
    def is_settled(self) -> bool:
        """Whether nothing has come between any host and the Redis for a while."""
        return self._well_s > SETTLED_S and not any(
            host.alive and host.line is not None and self._settled_s(host) < SETTLED_S
            for host in self.hosts
            if host.lives and clock.now() - host.up_since > SETTLED_S
        )

    def _look_at_members(self, host: SimulatedHost, fleet: Fleet) -> None:
        """A member that could ask for long enough knows all that could tell, and no dead one."""
        if self._settled_s(host) < SETTLED_S:
            return
        members = fleet.members.values()
        names = Counter(member.host for member in members)
        for other in self.hosts:
            there_s, gone_s = clock.now() - other.well_since, clock.now() - other.gone_at
            drains = clock.now() - other.drained_at > 2 * BEAT_S and there_s > SETTLED_S
            if drains and any(m.host == other.name and not m.draining for m in members):
                self.wrong(f"{host.name} does not know that {other.name} drains")
            if other.alive and there_s > SETTLED_S and names[other.name] != 1:
                self.wrong(f"{host.name} knows {names[other.name]} of {other.name}")
            elif not other.alive and gone_s > LEASE_S + BEAT_S + SLACK_S and names[other.name]:
                self.wrong(f"{host.name} knows {other.name}, gone for {gone_s:.0f} s")

    def _count(self) -> None:
        """All calls are over: whatever is counted anywhere adds up."""
        outcomes, plan = self.outcomes, self.plan
        if outcomes.total() != plan.calls:
            self.wrong(f"{plan.calls} calls were made and {outcomes.total()} ended: {outcomes}")
        began = sum(_counted(h, "voxpy_calls") for host in self.hosts for h in host.all)
        ended = sum(_counted(h, "voxpy_calls_ended") for host in self.hosts for h in host.all)
        had = self.answered + self.callees.calls.total()
        if not began == ended == had:
            self.wrong(f"hosts count {began} calls that began and {ended} that ended, of {had}")
        for host in self.hosts:
            if host.host is not None and host.host.admission.running:
                self.wrong(f"{host.name} still counts {host.host.admission.running} calls")
            if host.host is not None and host.fleet is not None:
                told = host.fleet.members.get(host.fleet.member_id)
                if told is None or told.running:
                    self.wrong(f"{host.name} is told of as {told}")

    async def _look_for_leases(self) -> None:
        """Everybody is gone for longer than a lease: nothing of them is left."""
        store = Line(self.redis)
        for entry in await store.find("hosts/"):
            self.wrong(f"{entry.key} is there after all hosts are gone")


def _counted(host: Host, metric: str) -> int:
    return sum(int(value) for name, _, value in host.metrics.snapshot() if name == metric)


def kept_in(folder: Path) -> dict[str, int]:
    """Return how many sessions the histories below a folder have, by state."""
    found: Counter[str] = Counter()
    for base in folder.glob("host-*/*"):
        with closing(SqliteStore(base)) as store:
            History.settle_now(store)
            if store.exists():
                rows = store.do(lambda rows: rows.read("SELECT state FROM sessions"))
                found.update(state for (state,) in rows)
    return dict(found)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for a moment; in memory where that is possible."""
    place = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="vf-", dir=place if place.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def run(plan: Plan) -> Seen:
    """Live a plan through on virtual time."""

    async def main() -> Seen:
        with _folder() as folder:
            async with trio.open_nursery() as nursery:
                world = World(plan, folder, nursery)
                await world.live()
                nursery.cancel_scope.cancel()
            kept = kept_in(folder)
            whole = world.answered + world.callees.calls.total() - world.seen["bare"]
            if sum(kept.values()) != whole or kept.get("running"):
                world.wrong(f"histories have {kept}, of {whole} calls: {world.outcomes}")
            return Seen(
                wrong=world.problems,
                outcomes=world.outcomes,
                answered=world.answered,
                lasted_s=clock.now(),
                operations=world.redis.operations,
                deaths=world.seen["deaths"],
                deploys=world.seen["deploys"],
                outages=world.seen["outages"],
                placed=world.callees.calls.total(),
                people={state: world.seen[state] for state in ("done", "failed")},
            )

    return run_virtual(main)
