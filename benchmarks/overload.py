"""What becomes of calls when there is not enough CPU: a stall, a noisy neighbour, too many calls.

Calls from a phone provider through ``voxpy serve`` on one core to a realtime service; callers and
service on another, each frame with the time it was sent inside its audio. *Up* is how old a
caller's frame is when it reaches the service. Needs Linux and two cores.

    python benchmarks/overload.py                   all three, two minutes
    python benchmarks/overload.py stall --calls 60
"""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import httpx

from voxpy.engine.clock import percentile
from voxpy.lab.bench.capacity import make_project
from voxpy.lab.bench.pacing import now, pause
from voxpy.lab.bench.processes import Part, Served

WORDS = ("stall", "neighbour", "too-many")
PROGRAM_CORE, HARNESS_CORE = 0, 1
SETTLE_S = 3.0
STALL_S = 3.0
NEIGHBOUR_S = 4.0
AFTER_S = 4.0
STALE_S = 0.2
PATIENCE_S = 120
QUARTER_S = 0.25
"""A call is late in a quarter of a second whose median frame is later than usual by more."""
SPARE_S = 0.04
"""Of delay: one frame is kept after jitter, and the tick may fall otherwise."""
DIAL_EVERY_S = 0.2
SPIN = "while True: pass"
REFUSED = re.compile(r'voxpy_calls_refused_total\{cause="(\w+)"\} (\S+)')
LATE_MS = re.compile(r'voxpy_call_troubles_total\{kind="late_ms"\} (\S+)')


@attrs.frozen
class Rig:
    """The three processes."""

    host: Served
    callers: Part
    model: Part

    def dial(self, numbers: Sequence[int]) -> None:
        self.callers.order("open", port=self.host.port, calls=list(numbers), path="/media/twilio")

    def hang_up(self, numbers: Sequence[int]) -> None:
        self.callers.order("close", calls=list(numbers), drop=False)
        pause(2.0)

    def begin(self) -> None:
        self.callers.order("begin")
        self.model.order("begin")

    def up(self) -> list[tuple[float, float, float]]:
        """Return (call, when it came, its age in s) of every frame since ``begin``."""
        return [(call, at, age) for call, at, age in self.model.order("report")["delays"]]

    def get(self, page: str) -> str:
        url = f"http://127.0.0.1:{self.host.port}/{page}"
        return httpx.get(url, trust_env=False, timeout=PATIENCE_S).text


@contextmanager
def rig(limits: Sequence[str]) -> Iterator[Rig]:
    """Start the processes, and end them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="voxpy-bench-")))
        model = stack.enter_context(Part("voxpy.lab.bench.model", cores=[HARNESS_CORE]))
        callers = stack.enter_context(Part("voxpy.lab.bench.callers", cores=[HARNESS_CORE]))
        agent = f"ws://127.0.0.1:{model.ready['port']}/session"
        arguments = ["--port", "0", "--agent", agent, "--drain-s", "0", *limits]
        host = Served(make_project(folder), arguments, cores=[PROGRAM_CORE])
        yield Rig(stack.enter_context(host), callers, model)


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Let others compute on the program's core all the time."""
    spinning = [  # each in a session of its own, or the kernel takes them together for one
        subprocess.Popen([sys.executable, "-c", SPIN], start_new_session=True) for _ in range(count)
    ]
    try:
        for process in spinning:
            os.sched_setaffinity(process.pid, {sorted(os.sched_getaffinity(0))[PROGRAM_CORE]})
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def stall(calls: int) -> None:
    """Stop the process for three seconds."""

    def disturb(host: Served) -> None:
        host.send_signal(signal.SIGSTOP)
        pause(STALL_S)
        host.send_signal(signal.SIGCONT)

    with rig(["--max-busy", "100"]) as it:
        recovery(it, calls, f"stopped for {STALL_S:g} s", disturb)


def neighbour(calls: int) -> None:
    """Let nine others take nine tenths of the core for some seconds."""

    def disturb(host: Served) -> None:
        with neighbours(9):
            pause(NEIGHBOUR_S)

    with rig(["--max-busy", "100"]) as it:
        recovery(it, calls, f"a tenth of the core for {NEIGHBOUR_S:g} s", disturb)


def recovery(it: Rig, calls: int, title: str, disturb: Callable[[Served], None]) -> None:
    """Print how the calls were before, and how soon afterwards each of them was so again."""
    numbers = range(1, calls + 1)
    for at in range(0, calls, 4):
        it.dial(list(numbers)[at : at + 4])
        pause(0.1)
    pause(SETTLE_S)
    it.begin()
    pause(SETTLE_S)
    usual: dict[float, list[float]] = defaultdict(list)
    for call, _, age in it.up():
        usual[call].append(age)
    it.begin()
    disturb(it.host)
    over_s = now()
    pause(AFTER_S)
    frames = it.up()
    normal = {call: percentile(ages, 0.5) + SPARE_S for call, ages in usual.items()}
    back: dict[float, float] = dict.fromkeys(normal, math.inf)
    stale = 0
    for call in normal:
        mine = [(at, age) for c, at, age in frames if c == call and at > over_s]
        quarters: dict[int, list[float]] = defaultdict(list)
        for at, age in mine:
            quarters[int((at - over_s) / QUARTER_S)].append(age)
        late = [
            (n + 1) * QUARTER_S for n, q in quarters.items() if percentile(q, 0.5) > normal[call]
        ]
        stale += sum(age > normal[call] + STALE_S for _, age in mine)
        if mine:
            back[call] = max(late, default=0.0)
    medians = [percentile(ages, 0.5) for ages in usual.values()]
    last = [age for _, at, age in frames if at > over_s + AFTER_S - 1]
    gone = calls - it.model.order("report")["open"]
    it.hang_up(numbers)
    found = LATE_MS.search(it.get("metrics"))
    print(
        f"| {title} | {calls} | {1000 * percentile(medians, 0.5):.0f} "
        f"| {1000 * percentile(last, 0.5):.0f} | {stale / calls:.1f} "
        f"| {percentile(back.values(), 0.5):.2f} / {max(back.values()):.2f} "
        f"| {float(found[1]) / 1000 / calls if found else 0:.1f} | {gone} |",
        flush=True,
    )


def too_many(share: int, seconds: float, guarded: bool) -> None:
    """Dial five calls a second on a core of which others have most."""
    limits = [] if guarded else ["--max-busy", "100", "--max-late-ms", "100000"]
    with neighbours(share - 1), rig(limits) as it:
        dialled, ends = 0, now() + seconds
        while now() < ends:
            dialled += 1
            it.dial([dialled])
            pause(DIAL_EVERY_S)
        it.begin()
        pause(SETTLE_S + AFTER_S)
        ages = [age * 1000 for _, _, age in it.up()]
        kept = it.model.order("report")["open"]
        asked_at = now()
        it.get("health")
        answered_s = now() - asked_at
        refused = ", ".join(
            f"{cause} {float(n):.0f}" for cause, n in REFUSED.findall(it.get("metrics"))
        )
        print(
            f"| 1/{share} | {'yes' if guarded else 'no'} | {dialled} | {kept} | {refused or '-'} "
            f"| {percentile(ages, 0.5):.0f} / {percentile(ages, 0.99):.0f} / {max(ages):.0f} "
            f"| {answered_s:.1f} |",
            flush=True,
        )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", help=f"{', '.join(WORDS)}; all if none is named")
    parser.add_argument("--calls", type=int, default=60, help="in the first two (default 60)")
    parser.add_argument("--seconds", type=float, default=12, help="of dialling in the third")
    chosen = parser.parse_args()
    if wrong := [word for word in chosen.what if word not in WORDS]:
        parser.error(f"{wrong[0]!r} is none of {', '.join(WORDS)}")
    what = chosen.what or WORDS
    if "stall" in what or "neighbour" in what:
        print(
            "| what | calls | up before, p50 ms | up 3 to 4 s after "
            "| frames older than 200 ms afterwards, per call "
            "| back at its normal delay, s: median call / last call | shed, s per call "
            "| calls lost |\n" + "|---" * 8 + "|"
        )
    if "stall" in what:
        stall(chosen.calls)
    if "neighbour" in what:
        neighbour(chosen.calls)
    if "too-many" in what:
        print(
            "\n| the core's share | guarded | dialled | kept | refused "
            "| up p50 / p99 / max ms | /health answers, s |\n" + "|---" * 7 + "|"
        )
        for share in (4, 8):
            for guarded in (False, True):
                too_many(share, chosen.seconds, guarded)


if __name__ == "__main__":
    main()
