"""Random calls to a scenario of each service, judged by the same rules as all others."""

from __future__ import annotations

import os

import pytest

from tests.services.talks import TALKS
from voxpy.lab.fuzz.hunt import hunt
from voxpy.lab.fuzz.perform import Conditions

CALLS = int(os.environ.get("FUZZ_CALLS", "15"))
"""A few in the suite; ``FUZZ_CALLS=1000`` before a release."""


@pytest.mark.parametrize("name", TALKS)
def test_a_scenario_of_the_service_keeps_every_rule(name: str) -> None:
    hunted = hunt(Conditions(scenario=TALKS[name].source), calls=CALLS, first_seed=3)
    if hunted.failure is not None:
        told = "\n".join(map(str, hunted.failure.violations))
        pytest.fail(f"{told}\n{hunted.failure.timeline}\n{hunted.failure.yaml}", pytrace=False)
    assert hunted.calls == CALLS
