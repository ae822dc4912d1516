"""``inputs.jsonl``: lines on their way to a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
import trio
from trio.testing import MockClock

from voxpy.host.inputs import MOST_WAITING, InputsFile

WRITES = """
import sys
from pathlib import Path
import trio
from voxpy.host.inputs import InputsFile

async def main():
    path = Path(sys.argv[1])
    file = InputsFile(path.open("wb"), print)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        for n in range(100):
            file.write(b"line %d\\n" % n)
            await trio.sleep(0.005)
        while not path.read_bytes().endswith(b"line 99\\n"):
            await trio.sleep(0.01)
        print("written", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.slow
def test_what_a_killed_process_leaves(tmp_path: Path) -> None:
    path = tmp_path / "inputs.jsonl"
    command = [sys.executable, "-c", WRITES, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    assert path.read_text() == "".join(f"line {n}\n" for n in range(100))


async def test_what_is_left_at_the_end_is_written_by_closing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path, problems = tmp_path / "inputs.jsonl", cast("list[str]", [])
    file = InputsFile(path.open("wb"), problems.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        file.write(b"at once\n")
        await trio.sleep(1)
        assert path.read_bytes() == b"at once\n"
        file.write(lambda: b"made later\n")
        file.stop()
    file.write(b"last\n")
    file.close()
    file.write(b"too late\n")
    assert path.read_bytes() == b"at once\nmade later\nlast\n"
    assert problems == []


class Full:
    """A disk without room."""

    def write(self, data: bytes) -> int:
        raise OSError("No space left on device")

    def __enter__(self) -> None: ...

    def __exit__(self, *_: Any) -> None: ...


async def test_a_full_disk_is_told_once(autojump_clock: MockClock) -> None:
    problems: list[str] = []
    file = InputsFile(cast("BinaryIO", Full()), problems.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        file.write(b"x")
        await trio.sleep(1)
    file.write(b"y")
    file.close()
    assert problems == ["No space left on device"]


def test_a_disk_that_stalls_costs_no_memory_without_end() -> None:
    problems: list[str] = []

    async def main() -> None:
        file = InputsFile(cast("BinaryIO", Full()), problems.append)
        for _ in range(2 * MOST_WAITING):
            file.write(b"x")
        file.close()

    trio.run(main)
    assert problems == ["the disk does not take it"]
