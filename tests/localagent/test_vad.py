from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.speech import SpeechGate
from voxpy.errors import EngineMissing
from voxpy.localagent.vad import EnergyGate, SileroGate
from voxpy.localagent.voice import Voice
from voxpy.media.vad import FRAME_SAMPLES, RATE_HZ

Audio = npt.NDArray[np.int16]


def silero() -> SileroGate:
    try:
        return SileroGate()
    except EngineMissing as exc:
        pytest.skip(str(exc))


def frames(audio: Audio) -> list[Audio]:
    count = len(audio) // FRAME_SAMPLES
    return list(audio[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES))


def noise(seconds: float, *, level: float, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).normal(0.0, level, int(seconds * RATE_HZ))
    return samples.clip(-32768, 32767).astype(np.int16)


def tones(*frequencies_hz: float) -> Audio:
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    return sum(4000 * np.sin(2 * np.pi * f * t) for f in frequencies_hz).astype(np.int16)  # type: ignore[union-attr]


def share(gate: SpeechGate, audio: Audio) -> float:
    """Return how much of ``audio`` the gate takes for speech."""
    heard = [gate.probability(frame) > 0.5 for frame in frames(audio)]
    return sum(heard) / len(heard)


@pytest.fixture(params=[silero, EnergyGate])
def gate(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_speech_is_heard_and_silence_is_not(
    gate: SpeechGate, voice: Voice, phone_line: Any
) -> None:
    speech = np.concatenate(list(voice.speak("What are your opening hours on Sunday?")))
    line = phone_line.carry(speech, after_ms=1000)
    spoken = slice(int(0.5 * RATE_HZ), len(line) - int(1.1 * RATE_HZ))
    assert share(gate, line[spoken]) > 0.75
    assert share(gate, line[-RATE_HZ // 2 :]) == 0.0


@pytest.mark.parametrize(("low_hz", "high_hz"), [(697, 1209), (941, 1477), (440, 480), (480, 620)])
def test_silero_does_not_take_tones_for_speech(low_hz: float, high_hz: float) -> None:
    assert share(silero(), tones(low_hz, high_hz)) <= 0.05


@pytest.mark.parametrize("level", [30.0, 300.0, 3000.0])
def test_silero_does_not_take_noise_for_speech(level: float) -> None:
    assert share(silero(), noise(2.0, level=level)) <= 0.05


def test_the_energy_gate_gets_used_to_noise() -> None:
    gate = EnergyGate()
    share(gate, noise(8.0, level=300.0))
    assert share(gate, noise(1.0, level=300.0, seed=1)) == 0.0
    assert share(gate, noise(0.3, level=6000.0)) == 1.0


def test_silero_skips_digital_silence_and_forgets(voice: Voice, phone_line: Any) -> None:
    line = frames(phone_line.carry(np.concatenate(list(voice.speak("Hello there."))), after_ms=600))
    used, fresh = silero(), silero()
    expected = [fresh.probability(frame) for frame in line]
    assert [used.probability(frame) for frame in line] == expected
    whisper = np.full(FRAME_SAMPLES, 32, np.int16)
    assert [used.probability(whisper) for _ in range(12)] == [0.0] * 12
    # The network did not see the silence, but answers as at the start of a call.
    assert [used.probability(frame) for frame in line] == expected
    used.reset()
    assert [used.probability(frame) for frame in line] == expected


@pytest.mark.parametrize("count", [0, 511, 513])
def test_other_frame_sizes_are_refused(gate: SpeechGate, count: int) -> None:
    with pytest.raises(ValueError, match=f"512 samples, not shape \\({count},\\)"):
        gate.probability(np.zeros(count, np.int16))


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=30))
def test_the_energy_gate_answers_a_probability_for_any_level(levels: list[int]) -> None:
    gate = EnergyGate()
    for level in levels:
        probability = gate.probability(np.full(FRAME_SAMPLES, level, np.int16))
        assert 0.0 <= probability <= 1.0
    gate.reset()
    assert gate.probability(np.zeros(FRAME_SAMPLES, np.int16)) < 0.01
