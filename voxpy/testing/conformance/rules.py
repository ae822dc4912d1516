"""Checks with names: each is one rule, says where it comes from, and names itself when broken."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import attrs

M = TypeVar("M")


class RuleBroken(AssertionError):
    """One rule is broken. ``str()`` names it, says it, and says what was seen."""

    def __init__(self, name: str, said: str, seen: str) -> None:
        self.name = name
        super().__init__(f"{name}: {said}\n    seen: {seen}")


class Nonconforming(AssertionError):
    """Some rules are broken; ``broken`` has a RuleBroken for each."""

    def __init__(self, subject: str, broken: Sequence[RuleBroken]) -> None:
        self.broken = tuple(broken)
        told = "\n  ".join(str(each) for each in broken)
        super().__init__(f"{subject} breaks {len(broken)} rule(s):\n  {told}")


@attrs.frozen
class Check(Generic[M]):
    """One rule for things that ``make`` makes: ``await check(make)``. ``str()`` is its name.

    Made for ``pytest.mark.parametrize("check", LEG_CHECKS, ids=str)``.
    """

    name: str
    text: str
    """The rule, and its source."""
    _run: Callable[[M], Awaitable[None] | None]

    async def __call__(self, make: M) -> None:
        """Make what is needed and look. Raises RuleBroken."""
        try:
            outcome = self._run(make)
            if outcome is not None:
                await outcome
        except RuleBroken:
            raise
        except AssertionError as error:
            raise RuleBroken(self.name, self.text, str(error) or "see above") from error

    def __str__(self) -> str:
        return self.name


def rule(
    run: Callable[[M], Awaitable[None] | None],
) -> Check[M]:
    """Make a Check of a function: its name and its docstring are the rule's."""
    return Check(run.__name__.removeprefix("_"), " ".join((inspect.getdoc(run) or "").split()), run)


async def check_all(subject: str, checks: Sequence[Check[M]], make: M) -> None:
    """Run every check. Raises Nonconforming with all rules that are broken."""
    broken = []
    for check in checks:
        try:
            await check(make)
        except RuleBroken as error:
            broken.append(error)
    if broken:
        raise Nonconforming(subject, broken)
