"""Which session is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from voxpy.engine.context import current, current_or_none, running
from voxpy.errors import NoSession

if TYPE_CHECKING:
    from tests.engine.conftest import Stage


async def test_tasks_inherit_the_session_and_others_do_not_see_it(stage: Stage) -> None:
    one, two = stage.prepare().session, stage.prepare().session
    seen = []

    async def look(delay_s: float) -> None:
        await trio.sleep(delay_s)
        seen.append(current())

    async with trio.open_nursery() as nursery:
        with running(one):
            nursery.start_soon(look, 1)
            with running(two):
                nursery.start_soon(look, 2)
            assert current() is one
        assert current_or_none() is None
    assert seen == [one, two]


def test_without_a_session_the_error_says_how_to_run_the_file() -> None:
    with pytest.raises(NoSession, match=r"Logger.write only works inside .* voxpy run <this file>"):
        current("Logger.write")
