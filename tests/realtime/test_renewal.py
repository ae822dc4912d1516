"""Session renewal: a second connection takes over in a pause, and nobody on the phone notices."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from voxpy.localagent.responder import Act, Say, Turn, text_of
from voxpy.testing.calls import CallKit
from voxpy.testing.service import Service, Talk

SOURCE = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Inworld.create_realtime_api_client(
        session_key="k", renew_after_s=AFTER_S, statistics=True, trace=True,
        on_web_socket_close=lambda e: Logger.write(f"closed {e.code}"))
    R = Inworld.RealtimeAPIEvents
    asked = {"session": {"instructions": "Be kind.", "audio": {"output": {"voice": "Ashley"}}}}
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update(asked))
    def bridge(e):
        VoxEngine.send_media_between(call, client)
        Logger.write("updated")
    client.add_event_listener(R.SessionUpdated, bridge)
    client.add_event_listener(R.ConversationItemAdded, lambda e: Logger.write("added"))
"""
UPDATED, ADDED = "updated", "added"
ITEM, APPEND = "conversation.item.create", "input_audio_buffer.append"
SECOND = base64.b64encode(bytes([0x20, 0xA0] * 4000)).decode()
CALLER = "- wait: answered\n- wait: 12\n- hang_up"


def scenario(after_s: float = 3, more: str = "") -> str:
    lines = "\n".join("    " + line for line in more.strip().splitlines())
    return SOURCE.replace("AFTER_S", str(after_s)) + lines


def added(item_id: str, role: str, text: str) -> dict[str, Any]:
    kind = "input_text" if role != "assistant" else "output_text"
    content = [{"type": kind, "text": text}]
    item = {"id": item_id, "type": "message", "role": role, "content": content}
    return {"type": "conversation.item.added", "event_id": "e", "item": item}


def delta(item: str = "i1") -> dict[str, Any]:
    where = {"response_id": "r1", "item_id": item, "output_index": 0, "content_index": 0}
    return {"type": "response.output_audio.delta", "event_id": "e", **where, "delta": SECOND}


CREATED = {"type": "response.created", "event_id": "e", "response": {"id": "r1"}}
DONE = {"type": "response.done", "event_id": "e", "response": {"id": "r1", "status": "completed"}}
STARTED = {"type": "input_audio_buffer.speech_started", "event_id": "e", "item_id": "u1"}
STOPPED = {"type": "input_audio_buffer.speech_stopped", "event_id": "e", "item_id": "u1"}

Play = Callable[[Talk], Awaitable[None]]


async def stay(talk: Talk) -> None:
    await talk.open_session()
    await talk.stay()


async def second(talk: Talk) -> None:
    """A new session: confirms every message that it is told."""
    await talk.open_session()
    while True:
        event = await talk.next()
        if event["type"] == ITEM:
            await talk.send(
                {"type": "conversation.item.added", "event_id": "e", "item": event["item"]}
            )


def serving(*plays: Play) -> Service:
    """The first connection is served by the first play, and so on; the last serves the rest."""

    async def play(talk: Talk) -> None:
        n = service.talks.index(talk)
        await plays[min(n, len(plays) - 1)](talk)

    service = Service(play)
    return service


def opening(*frames: dict[str, Any]) -> Play:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        for each in frames:
            await talk.send(each)
        await talk.stay()

    return play


def first_audio_at(talk: Talk) -> float:
    pairs = zip(talk.received_at, talk.received, strict=True)
    return next(at for at, event in pairs if event["type"] == APPEND)


def last_audio_at(talk: Talk) -> float:
    pairs = zip(talk.received_at, talk.received, strict=True)
    return [at for at, event in pairs if event["type"] == APPEND][-1]


def test_a_new_session_knows_configuration_and_conversation(voxpy: CallKit) -> None:
    talked = opening(
        added("s", "system", "Short."), added("u", "user", "Hello"), added("a", "assistant", "Hi.")
    )
    service = serving(talked, second)
    call = voxpy.call(scenario(after_s=8), CALLER, serve=service)
    old, new = service.talks
    assert (old.path, new.path) == (
        "/session?key=k&protocol=realtime",
        "/session?key=k-2&protocol=realtime",
    )
    assert new.sent("session.update") == old.sent("session.update")
    told = [(e["item"]["id"], e["item"]["role"]) for e in new.sent(ITEM)]
    assert told == [("s", "system"), ("u", "user"), ("a", "assistant")]
    assert old.closed == (1000, "")
    (step,) = call.find("session renewed")
    assert step.data == {"connection": 2, "messages": 3}


def test_the_scenario_notices_nothing(voxpy: CallKit) -> None:
    service = serving(opening(added("u", "user", "Hello")), second)
    call = voxpy.call(scenario(), CALLER, serve=service)
    assert len(service.talks) > 2  # every three seconds
    assert call.log == [UPDATED, ADDED]
    assert len(call.find("Inworld.RealtimeAPI.SessionCreated")) == 1
    assert len(call.find("Inworld.RealtimeAPI.ConnectorInformation")) == 1
    assert call.find("Inworld.RealtimeAPI.WebSocketError") == []


def test_no_audio_is_lost_between_the_two(voxpy: CallKit) -> None:
    service = serving(stay, second)
    voxpy.call(scenario(after_s=8), CALLER, serve=service)
    old, new = service.talks
    assert first_audio_at(new) - last_audio_at(old) <= 0.041
    first, *rest = [len(base64.b64decode(e["audio"])) for e in new.sent(APPEND)]
    assert first == 8 * 300  # what went before, in case somebody just began to speak
    assert set(rest) == {8 * 40}


def test_the_agent_is_heard_through_the_new_connection(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.read_until(APPEND)
        for each in (CREATED, delta(), DONE):
            await talk.send(each)
        await talk.stay()

    call = voxpy.call(
        scenario(after_s=4), "- wait: answered\n- wait: 7\n- hang_up", serve=serving(stay, play)
    )
    assert [e.data["seconds"] for e in call.find("agent silent")] == [pytest.approx(1, abs=0.03)]
    (heard,) = call.find("agent heard as")
    assert heard.data["played_ms"] == 1000


# -- when not --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("busy", "until_s"),
    [
        ([CREATED, *[delta()] * 6, DONE], 6.0),  # the agent's words are still being played
        ([CREATED], None),
        ([STARTED], None),
        ([STARTED, STOPPED], 8.0),  # an answer is owed, but not for ever
    ],
)
def test_nobody_is_cut_off(
    voxpy: CallKit, busy: list[dict[str, Any]], until_s: float | None
) -> None:
    service = serving(opening(*busy), second)
    call = voxpy.call(scenario(), CALLER, serve=service)
    renewed = [e.t for e in call.find("session renewed")]
    assert len(service.talks) >= 2  # it is prepared all the same
    if until_s is None:
        assert renewed == []
    else:
        assert until_s < renewed[0] < until_s + 1
    assert [e.data["seconds"] for e in call.find("agent silent")] == (
        [pytest.approx(6, abs=0.05)] if len(busy) > 6 else []
    )


def test_a_running_tool_is_waited_for(voxpy: CallKit) -> None:
    tools = """
from voxpy.realtime.tools import ToolOutcome

class Tools:
    def schemas(self):
        return [{"type": "function", "name": "f", "parameters": {}}]
    async def run(self, name, arguments_json):
        await trio.sleep(6)
        return ToolOutcome(output="1")

client.use_tools(Tools())
"""
    output = [{"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}]
    response = {"id": "r1", "status": "completed", "output": output}
    called = {"type": "response.done", "event_id": "e", "response": response}
    service = serving(opening(CREATED, called), second)
    call = voxpy.call(scenario(more=tools), CALLER, serve=service)
    assert [e["item"]["type"] for e in service.talks[0].sent(ITEM)] == ["function_call_output"]
    assert call.find("session renewed")[0].t > 6


def test_a_conversation_that_goes_on_meanwhile_is_told_anew(voxpy: CallKit) -> None:
    later = trio.Event()

    async def talks(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(added("u1", "user", "Hello"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.stay)
            await later.wait()
            await talk.send(STARTED)
            await talk.send({"type": "input_audio_buffer.cleared", "event_id": "e"})
            await talk.send(added("u2", "user", "And another thing"))
            await talk.send(STARTED)
            await trio.sleep(1)
            await talk.send({"type": "input_audio_buffer.cleared", "event_id": "e"})

    async def slow(talk: Talk) -> None:
        await talk.open_session()
        event = await talk.read_until(ITEM)
        later.set()
        await trio.sleep(0.5)
        await talk.send({"type": "conversation.item.added", "item": event["item"]})
        await talk.stay()

    caller = "- wait: answered\n- wait: 30\n- hang_up"
    service = serving(talks, slow, second)
    call = voxpy.call(scenario(), caller, serve=service)
    (warning,) = [e for e in call.entries if e.kind == "warning"]
    assert warning.data["error"] == "the conversation went on while it was being told"
    assert service.talks[1].closed == (1000, "")
    assert [e["item"]["id"] for e in service.talks[2].sent(ITEM)] == ["u1", "u2"]
    assert len(call.find("session renewed")) >= 1


# -- what can go wrong -----------------------------------------------------------------------------


async def refuses_the_session(talk: Talk) -> None:
    await talk.read_until("session.update")
    error = {"message": "too many sessions", "code": "rate_limited"}
    await talk.send({"type": "error", "event_id": "e", "error": error})
    await talk.stay()


async def refuses_a_message(talk: Talk) -> None:
    await talk.open_session()
    await talk.read_until(ITEM)
    error = {"message": "no such role", "code": "invalid_value"}
    await talk.send({"type": "error", "event_id": "e", "error": error})
    await talk.stay()


async def hangs_up(talk: Talk) -> None:
    await talk.open_session()
    await talk.socket.aclose(1013, "try again later")


async def is_silent(talk: Talk) -> None:
    await talk.stay()


async def forgets_to_confirm(talk: Talk) -> None:
    await talk.open_session()
    await talk.stay()


async def talks_nonsense(talk: Talk) -> None:
    await talk.send("{broken")
    await talk.stay()


@pytest.mark.parametrize(
    ("play", "why"),
    [
        (refuses_the_session, "too many sessions"),
        (refuses_a_message, "no such role"),
        (hangs_up, "the new connection was closed with 1013 try again later"),
        (is_silent, "the service did not answer in time"),
        (forgets_to_confirm, "the service did not answer in time"),
        (talks_nonsense, "not JSON"),
    ],
)
def test_the_old_connection_stays_when_the_new_one_fails(
    voxpy: CallKit, play: Play, why: str
) -> None:
    first = opening(added("u", "user", "Hello"))
    service = serving(first, play, second)
    seconds = 36 if "in time" in why else 24
    caller = f"- wait: answered\n- wait: {seconds}\n- hang_up"
    call = voxpy.call(scenario(after_s=3), caller, serve=service)
    (warning,) = [e for e in call.entries if e.kind == "warning"]
    assert warning.name == "the session was not renewed; the old connection stays"
    assert why in warning.data["error"]
    assert call.log == [UPDATED, ADDED]  # and the scenario notices nothing
    old, failed, after, *_ = service.talks
    assert failed.sent(APPEND) == []
    assert last_audio_at(old) > failed.received_at[-1] if failed.received_at else True
    assert first_audio_at(after) - last_audio_at(old) <= 0.041


def test_a_refused_handshake_is_no_end_either(voxpy: CallKit) -> None:
    connections = 0
    service = serving(stay, second)

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal connections
        connections += 1
        if connections == 2:
            await stream.aclose()
        else:
            await service(stream)

    caller = "- wait: answered\n- wait: 30\n- hang_up"
    call = voxpy.call(scenario(), caller, serve=serve)
    (warning,) = [e for e in call.entries if e.kind == "warning"]
    assert "handshake" in warning.data["error"]
    assert len(call.find("session renewed")) >= 1
    assert call.log == [UPDATED]


def test_the_end_of_the_old_connection_ends_the_renewal(voxpy: CallKit) -> None:
    async def ends(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(CREATED)  # never finished: a renewal could not switch
        with trio.move_on_after(6):
            await talk.stay()
        await talk.socket.aclose(1001, "maximum duration")

    service = serving(ends, second)
    call = voxpy.call(scenario(), CALLER, serve=service)
    assert call.log == [UPDATED, "closed 1001"]
    assert len(service.talks) == 2
    assert service.talks[1].sent(APPEND) == []
    assert call.find("session renewed") == []


def test_close_closes_both(voxpy: CallKit) -> None:
    service = serving(opening(CREATED), second)
    call = voxpy.call(
        scenario(more="await trio.sleep(6)\nclient.close()\nawait trio.sleep(2)"),
        CALLER,
        serve=service,
    )
    assert call.log == [UPDATED, "closed 1000"]
    assert [talk.closed for talk in service.talks] == [(1000, ""), (1000, "")]


# -- what is kept ----------------------------------------------------------------------------------


def test_counts_and_frames_cover_all_connections(voxpy: CallKit) -> None:
    service = serving(stay, second)
    call = voxpy.call(scenario(after_s=5), CALLER, serve=service)
    folder = call.result.folder
    lines = (folder / "client-1-frames.txt").read_text().splitlines()
    total = sum(len(talk.received) for talk in service.talks)
    assert sum(" > {" in line for line in lines) == total
    assert f'"messages_out":{total}' in (folder / "client-1-statistics.json").read_text()


def test_what_was_not_heard_is_not_told(voxpy: CallKit) -> None:
    words = "one two three four five six seven eight"
    where = {"event_id": "e", "response_id": "r1", "item_id": "i1"}

    async def interrupted(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(CREATED)
        await talk.send(added("i1", "assistant", ""))
        await talk.send({"type": "response.output_audio_transcript.delta", **where, "delta": words})
        for _ in range(4):
            await talk.send(delta())
        await talk.read_until("output_audio_buffer.clear")
        content = [{"type": "output_audio", "transcript": words}]
        item = {"id": "i1", "type": "message", "role": "assistant", "content": content}
        await talk.send({"type": "conversation.item.done", "event_id": "e", "item": item})
        await talk.send(DONE)
        await talk.stay()

    more = "await trio.sleep(2)\nclient.output_audio_buffer_clear({})"
    service = serving(interrupted, second)
    call = voxpy.call(scenario(after_s=8, more=more), CALLER, serve=service)
    (told,) = service.talks[1].sent(ITEM)
    (heard,) = call.find("agent heard as")
    text = told["item"]["content"][0]["text"]
    assert text == heard.personal["text"]
    assert text.startswith("one two three")
    assert "six" not in text


def test_the_local_agent_remembers_over_a_renewal(voxpy: CallKit) -> None:
    source = (
        scenario(after_s=5)
        .replace(", audio", ", #")
        .replace('"Be kind.", "audio": {"output": {"voice": "Ashley"}}', '"Be kind."')
    )
    caller = """
- wait: answered
- say: My name is Ann Example please remember it
- wait: agent_finished
- wait: 6
- say: And what was my name
- expect: {heard: "twice", within_s: 8}
- hang_up
"""

    def agent(turn: Turn) -> list[Act]:
        said = [text_of(i) for i in turn.items if i.get("role") == "user"]
        return [Say("You spoke twice" if len(said) == 2 and "Ann" in said[0] else "Hello there")]

    call = voxpy.call(source, caller, agent=agent)
    assert call.result.failure == ""
    assert len(call.find("session renewed")) >= 1
    roles = [i["role"] for i in call.turns[-1].items if i.get("type") == "message"]
    assert roles == ["user", "assistant", "user"]
