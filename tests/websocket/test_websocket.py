"""WebSockets of scenarios, both ways in, with text and media."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trio

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU, pcm16
from voxpy.errors import HandshakeRefused
from voxpy.testing import CallKit, SocketPeer

IN = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine, WebSocketEvents, WebSocketAudioEncoding

VoxEngine.allow_websocket_connections()

@VoxEngine.on(AppEvents.WebSocket)
def came(event):
    ws = event.websocket
    Logger.write(f"socket {event.path} {ws.ready_state} {ws.url}")
    def message(event):
        if event.text == "close":
            ws.close()
        elif event.text == "clear":
            ws.clear_media_buffer()
        elif event.text == "echo":
            ws.send_media_to(ws, encoding=WebSocketAudioEncoding.ULAW, custom_parameters={"a": 1})
        elif event.text == "quiet":
            ws.stop_media_to(ws)
        elif event.text == "end":
            VoxEngine.terminate()
        else:
            ws.send("heard " + event.text)
    ws.add_event_listener(WebSocketEvents.MESSAGE, message)
    ws.on_message = lambda e: Logger.write("first " + e.text)
    ws.on_media_started = lambda e: Logger.write(f"started {e.encoding} {e.custom_parameters}")
    ws.on_media_ended = lambda e: Logger.write(f"ended {e.tag} {e.media_info}")
    ws.on_close = lambda e: Logger.write(f"closed {e.code} {e.was_clean} {ws.ready_state}")

@VoxEngine.on(AppEvents.NewWebSocketFailed)
def failed(event):
    Logger.write(f"refused: {event.reason}")
"""


async def test_a_socket_comes_in_and_talks(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(IN) as world:
        call = await world.start()
        peer = await call.connect("/feed?x=1", headers={"X-A": "b"})
        peer.send("one")
        assert await peer.receive() == "heard one"
        peer.send("close")
        await call.wait_logged("closed")
        peer.send("late")
    assert call.log == [
        "socket /feed?x=1 open /feed?x=1",
        "first one",
        "first close",
        "closed 1000 True closed",
    ]
    assert peer.closed is not None
    assert peer.closed.code == 1000


async def test_sockets_are_let_in_only_when_allowed_and_only_so_many(
    voxpy: CallKit, autojump_clock: object
) -> None:
    async with voxpy.world(IN.replace("VoxEngine.allow", "#")) as world:
        call = await world.start()
        with pytest.raises(HandshakeRefused) as refused:
            await call.connect()
        assert (refused.value.status, b"allow_websocket" in refused.value.body) == (403, True)
        await call.wait_logged("refused: the scenario has not called")
    async with voxpy.world(IN) as world:
        call = await world.start()
        for _ in range(3):
            await call.connect()
        with pytest.raises(HandshakeRefused):
            await call.connect()
        await call.wait_logged("refused: the session has 3 sockets")


async def test_media_goes_both_ways_and_a_clear_empties_what_waits(
    voxpy: CallKit, autojump_clock: object
) -> None:
    sound = (8000 * np.sin(np.arange(16000) * 0.17)).astype(np.int16)
    async with voxpy.world(IN) as world:
        call = await world.start()
        peer = await call.connect()
        peer.start_media("PCM16", custom_parameters={"who": "me"})
        peer.send("echo")
        peer.play(encode(sound, pcm16(16000)))
        back = await peer.wait_heard(1.1)
        peer.stop_media()
        await call.wait_logged("ended")
        peer.start_media("PCM16")
        peer.play(encode(sound, pcm16(16000)) * 8)
        await peer.wait_heard(2.5)
        peer.send("clear")
        await call.wait_logged("first clear")
        await trio.sleep(2)
        peer.send("quiet")
        await peer.wait(lambda: bool(peer.stopped))
        peer.send("end")
        await world.wait_ended()
    assert "started PCM16 {'who': 'me'}" in call.log
    ended = [line for line in call.log if line.startswith("ended")]
    assert ended[0] == "ended  {'duration': 1.0}"
    assert 1.0 < float(ended[1].partition(": ")[2][:-1]) < 3.0, "not the eight seconds it was sent"
    start = peer.started[0]
    assert (start.encoding, start.format, start.custom_parameters) == ("ULAW", PCMU, {"a": 1})
    loud = decode(back, PCMU).astype(float)
    assert 7000 < (abs(loud) > 1000).sum() < 8100, "a second of it"
    assert peer.closed is not None
    assert peer.closed.code == 1000


async def test_what_is_odd_is_dropped_and_told_once(voxpy: CallKit, autojump_clock: object) -> None:
    async with voxpy.world(IN) as world:
        call = await world.start()
        peer = await call.connect()
        for odd in (
            {"event": "media", "media": {"payload": "AAAA"}},
            {"event": "start", "start": {"mediaFormat": {"encoding": "SPEEX"}}},
            {"event": "start", "start": {"mediaFormat": {"encoding": "PCM16", "sampleRate": 7}}},
            {"event": "start"},
            {"event": "media", "media": {"payload": "?"}},
            {"event": "media", "media": []},
            {"event": "stop", "stop": {}},
            *(
                {"event": "start", "start": {"tag": str(n), "mediaFormat": {"encoding": "ULAW"}}}
                for n in range(12)
            ),
        ):
            peer.send(odd)
        peer.send('{"event": "other"}')
        assert json.loads((await peer.receive()).removeprefix("heard ")) == {"event": "other"}
    warnings = [e.name for e in call.entries if e.kind == "warning"]
    assert warnings == [
        "media without a start is dropped",
        "media that cannot be used is dropped",
        "a stream too many is dropped",
    ]


OUT = """
from voxpy import AppEvents, Logger, VoxEngine, WebSocketEvents

@VoxEngine.on(AppEvents.Started)
def started(event):
    ws = VoxEngine.create_websocket(
        VoxEngine.custom_data(), headers=[{"name": "X-Key", "value": "v"}], statistics=True)
    log = lambda e: Logger.write(e.name)
    ws.on_created = ws.on_open = ws.on_error = ws.on_close = log
    ws.add_event_listener(WebSocketEvents.OPEN, lambda: ws.send("hello"))
    ws.add_event_listener(WebSocketEvents.MESSAGE, lambda e: Logger.write(e.text))
    ws.add_event_listener(WebSocketEvents.CLOSE, lambda e: VoxEngine.terminate())
"""


async def test_a_scenario_opens_a_socket(voxpy: CallKit, autojump_clock: object) -> None:
    async def crm(peer: SocketPeer) -> None:
        assert await peer.receive() == "hello"
        peer.send("welcome")

    async with voxpy.world(OUT, websockets={"wss://crm.example/feed": crm}) as world:
        call = await world.start("wss://crm.example/feed?token=abc")
        await world.wait_ended()
    assert call.log == ["WebSocket.Created", "WebSocket.Open", "welcome", "WebSocket.Close"]
    counts = next(e.data for e in call.entries if e.name == "websocket statistics")
    assert (counts["messages_in"], counts["messages_out"]) == (1, 1)
    shown = next(e.data for e in call.entries if e.name == "VoxEngine.create_websocket")
    assert shown["url"] == "wss://crm.example/feed"


async def test_a_socket_that_cannot_be_opened_says_so(
    voxpy: CallKit, autojump_clock: object
) -> None:
    async with voxpy.world(OUT, endpoint="inworld") as world:
        call = await world.start("wss://nobody.example/")
        await world.wait_ended()
    assert call.log == ["WebSocket.Created", "WebSocket.Error", "WebSocket.Close"]
    assert any(e.name == "cannot be opened" for e in call.entries)


async def test_a_flood_of_messages_closes_its_socket_and_nothing_else(
    voxpy: CallKit, autojump_clock: object
) -> None:
    async with voxpy.world(IN) as world:
        call = await world.start()
        flood, good = await call.connect(), await call.connect()
        for n in range(2000):
            flood.send(f"{n}")
        await flood.wait(lambda: flood.closed is not None)
        good.send("still here")
        assert await good.receive() == "heard still here"
        good.send("end")
        await world.wait_ended()
    assert flood.closed is not None
    assert flood.closed.code == 1013
