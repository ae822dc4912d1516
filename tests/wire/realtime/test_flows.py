"""The flows of the protocol as transcripts: a client and a server, no socket, virtual time.

Each says what was done at which second and what both sides then saw. Where neither service
guarantees an order, both orders are here.
"""

from __future__ import annotations

from typing import Any

from voxpy.testing.joined import Talk
from voxpy.wire.realtime.server import effects as fx
from voxpy.wire.realtime.server.quirks import Quirks

MS = b"\1\0" * 24
SERVER_VAD: dict[str, Any] = {"type": "server_vad"}


def test_a_voice_turn() -> None:
    talk = Talk()
    talk.append(MS * 2000)
    talk.settle(talk.server.speech_started(180, talk.now))
    talk.wait(0.9)
    talk.server.transcript_delta("Hey, man", talk.now)
    talk.server.speech_paused(talk.now, silence_ms=200, probability=0.83)
    talk.settle()
    talk.wait(0.1)
    talk.server.speech_resumed(talk.now)
    talk.settle()
    talk.wait(0.5)
    talk.server.speech_paused(talk.now, silence_ms=200, probability=0.9)
    talk.server.speech_stopped(1700, talk.now)
    talk.settle()
    talk.wait(0.1)
    talk.settle(talk.server.transcript_completed("Hey, man! Hi.", talk.now))
    talk.wait(0.2)
    talk.answer("Hello!", length_ms=300)
    assert talk.transcript() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "0.90 < conversation.item.input_audio_transcription.delta item_1 Hey, man",
        "0.90 < input_audio_buffer.turn_suggestion item_1 0.83 0",
        "1.00 < input_audio_buffer.turn_suggestion_revoked item_1 0",
        "1.50 < input_audio_buffer.turn_suggestion item_1 0.9 1",
        "1.50 < input_audio_buffer.speech_stopped item_1",
        "1.50 < input_audio_buffer.committed item_1",
        "1.50 < conversation.item.added",
        "1.60 < conversation.item.input_audio_transcription.completed item_1 Hey, man! Hi.",
        "1.60 < conversation.item.done",
        "1.60 < response.created",
        "1.80 < response.output_item.added",
        "1.80 < conversation.item.added",
        "1.80 < response.content_part.added item_2",
        "1.80 < response.content_part.added item_2",
        "1.80 < response.output_audio_transcript.delta item_2 Hello!",
        "1.80 < response.output_text.delta item_2 Hello!",
        "1.80 < output_audio_buffer.started",
        "1.80 < response.output_audio.delta item_2 …",
        "1.80 < response.output_audio.done item_2",
        "1.80 < output_audio_buffer.stopped",
        "1.80 < response.output_audio_transcript.done item_2 Hello!",
        "1.80 < response.output_text.done item_2",
        "1.80 < response.content_part.done item_2",
        "1.80 < response.content_part.done item_2",
        "1.80 < conversation.item.done",
        "1.80 < response.output_item.done",
        "1.80 < response.done completed",
    ]


def test_words_told_after_the_response_began() -> None:
    talk = Talk(Quirks(end_padding=False, transcription="after_created"))
    talk.turn("Hello?")
    talk.answer("Hi.", length_ms=300)
    assert talk.last(fx.Respond).items[-1]["content"][0]["transcript"] == "Hello?"
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < input_audio_buffer.speech_stopped item_1",
        "1.00 < input_audio_buffer.committed item_1",
        "1.00 < response.created",
        "1.00 < conversation.item.input_audio_transcription.completed item_1 Hello?",
        "1.00 < response.output_audio_transcript.delta item_2 Hi.",
        "1.00 < response.output_audio.delta item_2 …",
        "1.00 < response.done completed",
    ]


def test_words_told_after_the_response_ended() -> None:
    talk = Talk(Quirks(end_padding=False, transcription="after_done"))
    talk.turn("Hello?")
    talk.answer("Hi.", length_ms=300)
    assert talk.last(fx.Respond).items[-1]["content"][0]["transcript"] == "Hello?"
    assert talk.brief() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < input_audio_buffer.speech_stopped item_1",
        "1.00 < input_audio_buffer.committed item_1",
        "1.00 < response.created",
        "1.00 < response.output_audio_transcript.delta item_2 Hi.",
        "1.00 < response.output_audio.delta item_2 …",
        "1.00 < response.done completed",
        "1.00 < conversation.item.input_audio_transcription.completed item_1 Hello?",
    ]


def test_nothing_understood_is_not_answered() -> None:
    talk = Talk()
    talk.turn("")
    assert talk.transcript() == [
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < input_audio_buffer.speech_stopped item_1",
        "1.00 < input_audio_buffer.committed item_1",
        "1.00 < conversation.item.added",
        "1.00 < conversation.item.input_audio_transcription.completed item_1",
        "1.00 < conversation.item.done",
    ]


def test_barge_in_and_every_reaction_to_it() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.server.text("resp_1", "One two three four", talk.now)
    talk.server.audio("resp_1", MS * 1000, talk.now)
    talk.settle()
    talk.wait(0.4)
    talk.settle(talk.server.speech_started(400, talk.now))
    talk.send("output_audio_buffer.clear")
    talk.send("response.cancel")
    talk.send("conversation.item.truncate", item_id="item_1", content_index=0, audio_end_ms=400)
    talk.send("conversation.item.truncate", item_id="item_1", content_index=0, audio_end_ms=900)
    assert not talk.server.text("resp_1", " five", talk.now)
    assert not talk.server.audio("resp_1", MS, talk.now)
    talk.settle()
    assert talk.server.items[0]["content"][0]["transcript"] == "One two"
    assert talk.transcript() == [
        "0.00 > response.create",
        "0.00 < response.created",
        "0.00 < response.output_item.added",
        "0.00 < conversation.item.added",
        "0.00 < response.content_part.added item_1",
        "0.00 < response.content_part.added item_1",
        "0.00 < response.output_audio_transcript.delta item_1 One two three four",
        "0.00 < response.output_text.delta item_1 One two three four",
        "0.00 < output_audio_buffer.started",
        "0.00 < response.output_audio.delta item_1 …",
        "0.40 * Stop",
        "0.40 < input_audio_buffer.speech_started item_2",
        "0.40 < response.output_audio.done item_1",
        "0.40 < output_audio_buffer.stopped",
        "0.40 < response.output_audio_transcript.done item_1 One two three four",
        "0.40 < response.output_text.done item_1",
        "0.40 < response.content_part.done item_1",
        "0.40 < response.content_part.done item_1",
        "0.40 < conversation.item.done",
        "0.40 < response.output_item.done",
        "0.40 < response.done cancelled",
        "0.40 < output_audio_buffer.cleared",
        "0.40 > output_audio_buffer.clear",
        "0.40 < output_audio_buffer.cleared",
        "0.40 > response.cancel",
        "0.40 < error response_cancel_not_active",
        "0.40 > conversation.item.truncate item_1",
        "0.40 < conversation.item.truncated item_1",
        "0.40 > conversation.item.truncate item_1",
        "0.40 < error invalid_value",
    ]


def test_barge_in_after_the_response_is_done() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.answer("A long story", length_ms=3000)
    talk.wait(1)
    talk.turn("Stop")
    talk.send("conversation.item.truncate", item_id="item_1", content_index=0, audio_end_ms=1000)
    assert talk.brief() == [
        "0.00 > response.create",
        "0.00 < response.created",
        "0.00 < response.output_audio_transcript.delta item_1 A long story",
        "0.00 < response.output_audio.delta item_1 …",
        "0.00 < response.done completed",
        "1.00 < input_audio_buffer.speech_started item_2",
        "1.00 < output_audio_buffer.cleared",
        "2.00 < input_audio_buffer.speech_stopped item_2",
        "2.00 < input_audio_buffer.committed item_2",
        "2.00 < conversation.item.input_audio_transcription.completed item_2 Stop",
        "2.00 < response.created",
        "2.00 > conversation.item.truncate item_1",
        "2.00 < conversation.item.truncated item_1",
    ]


def test_barge_in_that_must_wait() -> None:
    detection = {**SERVER_VAD, "interrupt_response": False}
    talk = Talk(session={"audio": {"input": {"turn_detection": detection}}})
    talk.send("response.create")
    talk.turn("And?")
    talk.answer("First this.", length_ms=300)
    talk.answer("Then that.")
    assert talk.brief() == [
        "0.00 > response.create",
        "0.00 < response.created",
        "0.00 < input_audio_buffer.speech_started item_1",
        "1.00 < input_audio_buffer.speech_stopped item_1",
        "1.00 < input_audio_buffer.committed item_1",
        "1.00 < conversation.item.input_audio_transcription.completed item_1 And?",
        "1.00 < response.output_audio_transcript.delta item_2 First this.",
        "1.00 < response.output_audio.delta item_2 …",
        "1.00 < response.done completed",
        "1.00 < response.created",
        "1.00 < response.output_audio_transcript.delta item_3 Then that.",
        "1.00 < response.done completed",
    ]


def test_tools_answered_by_the_server() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.server.text("resp_1", "Let me look.", talk.now)
    talk.server.call_tool("resp_1", "get_weather", '{"city":"Oslo"}', talk.now)
    talk.server.call_tool("resp_1", "get_time", "{}", talk.now)
    talk.server.finish("resp_1", talk.now)
    talk.settle()
    for call_id in ("call_1", "call_2"):
        output = {"type": "function_call_output", "call_id": call_id, "output": "1"}
        talk.send("conversation.item.create", item=output)
    talk.send("response.create")
    assert talk.brief() == [
        "0.00 > response.create",
        "0.00 < response.created",
        "0.00 < response.output_audio_transcript.delta item_1 Let me look.",
        '0.00 < response.function_call_arguments.delta item_2 {"city":"Oslo"}',
        "0.00 < response.function_call_arguments.done item_2",
        "0.00 < response.function_call_arguments.delta item_3 {}",
        "0.00 < response.function_call_arguments.done item_3",
        "0.00 < response.done completed",
        "0.00 > conversation.item.create",
        "0.00 > conversation.item.create",
        "0.00 < response.created",
        "0.00 > response.create",
        "0.00 < error conversation_already_has_active_response",
    ]


def test_tools_answered_by_the_client() -> None:
    talk = Talk(session={"providerData": {"auto_tool_response": False}})
    talk.send("response.create")
    talk.server.call_tool("resp_1", "get_time", "{}", talk.now)
    talk.settle()
    output = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}
    talk.send("conversation.item.create", item=output)
    talk.send("response.create")
    talk.server.finish("resp_1", talk.now)
    talk.settle()
    talk.send("response.create")
    assert talk.transcript() == [
        "0.00 > response.create",
        "0.00 < response.created",
        "0.00 < response.output_item.added",
        "0.00 < conversation.item.added",
        "0.00 < response.function_call_arguments.delta item_1 {}",
        "0.00 < response.function_call_arguments.done item_1",
        "0.00 < conversation.item.done",
        "0.00 < response.output_item.done",
        "0.00 > conversation.item.create",
        "0.00 < conversation.item.added",
        "0.00 < conversation.item.done",
        "0.00 > response.create",
        "0.00 < error conversation_already_has_active_response",
        "0.00 < response.done completed",
        "0.00 > response.create",
        "0.00 < response.created",
    ]


def test_manual_turns() -> None:
    talk = Talk(session={"audio": {"input": {"turn_detection": None}}})
    talk.send("input_audio_buffer.commit")
    talk.append(MS * 500)
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.wait(0.5)
    talk.server.speech_stopped(500, talk.now)
    talk.settle()
    talk.send("input_audio_buffer.commit")
    talk.settle(talk.server.transcript_completed("Over", talk.now))
    talk.append(MS * 500)
    talk.send("input_audio_buffer.clear")
    talk.send("response.create")
    talk.answer("And out.")
    assert talk.brief() == [
        "0.00 > input_audio_buffer.commit",
        "0.00 < error input_audio_buffer_commit_empty",
        "0.00 < input_audio_buffer.speech_started item_1",
        "0.50 < input_audio_buffer.speech_stopped item_1",
        "0.50 > input_audio_buffer.commit",
        "0.50 < input_audio_buffer.committed item_1",
        "0.50 < conversation.item.input_audio_transcription.completed item_1 Over",
        "0.50 > input_audio_buffer.clear",
        "0.50 < input_audio_buffer.cleared",
        "0.50 > response.create",
        "0.50 < response.created",
        "0.50 < response.output_audio_transcript.delta item_2 And out.",
        "0.50 < response.done completed",
    ]


def test_manual_turns_without_the_quirk() -> None:
    quirks = Quirks(manual_vad_events=False)
    talk = Talk(quirks, session={"audio": {"input": {"turn_detection": None}}})
    talk.append(MS * 500)
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.speech_stopped(500, talk.now)
    talk.settle()
    talk.send("input_audio_buffer.commit")
    assert talk.transcript() == [
        "0.00 > input_audio_buffer.commit",
        "0.00 < input_audio_buffer.committed item_1",
        "0.00 < conversation.item.added",
    ]


def test_a_response_while_one_is_active() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.send("response.create", event_id="mine")
    talk.answer("Yes?")
    assert talk.brief() == [
        "0.00 > response.create",
        "0.00 < response.created",
        "0.00 > response.create",
        "0.00 < error conversation_already_has_active_response",
        "0.00 < response.output_audio_transcript.delta item_1 Yes?",
        "0.00 < response.done completed",
    ]
