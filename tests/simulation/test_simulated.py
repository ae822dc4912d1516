"""The simulated leg by itself: what each command and each act of the caller does, tick by tick."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU
from voxpy.audio.line import Line
from voxpy.channels.simulated import PressedAs, SimulatedLeg
from voxpy.engine.ports import (
    EarlyMedia,
    FirstAudio,
    LegConnected,
    LegEnded,
    LegEvent,
    LegInfo,
    LegMessage,
    LegTone,
)

LOUD = encode(np.full(160, 8000, np.int16), PCMU)


@attrs.define
class Far:
    """A caller that writes everything down."""

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


def a_leg(**line: Line) -> tuple[SimulatedLeg, Far, list[LegEvent]]:
    leg = SimulatedLeg(leg_id="call-1", callerid="1", destination="2", **line)  # type: ignore[arg-type]
    far = Far()
    reports: list[LegEvent] = []
    leg.connect_far_end(far)
    leg.bind(reports.append)
    return leg, far, reports


def connected() -> tuple[SimulatedLeg, Far, list[LegEvent]]:
    leg, far, reports = a_leg()
    leg.answer({})
    leg.pull()
    far.told.clear()
    reports.clear()
    return leg, far, reports


def test_an_answer_takes_effect_with_the_next_tick() -> None:
    leg, far, reports = a_leg()
    leg.answer({})
    assert (leg.state, reports) == ("alerting", [])
    assert leg.pull() == PCMU.silence
    assert [type(r) for r in reports] == [FirstAudio, LegConnected]
    assert far.told == ["answered"]


def test_nothing_is_heard_either_way_before_the_answer() -> None:
    leg, far, _ = a_leg()
    leg.mouth.write(LOUD)
    assert leg.pull() is None
    leg.push(LOUD)
    assert far.heard == []


def test_early_media_opens_the_way_to_the_caller_only() -> None:
    leg, far, reports = a_leg()
    leg.start_early_media({})
    leg.mouth.write(LOUD)
    assert leg.pull() is None
    assert reports == [EarlyMedia()]
    leg.push(LOUD)
    assert far.heard == [LOUD]
    leg.start_early_media({})  # again changes nothing
    leg.pull()
    assert reports == [EarlyMedia()]


def test_mu_law_passes_untouched() -> None:
    leg, far, _ = connected()
    leg.mouth.write(LOUD)
    assert leg.pull() == LOUD
    assert leg.pull() == PCMU.silence  # no gaps
    leg.push(LOUD)
    assert far.heard == [LOUD]


def test_a_lossy_line_is_lossy_both_ways() -> None:
    leg, far, _ = a_leg(to_session=Line(loss=1.0), to_far_end=Line(loss=1.0))
    leg.answer({})
    leg.pull()
    leg.mouth.write(LOUD * 10)
    for _ in range(10):
        leg.pull()
        leg.push(LOUD)
    assert leg.pull() is None  # silence, and a watchdog can tell
    assert far.heard[-1] == PCMU.silence


def test_digits_are_events_or_sound() -> None:
    leg, _, reports = connected()
    leg.far_end_presses("1")
    assert np.abs(decode(leg.pull() or b"", PCMU)).max() > 1000
    leg.mouth.clear()
    leg.handle_tones(True)
    leg.far_end_presses("2#")
    assert leg.pull() == PCMU.silence
    assert reports == [LegTone(tone="2"), LegTone(tone="#")]


@pytest.mark.parametrize(("how", "kind"), [("rfc4733", "1"), ("info", "3")])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_far_end_may_send_digits_its_own_way(how: PressedAs, kind: str, wanted: bool) -> None:
    leg, _, reports = connected()
    leg.handle_tones(wanted)
    leg.far_end_presses("2#", how)
    assert leg.pull() == PCMU.silence
    assert reports == [LegTone(tone="2", kind=kind), LegTone(tone="#", kind=kind)]
    leg.far_end_presses("1", "inband")
    assert np.abs(decode(leg.pull() or b"", PCMU)).max() > 1000
    assert len(reports) == 2


def test_our_digits_take_the_place_of_what_the_caller_hears() -> None:
    leg, far, _ = connected()
    leg.send_digits("5")
    leg.push(PCMU.silence)
    assert np.abs(decode(far.heard[0], PCMU)).max() > 1000
    assert far.told == ["digits: 5"]


def test_messages_and_infos() -> None:
    leg, far, reports = connected()
    leg.send_message("hi")
    leg.send_info("a/b", "c", {})
    assert far.told == ["message: hi", "info: a/b: c"]
    leg.far_end_sends_message("yo")
    leg.far_end_sends_info("d/e", "f")
    leg.pull()
    assert reports == [LegMessage(text="yo"), LegInfo(mime_type="d/e", body="f")]


@pytest.mark.parametrize("up", [True, False])
def test_how_it_ends(up: bool) -> None:
    make = connected if up else a_leg
    for act, code in (
        ("far_end_hangs_up", 200 if up else 487),
        ("hangup", 200 if up else 603),
        ("reject", 486),
    ):
        leg, far, reports = make()
        if act == "far_end_hangs_up":
            leg.far_end_hangs_up()
        elif act == "hangup":
            leg.hangup({})
        else:
            leg.reject(486, {})
        (end,) = reports
        assert isinstance(end, LegEnded)
        assert end.code == code
        assert far.told == [f"ended {code}"]
        assert leg.pull() is None
        leg.push(LOUD)
        assert far.heard == []


async def test_closing_is_idempotent() -> None:
    leg, far, reports = connected()
    await leg.aclose()
    await leg.aclose()
    leg.far_end_hangs_up()
    assert len(reports) == 1
    assert far.told == ["ended 200"]


class AnyOrder(RuleBasedStateMachine):
    """Whatever is called in whatever order: at most one start, at most one end, nothing after it."""

    def __init__(self) -> None:
        super().__init__()
        self.leg, self.far, self.reports = a_leg()

    @rule()
    def tick(self) -> None:
        self.leg.pull()
        self.leg.push(LOUD)

    @rule(what=st.sampled_from(["ring", "start_early_media", "answer", "hangup"]))
    def command(self, what: str) -> None:
        getattr(self.leg, what)({})

    @rule(code=st.sampled_from([486, 603]))
    def reject(self, code: int) -> None:
        self.leg.reject(code, {})

    @rule(digits=st.text("0123456789*#", max_size=3), handled=st.booleans())
    def press(self, digits: str, handled: bool) -> None:
        self.leg.handle_tones(handled)
        self.leg.far_end_presses(digits)

    @rule()
    def gives_up(self) -> None:
        self.leg.far_end_hangs_up()

    @invariant()
    def in_order(self) -> None:
        kinds = [type(r) for r in self.reports]
        assert kinds.count(LegConnected) <= 1
        assert kinds.count(EarlyMedia) <= 1
        assert kinds.count(LegEnded) <= 1
        if LegEnded in kinds:
            assert kinds[-1] is LegEnded
        if LegConnected in kinds:
            assert kinds[kinds.index(LegConnected) - 1] is FirstAudio


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=20)
