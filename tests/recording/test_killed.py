"""SIGKILL in mid-recording: every kind of file plays up to the last second."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.slow

RECORDS = """
import sys
from pathlib import Path
import numpy as np
import trio
from voxpy.audio.frame import pcm16
from voxpy.recording.files import FileKind
from voxpy.recording.saving import Saving

FMT, SECONDS = pcm16(8000), 7.4

async def main():
    kinds = [FileKind(c, hz) for c in ("wav", "mp3", "flac") for hz in (8000, 48000)]
    async with trio.open_nursery() as nursery:
        savings = [
            Saving.create(
                Path(sys.argv[1]) / f"{k.rate_hz}{k.suffix}", k, stereo=True, failed=print
            )
            for k in kinds
        ]
        for saving in savings:
            nursery.start_soon(saving.run)
        for n in range(round(SECONDS * 50)):
            t = np.arange(n * 160, n * 160 + 160) / 8000
            frame = np.rint(9000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()
            for saving in savings:
                saving.tape.add((FMT, frame), (FMT, frame))
        while any(saving.saved_s < SECONDS - 0.5 for saving in savings):
            await trio.sleep(0.01)
        print("recorded", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_what_a_killed_process_leaves(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        process.kill()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(f"{hz}.{c}" for c in ("wav", "mp3", "flac") for hz in (8000, 48000))
    for name in left:
        samples, rate_hz = soundfile.read(tmp_path / name, dtype="int16", always_2d=True)
        assert samples.shape[1] == 2
        assert 6.4 <= len(samples) / rate_hz <= 7.5, name
        end = samples[-rate_hz:, 1].astype(float)
        spectrum = np.abs(np.fft.rfft(end * np.hanning(len(end))))
        assert float(np.argmax(spectrum)) == pytest.approx(440, abs=2), name
