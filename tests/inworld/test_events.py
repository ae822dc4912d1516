import json
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.masking import Masker
from voxpy.engine.trace import Entry, Trace
from voxpy.errors import UnknownName
from voxpy.inworld import Events, RealtimeAPIEvents
from voxpy.realtime import events as bodies
from voxpy.realtime.envelope import EventData, EventNamespace, MediaInfo, RealtimeAPIEvent

# VoxEngine's constant, and the service's event it carries; "" where it carries none.
REALTIME_EVENTS = {
    "Unknown": "",
    "HTTPResponse": "",
    "Error": "error",
    "SessionCreated": "session.created",
    "SessionUpdated": "session.updated",
    "ConversationItemAdded": "conversation.item.added",
    "ConversationItemDone": "conversation.item.done",
    "ConversationItemDeleted": "conversation.item.deleted",
    "ConversationItemRetrieved": "conversation.item.retrieved",
    "ConversationItemTruncated": "conversation.item.truncated",
    "ConversationItemInputAudioTranscriptionDelta": (
        "conversation.item.input_audio_transcription.delta"
    ),
    "ConversationItemInputAudioTranscriptionCompleted": (
        "conversation.item.input_audio_transcription.completed"
    ),
    "ResponseCreated": "response.created",
    "ResponseDone": "response.done",
    "ResponseOutputItemAdded": "response.output_item.added",
    "ResponseOutputItemDone": "response.output_item.done",
    "ResponseContentPartAdded": "response.content_part.added",
    "ResponseContentPartDone": "response.content_part.done",
    "ResponseOutputTextDelta": "response.output_text.delta",
    "ResponseOutputTextDone": "response.output_text.done",
    "ResponseOutputAudioDone": "response.output_audio.done",
    "ResponseOutputAudioTranscriptDelta": "response.output_audio_transcript.delta",
    "ResponseOutputAudioTranscriptDone": "response.output_audio_transcript.done",
    "ResponseFunctionCallArgumentsDelta": "response.function_call_arguments.delta",
    "ResponseFunctionCallArgumentsDone": "response.function_call_arguments.done",
    "InputAudioBufferSpeechStarted": "input_audio_buffer.speech_started",
    "InputAudioBufferSpeechStopped": "input_audio_buffer.speech_stopped",
    "InputAudioBufferCommitted": "input_audio_buffer.committed",
    "InputAudioBufferCleared": "input_audio_buffer.cleared",
    "InputAudioBufferTimeoutTriggered": "input_audio_buffer.timeout_triggered",
    "OutputAudioBufferStarted": "output_audio_buffer.started",
    "OutputAudioBufferStopped": "output_audio_buffer.stopped",
    "OutputAudioBufferCleared": "output_audio_buffer.cleared",
    "RateLimitsUpdated": "rate_limits.updated",
    "WebSocketError": "",
    "ConnectorInformation": "",
}
BETA = {
    "conversation.item.created": "ConversationItemAdded",
    "response.audio.done": "ResponseOutputAudioDone",
    "response.audio_transcript.delta": "ResponseOutputAudioTranscriptDelta",
    "response.audio_transcript.done": "ResponseOutputAudioTranscriptDone",
    "response.text.delta": "ResponseOutputTextDelta",
    "response.text.done": "ResponseOutputTextDone",
}
# What each event's payload gives as an attribute: its kind, for the tests below.
TEXT, NUMBER = "", None
OBJECT: dict[str, Any] = {}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "Error": {"error": OBJECT, "message": TEXT, "code": TEXT},
    "SessionCreated": {"session": OBJECT},
    "SessionUpdated": {"session": OBJECT},
    "ConversationItemAdded": {"item": OBJECT},
    "ConversationItemDone": {"item": OBJECT},
    "ConversationItemDeleted": {"item_id": TEXT},
    "ConversationItemRetrieved": {"item": OBJECT},
    "ConversationItemTruncated": {"item_id": TEXT, "audio_end_ms": NUMBER},
    "ConversationItemInputAudioTranscriptionDelta": {"item_id": TEXT, "delta": TEXT},
    "ConversationItemInputAudioTranscriptionCompleted": {"item_id": TEXT, "transcript": TEXT},
    "ResponseCreated": {"response": OBJECT},
    "ResponseDone": {"response": OBJECT},
    "ResponseOutputItemAdded": {"response_id": TEXT, "item": OBJECT},
    "ResponseOutputItemDone": {"response_id": TEXT, "item": OBJECT},
    "ResponseContentPartAdded": {"response_id": TEXT, "item_id": TEXT, "part": OBJECT},
    "ResponseContentPartDone": {"response_id": TEXT, "item_id": TEXT, "part": OBJECT},
    "ResponseOutputTextDelta": {"response_id": TEXT, "item_id": TEXT, "delta": TEXT},
    "ResponseOutputTextDone": {"response_id": TEXT, "item_id": TEXT, "text": TEXT},
    "ResponseOutputAudioDone": {"response_id": TEXT, "item_id": TEXT},
    "ResponseOutputAudioTranscriptDelta": {"response_id": TEXT, "item_id": TEXT, "delta": TEXT},
    "ResponseOutputAudioTranscriptDone": {
        "response_id": TEXT,
        "item_id": TEXT,
        "transcript": TEXT,
    },
    "ResponseFunctionCallArgumentsDelta": {
        "response_id": TEXT,
        "item_id": TEXT,
        "call_id": TEXT,
        "delta": TEXT,
    },
    "ResponseFunctionCallArgumentsDone": {
        "response_id": TEXT,
        "item_id": TEXT,
        "call_id": TEXT,
        "arguments": TEXT,
        "function_name": TEXT,
    },
    "InputAudioBufferSpeechStarted": {"item_id": TEXT, "audio_start_ms": NUMBER},
    "InputAudioBufferSpeechStopped": {"item_id": TEXT, "audio_end_ms": NUMBER},
    "InputAudioBufferCommitted": {"item_id": TEXT},
    "InputAudioBufferTimeoutTriggered": {
        "item_id": TEXT,
        "audio_start_ms": NUMBER,
        "audio_end_ms": NUMBER,
    },
    "OutputAudioBufferStarted": {"response_id": TEXT},
    "OutputAudioBufferStopped": {"response_id": TEXT},
    "OutputAudioBufferCleared": {"response_id": TEXT},
}
SAMPLES = {"": "some words", None: 1180, "{}": {"id": "x"}}
KINDS: dict[str, type[RealtimeAPIEvent]] = RealtimeAPIEvents.members()


def a_client() -> Any:
    return SimpleNamespace(id=lambda: "client-3")


def an(name: str, payload: dict[str, Any] | None = None) -> Any:
    data = EventData(custom_event=name, payload=payload or {})
    return KINDS[name](client=a_client(), data=data)


def sample(kind: Any) -> Any:
    return SAMPLES["{}" if kind == {} else kind]


def key_of(attribute: str) -> str:
    """Where the payload has it: ``name`` is the event's own name already."""
    return "name" if attribute == "function_name" else attribute


class TestTables:
    def test_every_name_of_voxengine_is_there_and_no_other(self) -> None:
        assert len(REALTIME_EVENTS) == 36
        assert set(KINDS) == set(REALTIME_EVENTS)
        assert set(Events.members()) == {"WebSocketMediaStarted", "WebSocketMediaEnded"}

    @pytest.mark.parametrize(("name", "wire_type"), REALTIME_EVENTS.items())
    def test_wire_strings(self, name: str, wire_type: str) -> None:
        kind = KINDS[name]
        assert kind.name == f"Inworld.RealtimeAPI.{name}"
        assert kind.wire_type == wire_type
        assert issubclass(kind, RealtimeAPIEvent)
        assert kind.__doc__

    def test_media_events(self) -> None:
        assert Events.WebSocketMediaStarted.name == "Inworld.Events.WebSocketMediaStarted"
        assert Events.WebSocketMediaEnded.name == "Inworld.Events.WebSocketMediaEnded"

    def test_the_service_s_names_lead_to_the_classes(self) -> None:
        expected = {wire: KINDS[name] for name, wire in REALTIME_EVENTS.items() if wire}
        expected |= {wire: KINDS[name] for wire, name in BETA.items()}
        for wire, kind in expected.items():
            assert RealtimeAPIEvents.of_wire_type(wire) is kind

    @pytest.mark.parametrize(
        "wire", ["", "ping", "response.output_audio.delta", "response.audio.delta"]
    )
    def test_the_rest_is_unknown_and_audio_is_no_event(self, wire: str) -> None:
        assert RealtimeAPIEvents.of_wire_type(wire) is RealtimeAPIEvents.Unknown

    def test_misspelling(self) -> None:
        namespace: Any = RealtimeAPIEvents
        with pytest.raises(UnknownName, match=r"did you mean 'SessionCreated'\?$"):
            _ = namespace.SessionCreate

    @pytest.mark.parametrize("name", REALTIME_EVENTS)
    def test_another_service_has_the_same_body_under_its_own_name(self, name: str) -> None:
        body = getattr(bodies, name)
        others = EventNamespace("Others", (), {"__module__": __name__, name: body}, prefix="Other")
        ours, theirs = KINDS[name], others.members()[name]
        assert (theirs.name, theirs.__qualname__) == (f"Other.{name}", f"Others.{name}")
        assert issubclass(theirs, body)
        assert issubclass(ours, body)
        assert ours is not theirs
        assert not body.name


class TestPayload:
    @pytest.mark.parametrize("name", REALTIME_EVENTS)
    def test_the_envelope_is_voxengines(self, name: str) -> None:
        payload = {"type": REALTIME_EVENTS[name], "anything": [1, None]}
        event = an(name, payload)
        assert event.data.custom_event == name
        assert event.data.payload is payload
        assert event.client.id() == "client-3"

    @pytest.mark.parametrize("name", REALTIME_EVENTS)
    def test_attributes_are_exactly_these(self, name: str) -> None:
        ours = {
            attribute
            for attribute in dir(KINDS[name])
            if not attribute.startswith("_") and attribute not in dir(RealtimeAPIEvent)
        }
        assert ours == set(ATTRIBUTES.get(name, {}))

    @pytest.mark.parametrize("name", [name for name in ATTRIBUTES if name != "Error"])
    def test_attributes_read_the_payload(self, name: str) -> None:
        for attribute, kind in ATTRIBUTES[name].items():
            event = an(name, {key_of(attribute): sample(kind)})
            assert getattr(event, attribute) == sample(kind)

    @pytest.mark.parametrize("name", ATTRIBUTES)
    def test_what_is_left_out_or_null_reads_as_nothing(self, name: str) -> None:
        for attribute, kind in ATTRIBUTES[name].items():
            assert getattr(an(name, {}), attribute) == kind
            if name != "Error":
                assert getattr(an(name, {key_of(attribute): None}), attribute) == kind

    @given(
        st.sampled_from(sorted(ATTRIBUTES)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
    def test_no_payload_makes_an_attribute_raise_or_change_its_kind(
        self, name: str, value: Any
    ) -> None:
        keys = {key_of(attribute) for attribute in ATTRIBUTES[name]} | {"error", "message"}
        event = an(name, dict.fromkeys(keys, value))
        for attribute, kind in ATTRIBUTES[name].items():
            read = getattr(event, attribute)
            if kind is NUMBER:
                assert read is None or type(read) in (int, float)
            else:
                assert type(read) is type(kind)

    def test_an_error_says_what_went_wrong(self) -> None:
        error = an("Error", {"error": {"code": "invalid_value", "message": "no such voice"}})
        assert (error.code, error.message) == ("invalid_value", "no such voice")
        assert error.error == {"code": "invalid_value", "message": "no such voice"}

    def test_an_error_without_a_code(self) -> None:
        error = an("Error", {"error": {"type": "server_error", "code": None, "message": "oops"}})
        assert (error.code, error.message) == ("", "oops")

    def test_an_error_with_its_message_at_the_top(self) -> None:
        assert an("Error", {"message": "top"}).message == "top"
        assert an("Error", {"message": "top", "error": {"code": "x"}}).message == "top"
        assert an("Error", {"message": "top", "code": "y"}).code == "y"


class TestEvents:
    @pytest.mark.parametrize("name", REALTIME_EVENTS)
    def test_each_is_frozen(self, name: str) -> None:
        event = an(name)
        assert not hasattr(event, "__dict__")
        for attribute in ("client", "data", "name", "wire_type", *ATTRIBUTES.get(name, {})):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(event, attribute, "changed")

    @pytest.mark.parametrize("name", REALTIME_EVENTS)
    def test_each_can_be_traced(self, name: str) -> None:
        entries: list[Entry] = []
        trace = Trace(now=lambda: 0.0, masking=Masker())
        trace.add_sink(entries.append)
        trace.event(an(name, {"transcript": "hello"}))
        line = json.loads(entries[0].to_json())
        assert line["name"] == f"Inworld.RealtimeAPI.{name}"
        assert line["unit"] == "client-3"
        assert line["personal"] == {"payload": {"transcript": "hello"}}

    def test_media_started(self) -> None:
        event = Events.WebSocketMediaStarted(client=a_client(), encoding="ULAW")
        assert (event.tag, event.encoding, event.custom_parameters) == ("", "ULAW", {})

    def test_media_ended(self) -> None:
        event = Events.WebSocketMediaEnded(client=a_client(), media_info=MediaInfo(duration=1.5))
        assert event.media_info.duration == 1.5
        assert Events.WebSocketMediaEnded(client=a_client()).media_info.duration == 0.0

    def test_payloads_are_not_shared(self) -> None:
        one = RealtimeAPIEvents.Unknown(client=a_client())
        two = RealtimeAPIEvents.Unknown(client=a_client())
        assert one.data.payload is not two.data.payload
