"""Makes a failing plan small: takes away what is not needed, simplifies what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs

from voxpy.simulation.script import CallerScript, LineOptions
from voxpy.simulation.service import ServiceScript
from voxpy.wire.realtime.server.faults import Faults

__all__ = ["shrink"]

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
