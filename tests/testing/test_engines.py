"""Speech made of tones: heard as said, through whatever a line does to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import Converter, decode, encode
from voxpy.audio.frame import PCMU, pcm16
from voxpy.audio.line import Line
from voxpy.audio.resample import Resampler
from voxpy.channels.simulated import Transmission
from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import TONES, Airwaves, ToneEars, ToneVoice

Samples = npt.NDArray[np.int16]
WORDS = st.lists(st.sampled_from("yes no maybe one two three".split()), min_size=1, max_size=12)


def speak(air: Airwaves, text: str, speed: float = 1.0) -> Samples:
    (samples,) = ToneVoice(air).speak(text, speaker="any", speed=speed)
    return samples


def to_ear(samples: Samples) -> Samples:
    return Resampler(24000, 16000).process(samples)


@given(texts=st.lists(WORDS.map(" ".join), min_size=1, max_size=6, unique=True))
def test_what_is_said_is_heard(texts: list[str]) -> None:
    air = Airwaves()
    ears = ToneEars(air)
    gap = np.zeros(4800, np.int16)
    for text in texts:
        assert ears.transcribe(to_ear(speak(air, text))) == text
    whole = np.concatenate([part for text in texts for part in (speak(air, text), gap)])
    assert ears.transcribe(to_ear(whole)) == " ".join(texts)


def test_every_tone_survives_a_telephone_line() -> None:
    air = Airwaves()
    ears = ToneEars(air)
    for n in range(TONES):
        up = Converter(pcm16(24000), PCMU)
        line = Transmission(Line(noise_dbfs=-50.0, jitter_ms=5.0, seed=n))
        coded = up.convert(encode(speak(air, f"text number {n}"), pcm16(24000)))
        frames = [line.carry(coded[i : i + 160]) for i in range(0, len(coded), 160)]
        carried = b"".join(frame or PCMU.silence for frame in frames)
        heard = Resampler(8000, 16000).process(decode(carried, PCMU))
        assert ears.transcribe(heard) == f"text number {n}"


def test_the_oldest_text_gives_up_its_tone() -> None:
    air = Airwaves()
    first = air.tone_hz("text 0")
    for n in range(1, TONES):
        assert air.tone_hz(f"text {n}") != first
    assert air.tone_hz("one more") == first
    assert air.text(first) == "one more"


@pytest.mark.parametrize(("share", "words"), [(0.95, 10), (0.5, 5), (0.25, 2), (0.01, 0)])
def test_a_text_cut_short_is_heard_in_part(share: float, words: int) -> None:
    air = Airwaves()
    text = "one two three four five six seven eight nine ten"
    samples = to_ear(speak(air, text))
    heard = ToneEars(air).transcribe(samples[: int(len(samples) * share)])
    assert heard == " ".join(text.split()[:words])


def test_silence_is_nothing() -> None:
    assert ToneEars(Airwaves()).transcribe(np.zeros(16000, np.int16)) == ""
    assert ToneEars(Airwaves()).transcribe(np.zeros(0, np.int16)) == ""


def test_speed_shortens() -> None:
    air = Airwaves()
    slow, fast = speak(air, "one two three four"), speak(air, "one two three four", 2.0)
    assert len(slow) == pytest.approx(2 * len(fast), abs=480)
    assert len(fast) % 480 == 0


async def collect(responder: ScriptedResponder, turn: Turn) -> list[Act]:
    return [act async for act in responder.respond(turn)]


async def test_a_script_of_lines_and_acts() -> None:
    responder = ScriptedResponder(["one", CallTool("t", {})])
    turns = [Turn(instructions=str(n)) for n in range(3)]
    assert await collect(responder, turns[0]) == [Say("one")]
    assert await collect(responder, turns[1]) == [CallTool("t", {})]
    assert await collect(responder, turns[2]) == [Say("The script is over.")]
    assert responder.turns == turns


async def test_a_script_that_is_a_function() -> None:
    responder = ScriptedResponder(lambda turn: [Say(turn.instructions), Say("!")])
    assert await collect(responder, Turn(instructions="hi")) == [Say("hi"), Say("!")]
