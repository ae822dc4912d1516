"""What an author reads about an exception."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import voxpy
from voxpy.engine.faults import contained, explain

OURS = Path(voxpy.__file__).parent


def raised(by: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  whatever it is
        by()
    return caught.value


def run_as(filename: str, source: str) -> BaseException:
    return raised(lambda: exec(compile(source, filename, "exec"), {}))


def test_machinery_is_left_out_but_not_files_that_are_called_alike() -> None:
    for user_file in (f"{OURS}-scenarios/a.py", "/home/me/mytrio/_lib.py", "/home/me/voxpy/a.py"):
        fault = explain(run_as(user_file, "\n1 / 0"))
        assert fault.where == f"{user_file}:2"
    fault = explain(run_as(str(OURS / "engine" / "x.py"), "1 / 0"))
    assert str(OURS) not in fault.where
    assert str(OURS) not in fault.frames


def test_without_any_frame_there_is_no_place() -> None:
    fault = explain(ValueError("never raised"))
    assert (fault.message, fault.where) == ("ValueError: never raised", "")
    assert fault.frames == "ValueError: never raised\n"


def test_only_library_frames_are_better_than_none() -> None:
    fault = explain(run_as("/venv/lib/python3/site-packages/lib.py", "1 / 0"))
    told = fault.where.rpartition(":")[0]
    assert told == __file__  # this test called it


def test_a_syntax_error_points_at_the_text() -> None:
    error = raised(lambda: compile("x = 1\ny = (", "/home/me/a.py", "exec"))
    fault = explain(error)
    assert fault.where == "/home/me/a.py:2"
    assert fault.message == "SyntaxError: '(' was never closed"
    assert 'File "/home/me/a.py", line 2' in fault.frames


def test_a_group_tells_each_member_and_the_first_place() -> None:
    members = [ValueError("no place"), run_as("/home/me/a.py", "1 / 0"), KeyError("k")]
    nested = ExceptionGroup("inner", [e for e in members if isinstance(e, Exception)])
    group = raised(lambda: _raise(ExceptionGroup("outer", [nested])))
    fault = explain(group)
    assert fault.where == "/home/me/a.py:1"
    assert fault.message == (
        "ExceptionGroup of ExceptionGroup of ValueError: no place; "
        "ZeroDivisionError: division by zero; KeyError: 'k'"
    )


async def test_frames_of_trio_are_cut_inside_groups_too() -> None:
    async def child() -> None:
        with trio.fail_after(1):
            await trio.sleep(2)

    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
    fault = explain(caught.value)
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+", fault.where)
    assert "test_faults.py" in fault.frames
    assert str(Path(trio.__file__).parent) not in fault.frames


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "error", [ValueError(), SystemExit(1), ExceptionGroup("g", [ValueError()])]
)
def test_contained_reports(error: BaseException) -> None:
    reported: list[BaseException] = []
    with contained(reported.append):
        raise error
    assert len(reported) == 1
    assert type(reported[0]) is type(error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
def test_contained_lets_pass(error: BaseException) -> None:
    reported: list[BaseException] = []
    with pytest.raises(type(error)), contained(reported.append):
        raise error
    assert reported == []


def test_contained_splits_a_group() -> None:
    reported: list[BaseException] = []
    with pytest.raises(BaseExceptionGroup) as caught, contained(reported.append):
        raise BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError("v")])
    assert [type(e) for e in caught.value.exceptions] == [KeyboardInterrupt]
    (group,) = reported
    assert isinstance(group, ExceptionGroup)
    assert [str(e) for e in group.exceptions] == ["v"]


@pytest.mark.parametrize("awaitable", [lambda: asyncio.sleep(1), lambda: asyncio.sleep(0)])
def test_asyncio_in_a_scenario_is_told_about_trio(awaitable: Callable[[], object]) -> None:
    async def handler() -> None:
        await awaitable()  # type: ignore[misc]

    message = explain(raised(lambda: trio.run(handler))).message
    assert "voxpy runs on trio, not on asyncio: write trio.sleep(1) for asyncio.sleep(1)" in message


def test_what_was_not_awaited_is_told_to_be() -> None:
    async def create() -> None: ...

    def use() -> None:
        coroutine = create()
        try:
            coroutine.add_event_listener()  # type: ignore[attr-defined]
        finally:
            coroutine.close()

    assert "agent = await Inworld.create_realtime_api_client" in explain(raised(use)).message
