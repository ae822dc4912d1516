"""A world: what a test author does in it, what it tells, and what it insists on at its end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from voxpy.errors import VoxpyError
from voxpy.simulation.script import CalleeScript
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.steps import Say as SayStep
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import (
    CallKit,
    CallOver,
    CallTool,
    LineOptions,
    Reply,
    StepFailed,
    World,
    run_virtual,
)

ANSWER = Path(__file__).parents[2] / "scenarios" / "answer.py"
PLAIN = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, Net, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    BODY
"""


def plain(body: str) -> str:
    return PLAIN.replace("BODY", body.replace("\n", "\n    "))


async def one_call(world: World, error: Exception | None = None) -> None:
    """Call, stay for a second, and raise ``error`` if there is one."""
    async with world:
        await world.dial()
        await trio.sleep(1)
        if error is not None:
            raise error


# -- a call ----------------------------------------------------------------------------------------


async def test_a_conversation(voxpy: CallKit, autojump_clock: MockClock) -> None:
    async with voxpy.world(ANSWER, agent=["Hello there", "It will be sunny"]) as world:
        caller = await world.dial("+15550199", callerid="+15550123")
        await caller.wait_answered(within_s=1)
        assert await caller.wait_hears("HELLO", within_s=5) == "Hello there"
        await caller.say("How is the weather")
        await caller.wait_hears(r"sun+y", within_s=3)
        await caller.wait_hears_silence(for_s=2)
        assert not caller.hears_agent
        caller.hang_up()
        await world.wait_ended(within_s=1)
    assert caller.is_over
    assert caller.end_code == 200
    said = [(s.who, s.text, s.heard_text, s.interrupted) for s in world.transcript]
    assert said == [
        ("agent", "Hello there", "Hello there", False),
        ("caller", "How is the weather", "How is the weather", False),
        ("agent", "It will be sunny", "It will be sunny", False),
    ]
    times = [s.at_s for s in world.transcript]
    assert times == sorted(times)
    [latency] = world.latencies
    assert 200 <= latency.reply_ms <= 800
    assert latency.at_s == pytest.approx(times[2], abs=0.1)
    [alerting] = [e for e in world.events if e.name == "Application.CallAlerting"]
    assert alerting.payload["callerid"] == "+15550123"
    updated = next(e for e in world.events if e.name.endswith("SessionUpdated"))
    assert updated.payload["session"]["type"] == "realtime"
    assert world.recordings[0].stat().st_size > 50_000
    assert world.record.end_reason == "terminated"
    assert world.call.result.failure == ""
    assert world.agent.turns == world.call.turns
    assert world.errors == []
    assert world.tools == []
    assert "===Inworld.SessionUpdated===" in world.log


async def test_barge_in_is_told_whole(voxpy: CallKit, autojump_clock: MockClock) -> None:
    long = " ".join(f"word{n}" for n in range(30))
    source = plain("""call.answer()
agent = await Inworld.create_realtime_api_client(
    api_key="k", session_key="s", auto_truncate=True)
VoxEngine.send_media_between(call, agent)
agent.session_update({"session": {"type": "realtime", "instructions": "Help."}})
await agent.wait_event(Inworld.RealtimeAPIEvents.SessionUpdated)
agent.response_create({})""")
    async with voxpy.world(source, agent=[long, "As you wish"]) as world:
        caller = await world.dial()
        await caller.interrupt("please stop now", after_s=2)
        await caller.wait_hears("as you wish")
    cut = world.transcript[0]
    assert cut.text == long
    assert cut.interrupted
    assert cut.heard_text is not None
    assert 1 <= len(cut.heard_text.split()) < 20
    assert long.startswith(cut.heard_text)
    [truncated] = world.truncations
    assert 0 < truncated.audio_end_ms < 3000
    assert truncated.at_s == pytest.approx(world.transcript[1].at_s, abs=0.4)


async def test_tools(voxpy: CallKit, autojump_clock: MockClock) -> None:
    source = plain("""call.answer()
agent = await Inworld.create_realtime_api_client(api_key="k", session_key="s")
tools = Inworld.ToolSet()

@tools.add
async def weather(city: str) -> dict[str, object]:
    '''Return the weather.

    city: where
    '''
    return {"sky": "blue over " + city}

agent.use_tools(tools)
VoxEngine.send_media_between(call, agent)
agent.session_update({"session": {"type": "realtime", "instructions": "Help."}})
await agent.wait_event(Inworld.RealtimeAPIEvents.SessionUpdated)
agent.response_create({})""")
    look = CallTool("weather", {"city": "Rome"})
    async with voxpy.world(source, agent=[["Let me look", look], "It is blue"]) as world:
        caller = await world.dial()
        await caller.wait_hears("it is blue", within_s=10)
    [tool] = world.tools
    assert (tool.name, tool.arguments, tool.result) == (
        "weather",
        {"city": "Rome"},
        {"sky": "blue over Rome"},
    )


async def test_what_comes_besides_sound(voxpy: CallKit, autojump_clock: MockClock) -> None:
    source = plain("""call.handle_tones(True)
call.add_event_listener(CallEvents.ToneReceived, lambda e: Logger.write("tone " + e.tone))
call.add_event_listener(CallEvents.MessageReceived, lambda e: Logger.write("text " + e.text))
call.answer()
await call.wait_event(CallEvents.Connected)
call.send_message("welcome")""")
    async with voxpy.world(source) as world:
        caller = await world.dial(headers={"X-Plan": "gold"}, display_name="Ann")
        connected = await world.call.wait_event("Connected")
        assert connected.name == "Call.Connected"
        caller.press("12")
        caller.send_message("hi")
        assert await world.call.wait_logged("text") == "text hi"
        assert caller.received == [("message", "welcome")]
    assert world.log == ["tone 1", "tone 2", "text hi"]
    assert world.events[1].payload["headers"] == {"X-Plan": "gold"}
    assert world.events[1].payload["display_name"] == "Ann"


async def test_saying_does_not_have_to_wait(voxpy: CallKit, autojump_clock: MockClock) -> None:
    async with voxpy.world(ANSWER, agent=["Hello", "Fine"]) as world:
        caller = await world.dial()
        await caller.wait_hears("hello")
        began = trio.current_time()
        caller.say_nowait("one two three four")
        assert trio.current_time() == began
        await caller.wait_hears("fine")
        caller.say_nowait("this is cut off by my own hanging up")
        caller.hang_up()
    assert next(s.text for s in world.transcript if s.who == "caller") == "one two three four"


async def test_a_caller_says_what_happened_instead(
    voxpy: CallKit, autojump_clock: MockClock
) -> None:
    async with voxpy.world(ANSWER, agent=["Hello there"]) as world:
        caller = await world.dial()
        with pytest.raises(StepFailed, match=r"expected to hear /bye/ within 4 s; heard: Hello th"):
            await caller.wait_hears("bye", within_s=4)
        with pytest.raises(StepFailed, match="nobody hung up within 2 s"):
            await caller.wait_over(within_s=2)
        caller.hang_up()
        with pytest.raises(CallOver):
            await caller.say("hello?")


async def test_several_calls_at_once(voxpy: CallKit, autojump_clock: MockClock) -> None:
    async with voxpy.world(ANSWER, agent=["Hello", "Hello"]) as world:
        one = await world.dial("+15550001")
        two = await world.dial("+15550002", line=LineOptions(noise_dbfs=-60))
        await one.wait_hears("hello")
        await two.wait_hears("hello")
        with pytest.raises(VoxpyError, match="2 calls; say which"):
            world.call  # noqa: B018
    destinations = [c.events[1].payload["destination"] for c in world.calls]
    assert destinations == ["+15550001", "+15550002"]
    assert two.call is world.calls[1]
    assert world.calls[0].folder != world.calls[1].folder


async def test_the_agent_on_the_wire(voxpy: CallKit, autojump_clock: MockClock) -> None:
    async with voxpy.world(ANSWER, agent=["Hello"]) as world:
        with pytest.raises(VoxpyError, match="has not connected"):
            world.agent.error("too early")
        caller = await world.dial()
        await caller.wait_hears("hello")
        world.agent.error("a bad day", code="bad")
        failed = await world.call.wait_event("Error", within_s=1)
        assert failed.payload["error"]["message"] == "a bad day"
        world.agent.send({"type": "brand.new", "event_id": "e"})
        await world.call.wait_event("Unknown", within_s=1)
        world.agent.says("Are you still there")
        world.agent.call_tool("unheard_of", {"a": 1})
        assert world.agent.script_left == 2
        world.agent.stall(3)
        asked_at = trio.current_time()
        world.agent.take_turn()
        await caller.wait_hears("still there")
        assert trio.current_time() - asked_at > 3
        world.agent.close(4001, "enough")
        await world.wait_ended(within_s=5)
    [closed] = world.find("websocket closed")
    assert closed.data["code"] == 4001


async def test_a_lost_connection(voxpy: CallKit, autojump_clock: MockClock) -> None:
    async with voxpy.world(ANSWER, agent=["Hello"]) as world:
        caller = await world.dial()
        await caller.wait_hears("hello")
        world.agent.drop()
        await world.wait_ended(within_s=5)
    assert world.find("websocket closed")[0].data["was_clean"] is False


# -- the web ---------------------------------------------------------------------------------------


async def test_the_web_answers(voxpy: CallKit, autojump_clock: MockClock) -> None:
    source = plain("""
result = await Net.http_request_async("https://shop.test/orders/7?full=1", headers={"X-A": "b"})
Logger.write(result.text)
result = await Net.http_request_async("https://shop.test/slow", timeout=5)
Logger.write(str(result.code))
result = await Net.http_request_async("https://shop.test/x", method="POST", post_data='{"a": 1}')
Logger.write(str(result.code) + result.text)
for _ in range(2):
    Logger.write(str((await Net.http_request_async("https://shop.test/flaky")).code))
result = await Net.http_request_async("https://gone.test/")
Logger.write(str(result.code))
VoxEngine.terminate()""")
    http = {
        "https://shop.test/orders/*": {"status": "shipped"},
        "GET https://shop.test/slow": Reply(after_s=60),
        "GET https://shop.test/x": "wrong method",
        "POST https://shop.test/x": Reply(status=201, body="made", after_s=1),
        "https://shop.test/flaky": lambda asked: 500 if asked.number == 1 else 200,
        "https://gone.test/": Reply(fails=-3),
    }
    async with voxpy.world(source, http=http) as world:
        await world.dial()
        await world.wait_ended(within_s=10)
    assert world.log == ['{"status":"shipped"}', "-7", "201made", "500", "200", "-3"]
    first, _, post, *_ = world.requests
    assert first.url == "https://shop.test/orders/7?full=1"
    assert first.headers["x-a"] == "b"
    assert post.json() == {"a": 1}
    assert post.at_s == pytest.approx(first.at_s + 5)


async def test_an_address_nobody_answers_for_fails_the_test(
    voxpy: CallKit, autojump_clock: MockClock
) -> None:
    source = plain("""
try:
    await Net.http_request_async("https://shop.test/order")
except Exception:
    pass
VoxEngine.terminate()""")
    with pytest.raises(ExceptionGroup) as failed:
        await one_call(voxpy.world(source, http={"https://shop.test/orders": 200}))
    assert failed.group_contains(VoxpyError, match="did you mean 'https://shop.test/orders'")


# -- what it insists on ----------------------------------------------------------------------------


async def test_it_wants_virtual_time(voxpy: CallKit, mock_clock: MockClock) -> None:
    with pytest.raises(VoxpyError, match="add autojump_clock"):
        async with voxpy.world(ANSWER):
            pass


def test_it_needs_neither_pytest_trio_nor_a_folder() -> None:
    async def main() -> tuple[str, bool]:
        async with World(ANSWER, agent=["Hello"]) as world:
            caller = await world.dial()
            await caller.wait_hears("hello")
        return world.transcript[0].text, world.folder.exists()

    assert run_virtual(main) == ("Hello", False)


async def test_leaving_it_ends_everything(voxpy: CallKit, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with voxpy.world(plain("call.answer()\nawait call.wait_event(CallEvents.OnHold)")) as w:
        caller = await w.dial()
        await caller.wait_answered()
    assert trio.current_time() - began < 1
    assert caller.is_over
    assert w.end is not None
    assert w.end.reason.value == "terminated"  # the caller hung up, and the scenario saw it


async def test_a_scenario_that_does_not_end_is_ended(
    voxpy: CallKit, autojump_clock: MockClock
) -> None:
    source = plain("call.answer()").replace("lambda e: VoxEngine.terminate()", "print")
    async with voxpy.world(source) as world:
        caller = await world.dial()
        await caller.wait_answered()
        caller.hang_up()
        with pytest.raises(
            AssertionError, match=r"test-1: nobody ended it; the call is over; last"
        ):
            await world.wait_ended(within_s=3)
    assert world.end is not None
    assert world.end.reason.value == "host shutdown"


async def test_tasks_that_stay_are_named(voxpy: CallKit, autojump_clock: MockClock) -> None:
    async def deaf(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    source = plain("""call.answer()
await Inworld.create_realtime_api_client(api_key="k", session_key="s")""")
    with pytest.raises(AssertionError, match=r"left over .* task far side of service\.test"):
        await one_call(voxpy.world(source, serve=deaf))


async def test_system_tasks_are_left_by_nobody(voxpy: CallKit, autojump_clock: MockClock) -> None:
    with pytest.raises(AssertionError, match=r"left over .* system task"):
        async with voxpy.world(plain("call.answer()")):
            task = trio.lowlevel.spawn_system_task(trio.sleep, 1000)
    assert "sleep" in task.name


async def test_the_tests_own_error_counts(voxpy: CallKit, autojump_clock: MockClock) -> None:
    world = voxpy.world(plain("call.answer()\nraise ValueError('theirs')"))
    with pytest.raises(KeyError, match="mine"):
        await one_call(world, mine := KeyError("mine"))
    assert getattr(mine, "__notes__", []) == []
    assert [type(e) for e in world.errors] == [ValueError]


async def test_handler_errors_come_with_the_users_frames(
    voxpy: CallKit, autojump_clock: MockClock
) -> None:
    with pytest.raises(ExceptionGroup, match="handlers failed") as failed:
        await one_call(voxpy.world(plain("call.answer()\nraise ValueError('theirs')")))
    [error] = failed.value.exceptions
    frame = error.__traceback__
    assert frame is not None
    assert Path(frame.tb_frame.f_code.co_filename).name == "scenario-1.py"
    assert frame.tb_next is None


async def test_a_script_that_raises_is_told(voxpy: CallKit, autojump_clock: MockClock) -> None:
    with pytest.raises(ExceptionGroup) as failed:
        await one_call(voxpy.world(ANSWER, agent=lambda turn: [][1]))
    assert failed.group_contains(VoxpyError, match="in the agent's script: .*IndexError")


async def test_cancelling_a_world_from_outside(voxpy: CallKit, autojump_clock: MockClock) -> None:
    with trio.move_on_after(3) as scope:
        async with voxpy.world(ANSWER, agent=["Hello"]) as world:
            await world.dial()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert world.end is not None
    assert (world.folder / "record.json").exists()


def test_the_same_seed_brings_the_same_trace(tmp_path: Path) -> None:
    async def main(folder: Path, seed: int) -> list[bytes]:
        agent = ["Hello", "Fine"]
        async with World(ANSWER, agent=agent, folder=folder, seed=seed) as world:
            caller = await world.dial(line=LineOptions(loss=0.05, jitter_ms=10))
            await caller.wait_hears("hello")
            await caller.say("how are you today")
            await caller.wait_agent_finished()
        text = str(folder).encode()
        return [e.to_json().replace(text, b"") for e in world.entries if e.kind != "log"]

    runs = []
    for n, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(n)
        folder.mkdir()
        runs.append(run_virtual(main, folder, seed))
    assert _comparable(runs[0]) == _comparable(runs[1])


def _comparable(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if b"inworld-realtime-demo" not in line]  # a random key


async def test_people_whom_the_scenario_calls(voxpy: CallKit, autojump_clock: MockClock) -> None:
    source = plain("""call.answer()
other = VoxEngine.call_pstn("+15550777", "+15550100")
await other.wait_event(CallEvents.Connected)
VoxEngine.send_media_between(call, other)""")
    friend = CalleeScript(destination=re.compile(r"\+15550777"), steps=(SayStep(text="yes hello"),))
    async with voxpy.world(source) as world:
        caller = await world.dial(callees=[friend])
        await caller.wait_hears("yes hello")
    assert [(s.who, s.text) for s in world.transcript if s.who == "callee"] == [
        ("callee", "yes hello")
    ]


async def test_engines_with_a_brain_of_their_own(voxpy: CallKit, autojump_clock: MockClock) -> None:
    engines = scripted_engines(ScriptedResponder(["I think for myself"]))
    async with voxpy.world(ANSWER, engines=engines) as world:
        with pytest.raises(VoxpyError, match="brain of their own"):
            world.agent.says("you will not")
        caller = await world.dial()
        await caller.wait_hears("for myself")
    async with voxpy.world(ANSWER, engines=engines, agent=["I do as I am told"]) as world:
        caller = await world.dial()
        await caller.wait_hears("as I am told")


async def test_worlds_side_by_side(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def visit(n: int) -> None:
        async with World(ANSWER, agent=[f"hello from {n}"], folder=tmp_path / str(n)) as world:
            caller = await world.dial()
            heard[n] = await caller.wait_hears("hello")

    heard: dict[int, str] = {}
    async with trio.open_nursery() as nursery:
        for n in range(3):
            (tmp_path / str(n)).mkdir()
            nursery.start_soon(visit, n)
    assert heard == {n: f"hello from {n}" for n in range(3)}


def test_an_unknown_option_names_the_nearest(voxpy: CallKit) -> None:
    with pytest.raises(TypeError, match="a world has no option 'agnet'; did you mean 'agent'"):
        voxpy.world(ANSWER, agnet=["Hello"])  # type: ignore[call-arg]
