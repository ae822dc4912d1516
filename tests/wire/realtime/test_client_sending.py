"""What a client holds back, what it sends by itself, and what an interruption makes of it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from voxpy.errors import LocalProtocolError
from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient
from voxpy.wire.realtime.events import client_events as ce

MANUAL = {"audio": {"input": {"turn_detection": None}}}
VAD = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}


def frame(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": kind, **fields})


def updated(session: Mapping[str, Any] = VAD) -> bytes:
    return frame("session.updated", session=session)


def error(message: str, **fields: Any) -> bytes:
    return frame("error", error={"message": message, **fields})


def delta(item_id: str, ms: int, response_id: str = "r") -> bytes:
    audio = base64.b64encode(b"\1\0" * 24 * ms).decode()
    return frame(
        "response.output_audio.delta", response_id=response_id, item_id=item_id, delta=audio
    )


def created(response_id: str = "r") -> bytes:
    return frame("response.created", response={"id": response_id})


def done(response_id: str = "r", status: str = "completed", **fields: Any) -> bytes:
    return frame("response.done", response={"id": response_id, "status": status, **fields})


def sent(client: RealtimeClient) -> list[str]:
    """Types of the events that are due."""
    return [orjson.loads(each)["type"] for each in client.outgoing()]


# -- before the session is ready -------------------------------------------------------------------


def test_what_is_submitted_waits_for_the_session() -> None:
    client = RealtimeClient(queue_until_ready=True)
    client.submit({"type": "input_audio_buffer.append", "audio": "AAAA"})
    client.submit(ce.ResponseCreate())
    client.submit(ce.SessionUpdate(session={}))
    client.submit(ce.InputAudioBufferCommit())
    assert sent(client) == ["session.update"]
    assert not client.idle
    client.receive(frame("session.created", session={}))
    assert sent(client) == []
    client.receive(updated())
    assert sent(client) == [
        "input_audio_buffer.append",
        "response.create",
        "input_audio_buffer.commit",
    ]
    client.receive(updated())  # a memory cycle, say
    client.submit(ce.ResponseCancel())
    assert sent(client) == ["response.cancel"]


def test_without_a_queue_nothing_waits_for_the_session() -> None:
    client = RealtimeClient()
    client.submit(ce.InputAudioBufferCommit())
    assert sent(client) == ["input_audio_buffer.commit"]


def test_an_error_in_place_of_the_session_is_its_refusal() -> None:
    client = RealtimeClient()
    client.receive(error("no such account"))
    assert client.refusal is not None  # nothing else was ever said
    client.receive(frame("session.created", session={}))
    assert client.refusal is None
    client.submit(ce.SessionUpdate(session={}))
    client.receive(error("Cancellation failed: no active response found"))
    assert client.refusal is None  # lost races say nothing about the session
    client.receive(error("no such model", code="invalid_value"))
    assert client.refusal is not None
    assert client.refusal.message == "no such model"
    client.receive(error("second"))
    assert client.refusal is None  # it cannot be refused twice


@pytest.mark.parametrize(
    ("ours", "theirs", "refused"),
    [
        ({}, {}, True),
        ({}, {"param": "session.audio.input.format"}, True),
        ({}, {"param": "item.content"}, False),
        ({"event_id": "u1"}, {"event_id": "u1"}, True),
        ({"event_id": "u1"}, {"event_id": "other"}, False),
    ],
)
@pytest.mark.parametrize("ready", [False, True])
def test_which_errors_are_about_the_session(
    ours: dict[str, str], theirs: dict[str, str], refused: bool, ready: bool
) -> None:
    client = RealtimeClient()
    client.receive(frame("session.created", session={}))
    if ready:
        client.submit(ce.SessionUpdate(session={}))
        client.receive(updated())
    client.submit(ce.SessionUpdate(session={}, event_id=ours.get("event_id")))
    told = {"type": "invalid_request_error", "message": "no", **theirs}
    client.receive(frame("error", error=told))
    assert (client.refusal is not None) == refused


def test_an_error_may_be_about_something_else_that_was_sent() -> None:
    client = RealtimeClient()
    client.receive(frame("session.created", session={}))
    client.submit(ce.SessionUpdate(session={}))
    client.submit(ce.InputAudioBufferCommit())
    client.receive(error("the buffer is empty"))
    assert client.refusal is None
    assert client.owes == "has not confirmed the session"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.creat"},
        {"type": "response.create", "response": 5},
        {"type": "conversation.item.truncate", "item_id": "i"},
        {"type": "session.update", "session": {"x": object()}},
    ],
)
def test_what_cannot_be_sent_is_refused_when_it_is_submitted(event: dict[str, Any]) -> None:
    client = RealtimeClient(queue_until_ready=True)
    with pytest.raises(LocalProtocolError):
        client.submit(event)
    client.receive(updated())
    assert sent(client) == []


# -- one response at a time ------------------------------------------------------------------------


def test_a_second_response_waits_for_the_first() -> None:
    client = RealtimeClient()
    for voice in ("a", "b", "b", "c"):
        client.submit(ce.ResponseCreate(response={"voice": voice}))
    voices = []
    for n in range(5):
        voices += [orjson.loads(each)["response"]["voice"] for each in client.outgoing()]
        client.receive(created(f"r{n}"))
        client.receive(done(f"r{n}"))
    assert voices == ["a", "b", "c"]
    assert client.idle


def test_a_response_of_the_servers_own_is_waited_for_too() -> None:
    client = RealtimeClient()
    client.receive(created("own"))
    client.submit(ce.ResponseCreate())
    assert sent(client) == []
    client.receive(done("own", "cancelled"))
    assert sent(client) == ["response.create"]


@pytest.mark.parametrize("named", [True, False])
def test_a_lost_race_is_run_again(named: bool) -> None:
    client = RealtimeClient()
    client.submit(ce.ResponseCreate())
    (first,) = client.outgoing()
    event_id = orjson.loads(first)["event_id"] if named else None
    client.receive(created("own"))  # taken for ours, until the refusal comes
    code = "conversation_already_has_active_response"
    client.receive(error("Conversation already has …", code=code, event_id=event_id))
    assert sent(client) == []
    client.receive(done("own"))
    assert client.outgoing() == [first]
    client.receive(created("ours"))
    client.receive(done("ours"))
    assert sent(client) == []


def test_a_refusal_for_another_reason_ends_it_and_the_next_may_go() -> None:
    client = RealtimeClient()
    client.submit(ce.ResponseCreate(response={"voice": "nobody"}))
    client.submit(ce.ResponseCreate())
    (first,) = client.outgoing()
    client.receive(error("else", event_id="somebody's"))
    assert sent(client) == []
    client.receive(error("no such voice", event_id=orjson.loads(first)["event_id"]))
    assert sent(client) == ["response.create"]


def test_a_create_sent_past_it_is_counted_but_not_repeated() -> None:
    client = RealtimeClient()
    client.send({"type": "response.create", "event_id": "mine"})
    client.submit(ce.ResponseCreate())
    assert sent(client) == []
    client.receive(error("already has an active response", event_id="mine"))
    client.receive(created("own"))
    client.receive(done("own"))
    assert sent(client) == ["response.create"]
    assert sent(client) == []


def test_a_response_cut_off_before_it_was_announced_does_not_block() -> None:
    client = RealtimeClient()
    client.submit(ce.ResponseCreate())
    client.submit(ce.ResponseCreate(response={"voice": "a"}))
    assert sent(client) == ["response.create"]
    client.receive(done("r", "cancelled"))
    assert sent(client) == ["response.create"]


# -- tools -----------------------------------------------------------------------------------------


def called(*call_ids: str, response_id: str = "r", status: str = "completed") -> bytes:
    output = [
        {"type": "function_call", "call_id": c, "name": "f", "arguments": "{}"} for c in call_ids
    ]
    return done(response_id, status, output=output)


def ready_client(auto: object = False) -> RealtimeClient:
    client = RealtimeClient()
    data = {} if auto is None else {"auto_tool_response": auto}
    client.receive(updated({**VAD, "providerData": data}))
    client.receive(created())
    return client


def test_the_outputs_of_one_response_bring_one_response() -> None:
    client = ready_client()
    client.receive(called("c1", "c2"))
    client.tool_output("c2", "2")
    assert sent(client) == ["conversation.item.create"]
    assert not client.idle
    client.tool_output("c1", "1")
    assert sent(client) == ["conversation.item.create", "response.create"]


@pytest.mark.parametrize("auto", [True, None])
def test_a_server_that_goes_on_by_itself_is_not_asked(auto: object) -> None:
    client = ready_client(auto)
    client.receive(called("c1"))
    client.tool_output("c1", "1")
    assert sent(client) == ["conversation.item.create"]


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_a_response_that_did_not_complete_called_nothing(status: str) -> None:
    client = ready_client()
    client.receive(called("c1", status=status))
    assert not client.responses.awaits("c1")
    with pytest.raises(LocalProtocolError, match="'c1' awaits no output"):
        client.tool_output("c1", "1")
    assert client.idle


def test_an_output_is_sent_once() -> None:
    client = ready_client()
    client.receive(called("c1", "c2"))
    client.tool_output("c1", "1")
    with pytest.raises(LocalProtocolError):
        client.tool_output("c1", "1")
    item = {"type": "function_call_output", "call_id": "c2", "output": "by hand"}
    client.send(ce.ConversationItemCreate(item=item))
    with pytest.raises(LocalProtocolError):
        client.tool_output("c2", "2")
    assert sent(client) == ["conversation.item.create"]


def test_a_response_that_began_with_the_outputs_known_answers_them() -> None:
    client = ready_client()
    client.receive(called("c1"))
    client.receive(created("turn"))  # the caller spoke meanwhile
    client.tool_output("c1", "1")
    assert sent(client) == ["conversation.item.create"]
    output = {"id": "o", "type": "function_call_output", "call_id": "c1", "output": "1"}
    client.receive(frame("conversation.item.added", item=output))
    client.receive(done("turn", "cancelled"))  # began before it could know
    assert sent(client) == ["response.create"]
    client.receive(created("own"))  # the server's, begun after it had the output
    client.receive(error("already has an active response"))
    client.receive(done("own"))
    assert sent(client) == []
    assert client.idle


# -- interruptions ---------------------------------------------------------------------------------


def speaking(session: Mapping[str, Any] = VAD) -> RealtimeClient:
    """A client whose agent has said a second, in two items, and goes on."""
    client = RealtimeClient()
    for each in (updated(session), created(), delta("a", 400), delta("b", 600)):
        client.receive(each)
    return client


def heard(**ms: float) -> Callable[[str], float]:
    return lambda item_id: ms.get(item_id, 0.0)


def test_every_item_that_waits_is_cut_or_deleted() -> None:
    client = speaking()
    assert client.interrupt(heard(a=250)) == [
        ce.ConversationItemTruncate(item_id="a", content_index=0, audio_end_ms=250),
        ce.ConversationItemDelete(item_id="b"),
    ]


def test_items_are_cut_once() -> None:
    client = speaking()
    for event in client.interrupt(heard(a=400, b=1)):
        client.send(event)
    assert client.interrupt(heard(a=400, b=1)) == []
    assert client.truncation("a", 100) is None


def test_what_a_program_cut_by_itself_is_not_cut_again() -> None:
    client = speaking()
    client.send({"type": "conversation.item.truncate", "item_id": "a", "audio_end_ms": 1})
    client.submit(ce.ConversationItemDelete(item_id="b"))
    assert client.interrupt(heard()) == []


def test_late_audio_of_an_interrupted_response_is_dropped() -> None:
    client = speaking()
    client.interrupt(heard(a=100))
    assert client.receive(delta("b", 100)) == []
    assert client.produced_ms("b") == 600
    client.receive(created("r2"))
    (audio,) = client.receive(delta("c", 100, "r2"))
    assert isinstance(audio, Audio)


def test_the_client_cancels_only_where_the_server_does_not() -> None:
    assert speaking(MANUAL).interrupt(heard())[0] == ce.ResponseCancel(response_id="r")
    assert not any(isinstance(e, ce.ResponseCancel) for e in speaking(VAD).interrupt(heard()))
    unsaid = speaking({})
    assert not any(isinstance(e, ce.ResponseCancel) for e in unsaid.interrupt(heard()))
    client = speaking(MANUAL)
    client.receive(done())
    assert not any(isinstance(e, ce.ResponseCancel) for e in client.interrupt(heard()))


@pytest.mark.parametrize(
    ("detection", "may"),
    [
        ({"type": "server_vad"}, True),
        ({"type": "server_vad", "interrupt_response": True}, True),
        ({"type": "server_vad", "interrupt_response": False}, False),
        (None, True),
    ],
)
def test_whether_the_caller_may_interrupt(detection: object, may: bool) -> None:
    client = RealtimeClient()
    client.receive(updated({"audio": {"input": {"turn_detection": detection}}}))
    assert client.may_interrupt() is may


def test_a_back_channel_is_no_item_to_cut() -> None:
    client = RealtimeClient()
    client.receive(updated())
    murmur = base64.b64encode(b"\1\0" * 240).decode()
    (audio,) = client.receive(
        frame("response.backchannel.audio.delta", backchannel_id="bc", delta=murmur)
    )
    assert isinstance(audio, Audio)
    assert client.interrupt(heard()) == []


# -- what was heard --------------------------------------------------------------------------------


def test_words_are_cut_in_proportion_to_the_audio() -> None:
    client = RealtimeClient()
    client.receive(created())
    words = "one two three four five six"
    client.receive(
        frame("response.output_audio_transcript.delta", response_id="r", item_id="a", delta=words)
    )
    assert client.transcript_heard("a", 100) == ""  # no audio, nothing heard
    client.receive(delta("a", 900))
    assert client.transcript_heard("a", 0) == ""
    assert client.transcript_heard("a", 450) == "one two three"
    assert client.transcript_heard("a", 900) == words
    client.mute_until_cleared()
    client.receive(delta("a", 900))  # came, but nobody heard it
    assert client.transcript_heard("a", 900) == "one two three"
    assert client.transcripts.said("a") == words
