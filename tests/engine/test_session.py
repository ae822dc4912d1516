"""How sessions live and end, told by scenarios."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import trio

from voxpy.engine.ending import EndReason
from voxpy.engine.events import Event, event_class
from voxpy.engine.session import Session
from voxpy.media.unit import MediaPort

if TYPE_CHECKING:
    from tests.engine.conftest import Stage

LAST_WORDS = """
@VoxEngine.on(AppEvents.Terminating)
def terminating(event): Logger.write(f"terminating {event.system_error}")
@VoxEngine.on(AppEvents.Terminated)
def terminated(event): Logger.write(f"terminated {event.system_error}")
"""


@event_class
class Poke(Event):
    name: ClassVar[str] = "Poke"
    number: int = 0


# -- every cause of an end -------------------------------------------------------------------------


async def test_terminate_does_not_stop_the_function_and_only_the_last_events_follow(
    stage: Stage,
) -> None:
    play = await stage.play(
        LAST_WORDS
        + """
@VoxEngine.on(AppEvents.Started)
async def started(event):
    set_timeout(lambda: Logger.write("timer"), 10)
    await trio.sleep(1.5)
    VoxEngine.terminate()
    Logger.write("same function")
    await trio.sleep(0)
    Logger.write("never")
@VoxEngine.on(AppEvents.Started)
def also(event): Logger.write("second listener")
"""
    )
    assert play.log == [
        "0 second listener",
        "0.01 timer",
        "1.5 same function",
        "1.5 terminating None",
        "1.5 terminated None",
    ]
    assert play.reason == "TERMINATED"


async def test_terminate_three_times_ends_once(stage: Stage) -> None:
    play = await stage.play(
        LAST_WORDS
        + """
@VoxEngine.on(AppEvents.Started)
def first(event):
    VoxEngine.terminate()
    VoxEngine.terminate()
@VoxEngine.on(AppEvents.Started)
def second(event): Logger.write("never")
@VoxEngine.on(AppEvents.Terminating)
def third(event): VoxEngine.terminate()
"""
    )
    assert play.names("command") == ["VoxEngine.terminate"] * 3
    assert play.names("session") == ["ending", "ended"]
    assert play.log == ["0 terminating None", "0 terminated None"]


@pytest.mark.parametrize(
    "handler",
    [
        "def broken(event): raise KeyError('x')",
        "async def broken(event): raise KeyError('x')",
        "async def broken(event):\n    await trio.sleep(1)\n    raise KeyError('x')",
    ],
    ids=["sync", "before the first await", "after the first await"],
)
@pytest.mark.parametrize("policy", ["terminate", "continue"])
async def test_a_handler_that_raises(stage: Stage, handler: str, policy: Any) -> None:
    source = f"""
set_timeout(VoxEngine.terminate, 5000)
@VoxEngine.on(AppEvents.Started)
{handler}
"""
    play = await stage.play(LAST_WORDS + source, on_handler_error=policy)
    (error,) = [e for e in play.entries if e.kind == "error"]
    line = 2 + (LAST_WORDS + source).count("\n", 0, (LAST_WORDS + source).index("raise")) + 1
    assert error.name.startswith("Application.Started handler broken (")
    assert error.data["message"] == "KeyError: 'x'"
    assert str(error.data["where"]).endswith(f"scenario0.py:{line}")
    assert "voxpy/engine" not in str(error.data["frames"])
    assert [type(e) for e in play.session.errors] == [KeyError]
    if policy == "terminate":
        assert play.reason == "HANDLER_ERROR"
        assert f"scenario0.py:{line}, in Application.Started handler broken" in play.log[0]
    else:
        assert play.reason == "TERMINATED"
        assert play.log == ["5 terminating None", "5 terminated None"]


@pytest.mark.parametrize("policy", ["terminate", "continue"])
async def test_a_file_that_raises_ends_with_load_error_under_any_policy(
    stage: Stage, policy: Any
) -> None:
    play = await stage.play(LAST_WORDS + "\n1 / 0\n", on_handler_error=policy)
    assert play.reason == "LOAD_ERROR"
    assert play.session.ended is not None
    assert play.session.ended.detail.startswith("ZeroDivisionError: division by zero at ")
    assert "1 / 0" in play.session.ended.frames
    assert [line.split()[1] for line in play.log] == ["terminating", "terminated"]


@pytest.mark.parametrize("policy", ["terminate", "continue"])
async def test_a_scenario_without_listeners_is_a_load_error_under_any_policy(
    stage: Stage, policy: Any
) -> None:
    play = await stage.play("x = 1", on_handler_error=policy)
    assert play.reason == "LOAD_ERROR"
    assert play.session.ended is not None
    assert "scenario0.py: registers no listener" in play.session.ended.detail


async def test_a_full_queue_ends_with_limit_naming_the_event(stage: Stage) -> None:
    async def flood(session: Session) -> None:
        await trio.sleep(1)
        for n in range(1027):  # the waiting dispatcher takes one, one finds no room, one is late
            session.post(session.listeners, Poke(number=n))

    play = await stage.play(LAST_WORDS, flood)
    assert play.reason == "LIMIT"
    assert "1024 events wait and Poke is one too many" in play.log[0]
    assert play.names("event").count("Poke") == 1026
    assert play.names("step").count("late event dropped") == 1


async def test_too_many_live_handlers_end_with_limit_naming_them(stage: Stage) -> None:
    play = await stage.play(
        LAST_WORDS
        + """
async def waits(): await trio.sleep_forever()
@VoxEngine.on(AppEvents.Started)
def started(event): set_interval(waits, 100)
""",
        live_handlers=3,
    )
    assert play.reason == "LIMIT"
    assert play.log[0].startswith("0.4 terminating 3 handlers are still running")
    assert "3x timer waits (" in play.log[0]


async def test_sixty_seconds_without_a_call_end_it(stage: Stage) -> None:
    play = await stage.play(LAST_WORDS)
    assert play.log == ["60 terminating None", "60 terminated None"]
    assert play.reason == "NO_CALLS"


async def test_a_session_without_a_call_that_hears_nothing_of_its_beginning_says_so(
    stage: Stage,
) -> None:
    """As of a list whose rule is for calls that come in: all its rows would end as done."""
    told = "nothing listens to AppEvents.Started, all that a session without a call gets"
    answers = "@VoxEngine.on(AppEvents.CallAlerting)\ndef answer(event): event.call.answer()\n"
    play = await stage.play(answers)
    assert [e.name for e in play.entries if e.kind == "warning"] == [told]
    assert play.session.ended is not None
    assert play.session.ended.detail == f"no call for 60 s; {told}"
    play = await stage.play("@VoxEngine.on(AppEvents.Started)\ndef started(event): pass\n")
    assert [e for e in play.entries if e.kind == "warning"] == []


async def test_a_call_that_comes_and_goes_restarts_the_sixty_seconds(stage: Stage) -> None:
    async def calls(session: Session) -> None:
        await trio.sleep(50)
        session.call_began("a")
        session.call_began("b")
        await trio.sleep(200)
        session.call_ended("a")
        await trio.sleep(100)
        session.call_ended("b")
        await trio.sleep(30)
        session.call_began("c")
        session.call_ended("c")  # in one instant

    play = await stage.play(LAST_WORDS, calls)
    assert play.log[0] == "440 terminating None"
    assert play.reason == "NO_CALLS"


async def test_a_host_that_ends_it(stage: Stage) -> None:
    async def drain(session: Session) -> None:
        await trio.sleep(2)
        session.end(EndReason.HOST_SHUTDOWN, "draining")
        session.end(EndReason.TERMINATED, "too late")

    play = await stage.play(LAST_WORDS, drain)
    assert play.log == ["2 terminating None", "2 terminated None"]
    assert play.reason == "HOST_SHUTDOWN"


async def test_a_host_that_cancels_it_gets_a_goodbye_at_once(stage: Stage) -> None:
    play = stage.prepare(
        """
@VoxEngine.on(AppEvents.Terminating)
async def terminating(event):
    Logger.write("no time left")
    await trio.sleep(1)
    Logger.write("never")
"""
    )
    said: list[str] = []

    async def bye() -> None:
        await trio.sleep(0.5)
        said.append("BYE")

    play.session.add_closer("leg", bye)
    began = trio.current_time()
    with trio.move_on_after(3) as scope:
        await play.run()
    assert scope.cancelled_caught
    assert trio.current_time() - began == pytest.approx(3.5)
    assert said == ["BYE"]
    assert play.reason == "HOST_SHUTDOWN"
    assert play.log == ["3 no time left"]
    assert play.names("session") == ["ending", "ended"]


async def test_cancelled_before_it_began_it_still_ends_in_order(stage: Stage) -> None:
    play = stage.prepare(LAST_WORDS)
    with trio.CancelScope() as scope:
        scope.cancel()
        await play.run()
    assert scope.cancelled_caught
    assert play.reason == "HOST_SHUTDOWN"
    assert play.names("session") == ["ending", "ended"]


async def test_an_error_in_a_task_of_ours_ends_the_session_and_not_the_host(stage: Stage) -> None:
    async def broken() -> None:
        await trio.sleep(1)
        raise OSError("lost")

    async def spawn(session: Session) -> None:
        await trio.sleep(1)
        session.spawn("reader", broken)

    play = await stage.play(LAST_WORDS, spawn)
    assert play.reason == "INTERNAL_ERROR"
    assert play.log[0] == "2 terminating reader: OSError: lost"


async def test_an_error_in_the_cleanup_of_a_cancelled_task_does_not_reach_the_host(
    stage: Stage,
) -> None:
    async def cleanup() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the cleanup")

    async def task() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cleanup)
            nursery.start_soon(trio.sleep_forever)

    async def spawn(session: Session) -> None:
        await trio.sleep(1)
        session.spawn("reader", task)

    play = await stage.play("set_timeout(VoxEngine.terminate, 2000)\n" + LAST_WORDS, spawn)
    assert play.reason == "TERMINATED"
    (error,) = play.session.errors
    assert isinstance(error, ExceptionGroup)


class BrokenSource:
    format = property(lambda self: 1 / 0)

    def pull(self) -> bytes:
        return 1 / 0  # type: ignore[return-value]


async def test_an_error_in_the_media_tick_is_reported_once(stage: Stage) -> None:
    async def slow_bye() -> None:
        await trio.sleep(1)

    async def attach(session: Session) -> None:
        await trio.sleep(1)
        session.add_closer("leg", slow_bye)
        session.graph.attach(MediaPort(name="broken", source=BrokenSource()))

    play = await stage.play(LAST_WORDS, attach)
    assert play.reason == "INTERNAL_ERROR"
    assert play.log[0].endswith("terminating media: ZeroDivisionError: division by zero")
    assert len(play.session.errors) == 1


async def test_keyboard_interrupt_in_a_handler_propagates_and_leaves_nothing(stage: Stage) -> None:
    play = stage.prepare(
        "@VoxEngine.on(AppEvents.Started)\ndef started(event): raise KeyboardInterrupt\n"
    )
    with pytest.raises(BaseExceptionGroup) as caught:
        await play.run()
    assert caught.group_contains(KeyboardInterrupt)
    assert play.session.errors == []
    assert not [name for name in sys.modules if name.startswith("voxpy_scenarios")]


async def test_a_scenario_that_works_at_module_level_needs_no_listener(stage: Stage) -> None:
    play = await stage.play(
        "set_timeout(lambda: (Logger.write('worked'), VoxEngine.terminate()), 1000)"
    )
    assert play.log == ["1 worked"]
    assert play.session.errors == []
