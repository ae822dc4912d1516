"""Sounds that simulated people make, for the line: 8 kHz, in whole frames; and ears for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxpy.audio.frame import Samples, pcm16
from voxpy.audio.resample import Resampler
from voxpy.audio.wav import read_wav, to_mono
from voxpy.errors import ConfigError
from voxpy.localagent.engines import Engines
from voxpy.simulation.listening import Ears

LINE_HZ = 8000
VOICE_HZ = 24000
EAR_HZ = 16000
BEEP_PEAK = 8000
"""-12 dBFS: as loud as speech, which is what machines do."""
EDGE_SAMPLES = 40  # 5 ms: a tone that begins at once clicks


def engine_ears(engines: Engines) -> Ears:
    """Return a recogniser for what comes over a line."""

    async def transcribe(samples: Samples) -> str:
        wide = Resampler(LINE_HZ, EAR_HZ).process(samples)
        return await engines.run(engines.ears.transcribe, wide)

    return transcribe


def speech_for_line(engines: Engines, text: str, speaker: str) -> Samples:
    """Return a text as speech. Blocks while it is made."""
    parts = list(engines.voice.speak(text, speaker=speaker, speed=1.0))
    speech = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    return Resampler(VOICE_HZ, LINE_HZ).process(_whole_frames(speech, VOICE_HZ))


def beep(hz: float, seconds: float) -> Samples:
    """Return the tone of an answering machine."""
    n = round(seconds * LINE_HZ)
    edges = np.minimum(np.arange(n), np.arange(n)[::-1]) / EDGE_SAMPLES
    tone = np.sin(2 * np.pi * hz * np.arange(n) / LINE_HZ)
    return _whole_frames(np.rint(BEEP_PEAK * tone * edges.clip(0, 1)).astype(np.int16), LINE_HZ)


def read_sound(path: Path) -> Samples:
    """Return what is in a WAV file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            wav = read_wav(file, name=str(path))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error
    return _whole_frames(to_mono(wav, LINE_HZ), LINE_HZ)


def _whole_frames(samples: Samples, rate_hz: int) -> Samples:
    frame = pcm16(rate_hz).frame_samples
    padded = np.zeros(-(-len(samples) // frame) * frame, np.int16)
    padded[: len(samples)] = samples
    return padded
