"""The cancellation sweep: end a call at every one of its events, in every way it can end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import attrs

from voxpy.lab.fuzz.perform import Conditions, Outcome, perform
from voxpy.simulation.callerfile import parse_script, write_script
from voxpy.simulation.moments import DEEDS, Moment
from voxpy.simulation.script import CallerScript
from voxpy.testing.world import Scenario, ScenarioOptions

ENDINGS: tuple[str, ...] = ("hang_up", "drain", "drop")
"""The caller hangs up, the host ends the session, the provider's connection breaks."""


@attrs.frozen(kw_only=True)
class Swept:
    """What came of a sweep: how many events the call has and how many calls were made."""

    events: int
    calls: int


def sweep(
    scenario: Scenario,
    plan: CallerScript | str,
    *,
    endings: Sequence[str] = ENDINGS,
    ignore: Sequence[str] = (),
    **options: Unpack[ScenarioOptions],
) -> Swept:
    """Make a call once, then again for each of its events and each ending, ended at that event.

    plan: a caller's script, or the YAML of one. Everybody speaks in tones.
    endings: deeds of a Moment.
    ignore: rules of voxpy.lab.fuzz that need not hold.
    options: secrets, http and settings, as ``fuzz_callers`` takes them.

    Raises AssertionError if the call itself breaks a rule, or any that was ended; what makes a call
    impossible (ConfigError, ScenarioError) otherwise.
    """
    unknown = [deed for deed in endings if deed not in DEEDS]
    if unknown:  # no assert: pytest would add what it knows of the values
        raise AssertionError(f"a call can end by {', '.join(DEEDS)}, not {unknown}")
    script = parse_script(plan, file="plan", folder=Path()) if isinstance(plan, str) else plan
    conditions = Conditions(scenario=scenario, options=options, ignore=frozenset(ignore))
    whole = perform(script, conditions)
    if whole.violations:
        raise AssertionError(_told("the call itself", whole))
    events = len(whole.call.names("event"))
    broken: list[Outcome] = []
    for at_event in range(1, events + 1):
        for deed in endings:
            moment = Moment(does=deed, at_event=at_event)
            ended = attrs.evolve(script, moments=(*script.moments, moment))
            outcome = perform(ended, conditions)
            if outcome.violations:
                broken.append(outcome)
    swept = Swept(events=events, calls=1 + events * len(endings))
    if broken:
        raise AssertionError(_told(f"{len(broken)} of {swept.calls} calls; the first", broken[0]))
    return swept


def _told(what: str, outcome: Outcome) -> str:
    violations = "\n".join(map(str, outcome.violations))
    return (
        f"{what} broke a rule:\n{violations}\n\n{outcome.call.timeline()}\n\n"
        f"as a caller's script:\n{write_script(outcome.plan)}"
    )
