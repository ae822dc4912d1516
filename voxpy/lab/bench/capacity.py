"""How many calls this machine carries: growing numbers of them through ``voxpy serve``, measured.

Three programs: a host with its workers on the first cores, and callers and a realtime service on
the last. Both sides of every call speak all the time, each frame with a time stamp in its audio,
so a call here costs more than one in which people take turns.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import httpx

from voxpy.engine.clock import percentile
from voxpy.errors import NotSupported
from voxpy.lab.bench.framing import FRAME_S
from voxpy.lab.bench.pacing import now, pause
from voxpy.lab.bench.processes import Part, Served, Watched, stolen_s

STREAMS = "/media/twilio"
ANSWERED_S = 15.0
SETTLE_S = 1.5
RAMP_CALLS, RAMP_S = 4, 0.1
HOPELESS_LATE_MS = 100.0
"""Half of all frames as late as that: more calls would only be later."""
ROUTING = """
rules:
  - name: bench
    pattern: '.*'
    scenarios: [bridge.py]
"""
LATE = re.compile(r'voxpy_media_late_seconds\{quantile="0\.99",worker="[^"]*"\} (\S+)')
SKIPPED = re.compile(r"voxpy_media_ticks_skipped_total\{[^}]*\} (\S+)")


@attrs.frozen(kw_only=True)
class Machine:
    """What it was measured on."""

    cores: int
    python: str
    cpu: str
    workers: int


@attrs.frozen(kw_only=True)
class Point:
    """So many calls at once. Delays in milliseconds; shares from 0 to 1.

    ``up`` is from the caller to the service, ``down`` the other way, ``late`` how much later than
    its call's best a frame came down. ``clock_late_p99_ms`` is what the host says of itself.
    ``cores`` is how much of a core, or of several, the host used; ``clean`` the share of seconds in
    which neither the machine nor the harness was at fault, and only these count.
    """

    calls: int
    cpu_s_per_call_minute: float
    cores: float
    up: Spread
    down: Spread
    late: Spread
    clock_late_p99_ms: float
    skipped_ticks: int
    lost: float
    mb_per_call: float
    clean: float
    stolen: float
    harness_late_p99_ms: float
    alive: bool
    """Whether every call lasted."""

    @property
    def is_good(self) -> bool:
        """Whether callers hear nothing of the load: none lost, and late by less than a frame."""
        return self.alive and self.lost < 0.002 and self.late.p99 < FRAME_S * 1000


def machine(workers: int) -> Machine:
    """Describe this one. Raises NotSupported where the benchmark cannot run."""
    if not sys.platform.startswith("linux"):
        raise NotSupported("voxpy bench needs Linux: it measures by epoll and /proc")
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        python=f"{sys.implementation.name} {sys.version.split()[0]}",
        cpu=model[1] if model else "unknown",
        workers=workers,
    )


def most_calls(points: Sequence[Point]) -> int:
    """Return the largest number of calls before anything went wrong; 0 if it did at once."""
    good = 0
    for point in points:
        if not point.is_good:
            break
        good = point.calls
    return good


def capacity(
    counts: Sequence[int], *, seconds: int, workers: int, told: Callable[[Point], None]
) -> list[Point]:
    """Measure ``counts`` calls at once, growing, ``seconds`` each; ``told`` gets each point.

    Stops early when calls are lost or hopelessly late. Raises ConnectFailed if a process does not
    start or ends.
    """
    points: list[Point] = []
    cores = range(workers)
    with (
        tempfile.TemporaryDirectory(prefix="voxpy-bench-") as folder,
        Part("voxpy.lab.bench.model", cores=[-1]) as model,
        Part("voxpy.lab.bench.callers", cores=[-1]) as callers,
        Served(make_project(Path(folder)), _arguments(model, workers), cores=cores) as host,
    ):
        idle_mb = host.resident_mb
        before = 0
        for calls in sorted(set(counts)):
            dial(callers, range(before + 1, calls + 1), port=host.port, path=STREAMS)
            before = calls
            points.append(measure(host, callers, model, calls, seconds, idle_mb))
            told(points[-1])
            if not points[-1].alive or points[-1].late.p50 > HOPELESS_LATE_MS:
                break
        hang_up(callers, range(1, before + 1))
    return points


def floor_cpu_s(calls: int, seconds: int) -> float:
    """Return the CPU seconds of a call-minute if nothing is done but pass audio on, over bare trio.

    What a machine can do at best: figures of two machines compare only as ratios to it, and those
    of different numbers of calls only as ratios to the floor of as many.
    """
    with (
        Part("voxpy.lab.bench.model", cores=[-1]) as model,
        Part("voxpy.lab.bench.callers", cores=[-1]) as callers,
        Part("voxpy.lab.bench.floor", str(model.ready["port"]), cores=[0]) as floor,
    ):
        dial(callers, range(1, calls + 1), port=floor.ready["port"])
        _wait_answered(callers, calls)
        window = Window(floor, seconds)
        window.judge([*callers.order("report")["late"], *model.order("report")["late"]])
        hang_up(callers, range(1, calls + 1))
        return window.core_share * 60 / calls


def _wait_answered(callers: Part, calls: int) -> None:
    deadline_s = now() + ANSWERED_S
    while callers.order("answered") < calls and now() < deadline_s:
        pause(0.1)
    pause(SETTLE_S)


def measure(
    host: Served, callers: Part, model: Part, calls: int, seconds: int, idle_mb: float
) -> Point:
    """Look at ``calls`` calls that have been dialled."""
    _wait_answered(callers, calls)
    callers.order("begin")
    model.order("begin")
    skipped_before = _sum(SKIPPED, host.port)
    window = Window(host, seconds)
    sent, received = model.order("count"), callers.order("count")
    heard, spoken = callers.order("report"), model.order("report")
    window.judge([*heard["late"], *spoken["late"]])
    up, _ = lateness(spoken["delays"], window.holds)
    down, late = lateness(heard["delays"], window.holds)
    return Point(
        calls=calls,
        cpu_s_per_call_minute=window.core_share * 60 / calls,
        cores=window.core_share,
        up=Spread.of(up),
        down=Spread.of(down),
        late=Spread.of(late),
        clock_late_p99_ms=max(_figures(LATE, host.port), default=0.0) * 1000,
        skipped_ticks=round(_sum(SKIPPED, host.port) - skipped_before),
        lost=1 - received / max(1, sent),
        mb_per_call=(host.resident_mb - idle_mb) / calls,
        clean=window.clean_share,
        stolen=window.stolen,
        harness_late_p99_ms=window.harness_late.p99,
        alive=spoken["open"] == calls and not heard["cut_off"] and not heard["refused"],
    )


def make_project(folder: Path) -> Path:
    """Write what the host serves."""
    scenario = files("voxpy.lab.bench").joinpath("bridge.py.tmpl").read_text(encoding="utf-8")
    (folder / "bridge.py").write_text(scenario, encoding="utf-8")
    (folder / "routing.yaml").write_text(ROUTING, encoding="utf-8")
    (folder / "secrets.env").write_text("INWORLD_API_KEY=bench-key\n", encoding="utf-8")
    return folder


def _arguments(model: Part, workers: int) -> list[str]:
    """Return a host's command line: it takes every call, however late it is."""
    agent = f"ws://127.0.0.1:{model.ready['port']}/session"
    limits = [
        "--max-calls",
        "100000",
        "--max-late-ms",
        "100000",
        "--max-busy",
        "100",
        "--drain-s",
        "0",
    ]
    return ["--port", "0", "--workers", str(workers), "--agent", agent, *limits]


def dial(callers: Part, numbers: Sequence[int], **where: Any) -> None:
    """Open calls, not all at once."""
    for at in range(0, len(numbers), RAMP_CALLS):
        callers.order("open", calls=list(numbers[at : at + RAMP_CALLS]), **where)
        pause(RAMP_S)


def hang_up(callers: Part, numbers: Sequence[int]) -> None:
    """End calls."""
    callers.order("close", calls=list(numbers), drop=False)
    pause(RAMP_S)


def _figures(pattern: re.Pattern[str], port: int) -> list[float]:
    """Return what the host says of itself."""
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=10).text
    return [float(value) for value in pattern.findall(metrics)]


def _sum(pattern: re.Pattern[str], port: int) -> float:
    return sum(_figures(pattern, port))


MOST_STOLEN = 0.02
MOST_LATE_S = 0.004
"""A second in which the host took more, or our own harness was later (p99), is not counted."""


@attrs.frozen
class Spread:
    """p50, p99 and the largest of some durations, in milliseconds."""

    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Spread:
        """Return the spread of durations in seconds."""
        ms = [round(s * 1000, 2) for s in seconds]
        return cls(percentile(ms, 0.5), percentile(ms, 0.99), max(ms, default=math.nan))

    def __str__(self) -> str:
        return f"{self.p50:.1f} / {self.p99:.1f}"


@attrs.frozen
class Second:
    """One second of a window, by the clock of the harness."""

    began_s: float
    ended_s: float
    stolen: float
    cpu_s: float


class Window:
    """Watches a process for some seconds, then tells clean seconds from dirty ones.

    None is a process elsewhere, of which only the seconds are known.
    """

    def __init__(self, program: Watched | None, seconds: int) -> None:
        self.seconds: list[Second] = []
        for _ in range(seconds):
            began_s, stolen, cpu_s = now(), stolen_s(), _used_s(program)
            pause(1.0)
            ended_s = now()
            share = (stolen_s() - stolen) / (ended_s - began_s)
            self.seconds.append(Second(began_s, ended_s, share, _used_s(program) - cpu_s))
        self.clean = self.seconds

    def judge(self, harness_late: Iterable[Sequence[float]]) -> None:
        """Drop the seconds in which the machine or the harness was at fault; never all."""
        late: dict[int, list[float]] = defaultdict(list)
        for at_s, late_s in harness_late:
            if (n := self._index(at_s)) is not None:
                late[n].append(late_s)
        clean = [
            second
            for n, second in enumerate(self.seconds)
            if second.stolen <= MOST_STOLEN and not percentile(late[n], 0.99) > MOST_LATE_S
        ]
        self.clean = clean or self.seconds
        self.clean_share = len(clean) / len(self.seconds)
        self.harness_late = Spread.of(s for values in late.values() for s in values)

    def _index(self, at_s: float) -> int | None:
        for n, second in enumerate(self.seconds):
            if second.began_s <= at_s < second.ended_s:
                return n
        return None

    @property
    def stolen(self) -> float:
        """The share of a core that the host took."""
        return sum(s.stolen for s in self.seconds) / len(self.seconds)

    @property
    def core_share(self) -> float:
        """The share of a core that the program used."""
        return sum(s.cpu_s for s in self.clean) / sum(s.ended_s - s.began_s for s in self.clean)

    def holds(self, at_s: float) -> bool:
        """Whether this moment counts."""
        return any(s.began_s <= at_s < s.ended_s for s in self.clean)


def _used_s(program: Watched | None) -> float:
    return 0.0 if program is None else program.cpu_s


def lateness(
    delays: Iterable[Sequence[float]], holds: Callable[[float], bool]
) -> tuple[list[float], list[float]]:
    """Return the delays that count, and how much later than its call's best each of them was."""
    best: dict[float, float] = {}
    counted = []
    for call, at_s, delay_s in delays:
        best[call] = min(best.get(call, math.inf), delay_s)
        if holds(at_s):
            counted.append((call, delay_s))
    return [d for _, d in counted], [d - best[call] for call, d in counted]
