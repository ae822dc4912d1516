"""The hunt: plan after plan until one fails, which is then made small."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from multiprocessing import get_context
from typing import Any, TypeVar

import attrs
from hypothesis import HealthCheck, Phase, given, seed, settings

from voxpy.engine import clock
from voxpy.lab.fuzz.invariants import Violation
from voxpy.lab.fuzz.perform import Conditions, Outcome, perform
from voxpy.lab.fuzz.strategies import MOST_EVENTS, ScenarioFacts, plans
from voxpy.simulation.callerfile import write_script
from voxpy.simulation.script import CallerScript, LineOptions
from voxpy.simulation.service import ServiceScript
from voxpy.simulation.steps import HangUp, Pause, Say, Wait
from voxpy.wire.realtime.server.faults import Faults

BATCH = 40
"""Calls per task of a process: some seconds of work."""
SHRINK_S = 20.0
"""Real seconds for making a failure small."""
ALONE = "nobody is left alone"
CLIENT = re.compile(r"[\w.]+\.create_\w+_client")
AFTERWARDS = "the test's own assertions"

PLAIN = CallerScript(
    speech="tones",
    may_be_refused=True,
    service=ServiceScript(says=(("Hello.",), ("It is a fine day.",))),
    steps=(Wait(what="answered"), Pause(seconds=1.5), Say(text="How are you?"), Pause(seconds=2.5)),
)
"""The call by which a scenario is got to know; it is the first one of every hunt."""

Check = Callable[[Outcome], None]
"""A test's own assertions about one call; raises AssertionError."""


@attrs.frozen(kw_only=True)
class Failure:
    """A call that broke a rule, made small. ``original`` is the plan as it was invented."""

    violations: list[Violation]
    plan: CallerScript
    original: CallerScript
    timeline: str
    tried: int

    @property
    def yaml(self) -> str:
        """The plan as a caller's script."""
        return write_script(self.plan)


@attrs.frozen(kw_only=True)
class Hunted:
    """What came of a hunt: how many calls in how many real seconds, and the first failure."""

    calls: int
    elapsed_s: float
    seed: int
    failure: Failure | None = None


class _Found(BaseException):
    """Ends hypothesis's run at the first failure: making it small is our own work, and timed."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def examine(conditions: Conditions) -> tuple[ScenarioFacts, Outcome]:
    """Get to know a scenario by a plain call. Raises what makes any call impossible."""
    outcome = perform(PLAIN, conditions)
    names = [e.name for e in outcome.evidence.entries]
    facts = ScenarioFacts(
        realtime=any(CLIENT.fullmatch(name) for name in names),
        tools=tuple(t for t in outcome.tools if "name" in t),
        events=min(MOST_EVENTS, len(outcome.call.names("event"))),
    )
    return facts, outcome


def hunt(
    conditions: Conditions,
    *,
    calls: int = 200,
    seconds: float = math.inf,
    first_seed: int = 0,
    jobs: int = 1,
    shrink_s: float = SHRINK_S,
    check: Check | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Hunted:
    """Make up to ``calls`` random calls, for at most so many real seconds; stop at a failure.

    ``check`` may assert more about each call. ``progress`` gets the number of calls made so far.
    With more than one job ``conditions`` go to other processes and there is no ``check``. Raises
    what makes any call impossible (ConfigError, ScenarioError).
    """
    began_s = clock.busy_s()
    facts, outcome = examine(conditions)
    outcome = _checked(outcome, check)
    made, failing = 1, outcome.plan if outcome.violations else None
    batches = _batches(calls - 1, first_seed)
    if failing is None:
        source = (
            _in_turn(conditions, facts, batches, check)
            if jobs == 1
            else _side_by_side(conditions, facts, batches, jobs)
        )
        for done, failing in source:
            made += done
            progress(made)
            if failing is not None or clock.busy_s() - began_s >= seconds:
                break
        source.close()
    failure = None if failing is None else _reduce(failing, conditions, check, shrink_s)
    elapsed_s = clock.busy_s() - began_s
    return Hunted(calls=made, elapsed_s=elapsed_s, seed=first_seed, failure=failure)


_Batch = tuple[int, int]
"""A seed and a number of calls."""
_Done = tuple[int, CallerScript | None]
"""Calls made, and the plan that failed."""


def _batches(calls: int, first_seed: int) -> Iterator[_Batch]:
    for number in count():
        left = calls - number * BATCH
        if left <= 0:
            return
        yield first_seed * 1_000_003 + number, min(BATCH, left)


def _in_turn(
    conditions: Conditions, facts: ScenarioFacts, batches: Iterator[_Batch], check: Check | None
) -> Generator[_Done, None, None]:
    for batch in batches:
        yield _make(conditions, facts, batch, check)


def _side_by_side(
    conditions: Conditions, facts: ScenarioFacts, batches: Iterator[_Batch], jobs: int
) -> Generator[_Done, None, None]:
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:

        def start(batch: _Batch) -> Future[_Done]:
            return pool.submit(_make, conditions, facts, batch)

        running = {start(batch) for _, batch in zip(range(2 * jobs), batches, strict=False)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {start(batch) for _, batch in zip(done, batches, strict=False)}
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _make(
    conditions: Conditions, facts: ScenarioFacts, batch: _Batch, check: Check | None = None
) -> _Done:
    """Make the calls of one batch, up to the first that fails."""
    number, calls = batch
    made = 0

    @seed(number)
    @settings(
        max_examples=calls,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plan=plans(facts))
    def one(plan: CallerScript) -> None:
        nonlocal made
        made += 1
        outcome = _checked(perform(plan, conditions), check)
        if outcome.violations:
            raise _Found(outcome)

    try:
        one()
    except _Found as found:
        return made, found.outcome.plan
    return made, None


def _checked(outcome: Outcome, check: Check | None) -> Outcome:
    if check is None:
        return outcome
    try:
        check(outcome)
    except AssertionError as error:
        more = Violation(rule=AFTERWARDS, told=str(error) or repr(error))
        return attrs.evolve(outcome, violations=[*outcome.violations, more])
    return outcome


def _reduce(
    plan: CallerScript, conditions: Conditions, check: Check | None, shrink_s: float
) -> Failure:
    """Make a failing plan small, for the first rule it breaks, and tell how the call went."""

    def make(candidate: CallerScript) -> Outcome:
        return _checked(perform(candidate, conditions), check)

    until_s = clock.busy_s() + shrink_s
    first = make(plan)
    rule = first.violations[0].rule if first.violations else ""
    smallest, tried = shrink(
        plan,
        lambda candidate: make(candidate).broke(rule),
        goes_on=lambda: clock.busy_s() < until_s,
    )
    if not smallest.steps:
        smallest = attrs.evolve(smallest, steps=(HangUp(),))
    if rule == ALONE and not isinstance(smallest.steps[-1], HangUp):  # for `voxpy run`, too
        waits = Pause(seconds=conditions.alone_s + 1)
        smallest = attrs.evolve(smallest, steps=(*smallest.steps, waits))
    last = make(smallest)
    return Failure(
        violations=last.violations or first.violations,
        plan=smallest,
        original=plan,
        timeline=last.call.timeline(),
        tried=tried,
    )


T = TypeVar("T")

SHORT_REPLY = "Hello."


def shrink(
    plan: CallerScript,
    still_fails: Callable[[CallerScript], bool],
    *,
    goes_on: Callable[[], bool] = lambda: True,
) -> tuple[CallerScript, int]:
    """Return the smallest plan found for which ``still_fails``, and how many were tried.

    Stops when nothing simpler fails, or when ``goes_on()`` says so.
    """
    tried = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _simpler(plan):
            if not goes_on():
                return plan, tried
            tried += 1
            if still_fails(candidate):
                plan, smaller = candidate, True
                break
    return plan, tried


def _simpler(plan: CallerScript) -> Iterator[CallerScript]:
    """Yield plans that are simpler by one change, the greatest changes first."""
    if plan.moments:
        yield attrs.evolve(plan, moments=())
    if plan.line != LineOptions():
        yield attrs.evolve(plan, line=LineOptions())
    if plan.service != ServiceScript():
        yield attrs.evolve(plan, service=ServiceScript())
    for steps in _fewer(plan.steps):
        if steps:
            yield attrs.evolve(plan, steps=steps)
    for moments in _fewer(plan.moments):
        yield attrs.evolve(plan, moments=moments)
    for service in _simpler_service(plan.service):
        yield attrs.evolve(plan, service=service)
    for number, step in enumerate(plan.steps):
        for simpler in step.simpler():
            yield attrs.evolve(plan, steps=_with(plan.steps, number, simpler))
    for number, moment in enumerate(plan.moments):
        for event in _lower(moment.at_event):
            changed = attrs.evolve(moment, at_event=event)
            yield attrs.evolve(plan, moments=_with(plan.moments, number, changed))


def _simpler_service(service: ServiceScript) -> Iterator[ServiceScript]:
    if service.faults != Faults():
        yield attrs.evolve(service, faults=Faults())
    if service.seed:
        yield attrs.evolve(service, seed=0)
    for says in _fewer(service.says):
        yield attrs.evolve(service, says=says)
    for number, turn in enumerate(service.says):
        if turn != (SHORT_REPLY,):
            yield attrs.evolve(service, says=_with(service.says, number, (SHORT_REPLY,)))
        for acts in _fewer(turn):
            if acts:
                yield attrs.evolve(service, says=_with(service.says, number, acts))


def _fewer(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """Yield the items without the second half of them, then without each."""
    if len(items) > 2:
        yield tuple(items[: len(items) // 2])
    for number in reversed(range(len(items))):
        yield (*items[:number], *items[number + 1 :])


def _lower(number: int | None) -> Iterator[int]:
    if number is not None and number > 1:
        yield number // 2
        yield number - 1


def _with(items: Sequence[Any], number: int, item: Any) -> tuple[Any, ...]:
    return (*items[:number], item, *items[number + 1 :])
