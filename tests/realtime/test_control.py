"""A RealtimeAPIClient in a whole call: what reaches the service, and what the scenario learns."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import orjson
import pytest

from voxpy.audio.frame import pcm16
from voxpy.engine.settings import Limits, Settings
from voxpy.realtime.protocol import RealtimeWire
from voxpy.realtime.service import Habits
from voxpy.realtime.wire import Audio
from voxpy.testing import CallKit, WorldCall
from voxpy.testing.service import Service, Talk

ULAW_SECOND = base64.b64encode(bytes([0x20, 0xA0] * 4000)).decode()


def scenario(options: str = "", *, session: str = "{}", body: str = "") -> str:
    """Return a scenario that connects, configures with ``session``, bridges and logs everything."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return f"""
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    client = await Inworld.create_realtime_api_client(session_key="key 1/2", {options})
    R = Inworld.RealtimeAPIEvents
    client.add_event_listener(R.SessionCreated, lambda e: client.session_update({{"session": {session}}}))
    client.add_event_listener(R.SessionUpdated, lambda e: VoxEngine.send_media_between(call, client))
    client.add_event_listener(R.WebSocketError, lambda e: Logger.write("error " + str(e.data.payload)))
    client.add_event_listener(R.Unknown, lambda e: Logger.write("unknown " + str(e.data.payload)))
    client.add_event_listener(Inworld.Events.WebSocketMediaStarted, lambda e: Logger.write("started " + str(e.encoding)))
    client.add_event_listener(Inworld.Events.WebSocketMediaEnded, lambda e: Logger.write("ended " + str(e.media_info.duration)))
{lines}
"""


CALLER = "- wait: answered\n- wait: 3\n- hang_up"


async def listen(talk: Talk) -> None:
    await talk.open_session()
    await talk.stay()


def run(
    voxpy: CallKit, source: str, service: Service, caller: str = CALLER, **kw: Any
) -> WorldCall:
    return voxpy.call(source, caller, serve=service, **kw)


# -- the handshake ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ("api_key='cG9ydGFs'", "Basic cG9ydGFs"),
        ("api_key='a.b.c'", "Bearer a.b.c"),
        ("api_key='a.b.c', auth_scheme='basic'", "Basic a.b.c"),
        ("api_key='plain', auth_scheme='bearer'", "Bearer plain"),
    ],
)
def test_the_key_goes_out_as_its_form_or_the_scenario_says(
    voxpy: CallKit, options: str, header: str
) -> None:
    service = Service(listen)
    run(voxpy, scenario(options), service)
    assert service.talks[0].headers["authorization"] == header


def test_the_session_key_stands_in_the_url(voxpy: CallKit) -> None:
    service = Service(listen)
    run(voxpy, scenario(), service)
    assert service.talks[0].path == "/session?key=key+1%2F2&protocol=realtime"


def test_a_url_of_the_scenario_wins(voxpy: CallKit) -> None:
    service = Service(listen)
    run(voxpy, scenario("api_key='k', url='ws://other.test/v2?x=1'"), service)
    assert service.talks[0].path == "/v2?key=key+1%2F2&x=1&protocol=realtime"


def test_connector_information_comes_first(voxpy: CallKit) -> None:
    call = run(voxpy, scenario(), Service(listen))
    ours = [e for e in call.entries if e.kind == "event" and e.unit == "client-1"]
    assert ours[0].name.endswith(".ConnectorInformation")
    assert ours[1].name.endswith(".SessionCreated")
    assert ours[0].personal["payload"]["id"] == "client-1"


# -- formats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ("{}", {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}}),
        (
            "{'audio': {'output': {'voice': 'Ashley'}}}",
            {
                "output": {"voice": "Ashley", "format": {"type": "audio/pcmu"}},
                "input": {"format": {"type": "audio/pcmu"}},
            },
        ),
        (
            "{'audio': {'output': {'format': {'type': 'audio/pcm', 'rate': 24000}}}}",
            {"output": {"format": {"type": "audio/pcm", "rate": 24000}}},
        ),
        ("{'audio': 'loud'}", "loud"),
        ("{'audio': {'input': 7}}", {"input": 7}),
    ],
)  # fmt: skip
def test_the_leg_is_mu_law_and_so_is_what_is_asked_for_unless_named(
    voxpy: CallKit, session: str, expected: Any
) -> None:
    service = Service(listen)
    run(voxpy, scenario(session=session), service)
    (update,) = service.talks[0].sent("session.update")
    assert update["session"]["audio"] == expected


def test_a_later_update_is_left_alone(voxpy: CallKit) -> None:
    service = Service(listen)
    body = "await trio.sleep(1)\nclient.session_update({'session': {'instructions': 'x'}})"
    run(voxpy, scenario(body=body), service)
    assert service.talks[0].sent("session.update")[1]["session"] == {"instructions": "x"}


@pytest.mark.parametrize(
    ("fmt", "says"),
    [({"type": "audio/opus"}, "not 'audio/opus'"), ({"type": "audio/pcm", "rate": 11025}, "11025")],
)
def test_a_format_nobody_carries_is_an_error_and_no_noise(
    voxpy: CallKit, fmt: dict[str, Any], says: str
) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session(audio={"output": {"format": fmt}})
        await talk.stay()

    call = run(voxpy, scenario(), Service(play))
    (error, *_) = call.record.errors
    assert "has audio that is not carried here" in error
    assert says in error


def test_float_samples_are_converted_both_ways() -> None:
    wire = RealtimeWire(Habits())
    floating = {"format": {"type": "audio/float32", "rate": 24000}}
    session = {"audio": {"input": floating, "output": floating}}
    wire.receive(orjson.dumps({"type": "session.updated", "session": session}).decode())
    assert wire.input_format == wire.output_format == pcm16(24000)
    floats = np.array([0.0, 0.5, -0.5, 2.0], "<f4").tobytes()
    heard = b""
    for data in (floats[:6], floats[6:]):  # cut inside a sample
        event = {
            "type": "response.output_audio.delta",
            "response_id": "r",
            "item_id": "i",
            "delta": base64.b64encode(data).decode(),
        }
        for told in wire.receive(orjson.dumps(event).decode()):
            assert isinstance(told, Audio)
            heard += told.data
    assert np.frombuffer(heard, "<i2").tolist() == [0, 16383, -16383, 32767]
    append = orjson.loads(wire.append(np.array([0, 16384, -32768], "<i2").tobytes()))
    sent = np.frombuffer(base64.b64decode(append["audio"]), "<f4")
    assert sent.tolist() == [0.0, 0.5, -1.0]


# -- the uplink -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_ms", [20, 40, 100])
def test_the_uplink_is_batched(voxpy: CallKit, batch_ms: int) -> None:
    service = Service(listen)
    settings = Settings(limits=Limits(uplink_batch_ms=batch_ms))
    run(voxpy, scenario(), service, settings=settings)
    talk = service.talks[0]
    chunks = [base64.b64decode(e["audio"]) for e in talk.sent("input_audio_buffer.append")]
    assert {len(c) for c in chunks} == {8 * batch_ms}  # mu-law: a byte a sample, silence included
    assert sum(map(len, chunks)) == pytest.approx(3 * 8000, abs=8 * 150)
    times = [t for t, e in zip(talk.received_at, talk.received, strict=True) if "audio" in e]
    gaps = np.diff(times)
    assert gaps == pytest.approx(batch_ms / 1000, abs=1e-6)


def test_what_the_caller_says_arrives_byte_for_byte(voxpy: CallKit) -> None:
    service = Service(listen)
    call = run(
        voxpy,
        scenario(),
        service,
        "- wait: answered\n- wait: 1\n- say: one two three\n- wait: 1\n- hang_up",
    )
    from voxpy.audio.g711 import decode_ulaw
    from voxpy.audio.wav import read_wav

    sent = b"".join(
        base64.b64decode(e["audio"]) for e in service.talks[0].sent("input_audio_buffer.append")
    )
    with call.hosted.recording.open("rb") as file:
        left = np.asarray(read_wav(file, name="call.wav").samples).reshape(-1, 2)[:, 0]
    heard = decode_ulaw(sent)
    start = np.flatnonzero(np.abs(heard.astype(int)) > 500)[0]
    said = np.flatnonzero(np.abs(left.astype(int)) > 500)[0]
    n = 6000
    assert np.array_equal(heard[start : start + n], left[said : said + n])


# -- frames that are wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "log"),
    [
        ("{broken", "error"),
        ("[1, 2]", "error"),
        ("", "error"),
        ('{"errorType":"SESSION_RESOURCES_EXHAUSTED"}', "unknown"),
        ('{"type":"response.output_audio.delta","delta":5}', "error"),
        ('{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"%%%"}', "error"),
        ('{"type":"something.new","x":1}', "unknown"),
    ],
)  # fmt: skip
def test_a_bad_frame_is_told_and_the_call_lives(voxpy: CallKit, frame: str, log: str) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(frame)
        await talk.stay()

    call = run(voxpy, scenario(), Service(play))
    assert any(line.startswith(log) for line in call.log)
    assert call.result.end.reason.value == "terminated"
    assert call.find("Call.Disconnected")[0].data["reason"] == "Hung up by the caller"


def test_binary_frames_are_ignored_with_one_warning(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(b"\x01\x02")
        await talk.send(b"\x03")
        await talk.stay()

    call = run(voxpy, scenario(), Service(play))
    (warning,) = [e for e in call.entries if e.kind == "warning"]
    assert "binary" in warning.name
    assert warning.unit == "client-1"
    assert call.result.end.reason.value == "terminated"


def test_a_frame_of_a_megabyte_is_a_frame(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send({"type": "something.large", "pad": "a" * 1_000_000})
        await talk.stay()

    call = run(voxpy, scenario(), Service(play))
    assert len(call.log[-1]) <= 15_000  # Logger's own limit
    (entry,) = call.find("Inworld.RealtimeAPI.Unknown")
    assert len(entry.personal["payload"]["pad"]) == 1_000_000


# -- the downlink -----------------------------------------------------------------------------------


def delta(seconds: int = 1, *, item: str = "i1", response: str = "r1") -> dict[str, Any]:
    audio = base64.b64encode(base64.b64decode(ULAW_SECOND) * seconds).decode()
    return {
        "type": "response.output_audio.delta", "event_id": "e", "response_id": response,
        "item_id": item, "output_index": 0, "content_index": 0, "delta": audio,
    }  # fmt: skip


def created(response: str = "r1") -> dict[str, Any]:
    return {
        "type": "response.created",
        "event_id": "e",
        "response": {"id": response, "status": "in_progress"},
    }


def test_media_started_and_ended(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created())
        await talk.send(delta())
        await talk.stay()

    call = run(voxpy, scenario(), Service(play), "- wait: answered\n- wait: 6\n- hang_up")
    assert call.log == ["started pcmu/8000", "ended 1.0"]
    started, ended = (
        e for e in call.entries if e.name.startswith("Inworld.") and "WebSocketMedia" in e.name
    )
    assert ended.t - started.t == pytest.approx(2.0, abs=0.05)  # a second of audio, one of silence


CLEAR = """
await trio.sleep(2)
client.output_audio_buffer_clear({})
Logger.write(f"played {client.audio_played_ms('i1')}")
"""


def test_clear_drops_what_waits_and_what_is_still_on_the_wire(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created())
        await talk.send(delta(5))
        await talk.read_until("output_audio_buffer.clear")
        await talk.send(delta(5))  # late
        await talk.send({"type": "output_audio_buffer.cleared", "event_id": "e"})
        await talk.stay()

    call = run(voxpy, scenario(body=CLEAR), Service(play), "- wait: answered\n- wait: 6\n- hang_up")
    (cleared,) = call.find("playout cleared")
    (item,) = cleared.data["items"]
    assert item["item_id"] == "i1"
    assert item["played_ms"] + item["dropped_ms"] == 5000
    assert f"played {item['played_ms']}.0" in call.log
    silent = [e for e in call.entries if e.name == "agent silent"]
    assert [e.data["seconds"] for e in silent] == [
        pytest.approx(item["played_ms"] / 1000, abs=0.021)
    ]


def test_a_back_channel_is_heard_though_the_agent_was_muted(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.read_until("output_audio_buffer.clear")
        await talk.send(
            {
                "type": "response.backchannel.audio.delta",
                "event_id": "e",
                "backchannel_id": "b1",
                "delta": ULAW_SECOND,
            }
        )
        await talk.stay()

    call = run(voxpy, scenario(body=CLEAR), Service(play), "- wait: answered\n- wait: 6\n- hang_up")
    assert [e.data["seconds"] for e in call.find("agent silent")] == [pytest.approx(1.0, abs=0.05)]


def test_an_agent_too_far_ahead_is_warned_about_once(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created())
        for _ in range(4):
            await talk.send(delta())
        await talk.stay()

    call = run(voxpy, scenario("playout_limit_s=2.0"), Service(play))
    (warning,) = [e for e in call.entries if e.kind == "warning"]
    assert "too far ahead" in warning.name
    assert warning.data["limit_s"] == 2.0


# -- what is kept -----------------------------------------------------------------------------------


def test_trace_and_statistics_files(voxpy: CallKit) -> None:
    service = Service(listen)
    call = run(voxpy, scenario("trace=True, statistics=True"), service)
    folder = call.result.folder
    lines = (folder / "client-1-frames.txt").read_text().splitlines()
    assert '< {"type":"session.created"' in lines[0]
    n_out = sum(" > {" in line for line in lines)
    counted = json.loads((folder / "client-1-statistics.json").read_text())
    assert counted["messages_out"] == n_out == len(service.talks[0].received)
    assert counted["messages_in"] == 2
    assert counted["audio_dropped"] == 0
    assert counted["bytes_out"] > 3 * 8000 * 4 / 3


def test_without_asking_there_are_no_such_files(voxpy: CallKit) -> None:
    call = run(voxpy, scenario(), Service(listen))
    names = {p.name for p in call.result.folder.iterdir()}
    assert names == {"call.wav", "inputs.jsonl", "trace.jsonl", "session.log", "record.json"}


@pytest.mark.parametrize("private", [True, False])
def test_privacy_keeps_what_was_said_out_of_everything_kept(voxpy: CallKit, private: bool) -> None:
    words, prompt = "the patient has the flu", "you are a secretive doctor"

    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.send(created())
        await talk.send(
            {
                "type": "response.output_audio_transcript.done", "event_id": "e",
                "response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0,
                "transcript": words,
            }
        )  # fmt: skip
        await talk.stay()

    source = scenario(f"privacy={private}", session=f"{{'instructions': {prompt!r}}}")
    call = run(voxpy, source, Service(play))
    for name in ("trace.jsonl", "session.log", "record.json"):
        text = (call.result.folder / name).read_text()
        kept = not private and name != "session.log"  # which has nothing that is personal
        assert (words in text) is kept, name
        if name != "record.json":
            assert (prompt in text) is kept, name
    assert "ResponseOutputAudioTranscriptDone" in (call.result.folder / "trace.jsonl").read_text()


# -- the end ----------------------------------------------------------------------------------------

CLOSES = """
await trio.sleep(1)
client.close()
client.close()
client.response_create({})
await trio.sleep(1)
"""
SAYS_CLOSED = (
    "on_web_socket_close=lambda e: Logger.write(f'closed {e.code} {e.was_clean} {e.web_socket_id}')"
)


def test_the_scenario_closes(voxpy: CallKit) -> None:
    service = Service(listen)
    call = run(voxpy, scenario(SAYS_CLOSED, body=CLOSES), service)
    assert call.log == ["closed 1000 True client-1-websocket"]
    assert service.talks[0].closed == (1000, "")
    assert call.result.end.reason.value == "terminated"  # the call went on without the agent


def test_the_socket_closes_with_the_session(voxpy: CallKit) -> None:
    service = Service(listen)
    call = run(voxpy, scenario(), service)
    assert service.talks[0].closed == (1000, "")
    (closed,) = call.find("websocket closed")
    (hung_up,) = call.find("Call.Disconnected")
    assert closed.t - hung_up.t < 0.05


def test_the_service_closes_in_mid_call(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.socket.aclose(1011, "internal fault")

    call = run(voxpy, scenario(SAYS_CLOSED), Service(play))
    assert call.log == ["closed 1011 True client-1-websocket"]
    (closed,) = call.find("websocket closed")
    assert closed.data == {"code": 1011, "reason": "internal fault", "was_clean": True}


def test_the_network_drops_in_mid_call(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await talk.open_session()
        await talk.next()
        await talk.drop()

    call = run(voxpy, scenario(SAYS_CLOSED), Service(play))
    assert "error {'message': 'connection lost', 'code': 1006}" in call.log
    assert "closed 1006 False client-1-websocket" in call.log
