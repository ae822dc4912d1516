"""Barge-in on the real clock over real sockets: from ``speech_started`` read to silence heard."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from voxpy.audio.frame import FRAME_S, PCMU
from voxpy.audio.mix import audible
from voxpy.engine import clock
from voxpy.engine.loader import Program, compile_scenarios
from voxpy.engine.ports import Endpoint
from voxpy.engine.trace import Entry
from voxpy.host.sessions import HostedSession
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.localcall import LocalCall, run_local_call
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing.service import Service, Talk

pytestmark = pytest.mark.slow

SCENARIO = """
from voxpy import AppEvents, Inworld, VoxEngine

async def answer(event):
    call = event.call
    call.answer()
    client = await Inworld.create_realtime_api_client(
        api_key="k", session_key="s", url="ws://service.test/session", auto_truncate=True,
        on_web_socket_close=lambda e: VoxEngine.terminate())
    client.session_update({"session": {}})
    VoxEngine.send_media_between(call, client)

VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
"""
CALLER = "steps:\n- wait: answered\n- wait: 60\n- hang_up\n"
SPEAKS_S = 0.5


def delta(seconds: float) -> dict[str, Any]:
    where = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
    audio = base64.b64encode(b"\x11" * int(8000 * seconds)).decode()
    return {"type": "response.output_audio.delta", "event_id": "e", **where, "delta": audio}


async def play(talk: Talk) -> None:
    """Speak ahead of time as services do, notice the caller, and send what was under way."""
    await talk.open_session()
    await talk.send({"type": "response.created", "event_id": "e", "response": {"id": "r1"}})
    for _ in range(50):
        await talk.send(delta(0.1))
    await read_for(talk, SPEAKS_S)
    await talk.send({"type": "input_audio_buffer.speech_started", "event_id": "e", "item_id": "u1"})
    for _ in range(20):
        await talk.send(delta(0.1))
    await read_for(talk, SPEAKS_S)  # and leave: that ends the call


async def read_for(talk: Talk, seconds: float) -> None:
    until = clock.now() + seconds
    while clock.now() < until:
        await talk.next()


@attrs.define
class Watch:
    """Notes when the caller heard the agent, and when the client read ``speech_started``."""

    heard_at: list[float] = attrs.field(factory=list)
    read_at: list[float] = attrs.field(factory=list)
    _hosted: HostedSession | None = None

    def progress(self, text: str) -> None:
        """Nobody looks."""

    def entry(self, entry: Entry) -> None:
        if entry.name == "playout cleared":  # written in the call that read the frame
            self.read_at.append(clock.now())
        if entry.name.endswith("CallAlerting") and self._hosted is not None:
            assert self._hosted.leg is not None
            self._hosted.session.graph.tap(self._hosted.leg.media, self._tap)
            self._hosted = None

    def session_began(self, session: HostedSession) -> None:
        self._hosted = session

    def _tap(self, said: bytes, heard: bytes) -> None:
        if audible(heard, PCMU):
            self.heard_at.append(clock.now())


@pytest.mark.parametrize("calls", [1, 50])
def test_nothing_stale_is_heard_after_speech_started(tmp_path: Path, calls: int) -> None:
    (tmp_path / "s.py").write_text(SCENARIO)
    program = compile_scenarios((tmp_path / "s.py",))
    watches = [Watch() for _ in range(calls)]
    trio.run(partial(run_calls, tmp_path, program, watches))
    for watch in watches:
        (read_at,) = watch.read_at
        before = [at for at in watch.heard_at if at <= read_at]
        assert len(before) > 10  # it did speak
        assert [at - read_at for at in watch.heard_at if at > read_at + FRAME_S] == []


async def run_calls(folder: Path, program: Program, watches: list[Watch]) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]

    async def dial(endpoint: Endpoint) -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", port)

    async def one(n: int, watch: Watch) -> None:
        local = LocalCall(
            program=program,
            script=parse_script(CALLER, file="caller.yaml", folder=folder),
            agent="ws://service.test/session",
            dialer=lambda _: dial,
            session_id=f"call-{n}",
            secrets=Secrets(folder / "secrets.env", environ={}),
            base=folder,
            make_engines=lambda: scripted_engines(ScriptedResponder(())),
        )
        await run_local_call(local, watch)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, Service(play), listeners)
        async with trio.open_nursery() as running:
            for n, watch in enumerate(watches):
                running.start_soon(one, n, watch)
        nursery.cancel_scope.cancel()
