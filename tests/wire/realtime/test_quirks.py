"""Each quirk on and off."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.testing.joined import Talk
from voxpy.wire.realtime.client.protocol import RealtimeClient
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import LEGACY_NAMES, parse_server
from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE, audio_format
from voxpy.wire.realtime.server.quirks import Quirks

MS = b"\1\0" * 24


def events(talk: Talk, kind: type[Any]) -> list[Any]:
    return [event for event in talk.events if isinstance(event, kind)]


def call(quirks: Quirks) -> Talk:
    talk = Talk(quirks)
    talk.turn("Weather?")
    talk.server.call_tool("resp_1", "get_weather", "{}", talk.now)
    talk.server.finish("resp_1", talk.now)
    talk.settle()
    return talk


@pytest.mark.parametrize("null", [True, False])
def test_null_call_previous_id(null: bool) -> None:
    talk = call(Quirks(null_call_previous_id=null))
    ids = [
        event.previous_item_id
        for kind in (se.ConversationItemAdded, se.ConversationItemDone)
        for event in events(talk, kind)
        if event.item["type"] == "function_call"
    ]
    assert ids == ([None, None] if null else ["item_1", "item_1"])


@pytest.mark.parametrize("named", [True, False])
def test_call_done_name(named: bool) -> None:
    talk = call(Quirks(call_done_name=named))
    (done,) = events(talk, se.ResponseFunctionCallArgumentsDone)
    assert done.name == ("get_weather" if named else None)
    (response,) = events(talk, se.ResponseDone)
    assert response.response["output"][0]["name"] == "get_weather"


@given(st.lists(st.text("ab ", max_size=6), max_size=6))
def test_additive_deltas_never_tell_what_is_not_there(texts: list[str]) -> None:
    talk = Talk(Quirks(transcript_deltas="additive"))
    talk.settle(talk.server.speech_started(0, talk.now))
    told = ""
    for text in texts:
        talk.server.transcript_delta(text, talk.now)
        talk.settle()
        told = "".join(
            e.delta for e in events(talk, se.ConversationItemInputAudioTranscriptionDelta)
        )
        assert told == "" or any(known.startswith(told) for known in texts)
        if text.startswith(told):
            assert told == text
    talk.turn("x")


def test_additive_deltas_begin_anew_with_each_turn() -> None:
    talk = Talk(Quirks(transcript_deltas="additive"))
    for words in ("one", "one two", "one three"):
        talk.settle(talk.server.speech_started(0, talk.now))
        talk.server.transcript_delta("one", talk.now)
        talk.server.transcript_delta(words, talk.now)
        talk.server.speech_stopped(1, talk.now)
        talk.settle(talk.server.transcript_completed("", talk.now))
    deltas = events(talk, se.ConversationItemInputAudioTranscriptionDelta)
    assert [event.delta for event in deltas] == ["one", "one", " two", "one", " three"]


@pytest.mark.parametrize("text_first", [True, False])
def test_text_first(text_first: bool) -> None:
    talk = Talk(Quirks(text_first=text_first))
    talk.send("response.create")
    talk.answer("Hello")
    deltas = [line for line in talk.transcript() if line.endswith("delta item_1 Hello")]
    assert ("output_text" in deltas[0]) == text_first


@pytest.mark.parametrize(
    ("quirk", "fmt", "longest_ms"),
    [
        (True, "g711_ulaw", 3722),  # a live pair: 89344 bytes were 3722 ms to the service
        (False, "g711_ulaw", 11168),
        (True, "g711_alaw", 11168),
        (True, {"type": "audio/pcm", "rate": 8000}, 5584),
    ],
)
def test_mulaw_thirds(quirk: bool, fmt: Any, longest_ms: int) -> None:
    talk = Talk(
        Quirks(mulaw_thirds=quirk, end_padding=False),
        session={"audio": {"output": {"format": fmt}}},
    )
    talk.send("response.create")
    talk.server.text("resp_1", "one two three four five six seven eight", talk.now)
    talk.server.audio("resp_1", b"\1" * 89344, talk.now)
    talk.server.finish("resp_1", talk.now)
    cut: dict[str, Any] = {"item_id": "item_1", "content_index": 0}
    talk.send("conversation.item.truncate", **cut, audio_end_ms=longest_ms + 1)
    (error,) = events(talk, se.ErrorEvent)
    assert error.error.message.startswith(f"Audio content of {longest_ms}ms is already shorter")
    talk.send("conversation.item.truncate", **cut, audio_end_ms=longest_ms // 2)
    (told,) = events(talk, se.ConversationItemTruncated)
    assert told.audio_end_ms == longest_ms // 2
    assert talk.server.items[0]["content"][0]["transcript"] == "one two three four"


def test_what_the_client_offers_to_cut_mulaw_by_is_accepted() -> None:
    talk = Talk(
        client=RealtimeClient(mulaw_thirds=True),
        session={"audio": {"output": {"format": "g711_ulaw"}}},
    )
    talk.send("response.create")
    talk.server.text("resp_1", "one two", talk.now)
    talk.server.audio("resp_1", b"\1" * 8000, talk.now)
    talk.settle()
    event = talk.client.truncation("item_1", 600)
    assert event is not None
    talk.settle(talk.server.receive(talk.client.send(event), talk.now))
    (told,) = events(talk, se.ConversationItemTruncated)
    assert told.audio_end_ms == 200


def test_legacy_names_are_understood_by_the_client() -> None:
    talk = Talk(Quirks(legacy_names=True))
    talk.turn("Hi")
    talk.answer("Hello", length_ms=20)
    names = {line.split()[2] for line in talk.transcript()}
    assert set(LEGACY_NAMES) <= names
    assert not {cls.type for cls in LEGACY_NAMES.values()} & names
    assert talk.heard[0].data == MS * 20


@pytest.mark.parametrize(
    ("fmt", "silence"),
    [
        ({"type": "audio/pcm", "rate": 24000}, bytes(24)),
        ({"type": "audio/pcm", "rate": 44100}, bytes(44)),
        ("g711_ulaw", b"\xff" * 4),
        ("g711_alaw", b"\xd5" * 4),
        ("float32", bytes(48)),
    ],
)
def test_end_padding_is_silence_and_is_counted(fmt: Any, silence: bytes) -> None:
    talk = Talk(Quirks(mulaw_thirds=False), session={"audio": {"output": {"format": fmt}}})
    talk.send("response.create")
    encoding, rate_hz = audio_format(talk.server.session, "output")
    talk.server.audio("resp_1", b"\1" * rate_hz * BYTES_PER_SAMPLE[encoding], talk.now)
    talk.server.finish("resp_1", talk.now)
    talk.settle()
    assert talk.heard[-1].data == silence
    n_samples = rate_hz + rate_hz // 2000
    assert talk.client.produced_ms("item_1") == pytest.approx(n_samples * 1000 / rate_hz)
    assert talk.server.playing_until == pytest.approx(n_samples / rate_hz)
    talk.send(
        "conversation.item.truncate",
        item_id="item_1",
        content_index=0,
        audio_end_ms=math.ceil(n_samples * 1000 / rate_hz),
    )
    assert events(talk, se.ErrorEvent) == []


def test_no_padding_after_a_response_that_was_cut_short() -> None:
    talk = Talk(Quirks())
    talk.send("response.create")
    talk.server.audio("resp_1", MS * 20, talk.now)
    talk.settle(talk.server.speech_started(0, talk.now))
    assert [len(each.data) for each in talk.heard] == [960]


def test_pings_come_at_their_interval_and_carry_the_time_of_day() -> None:
    talk = Talk(Quirks(ping_interval_s=10))
    talk.wait(35)
    assert [event.timestamp for event in events(talk, se.Ping)] == [10_000, 20_000, 30_000]
    assert talk.server.tick(100) == []
    talk.now = 100
    talk.settle()
    assert len(events(talk, se.Ping)) == 4, "missed pings are not made up for"


def test_resources_exhausted_is_a_frame_without_a_type() -> None:
    talk = Talk(Quirks(exhausted_at_response=2))
    for n, frames in enumerate([[], [{"errorType": "SESSION_RESOURCES_EXHAUSTED"}], []], 1):
        talk.server.receive(b'{"type":"response.create"}', talk.now)
        sent = [orjson.loads(frame) for frame in talk.server.outgoing()]
        assert [frame for frame in sent if "type" not in frame] == frames
        talk.server.finish(f"resp_{n}", talk.now)
        talk.server.outgoing()


@pytest.mark.parametrize(
    ("quirk", "said", "answers"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_auto_tool_response(quirk: bool, said: bool | None, answers: bool) -> None:
    provider_data = {} if said is None else {"auto_tool_response": said}
    talk = Talk(Quirks(auto_tool_response=quirk), session={"providerData": provider_data})
    talk.send("response.create")
    talk.server.call_tool("resp_1", "f", "{}", talk.now)
    talk.server.finish("resp_1", talk.now)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
    talk.send("conversation.item.create", item=output)
    assert (talk.server.active_response_id is not None) == answers


@pytest.mark.parametrize("ignored", [True, False])
def test_create_response_ignored(ignored: bool) -> None:
    detection = {"type": "semantic_vad", "create_response": False}
    talk = Talk(
        Quirks(create_response_ignored=ignored),
        session={"audio": {"input": {"turn_detection": detection}}},
    )
    talk.turn("Hello")
    assert (talk.server.active_response_id is not None) == ignored


@pytest.mark.parametrize("sent", [True, False])
def test_turn_suggestions(sent: bool) -> None:
    talk = Talk(Quirks(turn_suggestions=sent))
    talk.server.speech_paused(talk.now, silence_ms=200, probability=0.9)  # nobody speaks
    talk.settle(talk.server.speech_started(0, talk.now))
    for _ in range(2):
        talk.server.speech_paused(talk.now, silence_ms=200, probability=0.9, duration_ms=900)
        talk.server.speech_paused(talk.now, silence_ms=300, probability=0.9)  # still the same one
        talk.server.speech_resumed(talk.now)
        talk.server.speech_resumed(talk.now)
    talk.settle()
    hints = events(talk, se.InputAudioBufferTurnSuggestion)
    revoked = events(talk, se.InputAudioBufferTurnSuggestionRevoked)
    assert [hint.utterance_index for hint in hints] == ([0, 1] if sent else [])
    assert [hint.utterance_index for hint in revoked] == ([0, 1] if sent else [])
    if sent:
        assert (hints[0].audio_duration_ms, hints[0].trailing_silence_ms) == (900, 200)


@pytest.mark.parametrize("told", [True, False])
def test_buffer_response_id(told: bool) -> None:
    talk = Talk(Quirks(buffer_response_id=told))
    talk.send("response.create")
    talk.answer("Hello", length_ms=20)
    talk.send("output_audio_buffer.clear")
    kinds = (
        se.OutputAudioBufferStarted,
        se.OutputAudioBufferStopped,
        se.OutputAudioBufferCleared,
    )
    ids = [event.response_id for kind in kinds for event in events(talk, kind)]
    assert ids == (["resp_1"] * 3 if told else [None] * 3)


def test_conversation_created() -> None:
    server = Talk(Quirks(conversation_created=True)).server
    server.open()
    first, second = (parse_server(frame) for frame in server.outgoing())
    assert isinstance(first, se.SessionCreated)
    assert isinstance(second, se.ConversationCreated)
    server.receive(b'{"type":"response.create"}', 0.0)
    created = parse_server(server.outgoing()[0])
    assert isinstance(created, se.ResponseCreated)
    assert created.response["conversation_id"] == second.conversation["id"]
