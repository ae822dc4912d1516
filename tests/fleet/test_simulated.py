"""A fleet lived through on virtual time: nothing is wrong, and what is planted is found.

``benchmarks/fleet_simulation.py`` lives a hundred of them through, of 10,000 calls each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.fleet.simulated.hosts import SimulatedHost
from tests.fleet.simulated.world import Plan, Seen, run
from voxpy.fleet.local import LocalStore
from voxpy.host.admission import Admission, Busy, Refusal

CALLS = 250


@pytest.mark.parametrize(("seed", "whole"), [(0, 1.0), (1, 0.1), (2, 0.1), (3, 0.1)])
def test_a_fleet_of_real_hosts(seed: int, whole: float) -> None:
    seen = run(Plan.drawn(seed, CALLS, whole=whole))
    assert seen.wrong == []
    assert seen.outcomes.total() == CALLS
    assert seen.outcomes["done"] > CALLS / 3
    assert seen.deaths + seen.deploys + seen.outages >= 3


def test_the_same_seed_is_the_same_life() -> None:
    one, two = run(Plan.drawn(7, 60, whole=0.2)), run(Plan.drawn(7, 60, whole=0.2))
    assert (one.outcomes, one.lasted_s) == (two.outcomes, two.lasted_s)
    assert one.operations == two.operations


# -- what must be found ----------------------------------------------------------------------------


class GivesTwice(LocalStore):
    """Gives everything to whoever asks, another's or not."""

    def _claim(self, key: str, value: str, ttl: int, owner: str, ot: int) -> int | None:
        if not self._holds(owner, ot):
            return None
        token = self._new_token()
        self._write(key, value, token, ttl, owner, ot)
        return token

    def _take(self, name: str, value: str, ttl: int) -> tuple[str, int] | None:
        self._rows("DELETE FROM entries WHERE key LIKE :key", key=f"{name}/%")
        return super()._take(name, value, ttl)


class NeverEnds(LocalStore):
    """Keeps what a dead host had as if it lived."""

    def _write(self, key: str, value: str, token: int, ttl: int, owner: str, ot: int) -> None:
        super()._write(key, value, token, 1000 * ttl, owner, ot)

    def _renew(
        self, key: str, token: int, ttl: int, owner: str, ot: int, value: str | None = None
    ) -> int:
        return super()._renew(key, token, 1000 * ttl, owner, ot, value)


class Generous(LocalStore):
    """Grants one more, however many there are, and knows of no others."""

    def _occupy(
        self, name: str, count: int, owner: str, ot: int, most: str | int
    ) -> tuple[int, int] | None:
        told = super()._occupy(name, count, owner, ot, "")
        return told and (told[0], 0)


class ForgetsDrain(Admission):
    """Says that it drains and takes calls all the same."""

    @property
    def draining(self) -> bool:
        return False

    @draining.setter
    def draining(self, value: bool) -> None:
        pass


class Timid(Admission):
    """Refuses calls that it could take."""

    def refusal(self) -> Refusal | None:
        return super().refusal() or (
            Refusal(Busy.FULL, "half full") if self.running >= self.most_calls / 4 else None
        )


class Forgetful(Admission):
    """Counts one call in ten as gone that is not."""

    def _note_change(self) -> None:
        self.changes = getattr(self, "changes", 0) + 1
        self.running -= self.changes % 20 == 0 and self.running > 1
        super()._note_change()


def _with(admission: type[Admission]) -> Callable[[SimulatedHost], None]:
    def plant(host: SimulatedHost) -> None:
        assert host.host is not None
        host.host.admission.__class__ = admission

    return plant


def _says_nothing_of_it(host: SimulatedHost) -> None:
    """Drain, and tell the other hosts nothing of it."""
    assert host.fleet is not None
    look = host.fleet.look
    host.fleet.look = lambda: {**look(), "draining": False}


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ({"store": GivesTwice}, "was given to a second one while the first still has it"),
        ({"store": GivesTwice}, "while somebody talks to it already"),
        ({"store": NeverEnds}, " knows "),
        ({"store": Generous, "calls": 400}, " calls of a rule for "),
        ({"plant": _with(ForgetsDrain)}, "takes a call after it said that it drains"),
        ({"plant": _says_nothing_of_it}, "does not know that"),
        ({"plant": _with(Timid)}, "a call was refused while"),
        ({"plant": _with(Forgetful)}, "counts"),
    ],
    ids=[
        "double lease",
        "double call",
        "lease without end",
        "limit",
        "lost drain",
        "untold drain",
        "refused with room",
        "miscounted",
    ],
)
def test_what_is_planted_is_found(planted: dict[str, Any], found: str) -> None:
    seen = _befallen(**planted)
    assert any(found in wrong for wrong in seen.wrong), seen.wrong


def test_without_it_nothing_is_found() -> None:
    assert _befallen().wrong == []


def _befallen(**planted: Any) -> Seen:
    plan = Plan(seed=1, calls=150, hosts=3, deploys=1, deaths=1, outages=0, whole=0.1)
    return run(attrs.evolve(plan, **planted))
