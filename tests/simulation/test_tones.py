"""Speech made of tones: heard as said, through whatever a line does to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.audio.convert import Converter, decode, encode
from voxpy.audio.frame import PCMU, pcm16
from voxpy.audio.line import Line
from voxpy.audio.resample import Resampler
from voxpy.channels.simulated import Transmission
from voxpy.engine.speech import Recognised
from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import GROUPS_HZ, SOUND, TONES, Airwaves, ToneEars, ToneVoice

Samples = npt.NDArray[np.int16]
WORDS = st.lists(st.sampled_from("yes no maybe one two three".split()), min_size=1, max_size=12)


def speak(air: Airwaves, text: str, speed: float = 1.0) -> Samples:
    (samples,) = ToneVoice(air).speak(text, speaker="any", speed=speed)
    return samples


def to_ear(samples: Samples) -> Samples:
    return Resampler(24000, 16000).process(samples)


@settings(deadline=None)
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


def test_the_oldest_text_gives_up_its_chord() -> None:
    air = Airwaves()
    first = air.tones_hz("text 0")
    for n in range(1, TONES):
        assert air.tones_hz(f"text {n}") != first
    assert air.tones_hz("one more") == first
    assert ToneEars(air).transcribe(to_ear(speak(air, "one more"))) == "one more"
    assert "text 0" not in air.known().values()


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


# -- sounds that are not ours ----------------------------------------------------------------------


def sine(hz: float, seconds: float, level: float = 6000.0) -> Samples:
    phase = 2 * np.pi * hz * np.arange(round(seconds * 16000)) / 16000
    wave: npt.NDArray[np.float64] = level * np.sin(phase)
    return wave.astype(np.int16)


def mixed(*parts: Samples) -> Samples:
    whole: npt.NDArray[np.float64] = np.sum([part.astype(np.float64) for part in parts], axis=0)
    return whole.astype(np.int16)


def music(lots: np.random.Generator) -> Samples:
    """Chords of notes with their harmonics, a few a second."""
    bars = []
    for _ in range(int(lots.integers(1, 8))):
        seconds = float(lots.uniform(0.15, 0.8))
        notes = [220 * 2 ** (int(n) / 12) for n in lots.integers(0, 37, int(lots.integers(1, 5)))]
        level = 9000 / len(notes)
        bars.append(
            mixed(
                *(sine(note, seconds, level) for note in notes),
                *(sine(2 * note, seconds, level * float(lots.uniform(0, 1))) for note in notes),
                *(sine(3 * note, seconds, level * float(lots.uniform(0, 0.6))) for note in notes),
            )
        )
    return np.concatenate(bars)


def tones(lots: np.random.Generator) -> Samples:
    """One to four tones of any frequency, perhaps in bursts: what exchanges and machines send."""
    count = int(lots.integers(1, 5))
    sound = mixed(*(sine(float(lots.uniform(300, 3400)), 2.0, 9000 / count) for _ in range(count)))
    if lots.random() < 0.5:
        sound[::16000] = 0
        sound.reshape(20, -1)[:: int(lots.integers(2, 5))] = 0
    return sound


def our_tones(lots: np.random.Generator) -> Samples:
    """One or two of our own tones, or three that do not go together."""
    all_hz = [hz for group in GROUPS_HZ for hz in group]
    count = int(lots.integers(1, 3))
    return mixed(*(sine(float(hz), 1.5, 9000 / count) for hz in lots.choice(all_hz, count, False)))


def noise(lots: np.random.Generator) -> Samples:
    """White, brown, or hum, louder than speech or not."""
    white = lots.normal(0, float(lots.uniform(500, 8000)), 32000)
    if lots.random() < 0.5:
        white = np.convolve(white, np.ones(8) / 8, "same") * 2
    return white.clip(-32768, 32767).astype(np.int16)


def voice(lots: np.random.Generator) -> Samples:
    """A voiced sound: a gliding pitch with formants, in syllables."""
    seconds = float(lots.uniform(0.8, 2.0))
    n = np.arange(round(seconds * 16000)) / 16000
    pitch = float(lots.uniform(80, 260)) * (1 + 0.15 * np.sin(2 * np.pi * 1.3 * n))
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    formants = lots.uniform((300, 900, 2200), (900, 2200, 3200))
    sound = np.zeros_like(n)
    for harmonic in range(1, 16):
        near = np.exp(-(((harmonic * pitch.mean() - formants) / 250) ** 2)).sum()
        sound += (0.05 + near) * np.sin(harmonic * phase)
    syllables = np.abs(np.sin(2 * np.pi * float(lots.uniform(1.5, 3)) * n))
    return np.asarray(6000 * sound / np.abs(sound).max() * syllables, np.int16)


def ring_back(lots: np.random.Generator) -> Samples:
    pair = [(440, 480), (425, 425), (400, 450), (350, 440), (480, 620)][int(lots.integers(0, 5))]
    on = mixed(*(sine(hz, 1.0, 4000) for hz in pair))
    return np.concatenate([on, np.zeros(16000, np.int16), on])


@pytest.mark.parametrize("kind", [music, tones, our_tones, noise, voice, ring_back])
def test_sounds_that_are_not_ours_bring_no_word(
    kind: Callable[[np.random.Generator], Samples],
) -> None:
    air = Airwaves()
    for n in range(TONES):
        air.number(f"text number {n} is known")
    ears = ToneEars(air)
    lots = np.random.default_rng(7)
    heard = [ears.transcribe(kind(lots)) for _ in range(170)]
    assert set(heard) <= {SOUND, ""}
    assert heard.count(SOUND) > 100


def test_a_sound_has_no_confidence_and_a_chord_has_all_of_it() -> None:
    air = Airwaves()
    ears = ToneEars(air)
    assert ears.recognise(sine(1000, 1.0)) == Recognised(SOUND, 0.0)
    assert ears.recognise(to_ear(speak(air, "hello"))) == Recognised("hello", 1.0)
    assert ears.recognise(sine(1000, 0.1)) == Recognised("", 0.0)  # a click, or a key


def test_speech_in_noise_and_over_music_is_heard() -> None:
    air = Airwaves()
    ears = ToneEars(air)
    speech = to_ear(speak(air, "one two three four"))
    lots = np.random.default_rng(3)
    noisy = mixed(speech, lots.normal(0, 1500, len(speech)).astype(np.int16))
    assert ears.transcribe(noisy) == "one two three four"
    over = mixed(speech, sine(440, len(speech) / 16000, 3000))
    assert ears.transcribe(np.concatenate([sine(440, 0.5), over])) == "one two three four"
