"""What the server does by itself as time passes, as transcripts of both sides."""

from __future__ import annotations

from typing import Any

from voxpy.testing.joined import Talk
from voxpy.wire.realtime.server import effects as fx

MS = b"\1\0" * 24
SERVER_VAD: dict[str, Any] = {"type": "server_vad"}


def test_a_back_channel_is_out_of_band() -> None:
    talk = Talk(session={"providerData": {"backchannel": {"enabled": True}}})
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.transcript_delta("So I was", talk.now)
    talk.settle()
    talk.wait(0.8)
    talk.server.backchannel_audio("bc_1", MS * 300, talk.now)
    talk.server.backchannel_done("bc_1", "mm-hmm", talk.now)
    talk.settle()
    talk.send("response.cancel")
    assert [(a.item_id, len(a.data), a.backchannel) for a in talk.heard] == [("bc_1", 14400, True)]
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "0.00 < conversation.item.input_audio_transcription.delta item_1 So I was",
        "0.80 * ConsiderBackchannel",
        "0.80 < response.backchannel.audio.delta …",
        "0.80 < response.backchannel.audio.done mm-hmm",
        "0.80 > response.cancel",
        "0.80 < error response_cancel_not_active",
    ]


def test_idle_timeout() -> None:
    detection = {**SERVER_VAD, "idle_timeout_ms": 6000}
    talk = Talk(session={"audio": {"input": {"turn_detection": detection}}})
    talk.wait(20)
    talk.send("response.create")
    talk.answer("Anyone there?", length_ms=2000)
    talk.append(MS * 8000)
    talk.wait(7.5)
    talk.wait(1)
    talk.answer("Still there?", length_ms=1000)
    talk.turn("Yes")
    talk.answer("Good.", length_ms=500)
    talk.wait(6)
    assert talk.brief() == [
        "20.00 > response.create",
        "20.00 < response.created",
        "20.00 < response.output_audio_transcript.delta item_1 Anyone there?",
        "20.00 < response.output_audio.delta item_1 …",
        "20.00 < response.done completed",
        "28.00 < input_audio_buffer.timeout_triggered item_2",
        "28.00 < input_audio_buffer.committed item_2",
        "28.00 < conversation.item.input_audio_transcription.completed item_2",
        "28.00 < response.created",
        "28.50 < response.output_audio_transcript.delta item_3 Still there?",
        "28.50 < response.output_audio.delta item_3 …",
        "28.50 < response.done completed",
        "28.50 < input_audio_buffer.speech_started item_4",
        "28.50 < output_audio_buffer.cleared",
        "29.50 < input_audio_buffer.speech_stopped item_4",
        "29.50 < input_audio_buffer.committed item_4",
        "29.50 < conversation.item.input_audio_transcription.completed item_4 Yes",
        "29.50 < response.created",
        "29.50 < response.output_audio_transcript.delta item_5 Good.",
        "29.50 < response.output_audio.delta item_5 …",
        "29.50 < response.done completed",
    ]


def test_back_channel_loop() -> None:
    talk = Talk(session={"providerData": {"backchannel": {"enabled": True, "min_gap_ms": 2000}}})
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.wait(1)
    talk.server.transcript_delta("So I was thinking", talk.now)
    talk.settle()
    talk.wait(0.7)
    considered = talk.last(fx.ConsiderBackchannel)
    assert considered.transcript_so_far == "So I was thinking"
    assert (considered.volume_gain, considered.phrase) == (0.6, None)
    talk.server.backchannel_audio("bc_1", MS * 200, talk.now)
    assert talk.lines[-1].endswith("ConsiderBackchannel")
    talk.server.backchannel_done("bc_1", "uh-huh", talk.now)
    talk.settle()
    talk.wait(3.0)
    talk.wait(1.0)
    talk.server.backchannel_skipped("bc_3", "no_phrase", talk.now)
    talk.settle()
    talk.wait(1)
    talk.server.speech_stopped(6700, talk.now)
    talk.settle()
    talk.wait(5)
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < conversation.item.input_audio_transcription.delta item_1 So I was thinking",
        "1.60 * ConsiderBackchannel",
        "1.70 < response.backchannel.audio.delta …",
        "1.70 < response.backchannel.audio.done uh-huh",
        "2.40 < response.backchannel.skipped min_gap_not_elapsed",
        "3.20 < response.backchannel.skipped min_gap_not_elapsed",
        "4.00 * ConsiderBackchannel",
        "5.50 < response.backchannel.skipped deadline_missed",
        "5.60 * ConsiderBackchannel",
        "5.70 < response.backchannel.skipped no_phrase",
        "6.40 * ConsiderBackchannel",
        "6.70 < response.backchannel.skipped speech_ended",
        "6.70 < input_audio_buffer.speech_stopped item_1",
        "6.70 < input_audio_buffer.committed item_1",
    ]


def test_back_channel_by_rule() -> None:
    rule = {"enabled": True, "decider_kind": "rule", "rule_fire_probability": 0.5}
    chance = iter([0.4, 0.6, 0.7])
    talk = Talk(
        draw=lambda: next(chance),
        session={"providerData": {"backchannel": {**rule, "allowed_phrases": ["aha", "I see"]}}},
    )
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.transcript_delta("So", talk.now)
    talk.settle()
    talk.wait(0.8)
    assert talk.last(fx.ConsiderBackchannel).phrase == "I see"
    talk.server.backchannel_skipped("bc_1", "no_phrase", talk.now)
    talk.wait(0.8)
    talk.settle()
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "0.00 < conversation.item.input_audio_transcription.delta item_1 So",
        "0.80 * ConsiderBackchannel",
        "1.60 < response.backchannel.skipped no_phrase",
        "1.60 < response.backchannel.skipped no_phrase",
    ]


def test_a_filler_bridges_a_slow_answer() -> None:
    talk = Talk(session={"providerData": {"responsiveness": {"enabled": True}}})
    talk.turn("Hello")
    talk.wait(3)
    talk.answer("Hi.", length_ms=200)
    talk.wait(1)
    talk.turn("And why?")
    talk.wait(1.2)
    asked = talk.last(fx.Fill)
    talk.wait(0.3)
    assert talk.server.filler_audio(asked.response_id, MS * 500, talk.now)
    talk.settle()
    talk.wait(5)
    talk.answer("Forty-two.", length_ms=1000)
    assert talk.server.items[-1]["content"][0]["transcript"] == "Forty-two."
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < input_audio_buffer.speech_stopped item_1",
        "1.00 < input_audio_buffer.committed item_1",
        "1.00 < conversation.item.input_audio_transcription.completed item_1 Hello",
        "1.00 < response.created",
        "4.00 < response.output_audio_transcript.delta item_2 Hi.",
        "4.00 < response.output_audio.delta item_2 …",
        "4.00 < response.done completed",
        "5.00 < input_audio_buffer.speech_started item_3",
        "6.00 < input_audio_buffer.speech_stopped item_3",
        "6.00 < input_audio_buffer.committed item_3",
        "6.00 < conversation.item.input_audio_transcription.completed item_3 And why?",
        "6.00 < response.created",
        "7.20 * Fill",
        "7.50 < response.output_audio.delta item_4 …",
        "7.50 < response.output_audio.delta item_4 …",
        "7.50 < response.output_audio.delta item_4 …",
        "7.50 < response.output_audio.delta item_4 …",
        "7.50 < response.output_audio.delta item_4 …",
        "12.50 < response.output_audio_transcript.delta item_4 Forty-two.",
        "12.50 < response.output_audio.delta item_4 …",
        "12.50 < response.done completed",
    ]


def test_a_filler_that_comes_too_late_is_dropped() -> None:
    session = {"enabled": True, "enable_filler_on_first_assistant_reply": True}
    talk = Talk(session={"providerData": {"responsiveness": session}})
    talk.turn("Hello")
    talk.wait(1.2)
    talk.server.text("resp_1", "Hi.", talk.now)
    assert not talk.server.filler_audio("resp_1", MS * 500, talk.now)
    talk.server.finish("resp_1", talk.now)
    talk.settle()
    talk.wait(8)
    talk.turn("And?")
    talk.wait(4)
    assert not talk.server.filler_audio("resp_2", MS * 500, talk.now)
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < input_audio_buffer.speech_stopped item_1",
        "1.00 < input_audio_buffer.committed item_1",
        "1.00 < conversation.item.input_audio_transcription.completed item_1 Hello",
        "1.00 < response.created",
        "2.20 * Fill",
        "2.20 < response.output_audio_transcript.delta item_2 Hi.",
        "2.20 < response.done completed",
        "10.20 < input_audio_buffer.speech_started item_3",
        "11.20 < input_audio_buffer.speech_stopped item_3",
        "11.20 < input_audio_buffer.committed item_3",
        "11.20 < conversation.item.input_audio_transcription.completed item_3 And?",
        "11.20 < response.created",
        "12.40 * Fill",
    ]


def test_memory_cycle() -> None:
    talk = Talk(session={"providerData": {"memory": {"enabled": True, "turn_interval": 2}}})
    for said in ("My name is Ann", "I need a room"):
        talk.turn(said)
        talk.answer("Yes.")
    wanted = talk.last(fx.Summarise)
    assert [item["role"] for item in wanted.items] == ["user", "assistant"] * 2
    talk.turn("For two")
    talk.answer("Yes.")
    assert talk.server.memory({"facts": ["Ann"], "summary": "s", "context_text": "c"}, talk.now)
    talk.settle()
    state = talk.client.session["providerData"]["memory"]["state"]
    assert state == {
        "version": 1,
        "facts": ["Ann"],
        "summary": "s",
        "context_text": "c",
        "turns_since_gen": 1,
        "total_turns": 3,
        "items_trimmed": 0,
    }
    assert not talk.server.memory({}, talk.now)
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < input_audio_buffer.speech_stopped item_1",
        "1.00 < input_audio_buffer.committed item_1",
        "1.00 < conversation.item.input_audio_transcription.completed item_1 My name is Ann",
        "1.00 < response.created",
        "1.00 < response.output_audio_transcript.delta item_2 Yes.",
        "1.00 < response.done completed",
        "1.00 < input_audio_buffer.speech_started item_3",
        "2.00 < input_audio_buffer.speech_stopped item_3",
        "2.00 < input_audio_buffer.committed item_3",
        "2.00 < conversation.item.input_audio_transcription.completed item_3 I need a room",
        "2.00 < response.created",
        "2.00 * Summarise",
        "2.00 < response.output_audio_transcript.delta item_4 Yes.",
        "2.00 < response.done completed",
        "2.00 < input_audio_buffer.speech_started item_5",
        "3.00 < input_audio_buffer.speech_stopped item_5",
        "3.00 < input_audio_buffer.committed item_5",
        "3.00 < conversation.item.input_audio_transcription.completed item_5 For two",
        "3.00 < response.created",
        "3.00 < response.output_audio_transcript.delta item_6 Yes.",
        "3.00 < response.done completed",
        "3.00 < session.updated",
    ]
