"""``@fuzz_callers``: random callers as a test of pytest's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Unpack

from voxpy.lab.fuzz.alone import ALONE_S
from voxpy.lab.fuzz.hunt import Failure, hunt
from voxpy.lab.fuzz.perform import Conditions
from voxpy.testing.world import Scenario, ScenarioOptions
from voxpy.testing.worldcall import WorldCall

Test = Callable[[WorldCall], None]


def fuzz_callers(
    scenario: Scenario,
    *,
    max_examples: int = 100,
    seconds: float = math.inf,
    seed: int = 0,
    ignore: Sequence[str] = (),
    alone_s: float = ALONE_S,
    **options: Unpack[ScenarioOptions],
) -> Callable[[Test], Callable[[], None]]:
    """Make a test of random calls to a scenario; what it decorates asserts more about each call.

    ::

        @fuzz_callers("scenarios/answer.py", max_examples=50)
        def test_any_caller(call):
            assert call.record.duration_s < 60

    max_examples: how many calls.
    seconds: stop after so many real seconds, however many calls that were.
    seed: which calls; the same ones every time.
    ignore: names of rules that need not hold; see docs/testing.md.
    alone_s: how long a caller may hear nothing once its agent is gone.
    options: secrets, whose values must stand in no file of a session; http, without which the web
        answers with an empty object; settings.

    The test raises AssertionError with the call's timeline and the YAML of a caller that does it
    again.
    """
    conditions = Conditions(
        scenario=scenario, options=options, ignore=frozenset(ignore), alone_s=alone_s
    )

    def decorate(test: Test) -> Callable[[], None]:
        # Without functools.wraps: pytest would take the call for a fixture.
        def run() -> None:
            hunted = hunt(
                conditions,
                calls=max_examples,
                seconds=seconds,
                first_seed=seed,
                check=lambda outcome: test(outcome.call),
            )
            if hunted.failure is not None:  # no assert: pytest would add the repr of all of it
                raise AssertionError(_told(hunted.failure))

        run.__name__ = run.__qualname__ = test.__name__
        run.__doc__, run.__module__ = test.__doc__, test.__module__
        return run

    return decorate


def _told(failure: Failure) -> str:
    violations = "\n".join(map(str, failure.violations))
    return (
        f"a call broke a rule:\n{violations}\n\n{failure.timeline}\n\n"
        f"The call as a caller's script, for `voxpy fuzz SCENARIO --replay FILE`:\n{failure.yaml}"
    )
