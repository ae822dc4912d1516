"""A fleet in virtual time: voxpy's own hosts, a hundred lives of 10,000 calls, all that can befall.

    python benchmarks/fleet_simulation.py                        20 minutes on one core
    python benchmarks/fleet_simulation.py --seeds 10 --first 50 --calls 2000
    python benchmarks/fleet_simulation.py --processes 2

Rolling deploys, deaths, a Redis that is away, hangs, loses answers or everything, a host that is
cut off: by the seed. What must hold stands in ``tests/fleet/simulated/world.py``, which pytest
lives through with fewer calls. Exit code 1 if anything was wrong; the seed brings it back.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fleet.simulated.world import Plan, Seen, run


def live(seed: int, calls: int, whole: float) -> tuple[Plan, Seen, float]:
    """Live one fleet through; return it with the CPU seconds that took."""
    plan, began = Plan.drawn(seed, calls, whole=whole), time.process_time()
    return plan, run(plan), time.process_time() - began


def main() -> None:
    """Live through what is asked for; print a line a life."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument(
        "--whole", type=float, default=0.05, help="share of calls with a whole session (0.05)"
    )
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    total: Counter[str] = Counter()
    wrong, cpu_s, began = 0, 0.0, time.monotonic()
    with ProcessPoolExecutor(given.processes) as pool:
        lives = pool.map(live, seeds, repeat(given.calls), repeat(given.whole))
        for plan, seen, took_s in lives:
            total.update({**seen.outcomes, "placed": seen.placed})
            cpu_s += took_s
            wrong += bool(seen.wrong)
            befell = f"{seen.deploys} deploys, {seen.deaths} deaths, {seen.outages} outages"
            became = ", ".join(f"{n} {what}" for what, n in seen.outcomes.items() if n)
            print(
                f"seed {plan.seed:3}: {plan.hosts} hosts, {befell}, {seen.lasted_s:.0f} s: "
                f"{became}; {seen.placed} placed, people {seen.people}; {took_s:.0f} s of CPU",
                flush=True,
            )
            for problem in seen.wrong:
                print(f"  WRONG {problem}", flush=True)
    print(f"{len(seeds)} lives, calls: {dict(total)}; {wrong} lives went wrong")
    print(f"{cpu_s:.0f} s of CPU, {time.monotonic() - began:.0f} s")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
