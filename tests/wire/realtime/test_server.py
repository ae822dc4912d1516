"""Sessions as transcripts: what the client, the ears and the brain did, what was sent."""

from __future__ import annotations

import base64
import itertools
from collections import defaultdict
from typing import Any

import orjson
import pytest

from voxpy.wire.realtime.server import effects as fx
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import Quirks

MS = b"\0\0" * 24  # one millisecond of the default format


class Line:
    """A server with a readable transcript: event types, shortened, with what matters of each."""

    def __init__(self) -> None:
        counts: dict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        short = {"event": "e", "response": "resp"}
        self.server = RealtimeServer(
            session_id="sess_1",
            new_id=lambda kind: f"{short.get(kind, kind)}_{next(counts[kind])}",
            quirks=Quirks(end_padding=False, call_done_name=True),
        )
        self.now = 100.0
        self.effects: list[fx.Effect] = []

    def say(self, kind: str, **fields: Any) -> list[fx.Effect]:
        frame = orjson.dumps({"type": kind, **fields})
        effects = self.server.receive(frame, self.now)
        self.effects += effects
        return effects

    def set(self, **session: Any) -> None:
        self.say("session.update", session=session)
        assert self.types() == ["session.updated"]

    def sent(self) -> list[dict[str, Any]]:
        return [orjson.loads(frame) for frame in self.server.outgoing()]

    def types(self) -> list[str]:
        return [event["type"] for event in self.sent()]

    def error(self) -> dict[str, Any]:
        (event,) = self.sent()
        assert event["type"] == "error"
        assert set(event["error"]) == {"type", "code", "message", "param", "event_id"}
        return event["error"]  # type: ignore[no-any-return]

    def hear(self, text: str) -> list[fx.Effect]:
        """One whole turn of the caller."""
        started = self.server.speech_started(0, self.now)
        self.server.speech_stopped(500)
        return started + self.server.transcript_completed(text, self.now)

    def respond(self) -> str:
        self.say("response.create")
        active = self.server.active_response_id
        assert active is not None
        return active

    def spoken(self, text: str, duration_ms: int) -> str:
        """A whole response with audio; returns its item id."""
        response_id = self.respond()
        self.server.text(response_id, text)
        self.server.audio(response_id, MS * duration_ms, self.now)
        self.server.finish(response_id, self.now)
        self.sent()
        return str(self.server.items[-1]["id"])


@pytest.fixture
def line() -> Line:
    line = Line()
    line.server.open()
    assert line.types() == ["session.created"]
    return line


def kinds(effects: list[fx.Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


OPENING = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.content_part.added",
]
CLOSING = [
    "response.output_audio.done",
    "output_audio_buffer.stopped",
    "response.output_audio_transcript.done",
    "response.output_text.done",
    "response.content_part.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


# -- the session ---------------------------------------------------------------------------------


def test_session_update_tells_the_whole_session(line: Line) -> None:
    (effect,) = line.say("session.update", session={"instructions": "Be brief."})
    (event,) = line.sent()
    assert event["type"] == "session.updated"
    assert event["session"]["instructions"] == "Be brief."
    assert event["session"]["audio"]["output"]["voice"] == "Dennis"
    assert isinstance(effect, fx.SessionChanged)
    assert effect.session == line.server.session == event["session"]


def test_an_update_before_anything_was_read_is_fine() -> None:
    line = Line()
    line.server.open()
    line.say("session.update", session={"model": "x/y"})
    assert line.types() == ["session.created", "session.updated"]


def test_a_refused_update_changes_nothing(line: Line) -> None:
    before = line.server.session
    assert line.say("session.update", event_id="mine", session={"temperature": 9}) == []
    error = line.error()
    assert error["type"] == "invalid_request_error"
    assert (error["code"], error["param"]) == ("invalid_value", "session.temperature")
    assert error["event_id"] == "mine"
    assert line.server.session is before


# -- a voice turn -------------------------------------------------------------------------------


def test_a_voice_turn(line: Line) -> None:
    audio = base64.b64encode(MS * 40).decode()
    assert line.say("input_audio_buffer.append", audio=audio) == [fx.AudioReceived(MS * 40)]
    assert line.server.speech_started(180, line.now) == []
    line.server.transcript_delta("Hey")
    line.server.transcript_delta("Hey, man")
    line.server.speech_stopped(960)
    (respond,) = line.server.transcript_completed("Hey, man!", line.now)
    assert isinstance(respond, fx.Respond)
    assert [item["content"][0]["transcript"] for item in respond.items] == ["Hey, man!"]
    sent = line.sent()
    assert [event["type"] for event in sent] == [
        "input_audio_buffer.speech_started",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.delta",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.done",
        "response.created",
    ]
    assert sent[0]["audio_start_ms"] == 180
    assert sent[3]["audio_end_ms"] == 960
    assert {e["item_id"] for e in sent if "item_id" in e} == {"item_1"}
    assert sent[4]["previous_item_id"] is None
    assert sent[5]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert sent[6]["transcript"] == "Hey, man!"
    assert sent[8]["response"]["status"] == "in_progress"

    rid = respond.response_id
    assert line.server.text(rid, "Hel")
    assert line.server.audio(rid, MS * 300, line.now)
    assert line.server.text(rid, "lo!")
    assert line.server.audio(rid, MS * 200, line.now)
    assert line.server.finish(rid, line.now, {"total_tokens": 3})
    sent = line.sent()
    assert [event["type"] for event in sent] == [
        *OPENING[1:],
        "response.output_audio_transcript.delta",
        "response.output_text.delta",
        "output_audio_buffer.started",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_text.delta",
        "response.output_audio.delta",
        *CLOSING,
    ]
    assert sent[2]["part"] == {"type": "audio", "transcript": ""}
    assert sent[3]["part"] == {"type": "text", "text": ""}
    assert (sent[4]["content_index"], sent[5]["content_index"]) == (0, 1)
    assert base64.b64decode(sent[7]["delta"]) == MS * 300
    done = sent[-1]["response"]
    assert (done["status"], done["usage"]) == ("completed", {"total_tokens": 3})
    assert done["output"] == [
        {
            "id": "item_2",
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_audio", "transcript": "Hello!"}],
        }
    ]
    assert line.server.playing_until == pytest.approx(100.5)


def test_nothing_heard_is_not_answered(line: Line) -> None:
    assert line.hear("  ") == []
    assert line.types()[-2:] == [
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.done",
    ]


def test_create_response_false_leaves_the_answer_to_the_client(line: Line) -> None:
    line.set(audio={"input": {"turn_detection": {"create_response": False}}})
    assert line.hear("Hello") == []
    line.sent()
    assert kinds(line.say("response.create")) == ["Respond"]


def test_without_transcription_the_client_sees_no_words_but_the_brain_does(line: Line) -> None:
    line.set(audio={"input": {"transcription": None}})
    line.server.speech_started(0, line.now)
    line.server.transcript_delta("secret")
    line.server.speech_stopped(10)
    (respond,) = line.server.transcript_completed("secret", line.now)
    assert isinstance(respond, fx.Respond)
    assert respond.items[0]["content"][0]["transcript"] == "secret"
    frames = line.server.outgoing()
    assert not any(b"secret" in frame for frame in frames)
    assert not any(b"input_audio_transcription" in frame for frame in frames)


def test_ears_that_repeat_themselves_are_ignored(line: Line) -> None:
    line.server.speech_stopped(5)
    assert line.server.transcript_completed("x", line.now) == []
    assert line.types() == []
    line.server.speech_started(0, line.now)
    line.server.speech_started(1, line.now)
    assert line.types() == ["input_audio_buffer.speech_started"]


def test_words_before_the_onset_belong_to_the_coming_item(line: Line) -> None:
    line.server.transcript_delta("He")
    line.server.speech_started(0, line.now)
    delta, started = line.sent()
    assert delta["item_id"] == started["item_id"]


def test_a_caller_who_goes_on_gets_one_answer_to_both_turns(line: Line) -> None:
    line.server.speech_started(0, line.now)
    line.server.speech_stopped(500)
    line.server.speech_started(600, line.now)
    assert line.server.transcript_completed("I want", line.now) == []
    line.server.speech_stopped(900)
    (respond,) = line.server.transcript_completed("", line.now)
    assert isinstance(respond, fx.Respond)
    assert [item["content"][0]["transcript"] for item in respond.items] == ["I want", ""]


# -- barge-in -------------------------------------------------------------------------------------


def test_barge_in_into_a_response(line: Line) -> None:
    rid = line.respond()
    line.server.text(rid, "A long story")
    line.server.audio(rid, MS * 2000, line.now)
    line.sent()
    line.now += 0.5
    effects = line.server.speech_started(700, line.now)
    assert effects == [fx.Stop(rid, "turn_detected"), fx.OutputCleared()]
    sent = line.sent()
    assert [event["type"] for event in sent] == [
        "input_audio_buffer.speech_started",
        *CLOSING,
        "output_audio_buffer.cleared",
    ]
    done = sent[-2]["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert line.server.playing_until == line.now
    for late in (
        line.server.text(rid, "x"),
        line.server.audio(rid, MS, line.now),
        line.server.call_tool(rid, "f", "{}"),
        line.server.finish(rid, line.now),
        line.server.fail(rid, "x"),
    ):
        assert late is False
    assert line.types() == []


def test_barge_in_into_audio_that_still_plays(line: Line) -> None:
    line.spoken("Hello there", 1000)
    line.now += 0.9
    assert line.server.speech_started(0, line.now) == [fx.OutputCleared()]
    assert line.types() == ["input_audio_buffer.speech_started", "output_audio_buffer.cleared"]


def test_speech_after_the_audio_has_played_interrupts_nothing(line: Line) -> None:
    line.spoken("Hello there", 1000)
    line.now += 1.0
    assert line.server.speech_started(0, line.now) == []
    assert line.types() == ["input_audio_buffer.speech_started"]


def test_interrupt_response_false_keeps_talking_and_answers_later(line: Line) -> None:
    line.set(audio={"input": {"turn_detection": {"interrupt_response": False}}})
    rid = line.respond()
    line.server.audio(rid, MS * 500, line.now)
    assert line.hear("Wait") == []
    assert line.server.active_response_id == rid
    line.sent()
    assert line.server.finish(rid, line.now)
    assert line.types()[-2:] == ["response.done", "response.created"]
    assert kinds(line.server.effects()) == ["Respond"]
    assert line.server.effects() == []


def test_the_races_of_a_barge_in_are_survived(line: Line) -> None:
    rid = line.respond()
    line.server.audio(rid, MS * 500, line.now)
    line.server.speech_started(0, line.now)
    line.sent()
    line.say("response.cancel", event_id="c1")
    error = line.error()
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed: no active response found")
    assert error["event_id"] == "c1"
    line.say("output_audio_buffer.clear")
    assert line.types() == ["output_audio_buffer.cleared"]


# -- tools ----------------------------------------------------------------------------------------


def test_a_tool_call(line: Line) -> None:
    line.set(providerData={"auto_tool_response": False})
    rid = line.respond()
    line.sent()
    line.server.text(rid, "One moment.")
    line.sent()
    assert line.server.call_tool(rid, "get_weather", '{"city":"Oslo"}')
    sent = line.sent()
    assert [event["type"] for event in sent] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    assert sent[0]["output_index"] == 1
    assert sent[0]["item"]["status"] == "in_progress"
    assert sent[0]["item"]["arguments"] == ""
    assert sent[1]["previous_item_id"] is None
    assert (sent[3]["name"], sent[3]["call_id"]) == ("get_weather", "call_1")
    assert sent[5]["item"]["arguments"] == '{"city":"Oslo"}'
    line.server.finish(rid, line.now)
    done = line.sent()[-1]["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]

    output = {"type": "function_call_output", "call_id": "call_1", "output": "4 degrees"}
    assert line.say("conversation.item.create", item=output) == []
    assert line.types() == ["conversation.item.added", "conversation.item.done"]
    (respond,) = line.say("response.create")
    assert isinstance(respond, fx.Respond)
    assert respond.items[-1]["output"] == "4 degrees"


def test_the_server_answers_the_last_tool_result_by_itself(line: Line) -> None:
    rid = line.respond()
    line.server.call_tool(rid, "a", "{}")
    line.server.call_tool(rid, "b", "{}")
    output = {"type": "function_call_output", "output": "1"}
    assert line.say("conversation.item.create", item={**output, "call_id": "call_1"}) == []
    line.server.finish(rid, line.now)
    assert line.server.effects() == []
    effects = line.say("conversation.item.create", item={**output, "call_id": "call_2"})
    assert kinds(effects) == ["Respond"]
    line.sent()
    line.say("response.create", event_id="race")
    error = line.error()
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "race"


def test_results_that_come_before_the_response_ends_are_answered_after_it(line: Line) -> None:
    rid = line.respond()
    line.server.call_tool(rid, "a", "")
    output = {"type": "function_call_output", "output": "1", "call_id": "call_1"}
    assert line.say("conversation.item.create", item=output) == []
    line.server.finish(rid, line.now)
    audio = base64.b64encode(MS).decode()
    assert kinds(line.say("input_audio_buffer.append", audio=audio)) == ["Respond", "AudioReceived"]


def test_calls_of_a_cancelled_response_are_not_waited_for(line: Line) -> None:
    rid = line.respond()
    line.server.call_tool(rid, "a", "{}")
    line.server.call_tool(rid, "b", "{}")
    line.say("response.cancel")
    output = {"type": "function_call_output", "output": "1", "call_id": "call_1"}
    assert kinds(line.say("conversation.item.create", item=output)) == ["Respond"]


def test_an_output_without_a_call_is_refused(line: Line) -> None:
    output = {"type": "function_call_output", "output": "1", "call_id": "call_9"}
    line.say("conversation.item.create", item=output)
    assert line.error()["param"] == "item.call_id"


# -- manual turns ----------------------------------------------------------------------------------


def test_manual_turns(line: Line) -> None:
    line.set(audio={"input": {"turn_detection": None, "format": "g711_ulaw"}})
    line.say("input_audio_buffer.commit")
    error = line.error()
    assert error["code"] == "input_audio_buffer_commit_empty"
    line.say("input_audio_buffer.append", audio=base64.b64encode(b"\xff" * 800).decode())
    line.server.speech_started(0, line.now)
    line.server.speech_stopped(100)
    assert line.types() == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
    ]
    assert line.say("input_audio_buffer.commit") == [fx.InputCommitted("item_1")]
    assert line.types() == ["input_audio_buffer.committed", "conversation.item.added"]
    line.server.transcript_delta("Hi")
    assert line.server.transcript_completed("Hi", line.now, item_id="item_1") == []
    assert line.types() == [
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.done",
    ]
    assert kinds(line.say("response.create")) == ["Respond"]


def test_manual_mode_never_interrupts(line: Line) -> None:
    line.set(audio={"input": {"turn_detection": None}})
    rid = line.respond()
    line.server.audio(rid, MS * 500, line.now)
    assert line.server.speech_started(0, line.now) == []
    assert line.server.active_response_id == rid


def test_clearing_the_input_forgets_speech_and_audio(line: Line) -> None:
    line.say("input_audio_buffer.append", audio=base64.b64encode(MS * 200).decode())
    line.server.speech_started(0, line.now)
    line.sent()
    assert line.say("input_audio_buffer.clear") == [fx.InputCleared()]
    line.server.speech_stopped(9)
    assert line.types() == ["input_audio_buffer.cleared"]
    line.say("input_audio_buffer.commit")
    assert line.error()["code"] == "input_audio_buffer_commit_empty"


def test_texts_go_to_the_turns_they_are_named_for(line: Line) -> None:
    line.set(audio={"input": {"turn_detection": None}})
    for _ in range(2):
        line.say("input_audio_buffer.append", audio=base64.b64encode(MS * 100).decode())
        line.say("input_audio_buffer.commit")
    line.server.transcript_completed("second", line.now, item_id="item_2")
    line.server.transcript_completed("first", line.now)
    texts = [item["content"][0]["transcript"] for item in line.server.items]
    assert texts == ["first", "second"]


# -- responses -------------------------------------------------------------------------------------


def test_overrides_are_for_one_response(line: Line) -> None:
    asked = {"output_modalities": ["text"], "instructions": "Say hi.", "metadata": {"a": "b"}}
    (respond,) = line.say("response.create", response=asked)
    assert isinstance(respond, fx.Respond)
    assert respond.overrides == asked
    assert respond.session["instructions"] == ""
    (created,) = line.sent()
    assert created["response"]["metadata"] == {"a": "b"}
    assert line.server.text(respond.response_id, "hi")
    assert line.server.audio(respond.response_id, MS, line.now) is False
    line.server.finish(respond.response_id, line.now)
    sent = line.sent()
    assert [event["type"] for event in sent] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert sent[3]["content_index"] == 0
    assert sent[-1]["response"]["output"][0]["content"] == [{"type": "output_text", "text": "hi"}]


def test_audio_only(line: Line) -> None:
    line.set(output_modalities=["audio"])
    rid = line.respond()
    line.server.text(rid, "hi")
    line.server.finish(rid, line.now)
    assert not any("output_text" in kind for kind in line.types())


def test_a_response_in_another_conversation_is_refused(line: Line) -> None:
    line.say("response.create", response={"conversation": "conv_7"})
    assert line.error()["param"] == "response.conversation"
    assert line.server.active_response_id is None


def test_cancel(line: Line) -> None:
    rid = line.respond()
    line.server.audio(rid, MS * 100, line.now)
    line.sent()
    line.say("response.cancel", response_id="resp_other")
    assert line.error()["code"] == "response_cancel_not_active"
    assert line.say("response.cancel", response_id=rid) == [fx.Stop(rid, "client_cancelled")]
    sent = line.sent()
    assert [event["type"] for event in sent] == CLOSING
    assert sent[-1]["response"]["status_details"]["reason"] == "client_cancelled"


def test_an_empty_response_is_only_created_and_done(line: Line) -> None:
    rid = line.respond()
    line.server.finish(rid, line.now)
    assert line.types() == ["response.created", "response.done"]


def test_a_response_cut_short(line: Line) -> None:
    rid = line.respond()
    line.server.text(rid, "and then")
    line.server.finish(rid, line.now, incomplete="max_output_tokens")
    done = line.sent()[-1]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["output"][0]["status"] == "incomplete"


def test_a_failed_response(line: Line) -> None:
    rid = line.respond()
    line.sent()
    line.server.fail(rid, "Failed to read content stream.")
    error, done = line.sent()
    assert error["error"]["type"] == "server_error"
    assert error["error"]["code"] is None
    assert done["response"]["status"] == "failed"
    assert done["response"]["status_details"]["error"]["type"] == "server_error"


def test_clearing_the_output_lets_the_response_go_on(line: Line) -> None:
    rid = line.respond()
    line.server.audio(rid, MS * 900, line.now)
    line.sent()
    assert line.say("output_audio_buffer.clear") == [fx.OutputCleared()]
    assert line.server.playing_until == line.now
    line.server.audio(rid, MS * 100, line.now)
    assert line.types() == [
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "response.output_audio.delta",
    ]
    assert line.server.playing_until == pytest.approx(line.now + 0.1)


# -- items ---------------------------------------------------------------------------------------


def message(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **fields}


def test_items_are_created_where_asked(line: Line) -> None:
    line.say("conversation.item.create", item=message("b", id="b"))
    line.say("conversation.item.create", item=message("a", id="a"), previous_item_id="root")
    line.say("conversation.item.create", item=message("ab"), previous_item_id="a")
    line.say("conversation.item.create", item=message("c", id="c"))
    previous = [e["previous_item_id"] for e in line.sent() if e["type"].endswith("done")]
    assert previous == [None, None, "a", "b"]
    assert [item["id"] for item in line.server.items] == ["a", "item_1", "b", "c"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"item": message("x"), "previous_item_id": "nowhere"}, "previous_item_id"),
        ({"item": message("x", id="taken")}, "item.id"),
        ({"item": message("x", role="robot")}, "item.role"),
        ({"item": message("x", role=None)}, "item.role"),
        ({"item": message("x", role="assistant")}, "item.content[0].type"),
        ({"item": {"type": "message", "role": "user"}}, "item.content"),
        ({"item": {"type": "poem"}}, "item.type"),
        ({"item": {}}, "item.type"),
        ({"item": {"type": "function_call", "name": "f"}}, "item.call_id"),
        ({"item": message("x", content=["x"])}, "item.content[0]"),
        ({"item": 5}, "item"),
        ({}, "item"),
    ],
)
def test_bad_items_are_refused(line: Line, fields: dict[str, Any], param: str) -> None:
    line.say("conversation.item.create", item=message("x", id="taken"))
    line.sent()
    line.say("conversation.item.create", event_id="mine", **fields)
    error = line.error()
    assert (error["param"], error["event_id"]) == (param, "mine")
    assert len(line.server.items) == 1


def test_delete_and_retrieve(line: Line) -> None:
    line.say("conversation.item.create", item=message("x", id="a"))
    line.sent()
    line.say("conversation.item.retrieve", item_id="a")
    (event,) = line.sent()
    assert event["item"] == message("x", id="a", object="realtime.item", status="completed")
    line.say("conversation.item.delete", item_id="a")
    assert line.types() == ["conversation.item.deleted"]
    for verb in ("delete", "retrieve"):
        line.say(f"conversation.item.{verb}", item_id="a")
        assert line.error()["code"] == f"item_{verb}_invalid_item_id"
    line.say("conversation.item.create", item=message("x", id="a"))
    assert line.error()["param"] == "item.id"


def test_a_turn_may_be_deleted_before_its_text_is_known(line: Line) -> None:
    line.server.speech_started(0, line.now)
    line.server.speech_stopped(9)
    line.say("conversation.item.delete", item_id="item_1")
    line.sent()
    assert kinds(line.server.transcript_completed("Hello", line.now)) == ["Respond"]
    assert "conversation.item.done" not in line.types()


def test_truncate_keeps_what_was_heard(line: Line) -> None:
    item_id = line.spoken("One two three four", 1800)
    line.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=800)
    (event,) = line.sent()
    assert event["type"] == "conversation.item.truncated"
    assert event["audio_end_ms"] == 800
    assert line.server.items[-1]["content"][0]["transcript"] == "One two"
    line.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=801)
    error = line.error()
    assert error["message"] == "Audio content of 800ms is already shorter than 801ms"
    line.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
    assert line.types() == ["conversation.item.truncated"]
    assert line.server.items[-1]["content"][0]["transcript"] == ""


def test_truncate_of_a_response_under_way_holds_when_it_ends(line: Line) -> None:
    rid = line.respond()
    line.server.text(rid, "One two three four")
    line.server.audio(rid, MS * 1800, line.now)
    item_id = line.server.items[-1]["id"]
    line.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=800)
    line.say("response.cancel")
    assert line.sent()[-1]["response"]["output"][0]["content"][0]["transcript"] == "One two"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"item_id": "gone", "audio_end_ms": 1}, "item_truncate_invalid_item_id"),
        ({"item_id": "said", "audio_end_ms": 0}, "unsupported_content_type"),
        ({"item_id": "item_1", "audio_end_ms": 5000}, "invalid_value"),
        ({"item_id": "item_1", "audio_end_ms": -1}, "invalid_value"),
        ({"item_id": "item_1", "audio_end_ms": 1, "content_index": 1}, "invalid_value"),
        ({"item_id": "item_1"}, "missing_required_parameter"),
    ],
)
def test_truncate_refuses(line: Line, fields: dict[str, Any], code: str) -> None:
    line.spoken("One two", 700)
    line.say("conversation.item.create", item=message("x", id="said"))
    line.sent()
    before = line.server.items
    line.say("conversation.item.truncate", **fields)
    assert line.error()["code"] == code
    assert line.server.items == before


def test_audio_of_items_is_not_told_again(line: Line) -> None:
    content = [{"type": "input_audio", "audio": "AAAA"}]
    line.say("conversation.item.create", item=message("", content=content))
    assert not any(b"AAAA" in frame for frame in line.server.outgoing())
    assert line.server.items[0]["content"] == [{"type": "input_audio"}]


# -- what is no event ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "param", "event_id"),
    [
        ("nonsense", "invalid_json", None, None),
        (b"\xff", "invalid_json", None, None),
        ("[]", "invalid_type", None, None),
        ('{"event_id":"e"}', "invalid_event", None, "e"),
        ('{"type":"response.explode","event_id":"e"}', "invalid_value", "type", "e"),
        ('{"type":"session.update","event_id":"e"}', "missing_required_parameter", "session", "e"),
        ('{"type":"session.update","session":[],"event_id":"e"}', "invalid_type", "session", "e"),
        (
            '{"type":"input_audio_buffer.append","audio":"?","event_id":"e"}',
            "invalid_value",
            "audio",
            "e",
        ),
        (
            '{"type":"input_audio_buffer.append","audio":5,"event_id":7}',
            "invalid_type",
            "audio",
            None,
        ),
    ],
)
def test_bad_frames_are_answered_and_the_session_goes_on(
    line: Line, text: str | bytes, code: str, param: str | None, event_id: str | None
) -> None:
    assert line.server.receive(text, line.now) == []
    error = line.error()
    assert (error["code"], error["param"], error["event_id"]) == (code, param, event_id)
    assert kinds(line.say("response.create")) == ["Respond"]


def test_ids_the_client_chose_are_not_given_out_again(line: Line) -> None:
    line.say("conversation.item.create", item=message("x", id="item_1"))
    line.server.speech_started(0, line.now)
    assert line.sent()[-1]["item_id"] == "item_2"
