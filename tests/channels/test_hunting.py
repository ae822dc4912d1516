"""One call over several ways: trunks in turn, phones together. Simulated legs, no network."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from voxpy.channels.hunting import HuntingLeg, Limited, hunt
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.ports import (
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    OutgoingCall,
    RefusedLeg,
    Ringing,
)

CALL = OutgoingCall(leg_id="outgoing-1", kind="pstn", destination="+1", callerid="+2")


@attrs.define
class Hunt:
    leg: Leg
    phones: list[SimulatedLeg]
    events: list[LegEvent] = attrs.field(factory=list)

    def pass_time(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            assert self.leg.media.source is not None
            self.leg.media.source.pull()

    def ends(self) -> list[int]:
        return [event.code for event in self.events if isinstance(event, LegEnded)]


def hunting(count: int, *, at_once: bool = False) -> Hunt:
    phones: list[SimulatedLeg] = []

    def way() -> Leg:
        phone = SimulatedLeg(leg_id="outgoing-1", callerid="", destination="", incoming=False)
        phones.append(phone)
        return phone

    found = Hunt(hunt(CALL, [way] * count, at_once=at_once), phones)
    found.leg.bind(found.events.append)
    return found


def test_one_way_is_that_leg() -> None:
    assert isinstance(hunting(1).leg, SimulatedLeg)


@pytest.mark.parametrize("code", [503, 500, 408])
def test_the_next_trunk_takes_a_call_that_led_nowhere(code: int) -> None:
    found = hunting(3)
    assert len(found.phones) == 1
    found.phones[0].callee.refuses(code, "no")
    found.pass_time()
    assert len(found.phones) == 2
    found.phones[1].callee.answers()
    found.pass_time(2)
    assert isinstance(found.events[-1], LegConnected)
    assert found.ends() == []
    found.phones[1].far_end_hangs_up()
    assert found.ends() == [200]


@pytest.mark.parametrize("code", [486, 404, 603, 480])
def test_what_the_callee_says_is_final(code: int) -> None:
    found = hunting(3)
    found.phones[0].callee.refuses(code, "no")
    found.pass_time()
    assert (len(found.phones), found.ends()) == (1, [code])


def test_nobody_is_rung_twice() -> None:
    found = hunting(2)
    found.phones[0].callee.rings()
    found.pass_time()
    found.phones[0].callee.refuses(408, "Request Timeout")
    found.pass_time()
    assert (len(found.phones), found.ends()) == (1, [408])


def test_when_no_trunk_is_left_the_last_says_why() -> None:
    found = hunting(2)
    for n, code in enumerate((503, 502)):
        found.phones[n].callee.refuses(code, "no")
        found.pass_time()
    assert found.ends() == [502]


def test_all_phones_ring_and_the_first_that_answers_has_the_call() -> None:
    found = hunting(3, at_once=True)
    assert len(found.phones) == 3
    for phone in found.phones:
        phone.callee.rings()
    found.pass_time()
    assert [type(e) for e in found.events] == [Ringing]
    found.phones[1].callee.answers()
    found.pass_time(2)
    assert [phone.state for phone in found.phones] == ["ended", "connected", "ended"]
    assert found.ends() == []


@pytest.mark.parametrize(
    ("codes", "outcome"), [((486, 480, 408), 486), ((480, 603), 603), ((503, 486, 480), 486)]
)
def test_the_best_of_the_refusals(codes: tuple[int, ...], outcome: int) -> None:
    found = hunting(3, at_once=True)
    for phone, code in zip(found.phones, codes, strict=False):
        phone.callee.refuses(code, "no")
        found.pass_time()
    assert found.ends() == [outcome]
    if outcome == 603:  # nobody else is to be rung
        assert found.phones[2].state == "ended"


@pytest.mark.parametrize("at_once", [True, False])
def test_giving_up_ends_every_way_once(at_once: bool) -> None:
    found = hunting(2, at_once=at_once)
    found.leg.hangup({})
    found.leg.hangup({})
    assert found.ends() == [487]
    assert {phone.state for phone in found.phones} == {"ended"}


@attrs.define
class Shelf:
    """A trunk of so many calls whose answer comes when ``says`` is called."""

    asked: list[Callable[[bool], None]] = attrs.field(factory=list)
    freed: int = 0

    def way(self, phones: list[SimulatedLeg]) -> Limited:
        def dial() -> Leg:
            phone = SimulatedLeg(leg_id="outgoing-1", callerid="", destination="", incoming=False)
            phones.append(phone)
            return phone

        return Limited(dial, self.asked.append, self.free, "trunk 'a' carries its 1 calls already")

    def free(self) -> None:
        self.freed += 1


def limited(count: int) -> tuple[Hunt, Shelf]:
    shelf, phones = Shelf(), list[SimulatedLeg]()
    found = Hunt(hunt(CALL, [shelf.way(phones)] * count), phones)
    found.leg.bind(found.events.append)
    return found, shelf


def test_a_trunk_of_so_many_calls_is_asked_first_and_given_back_once() -> None:
    found, shelf = limited(1)
    assert not found.phones
    found.pass_time()
    shelf.asked[0](True)
    (phone,) = found.phones
    phone.callee.answers()
    found.pass_time()
    phone.far_end_hangs_up()
    found.pass_time()
    found.leg.hangup({})
    assert (shelf.freed, found.ends()) == (1, [200])


def test_a_trunk_that_is_full_lets_the_next_one_try() -> None:
    found, shelf = limited(2)
    shelf.asked[0](False)
    shelf.asked[1](False)
    assert found.ends() == [503]
    (end,) = [event for event in found.events if isinstance(event, LegEnded)]
    assert end.reason == "trunk 'a' carries its 1 calls already"
    assert shelf.freed == 0


async def test_who_gives_up_while_a_trunk_is_asked_leaves_nothing_taken() -> None:
    found, shelf = limited(1)
    found.leg.hangup({})
    assert found.ends() == [487]
    shelf.asked[0](True)
    assert (found.phones, shelf.freed) == ([], 1)
    await found.leg.aclose()
    assert shelf.freed == 1


async def test_refused_ways_are_passed_over_too() -> None:
    ways: list[Callable[[], Leg]] = [lambda: RefusedLeg(CALL, 503, "no room")] * 2
    leg = HuntingLeg(CALL, ways, at_once=False)
    events: list[LegEvent] = []
    leg.bind(events.append)
    for _ in range(3):
        leg.pull()
    assert [e.code for e in events if isinstance(e, LegEnded)] == [503]
    await leg.aclose()
