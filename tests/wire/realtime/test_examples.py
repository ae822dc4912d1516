"""Every frame the protocol notes show: parsed into its class, encoded to the same JSON again."""

from __future__ import annotations

import orjson
import pytest

from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import encode, parse_client, parse_server
from voxpy.wire.realtime.events.types import Unknown, WireEvent

CLIENT = [
    (
        ce.SessionUpdate,
        '{"type":"session.update","session":{"type":"realtime","instructions":"Be brief."}}',
    ),
    (ce.InputAudioBufferAppend, '{"type":"input_audio_buffer.append","audio":"AAAA"}'),
    (ce.InputAudioBufferCommit, '{"type":"input_audio_buffer.commit"}'),
    (ce.InputAudioBufferClear, '{"type":"input_audio_buffer.clear"}'),
    (
        ce.ConversationItemCreate,
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":['
        '{"type":"input_text","text":"Hi"}]}}',
    ),
    (
        ce.ConversationItemCreate,
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":['
        '{"type":"input_audio","audio":"AAAA"}]}}',
    ),
    (
        ce.ConversationItemCreate,
        '{"type":"conversation.item.create","item":{"type":"function_call_output",'
        r'"call_id":"call_1","output":"{\"ok\":true}"}}',
    ),
    (
        ce.ConversationItemTruncate,
        '{"type":"conversation.item.truncate","item_id":"item_9","content_index":0,'
        '"audio_end_ms":1480}',
    ),
    (ce.ConversationItemDelete, '{"type":"conversation.item.delete","item_id":"item_9"}'),
    (ce.ConversationItemRetrieve, '{"type":"conversation.item.retrieve","item_id":"item_9"}'),
    (
        ce.ResponseCreate,
        '{"type":"response.create","response":{"output_modalities":["audio","text"],'
        '"instructions":"Say hello.","voice":"Hades"}}',
    ),
    (ce.ResponseCreate, '{"type":"response.create"}'),
    (ce.ResponseCancel, '{"type":"response.cancel","response_id":"resp_1"}'),
    (ce.OutputAudioBufferClear, '{"type":"output_audio_buffer.clear"}'),
]

_PART = '"response_id":"resp_1","item_id":"item_a1","output_index":0,"content_index":0'
_CALL = '"response_id":"resp_2","item_id":"item_f1","output_index":0,"call_id":"call_1"'

SERVER = [
    (
        se.SessionCreated,
        '{"type":"session.created","event_id":"e1","session":{"id":"sess_1",'
        '"object":"realtime.session","type":"realtime",'
        '"model":"google-ai-studio/gemini-2.5-flash","expires_at":1780000000,'
        '"output_modalities":["audio","text"],"instructions":"","tools":[],"tool_choice":"auto",'
        '"max_output_tokens":"inf","audio":{"input":{"format":{"type":"audio/pcm","rate":24000},'
        '"transcription":null,"noise_reduction":null,"turn_detection":{"type":"semantic_vad",'
        '"eagerness":"medium","create_response":true,"interrupt_response":true}},"output":{'
        '"format":{"type":"audio/pcm","rate":24000},"voice":"Dennis","model":"inworld-tts-2",'
        '"speed":1.0}},"providerData":{}}}',
    ),
    (se.SessionUpdated, '{"type":"session.updated","event_id":"e2","session":{"id":"sess_1"}}'),
    (
        se.SessionUpdated,
        '{"type":"session.updated","event_id":"e","session":{"providerData":{"memory":{"state":{'
        '"version":2,"facts":["likes tea"],"summary":"","context_text":"","turns_since_gen":0,'
        '"total_turns":4,"items_trimmed":0}}}}}',
    ),
    (
        se.ConversationCreated,
        '{"type":"conversation.created","event_id":"e3","conversation":{"id":"conv_1",'
        '"object":"realtime.conversation"}}',
    ),
    (se.Ping, '{"type":"ping","event_id":"e4","timestamp":1780000000123}'),
    (
        se.InputAudioBufferSpeechStarted,
        '{"type":"input_audio_buffer.speech_started","event_id":"e","audio_start_ms":1180,'
        '"item_id":"item_u1"}',
    ),
    (
        se.InputAudioBufferSpeechStarted,
        '{"type":"input_audio_buffer.speech_started","event_id":"e","item_id":"item_u1"}',
    ),
    (
        se.InputAudioBufferTurnSuggestion,
        '{"type":"input_audio_buffer.turn_suggestion","event_id":"e","item_id":"item_u1",'
        '"utterance_index":0,"probability":0.83,"trailing_silence_ms":220,'
        '"audio_duration_ms":1640,"inference_ms":14}',
    ),
    (
        se.InputAudioBufferTurnSuggestionRevoked,
        '{"type":"input_audio_buffer.turn_suggestion_revoked","event_id":"e",'
        '"item_id":"item_u1","utterance_index":0}',
    ),
    (
        se.InputAudioBufferSpeechStopped,
        '{"type":"input_audio_buffer.speech_stopped","event_id":"e","audio_end_ms":2960,'
        '"item_id":"item_u1"}',
    ),
    (
        se.InputAudioBufferCommitted,
        '{"type":"input_audio_buffer.committed","event_id":"e","previous_item_id":"item_a0",'
        '"item_id":"item_u1"}',
    ),
    (se.InputAudioBufferCleared, '{"type":"input_audio_buffer.cleared","event_id":"e"}'),
    (
        se.InputAudioBufferTimeoutTriggered,
        '{"type":"input_audio_buffer.timeout_triggered","event_id":"e","audio_start_ms":13216,'
        '"audio_end_ms":19232,"item_id":"item_u2"}',
    ),
    (
        se.ConversationItemInputAudioTranscriptionDelta,
        '{"type":"conversation.item.input_audio_transcription.delta","event_id":"e",'
        '"item_id":"item_u1","content_index":0,"delta":"Hey, man"}',
    ),
    (
        se.ConversationItemInputAudioTranscriptionCompleted,
        '{"type":"conversation.item.input_audio_transcription.completed","event_id":"e",'
        '"item_id":"item_u1","content_index":0,"transcript":"Hey, man! Hi.","providerData":{'
        '"voiceProfile":{"emotion":[{"label":"happy","confidence":0.9}],"age":[{"label":"adult",'
        '"confidence":0.8}],"gender":[],"vocal_style":[],"accent":[]}}}',
    ),
    (
        se.ConversationItemInputAudioTranscriptionFailed,
        '{"type":"conversation.item.input_audio_transcription.failed","item_id":"item_u1",'
        '"content_index":0,"error":{"type":"t","code":null,"message":"no","param":null}}',
    ),
    (
        se.ConversationItemAdded,
        '{"type":"conversation.item.added","event_id":"e","previous_item_id":null,"item":{'
        '"id":"item_u1","object":"realtime.item","type":"message","status":"completed",'
        '"role":"user","content":[{"type":"input_audio","transcript":null}]}}',
    ),
    (
        se.ConversationItemDone,
        '{"type":"conversation.item.done","event_id":"e","previous_item_id":"item_u1","item":{'
        '"id":"item_a1","object":"realtime.item","type":"message","status":"completed",'
        '"role":"assistant","content":[{"type":"output_audio","transcript":"Hello!"}]}}',
    ),
    (
        se.ConversationItemTruncated,
        '{"type":"conversation.item.truncated","event_id":"e","item_id":"item_a1",'
        '"content_index":0,"audio_end_ms":1480}',
    ),
    (
        se.ConversationItemDeleted,
        '{"type":"conversation.item.deleted","event_id":"e","item_id":"item_a1"}',
    ),
    (
        se.ConversationItemRetrieved,
        '{"type":"conversation.item.retrieved","event_id":"e","item":{"id":"item_a1",'
        '"type":"message","role":"assistant","content":[{"type":"audio","transcript":"Hi",'
        '"audio":"AAAA","format":"pcm16"}]}}',
    ),
    (
        se.ResponseCreated,
        '{"type":"response.created","event_id":"e","response":{"id":"resp_1",'
        '"object":"realtime.response","status":"in_progress","status_details":null,"output":[],'
        '"conversation_id":"conv_1","output_modalities":["audio","text"],'
        '"max_output_tokens":"inf","audio":{"output":{"format":{"type":"audio/pcm",'
        '"rate":24000},"voice":"Sarah"}},"usage":null,"metadata":null}}',
    ),
    (
        se.ResponseOutputItemAdded,
        '{"type":"response.output_item.added","event_id":"e","response_id":"resp_1",'
        '"output_index":0,"item":{"id":"item_a1","object":"realtime.item","type":"message",'
        '"status":"in_progress","role":"assistant","content":[]}}',
    ),
    (
        se.ResponseContentPartAdded,
        f'{{"type":"response.content_part.added","event_id":"e",{_PART},'
        '"part":{"type":"audio","transcript":""}}',
    ),
    (
        se.ResponseOutputAudioTranscriptDelta,
        f'{{"type":"response.output_audio_transcript.delta","event_id":"e",{_PART},"delta":"Hel"}}',
    ),
    (
        se.ResponseOutputAudioDelta,
        f'{{"type":"response.output_audio.delta","event_id":"e",{_PART},"delta":"AAAA"}}',
    ),
    (
        se.ResponseOutputTextDelta,
        '{"type":"response.output_text.delta","event_id":"e","response_id":"resp_1",'
        '"item_id":"item_a1","output_index":0,"content_index":1,"delta":"Hel"}',
    ),
    (
        se.ResponseOutputAudioDone,
        f'{{"type":"response.output_audio.done","event_id":"e",{_PART}}}',
    ),
    (
        se.ResponseOutputAudioTranscriptDone,
        f'{{"type":"response.output_audio_transcript.done","event_id":"e",{_PART},'
        '"transcript":"Hello!"}',
    ),
    (
        se.ResponseOutputTextDone,
        '{"type":"response.output_text.done","event_id":"e","response_id":"resp_1",'
        '"item_id":"item_a1","output_index":0,"content_index":1,"text":"Hello!"}',
    ),
    (
        se.ResponseContentPartDone,
        f'{{"type":"response.content_part.done","event_id":"e",{_PART},'
        '"part":{"type":"audio","transcript":"Hello!"}}',
    ),
    (
        se.ResponseOutputItemDone,
        '{"type":"response.output_item.done","event_id":"e","response_id":"resp_1",'
        '"output_index":0,"item":{"id":"item_a1","type":"message","status":"completed",'
        '"role":"assistant","content":[{"type":"output_audio","transcript":"Hello!"}]}}',
    ),
    (
        se.ResponseFunctionCallArgumentsDelta,
        f'{{"type":"response.function_call_arguments.delta","event_id":"e",{_CALL},'
        r'"delta":"{\"ci"}',
    ),
    (
        se.ResponseFunctionCallArgumentsDone,
        f'{{"type":"response.function_call_arguments.done","event_id":"e",{_CALL},'
        r'"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}',
    ),
    (
        se.ResponseFunctionCallArgumentsDone,
        f'{{"type":"response.function_call_arguments.done","event_id":"e",{_CALL},"arguments":""}}',
    ),
    (
        se.ResponseDone,
        '{"type":"response.done","event_id":"e","response":{"id":"resp_1",'
        '"object":"realtime.response","status":"completed","status_details":null,"output":[{'
        '"id":"item_a1","type":"message","status":"completed","role":"assistant","content":[{'
        '"type":"output_audio","transcript":"Hello!"}]}],"usage":{"total_tokens":30,'
        '"input_tokens":20,"output_tokens":10,"llm":{"model":"openai/gpt-4.1-mini"},"tts":{'
        '"model":"inworld-tts-2","characters":6,"audio_seconds":0.7},"stt":{'
        '"model":"inworld/inworld-stt-1","audio_seconds":1.8}}}}',
    ),
    (
        se.RateLimitsUpdated,
        '{"type":"rate_limits.updated","event_id":"e","rate_limits":[{"name":"requests",'
        '"limit":1000,"remaining":999,"reset_seconds":60}]}',
    ),
    (se.OutputAudioBufferStarted, '{"type":"output_audio_buffer.started","event_id":"e"}'),
    (se.OutputAudioBufferStopped, '{"type":"output_audio_buffer.stopped","event_id":"e"}'),
    (se.OutputAudioBufferCleared, '{"type":"output_audio_buffer.cleared","event_id":"e"}'),
    (
        se.ResponseBackchannelAudioDelta,
        '{"type":"response.backchannel.audio.delta","event_id":"e","backchannel_id":"bc_1",'
        '"delta":"AAAA"}',
    ),
    (
        se.ResponseBackchannelAudioDone,
        '{"type":"response.backchannel.audio.done","event_id":"e","backchannel_id":"bc_1",'
        '"phrase":"uh-huh"}',
    ),
    (
        se.ResponseBackchannelSkipped,
        '{"type":"response.backchannel.skipped","event_id":"e","backchannel_id":"bc_2",'
        '"reason":"deadline_missed"}',
    ),
    (
        se.ResponseBackchannelSkipped,
        '{"type":"response.backchannel.skipped","event_id":"e","reason":"no_phrase"}',
    ),
    (
        se.ErrorEvent,
        '{"type":"error","event_id":"e","error":{"type":"server_error","code":null,'
        '"message":"Failed to read content stream.","param":null,"event_id":null}}',
    ),
    (Unknown, '{"type":"output_audio_buffer.committed","event_id":"e"}'),
]


@pytest.mark.parametrize(("cls", "text"), CLIENT, ids=lambda v: getattr(v, "__name__", None))
def test_client_example(cls: type[WireEvent], text: str) -> None:
    event = parse_client(text)
    assert type(event) is cls
    assert orjson.loads(encode(event)) == orjson.loads(text)


@pytest.mark.parametrize(("cls", "text"), SERVER, ids=lambda v: getattr(v, "__name__", None))
def test_server_example(cls: type[WireEvent], text: str) -> None:
    event = parse_server(text)
    assert type(event) is cls
    assert event.type == orjson.loads(text)["type"]
    assert orjson.loads(encode(event)) == orjson.loads(text)


def test_every_client_event_has_an_example() -> None:
    assert {cls for cls, _ in CLIENT} == set(ce.CLIENT_EVENTS.values())


def test_every_documented_server_event_has_an_example() -> None:
    without = set(se.SERVER_EVENTS.values()) - {cls for cls, _ in SERVER}
    names = {cls.type for cls in without}
    assert {name for name in names if "mcp" not in name} == {
        "conversation.item.input_audio_transcription.segment"
    }
