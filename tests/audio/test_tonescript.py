"""ToneScript: what it means, what it sounds like, and where a mistake is."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.audio.frame import Samples
from voxpy.audio.mix import rms_dbfs
from voxpy.audio.progress import RINGING, ringing
from voxpy.audio.tonescript import (
    RATE_HZ,
    Section,
    Segment,
    Tone,
    ToneGenerator,
    ToneScript,
    parse,
)


def sound(script: str, *, loop: bool = False, seconds: float = math.inf) -> Samples:
    generator = ToneGenerator(parse(script), loop=loop)
    pieces = [np.empty(0, np.int16)]
    while sum(map(len, pieces)) < seconds * RATE_HZ and len(piece := generator.read()):
        pieces.append(piece)
    whole = np.concatenate(pieces)
    return whole if math.isinf(seconds) else whole[: round(seconds * RATE_HZ)]


def strongest(samples: Samples, count: int) -> list[int]:
    """Return the frequencies of the strongest lines, in Hz, lowest first."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=RATE_HZ))
    found = []
    for _ in range(count):
        hz = int(np.argmax(spectrum))
        found.append(hz)
        spectrum[max(0, hz - 20) : hz + 20] = 0
    return sorted(found)


def test_the_examples_of_the_notation() -> None:
    low, high = Tone(350, -19), Tone(440, -19)
    both = Segment(math.inf, 0, (low, high))
    assert parse("350@-19,440@-19;10(*/0/1+2)") == ToneScript((Section(10, (both,)),))
    assert parse("350@-19,440@-19;2(.1/.1/1+2);10(*/0/1+2)") == ToneScript(
        (Section(2, (Segment(0.1, 0.1, (low, high)),)), Section(10, (both,)))
    )
    script = parse("985@-16,1428@-16,1777@-16;20(.380/0/1,.380/0/2,.380/0/3,0/4/0)")
    assert [s.on_s for s in script.sections[0].segments] == [0.38, 0.38, 0.38, 0]
    assert script.sections[0].segments[3].tones == ()
    assert parse(" 425 @ -19.5 ; 5 ( 1 / 4 / 1 ) ").sections[0].segments[0].tones == (
        Tone(425, -19.5),
    )


@pytest.mark.parametrize(
    ("script", "position", "told"),
    [
        ("", 1, "a frequency in Hz"),
        ("425", 4, "'@'"),
        ("425@", 5, "a level"),
        ("425@-19", 8, "';'"),
        ("425@-19;", 9, "the seconds of a section"),
        ("425@-19;5", 10, "'('"),
        ("425@-19;5(1", 12, "'/'"),
        ("425@-19;5(1/4/2)", 15, "0 to 1"),
        ("425@-19;5(1/4/1", 16, "')'"),
        ("425@-19;5(1/4/1)!", 17, "the end"),
        ("4000@-19;5(1/4/1)", 1, "1 to 3999 Hz"),
        ("425@4;5(1/4/1)", 5, "-90 to 3.17 dBm"),
        ("425@-19;5(-1/4/1)", 11, "seconds of tone"),
        ("425@-19;5(0/0/1)", 16, "longer than 0 seconds"),
        ("425@-19;5(0.00001/0/1)", 22, "longer than 0 seconds"),
        ("425@-19;9999(1/4/1)", 9, "at most 3600"),
        (",".join(["425@-19"] * 7) + ";5(1/4/1)", 49, "at most 6 frequencies"),
        ("425@-19;5(" + ",".join(["1/1/1"] * 7) + ")", 47, "at most 6 segments"),
    ],
)
def test_a_mistake_is_named_with_its_place(script: str, position: int, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        parse(script)
    assert f"position {position}:" in str(caught.value)
    assert repr(script) in str(caught.value)


def test_a_script_that_lasts_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="lasts 0 seconds"):
        parse("425@-19;0(1/4/1)")


@given(st.text(alphabet="0123456789@-.,;()/*+ x", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        script = parse(text)
    except ValueError as error:
        told = str(error)
    else:
        told = "position"
        assert script.samples > 0
        assert len(ToneGenerator(script).read()) > 0
    assert "position" in told or "lasts 0 seconds" in told


def test_length_frequency_level_and_cadence() -> None:
    heard = sound("440@-19;4(1/.5/1)")
    assert len(heard) == 4 * RATE_HZ
    second = RATE_HZ
    assert strongest(heard[:second], 1) == [440]
    # -19 dBm0 is 22.17 dB below a full-scale sine, whose RMS is 3.01 dB below full scale.
    assert rms_dbfs(heard[1000 : second - 1000]) == pytest.approx(-25.18, abs=0.05)
    silent = [heard[round(a * second) : round(b * second)] for a, b in ((1, 1.5), (2.5, 3))]
    assert not any(part.any() for part in silent)
    assert heard[round(3.1 * second) : round(3.9 * second)].any()


def test_two_frequencies_are_added() -> None:
    assert strongest(sound("350@-19,440@-19;1(*/0/1+2)"), 2) == [350, 440]


def test_sections_follow_each_other() -> None:
    heard = sound("350@-19,1000@-10;1(*/0/1);.5(*/0/2)")
    assert len(heard) == 1.5 * RATE_HZ
    assert strongest(heard[: RATE_HZ // 2], 1) == [350]
    assert strongest(heard[RATE_HZ:], 1) == [1000]


def largest_step(samples: Samples) -> int:
    return int(np.abs(np.diff(samples.astype(np.int32), 2)).max())


def test_tones_neither_click_nor_break_where_a_pass_ends() -> None:
    steady = sound("437.3@-19;*(*/0/1)", seconds=3)
    smooth = largest_step(steady[100:-100])
    # A pass of 0.7 s holds no whole number of periods of 437.3 Hz.
    assert largest_step(sound("437.3@-19;.7(*/0/1)", loop=True, seconds=3)[100:-100]) == smooth
    assert largest_step(sound("437.3@-19;2(.3/.2/1)")) <= 2 * smooth  # the second difference


def test_an_endless_script_goes_on() -> None:
    assert math.isinf(parse("425@-19;*(1/4/1)").samples)
    assert len(sound("425@-19;*(1/4/1)", seconds=60)) == 60 * RATE_HZ


@given(st.integers(1, 400), st.integers(0, 300), st.integers(1, 2000))
@settings(max_examples=40)
def test_every_cadence_fills_its_section_exactly(on_ms: int, off_ms: int, length_ms: int) -> None:
    script = f"425@-19;{length_ms / 1000}({on_ms / 1000}/{off_ms / 1000}/1)"
    assert len(sound(script)) == round(length_ms / 1000 * RATE_HZ)


# -- ringing tones ---------------------------------------------------------------------------------


@pytest.mark.parametrize("country", RINGING)
def test_every_ringing_tone_is_a_script_without_end(country: str) -> None:
    script = parse(RINGING[country])
    assert math.isinf(script.samples)
    heard = sound(RINGING[country], seconds=1.0)
    assert rms_dbfs(heard) > -35


def test_the_tones_of_some_countries() -> None:
    second = RATE_HZ
    american = sound(ringing("us"), seconds=7)
    assert strongest(american[:second], 2) == [440, 480]
    assert not american[round(2.01 * second) : 6 * second].any()
    assert american[6 * second :].any()
    russian = sound(ringing("RU"), seconds=5)
    assert strongest(russian[: second // 2], 1) == [425]
    assert not russian[round(0.81 * second) : 4 * second].any()
    british = sound(ringing("GB"), seconds=1)
    assert strongest(british[: round(0.4 * second)], 2) == [400, 450]
    assert not british[round(0.41 * second) : round(0.6 * second)].any()


def test_an_unknown_country_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="no ringing tone for 'XX'; known are AT, AU"):
        ringing("XX")
