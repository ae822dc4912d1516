"""Dialling tones: DTMF as ITU-T Q.23 defines it."""

from __future__ import annotations

import numpy as np

from voxpy.audio.frame import Samples

_ROWS_HZ = (697, 770, 852, 941)
_COLUMNS_HZ = (1209, 1336, 1477, 1633)
_KEYPAD = ("123A", "456B", "789C", "*0#D")

DTMF_HZ: dict[str, tuple[int, int]] = {
    key: (row_hz, column_hz)
    for keys, row_hz in zip(_KEYPAD, _ROWS_HZ, strict=True)
    for key, column_hz in zip(keys, _COLUMNS_HZ, strict=True)
}
"""The two frequencies of every key (ITU-T Q.23)."""

PAUSE_MS = 500
"""How long ``p`` waits."""

# Switched on at once, a tone clicks over the whole band; 5 ms of cosine prevent it and are too
# short to be missed by a detector that wants 40 ms of tone (ITU-T Q.24).
_EDGE_S = 0.005
# Two equal tones peak at twice their common RMS: above half of full scale they would clip.
_LOUDEST_DBFS = -6.1


def dtmf(
    digits: str,
    *,
    rate_hz: int = 8000,
    tone_ms: float = 100,
    gap_ms: float = 100,
    level_dbfs: float = -10.0,
) -> Samples:
    """Return ``digits`` (``0-9 * # A-D``, and ``p`` for a pause of 500 ms) as sound.

    Every digit is ``tone_ms`` of both tones, equally loud and together at ``level_dbfs`` (RMS),
    then ``gap_ms`` of silence, the last one too, so that results can be joined. The length is a
    whole number of samples, not of frames. Raises ValueError naming the first character that is
    no digit, for a negative duration and for a level above -6.1 dBFS, where it would clip.
    """
    _check(digits, tone_ms, gap_ms, level_dbfs)
    parts = [
        np.zeros(round(PAUSE_MS * rate_hz / 1000), np.int16)
        if digit == "p"
        else np.pad(
            _tone(DTMF_HZ[digit], rate_hz, round(tone_ms * rate_hz / 1000), level_dbfs),
            (0, round(gap_ms * rate_hz / 1000)),
        )
        for digit in digits
    ]
    return np.concatenate([np.empty(0, np.int16), *parts])


def _check(digits: str, tone_ms: float, gap_ms: float, level_dbfs: float) -> None:
    for position, digit in enumerate(digits):
        if digit != "p" and digit not in DTMF_HZ:
            raise ValueError(
                f"{digit!r} at position {position} of {digits!r} cannot be dialled: "
                "expected 0-9, *, #, A-D or p for a pause"
            )
    if tone_ms < 0 or gap_ms < 0:
        raise ValueError(f"tone_ms={tone_ms}, gap_ms={gap_ms}: a duration cannot be negative")
    if level_dbfs > _LOUDEST_DBFS:
        raise ValueError(f"level_dbfs={level_dbfs} would clip: at most {_LOUDEST_DBFS}")


def _tone(tones_hz: tuple[int, int], rate_hz: int, n_samples: int, level_dbfs: float) -> Samples:
    amplitude = 32768.0 * 10 ** (level_dbfs / 20)
    time_s = np.arange(n_samples) / rate_hz
    both = sum(np.sin(2 * np.pi * tone_hz * time_s) for tone_hz in tones_hz)
    edge = min(round(_EDGE_S * rate_hz), n_samples // 2)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / max(edge, 1))
    shape = np.concatenate([rise, np.ones(n_samples - 2 * edge), rise[::-1]])
    samples: Samples = np.rint(amplitude * both * shape).astype(np.int16)
    return samples
