"""Calls to a host over real sockets."""

from __future__ import annotations

import json
import os

import pytest
import trio

from tests.host.serve.conftest import Hosting
from voxpy.errors import HandshakeRefused


async def test_a_call_is_routed_runs_and_is_kept(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running:
        phone = await running.phone()
        await running.until(lambda: phone.received)
        phone.far_end_hangs_up()
        await running.until(lambda: running.logged("call ended"))
        (began,) = running.logged("call began")
    assert began["data"] == {
        "session": began["data"]["session"],
        "rule": "echo",
        "channel": "twilio",
    }
    assert began["personal"] == {"callerid": "+15550001111", "destination": "+15550002222"}
    record = running.folder / "sessions" / began["data"]["session"] / "record.json"
    assert json.loads(record.read_text())["finish_reason"] == "Normal termination"
    (ended,) = running.logged("call ended")
    assert ended["level"] == "info"
    assert ended["data"]["reason"] == "terminated"


async def test_a_number_without_a_rule_is_refused_with_the_patterns_tried(
    hosting: Hosting,
    autojump_clock: object,
) -> None:
    async with hosting() as running:
        phone = await running.phone(to="+4930123")
        await running.until(lambda: phone.info)
        (refused,) = running.logged("call refused")
    assert refused["data"]["cause"] == "not_found"
    assert refused["data"]["tried"] == [r"'echo' (\+1555.*): no match"]
    assert refused["personal"] == {"destination": "+4930123"}
    assert running.logged("call began") == []


async def test_one_call_more_than_the_limit_hears_busy_and_the_others_go_on(
    hosting: Hosting,
    autojump_clock: object,
) -> None:
    async with hosting(most_calls=2) as running:
        phones = [await running.phone() for _ in range(2)]
        await running.until(lambda: running.calls == 2)
        with pytest.raises(HandshakeRefused, match="503"):
            await running.phone()
        answer = await running.ask("POST", "/twilio/voice", data={"To": "+15550002222"})
        phones[0].far_end_hangs_up()
        await running.until(lambda: running.calls == 1)
        again = await running.phone()
        await running.until(lambda: running.calls == 2)
        assert [p.info for p in (phones[1], again)] == [None, None]
    assert {e["data"]["detail"] for e in running.logged("call refused")} == {
        "2 calls run; the limit is 2"
    }
    assert '<Reject reason="busy"/>' in answer.text


async def test_two_that_pass_the_door_together_do_not_both_get_the_last_place(
    hosting: Hosting,
    autojump_clock: object,
) -> None:
    """Whether there is room is asked again when the stream starts."""
    async with hosting(most_calls=1) as running:
        early = await running.connect("/media/twilio")
        running.nursery.start_soon(early.run)
        phone = await running.phone()
        await running.until(lambda: running.calls == 1)
        early.send('{"event":"connected"}')
        start = {
            "streamSid": "MZ1",
            "callSid": "CA1",
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
            "customParameters": {"to": "+15550002222"},
        }
        early.send(json.dumps({"event": "start", "start": start}))
        await running.until(lambda: early.closed)
        assert running.calls == 1
        assert phone.info is None
    assert [e["data"]["cause"] for e in running.logged("call refused")] == ["full"]


async def test_a_scenario_that_fails_ends_its_own_call_only(
    hosting: Hosting, autojump_clock: object
) -> None:
    scenario = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
    if event.callerid == "+1":
        raise ValueError("sesame-sesame is no number")
"""
    async with hosting(scenario=scenario) as running:
        good = await running.phone()
        await running.until(lambda: running.calls == 1)
        bad = await running.phone(**{"from": "+1"})
        await running.until(lambda: running.logged("call ended"))
        await running.until(lambda: bad.info)
        assert good.info is None
    first = running.logged("call ended")[0]
    assert first["level"] == "error"
    assert first["data"]["reason"] == "handler error"


AGENT = """
from voxpy import AppEvents, CallEvents, Inworld, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    agent = await Inworld.create_realtime_api_client(
        api_key=VoxEngine.get_secret_value("INWORLD_API_KEY"), session_key="k")
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionCreated, timeout_s=5)
    VoxEngine.send_media_between(call, agent)
"""


@pytest.mark.parametrize("how", ["hang up", "drop"])
async def test_the_models_socket_is_closed_within_100_ms_of_the_end(
    hosting: Hosting, autojump_clock: object, how: str
) -> None:
    async with hosting(scenario=AGENT) as running:
        phone = await running.phone()
        await running.until(lambda: running.agent.opened)
        ((_, model),) = running.agent.opened
        await running.until(lambda: phone.most_waiting >= 0 and running.calls == 1)
        began = trio.current_time()
        if how == "hang up":
            phone.far_end_hangs_up()
        else:
            phone.cut()
        await running.until(lambda: model.is_closed)
        took_s = trio.current_time() - began
    assert took_s < 0.1


async def test_audiosocket_on_its_own_port(hosting: Hosting, autojump_clock: object) -> None:
    routing = ROUTING_WITH_TCP
    async with hosting(routing=routing) as running:
        stream = await running.sockets.dial("asterisk-here")
        await stream.send_all(b"\x01\x00\x10" + bytes(16) + b"\x10\x01\x40" + bytes(320))
        await running.until(lambda: running.calls == 1)
        assert (await stream.receive_some(3)) == b"\x10\x01\x40"
        await stream.send_all(b"\x00\x00\x00")
        await running.until(lambda: running.calls == 0)
        await stream.aclose()
    (began,) = running.logged("call began")
    assert began["personal"]["destination"] == "+1555support"


ROUTING_WITH_TCP = """
channels:
  asterisk-here:
    provider: audiosocket
    port: 0
    to: '+1555support'
rules:
  - {name: echo, pattern: '\\+1555.*', scenarios: [echo.py]}
"""


async def test_one_model_of_log_for_people(hosting: Hosting, autojump_clock: object) -> None:
    """Nothing the far side sends can look like a line of the log."""
    async with hosting() as running:
        phone = await running.phone(to="+4930\n12:00 call began")
        await running.until(lambda: phone.info)
        assert len(running.logged("call began")) == 0
    assert len(running.logged("call refused")) == 1


async def test_nothing_is_left_of_calls_that_are_over(
    hosting: Hosting, autojump_clock: object
) -> None:
    """Tasks and descriptors; ``benchmarks/churn.py`` does the same with 500 calls."""

    def state() -> tuple[int, int]:
        return trio.lowlevel.current_statistics().tasks_living, len(os.listdir("/proc/self/fd"))

    async def some(n: int) -> None:
        phones = [await running.phone() for _ in range(n)]
        await running.until(lambda: all(p.received for p in phones))
        for at, phone in enumerate(phones):
            if at % 2:
                phone.cut()
            else:
                phone.far_end_hangs_up()
        await running.until(lambda: all(p.info for p in phones) and running.calls == 0)
        await running.until(lambda: running.host.handler.connections.open == 0)

    async with hosting() as running:
        await some(2)  # opens what stays open: the history
        before = state()
        await some(10)
        await some(10)
        await running.until(lambda: state() == before)
