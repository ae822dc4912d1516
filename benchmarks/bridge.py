"""What a bridged call costs: N calls from a phone provider through voxpy to a realtime service.

Three processes: the program under test on one core; callers, with Twilio's protocol in real time,
and the realtime service on another. Both sides speak all the time, each frame with a time stamp in
its audio. The program is voxpy with ``scenarios/answer.py``, events, trace and recording on; the
same calls go through a bare trio program that only passes audio on, in the same run: the floor.

    python benchmarks/bridge.py --quick             half a minute
    python benchmarks/bridge.py                     every table, some minutes
    python benchmarks/bridge.py load --calls 60,100 --seconds 20

Seconds in which the host took CPU time away or the harness itself was late are left out, and the
share that was left in is told. Needs Linux and two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from voxpy.lab.bench.capacity import Spread, Window, lateness
from voxpy.lab.bench.picture import lateness_svg
from voxpy.lab.bench.processes import Part

PATHS = [Path(__file__).parent, Path(__file__).parents[1]]
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "bridge-lateness.svg"
CALLS = (1, 20, 40, 60, 80, 100, 120)
ANSWERED_S = 10.0
SETTLE_S = 1.5
WARM_UP_S = 1.0
RAMP_CALLS, RAMP_S = 4, 0.1
WARM_CALLS = 160
"""Calls that come and go before memory is looked at: what is filled once is full then."""
WORDS = ("load", "barge-in", "churn")
PROGRAM_CORE, HARNESS_CORE = 0, 1


@attrs.frozen
class Run:
    """The three processes."""

    program: Part
    model: Part
    callers: Part
    idle_mb: float

    def dial(self, first: int, last: int) -> None:
        """Open the calls ``first`` to ``last``, not all at once."""
        numbers = list(range(first, last + 1))
        port = self.program.ready["port"]
        for at in range(0, len(numbers), RAMP_CALLS):
            self.callers.order("open", port=port, calls=numbers[at : at + RAMP_CALLS])
            time.sleep(RAMP_S)

    def wait_answered(self, calls: int) -> None:
        """Wait until every caller has heard something."""
        deadline = time.monotonic() + ANSWERED_S
        while self.callers.order("answered") < calls and time.monotonic() < deadline:
            time.sleep(0.1)

    def begin(self) -> None:
        """Forget what was measured so far."""
        for part in (self.program, self.callers, self.model):
            part.order("begin")


PROGRAMS = {"floor": "voxpy.lab.bench.floor", "hosted": "bridge_parts.hosted"}


@contextmanager
def running(program: str) -> Iterator[Run]:
    """Start the processes, and end them."""
    with (
        Part("voxpy.lab.bench.model", cores=[HARNESS_CORE]) as model,
        Part("voxpy.lab.bench.callers", cores=[HARNESS_CORE]) as callers,
        Part(
            PROGRAMS[program], str(model.ready["port"]), cores=[PROGRAM_CORE], paths=PATHS
        ) as under_test,
    ):
        time.sleep(WARM_UP_S)
        yield Run(under_test, model, callers, under_test.resident_mb)


# -- load ------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Point:
    """One program under so many calls. Delays in milliseconds."""

    program: str
    legs: str
    calls: int
    cpu_s_per_call_minute: float
    core_share: float
    up: Spread
    down: Spread
    late: Spread
    tick_late: Spread
    skipped_ticks: int
    lost: float
    mb_per_call: float
    clean: float
    stolen: float
    harness_late: Spread
    alive: bool

    def row(self, floor: Point | None) -> str:
        """Return a line of the table."""
        ratio = self.cpu_s_per_call_minute / floor.cpu_s_per_call_minute if floor else math.nan
        ticks = str(self.tick_late) if self.tick_late.p50 == self.tick_late.p50 else "-"
        return (
            f"| {self.program} | {self.legs} | {self.calls} | {self.cpu_s_per_call_minute:.2f} "
            f"| {'-' if math.isnan(ratio) else f'{ratio:.1f}'} | {self.core_share:.0%} | {self.up} "
            f"| {self.down} | {self.late} | {ticks} | {self.mb_per_call:.2f} | {self.clean:.0%} "
            f"| {self.stolen:.1%} | {self.harness_late.p99:.1f} |"
            + ("" if self.alive else " CALLS WERE LOST")
            + (f" {self.lost:.2%} of frames lost" if self.lost > 0.002 else "")
            + (f" {self.skipped_ticks} ticks skipped" if self.skipped_ticks else "")
        )


HEAD = (
    "| program | legs | calls | CPU s per call-min | to floor | core | up p50 / p99 ms "
    "| down p50 / p99 ms | late p50 / p99 ms | tick late p50 / p99 ms | MB per call | clean "
    "| stolen | harness late p99 ms |\n" + "|---" * 14 + "|"
)


@attrs.frozen(kw_only=True)
class Watching:
    """What was seen of some calls. To make figures of it takes a core for a second: afterwards."""

    program: str
    legs: str
    calls: int
    window: Window
    callers: dict[str, Any]
    model: dict[str, Any]
    own: dict[str, Any]
    lost: float
    mb_per_call: float

    @property
    def alive(self) -> bool:
        """Whether every call is up still."""
        return self.model["open"] == self.calls and not self.callers["cut_off"]

    def point(self) -> Point:
        """Return the figures."""
        window = self.window
        window.judge([*self.callers["late"], *self.model["late"]])
        provider = self.legs == "provider"  # a simulated caller sends no stamps
        up, _ = lateness(self.model["delays"] if provider else [], window.holds)
        down, late = lateness(self.callers["delays"], window.holds)
        return Point(
            program=self.program,
            legs=self.legs,
            calls=self.calls,
            cpu_s_per_call_minute=window.core_share * 60 / self.calls,
            core_share=window.core_share,
            up=Spread.of(up),
            down=Spread.of(down),
            late=Spread.of(late),
            tick_late=Spread.of(self.own.get("ticks_late", ())),
            skipped_ticks=self.own.get("skipped", 0),
            lost=self.lost if provider else 0.0,
            mb_per_call=self.mb_per_call,
            clean=window.clean_share,
            stolen=window.stolen,
            harness_late=window.harness_late,
            alive=self.alive,
        )


def watch(run: Run, name: str, legs: str, calls: int, seconds: int) -> Watching:
    """Look at ``calls`` calls that are up."""
    if legs == "provider":
        run.wait_answered(calls)
    time.sleep(SETTLE_S)
    run.begin()
    window = Window(run.program, seconds)
    sent, received = run.model.order("count"), run.callers.order("count")
    callers, model, own = (p.order("report") for p in (run.callers, run.model, run.program))
    return Watching(
        program=name,
        legs=legs,
        calls=calls,
        window=window,
        callers=callers,
        model=model,
        own=own,
        lost=1 - received / max(1, sent),
        mb_per_call=(run.program.resident_mb - run.idle_mb) / calls,
    )


def load(names: Sequence[str], legs: str, counts: Sequence[int], seconds: int) -> list[Point]:
    """Measure each program under growing numbers of calls."""
    points: list[Point] = []
    for name in names:
        seen: list[Watching] = []
        with running("floor" if name == "floor" else "hosted") as run:
            before = 0
            for calls in counts:
                if legs == "simulated":
                    for _ in range(calls - before):
                        run.program.order("simulate", calls=1)
                        time.sleep(RAMP_S / RAMP_CALLS)
                else:
                    run.dial(before + 1, calls)
                before = calls
                seen.append(watch(run, name, legs, calls, seconds))
                if not seen[-1].alive:
                    break
            if legs == "simulated":
                run.program.order("end")
        for watching in seen:
            point = watching.point()
            points.append(point)
            print(point.row(floor_of(point, points)), flush=True)
    return points


def floor_of(point: Point, points: Sequence[Point]) -> Point | None:
    """Return the floor under as many calls."""
    for other in points:
        if other.program == "floor" and other.calls == point.calls and point is not other:
            return other
    return None


# -- barge-in --------------------------------------------------------------------------------------


def barge_in(name: str, calls: int, seconds: int) -> dict[str, float]:
    """Interrupt answers that come four times as fast as they play; see what the caller gets."""
    with running("floor" if name == "floor" else "hosted") as run:
        run.model.order("set", speed=4.0, barge_in=True)
        run.dial(1, calls)
        time.sleep(1.0)
        run.begin()
        time.sleep(seconds)
        run.model.order("set", speed=4.0, barge_in=False)
        time.sleep(3.0)  # until the last of those that are planned has happened
        callers, model = run.callers.order("report"), run.model.order("report")
    clears, last = callers["clears"], callers["last_frame"]
    ended = {n: at_s for n, at_s in model["interrupted"].items() if n in last}
    missing = sum(n not in clears for n in ended)
    waits = Spread.of(clears[n] - at_s for n, at_s in ended.items() if n in clears)
    stale = Spread.of(max(0.0, last[n] - at_s) for n, at_s in ended.items())
    print(
        f"| {name} | {calls} | {len(ended)} | {waits.p50:.2f} / {waits.p99:.2f} / {waits.most:.2f} "
        f"| {stale.p99:.2f} | {sum(callers['stale'].values())} | {missing} |",
        flush=True,
    )
    return {
        "calls": calls,
        "barge_ins": len(ended),
        "clear_p50_ms": waits.p50,
        "clear_p99_ms": waits.p99,
        "clear_max_ms": waits.most,
        "last_frame_p99_ms": stale.p99,
        "stale_after_clear": sum(callers["stale"].values()),
        "without_clear": missing,
    }


BARGE_HEAD = (
    "| program | calls | barge-ins | speech_started to clear p50 / p99 / max ms "
    "| last frame of the answer p99 ms | frames after clear | no clear |\n" + "|---" * 7 + "|"
)


# -- calls that come and go ------------------------------------------------------------------------


def churn(name: str, total: int) -> dict[str, float]:
    """Open and end calls, half by hanging up and half by a broken connection."""
    batch, life_s = 20, 0.6
    with running("floor" if name == "floor" else "hosted") as run:
        calls_through(run, 1, WARM_CALLS, batch, life_s)
        time.sleep(1.0)
        before_mb, before_fds = run.program.resident_mb, run.program.descriptors
        run.begin()
        calls_through(run, WARM_CALLS + 1, WARM_CALLS + total, batch, life_s)
        time.sleep(1.5)
        callers, model = run.callers.order("report"), run.model.order("report")
        after_mb, after_fds = run.program.resident_mb, run.program.descriptors
        listening_s = run.program.listening_s
    gone = model["gone"]
    waits = {int(n): gone[n] - at_s for n, at_s in callers["left"].items() if n in gone}
    hung_up = Spread.of(wait_s for n, wait_s in waits.items() if n % 2)
    dropped = Spread.of(wait_s for n, wait_s in waits.items() if n % 2 == 0)
    kib = (after_mb - before_mb) * 1024 / total
    print(
        f"| {name} | {total} | {hung_up.p50:.1f} / {hung_up.p99:.1f} / {hung_up.most:.1f} "
        f"| {dropped.p50:.1f} / {dropped.p99:.1f} / {dropped.most:.1f} | {model['open']} "
        f"| {before_mb:.1f} → {after_mb:.1f} | {kib:.1f} | {before_fds} → {after_fds} "
        f"| {listening_s:.2f} |",
        flush=True,
    )
    return {
        "calls": total,
        "closed_after_hang_up_p50_ms": hung_up.p50,
        "closed_after_hang_up_max_ms": hung_up.most,
        "closed_after_drop_p50_ms": dropped.p50,
        "closed_after_drop_max_ms": dropped.most,
        "sessions_left": model["open"],
        "kib_per_call": kib,
        "descriptors_kept": after_fds - before_fds,
        "listening_s": listening_s,
    }


def calls_through(run: Run, first: int, last: int, batch: int, life_s: float) -> None:
    """Let calls come and go, ``batch`` at a time."""
    for at in range(first, last + 1, batch):
        numbers = list(range(at, min(at + batch, last + 1)))
        run.dial(numbers[0], numbers[-1])
        time.sleep(life_s)
        for number in numbers:
            run.callers.order("close", calls=[number], drop=number % 2 == 0)
            time.sleep(0.004)


CHURN_HEAD = (
    "| program | calls | model closed after hang-up p50 / p99 / max ms "
    "| after TCP drop p50 / p99 / max ms | sessions left | MB before → after | KiB kept per call "
    "| descriptors | listening s |\n" + "|---" * 9 + "|"
)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", help="load, barge-in, churn; all if none is named")
    parser.add_argument("--calls", help="numbers of calls, with commas between")
    parser.add_argument("--seconds", type=int, default=12, help="per point (default 12)")
    parser.add_argument("--legs", choices=("provider", "simulated", "both"), default="both")
    parser.add_argument("--churn", type=int, default=300, help="calls that come and go")
    parser.add_argument("--only", choices=("voxpy", "floor"), help="one program of the two")
    parser.add_argument("--quick", action="store_true", help="half a minute in all")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument("--picture", action="store_true", help=f"draw {PICTURE.name} into the docs")
    chosen = parser.parse_args()
    if wrong := [word for word in chosen.what if word not in WORDS]:
        parser.error(f"{wrong[0]!r} is none of {', '.join(WORDS)}")
    what = chosen.what or WORDS
    names = [chosen.only] if chosen.only else ["floor", "voxpy"]
    counts = [int(n) for n in chosen.calls.split(",")] if chosen.calls else list(CALLS)
    seconds = chosen.seconds
    if chosen.quick:
        what, counts, seconds, chosen.legs = ["load", "barge-in"], [20], 3, "provider"
    with TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder  # of the processes: recordings, and samples nobody asks for
        result = run_all(what, names, chosen, counts, seconds)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(result, indent=1), encoding="utf-8")


def run_all(
    what: Sequence[str],
    names: Sequence[str],
    chosen: argparse.Namespace,
    counts: Sequence[int],
    seconds: int,
) -> dict[str, object]:
    """Print the tables."""
    result: dict[str, object] = {}
    if "load" in what:
        result["load"] = run_load(names, chosen.legs, counts, seconds, draw=chosen.picture)
    if "barge-in" in what:
        print("\n" + BARGE_HEAD)
        many = (4,) if chosen.quick else (4, 20, 50)
        rows = [(name, barge_in(name, n, 3 * seconds // 2)) for name in names for n in many]
        result["barge_in"] = rows
    if "churn" in what:
        print("\n" + CHURN_HEAD)
        result["churn"] = [(name, churn(name, chosen.churn)) for name in names]
    return result


def run_load(
    names: Sequence[str], legs: str, counts: Sequence[int], seconds: int, *, draw: bool
) -> list[dict[str, object]]:
    """Print the table of loads, and draw it."""
    print(HEAD)
    points: list[Point] = []
    if legs != "simulated":
        points += load(names, "provider", counts, seconds)
    if legs != "provider" and "voxpy" in names:
        points += load(["voxpy"], "simulated", counts, seconds)
    if draw:
        lines = {
            f"{name}, p99": [
                (p.calls, p.late.p99) for p in points if p.program == name and p.legs == "provider"
            ]
            for name in names
        }
        PICTURE.parent.mkdir(exist_ok=True)
        title = "How late a frame reaches the caller, against its call's best (p99)"
        PICTURE.write_text(lateness_svg(lines, title=title), encoding="utf-8")
    return [attrs.asdict(point) for point in points]


if __name__ == "__main__":
    main()
