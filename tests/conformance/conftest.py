"""The local agent in a thread, for clients that others wrote: they live in asyncio, or in Node.

Over a real socket. Speech is made of tones, and everything is sent as fast as it goes, so nothing
here waits for real time.
"""

from __future__ import annotations

import functools
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest
import trio
import trustme

from voxpy.localagent.connection import Behaviour
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import Act, CallTool, Say, Turn, text_of
from voxpy.localagent.server import serve_tcp
from voxpy.localagent.vad import EnergyGate
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import Airwaves, ToneEars, ToneVoice
from voxpy.wire.realtime.server.quirks import LIKE, Quirks

PATIENCE_S = 10.0
VOICE_HZ = 24_000
BATCH_BYTES = 9_600  # 200 ms
LONG_ANSWER = " ".join(["Once upon a time there was a very long story about a telephone"] * 2)


def brain(turn: Turn) -> list[Act]:
    if not turn.items:
        return [Say("Good morning")]
    newest = turn.items[-1]
    said = text_of(newest)
    if newest["type"] == "function_call_output":
        return [Say(f"It is {json.loads(newest['output'])['degrees']} degrees")]
    if "weather" in said and turn.tools:
        return [CallTool("get_weather", {"city": "Oslo"})]
    if "story" in said:
        return [Say(LONG_ANSWER)]
    return [Say(f"You said {said}")]


@attrs.frozen
class Agent:
    """An agent that listens, and the voice its ears understand."""

    port: int
    voice: ToneVoice
    flavour: str
    reports: list[str]

    def spoken(self, text: str, *, silence_s: float = 2.0) -> bytes:
        """Return ``text`` as PCM at 24 kHz, and silence after it."""
        parts = list(self.voice.speak(text, speaker="caller", speed=1.0))
        silence = np.zeros(round(silence_s * VOICE_HZ), np.int16)
        return np.concatenate([*parts, silence]).astype("<i2").tobytes()


class AgentThread:
    """A trio loop in a thread, with an agent in it."""

    def __init__(self, quirks: Quirks, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        airwaves = Airwaves()
        self.voice = ToneVoice(airwaves)
        self.port = 0
        self.reports: list[str] = []
        self._engines = Engines(
            gate=EnergyGate,
            ears=ToneEars(airwaves),
            voice=self.voice,
            responder=ScriptedResponder(brain),
        )
        self._behaviour = Behaviour(quirks=quirks)
        self._listening = threading.Event()
        self._scope = trio.CancelScope()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))

    def __enter__(self) -> AgentThread:
        self._thread.start()
        assert self._listening.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        serve = functools.partial(
            serve_tcp,
            self._engines,
            host="127.0.0.1",
            port=0,
            report=self.reports.append,
            behaviour=self._behaviour,
            tls=self._tls,
        )
        with self._scope:
            async with trio.open_nursery() as nursery:
                self.port = await nursery.start(serve)
                self._listening.set()


@pytest.fixture(scope="module", params=["inworld", "openai"])
def agent(request: pytest.FixtureRequest) -> Iterator[Agent]:
    """One that is like Inworld, one that is like OpenAI."""
    yield from _serving(request.param)


@pytest.fixture(scope="module")
def openai_agent() -> Iterator[Agent]:
    yield from _serving("openai")


@pytest.fixture(scope="module")
def beta_agent() -> Iterator[Agent]:
    yield from _serving("openai-beta")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of who vouches for ``secure_agent``."""
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def secure_agent() -> Iterator[Agent]:
    """Like OpenAI, behind TLS, as ``localhost``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    yield from _serving("openai", context)


AUTHORITY = trustme.CA()


def _serving(flavour: str, tls: ssl.SSLContext | None = None) -> Iterator[Agent]:
    with AgentThread(LIKE[flavour], tls) as thread:
        yield Agent(thread.port, thread.voice, flavour, thread.reports)
    assert [told for told in thread.reports if "is ignored" not in told] == []
