"""How many random calls a second one core makes and judges, scenario by scenario."""

from __future__ import annotations

import argparse
from pathlib import Path

from voxpy.lab.fuzz.hunt import hunt
from voxpy.lab.fuzz.perform import Conditions

SCENARIOS = Path(__file__).parents[1] / "scenarios"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="per scenario")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    calls, elapsed_s, broken = 0, 0.0, 0
    for path in sorted(SCENARIOS.glob("*.py")):
        hunted = hunt(
            Conditions(scenario=(path,)),
            calls=options.calls,
            first_seed=options.seed,
            jobs=options.jobs,
        )
        calls, elapsed_s = calls + hunted.calls, elapsed_s + hunted.elapsed_s
        print(
            f"{path.stem:12} {hunted.calls:6} calls {hunted.calls / hunted.elapsed_s:6.1f} a second"
        )
        if hunted.failure is not None:
            broken += 1
            print(*hunted.failure.violations, hunted.failure.yaml, sep="\n")
    print(
        f"{'all':12} {calls:6} calls {calls / elapsed_s:6.1f} a second, {broken} scenarios failed"
    )


if __name__ == "__main__":
    main()
