"""When frames should wait longer, and when less long."""

from __future__ import annotations

import pytest

from voxpy.media.delay import Advice, PlayoutDelay

MS = 0.001


def after(transits_ms: list[float], *, min_delay_s: float = 0.0) -> PlayoutDelay:
    delay = PlayoutDelay(min_delay_s=min_delay_s)
    for transit_ms in transits_ms:
        delay.note(transit_ms * MS)
    return delay


PUNCTUAL = [7.0] * 300
SHAKY = [7.0, 9.0, 12.0] * 100
ONE_IN_A_HUNDRED = ([7.0] * 124 + [80.0]) * 2  # two in the window
THREE_IN_A_HUNDRED = ([7.0] * 32 + [80.0]) * 8


@pytest.mark.parametrize(
    ("transits_ms", "schedule_ms", "advice"),
    [
        (PUNCTUAL, 7, Advice.KEEP),  # exactly in time, and nothing moves
        (PUNCTUAL, 31, Advice.KEEP),
        (PUNCTUAL, 33, Advice.SHORTEN),
        (SHAKY, 11, Advice.LENGTHEN_NOW),
        (SHAKY, 13, Advice.LENGTHEN),
        (SHAKY, 17, Advice.KEEP),
        (SHAKY, 36, Advice.KEEP),
        (SHAKY, 38, Advice.SHORTEN),
        (ONE_IN_A_HUNDRED, 33, Advice.SHORTEN),  # rare ones do not hold up the others
        (THREE_IN_A_HUNDRED, 33, Advice.LENGTHEN_NOW),
        ([7.0] * 49, 100, Advice.KEEP),  # too early to shorten it
        ([7.0] * 50, 100, Advice.SHORTEN),
        ([7.0, 12.0] * 5, 7, Advice.LENGTHEN_NOW),
        ([7.0, 12.0] * 4, 7, Advice.KEEP),
        ([], 100, Advice.KEEP),
    ],
)
def test_advice(transits_ms: list[float], schedule_ms: float, advice: Advice) -> None:
    assert after(transits_ms).advice(schedule_ms * MS) is advice
    with_minimum = after(transits_ms, min_delay_s=0.04)
    assert with_minimum.advice((schedule_ms + 40) * MS) is advice


def test_only_the_last_five_seconds_count() -> None:
    assert after([90.0] * 100 + [7.0] * 250).advice(33 * MS) is Advice.SHORTEN


def test_jitter_as_rtcp_reports_it() -> None:
    assert after(PUNCTUAL).jitter_s == 0
    assert after([7.0, 12.0] * 200).jitter_s == pytest.approx(5 * MS, rel=0.01)
    # RFC 3550 appendix A.8: one change of 16 ms moves it by 1 ms.
    assert after([0.0, 16.0]).jitter_s == pytest.approx(1 * MS)


def test_after_a_jump_nothing_is_known() -> None:
    delay = after(SHAKY)
    before = delay.jitter_s
    delay.forget()
    assert delay.advice(100 * MS) is Advice.KEEP
    delay.note(5000.0)
    assert delay.jitter_s == before
