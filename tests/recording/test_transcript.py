"""Transcripts by the real recogniser, and of speech that never pauses."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from voxpy.audio.convert import encode
from voxpy.audio.frame import Samples, pcm16
from voxpy.audio.resample import Resampler
from voxpy.errors import EngineMissing
from voxpy.localagent.engines import Engines, local_engines
from voxpy.recording.files import FileKind
from voxpy.recording.saving import Saving
from voxpy.recording.transcript import Transcription, TranscriptOptions
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines

FMT = pcm16(8000)
LONG_TURN = " ".join(["word"] * 32)


def frames(samples: Samples) -> list[bytes]:
    whole = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    return [encode(frame, FMT) for frame in whole]


async def recorded(path: Path, kind: FileKind, left: Samples, right: Samples | None) -> None:
    """Record two sides, or one."""
    sides = [frames(side) for side in (left, right) if side is not None]
    saving = Saving.create(path, kind, stereo=right is not None, failed=pytest.fail)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(saving.run)
        for n, tick in enumerate(zip(*sides, strict=True)):
            saving.tape.add(*((FMT, frame) for frame in tick))
            if n % 500 == 0:  # the tape holds a minute
                await trio.testing.wait_all_tasks_blocked()
        saving.stop()


async def utterances(
    path: Path, kind: FileKind, engines: Engines, *, stereo: bool
) -> list[dict[str, Any]]:
    transcription = Transcription(path, kind, stereo=stereo, options=TranscriptOptions())
    found = await transcription.run(engines, masked=lambda text: text.replace("Mary", "***"))
    content = json.loads(transcription.path.read_text())
    told: list[dict[str, Any]] = content["personal"]["utterances"]
    assert transcription.done
    assert found == len(told)
    assert (content["recording"], content["language"]) == (path.name, "en")
    return told


def spoken(engines: Engines, text: str, *, speaker: str) -> Samples:
    parts = list(engines.voice.speak(text, speaker=speaker, speed=1.0))
    speech = np.concatenate(parts)
    return Resampler(24_000, 8_000).process(speech[: len(speech) // 480 * 480])


async def test_a_conversation_by_the_real_recogniser(
    tmp_path: Path, autojump_clock: trio.abc.Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        engines = local_engines(ScriptedResponder([]))
        question = spoken(engines, "Hello, my name is Mary. Where is the office?", speaker="bright")
        answer = spoken(engines, "The office is on the second floor.", speaker="bass")
    except EngineMissing as missing:
        pytest.skip(str(missing))
    gap = np.zeros(8000, np.int16)
    silent = np.zeros(len(question), np.int16)
    left = np.concatenate([gap, question, gap, np.zeros(len(answer), np.int16), gap])
    right = np.concatenate([gap, silent, gap, answer, gap])
    kind = FileKind("mp3", 8000)
    path = tmp_path / "talk.mp3"
    await recorded(path, kind, left, right)
    told = await utterances(path, kind, engines, stereo=True)
    assert capfd.readouterr().err == ""  # what the decoder of MP3 says of frames it misses
    assert [u["channel"] for u in told][:1] == ["left"]
    assert [u["channel"] for u in told][-1:] == ["right"]
    words = " ".join(u["text"] for u in told).lower()
    assert "where is the office" in words
    assert "second floor" in words
    assert "mary" not in words  # masked, as secrets are
    last = told[-1]
    assert last["start_s"] == pytest.approx(2 + len(question) / 8000, abs=0.5)
    assert last["confidence"] > 0.5
    assert all(a["start_s"] < a["end_s"] for a in told)


async def test_speech_without_a_pause_is_cut_and_no_second_is_lost(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    engines = scripted_engines(ScriptedResponder([]))
    (tone,) = engines.voice.speak("on and on it goes " * 40, speaker="x", speed=1.0)
    narrow = Resampler(24_000, 8_000).process(tone[: 24_000 * 60])
    path, kind = tmp_path / "long.wav", FileKind("wav", 8000)
    await recorded(path, kind, narrow, None)
    told = await utterances(path, kind, engines, stereo=False)
    assert {u["channel"] for u in told} == {"mono"}
    assert len(told) == 3
    assert told[0]["start_s"] < 0.4
    for a, b in pairwise(told):
        assert b["start_s"] == pytest.approx(a["end_s"], abs=0.011)
        assert a["end_s"] - a["start_s"] <= 24.1
    assert told[-1]["end_s"] == pytest.approx(60, abs=0.1)


async def test_a_long_turn_ends_at_the_next_breath(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    engines = scripted_engines(ScriptedResponder([]))
    (first,) = engines.voice.speak(LONG_TURN, speaker="x", speed=1.0)
    (second,) = engines.voice.speak("then more of it", speaker="x", speed=1.0)
    breath = np.zeros(24 * 300, np.int16)
    speech = np.concatenate([first, breath, second, breath, breath, breath])
    narrow = Resampler(24_000, 8_000).process(speech[: len(speech) // 480 * 480])
    path, kind = tmp_path / "turn.wav", FileKind("wav", 8000)
    await recorded(path, kind, narrow, None)
    told = await utterances(path, kind, engines, stereo=False)
    assert [u["text"] for u in told] == [LONG_TURN, "then more of it"]
    assert told[1]["start_s"] == pytest.approx(len(first) / 24_000 + 0.3, abs=0.25)


async def test_a_recording_that_is_gone_is_an_error_of_the_file(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    engines = scripted_engines(ScriptedResponder([]))
    transcription = Transcription(
        tmp_path / "gone.wav", FileKind("wav", 8000), stereo=False, options=TranscriptOptions()
    )
    with pytest.raises(OSError, match=r"gone\.wav cannot be read"):
        await transcription.run(engines, masked=str)
    assert not transcription.done


@pytest.mark.parametrize(
    ("asked", "language"),
    [(None, "en"), ("en-US", "en"), ("English (US)", "en"), ("de_DE", "de"), ("RU", "ru")],
)
def test_languages(tmp_path: Path, asked: str | None, language: str) -> None:
    options = TranscriptOptions(language=asked)
    made = Transcription(tmp_path / "x.wav", FileKind("wav", 8000), stereo=True, options=options)
    assert made.language == language
