"""A client and a server joined by byte strings, as two ends of a socket would be."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest

from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient, is_benign
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import encode_append
from voxpy.wire.realtime.events.types import ClientEvent, ServerEvent, function_calls
from voxpy.wire.realtime.server import effects as fx
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import Quirks


class Joined:
    """Both ends; ``wire`` holds what the server sent and the client has not read yet."""

    def __init__(self) -> None:
        ids = itertools.count(1)
        self.server = RealtimeServer(
            session_id="s",
            new_id=lambda kind: f"{kind}_{next(ids)}",
            quirks=Quirks(end_padding=False),
        )
        self.client = RealtimeClient()
        self.wire: list[bytes] = []
        self.now = 0.0

    def send(self, event: ClientEvent) -> list[fx.Effect]:
        return self.server.receive(self.client.send(event), self.now)

    def read(self) -> list[Audio | ServerEvent]:
        self.wire += self.server.outgoing()
        got = [each for frame in self.wire for each in self.client.receive(frame)]
        self.wire.clear()
        return got

    def heard(self) -> bytes:
        return b"".join(each.data for each in self.read() if isinstance(each, Audio))


@pytest.fixture
def joined() -> Joined:
    joined = Joined()
    joined.server.open()
    joined.send(ce.SessionUpdate(session={"audio": {"output": {"format": "g711_ulaw"}}}))
    created, updated = joined.read()
    assert isinstance(created, se.SessionCreated)
    assert isinstance(updated, se.SessionUpdated)
    assert joined.client.ready
    assert joined.client.session == joined.server.session
    return joined


def test_audio_both_ways_is_byte_for_byte(joined: Joined) -> None:
    up = bytes(range(256))
    assert joined.server.receive(encode_append(up), 0.0) == [fx.AudioReceived(up)]
    joined.server.speech_started(0, 0.0)
    joined.server.speech_stopped(32)
    (respond,) = joined.server.transcript_completed("Hello", 0.0)
    assert isinstance(respond, fx.Respond)
    down = bytes(reversed(range(256)))
    joined.server.text(respond.response_id, "Hi")
    joined.server.audio(respond.response_id, down, 0.0)
    joined.server.finish(respond.response_id, 0.0)
    assert joined.heard() == down
    item_id = str(joined.server.items[-1]["id"])
    assert joined.client.produced_ms(item_id) == pytest.approx(32)
    assert joined.server.playing_until == pytest.approx(0.032)


def test_barge_in_with_a_clear_on_its_way(joined: Joined) -> None:
    (respond,) = joined.send(ce.ResponseCreate())
    assert isinstance(respond, fx.Respond)
    joined.server.audio(respond.response_id, b"a" * 8000, 0.0)
    assert joined.heard() == b"a" * 8000
    item_id = str(joined.server.items[-1]["id"])
    # more is on the wire when the client reads speech_started and clears
    joined.server.audio(respond.response_id, b"b" * 8000, 0.0)
    joined.wire += joined.server.outgoing()
    joined.now = 0.4
    effects = joined.server.speech_started(400, joined.now)
    assert effects == [fx.Stop(respond.response_id, "turn_detected"), fx.OutputCleared()]
    clear = joined.client.send(ce.OutputAudioBufferClear())
    joined.client.mute_until_cleared()
    joined.server.receive(clear, joined.now)
    joined.send(ce.ResponseCancel())
    heard_ms = 400
    joined.send(
        ce.ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=heard_ms)
    )
    got = joined.read()
    assert not any(isinstance(each, Audio) for each in got)
    (error,) = [each for each in got if isinstance(each, se.ErrorEvent)]
    assert is_benign(error.error)
    assert any(isinstance(each, se.ConversationItemTruncated) for each in got)
    joined.server.speech_stopped(900)
    (again,) = joined.server.transcript_completed("Stop", joined.now)
    assert isinstance(again, fx.Respond)
    joined.server.audio(again.response_id, b"c" * 80, joined.now)
    assert joined.heard() == b"c" * 80


def test_a_tool_round(joined: Joined) -> None:
    (respond,) = joined.send(ce.ResponseCreate())
    assert isinstance(respond, fx.Respond)
    joined.server.call_tool(respond.response_id, "hang_up", '{"why":"bye"}')
    joined.server.finish(respond.response_id, 0.0)
    (done,) = [each for each in joined.read() if isinstance(each, se.ResponseDone)]
    (call,) = function_calls(done.response)
    assert (call.name, call.arguments) == ("hang_up", '{"why":"bye"}')
    item: dict[str, Any] = {"type": "function_call_output", "call_id": call.call_id, "output": "ok"}
    (follow_up,) = joined.send(ce.ConversationItemCreate(item=item))
    assert isinstance(follow_up, fx.Respond)
    joined.send(ce.ResponseCreate())
    (error,) = [each for each in joined.read() if isinstance(each, se.ErrorEvent)]
    assert is_benign(error.error)


def test_what_the_server_tells_of_the_session_can_be_sent_back(joined: Joined) -> None:
    before = joined.server.session
    joined.send(ce.SessionUpdate(session=dict(joined.client.session)))
    assert joined.server.session == before


def test_append_by_event_and_by_fast_path_are_the_same(joined: Joined) -> None:
    text = base64.b64encode(b"abc").decode()
    assert joined.send(ce.InputAudioBufferAppend(audio=text)) == joined.server.receive(
        encode_append(b"abc"), 0.0
    )
