"""The processes of a run: started on a core, asked, watched from outside, and always ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from array import array
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from voxpy.errors import ConnectFailed
from voxpy.lab.bench.pacing import now, pause

TICKS_HZ = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ENDS_WITHIN_S = 15.0
LISTENS_WITHIN_S = 20.0
LISTENING = re.compile(r"listening on https?://[^:]+:(\d+)")


class Watched:
    """A process with its children, as the kernel sees them."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def cpu_s(self) -> float:
        """User and system time of all their threads so far."""
        stats = (_proc(pid, "stat").rpartition(")")[2].split() for pid in self._pids())
        return sum((int(stat[11]) + int(stat[12])) / TICKS_HZ for stat in stats if stat)

    def send_signal(self, number: int) -> None:
        """Send the first of them a signal."""
        self._process.send_signal(number)

    @property
    def resident_mb(self) -> float:
        """Their resident memory; pages they share are counted for each."""
        sizes = (_proc(pid, "statm").split() for pid in self._pids())
        return sum(int(size[1]) * PAGE_BYTES / 2**20 for size in sizes if size)

    @property
    def descriptors(self) -> int:
        """How many files and sockets the first of them has open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def _pids(self) -> list[int]:
        pid = self._process.pid
        threads = os.listdir(f"/proc/{pid}/task")  # children belong to the thread that made them
        children = (_proc(pid, f"task/{thread}/children").split() for thread in threads)
        return [pid, *(int(child) for some in children for child in some)]


class Part(Watched):
    """A module run as a process that takes orders. A with block ends it, whatever happens.

    ``cores`` are places in the list of those we may use, counted around. ``paths`` are where its
    modules are found besides ours.
    """

    def __init__(
        self, module: str, *args: str, cores: Collection[int], paths: Sequence[Path] = ()
    ) -> None:
        began = now()
        found = [*map(str, paths), os.environ.get("PYTHONPATH", "")]
        process = subprocess.Popen(  # noqa: S603  our own interpreter and modules
            [sys.executable, "-m", module, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours: we end it in order, without its traceback
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found))},
        )
        super().__init__(process)
        _pin(process, cores)
        self.ready = self._answer()
        self.listening_s = now() - began
        """From the start of the process to its being ready."""

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close its orders, which ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def order(self, do: str, **fields: Any) -> Any:
        """Have something done; return the answer. Raises ConnectFailed if the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ConnectFailed(f"a part of the benchmark ended with {self._process.wait()}")
        return json.loads(line, object_hook=_read_samples)


class Served(Watched):
    """``voxpy serve`` in ``folder``, with what it says in ``serve.log`` there."""

    def __init__(self, folder: Path, arguments: Sequence[str], *, cores: Collection[int]) -> None:
        began = now()
        self._log = folder / "serve.log"
        given = {k: v for k, v in os.environ.items() if k != "INWORLD_API_KEY"}
        with self._log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  our own interpreter and modules
                [sys.executable, "-m", "voxpy", "serve", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=given,
                start_new_session=True,
            )
        super().__init__(process)
        _pin(process, cores)
        try:
            self.port = self._wait_listening(began + LISTENS_WITHIN_S)
        except BaseException:
            self._end()
            raise
        self.listening_s = now() - began
        """From the start of the process to its being ready."""

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End it: in order, at once, and by force if need be."""
        self._end()

    def _wait_listening(self, until_s: float) -> int:
        while now() < until_s and self._process.poll() is None:
            if found := LISTENING.search(self._log.read_text(encoding="utf-8")):
                return int(found[1])
            pause(0.02)
        told = self._log.read_text(encoding="utf-8").strip() or "it said nothing"
        raise ConnectFailed(f"voxpy serve did not start: {told}")

    def _end(self) -> None:
        for word in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(word)
                try:
                    self._process.wait(ENDS_WITHIN_S / 5)
                except subprocess.TimeoutExpired:
                    continue


def stolen_s() -> float:
    """Return the CPU time that the host took from this machine so far, all cores together."""
    first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return int(first[8]) / TICKS_HZ


def _pin(process: subprocess.Popen[bytes], cores: Collection[int]) -> None:
    ours = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process.pid, {ours[n % len(ours)] for n in cores})


def _proc(pid: int, name: str) -> str:
    """Return a file of /proc, empty if the process has just gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return ""


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
