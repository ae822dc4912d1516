"""Makes one planned call on virtual time and gathers the evidence of it."""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from voxpy.lab.fuzz.alone import ALONE_S, Watches
from voxpy.lab.fuzz.evidence import Evidence
from voxpy.lab.fuzz.invariants import BLOCKS, Violation, judge
from voxpy.simulation.caller import SimulatedCaller
from voxpy.simulation.script import CallerScript
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.httpstub import Reply
from voxpy.testing.world import Scenario, ScenarioOptions, World
from voxpy.testing.worldcall import WorldCall

CANARIES: Mapping[str, str] = {"INWORLD_API_KEY": "canary.5f81d0c7e2.zq9x"}
"""Secrets that stand nowhere else, so that a trace of them is a leak."""
WEB_S = 0.3
LIMIT_S = 600.0
"""Virtual seconds for a whole session. Watchdogs and limits end one much sooner."""


def _nothing_there(_: Any) -> Reply:
    """Answer every request with an empty object, after a while as the web does."""
    return Reply(body={}, after_s=WEB_S)


def _with_defaults(options: ScenarioOptions) -> ScenarioOptions:
    """Add secrets that would be seen, and a web that answers."""
    return {"secrets": CANARIES, "http": _nothing_there, **options}


@attrs.frozen(kw_only=True)
class Conditions:
    """What is the same in every call to a scenario.

    ``alone_s``: how long a caller may hear nothing once its agent is gone.
    """

    scenario: Scenario
    options: ScenarioOptions = attrs.field(factory=ScenarioOptions, converter=_with_defaults)
    ignore: frozenset[str] = frozenset()
    alone_s: float = ALONE_S


@attrs.frozen(kw_only=True)
class Outcome:
    """One call that was made. ``tools`` are those the scenario offered the service."""

    plan: CallerScript
    violations: list[Violation]
    evidence: Evidence
    tools: list[Mapping[str, Any]]

    @property
    def call(self) -> WorldCall:
        """The call, for assertions."""
        return self.evidence.call

    def broke(self, rule: str) -> bool:
        """Return whether the call broke a rule."""
        return any(v.rule == rule for v in self.violations)


def perform(plan: CallerScript, conditions: Conditions) -> Outcome:
    """Make the call and judge it. The same plan leads to the same trace.

    Raises what makes a call impossible (ConfigError, ScenarioError).
    """
    outcome = run_virtual(partial(_perform, plan, conditions))
    if outcome.broke(BLOCKS):
        # The one rule that goes by real time: a busy machine may have stood still, and will hardly
        # do so twice at the same place.
        again = run_virtual(partial(_perform, plan, conditions))
        return outcome if again.broke(BLOCKS) else again
    return outcome


async def _perform(plan: CallerScript, conditions: Conditions) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="voxpy-fuzz-") as folder:
        world = World(
            conditions.scenario,
            agent=plan.service.says,
            folder=Path(folder),
            behaviour=plan.service.behaviour(),
            check_errors=False,
            **conditions.options,
        )
        watches: list[Watches] = []

        def watch(call: WorldCall) -> None:
            watches.append(Watches(call, alone_s=conditions.alone_s))

        async def stay(caller: SimulatedCaller) -> None:
            await watches[0].lonely.stay(caller)

        left = ""
        with trio.CancelScope() as scope:
            try:
                async with world:
                    with trio.move_on_after(LIMIT_S) as scope:
                        await world.act(plan, watch=watch, stay=stay)
            except AssertionError as error:
                left = str(error)
        evidence = _gather(plan, conditions, world, watches[0], left, scope.cancelled_caught)
    turns = world.agent.turns
    tools = list(turns[-1].tools) if turns else []
    violations = judge(evidence, ignore=conditions.ignore)
    return Outcome(plan=plan, violations=violations, evidence=evidence, tools=tools)


def _gather(
    plan: CallerScript,
    conditions: Conditions,
    world: World,
    watches: Watches,
    left: str,
    cut_off: bool,
) -> Evidence:
    call = world.call
    watches.lonely.finish()
    return Evidence(
        plan=plan,
        call=call,
        entries=call.entries,
        stale=watches.stale.finish(),
        requests=world.requests,
        files=_texts(call.folder),
        secrets=conditions.options.get("secrets") or {},
        recording_s=_seconds(call.hosted.recording),
        call_s=_session_s(call),
        left=left,
        cut_off=cut_off,
        alone=watches.lonely.found,
        cut=watches.cut.found,
    )


def _texts(folder: Path) -> dict[str, str]:
    texts = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != ".wav")
    return {p.relative_to(folder).as_posix(): p.read_text(errors="replace") for p in texts}


def _seconds(recording: Path) -> float | None:
    try:
        with wave.open(str(recording)) as file:
            return float(file.getnframes() / file.getframerate())
    except (OSError, EOFError, wave.Error):
        return None


def _session_s(call: WorldCall) -> float:
    """Return how long the call's media ran: from its beginning to the end of its leg."""
    leg_id = call.simulated.leg.leg_id
    over = next((e.t for e in call.entries if e.name == "call over" and e.unit == leg_id), None)
    if over is not None:
        return over
    return next((e.t for e in reversed(call.entries) if e.kind == "session"), 0.0)
