"""A simulated leg that we dialled, tick by tick, and the people who answer it."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.ports import EarlyMedia, FirstAudio, LegConnected, LegEnded, LegEvent, Ringing

LOUD = encode(np.full(160, 8000, np.int16), PCMU)


@attrs.define
class Far:
    """A callee that writes everything down."""

    told: list[str] = attrs.field(factory=list)
    heard: list[bytes] = attrs.field(factory=list)

    def rings(self) -> None:
        self.told.append("rings")

    def answered(self) -> None:
        self.told.append("answered")

    def ended(self, code: int, reason: str) -> None:
        self.told.append(f"ended {code}")

    def hears(self, frame: bytes) -> None:
        self.heard.append(frame)

    def receives(self, kind: str, content: str) -> None:
        self.told.append(f"{kind}: {content}")


def a_leg() -> tuple[SimulatedLeg, Far, list[LegEvent]]:
    leg = SimulatedLeg(leg_id="outgoing-1", callerid="1", destination="2", incoming=False)
    far = Far()
    reports: list[LegEvent] = []
    leg.connect_far_end(far)
    leg.bind(reports.append)
    return leg, far, reports


def test_ringing_and_the_answer_arrive_with_the_next_tick() -> None:
    leg, far, reports = a_leg()
    leg.callee.rings()
    assert reports == []
    assert leg.pull() is None
    leg.callee.answers()
    leg.mouth.write(LOUD)
    assert leg.pull() == LOUD
    assert [type(r) for r in reports] == [Ringing, FirstAudio, LegConnected]
    assert far.told == ["answered"]
    leg.push(LOUD)
    assert far.heard == [LOUD]


def test_early_media_flows_towards_the_session_only() -> None:
    leg, far, reports = a_leg()
    leg.callee.sends_early_media()
    leg.mouth.write(LOUD)
    assert leg.pull() == LOUD
    leg.push(LOUD)
    assert far.heard == [PCMU.silence]
    leg.callee.sends_early_media()  # again changes nothing
    leg.callee.answers()
    leg.pull()
    assert [type(r) for r in reports] == [EarlyMedia, FirstAudio, LegConnected]


def test_nothing_is_said_or_heard_while_it_rings() -> None:
    leg, far, _ = a_leg()
    leg.callee.rings()
    leg.mouth.write(LOUD)
    assert leg.pull() is None
    leg.push(LOUD)
    assert far.heard == []


@pytest.mark.parametrize(
    ("up", "act", "code"),
    [
        (False, lambda leg: leg.hangup({}), 487),
        (True, lambda leg: leg.hangup({}), 200),
        (False, lambda leg: leg.far_end_hangs_up(), 603),
        (True, lambda leg: leg.far_end_hangs_up(), 200),
        (False, lambda leg: (leg.callee.refuses(486, "Busy Here"), leg.pull()), 486),
    ],
)
def test_how_it_ends(up: bool, act: object, code: int) -> None:
    leg, far, reports = a_leg()
    if up:
        leg.callee.answers()
        leg.pull()
    assert callable(act)
    act(leg)
    (end,) = [r for r in reports if isinstance(r, LegEnded)]
    assert end.code == code
    assert far.told[-1] == f"ended {code}"
    leg.callee.answers()
    assert leg.pull() is None
    assert reports[-1] is end  # nothing follows it


@pytest.mark.parametrize(("up", "code"), [(False, 487), (True, 200)])
async def test_closing_gives_a_callee_up(up: bool, code: int) -> None:
    leg, _, reports = a_leg()
    if up:
        leg.callee.answers()
        leg.pull()
    await leg.aclose()
    await leg.aclose()
    assert [r.code for r in reports if isinstance(r, LegEnded)] == [code]


class OutgoingLeg(RuleBasedStateMachine):
    """Whatever both ends do in whatever order: events of a leg in a legal order, one end."""

    def __init__(self) -> None:
        super().__init__()
        self.leg, self.far, self.reports = a_leg()

    @rule()
    def tick(self) -> None:
        self.leg.pull()
        self.leg.push(PCMU.silence)

    @rule(act=st.sampled_from(["rings", "sends_early_media", "answers"]))
    def callee_does(self, act: str) -> None:
        getattr(self.leg.callee, act)()

    @rule(code=st.sampled_from([404, 486, 603]))
    def callee_refuses(self, code: int) -> None:
        self.leg.callee.refuses(code, "no")

    @rule()
    def callee_hangs_up(self) -> None:
        self.leg.far_end_hangs_up()

    @rule()
    def session_hangs_up(self) -> None:
        self.leg.hangup({})

    @invariant()
    def events_are_in_a_legal_order(self) -> None:
        kinds = [type(r) for r in self.reports]
        for once in (EarlyMedia, FirstAudio, LegConnected, LegEnded):
            assert kinds.count(once) <= 1
        if LegEnded in kinds:
            assert kinds[-1] is LegEnded
            assert self.leg.state == "ended"
        if LegConnected in kinds:
            assert kinds.index(FirstAudio) < kinds.index(LegConnected)
            assert EarlyMedia not in kinds[kinds.index(LegConnected) :]

    @invariant()
    def the_far_end_learns_of_the_same(self) -> None:
        assert ("answered" in self.far.told) == any(
            isinstance(r, LegConnected) for r in self.reports
        )
        ended = [r.code for r in self.reports if isinstance(r, LegEnded)]
        assert [t for t in self.far.told if t.startswith("ended")] == [f"ended {c}" for c in ended]


OutgoingLeg.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestOutgoingLeg = OutgoingLeg.TestCase
