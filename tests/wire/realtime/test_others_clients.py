"""What clients of others do, and what they get: asking too early, sound in messages, null."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.testing.joined import PLAIN, Talk
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import parse_server
from voxpy.wire.realtime.server import effects as fx
from voxpy.wire.realtime.server.conversation import KEPT_BYTES
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import LIKE, Quirks
from voxpy.wire.realtime.server.state import RECENT_S

MANUAL = {"audio": {"input": {"turn_detection": None}}}
MS = b"\1\0" * 24


def events(talk: Talk, kind: type[Any]) -> list[Any]:
    return [event for event in talk.events if isinstance(event, kind)]


def spoken(audio: bytes, **part: Any) -> dict[str, Any]:
    text = base64.b64encode(audio).decode()
    content = [{"type": "input_audio", "audio": text, **part}]
    return {"type": "message", "role": "user", "content": content}


def heard(talk: Talk, text: str) -> None:
    """The turn or message that was committed last is recognised."""
    item_id = next(e.item_id for e in reversed(talk.asked) if isinstance(e, HEARD))
    talk.settle(talk.server.transcript_completed(text, talk.now, item_id=item_id))


HEARD = fx.InputCommitted | fx.ItemAudio


# -- a response waits for the turn it must see ----------------------------------------------------


def test_commit_and_create_in_one_breath() -> None:
    talk = Talk(session=MANUAL)
    talk.append(MS * 500)
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    assert not any(isinstance(effect, fx.Respond) for effect in talk.asked)
    talk.wait(1)
    heard(talk, "When do you open?")
    (asked,) = [effect for effect in talk.asked if isinstance(effect, fx.Respond)]
    assert asked.items[-1]["content"][0]["transcript"] == "When do you open?"
    talk.answer("At nine.")
    assert talk.brief() == [
        "0.00 > input_audio_buffer.commit",
        "0.00 < input_audio_buffer.committed item_1",
        "0.00 > response.create",
        "0.00 < response.created",
        "1.00 < conversation.item.input_audio_transcription.completed item_1 When do you open?",
        "1.00 < response.output_audio_transcript.delta item_2 At nine.",
        "1.00 < response.done completed",
    ]


def test_it_waits_for_every_turn_and_for_no_later_one() -> None:
    talk = Talk(session=MANUAL)
    for _ in range(2):
        talk.append(MS * 200)
        talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    talk.append(MS * 200)
    talk.send("input_audio_buffer.commit")
    committed = [e.item_id for e in talk.asked if isinstance(e, fx.InputCommitted)]
    for item_id, text in zip(committed[:2], ("one", "two"), strict=True):
        assert not any(isinstance(effect, fx.Respond) for effect in talk.asked)
        talk.settle(talk.server.transcript_completed(text, talk.now, item_id=item_id))
    assert talk.last(fx.Respond).items[1]["content"][0]["transcript"] == "two"


def test_no_words_do_not_hold_an_answer_up() -> None:
    talk = Talk(session=MANUAL)
    talk.append(MS * 200)
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    heard(talk, "")
    assert talk.last(fx.Respond)


def test_a_turn_that_was_asked_about_gets_one_answer() -> None:
    """Turn detection would answer it too; the client was faster."""
    talk = Talk()
    talk.settle(talk.server.speech_started(0, 0))
    talk.server.speech_stopped(500, 0)
    talk.settle()
    talk.send("response.create")
    talk.settle(talk.server.transcript_completed("Hello", talk.now))
    talk.answer("Hi.")
    assert sum(isinstance(effect, fx.Respond) for effect in talk.asked) == 1
    assert talk.server.active_response_id is None


def test_cancelling_an_answer_that_waits() -> None:
    talk = Talk(session=MANUAL)
    talk.append(MS * 200)
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    talk.send("response.cancel")
    heard(talk, "Never mind.")
    assert not any(isinstance(effect, fx.Respond | fx.Stop) for effect in talk.asked)
    assert events(talk, se.ResponseDone)[0].response["status"] == "cancelled"


def test_an_input_of_its_own_waits_for_nothing() -> None:
    talk = Talk(session=MANUAL)
    talk.append(MS * 200)
    talk.send("input_audio_buffer.commit")
    talk.send("response.create", response={"input": []})
    assert talk.last(fx.Respond).overrides["input"] == []


# -- sound in a message ---------------------------------------------------------------------------


def test_sound_in_a_message_is_heard() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=spoken(MS * 400))
    talk.send("response.create")
    wanted = talk.last(fx.ItemAudio)
    assert (wanted.data, wanted.encoding, wanted.rate_hz) == (MS * 400, "pcm16", 24_000)
    talk.settle(talk.server.transcript_completed("Hello", talk.now, item_id=wanted.item_id))
    assert talk.last(fx.Respond).items[0]["content"] == [
        {"type": "input_audio", "transcript": "Hello"}
    ]
    (told,) = events(talk, se.ConversationItemInputAudioTranscriptionCompleted)
    assert (told.transcript, told.usage) == ("Hello", {"type": "duration", "seconds": 0.4})
    assert len(events(talk, se.ConversationItemDone)) == 1


def test_its_words_go_where_its_sound_is() -> None:
    talk = Talk()
    item = spoken(MS)
    item["content"].insert(0, {"type": "input_text", "text": "Listen:"})
    talk.send("conversation.item.create", item=item)
    heard(talk, "Hello")
    assert talk.server.items[0]["content"] == [
        {"type": "input_text", "text": "Listen:"},
        {"type": "input_audio", "transcript": "Hello"},
    ]
    (told,) = events(talk, se.ConversationItemInputAudioTranscriptionCompleted)
    assert told.content_index == 1


def test_words_that_the_client_knows_are_believed() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=spoken(MS, transcript="Good evening"))
    assert not any(isinstance(effect, fx.ItemAudio) for effect in talk.asked)
    assert talk.server.items[0]["content"][0]["transcript"] == "Good evening"


def test_sound_that_is_none_is_refused_by_its_place() -> None:
    talk = Talk()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "!"}]}
    talk.send("conversation.item.create", item=item)
    (error,) = events(talk, se.ErrorEvent)
    assert error.error.param == "item.content[0].audio"
    assert talk.server.items == ()


def test_a_turn_and_a_message_are_told_apart() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=spoken(MS))
    talk.settle(talk.server.speech_started(0, 0))
    talk.server.speech_stopped(500, 0)
    talk.settle(talk.server.transcript_completed("spoken", talk.now))
    heard(talk, "written")
    words = [item["content"][0]["transcript"] for item in talk.server.items[:2]]
    assert words == ["written", "spoken"]


# -- words that cannot be recognised --------------------------------------------------------------


def test_a_transcription_that_fails() -> None:
    talk = Talk(session=MANUAL)
    talk.append(MS * 200)
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    item_id = talk.last(fx.InputCommitted).item_id
    talk.settle(talk.server.transcript_failed("no ears", talk.now, item_id=item_id))
    (failed,) = events(talk, se.ConversationItemInputAudioTranscriptionFailed)
    assert (failed.item_id, failed.error.message) == (item_id, "no ears")
    assert not events(talk, se.ConversationItemInputAudioTranscriptionCompleted)
    assert talk.last(fx.Respond).items[0]["content"][0]["transcript"] is None


def test_a_transcription_that_fails_on_purpose() -> None:
    talk = Talk(Quirks(transcription_fails_at=2))
    talk.turn("One")
    talk.answer("1")
    talk.turn("Two")
    assert len(events(talk, se.ConversationItemInputAudioTranscriptionFailed)) == 1
    assert talk.server.active_response_id is None
    talk.turn("Three")
    assert talk.server.active_response_id is not None


@pytest.mark.parametrize("how", ["turn", "manual"])
def test_usage_is_the_length_of_the_turn(how: str) -> None:
    talk = Talk(session=MANUAL if how == "manual" else None)
    talk.append(MS * 1500)
    if how == "manual":
        talk.send("input_audio_buffer.commit")
        heard(talk, "Hello")
    else:
        talk.settle(talk.server.speech_started(250, 0))
        talk.server.speech_stopped(1000, 0)
        talk.settle(talk.server.transcript_completed("Hello", 0))
    (told,) = events(talk, se.ConversationItemInputAudioTranscriptionCompleted)
    seconds = 1.5 if how == "manual" else 0.75
    assert told.usage == {"type": "duration", "seconds": seconds}


# -- beside the conversation ----------------------------------------------------------------------


def test_a_response_beside_the_conversation() -> None:
    talk = Talk()
    talk.turn("Hello")
    response = {
        "conversation": "none",
        "metadata": {"topic": "mood"},
        "output_modalities": ["text"],
    }
    talk.send("response.create", response=response)
    main, aside = (effect.response_id for effect in talk.asked if isinstance(effect, fx.Respond))
    assert talk.server.active_response_id == main
    talk.server.text(aside, "friendly", talk.now)
    talk.server.finish(aside, talk.now)
    talk.settle()
    talk.answer("Hi.")
    done = {e.response["id"]: e.response for e in events(talk, se.ResponseDone)}
    assert done[aside]["conversation_id"] is None
    assert done[aside]["metadata"] == {"topic": "mood"}
    assert done[aside]["output"][0]["content"] == [{"type": "output_text", "text": "friendly"}]
    assert done[main]["conversation_id"] == "conv_1"
    assert [item["role"] for item in talk.server.items] == ["user", "assistant"]
    added = [e.item["id"] for e in events(talk, se.ConversationItemAdded)]
    assert done[aside]["output"][0]["id"] not in added


def test_a_barge_in_leaves_it_alone_and_a_cancel_names_it() -> None:
    talk = Talk()
    talk.send("response.create", response={"conversation": "none"})
    aside = talk.last(fx.Respond).response_id
    talk.settle(talk.server.speech_started(0, 0))
    assert not events(talk, se.ResponseDone)
    talk.send("response.cancel")
    assert events(talk, se.ErrorEvent)[-1].error.code == "response_cancel_not_active"
    talk.send("response.cancel", response_id=aside)
    assert events(talk, se.ResponseDone)[0].response["status"] == "cancelled"
    assert talk.last(fx.Stop).response_id == aside
    assert not talk.server.text(aside, "too late", talk.now)


def test_its_input_may_name_items() -> None:
    talk = Talk()
    talk.turn("Hello")
    known = talk.server.items[0]
    given = {"type": "message", "role": "user", "content": []}
    asked = [{"type": "item_reference", "id": known["id"]}, given]
    talk.send("response.create", response={"conversation": "none", "input": asked})
    assert talk.last(fx.Respond).overrides["input"] == [known, given]
    asked = [{"type": "item_reference", "id": "item_x"}]
    talk.send("response.create", response={"conversation": "none", "input": asked})
    assert events(talk, se.ErrorEvent)[0].error.param == "response.input[0].id"


def test_sound_in_its_input_is_heard_and_stays_beside() -> None:
    talk = Talk()
    given = [spoken(MS * 100), {"type": "message", "role": "user", "content": []}]
    talk.send("response.create", response={"conversation": "none", "input": given})
    assert not any(isinstance(effect, fx.Respond) for effect in talk.asked)
    talk.send("response.create")
    heard(talk, "Is that a dog?")
    main, aside = (effect for effect in talk.asked if isinstance(effect, fx.Respond))
    part = {"type": "input_audio", "transcript": "Is that a dog?"}
    assert aside.overrides["input"][0]["content"] == [part]
    assert aside.overrides["input"][1] == given[1]
    assert main.items == ()
    assert not events(talk, se.ConversationItemInputAudioTranscriptionCompleted)
    given = [{**spoken(MS), "content": [{"type": "input_audio", "audio": "!"}]}]
    talk.send("response.create", response={"conversation": "none", "input": given})
    assert events(talk, se.ErrorEvent)[0].error.param == "response.input[0].content[0].audio"


def test_there_are_not_endlessly_many() -> None:
    talk = Talk()
    for _ in range(9):
        talk.send("response.create", response={"conversation": "none"})
    (error,) = events(talk, se.ErrorEvent)
    assert error.error.code == "too_many_responses"


# -- the sound of items ---------------------------------------------------------------------------


def retrieved(talk: Talk, item_id: str) -> bytes | None:
    talk.send("conversation.item.retrieve", item_id=item_id)
    (part,) = events(talk, se.ConversationItemRetrieved)[-1].item["content"]
    return base64.b64decode(part["audio"]) if "audio" in part else None


def test_a_turn_can_be_listened_to() -> None:
    talk = Talk()
    for n in range(20):
        talk.append(bytes((n, 0)) * 2400)
    talk.settle(talk.server.speech_started(300, 0))
    talk.server.speech_stopped(500, 0)
    talk.settle()
    assert retrieved(talk, talk.server.items[0]["id"]) == b"\3\0" * 2400 + b"\4\0" * 2400


def test_a_manual_turn_and_a_message_can_be_listened_to() -> None:
    talk = Talk(session=MANUAL)
    talk.append(b"\7\0" * 4800)
    talk.send("input_audio_buffer.commit")
    talk.append(b"\5\0" * 2400)
    talk.send("input_audio_buffer.commit")
    talk.send("conversation.item.create", item=spoken(b"\6\0"))
    sounds = [retrieved(talk, item["id"]) for item in talk.server.items]
    assert sounds == [b"\7\0" * 4800, b"\5\0" * 2400, b"\6\0"]


def test_of_an_answer_what_was_left_can_be_listened_to() -> None:
    talk = Talk(PLAIN)
    talk.turn("Hello")
    talk.answer("Hi there.", length_ms=400)
    item_id = talk.server.items[1]["id"]
    assert retrieved(talk, item_id) == MS * 400
    talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=150)
    assert retrieved(talk, item_id) == MS * 150


def test_what_is_kept_is_bounded() -> None:
    talk = Talk(PLAIN)
    for n in range(6):
        talk.turn(f"{n}")
        talk.answer("Long.", length_ms=10_000)
    sounds = [
        retrieved(talk, item["id"]) for item in talk.server.items if item["role"] == "assistant"
    ]
    assert sounds[0] is None
    assert sounds[-1] == MS * 10_000
    assert sum(len(sound or b"") for sound in sounds) <= KEPT_BYTES
    for _ in range(60):
        talk.append(MS * 1000)
    talk.send("session.update", session=MANUAL)
    talk.send("input_audio_buffer.commit")
    assert len(retrieved(talk, talk.server.items[-1]["id"]) or b"") <= 1.5 * RECENT_S * 48_000


# -- null, unknown fields, names ------------------------------------------------------------------


def test_null_in_a_response_is_as_the_session() -> None:
    talk = Talk(session={"instructions": "Be brief."})
    nothing = dict.fromkeys(
        ("instructions", "output_modalities", "tools", "tool_choice", "conversation", "metadata",
         "max_output_tokens", "voice", "input", "prompt", "temperature")
    )  # fmt: skip
    talk.send("response.create", response=nothing)
    assert not events(talk, se.ErrorEvent)
    assert talk.last(fx.Respond).overrides == {}


def test_fields_that_mean_nothing_are_told() -> None:
    talk = Talk()
    session = {
        "id": "sess_1", "voice": "alloy", "instructions": "x",
        "audio": {"input": {"turn_detection": {"type": "server_vad", "eagerness": "low"}},
                  "output": {"vioce": "Dennis", "format": {"type": "audio/pcmu", "rate": 8000}}},
        "providerData": {"anything": {"goes": True}}, "provider_data": {},
    }  # fmt: skip
    talk.send("session.update", session=session, when="now")
    assert talk.last(fx.Ignored) == fx.Ignored(
        "session.update",
        (
            "session.voice",
            "session.audio.input.turn_detection.eagerness",
            "session.audio.output.vioce",
            "session.provider_data",
            "when",
        ),
    )
    talk.send("response.create", response={"audio": {"output": {"voice": "x"}}, "voice": "y"})
    assert talk.last(fx.Ignored) == fx.Ignored("response.create", ("response.audio",))


def test_a_session_sent_back_whole_is_no_mistake() -> None:
    talk = Talk()
    talk.send("session.update", session=dict(talk.client.session))
    assert not any(isinstance(effect, fx.Ignored) for effect in talk.asked)


@pytest.mark.parametrize(
    "model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe-2025-12-15"]
)
@pytest.mark.parametrize("taken", [False, True])
def test_openais_transcription_models(model: str, taken: bool) -> None:
    session = {"audio": {"input": {"transcription": {"model": model, "language": "en"}}}}
    talk = Talk(Quirks(openai_stt_models=taken), session=session)
    errors = [event.error.param for event in events(talk, se.ErrorEvent)]
    assert errors == ([] if taken else ["session.audio.input.transcription.model"])


def test_a_session_like_openais() -> None:
    talk = Talk(LIKE["openai"])
    session = talk.client.session
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["input"]["transcription"] is None
    talk.turn("Hello")
    talk.answer("Hi.")
    kinds = {type(event).__name__ for event in talk.events}
    assert not any("Transcription" in kind for kind in kinds)
    assert "ResponseOutputTextDelta" not in kinds
    assert orjson.dumps(dict(session))


def test_fields_of_the_beta() -> None:
    talk = Talk(LIKE["openai-beta"])
    session = {
        "modalities": ["text"],
        "voice": "alloy",
        "input_audio_format": "g711_ulaw",
        "turn_detection": None,
        "input_audio_transcription": {"model": "whisper-1"},
        "max_response_output_tokens": 100,
        "audio": {"output": {"speed": 1.2}},
    }
    talk.send("session.update", session=session)
    held = talk.server.session
    assert not any(isinstance(effect, fx.Ignored) for effect in talk.asked)
    assert (held["output_modalities"], held["max_output_tokens"]) == (["text"], 100)
    assert held["audio"]["output"] | {"format": None} == {
        "voice": "alloy",
        "speed": 1.2,
        "format": None,
    }
    assert held["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert held["audio"]["input"]["turn_detection"] is None
    talk.send("response.create", response={"modalities": ["audio", "text"], "voice": "echo"})
    overrides = talk.last(fx.Respond).overrides
    assert overrides == {"output_modalities": ["audio", "text"], "voice": "echo"}


def test_a_voice_by_its_id() -> None:
    talk = Talk(session={"audio": {"output": {"voice": {"id": "voice_1"}}}})
    assert talk.server.session["audio"]["output"]["voice"] == "voice_1"
    talk.send("session.update", session={"audio": {"output": {"voice": {"name": "x"}}}})
    assert events(talk, se.ErrorEvent)[0].error.param == "session.audio.output.voice.id"


@pytest.mark.parametrize("like", ["inworld", "openai"])
def test_the_voice_of_one_response(like: str) -> None:
    talk = Talk(LIKE[like])
    talk.send("response.create", response={"audio": {"output": {"voice": "cedar"}}})
    told = events(talk, se.ResponseCreated)[0].response["audio"]["output"]["voice"]
    assert told == ("cedar" if like == "openai" else "Dennis")
    assert any(isinstance(e, fx.Ignored) for e in talk.asked) == (like == "inworld")


FIELDS = [
    "audio", "input", "output", "voice", "format", "turn_detection", "transcription", "type", "id",
    "model", "modalities", "input_audio_format", "speed", "content", "role", "conversation",
    "metadata", "tools", "providerData", "max_output_tokens", "prompt", "item_reference",
]  # fmt: skip
WORDS = ["none", "auto", "audio", "audio/pcmu", "input_audio", "message", "user", "AAAA", "", "inf"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 99) | st.floats(-1, 2) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(FIELDS), anything, max_size=5)


@given(st.sampled_from([*LIKE]), st.lists(st.tuples(st.booleans(), objects), max_size=4))
def test_no_session_and_no_response_breaks_the_server(
    like: str, sent: list[tuple[bool, dict[str, Any]]]
) -> None:
    ids = itertools.count()
    server = RealtimeServer(
        session_id="s", new_id=lambda kind: f"{kind}_{next(ids)}", quirks=LIKE[like]
    )
    for session, fields in sent:
        kind, name = ("session.update", "session") if session else ("response.create", "response")
        server.receive(orjson.dumps({"type": kind, name: fields}), 0)
        for frame in server.outgoing():
            parse_server(frame)
