"""RealtimeVoice against a service played by hand, over memory streams."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import orjson
import pytest
import trio
from trio.abc import Clock
from trio.testing import memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from voxpy.engine.ports import Endpoint
from voxpy.errors import (
    ConnectFailed,
    RequestFailed,
    ScenarioError,
    SpeechInterrupted,
    UnknownName,
)
from voxpy.inworld.voice import AudioStream, RealtimeVoice, VoiceEvents
from voxpy.inworld.voice import events as ve
from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.localagent.server import serve_stream
from voxpy.realtime.tools import ToolSet
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.session import default_session, merge

KEY = "cG9ydGFsLWtleQ=="
Json = dict[str, Any]


class Wire:
    """One connection, seen from the service."""

    def __init__(self, socket: WebSocketConnection, path: str, headers: dict[str, str]) -> None:
        self.socket = socket
        self.path = path
        self.headers = headers
        self.asked: Json = {}
        self.session = default_session("sess_1")

    async def read(self) -> Json:
        event: Json = orjson.loads(await self.socket.get_message())
        return event

    async def read_all(self) -> list[Json]:
        """Return everything the voice has sent by now."""
        await wait_all_tasks_blocked()
        events = []
        with trio.move_on_after(0.01):
            while True:
                events.append(await self.read())
        return events

    async def send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": "e", **fields}
        await self.socket.send_message(orjson.dumps(event).decode())
        await wait_all_tasks_blocked()

    async def agree(self) -> None:
        """Play the handshake: created, the client's update, updated."""
        await self.send("session.created", session=self.session)
        update = await self.read()
        assert update["type"] == "session.update"
        self.asked = update["session"]
        self.session = merge(self.session, update["session"])
        await self.send("session.updated", session=self.session)

    async def response(self, response_id: str = "resp_1", *said: str, **fields: Any) -> None:
        """Play a whole response with the words ``said``."""
        await self.begin(response_id)
        for words in said:
            await self.delta("audio_transcript", words, response_id)
        await self.end(response_id, **fields)

    async def begin(self, response_id: str = "resp_1") -> None:
        response = {"id": response_id, "status": "in_progress", "output": []}
        await self.send("response.created", response=response)

    async def delta(self, what: str, delta: str, response_id: str = "resp_1") -> None:
        kind = f"response.output_{what}.delta"
        await self.send(kind, response_id=response_id, item_id="item_a1", delta=delta)

    async def audio(self, data: bytes, response_id: str = "resp_1") -> None:
        wire = {"output_index": 0, "content_index": 0, "delta": base64.b64encode(data).decode()}
        ids = {"response_id": response_id, "item_id": "item_a1"}
        await self.send("response.output_audio.delta", **ids, **wire)

    async def end(self, response_id: str = "resp_1", **fields: Any) -> None:
        response = {"id": response_id, "status": "completed", "output": [], **fields}
        await self.send("response.done", response=response)

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        await self.socket.aclose(code, reason)
        await wait_all_tasks_blocked()


class Service:
    """Takes a voice's connections. ``play`` is what it does with each before the test has it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._wires, self._taken = trio.open_memory_channel[Wire](10)
        self.play: Callable[[Wire], Any] = Wire.agree
        self.opened: list[Endpoint] = []

    async def open_stream(self, endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.opened.append(endpoint)
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            headers = {name.decode().lower(): v.decode() for name, v in request.headers}
            socket = await request.accept()
            wire = Wire(socket, request.path, headers)
            try:
                await self.play(wire)
            except ConnectionClosed:
                return
            await self._wires.send(wire)

    async def wire(self) -> Wire:
        return await self._taken.receive()

    def voice(self, **options: Any) -> RealtimeVoice:
        options = {"api_key": KEY, "url": "ws://service/session", **options}
        return RealtimeVoice(open_stream=self.open_stream, **options)

    @asynccontextmanager
    async def joined(self, **options: Any) -> AsyncIterator[tuple[RealtimeVoice, Wire]]:
        """Give a voice that is connected, and the other end."""
        async with self.voice(**options) as voice:
            yield voice, await self.wire()


@pytest.fixture
def service(nursery: trio.Nursery) -> Service:
    return Service(nursery)


def record(voice: RealtimeVoice) -> list[Any]:
    """Return a list that fills with the payload of every event of the voice's own."""
    seen: list[Any] = []
    for kind in VoiceEvents.members().values():
        voice.on(kind, seen.append)
    return seen


def of(seen: list[Any], kind: type[Any]) -> list[Any]:
    return [each for each in seen if isinstance(each, kind)]


def types(events: list[Json]) -> list[str]:
    return [event["type"] for event in events]


async def attempt(failures: list[BaseException], call: Callable[[], Any]) -> None:
    try:
        await call()
    except Exception as error:
        failures.append(error)


# -- initialization, getSpeakers ------------------------------------------------------------------


def test_can_be_made_without_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INWORLD_API_KEY", raising=False)
    voice = RealtimeVoice()
    assert not voice.connected
    assert voice.session == {}


def test_speakers() -> None:
    speakers = RealtimeVoice(api_key=KEY).get_speakers()
    assert {"voice_id": "Dennis"} in speakers
    assert len(speakers) == 10


# -- the URL and who may open it ------------------------------------------------------------------


async def test_the_key_is_sent_as_it_is(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (_, wire):
        assert wire.headers["authorization"] == f"Basic {KEY}"


async def test_the_url_has_a_session_key_and_the_protocol_and_no_model(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined() as (_, wire):
        query = parse_qs(urlsplit(wire.path).query)
    assert query.keys() == {"key", "protocol"}
    assert query["key"][0].startswith("voice-")
    assert query["protocol"] == ["realtime"]


async def test_the_session_id_is_the_key(service: Service, autojump_clock: Clock) -> None:
    async with service.joined(session_id="mine") as (_, wire):
        assert parse_qs(urlsplit(wire.path).query)["key"] == ["mine"]


async def test_without_a_key_it_says_where_one_is_looked_for(
    service: Service, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INWORLD_API_KEY", raising=False)
    with pytest.raises(ScenarioError, match="INWORLD_API_KEY"):
        async with service.voice(api_key=None):
            pass
    assert service.opened == []


async def test_the_key_of_the_environment(
    service: Service, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INWORLD_API_KEY", "a.b.c")
    async with service.joined(api_key=None) as (_, wire):
        assert wire.headers["authorization"] == "Bearer a.b.c"


# -- the first session.update ---------------------------------------------------------------------


async def test_defaults(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (_, wire):
        pass
    assert wire.asked["model"] == "inworld/models/gemma-4-26b-a4b-it"
    assert wire.asked["audio"] == {
        "input": {
            "transcription": {"model": "inworld/inworld-stt-1"},
            "turn_detection": {
                "type": "semantic_vad",
                "eagerness": "medium",
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"voice": "Sarah"},
    }
    assert "instructions" not in wire.asked
    assert "tools" not in wire.asked


async def test_model_speaker_and_instructions(service: Service, autojump_clock: Clock) -> None:
    voice = service.voice(model="m", speaker="Hades", instructions="old")
    voice.add_instructions("Be brief.")
    async with voice:
        wire = await service.wire()
    assert wire.asked["model"] == "m"
    assert wire.asked["audio"]["output"] == {"voice": "Hades"}
    assert wire.asked["instructions"] == "Be brief."


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("transcription", None),
        ("transcription", {"language": "es-ES"}),
        ("turn_detection", None),
        ("turn_detection", {"type": "server_vad", "threshold": 0.4}),
    ],
)
async def test_no_default_leaks_into_a_field_that_is_given(
    service: Service, autojump_clock: Clock, field: str, value: Any
) -> None:
    async with service.joined(session={"audio": {"input": {field: value}}}) as (_, wire):
        assert wire.asked["audio"]["input"][field] == value


# -- merging --------------------------------------------------------------------------------------


async def test_fields_compose(service: Service, autojump_clock: Clock) -> None:
    async with service.joined(session={"audio": {"output": {"speed": 1.1}}}) as (voice, wire):
        voice.update_config({"audio": {"output": {"voice": "Wendy"}}})
        update = await wire.read()
    assert wire.asked["audio"]["output"] == {"voice": "Sarah", "speed": 1.1}
    assert update["session"]["audio"]["output"] == {"voice": "Wendy", "speed": 1.1}


async def test_what_an_update_changed_stays_changed(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined(session={"temperature": 0.5}) as (voice, wire):
        voice.update_config({"temperature": 0.9})
        voice.add_instructions("Be loud.")
        voice.update_config()
        first, second = await wire.read_all()
    assert first["session"]["temperature"] == second["session"]["temperature"] == 0.9
    assert second["session"]["instructions"] == "Be loud."


async def test_the_parameter_beats_the_providers_data_in_the_session(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined(
        session={"providerData": {"stt": {"voice_profile": False, "prompt": "x"}, "user_id": "u"}},
        provider_data={"stt": {"voice_profile": True}},
    ) as (_, wire):
        data = wire.asked["providerData"]
    assert data["stt"] == {"voice_profile": True, "prompt": "x"}
    assert data["user_id"] == "u"


async def test_other_fields_pass_unchanged(service: Service, autojump_clock: Clock) -> None:
    heard = {
        "noise_reduction": {"type": "near_field"},
        "format": {"type": "audio/pcm", "rate": 16000},
    }
    include = ["item.input_audio_transcription.logprobs"]
    given = {"audio": {"input": heard}, "tracing": "auto", "include": include}
    async with service.joined(session=given) as (_, wire):
        asked = wire.asked
    assert asked["tracing"] == "auto"
    assert asked["include"] == include
    assert asked["audio"]["input"].items() >= heard.items()


async def test_an_object_of_another_type_replaces(service: Service, autojump_clock: Clock) -> None:
    detection = {"type": "server_vad", "threshold": 0.4}
    given = {"audio": {"input": {"turn_detection": detection}}}
    async with service.joined(session=given) as (voice, wire):
        voice.update_config({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}})
        update = await wire.read()
    assert update["session"]["audio"]["input"]["turn_detection"] == {"type": "semantic_vad"}


def test_a_misspelt_provider_data_is_refused() -> None:
    with pytest.raises(ScenarioError, match="providerData"):
        RealtimeVoice(api_key=KEY, session={"provider_data": {}})


# -- speak ----------------------------------------------------------------------------------------


async def test_speak_ends_with_the_response(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        spoken = trio.Event()

        async def speak() -> None:
            await voice.speak("Hello there")
            spoken.set()

        nursery.start_soon(speak)
        item, create = await wire.read(), await wire.read()
        assert item["item"] == {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hello there"}],
        }
        assert create["response"] == {"instructions": "Repeat the following text: Hello there"}
        await wire.begin()
        await wire.delta("audio_transcript", "Hello there")
        await wire.end("resp_of_somebody_else")
        assert not spoken.is_set()
        await wire.end()
        assert spoken.is_set()


async def test_speak_with_another_voice_touches_only_this_response(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        nursery.start_soon(partial(voice.speak, "Hello", speaker="Hades"))
        _, create = await wire.read(), await wire.read()
        assert create["response"]["voice"] == "Hades"
        assert "audio" not in create["response"]
        await wire.response()
        assert await wire.read_all() == []


async def test_speak_takes_text_in_pieces(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in ("Good ", "morning"):
            await trio.lowlevel.checkpoint()
            yield piece

    async with service.joined() as (voice, wire):
        nursery.start_soon(voice.speak, pieces())
        item = await wire.read()
        assert item["item"]["content"][0]["text"] == "Good morning"
        await wire.read()
        await wire.response()


async def test_an_empty_text(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (voice, wire):
        with pytest.raises(ScenarioError, match="empty"):
            await voice.speak("  ")
        assert await wire.read_all() == []


async def test_speak_is_interrupted(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        failures: list[BaseException] = []
        nursery.start_soon(attempt, failures, partial(voice.speak, "A long story"))
        await wire.read_all()
        await wire.begin()
        await wire.send("input_audio_buffer.speech_started", item_id="u1")
        (failure,) = failures
        assert isinstance(failure, SpeechInterrupted)
        assert "interrupted" in str(failure)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": "cancelled", "status_details": {"reason": "turn_detected"}}, SpeechInterrupted),
        ({"status": "failed", "status_details": {"error": {"code": "boom"}}}, RequestFailed),
    ],
)
async def test_a_response_that_does_not_complete(
    service: Service,
    autojump_clock: Clock,
    nursery: trio.Nursery,
    fields: Json,
    kind: type[RequestFailed],
) -> None:
    async with service.joined() as (voice, wire):
        failures: list[BaseException] = []
        nursery.start_soon(attempt, failures, partial(voice.speak, "Hello"))
        await wire.read_all()
        await wire.response(**fields)
        assert [type(failure) for failure in failures] == [kind]


async def test_an_error_ends_speak_unless_it_is_about_something_else(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        failures: list[BaseException] = []
        nursery.start_soon(attempt, failures, partial(voice.speak, "Hello"))
        _, create = await wire.read(), await wire.read()
        await wire.send("error", error={"message": "of an append", "event_id": "another"})
        not_active = {"code": "response_cancel_not_active", "message": "no active response"}
        await wire.send("error", error={**not_active, "event_id": None})
        assert failures == []
        await wire.send(
            "error", error={"message": "No.", "code": "c", "event_id": create["event_id"]}
        )
        (failure,) = failures
        assert isinstance(failure, RequestFailed)
        assert (str(failure), failure.code) == ("No.", "c")


async def test_speak_waits_its_turn_when_a_response_is_active(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        done = trio.Event()

        async def speak() -> None:
            await voice.speak("Hello")
            done.set()

        await wire.begin("resp_0")
        nursery.start_soon(speak)
        assert types(await wire.read_all()) == ["conversation.item.create"]
        await wire.end("resp_0")
        assert not done.is_set()
        (create,) = await wire.read_all()
        # The service was quicker: it began a response of its own, and refuses ours.
        await wire.begin("resp_1")
        race = {"code": "conversation_already_has_active_response", "message": "active"}
        await wire.send("error", error={**race, "event_id": create["event_id"]})
        await wire.end("resp_1")
        assert not done.is_set()
        assert types(await wire.read_all()) == ["response.create"]
        await wire.response("resp_2")
        assert done.is_set()


async def test_close_fails_what_is_in_flight(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        failures: list[BaseException] = []
        nursery.start_soon(attempt, failures, partial(voice.speak, "Hello"))
        await wire.read_all()
        await wire.begin()
        voice.close()
        await wait_all_tasks_blocked()
        (failure,) = failures
        assert isinstance(failure, RequestFailed)
        assert "closed while a response was in flight" in str(failure)


async def test_two_at_once_are_said_one_after_the_other(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        nursery.start_soon(voice.speak, "One")
        await wire.read_all()
        nursery.start_soon(voice.speak, "Two")
        assert await wire.read_all() == []
        await wire.response("resp_1")
        item, _ = await wire.read_all()
        assert item["item"]["content"][0]["text"] == "Two"
        await wire.response("resp_2")


# -- listen, send ---------------------------------------------------------------------------------


async def test_listen_returns_what_was_heard(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        heard: list[str] = []

        async def listen() -> None:
            heard.append(await voice.listen(b"\1\2\3\4"))

        nursery.start_soon(listen)
        item, create = await wire.read(), await wire.read()
        assert item["item"]["content"] == [{"type": "input_audio", "audio": "AQIDBA=="}]
        assert create["response"]["output_modalities"] == ["text"]
        said = {"type": "message", "content": [{"type": "output_text", "text": "Good day"}]}
        await wire.response(output=[said])
        assert heard == ["Good day"]


async def test_send_takes_every_kind_of_audio(service: Service, autojump_clock: Clock) -> None:
    async def microphone() -> AsyncIterator[Any]:
        yield b"\5\6"
        yield np.array([7], np.int16)

    async with service.joined() as (voice, wire):
        await voice.send(b"\1\2")
        await voice.send(np.array([3, -1], np.int16), event_id="mine")
        await voice.send(microphone())
        first, second, *rest = await wire.read_all()
    assert first == {"type": "input_audio_buffer.append", "audio": "AQI="}
    assert second == {**first, "audio": "AwD//w==", "event_id": "mine"}
    assert [event["audio"] for event in rest] == ["BQY=", "BwA="]


async def test_send_waits_for_a_service_that_reads_slowly(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async def file() -> AsyncIterator[bytes]:
        for n in range(1500):
            yield n.to_bytes(2, "little")

    async with service.joined() as (voice, wire):
        sent = trio.Event()

        async def send() -> None:
            await voice.send(file())
            sent.set()

        nursery.start_soon(send)
        got = [await wire.read() for _ in range(1500)]
        await wait_all_tasks_blocked()
        assert sent.is_set()
    order = [int.from_bytes(base64.b64decode(e["audio"]), "little") for e in got]
    assert order == list(range(1500))


@pytest.mark.parametrize("audio", ["text", np.zeros(3, np.float32), 5])
async def test_what_is_no_audio(service: Service, autojump_clock: Clock, audio: Any) -> None:
    async with service.joined() as (voice, _):
        with pytest.raises(ScenarioError, match="int16"):
            await voice.send(audio)


async def test_nothing_can_be_sent_without_a_connection(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined() as (voice, _):
        voice.close()
        with pytest.raises(ConnectFailed, match="not connected"):
            await voice.send(b"\0\0")
        with pytest.raises(ConnectFailed, match="not connected"):
            await voice.speak("Hello")
        with pytest.raises(ConnectFailed, match="not connected"):
            voice.commit_input()


async def test_speak_goes_on_after_a_response_whose_end_never_comes(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined() as (voice, wire), trio.open_nursery() as nursery:
        await wire.begin("resp_1")
        await wire.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        await wire.read_all()  # the cancel, which the service does not answer
        nursery.start_soon(voice.speak, "Hello")
        kinds = [str(event["type"]) for event in await wire.read_all()]
        assert kinds == ["conversation.item.create", "response.create"]
        await wire.response("resp_2")


async def test_what_is_asked_before_the_session_is_ready_waits_for_it(
    service: Service, autojump_clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []

    async def play(wire: Wire) -> None:
        await wire.send("session.created", session=wire.session)
        await wire.read()
        voice.clear_input()  # while the handshake is under way
        nursery.start_soon(voice.send, b"\1\0")
        nursery.start_soon(voice.speak, "Hello")
        assert await wire.read_all() == []
        await wire.send("session.updated", session=wire.session)
        heard.extend(str(event["type"]) for event in await wire.read_all())
        await wire.response()

    service.play = play
    voice = service.voice(debug=True)
    voice.commit_input()  # long before
    async with trio.open_nursery() as nursery, voice:
        await service.wire()  # which the service gives when it has answered
        await wait_all_tasks_blocked()
    assert heard[:2] == ["input_audio_buffer.commit", "input_audio_buffer.clear"]
    assert set(heard[2:]) == {
        "input_audio_buffer.append",
        "conversation.item.create",
        "response.create",
    }
    printed = capsys.readouterr().err
    assert '< {"type":"session.created"' in printed
    assert '> {"type":"input_audio_buffer.commit"}' in printed


# -- manual turns ---------------------------------------------------------------------------------


async def test_the_bare_commands(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (voice, wire):
        voice.commit_input()
        voice.clear_input()
        voice.clear_output()
        voice.answer({"output_modalities": ["text"]})
        *bare, answer = await wire.read_all()
    assert bare == [
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear"},
        {"type": "output_audio_buffer.clear"},
    ]
    assert answer["response"] == {"output_modalities": ["text"]}


# -- events: the whole way ------------------------------------------------------------------------


async def test_on_and_off(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (voice, wire):
        seen: list[Any] = []
        voice.on("writing", seen.append)
        assert voice.on(VoiceEvents.Writing)(seen.append) == seen.append
        await wire.begin()
        await wire.delta("text", "Hi")
        assert [event.text for event in seen] == ["Hi", "Hi"]
        voice.off("writing", seen.append)
        voice.off("writing")
        voice.off("writing", seen.append)
        await wire.delta("text", "again")
        assert len(seen) == 2


def test_a_misspelt_event() -> None:
    voice = RealtimeVoice(api_key=KEY)
    with pytest.raises(UnknownName, match="'speech-started'"):
        voice.on("speech_started", print)
    with pytest.raises(ScenarioError, match="function"):
        voice.on("writing", "print")  # type: ignore[call-overload]


async def test_events_of_the_service_pass_under_their_own_names(
    service: Service, autojump_clock: Clock
) -> None:
    voice = service.voice()
    seen: list[Any] = []
    for kind in ("session.created", "session.updated", "response.created", "response.done"):
        voice.on(kind, seen.append)
    voice.on(se.ConversationItemAdded, seen.append)
    async with voice:
        wire = await service.wire()
        await wire.response()
        await wire.send("conversation.item.added", item={"id": "i", "type": "message"})
    assert [type(each).__name__ for each in seen] == [
        "SessionCreated", "SessionUpdated", "ResponseCreated", "ResponseDone",
        "ConversationItemAdded",
    ]  # fmt: skip


async def test_interruption_cancels_once_and_stops_the_stream(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined() as (voice, wire):
        seen = record(voice)
        await wire.begin()
        await wire.audio(b"\1\0" * 10)
        for _ in range(2):
            await wire.send(
                "conversation.item.input_audio_transcription.delta", item_id="u1", delta="Hey"
            )
        await wire.send("input_audio_buffer.speech_started", item_id="u1")
        await wire.audio(b"\2\0" * 10)  # was on its way
        assert await wire.read_all() == [{"type": "response.cancel", "response_id": "resp_1"}]
        race = {"code": "response_cancel_not_active", "message": "no active response"}
        await wire.send("error", error=race)
        (speaker,) = of(seen, AudioStream)
        with trio.fail_after(1):
            assert [piece async for piece in speaker] == []
        assert [e.response_id for e in of(seen, ve.Interrupted)] == ["resp_1"]
        assert [e.audio for e in of(seen, ve.Speaking)] == [b"\1\0" * 10]
        assert of(seen, ve.VoiceError) == []


async def test_the_speaker_stream_has_the_audio(
    service: Service, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async with service.joined() as (voice, wire):
        heard: dict[str, bytes] = {}

        @voice.on("speaker")
        async def play(stream: AudioStream) -> None:
            heard[stream.id] = b"".join([piece async for piece in stream])

        await wire.begin()
        await wire.audio(b"\1\0")
        await wire.audio(b"\2\0")
        assert heard == {}
        await wire.end()
        assert heard == {"resp_1": b"\1\0\2\0"}


async def test_a_back_channel_is_not_cut_by_an_interruption(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined() as (voice, wire):
        seen = record(voice)
        await wire.begin()
        murmur = {"backchannel_id": "bc_1", "delta": "AQID"}
        await wire.send("response.backchannel.audio.delta", **murmur)
        await wire.send("input_audio_buffer.speech_started", item_id="u1")
        await wire.send("response.backchannel.audio.delta", **murmur)
        await wire.send("response.backchannel.audio.done", backchannel_id="bc_1", phrase="uh-huh")
        _, stream = of(seen, AudioStream)
        assert isinstance(stream, VoiceEvents.Backchannel)
        assert stream.id == "bc_1"
        assert [piece async for piece in stream] == [b"\1\2\3"] * 2
        assert of(seen, ve.BackchannelDone) == [
            VoiceEvents.BackchannelDone(backchannel_id="bc_1", phrase="uh-huh")
        ]


async def test_clear_output_stops_everything(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (voice, wire):
        seen = record(voice)
        await wire.begin()
        await wire.audio(b"\1\0")
        await wire.send("response.backchannel.audio.delta", backchannel_id="b", delta="AQID")
        voice.clear_output()
        streams = of(seen, AudioStream)
        assert [[piece async for piece in stream] for stream in streams] == [[], []]


async def test_a_malformed_frame_is_one_error_and_no_more(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined() as (voice, wire):
        seen = record(voice)
        await wire.socket.send_message("{nonsense")
        await wire.socket.send_message('{"errorType":"SESSION_RESOURCES_EXHAUSTED"}')
        await wire.response()
        errors = of(seen, ve.VoiceError)
        assert len(errors) == 2
        assert all(isinstance(each.error, Exception) for each in errors)
        assert voice.connected


async def test_an_error_of_the_service_leaves_the_voice_connected(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined() as (voice, wire):
        seen = record(voice)
        await wire.send("error", error={"message": "No.", "code": "invalid_value", "param": "p"})
        (error,) = of(seen, ve.VoiceError)
        assert (error.message, error.code, error.param) == ("No.", "invalid_value", "p")
        assert voice.connected


async def test_what_a_listener_raises_comes_out_of_the_block(
    service: Service, autojump_clock: Clock
) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError("in a listener")

    async def listen() -> None:
        async with service.joined() as (voice, wire):
            voice.on("response.created", fails)
            await wire.begin()
            await trio.sleep_forever()

    with pytest.raises(ZeroDivisionError, match="in a listener"):
        await listen()


async def test_what_the_block_raises_comes_out_as_it_is(
    service: Service, autojump_clock: Clock
) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with service.joined():
            raise LookupError("mine")


# -- memory, over reconnections -------------------------------------------------------------------


async def test_reconnecting(service: Service, autojump_clock: Clock) -> None:
    voice = service.voice()
    seen = record(voice)
    memory = {"memory": {"state": {"version": 1, "summary": "s"}}}
    keys = []
    async with voice:
        for _ in range(3):
            wire = await service.wire()
            keys.append(wire.path)
            await wire.send("session.updated", session={**wire.session, "providerData": memory})
            await wire.send("session.updated", session={**wire.session, "providerData": memory})
            await wire.begin()
            await wire.delta("text", "Hi")
            voice.disconnect()
            assert not voice.connected
            await trio.sleep(1)
            await voice.connect()
            await voice.connect()
        await service.wire()
    assert len(of(seen, ve.Writing)) == 3
    assert [event.state["version"] for event in of(seen, ve.Memory)] == [1, 1, 1]
    assert len(set(keys)) == 3
    assert [(event.code, event.was_clean) for event in of(seen, ve.Closed)] == [(1000, True)] * 4


async def test_a_connection_that_is_lost(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (voice, wire):
        seen = record(voice)
        await wire.close(1011, "server error")
        (closed,) = of(seen, ve.Closed)
        assert (closed.code, closed.reason) == (1011, "server error")
        assert not voice.connected
        await voice.connect()
        assert voice.connected


# -- tools ----------------------------------------------------------------------------------------


def called(*calls: tuple[str, str, str]) -> list[Json]:
    return [
        {"type": "function_call", "id": f"i{n}", "call_id": c, "name": name, "arguments": arguments}
        for n, (c, name, arguments) in enumerate(calls)
    ]


def make_tools(log: list[str]) -> ToolSet:
    tools = ToolSet()

    @tools.add
    async def get_weather(city: str = "Oslo") -> dict[str, str]:
        """Look at the sky."""
        await trio.sleep(0.5)
        log.append(f"weather {city}")
        return {"city": city}

    @tools.add
    def fails() -> None:
        """Fail."""
        raise ValueError("no sky")

    return tools


async def test_tools_are_declared(service: Service, autojump_clock: Clock) -> None:
    async with service.joined(tools=make_tools([])) as (voice, wire):
        assert [tool["name"] for tool in wire.asked["tools"]] == ["get_weather", "fails"]
        assert wire.asked["providerData"]["auto_tool_response"] is False

        def later() -> None:
            """Come later."""

        voice.add_tools(later)
        assert await wire.read_all() == []
        voice.update_config()
        (update,) = await wire.read_all()
        assert [t["name"] for t in update["session"]["tools"]] == ["get_weather", "fails", "later"]


async def test_a_batch_of_calls_runs_in_order_and_asks_once(
    service: Service, autojump_clock: Clock
) -> None:
    log: list[str] = []
    voice = service.voice(tools=make_tools(log))
    seen = record(voice)
    voice.on("response.done", lambda _: log.append("done heard"))
    async with voice:
        wire = await service.wire()
        calls = called(
            ("c1", "get_weather", ""),
            ("c2", "fails", "{}"),
            ("c3", "get_weather", '{"city":"Ulm"}'),
        )
        await wire.response(output=calls)
        await trio.sleep(2)
        *outputs, create = await wire.read_all()
    assert log == ["done heard", "weather Oslo", "weather Ulm"]
    assert [(e["item"]["call_id"], orjson.loads(e["item"]["output"])) for e in outputs] == [
        ("c1", {"city": "Oslo"}),
        ("c2", {"error": "no sky"}),
        ("c3", {"city": "Ulm"}),
    ]
    assert create["type"] == "response.create"
    assert [event.call_id for event in of(seen, ve.ToolCallStart)] == ["c1", "c2", "c3"]
    assert [event.call_id for event in of(seen, ve.ToolCallResult)] == ["c1", "c2", "c3"]
    (error,) = of(seen, ve.VoiceError)
    assert isinstance(error.error, ValueError)


async def test_tools_start_behind_the_listeners_of_response_done(
    service: Service, autojump_clock: Clock
) -> None:
    log: list[str] = []
    tools = ToolSet()
    tools.add(lambda: log.append("tool"), name="note")
    async with service.joined(tools=tools) as (voice, wire):
        voice.on("response.done", lambda _: log.append("done"))
        for n in range(10):  # trio starts tasks in any order: once would be luck
            await wire.response(f"resp_{n}", output=called((f"c{n}", "note", "{}")))
    assert log == ["done", "tool"] * 10


async def test_an_unknown_tool_is_answered_but_not_started(
    service: Service, autojump_clock: Clock
) -> None:
    async with service.joined(tools=make_tools([])) as (voice, wire):
        seen = record(voice)
        await wire.response(output=called(("c1", "get_wether", "{}")))
        output, create = await wire.read_all()
        assert "get_weather" in output["item"]["output"]
        assert create["type"] == "response.create"
        assert of(seen, ve.ToolCallStart) == []


async def test_a_cancelled_response_runs_no_tools(service: Service, autojump_clock: Clock) -> None:
    async with service.joined(tools=make_tools([])) as (_, wire):
        await wire.response(output=called(("c1", "get_weather", "{}")), status="cancelled")
        await trio.sleep(2)
        assert await wire.read_all() == []


async def test_a_service_that_responds_by_itself_is_not_asked(
    service: Service, autojump_clock: Clock
) -> None:
    options: Json = {"provider_data": {"auto_tool_response": True}}
    async with service.joined(tools=make_tools([]), **options) as (_, wire):
        await wire.response(output=called(("c1", "get_weather", "{}")))
        await trio.sleep(2)
        assert types(await wire.read_all()) == ["conversation.item.create"]


async def test_closing_ends_a_tool(service: Service, autojump_clock: Clock) -> None:
    log: list[str] = []
    async with service.joined(tools=make_tools(log)) as (voice, wire):
        for n in range(2):  # of two responses at once
            await wire.response(f"r{n}", output=called((f"c{n}", "get_weather", "{}")))
        voice.close()
        await trio.sleep(2)
    assert log == []


# -- lifecycle ------------------------------------------------------------------------------------


async def test_a_socket_that_cannot_be_opened() -> None:
    async def refuse(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise ConnectFailed("nobody there")

    voice = RealtimeVoice(api_key=KEY, url="ws://service", open_stream=refuse)
    seen = record(voice)
    with pytest.raises(ConnectFailed, match=r"failed to open.*nobody there"):
        async with voice:
            pass
    assert seen == []  # one failure is told once


async def test_a_socket_that_does_not_open(autojump_clock: Clock) -> None:
    async def hang(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    before = trio.current_time()
    with pytest.raises(ConnectFailed, match="connection timed out after 15 s"):
        async with RealtimeVoice(api_key=KEY, url="ws://service", open_stream=hang):
            pass
    assert trio.current_time() - before == pytest.approx(15)


async def test_a_session_that_never_gets_ready(service: Service, autojump_clock: Clock) -> None:
    async def silent(wire: Wire) -> None:
        await wire.send("session.created", session=wire.session)

    service.play = silent
    with pytest.raises(ConnectFailed, match="handshake timed out after 2 s"):
        async with service.voice(connect_timeout_s=2):
            pass


async def test_a_session_that_is_refused(service: Service, autojump_clock: Clock) -> None:
    async def refuse(wire: Wire) -> None:
        await wire.read()
        await wire.send("error", error={"message": "no such model", "code": "invalid_value"})

    service.play = refuse
    before = trio.current_time()
    with pytest.raises(ConnectFailed, match="no such model"):
        async with service.voice():
            pass
    assert trio.current_time() == before


async def test_a_close_during_the_handshake(service: Service, autojump_clock: Clock) -> None:
    async def close(wire: Wire) -> None:
        await wire.socket.aclose(1011, "server error")

    service.play = close
    with pytest.raises(ConnectFailed, match="closed during handshake: 1011 server error"):
        async with service.voice():
            pass


async def test_an_attempt_that_failed_can_be_repeated(
    service: Service, autojump_clock: Clock
) -> None:
    async def close(wire: Wire) -> None:
        await wire.socket.aclose(1011)

    async with service.joined() as (voice, _):
        voice.close()
        service.play = close
        with pytest.raises(ConnectFailed):
            await voice.connect()
        service.play = Wire.agree
        await voice.connect()
        assert voice.connected


async def test_commands_outside_of_the_block() -> None:
    with pytest.raises(ScenarioError, match="async with"):
        await RealtimeVoice(api_key=KEY).connect()


async def test_a_voice_is_entered_once(service: Service, autojump_clock: Clock) -> None:
    async with service.joined() as (voice, _):
        with pytest.raises(ScenarioError, match="entered"):
            async with voice:
                pass


# -- against the local agent ----------------------------------------------------------------------


async def test_a_conversation_with_the_local_agent(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    def brain(turn: Turn) -> list[Act]:
        newest = turn.items[-1]
        if turn.response_instructions:
            return [Say(turn.response_instructions.partition(": ")[2])]
        if newest["type"] == "function_call_output":
            return [Say(f"I see {newest['output']}")]
        return [CallTool("look", {"where": "up"})]

    async def dial(endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        nursery.start_soon(serve_stream, theirs, scripted_engines(ScriptedResponder(brain)))
        return ours

    def look(where: str) -> str:
        """Look."""
        return f"stars {where}"

    voice = RealtimeVoice(api_key=KEY, url="ws://agent/x", open_stream=dial, tools=ToolSet(look))
    seen = record(voice)
    responses = trio.Semaphore(0)
    voice.on("response.done", lambda _: responses.release())
    async with voice:
        await voice.speak("Good evening to you")
        voice.answer()
        for _ in range(3):  # what was spoken, the call of the tool, what it said to the result
            await responses.acquire()
    words = "".join(event.text for event in of(seen, ve.Writing)).split("\n")
    assert words[:2] == ["Good evening to you", 'I see "stars up"']
    audio_s = sum(len(event.audio) for event in of(seen, ve.Speaking)) / 48_000
    assert audio_s > 2 * 4 * 0.3  # four words each, 0.3 s a word
