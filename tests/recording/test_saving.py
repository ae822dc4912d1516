"""From the tape to the disk: off the loop, complete at the end, harmless when the disk fails."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import encode
from voxpy.audio.frame import Samples, pcm16
from voxpy.audio.wav import read_wav
from voxpy.recording.files import FileKind
from voxpy.recording.saving import LONGEST_NAME, Saving, file_name

WAV = FileKind("wav", 8000)
FMT = pcm16(8000)


def frame(value: int) -> bytes:
    return encode(np.full(160, value, np.int16), FMT)


def start(path: Path, failed: list[str], kind: FileKind = WAV) -> Saving:
    return Saving.create(path, kind, stereo=False, failed=failed.append)


def samples_of(path: Path) -> Samples:
    with path.open("rb") as file:
        return read_wav(file, name=str(path)).samples[:, 0]


async def test_a_block_is_on_disk_before_the_recording_ends(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    failed: list[str] = []
    path = tmp_path / "r.wav"
    saving = start(path, failed)
    nursery.start_soon(saving.run)
    for n in range(1, 61):
        saving.tape.add((FMT, frame(n)))
        await trio.sleep(0.02)
        if n == 55:
            assert len(samples_of(path)) == 50 * 160
    saving.stop()
    await saving.saved.wait()
    assert list(samples_of(path)[::160]) == list(range(1, 61))
    assert saving.saved_s == pytest.approx(1.2)
    assert failed == []


async def test_stopped_before_it_ran_it_still_is_a_whole_file(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    saving = start(tmp_path / "r.wav", [])
    saving.tape.add((FMT, frame(5)))
    saving.stop()
    await saving.run()
    assert set(samples_of(tmp_path / "r.wav")) == {5}
    empty = start(tmp_path / "e.wav", [])
    empty.stop()
    await empty.run()
    assert len(samples_of(tmp_path / "e.wav")) == 0


async def test_a_recording_that_is_cancelled_leaves_a_valid_file(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    for kind in (WAV, FileKind("mp3", 8000)):
        path = tmp_path / f"r{kind.suffix}"
        saving = start(path, [], kind)
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(saving.run)
                for n in range(25):
                    saving.tape.add((FMT, frame(n)))
        assert saving.saved.is_set()
        assert saving.saved_s == pytest.approx(0.5)
        assert path.stat().st_size > 1000


class SlowFile(io.BytesIO):
    """A disk that takes its time, and notes who waits for it."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self.gate = gate
        self.threads: set[int] = set()

    def write(self, data: Any) -> int:
        self.threads.add(threading.get_ident())
        self.gate.wait(10)
        return super().write(data)

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


async def test_a_slow_disk_does_not_hold_up_the_loop() -> None:
    gate = threading.Event()
    file = SlowFile(gate)
    failed: list[str] = []
    saving = Saving(cast("Any", file), WAV, stereo=False, failed=failed.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(saving.run)
        for n in range(200):  # four seconds of sound arrive while the disk does not move
            saving.tape.add((FMT, frame(n)))
            await trio.lowlevel.checkpoint()
        assert saving.saved_s == 0.0
        gate.set()
        saving.stop()
    assert threading.get_ident() not in file.threads
    assert saving.saved_s == pytest.approx(4.0)
    read = read_wav(io.BytesIO(file.content), name="slow.wav").samples[:, 0]
    assert list(read[::160]) == list(range(200))
    assert failed == []


@pytest.mark.parametrize("container", ["wav", "mp3", "flac"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_full_disk_is_told_once_and_the_tape_does_not_grow(
    container: Any, nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    failed: list[str] = []
    saving = start(Path("/dev/full"), failed, FileKind(container, 8000))
    nursery.start_soon(saving.run)
    for n in range(400):
        saving.tape.add((FMT, frame(n)))
        await trio.sleep(0.02)
    saving.stop()
    await saving.saved.wait()
    assert failed == ["the recording cannot be written: No space left on device"]
    assert saving.tape.lost_frames == 0


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(tmp_path / "gone" / "r.wav", [])


@pytest.mark.parametrize(
    ("prefix", "name", "file"),
    [
        ("", "record", "record.wav"),
        ("support/2026/", "record", "support-2026-record.wav"),
        ("../../etc/passwd", "record", "etc-passwd-record.wav"),
        ("Ünïcode & spaces", "record", "n-code-spaces-record.wav"),
        ("", "...", "recording.wav"),
        ("a..b", "c", "a.b-c.wav"),
    ],
)
def test_names_of_files(prefix: str, name: str, file: str) -> None:
    assert file_name(prefix, name, ".wav") == file


@given(prefix=st.text(), name=st.text())
def test_any_words_make_a_name_inside_the_folder(prefix: str, name: str) -> None:
    made = file_name(prefix, name, ".mp3")
    assert made == Path(made).name
    assert not made.startswith((".", "-"))
    assert ".." not in made
    assert len(made) <= 2 * LONGEST_NAME + 5
