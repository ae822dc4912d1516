"""The last seconds of a session, waiting in it, and what is left of it."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import TYPE_CHECKING, ClassVar

import pytest
import trio

from voxpy.engine.context import current_or_none
from voxpy.engine.ending import EndReason
from voxpy.engine.events import Event, Started, Terminated, event_class
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError

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


# -- the last seconds ------------------------------------------------------------------------------


async def test_a_handler_that_never_returns_is_cancelled(stage: Stage) -> None:
    play = await stage.play(
        LAST_WORDS
        + """
@VoxEngine.on(AppEvents.Started)
async def started(event):
    set_timeout(VoxEngine.terminate, 1000)
    try:
        await trio.sleep_forever()
    finally:
        Logger.write("let go")
"""
    )
    assert play.log == ["1 let go", "1 terminating None", "1 terminated None"]


SWALLOWS = """
    while True:
        try:
            await trio.sleep(1)
        except BaseException:
            pass
"""
SHIELDED = """
    with trio.CancelScope(shield=True):
        try:
            await trio.sleep_forever()
        finally:
            Logger.write("let go")
"""
IN_A_TASK_OF_ITS_OWN = """
    async def guard():
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard)
"""
SWALLOWS_IN_A_SCOPE = "    with trio.CancelScope():" + SWALLOWS.replace("\n", "\n    ")


@pytest.mark.parametrize(
    ("body", "at_s"),
    [(SWALLOWS, 0), (SWALLOWS_IN_A_SCOPE, 0), (SHIELDED, 5), (IN_A_TASK_OF_ITS_OWN, 5)],
    ids=["swallows", "swallows in a scope", "shielded", "in a task of its own"],
)
async def test_a_handler_that_ignores_its_cancellation_is_abandoned(
    stage: Stage, body: str, at_s: float
) -> None:
    play = await stage.play(
        LAST_WORDS
        + f"""
@VoxEngine.on(AppEvents.Started)
async def stubborn(event):
    VoxEngine.terminate()
{body}
"""
    )
    warning = play.find("abandoned: it ignores its cancellation")
    assert warning.t == at_s  # what spins on its cancellations goes at once
    assert "stubborn" in str(warning.data["handler"])
    assert play.session.troubles.abandoned == 1
    assert play.log[-2:] == [f"{at_s} terminating None", f"{at_s} terminated None"]
    assert play.session.errors == []


@pytest.mark.parametrize("body", [SWALLOWS, SHIELDED], ids=["swallows", "shielded"])
async def test_so_is_a_listener_of_the_last_events(stage: Stage, body: str) -> None:
    play = await stage.play(
        f"""
set_timeout(VoxEngine.terminate, 1000)
@VoxEngine.on(AppEvents.Terminating)
async def stubborn(event):
{body}
@VoxEngine.on(AppEvents.Terminated)
def terminated(event): Logger.write("terminated")
"""
    )
    assert play.session.troubles.abandoned == 1
    assert play.log[-1] in (
        "6 terminated",
        "11 terminated",
    )  # the grace, and a grace for the shield


async def test_cleaning_up_behind_a_shield_has_the_grace(stage: Stage) -> None:
    play = await stage.play(
        LAST_WORDS
        + """
@VoxEngine.on(AppEvents.Started)
async def tidy(event):
    VoxEngine.terminate()
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        Logger.write("tidied")
"""
    )
    assert play.log == ["3 tidied", "3 terminating None", "3 terminated None"]
    assert play.session.troubles.abandoned == 0


async def test_globals_of_an_ended_session_are_freed_at_once(stage: Stage) -> None:
    stage.write("class Prices: pass\nTABLE = Prices()\n", "prices.py")
    alive: list[weakref.ref[object]] = []

    async def look(session: Session) -> None:
        await trio.sleep(1)
        module = sys.modules[f"voxpy_scenarios_{session.session_id.replace('-', '_')}"]
        alive.extend(weakref.ref(o) for o in (module.BIG, module.TABLE))

    gc.disable()
    try:
        await stage.play(
            """
from .prices import TABLE
class Big: pass
BIG = Big()
def use(): return BIG, TABLE
@VoxEngine.on(AppEvents.Started)
async def started(event):
    use()
    set_timeout(VoxEngine.terminate, 2000)
""",
            look,
        )
        assert [ref() for ref in alive] == [None, None]
    finally:
        gc.enable()


async def test_terminating_has_a_grace_and_one_that_hangs_is_cut(stage: Stage) -> None:
    play = await stage.play(
        """
set_timeout(VoxEngine.terminate, 1000)
@VoxEngine.on(AppEvents.Terminating)
async def report(event):
    await trio.sleep(4.5)
    Logger.write("reported")
@VoxEngine.on(AppEvents.Terminating)
async def hangs(event):
    try:
        await trio.sleep_forever()
    finally:
        Logger.write("cut")
@VoxEngine.on(AppEvents.Terminated)
def terminated(event): Logger.write("terminated")
"""
    )
    assert play.log == ["5.5 reported", "6 cut", "6 terminated"]


async def test_timers_are_refused_in_terminating(stage: Stage) -> None:
    play = await stage.play(
        """
set_timeout(VoxEngine.terminate, 0)
@VoxEngine.on(AppEvents.Terminating)
def terminating(event):
    try:
        set_timeout(print, 1)
    except Exception as error:
        Logger.write(error)
"""
    )
    (line,) = play.log
    assert "timers are not available: the session has ended" in line


async def test_an_error_in_terminating_is_traced_and_terminated_still_comes(stage: Stage) -> None:
    play = await stage.play(
        """
set_timeout(VoxEngine.terminate, 0)
@VoxEngine.on(AppEvents.Terminating)
def terminating(event): raise ValueError("late")
@VoxEngine.on(AppEvents.Terminated)
def terminated(event): Logger.write("terminated")
"""
    )
    assert play.reason == "TERMINATED"
    assert [str(e) for e in play.session.errors] == ["late"]
    assert play.log == ["0 terminated"]


async def test_terminated_comes_after_everything_is_closed(stage: Stage) -> None:
    said: list[str] = []

    async def bye() -> None:
        await trio.sleep(1)
        said.append("BYE")

    async def socket() -> None:
        try:
            await trio.sleep_forever()
        finally:
            said.append("socket gone")

    async def meanwhile(session: Session) -> None:
        session.listeners.add(Terminated, lambda e: said.append("terminated"))
        session.add_closer("leg", bye)
        session.add_closer("leg", bye)  # names may repeat
        take_back = session.add_closer("leg", trio.sleep_forever)
        take_back()
        take_back()
        await trio.sleep(1)
        session.spawn("socket", socket)

    await stage.play("set_timeout(VoxEngine.terminate, 2000)" + LAST_WORDS, meanwhile)
    assert said == ["BYE", "BYE", "socket gone", "terminated"]


async def test_closers_run_at_once_and_those_that_hang_or_fail_are_named(stage: Stage) -> None:
    async def hangs() -> None:
        await trio.sleep_forever()

    async def fails() -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("already gone")

    async def meanwhile(session: Session) -> None:
        await trio.lowlevel.checkpoint()
        session.add_closer("leg 1", hangs)
        session.add_closer("leg 2", hangs)
        session.add_closer("socket", fails)

    play = await stage.play("set_timeout(VoxEngine.terminate, 1000)" + LAST_WORDS, meanwhile)
    assert play.log == ["1 terminating None", "3 terminated None"]
    warnings = [e for e in play.entries if e.name == "did not close in time"]
    assert sorted((e.t, e.unit) for e in warnings) == [(3, "leg 1"), (3, "leg 2")]
    assert [str(e) for e in play.session.errors] == ["already gone"]
    assert play.reason == "TERMINATED"


async def test_late_events_are_traced_as_late(stage: Stage) -> None:
    async def meanwhile(session: Session) -> None:
        async def bye() -> None:
            await trio.lowlevel.checkpoint()
            session.post(session.listeners, Poke())
            session.post(session.listeners, Poke(), private=True)
            assert not session.spawn(
                "reader", trio.sleep_forever
            )  # what is made as the session ends does nothing

        session.add_closer("leg", bye)
        await trio.sleep(1)
        session.post(session.listeners, Poke(), private=True)

    play = await stage.play("set_timeout(VoxEngine.terminate, 2000)" + LAST_WORDS, meanwhile)
    steps = [(e.name, e.data["event"]) for e in play.entries if "event" in e.data]
    assert steps == [("private event", "Poke")] + [("late event dropped", "Poke")] * 2
    assert "Poke" not in play.names("event")
    assert play.session.errors == []


# -- waiting ---------------------------------------------------------------------------------------


async def test_wait_event_gives_the_event_times_out_and_is_cancelled(stage: Stage) -> None:
    said: list[str] = []

    async def meanwhile(session: Session) -> None:
        async def waits(event: Event) -> None:
            def say(text: str) -> None:
                said.append(f"{trio.current_time() - began:g} {text}")

            say(f"got {await session.wait_event(session.listeners, Poke, 3)}")
            try:
                await session.wait_event(session.listeners, Poke, 3)
            except trio.TooSlowError:
                say("too slow")
            try:
                await session.wait_event(session.listeners, Poke, float("inf"))
            finally:
                say("cancelled")

        began = trio.current_time()
        session.listeners.add(Started, waits)
        await trio.sleep(2)
        session.post(session.listeners, Poke(number=1))
        await trio.sleep(10)
        session.end(EndReason.TERMINATED)

    play = await stage.play(LAST_WORDS, meanwhile)
    assert said == ["2 got Poke(number=1)", "5 too slow", "12 cancelled"]
    assert play.session.listeners.take_waiters(Poke) == []


async def test_wait_event_in_a_scenario(stage: Stage) -> None:
    play = await stage.play(
        """
@VoxEngine.on(AppEvents.Started)
async def started(event):
    try:
        await VoxEngine.wait_event(AppEvents.Started, timeout_s=2)
    except trio.TooSlowError:
        Logger.write("the first one is over")
    VoxEngine.terminate()
"""
    )
    assert play.log == ["2 the first one is over"]


# -- between sessions ------------------------------------------------------------------------------


async def test_two_sessions_of_one_program_share_no_globals(stage: Stage) -> None:
    program = stage.compile(
        """
seen = []
@VoxEngine.on(AppEvents.Started)
async def started(event):
    seen.append(event.session_id)
    await trio.sleep(1)
    Logger.write(f"{seen} {VoxEngine.custom_data(event.session_id)}")
    VoxEngine.terminate()
"""
    )
    plays = [stage.prepare(program), stage.prepare(program)]
    async with trio.open_nursery() as nursery:
        for play in plays:
            nursery.start_soon(play.run)
    assert [play.log for play in plays] == [["1 ['s-0'] s-0"], ["1 ['s-1'] s-1"]]


async def test_nothing_of_a_session_is_left(stage: Stage) -> None:
    def tasks() -> int:
        todo = [trio.lowlevel.current_root_task()]
        count = 0
        while todo:
            task = todo.pop()
            assert task is not None
            count += 1
            todo += [t for n in task.child_nurseries for t in n.child_tasks]
        return count

    async def worker() -> None:
        await trio.sleep_forever()

    async def meanwhile(session: Session) -> None:
        session.on_start("watch", worker)
        await trio.sleep(1)
        session.spawn("reader", worker)
        assert tasks() > before + 5

    before = tasks()
    await stage.play(
        """
set_interval(lambda: None, 100)
@VoxEngine.on(AppEvents.Started)
async def started(event):
    set_timeout(VoxEngine.terminate, 2000)
    await trio.sleep_forever()
"""
        + LAST_WORDS,
        meanwhile,
    )
    assert tasks() == before
    assert not [name for name in sys.modules if name.startswith("voxpy_scenarios")]
    assert current_or_none() is None
    ticks = stage.media_clock.statistics().ticks
    await trio.sleep(1)
    assert stage.media_clock.statistics().ticks <= ticks + 1


@pytest.mark.parametrize("seconds", [0.5, 1, 1.75, 2, 2.5, 7, 100])
async def test_the_trace_is_complete_whenever_it_is_cancelled(stage: Stage, seconds: float) -> None:
    play = stage.prepare(
        LAST_WORDS
        + """
@VoxEngine.on(AppEvents.Started)
async def started(event):
    await trio.sleep(1)
    set_timeout(VoxEngine.terminate, 1000)
    await trio.sleep_forever()
@VoxEngine.on(AppEvents.Terminating)
async def slow(event): await trio.sleep(3)
"""
    )

    async def bye() -> None:
        await trio.sleep(1)

    play.session.add_closer("leg", bye)
    with trio.move_on_after(seconds):
        await play.run()
    assert play.names("session") == ["ending", "ended"]
    assert play.names("event") == [
        "Application.Started",
        "Application.Terminating",
        "Application.Terminated",
    ]
    assert play.entries[-1].name == "ended"
    assert [line.split()[1] for line in play.log] == ["terminating", "terminated"]


# -- media links and ids ---------------------------------------------------------------------------


async def test_linking_what_has_no_media_side_is_refused(stage: Stage) -> None:
    session = stage.prepare().session
    with pytest.raises(ScenarioError, match="str is not a media unit; calls, players"):
        session.connect_media("call", "agent")
    assert [session.new_id("client"), session.new_id("client"), session.new_id("call")] == [
        "client-1",
        "client-2",
        "call-1",
    ]


async def test_a_slow_handler_is_named_in_the_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter(range(1000))
    monkeypatch.setattr("voxpy.engine.clock.busy_s", lambda: float(next(readings)))
    play = await stage.play("set_timeout(VoxEngine.terminate, 0)" + LAST_WORDS)
    slow = [e for e in play.entries if e.name == "handler blocks the loop"]
    assert "terminate" in str(slow[0].data["handler"])
    assert "took_ms" not in slow[0].data  # real durations would make two virtual runs differ
