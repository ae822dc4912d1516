"""The DTMF detector against ITU-T Q.24: what it must hear, what it must not, and exactly when."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.audio.dtmf import DTMF_RATES_HZ, DigitBegan, DigitEnded, DtmfDetector
from voxpy.audio.frame import Samples
from voxpy.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from voxpy.audio.tones import DTMF_HZ, dtmf

ALL = "123A456B789C*0#D"
Floats = npt.NDArray[np.float64]
FULL_SCALE_DBM0 = 3.14


def amplitude(dbm0: float) -> float:
    return float(32768 * 10 ** ((dbm0 - FULL_SCALE_DBM0) / 20))


def silence(ms: float, rate_hz: int) -> Floats:
    return np.zeros(round(ms * rate_hz / 1000))


def tones(
    digit: str,
    ms: float,
    rate_hz: int,
    *,
    dbm0: tuple[float, float] = (-10, -10),
    off: tuple[float, float] = (0, 0),
    phases: tuple[float, float] = (0.3, 1.1),
) -> Floats:
    """Return both tones, hard switched; ``off`` is how far their frequencies are, as a share."""
    time_s = np.arange(round(ms * rate_hz / 1000)) / rate_hz
    parts = [
        amplitude(level) * np.sin(2 * np.pi * hz * (1 + wrong) * time_s + phase)
        for hz, level, wrong, phase in zip(DTMF_HZ[digit], dbm0, off, phases, strict=True)
    ]
    return np.asarray(sum(parts))


def pcm(sound: Floats) -> Samples:
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def heard(samples: Samples, rate_hz: int) -> list[DigitBegan | DigitEnded]:
    detector = DtmfDetector(rate_hz)
    after = np.zeros(rate_hz // 5, np.int16)
    return detector.process(samples) + detector.process(after)


def digits(samples: Samples, rate_hz: int) -> str:
    events = heard(samples, rate_hz)
    began = [e.digit for e in events if isinstance(e, DigitBegan)]
    assert began == [e.digit for e in events if isinstance(e, DigitEnded)]
    return "".join(began)


def dialled(
    rng: np.random.Generator,
    rate_hz: int,
    *,
    tone_ms: float = 40,
    gap_ms: float = 40,
    dbm0: tuple[float, float] = (-10, -10),
    off: float = 0.0,
    noise_db: float | None = None,
) -> tuple[str, Samples]:
    """Dial all 16 keys in random order, at random moments, with random phases and signs."""
    keys = "".join(rng.permutation(list(ALL)))
    parts = [silence(rng.uniform(20, 60), rate_hz)]
    for key in keys:
        wrong = off * rng.choice([-1.0, 1.0]), off * rng.choice([-1.0, 1.0])
        phases = rng.uniform(0, 6.3), rng.uniform(0, 6.3)
        parts.append(tones(key, tone_ms, rate_hz, dbm0=dbm0, off=wrong, phases=phases))
        parts.append(silence(gap_ms + rng.uniform(0, 5), rate_hz))
    sound = np.concatenate(parts)
    if noise_db is not None:
        power = sum(amplitude(level) ** 2 / 2 for level in dbm0) * 10 ** (-noise_db / 10)
        sound += rng.standard_normal(len(sound)) * np.sqrt(power)
    return keys, pcm(sound)


HEARD = {
    "40 ms and pauses of 40 ms": {},
    "noise 15 dB below": {"noise_db": 15.0},
    "1.5 % off": {"off": 0.015},
    "1.5 % off in noise": {"off": 0.015, "noise_db": 15.0},
    "high tone 4 dB louder": {"dbm0": (-14.0, -10.0)},
    "high tone 8 dB softer": {"dbm0": (-10.0, -18.0)},
    "all at once, softer tone": {"dbm0": (-10.0, -18.0), "off": 0.015, "noise_db": 15.0},
    "all at once, louder tone": {"dbm0": (-14.0, -10.0), "off": 0.015, "noise_db": 15.0},
    "0 dBm0, which clips": {"dbm0": (0.0, 0.0)},
    "-30 dBm0": {"dbm0": (-30.0, -30.0)},
    "held for a second": {"tone_ms": 1000.0},
}
NOT_HEARD = {
    "3.5 % off": {"off": 0.035, "tone_ms": 100.0},
    "3.5 % off in noise": {"off": 0.035, "tone_ms": 100.0, "noise_db": 15.0},
    "22.9 ms": {"tone_ms": 22.9, "gap_ms": 60.0},
    "22.9 ms in noise": {"tone_ms": 22.9, "gap_ms": 60.0, "noise_db": 15.0},
    "only the low tones": {"dbm0": (-10.0, -60.0), "tone_ms": 100.0},
    "only the high tones": {"dbm0": (-60.0, -10.0), "tone_ms": 100.0},
    "too soft": {"dbm0": (-45.0, -45.0), "tone_ms": 100.0},
    "tones as loud as noise": {"noise_db": 0.0, "tone_ms": 100.0},
}


@pytest.mark.parametrize("rate_hz", DTMF_RATES_HZ)
@pytest.mark.parametrize("how", HEARD)
def test_what_must_be_heard(how: str, rate_hz: int) -> None:
    rng = np.random.default_rng(len(how))
    for _ in range(2):
        keys, samples = dialled(rng, rate_hz, **HEARD[how])  # type: ignore[arg-type]
        assert digits(samples, rate_hz) == keys


@pytest.mark.parametrize("rate_hz", DTMF_RATES_HZ)
@pytest.mark.parametrize("how", NOT_HEARD)
def test_what_must_not_be_heard(how: str, rate_hz: int) -> None:
    rng = np.random.default_rng(len(how))
    for _ in range(2):
        _, samples = dialled(rng, rate_hz, **NOT_HEARD[how])  # type: ignore[arg-type]
        assert digits(samples, rate_hz) == ""


@pytest.mark.parametrize("wrong", [(0.035, 0.0), (0.0, 0.035), (-0.035, 0.0), (0.0, -0.035)])
@pytest.mark.parametrize("key", ALL)
def test_one_tone_off_is_enough_to_refuse(key: str, wrong: tuple[float, float]) -> None:
    sound = np.concatenate([silence(33, 8000), tones(key, 100, 8000, off=wrong)])
    assert digits(pcm(sound), 8000) == ""


@pytest.mark.parametrize("law", [(encode_ulaw, decode_ulaw), (encode_alaw, decode_alaw)])
def test_g711_does_not_matter(law: tuple[object, object]) -> None:
    encode, decode = law
    rng = np.random.default_rng(4)
    for level in (-3.0, -30.0):
        keys, samples = dialled(rng, 8000, dbm0=(level, level))
        assert digits(decode(encode(samples)), 8000) == keys  # type: ignore[operator]


@settings(max_examples=60)
@given(
    st.text(ALL, min_size=1, max_size=4),
    st.lists(st.integers(1, 700), min_size=1, max_size=8),
    st.sampled_from(DTMF_RATES_HZ),
    st.integers(0, 2**32 - 1),
)
def test_any_cuts_give_the_same_events(keys: str, cuts: list[int], rate_hz: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = dtmf(keys, rate_hz=rate_hz, tone_ms=60, gap_ms=50) + pcm(
        rng.standard_normal(rate_hz * 110 * len(keys) // 1000) * 30
    )
    sound = np.concatenate([sound, np.zeros(rate_hz // 5, np.int16)])
    whole = DtmfDetector(rate_hz).process(sound)
    pieces: list[list[DigitBegan | DigitEnded]] = []
    detector, at = DtmfDetector(rate_hz), 0
    while at < len(sound):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(detector.process(sound[at : at + size]))
        at += size
    assert [e for piece in pieces for e in piece] == whole
    assert "".join(e.digit for e in whole if isinstance(e, DigitBegan)) == keys


@pytest.mark.parametrize("rate_hz", DTMF_RATES_HZ)
@pytest.mark.parametrize("ms", [40, 65, 100, 333])
def test_when_and_how_long(ms: int, rate_hz: int) -> None:
    for start_ms in (30, 101.5, 207.3):
        sound = pcm(np.concatenate([silence(start_ms, rate_hz), tones("7", ms, rate_hz)]))
        began, ended = heard(sound, rate_hz)
        assert isinstance(began, DigitBegan)
        assert isinstance(ended, DigitEnded)
        assert began.start_s == ended.start_s == pytest.approx(start_ms / 1000, abs=0.003)
        assert ended.duration_s == pytest.approx(ms / 1000, abs=0.005)


def test_a_digit_is_told_within_65_ms_of_its_beginning() -> None:
    for start in range(0, 160, 3):
        detector = DtmfDetector(8000)
        sound = pcm(np.concatenate([np.zeros(start), tones("3", 200, 8000)]))
        listened = 0
        while detector.held is None:
            detector.process(sound[listened : listened + 160])
            listened += 160
        assert 31 * 8 < listened - start <= 65 * 8


@pytest.mark.parametrize("gap_ms", [2, 5, 10])
def test_an_interruption_of_10_ms_does_not_press_twice(gap_ms: float) -> None:
    for start_ms in range(30, 50, 3):
        sound = [silence(start_ms, 8000), tones("5", 50, 8000), silence(gap_ms, 8000)]
        began, ended = heard(pcm(np.concatenate([*sound, tones("5", 50, 8000)])), 8000)
        assert isinstance(ended, DigitEnded)
        assert ended.duration_s == pytest.approx(0.1 + gap_ms / 1000, abs=0.006)
        assert began.digit == "5"


def test_a_pause_of_40_ms_makes_two_presses_of_the_same_key() -> None:
    for start_ms in range(30, 50, 3):
        sound = [silence(start_ms, 8000), tones("5", 40, 8000), silence(40, 8000)]
        assert digits(pcm(np.concatenate([*sound, tones("5", 40, 8000)])), 8000) == "55"


def test_another_key_needs_no_pause() -> None:
    sound = np.concatenate([silence(30, 8000), tones("5", 60, 8000), tones("9", 60, 8000)])
    first, end, second, _ = heard(pcm(sound), 8000)
    assert (first.digit, end.digit, second.digit) == ("5", "5", "9")
    assert isinstance(end, DigitEnded)
    assert second.start_s == pytest.approx(end.start_s + end.duration_s, abs=0.01)


PROGRESS_HZ = {
    "US dial tone": (350, 440),
    "US ring-back": (440, 480),
    "US busy": (480, 620),
    "EU dial tone": (425,),
    "UK ring-back": (400, 450),
    "a modem": (1200, 2200),
    "two keys of one row": (697, 770, 1209),
    "two keys of one column": (697, 1209, 1336),
}


@pytest.mark.parametrize("name", PROGRESS_HZ)
def test_other_tones_are_no_digits(name: str) -> None:
    time_s = np.arange(8000) / 8000
    waves = [amplitude(-12) * np.sin(2 * np.pi * hz * time_s) for hz in PROGRESS_HZ[name]]
    assert digits(pcm(np.asarray(sum(waves))), 8000) == ""


def test_noise_and_silence_are_no_digits() -> None:
    rng = np.random.default_rng(9)
    for level in (0.0, 1.0, 300.0, 12_000.0):
        assert digits(pcm(level * rng.standard_normal(8000 * 20)), 8000) == ""


def test_a_beginning_is_suspected_in_the_first_frame_or_the_second() -> None:
    suspected = []
    for start in range(0, 160, 4):
        detector = DtmfDetector(8000)
        sound = pcm(np.concatenate([np.zeros(320 + start), tones("8", 100, 8000)]))
        looks = []
        for frame in sound[:960].reshape(-1, 160):
            detector.process(frame)
            looks.append(detector.looks_like_a_digit)
        suspected.append(looks.index(True))
        assert all(looks[looks.index(True) :])
    assert set(suspected) == {2, 3}


def test_other_rates_are_refused() -> None:
    for rate_hz in (0, 11025, 48000):
        with pytest.raises(ValueError, match="expected 8000 or 16000 Hz"):
            DtmfDetector(rate_hz)
