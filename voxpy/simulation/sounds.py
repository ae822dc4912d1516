"""What simulated people say, as sound for the line, made before it is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxpy.audio.frame import pcm16
from voxpy.audio.resample import Resampler
from voxpy.audio.wav import read_wav, to_mono
from voxpy.errors import ConfigError
from voxpy.localagent.engines import Engines, Samples
from voxpy.simulation.acting import spoken_steps
from voxpy.simulation.listening import Ears
from voxpy.simulation.script import (
    Beep,
    CalleeScript,
    CallerScript,
    Expect,
    Interrupt,
    Play,
    Say,
    Step,
)

__all__ = [
    "Script",
    "engine_ears",
    "line_ears",
    "needs_ears",
    "needs_voice",
    "prepare_sounds",
    "speech_for_line",
]

LINE_HZ = 8000
VOICE_HZ = 24000
EAR_HZ = 16000
BEEP_PEAK = 8000
"""-12 dBFS: as loud as speech, which is what machines do."""
EDGE_SAMPLES = 40  # 5 ms: a tone that begins at once clicks

Script = CallerScript | CalleeScript


def needs_voice(script: Script) -> bool:
    """Return whether a person needs speech engines, to be heard or to understand."""
    return needs_ears(script) or any(isinstance(s, Say | Interrupt) for s in spoken_steps(script))


def needs_ears(script: Script) -> bool:
    """Return whether a person wants to know the words of what it hears."""
    return any(isinstance(s, Expect) for s in script.steps)


def line_ears(script: Script, engines: Engines | None) -> Ears | None:
    """Return a person's own recogniser, only if its script wants to know what it hears."""
    if engines is None or not needs_ears(script):
        return None
    return engine_ears(engines)


def engine_ears(engines: Engines) -> Ears:
    """Return a recogniser for what comes over a line."""

    async def transcribe(samples: Samples) -> str:
        wide = Resampler(LINE_HZ, EAR_HZ).process(samples)
        return await engines.run(engines.ears.transcribe, wide)

    return transcribe


async def prepare_sounds(script: Script, engines: Engines | None) -> dict[Step, Samples]:
    """Make everything a person will say, at 8 kHz, so that no step waits for its sound.

    ``engines`` are there if ``needs_voice``. Raises ConfigError for a file that cannot be played.
    """
    sounds: dict[Step, Samples] = {}
    for step in spoken_steps(script):
        if isinstance(step, Play):
            sounds[step] = _read_sound(step.path)
        elif isinstance(step, Beep):
            sounds[step] = _beep(step)
        elif isinstance(step, Say | Interrupt):
            assert engines is not None
            sounds[step] = await engines.run(speech_for_line, engines, step.text, script.voice)
    return sounds


def speech_for_line(engines: Engines, text: str, speaker: str) -> Samples:
    """Return a text as speech at 8 kHz, in whole frames. Blocks while it is made."""
    parts = list(engines.voice.speak(text, speaker=speaker, speed=1.0))
    return _to_line(np.concatenate(parts) if parts else np.zeros(0, np.int16))


def _beep(step: Beep) -> Samples:
    n = round(step.seconds * LINE_HZ)
    edges = np.minimum(np.arange(n), np.arange(n)[::-1]) / EDGE_SAMPLES
    tone = np.sin(2 * np.pi * step.hz * np.arange(n) / LINE_HZ)
    return _whole_frames(np.rint(BEEP_PEAK * tone * edges.clip(0, 1)).astype(np.int16), LINE_HZ)


def _read_sound(path: Path) -> Samples:
    try:
        with path.open("rb") as file:
            wav = read_wav(file, name=str(path))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error
    return _whole_frames(to_mono(wav, LINE_HZ), LINE_HZ)


def _to_line(samples: Samples) -> Samples:
    return Resampler(VOICE_HZ, LINE_HZ).process(_whole_frames(samples, VOICE_HZ))


def _whole_frames(samples: Samples, rate_hz: int) -> Samples:
    frame = pcm16(rate_hz).frame_samples
    padded = np.zeros(-(-len(samples) // frame) * frame, np.int16)
    padded[: len(samples)] = samples
    return padded
