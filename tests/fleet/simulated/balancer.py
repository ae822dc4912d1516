"""The balancer of a simulated fleet, as Kamailio's dispatcher is, and the callers behind it."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from typing import TYPE_CHECKING

import trio

from tests.fleet.simulated.hosts import SimulatedHost
from tests.fleet.simulated.quietleg import QuietLeg
from voxpy.engine import clock
from voxpy.engine.ports import LegEnded
from voxpy.fleet.counts import FRESH_S
from voxpy.fleet.membership import BEAT_S, LEASE_S

if TYPE_CHECKING:
    from tests.fleet.simulated.world import World

PROBE_S = 2.0
"""Between two OPTIONS to each host."""
SLACK_S = 1.0
GIVES_UP_S = 2.0
"""On a host that does not answer an INVITE."""
UNAVAILABLE, BUSY_HERE = 503, 486
FEW = 0.15
"""The share of callers whose rule has only so many calls at once."""


class Balancer:
    """Gives each call to the host with the fewest or the next in turn; to another one at a 503."""

    def __init__(self, world: World, *, by_load: bool) -> None:
        self.active: set[str] = set()
        """Hosts that answered the last OPTIONS with 200."""
        self._world = world
        self._by_load = by_load
        self._turn = itertools.count()

    async def probe(self) -> None:
        """Ask every host again and again."""
        while True:
            for host in self._world.hosts:
                answers = host.host is not None and host.up_since < float("inf")
                if answers and host.host is not None and not host.host.admission.draining:
                    self.active.add(host.name)
                else:
                    self.active.discard(host.name)
            await trio.sleep(PROBE_S)

    def order(self) -> list[SimulatedHost]:
        """Return whom to try, in that order."""
        there = [host for host in self._world.hosts if host.name in self.active]
        if self._by_load:
            return sorted(there, key=lambda host: len(host.mine) / host.carries)
        first = next(self._turn) % len(there) if there else 0
        return there[first:] + there[:first]


class Caller:
    """One call that comes in."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._is_few = world.draw.random() < FEW
        self._dials = f"{'few' if self._is_few else 'in'}-{number}"
        self._host: SimulatedHost | None = None
        self._leg: QuietLeg | None = None
        self._lost = trio.Event()
        self.outcome = ""

    async def run(self, talk_s: float) -> None:
        """Call, talk and hang up, as far as that goes."""
        world, balancer, began_s = self._world, self._world.balancer, clock.now()
        for host in balancer.order():
            if await self._try(host, talk_s):
                break
        else:
            self.outcome = "refused"
            world.refused_one(began_s)
        world.outcomes[self.outcome] += 1

    async def _try(self, host: SimulatedHost, talk_s: float) -> bool:
        """Try one host; False if another is to be tried."""
        world = self._world
        running = host.host
        if running is None or host.up_since == float("inf"):
            with trio.move_on_after(GIVES_UP_S):
                await trio.sleep_forever()
            world.balancer.active.discard(host.name)
            return False
        told_to_stop = host.drained_at < clock.now()
        leg = QuietLeg("call-1", self._dials)
        routed = running.router.receive(leg, "sip")
        running.router.spawn(routed.run)
        self._host, self._leg = host, leg
        host.mine.add(self)
        try:
            with trio.move_on_after(GIVES_UP_S):
                await leg.settled.wait()
            if self._lost.is_set():
                self.outcome = "died"
                return True
            if not leg.settled.is_set():
                leg.end(487, "Request Terminated")
                if host.host is running:
                    world.wrong(f"{host.name} does not answer")
                return False
            if not leg.answered.is_set():
                return self._refused(host, leg.code)
            world.answered += 1
            if told_to_stop:
                world.wrong(f"{host.name} takes a call after it said that it drains")
            if self._is_few:
                world.few.began(host)
            await self._talk(leg, talk_s)
            return True
        finally:
            host.mine.discard(self)
            if self._is_few and leg.answered.is_set():
                world.few.ended(died=self.outcome == "died")

    def _refused(self, host: SimulatedHost, code: int) -> bool:
        """Judge a refusal; return whether it is the last word."""
        if self._is_few and code == BUSY_HERE:
            self.outcome = "limited"
            self._world.few.refused(host)
            return True
        if code != UNAVAILABLE:
            self._world.wrong(f"{host.name} refuses a call with {code}")
        return False

    async def _talk(self, leg: QuietLeg, talk_s: float) -> None:
        async with trio.open_nursery() as nursery:

            async def first(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, leg.over)
            nursery.start_soon(first, self._lost)
            await trio.sleep(talk_s)
            nursery.cancel_scope.cancel()
        if self._lost.is_set():
            self.outcome = "died"
        elif leg.over.is_set():
            self.outcome = "dropped"
            assert self._host is not None
            self._world.wrong(f"{self._host.name} dropped a call with {leg.code}")
        else:
            self.outcome = "done"
            leg.over.set()
            leg.far_end(LegEnded(code=200, reason="Hung up"))

    def lost(self) -> None:
        """Notice that the host has died."""
        self._lost.set()
        if self._leg is not None:
            self._leg.settled.set()


class Few:
    """The calls of a rule that has ``most`` at once in the whole fleet."""

    def __init__(self, world: World, most: int) -> None:
        self.most = most
        self._world = world
        self._now = 0
        self._held = 0
        """With those of hosts that died, which count for as long as their leases last."""
        self._before: deque[tuple[float, int]] = deque()

    def began(self, host: SimulatedHost) -> None:
        """Count one more."""
        self._now += 1
        self._held += 1
        self._note()
        if self._now > self.most and self._world.is_settled:
            self._world.wrong(f"{host.name} makes it {self._now} calls of a rule for {self.most}")

    def ended(self, *, died: bool) -> None:
        """Count one less."""
        self._now -= 1
        if died:
            self._world.nursery.start_soon(self._end_later)
        else:
            self._end()

    def refused(self, host: SimulatedHost) -> None:
        """Judge a refusal: were there as many, as far as a host may have heard of it?"""
        since = clock.now() - FRESH_S - SLACK_S
        while self._before and self._before[0][0] < since:
            self._before.popleft()
        most = max([self._held, *(held for _, held in self._before)])
        if most < self.most and self._world.is_settled:
            self._world.wrong(f"{host.name} refuses a call of a rule with {most} of {self.most}")

    async def _end_later(self) -> None:
        await trio.sleep(LEASE_S + BEAT_S)
        self._end()

    def _end(self) -> None:
        self._note()
        self._held -= 1

    def _note(self) -> None:
        self._before.append((clock.now(), self._held))


def new_outcomes() -> Counter[str]:
    """Return what became of calls, none yet."""
    return Counter(dict.fromkeys(("done", "died", "refused", "limited", "dropped"), 0))
