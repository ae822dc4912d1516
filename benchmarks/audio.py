"""What the audio ring costs: microseconds per 20 ms frame, next to a bare numpy floor.

Run ``python benchmarks/audio.py``. The floor is what any path through numpy pays, a frame from
bytes to an array and back; ratios to it can be compared between machines, microseconds cannot.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

import numpy as np

from voxpy.audio.convert import Converter
from voxpy.audio.frame import PCMA, PCMU, pcm16
from voxpy.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from voxpy.audio.line import Line
from voxpy.audio.mix import audible, gain, mix, rms_dbfs
from voxpy.audio.resample import Resampler

Stage = Callable[[], object]
ROUNDS = 7
CALLS = 1000

WIDE = pcm16(24000)
NARROW = pcm16(8000)
RATE_PAIRS_HZ = (
    (8000, 24000),
    (24000, 8000),
    (8000, 16000),
    (16000, 8000),
    (16000, 24000),
    (48000, 24000),
    (24000, 48000),
    (44100, 48000),
)


def stages() -> dict[str, Stage]:
    """Return every stage as a call that processes one frame of noise."""
    rng = np.random.default_rng(1)
    narrow = (3000 * rng.standard_normal(160)).astype(np.int16)
    wide = (3000 * rng.standard_normal(480)).astype(np.int16)
    ulaw, alaw = encode_ulaw(narrow), encode_alaw(narrow)
    wide_bytes = wide.tobytes()
    up, down = Converter(PCMU, WIDE), Converter(WIDE, PCMU)
    laws, same = Converter(PCMU, PCMA), Converter(PCMU, PCMU)
    line, bad_line = Line(), Line(loss=0.02, jitter_ms=20, noise_dbfs=-50)
    found: dict[str, Stage] = {
        "floor: bytes -> array -> bytes, 480 samples": lambda: np.frombuffer(
            wide_bytes, np.int16
        ).tobytes(),
        "decode mu-law": lambda: decode_ulaw(ulaw),
        "encode mu-law": lambda: encode_ulaw(narrow),
        "decode A-law": lambda: decode_alaw(alaw),
        "encode A-law": lambda: encode_alaw(narrow),
        "convert pcmu/8000 -> pcm16/24000": lambda: up.convert(ulaw),
        "convert pcm16/24000 -> pcmu/8000": lambda: down.convert(wide_bytes),
        "convert pcmu -> pcma": lambda: laws.convert(ulaw),
        "convert pcmu -> pcmu": lambda: same.convert(ulaw),
        "mix 2 x 480": lambda: mix(wide, wide),
        "mix 5 x 480": lambda: mix(wide, wide, wide, wide, wide),
        "gain 480": lambda: gain(wide, 0.5),
        "rms_dbfs 480": lambda: rms_dbfs(wide),
        "audible pcmu, noise": lambda: audible(ulaw, PCMU),
        "audible pcmu, silence": lambda: audible(PCMU.silence, PCMU),
        "audible pcm16/24000, noise": lambda: audible(wide_bytes, WIDE),
        "line, perfect": lambda: line.carry(ulaw),
        "line, loss + jitter + noise": lambda: bad_line.carry(ulaw),
    }
    for from_hz, to_hz in RATE_PAIRS_HZ:
        found[f"resample {from_hz} -> {to_hz}"] = resample(from_hz, to_hz)
    return found


def resample(from_hz: int, to_hz: int) -> Stage:
    resampler = Resampler(from_hz, to_hz)
    samples = np.random.default_rng(1).integers(-9000, 9000, pcm16(from_hz).frame_samples)
    frame = samples.astype(np.int16)
    return lambda: resampler.process(frame)


def microseconds(stage: Stage) -> float:
    """Return the best of ROUNDS: what disturbs a measurement only ever adds to it."""
    return min(timeit.repeat(stage, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    table = {name: microseconds(stage) for name, stage in stages().items()}
    floor_us = next(iter(table.values()))
    print(f"{'stage, per 20 ms frame':<46}{'us':>8}{'x floor':>9}")
    for name, cost_us in table.items():
        print(f"{name:<46}{cost_us:>8.2f}{cost_us / floor_us:>9.1f}")


if __name__ == "__main__":
    main()
