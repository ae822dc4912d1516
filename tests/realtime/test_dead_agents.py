"""A dead agent must not look like a successful call: who is told, what is kept, how it ends."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import base64
from typing import Any

import pytest

from voxpy.engine.ending import EndReason
from voxpy.engine.settings import Settings, Watchdogs
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

LISTENING = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine, WatchdogEvents, set_timeout

@VoxEngine.on(WatchdogEvents.AgentSilent)
def silent(event):
    Logger.write(f"{event.reason}, {event.silent_for_s:.0f} s, {event.client.id()}")
    MORE

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    global call, client
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    R = Inworld.RealtimeAPIEvents
    client = await Inworld.create_realtime_api_client(session_key="k", CLOSED)
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update({"session": {"voice": "x"}}))
    client.add_event_listener(R.SessionUpdated, ready)

def ready(event):
    VoxEngine.send_media_between(call, client)
    client.response_create({})
"""
WAITING = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine
from voxpy.errors import RequestFailed

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    R = Inworld.RealtimeAPIEvents
    client = await Inworld.create_realtime_api_client(session_key="k")
    try:
        await client.wait_event(R.SessionCreated)
        client.session_update({"session": {"voice": "x"}})
        await client.wait_event(R.SessionUpdated)
    except RequestFailed as error:
        Logger.write(f"{error.code}: {error}")
        try:
            await client.wait_event(R.SessionUpdated)
        except RequestFailed as again:
            Logger.write(f"again {again}")
        VoxEngine.terminate()
"""
PATIENT = """
- wait: answered
- wait: 10
- say: Hello? Are you there?
- wait: 10
- say: Is anybody there?
- wait: 60
- hang_up
"""
AUDIO = base64.b64encode(bytes([0x20, 0xA0] * 400)).decode()


def listening(more: str = "pass", closed: str = "") -> str:
    return LISTENING.replace("MORE", more).replace("CLOSED", closed)


def run(voxpy: CallKit, source: str, service: Any, **kw: Any) -> WorldCall:
    return voxpy.call(source, kw.pop("caller", PATIENT), serve=service, **kw)


def refuse(message: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "error",
        "event_id": "e9",
        "error": {"type": "invalid_request_error", "message": message, **fields},
    }


def ended(response_id: str, status: str, **details: Any) -> dict[str, Any]:
    response = {"id": response_id, "status": status, "output": [], "status_details": details}
    return {"type": "response.done", "event_id": "d" + response_id, "response": response}


def began(response_id: str) -> dict[str, Any]:
    return {
        "type": "response.created",
        "event_id": "c" + response_id,
        "response": {"id": response_id},
    }


def delta(response_id: str) -> dict[str, Any]:
    return {
        "type": "response.output_audio.delta",
        "event_id": "a" + response_id,
        "response_id": response_id,
        "item_id": "i" + response_id,
        "output_index": 0,
        "content_index": 0,
        "delta": AUDIO,
    }


async def refuses(talk: Talk) -> None:
    await talk.send({"type": "session.created", "event_id": "e1", "session": {"id": "s"}})
    await talk.read_until("session.update")
    await talk.send(refuse("no such voice 'x'", code="invalid_value"))
    await talk.stay()


# -- the session is refused ---------------------------------------------------------------------------


def test_who_waits_for_the_session_learns_that_it_is_refused(voxpy: CallKit) -> None:
    call = run(voxpy, WAITING, Service(refuses))
    assert call.log == [
        "invalid_value: the agent refused the session: no such voice 'x'",
        "again the agent refused the session: no such voice 'x'",
    ]
    assert call.end is not None
    assert call.end.reason is EndReason.AGENT_FAILED
    assert call.end.detail == "the agent refused the session: no such voice 'x'"
    assert call.record.errors[0] == "the agent refused the session: no such voice 'x'"
    assert call.record.finish_reason != "Normal termination"
    assert call.record.duration_s < 1


def test_another_attempt_may_succeed(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.send({"type": "session.created", "event_id": "e1", "session": {"id": "s"}})
        await talk.read_until("session.update")
        await talk.send(refuse("no such voice 'x'"))
        await talk.read_until("session.update")
        await talk.send({"type": "session.updated", "event_id": "e2", "session": {}})
        await talk.read_until("response.create")
        for event in (began("r1"), delta("r1"), ended("r1", "completed")):
            await talk.send(event)
        await talk.stay()

    source = WAITING.replace(
        '        Logger.write(f"{error.code}: {error}")\n',
        '        client.session_update({"session": {}})\n        await client.wait_event(R.SessionUpdated)\n'
        '        Logger.write("ready")\n        client.response_create({})\n        await client.wait_event(R.ResponseDone)\n        VoxEngine.terminate()\n        return\n',
    )
    call = run(voxpy, source, Service(play))
    assert call.log == ["ready"]
    assert call.end is not None
    assert call.end.reason is EndReason.TERMINATED


def test_a_scenario_that_only_listens_is_ended(voxpy: CallKit) -> None:
    """The shipped pattern configures in a listener and never learns of the refusal."""
    call = run(voxpy, listening(), Service(refuses))
    assert call.record.errors[0] == "the agent refused the session: no such voice 'x'"
    assert call.record.duration_s < 30


# -- it is agreed to and nothing comes ----------------------------------------------------------------


async def says_nothing(talk: Talk) -> None:
    await talk.stay()


async def never_confirms(talk: Talk) -> None:
    await talk.send({"type": "session.created", "event_id": "e1", "session": {"id": "s"}})
    await talk.stay()


async def never_answers(talk: Talk) -> None:
    await talk.open_session()
    await talk.stay()


async def never_finishes(talk: Talk) -> None:
    await talk.open_session()
    await talk.send(began("r1"))
    await talk.send(delta("r1"))
    await talk.stay()


async def fails_always(talk: Talk) -> None:
    await talk.open_session()
    for n in range(1, 40):
        await talk.send(began(f"r{n}"))
        await talk.send(
            ended(f"r{n}", "failed", error={"code": "overloaded", "message": "try later"})
        )
        while (await talk.next())["type"] != "input_audio_buffer.append":
            pass
        for _ in range(60):
            await talk.next()
    await talk.stay()


async def breaks_off(talk: Talk) -> None:
    await talk.open_session()
    await talk.send(began("r1"))
    await talk.send(ended("r1", "incomplete", reason="content_filter"))
    await talk.stay()


async def refuses_to_answer(talk: Talk) -> None:
    await talk.open_session()
    await talk.read_until("response.create")
    await talk.send(refuse("no such modality"))
    await talk.stay()


async def ignores_the_caller(talk: Talk) -> None:
    await talk.open_session()
    for event in (began("r1"), delta("r1"), ended("r1", "completed")):
        await talk.send(event)
    while True:
        await talk.next()
        if len(talk.sent("input_audio_buffer.append")) == 350:
            await talk.send(
                {"type": "input_audio_buffer.speech_started", "event_id": "s1", "item_id": "u1"}
            )
            await talk.send(
                {"type": "input_audio_buffer.committed", "event_id": "s2", "item_id": "u1"}
            )
            await talk.send(
                {
                    "type": "conversation.item.input_audio_transcription.completed",
                    "event_id": "s3",
                    "item_id": "u1",
                    "content_index": 0,
                    "transcript": "hello",
                }
            )


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (says_nothing, "has said nothing since the connection was made"),
        (never_confirms, "has not confirmed the session"),
        (never_answers, "has not begun the response it was asked for"),
        (never_finishes, "has not finished its response"),
        (fails_always, "does not answer: its response failed (overloaded: try later)"),
        (breaks_off, "does not answer: its response broke off (content_filter)"),
        (refuses_to_answer, "does not answer: a response was refused (no such modality)"),
        (ignores_the_caller, "has not answered the caller"),
    ],
)
def test_an_agent_that_owes_something_and_is_silent(voxpy: CallKit, play: Any, reason: str) -> None:
    """First the event, then the end; and the caller's own voice is no sign of life."""
    call = run(voxpy, listening(), Service(play))
    (told,) = call.log
    assert told.startswith(f"the agent {reason}, 2")
    assert call.end is not None
    assert call.end.reason is EndReason.WATCHDOG
    assert call.end.detail.startswith(f"the agent {reason}, for 2")
    assert f"the agent {reason}" in call.record.errors
    assert call.record.agent_failures >= 1
    assert call.record.duration_s < 45


def test_a_handler_that_closes_the_agent_and_goes_on_takes_the_cause_back(voxpy: CallKit) -> None:
    call = run(voxpy, listening("client.close(); call.say('Sorry.')"), Service(never_answers))
    assert len(call.log) == 1
    assert call.record.duration_s > 70
    assert call.end is not None
    assert call.end.reason is EndReason.AGENT_FAILED  # "Normal termination" is for calls that were
    assert call.record.finish_reason == "Session error"


def test_a_caller_who_was_moved_on_is_left_in_peace(voxpy: CallKit) -> None:
    source = listening().replace(
        "    client.response_create({})\n",
        "    client.response_create({})\n    set_timeout(lambda: client.stop_media_to(call), 3000)\n",
    )
    call = run(voxpy, source, Service(never_answers))
    assert call.log == []
    assert call.record.duration_s > 70


def test_the_watchdog_can_be_off(voxpy: CallKit) -> None:
    dogs = Settings(watchdogs=Watchdogs(agent_silent_s=float("inf"), dead_air_s=float("inf")))
    call = run(voxpy, listening(), Service(never_answers), settings=dogs)
    assert call.log == []
    assert call.record.duration_s > 70


@pytest.mark.parametrize("transcripts", [[""], ["", "", ""], []])
def test_a_cough_that_gets_no_answer_is_no_fault(voxpy: CallKit, transcripts: list[str]) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.read_until("response.create")
        for event in (began("r1"), delta("r1"), ended("r1", "completed")):
            await talk.send(event)
        for n, words in enumerate(transcripts):
            await talk.send(
                {"type": "input_audio_buffer.committed", "event_id": f"c{n}", "item_id": f"u{n}"}
            )
            await talk.send(
                {
                    "type": "conversation.item.input_audio_transcription.completed",
                    "event_id": f"t{n}",
                    "item_id": f"u{n}",
                    "content_index": 0,
                    "transcript": words,
                }
            )
        if not transcripts:
            await talk.send(
                {"type": "input_audio_buffer.committed", "event_id": "c", "item_id": "u"}
            )
        await talk.stay()

    call = run(voxpy, listening(), Service(play))
    assert call.log == []
    assert call.record.errors == []


def test_one_failure_that_mends_itself_is_told_and_forgotten(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(began("r1"))
        await talk.send(ended("r1", "failed", error={"code": "overloaded"}))
        for event in (began("r2"), delta("r2"), ended("r2", "completed")):
            await talk.send(event)
        await talk.stay()

    source = listening().replace("    client.response_create({})\n", "")
    call = run(voxpy, source, Service(play), caller="- wait: answered\n- wait: 30\n- hang_up")
    assert call.record.errors == ["the agent does not answer: its response failed (overloaded)"]
    assert call.end is not None
    assert call.end.reason is EndReason.TERMINATED


# -- the connection -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (1012, "", "1012 the service restarts; a new connection may be made"),
        (1013, "queue full", "1013 the service is overloaded; try again later (queue full)"),
        (1011, "", "1011 the service has a fault of its own"),
        (4001, "quota", "4001 quota"),
    ],
)
def test_a_close_is_a_cause(voxpy: CallKit, code: int, reason: str, told: str) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.read_until("response.create")
        await talk.socket.aclose(code, reason)

    closed = "on_web_socket_close=lambda e: VoxEngine.terminate()"
    call = run(voxpy, listening(closed=closed), Service(play))
    assert call.end is not None
    assert call.end.reason is EndReason.AGENT_FAILED
    assert call.end.detail == f"the connection closed: {told}"
    assert call.record.errors[0] == f"the connection closed: {told}"
    assert call.record.end_detail == f"the connection closed: {told}"


def test_nobody_waits_for_an_agent_that_is_gone(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.send({"type": "session.created", "event_id": "e1", "session": {"id": "s"}})
        await talk.read_until("session.update")
        await talk.socket.aclose(1013)

    call = run(voxpy, WAITING, Service(play))
    words = "the connection closed: 1013 the service is overloaded; try again later"
    assert call.log == [f"None: {words}", f"again {words}"]


@pytest.mark.parametrize("code", [1000, 1013])
def test_a_caller_left_alone_by_a_close_is_told_of_and_released(voxpy: CallKit, code: int) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.read_until("response.create")
        await talk.socket.aclose(code)

    call = run(voxpy, listening(), Service(play))
    (told,) = call.log
    assert told.startswith("the agent is gone (the connection closed: 1")
    assert call.record.duration_s < 30
