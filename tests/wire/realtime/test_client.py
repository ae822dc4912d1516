from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient, is_benign
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.formats import audio_format
from voxpy.wire.realtime.events.types import Error, ServerEvent, Unknown


def frame(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": kind, **fields})


def delta(response_id: str, data: bytes = b"\1\0" * 240, item_id: str = "item_1") -> bytes:
    text = base64.b64encode(data).decode()
    return frame(
        "response.output_audio.delta", response_id=response_id, item_id=item_id, delta=text
    )


def created(response_id: str) -> bytes:
    return frame("response.created", response={"id": response_id, "status": "in_progress"})


def done(response_id: str, status: str = "completed") -> bytes:
    return frame("response.done", response={"id": response_id, "status": status})


def heard(client: RealtimeClient, *frames: bytes) -> list[str]:
    """Ids of the responses whose audio came through."""
    out: list[Audio | ServerEvent] = []
    for each in frames:
        out += client.receive(each)
    return [event.response_id for event in out if isinstance(event, Audio)]


def test_the_session_becomes_ready_with_the_first_update() -> None:
    client = RealtimeClient()
    assert client.session == {}
    client.receive(frame("session.created", session={"id": "s"}))
    assert (client.session, client.ready) == ({"id": "s"}, False)
    client.receive(frame("session.updated", session={"id": "s", "model": "m"}))
    assert client.ready
    client.receive(frame("session.created", session={"id": "s2"}))
    assert client.ready


def test_audio_is_decoded_and_counted_in_the_sessions_format() -> None:
    client = RealtimeClient()
    client.receive(created("r"))
    (audio,) = client.receive(delta("r", b"\1\2" * 240))
    assert audio == Audio("r", "item_1", b"\1\2" * 240)
    assert client.produced_ms("item_1") == pytest.approx(10)
    mulaw = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    client.receive(frame("session.updated", session=mulaw))
    client.receive(delta("r", b"\xff" * 160))
    assert client.produced_ms("item_1") == pytest.approx(30)
    assert client.produced_ms("item_2") == 0
    assert "AQ" not in repr(audio)


def test_only_the_last_items_are_counted() -> None:
    client = RealtimeClient()
    for n in range(100):
        client.receive(delta("r", item_id=f"item_{n}"))
    assert client.produced_ms("item_0") == 0
    assert client.produced_ms("item_99") > 0


def test_the_beta_name_and_odd_or_empty_chunks_pass() -> None:
    client = RealtimeClient()
    old = orjson.loads(delta("r", b"\0" * 7)) | {"type": "response.audio.delta"}
    assert client.receive(orjson.dumps(old)) == [Audio("r", "item_1", b"\0" * 7)]
    assert client.receive(delta("r", b"")) == []


def test_the_active_response_is_followed() -> None:
    client = RealtimeClient()
    client.receive(created("a"))
    assert client.active_response_id == "a"
    client.receive(done("other", "cancelled"))
    assert client.active_response_id == "a"
    (event,) = client.receive(done("a"))
    assert isinstance(event, se.ResponseDone)
    assert client.active_response_id is None


def test_late_audio_of_a_cancelled_response_is_dropped() -> None:
    client = RealtimeClient()
    assert heard(client, created("a"), delta("a"), done("a", "cancelled"), delta("a")) == ["a"]
    assert heard(client, created("b"), delta("a"), delta("b"), done("b"), delta("b")) == ["b", "b"]


def test_after_a_clear_audio_is_stale_until_cleared() -> None:
    client = RealtimeClient()
    heard(client, created("a"), delta("a"))
    client.mute_until_cleared()
    assert heard(client, delta("a"), delta("a")) == []
    assert client.produced_ms("item_1") == pytest.approx(10)
    assert heard(client, frame("output_audio_buffer.cleared"), delta("a")) == ["a"]


def test_after_a_clear_audio_is_stale_until_the_next_response() -> None:
    client = RealtimeClient()
    heard(client, created("a"), delta("a"))
    client.mute_until_cleared()
    assert heard(client, delta("a"), created("b"), delta("a"), delta("b")) == ["b"]


def test_a_backchannel_belongs_to_no_response_and_is_never_muted() -> None:
    client = RealtimeClient()
    client.mute_until_cleared()
    text = base64.b64encode(b"uh").decode()
    sent = frame("response.backchannel.audio.delta", backchannel_id="bc_1", delta=text)
    assert client.receive(sent) == [Audio("", "bc_1", b"uh", backchannel=True)]
    (event,) = client.receive(frame("response.backchannel.audio.done", phrase="uh-huh"))
    assert isinstance(event, se.ResponseBackchannelAudioDone)


def test_everything_else_comes_through_as_events() -> None:
    client = RealtimeClient()
    (event,) = client.receive(frame("who.knows", a=1))
    assert isinstance(event, Unknown)
    (event,) = client.receive(frame("input_audio_buffer.speech_started", item_id="i"))
    assert isinstance(event, se.InputAudioBufferSpeechStarted)


def test_a_format_we_do_not_know_is_for_whoever_plays_it_to_judge() -> None:
    client = RealtimeClient()
    opus = {"audio": {"output": {"format": {"type": "audio/opus"}}}}
    client.receive(frame("session.updated", session=opus))
    assert client.ready
    with pytest.raises(RemoteProtocolError, match="opus"):
        audio_format(client.session, "output")


def test_bad_base64_is_a_protocol_error() -> None:
    bad = frame("response.output_audio.delta", response_id="r", item_id="i", delta="???")
    with pytest.raises(RemoteProtocolError, match=r"\$\.delta: not base64"):
        RealtimeClient().receive(bad)


@pytest.mark.parametrize("missing", ["response_id", "item_id", "delta"])
def test_audio_that_lacks_a_field_is_a_protocol_error(missing: str) -> None:
    bad = orjson.loads(delta("r"))
    del bad[missing]
    with pytest.raises(RemoteProtocolError, match=rf"\$\.{missing}: missing"):
        RealtimeClient().receive(orjson.dumps(bad))


def test_sending() -> None:
    client = RealtimeClient()
    assert client.send(ce.ResponseCancel(response_id="r")) == (
        b'{"type":"response.cancel","response_id":"r"}'
    )
    asked = {"type": "response.create", "response": {"voice": "Hades"}, "more": [1]}
    assert orjson.loads(client.send(asked)) == asked
    assert client.send(Unknown({"type": "brand.new"})) == b'{"type":"brand.new"}'


@pytest.mark.parametrize("kind", [None, 5, "", "response.created", "response.creat"])
def test_only_client_events_can_be_sent(kind: object) -> None:
    with pytest.raises(LocalProtocolError, match="no event a client sends"):
        RealtimeClient().send({"type": kind})


def test_a_misspelt_event_is_told_the_nearest() -> None:
    with pytest.raises(LocalProtocolError, match=r"did you mean 'response\.create'"):
        RealtimeClient().send({"type": "response.creat"})


@pytest.mark.parametrize(
    ("code", "message", "benign"),
    [
        ("response_cancel_not_active", "Cancellation failed: no active response found", True),
        ("conversation_already_has_active_response", "Conversation already has an active …", True),
        (None, "Cancellation failed: no active response found.", True),
        (None, "Conversation already has an active response in progress", True),
        ("session_expired", "no active response", False),
        (None, "Failed to read content stream.", False),
        ("invalid_value", "Audio content of 1ms is already shorter than 2ms", False),
    ],
)
def test_the_benign_races(code: str | None, message: str, benign: bool) -> None:
    assert is_benign(Error(code=code, message=message)) is benign


frames = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(["a", "b"]).map(created),
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["completed", "cancelled"])).map(
        lambda pair: done(*pair)
    ),
    st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=6)).map(lambda pair: delta(*pair)),
    st.just(frame("output_audio_buffer.cleared")),
    st.just(frame("session.updated", session={"audio": {"output": {"format": {"rate": "x"}}}})),
    st.just(frame("response.done", response={})),
    st.just("mute"),
)


@given(st.lists(frames, max_size=30))
def test_no_order_of_frames_raises_or_lets_void_audio_through(sent: list[Any]) -> None:
    client = RealtimeClient()
    void: set[str] = set()
    muted = False
    for each in sent:
        if each == "mute":
            client.mute_until_cleared()
            muted = True
            continue
        try:
            got = client.receive(each)
        except RemoteProtocolError:
            continue
        for event in got:
            if isinstance(event, Audio):
                assert not muted
                assert event.response_id not in void
            elif isinstance(event, se.ResponseDone) and event.response.get("status") == "cancelled":
                void.add(event.response["id"])
            elif isinstance(event, se.ResponseCreated | se.OutputAudioBufferCleared):
                muted = False
