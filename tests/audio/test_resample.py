"""The resampler, measured: what comes through, what does not, when, and never differently."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.frame import PCM16_RATES_HZ, Samples, pcm16
from voxpy.audio.resample import Resampler

PAIRS = list(permutations(PCM16_RATES_HZ, 2))
AMPLITUDE = 20000.0
TRANSITION_HZ = 600.0

Floats = npt.NDArray[np.float64]


def tone(tone_hz: float, rate_hz: int, *, frames: int, delay_s: float = 0.0) -> Floats:
    n = np.arange(frames * pcm16(rate_hz).frame_samples)
    return np.asarray(AMPLITUDE * np.sin(2 * np.pi * tone_hz * (n / rate_hz - delay_s)))


def level_db(signal: Floats) -> float:
    """Return the level against a tone of AMPLITUDE."""
    rms = float(np.sqrt(np.mean(np.square(signal, dtype=float))))
    return 20 * float(np.log10(max(rms, 1e-9) / (AMPLITUDE / np.sqrt(2))))


def through(from_hz: int, to_hz: int, signal: Floats) -> Samples:
    return Resampler(from_hz, to_hz).process(np.rint(signal).astype(np.int16))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_the_pass_band_arrives_unchanged_2_ms_later(from_hz: int, to_hz: int) -> None:
    edge_hz = min(from_hz, to_hz) / 2 - TRANSITION_HZ
    settled = pcm16(to_hz).frame_samples
    for tone_hz in np.linspace(100, edge_hz, 12):
        out = through(from_hz, to_hz, tone(tone_hz, from_hz, frames=6))
        expected = tone(tone_hz, to_hz, frames=6, delay_s=0.002)
        # One number for gain, delay and images: all that differs from the delayed tone itself.
        assert level_db((expected - out)[settled:]) < -70, tone_hz


@pytest.mark.parametrize(("from_hz", "to_hz"), [p for p in PAIRS if p[0] > p[1]])
def test_what_would_alias_is_gone(from_hz: int, to_hz: int) -> None:
    settled = pcm16(to_hz).frame_samples
    for tone_hz in np.linspace(to_hz / 2 + TRANSITION_HZ, from_hz / 2 - 50, 25):
        out = through(from_hz, to_hz, tone(tone_hz, from_hz, frames=6))
        assert level_db(out[settled:].astype(float)) < -70, tone_hz


def test_at_the_edge_of_the_telephone_band_and_beyond() -> None:
    def gain_db(tone_hz: float) -> float:
        return level_db(through(24000, 8000, tone(tone_hz, 24000, frames=10))[160:].astype(float))

    assert gain_db(3400) == pytest.approx(0, abs=0.01)
    assert gain_db(4000 - 1e-3) < -3  # half the lower rate is where it falls
    assert gain_db(4600) < -73


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_full_scale_sweep_leaves_nothing_but_itself(from_hz: int, to_hz: int) -> None:
    """Every frequency at full level through the whole band at once: 70 dB between it and the rest.

    The sweep ends 600 Hz below half the lower rate; whatever stands above 600 Hz beyond that half
    is an image or an alias of it.
    """
    half_hz = min(from_hz, to_hz) / 2
    out = through(from_hz, to_hz, sweep(from_hz, 20, half_hz - TRANSITION_HZ)).astype(float)
    peak_hz, spectrum = spectrum_of(out, to_hz)
    above = spectrum[peak_hz > half_hz + TRANSITION_HZ]
    if len(above):
        assert 20 * np.log10(above.max() / spectrum.max()) < -70
    if from_hz > to_hz:  # and what lies above the lower band must not come down into it
        gone = through(from_hz, to_hz, sweep(from_hz, half_hz + TRANSITION_HZ, from_hz / 2 - 50))
        assert 20 * np.log10(np.abs(gone.astype(float)).max() / 32767) < -70


def sweep(rate_hz: int, from_hz: float, to_hz: float) -> Floats:
    t = np.arange(2 * rate_hz) / rate_hz
    phase = 2 * np.pi * (from_hz * t + (to_hz - from_hz) * t**2 / (2 * t[-1]))
    edge = np.minimum(1, 10 * np.minimum(t, t[::-1]))
    swell = np.sin(np.pi / 2 * edge) ** 2  # switched on at once it would be wider than it is
    return np.asarray(32767 * swell * np.sin(phase))


def spectrum_of(signal: Floats, rate_hz: int) -> tuple[Floats, Floats]:
    """Return frequencies and, per frequency, the highest magnitude it had in any 40 ms."""
    n = rate_hz // 25
    rows = np.lib.stride_tricks.sliding_window_view(signal, n)[:: n // 2]
    magnitudes = np.abs(np.fft.rfft(rows * np.kaiser(n, 12), axis=1)).max(axis=0)
    return np.asarray(np.fft.rfftfreq(n, 1 / rate_hz), float), np.asarray(magnitudes, float)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_constant_stays_exactly_constant(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    constant = np.full(pcm16(from_hz).frame_samples, -12345, np.int16)
    resampler.process(constant)
    out = resampler.process(constant)
    assert out.dtype == np.int16
    assert out.tolist() == [-12345] * pcm16(to_hz).frame_samples
    assert resampler.delay_s == 0.002


@given(
    st.sampled_from([(8000, 24000), (24000, 8000), (44100, 48000), (48000, 16000)]),
    st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_how_the_stream_is_cut_makes_no_difference(
    rates: tuple[int, int], chunks: list[int], seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(-32768, 32768, sum(chunks))
    samples = noise.astype(np.int16)
    at_once = Resampler(*rates).process(samples)
    resampler = Resampler(*rates)
    parts, taken, given = [], 0, 0
    for n in chunks:
        reused = samples[taken : taken + n].copy()
        parts.append(resampler.process(reused))
        reused[:] = 1  # what was handed over is the caller's again
        taken, given = taken + n, given + len(parts[-1])
        whole_frames = taken // pcm16(rates[0]).frame_samples
        assert given == whole_frames * pcm16(rates[1]).frame_samples
    assert np.concatenate(parts).tobytes() == at_once.tobytes()


def test_reset_forgets_what_waits_for_the_rest_of_its_frame() -> None:
    resampler = Resampler(8000, 24000)
    assert len(resampler.process(np.full(159, 9000, np.int16))) == 0
    resampler.reset()
    assert resampler.process(np.zeros(160, np.int16)).tolist() == [0] * 480


def test_overshoot_saturates_instead_of_wrapping() -> None:
    square = np.where(np.arange(8 * 160) % 40 < 20, 32767, -32768).astype(np.int16)
    out = Resampler(8000, 24000).process(square)[480:]
    assert out.max() == 32767
    assert out.min() == -32768
    # 2 ms later, away from the edges, every sample still has the sign of the square.
    late = np.roll(np.repeat(square, 3), 48)[480:]
    plateau = np.roll(late, 6) == np.roll(late, -6)
    assert np.all(np.sign(out[plateau]) == np.sign(late[plateau]))


def test_reset_forgets_and_instances_share_nothing() -> None:
    loud = np.full(160, 30000, np.int16)
    quiet = np.zeros(160, np.int16)
    one, other = Resampler(8000, 24000), Resampler(8000, 24000)
    one.process(loud)
    assert not other.process(quiet).any()
    assert one.process(quiet).any()  # the tail of what came before
    one.process(loud)
    one.reset()
    assert not one.process(quiet).any()


def test_equal_rates_pass_through() -> None:
    resampler = Resampler(16000, 16000)
    samples = np.arange(320).astype(np.int16)
    assert resampler.process(samples) is samples
    assert resampler.delay_s == 0.0
    resampler.reset()


def test_results_are_not_overwritten_by_the_next_frame() -> None:
    resampler = Resampler(8000, 24000)
    first = resampler.process(np.full(160, 5000, np.int16))
    kept = first.copy()
    resampler.process(np.full(160, -5000, np.int16))
    assert np.array_equal(first, kept)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="22050 Hz: expected one of 8000, 16000"):
        Resampler(22050, 8000)
