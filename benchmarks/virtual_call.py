"""What a call costs on virtual time: a bridged call of a minute with two turns.

One call alone, several times, by the CPU clock and by the wall clock; then many calls, each in a
world of its own, on two processes. That the same seed brings the same trace is checked on the way.

Run it:  python benchmarks/virtual_call.py [--calls 1000] [--processes 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from voxpy.testing import World, WorldCall, run_virtual

SCENARIO = Path(__file__).parents[1] / "scenarios" / "answer.py"
CALL_S = 60.0
SPOKEN = ("this is the first question of this caller", "and this is the second one of them")
ANSWERS = (
    "hello and welcome to this little call of ours",
    "this is an answer of some length for you",
    "and this is the other answer you asked for",
)
REPEATS = 7
RANDOM = b"inworld-realtime-demo"
"""The scenario's session key, which it draws from the clock of the machine."""


async def one_call(folder: Path, seed: int) -> WorldCall:
    """Return a call of a minute that is over."""
    async with World(SCENARIO, agent=list(ANSWERS), folder=folder, seed=seed) as world:
        caller = await world.dial()
        await caller.wait_agent_finished()
        for text in SPOKEN:
            await caller.say(text)
            await caller.wait_agent_finished()
        await caller.pause(CALL_S - world.entries[-1].t)
        caller.hang_up()
        await world.wait_ended()
    assert [s.text for s in world.transcript if s.who == "agent"] == list(ANSWERS)
    assert abs(world.record.duration_s - CALL_S) < 1
    return world.call


def trace_of(seed: int) -> list[bytes]:
    """Return the trace of a call, without what the machine's own clock says in it."""
    with tempfile.TemporaryDirectory() as folder:
        call = run_virtual(partial(one_call, Path(folder), seed), seed=seed)
        lines = [e.to_json().replace(folder.encode(), b"") for e in call.entries]
    return [line for line in lines if RANDOM not in line]


def measured(seed: int) -> tuple[float, float]:
    """Return the CPU seconds and the wall seconds of one call."""
    with tempfile.TemporaryDirectory() as folder:
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        run_virtual(partial(one_call, Path(folder), seed), seed=seed)
        return time.process_time() - cpu_s, time.perf_counter() - wall_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    assert trace_of(1) == trace_of(1), "the same seed, another trace"
    figures = [measured(n) for n in range(REPEATS)]
    cpu_s, wall_s = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"a call of {CALL_S:g} s: {cpu_s:.2f} s of CPU, {wall_s:.2f} s (budget 0.50)", flush=True)
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        spent = [cpu for cpu, _ in pool.imap_unordered(measured, range(options.calls), 10)]
    took_s = time.perf_counter() - began
    print(
        f"{options.calls} calls on {options.processes} processes: {took_s:.0f} s"
        f" ({took_s / options.calls:.2f} s a call; {statistics.mean(spent):.2f} s of CPU each)"
    )
    if options.calls != 1000:
        print(f"1000 calls would take {took_s * 1000 / options.calls:.0f} s (budget 300)")


if __name__ == "__main__":
    main()
