"""The processes of a run: started on a core, asked, watched from outside, and always ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BENCHMARKS = Path(__file__).parents[1]
TICKS_HZ = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ANSWER_S = 20.0


class Part:
    """One process that takes orders. A with block ends it, whatever happens."""

    def __init__(self, module: str, *args: str, core: int) -> None:
        began = time.perf_counter()
        cores = sorted(os.sched_getaffinity(0))
        command = ["taskset", "-c", str(cores[core % len(cores)])]
        command += [sys.executable, "-m", f"bridge_parts.{module}", *args]
        paths = [str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self.ready = self._answer()
        self.listening_s = time.perf_counter() - began
        """From the start of the process to its being ready."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def order(self, do: str, **fields: Any) -> Any:
        """Have something done; return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a part of the benchmark ended with {self._process.wait()}")
        return json.loads(line, object_hook=_read_samples)

    @property
    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        stat = self._proc("stat").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS_HZ

    @property
    def resident_mb(self) -> float:
        """Its resident memory."""
        return int(self._proc("statm").split()[1]) * PAGE_BYTES / 2**20

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self._process.pid}/{name}").read_text(encoding="ascii")


class Rows:
    """What a ``Samples`` has spilled, to be read once: that takes long, and removes the file."""

    def __init__(self, path: Path, width: int) -> None:
        self._path = path
        self._width = width

    def __iter__(self) -> Iterator[tuple[float, ...]]:
        numbers = array("d")
        numbers.frombytes(self._path.read_bytes())
        self._path.unlink()
        return zip(*[iter(numbers)] * self._width, strict=True)


def _read_samples(value: dict[str, Any]) -> Any:
    """Put the rows of a ``Samples`` in place of the name of their file."""
    if value.keys() != {"samples", "width"}:
        return value
    return Rows(Path(value["samples"]), value["width"])


def stolen_s() -> float:
    """Return the CPU time that the host took from this machine so far, all cores together."""
    first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return int(first[8]) / TICKS_HZ
