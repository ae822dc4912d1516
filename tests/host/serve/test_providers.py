"""For every provider two whole calls at a host, on virtual time, by its production path.

Greeting, question, answer, barge-in, a digit; then the caller hangs up, or the scenario does, which
must release the line in the provider's way. The phones speak each provider's side as its pages show
it (``Carrier``, sources in ``Provider.source``); their APIs are a stub.
All calls run at once: that is what a host is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import orjson
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from trio.testing import MockClock

from tests.channels.providers.test_both_roles import WITHOUT_DIGITS
from tests.history.conftest import sessions_in
from tests.host.serve.conftest import Running, hosted
from voxpy.channels.providers.provider import PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine import clock
from voxpy.engine.trace import Entry
from voxpy.history.search import Filter, SessionRow
from voxpy.history.tracefile import read_trace
from voxpy.localagent.responder import Act, Say, Turn
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.dialledcall import DialledCall, DialledCallPlan, DialledCallResult
from voxpy.simulation.script import CallerScript
from voxpy.simulation.steps import StayOn
from voxpy.testing.httpstub import HttpStub

PUBLIC = "https://calls.example"
TOKEN = "a-token-of-ours"
SCENARIO = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event):
    call = event.call

    def toned(event):
        Logger.write(f"tone {event.tone}")
        if event.tone == "9":
            call.hangup()

    call.handle_tones(True)
    call.add_event_listener(CallEvents.ToneReceived, toned)
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    agent = await Inworld.create_realtime_api_client(api_key="local", session_key="k")
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionCreated, timeout_s=5)
    agent.session_update({"session": {"type": "realtime"}})
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionUpdated, timeout_s=5)
    agent.add_event_listener(
        Inworld.RealtimeAPIEvents.InputAudioBufferSpeechStarted,
        lambda e: agent.clear_media_buffer())
    VoxEngine.send_media_between(call, agent)
    agent.response_create({})
"""
CHANNELS = {
    name: None if p.transport == "websocket" else {"port": 0, "to": "+15550199"}
    for name, p in PROVIDERS.items()
}
ROUTING = orjson.dumps(
    {
        "rules": [{"name": "all", "pattern": ".*", "scenarios": ["echo.py"]}],
        "channels": CHANNELS,
    }
).decode()
GREETING, ANSWER, LAST = "good morning", "it is " + "late and " * 12 + "dark", "as you like"
STEPS = """
steps:
- expect: good morning
- say: what time
- interrupt: {after_s: 0.6, say: stop it there please}
- expect: as you like
- press: PRESSED
"""


def environment() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "INWORLD_API_KEY": "sesame-sesame",
        "MEDIA_TOKEN": TOKEN,
        "TWILIO_ACCOUNT_SID": "AC0",
        "TWILIO_AUTH_TOKEN": "twilio-auth-token",
        "TELNYX_API_KEY": "telnyx-api-key",
        "PLIVO_AUTH_ID": "MA0",
        "PLIVO_AUTH_TOKEN": "plivo-auth-token",
        "VONAGE_APPLICATION_ID": "app-0",
        "VONAGE_PRIVATE_KEY": pem.decode().replace("\n", "\\n"),
    }


ENVIRON = environment()


def respond(turn: Turn) -> Sequence[Act]:
    """Greet, answer whatever is asked, give in to whatever comes then."""
    asked = sum(item.get("role") == "user" for item in turn.items)
    return [Say((GREETING, ANSWER, LAST)[min(asked, 2)])]


class Watcher:
    """Looks away."""

    def progress(self, text: str) -> None:
        pass

    note = heading = progress

    def entry(self, entry: Entry) -> None:
        pass


@attrs.define
class Made:
    """What became of all the calls."""

    base: Path
    api: HttpStub
    results: dict[tuple[str, str], DialledCallResult] = attrs.field(factory=dict)
    rows: dict[str, SessionRow] = attrs.field(factory=dict)
    log: list[dict[str, Any]] = attrs.field(factory=list)

    def row(self, provider: str, who: str) -> SessionRow:
        """The session of a call; AudioSocket names no numbers, so there it is told by its end."""
        found = [r for r in sessions_in(self.base) if r.channel == provider]
        return next(r for r in found if ("scenario" in r.calls[0].end_description) == (who == "we"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("providers"), HttpStub({"*": 200}))
    trio.run(_make_calls, made, clock=MockClock(autojump_threshold=0))
    return made


async def _make_calls(made: Made) -> None:
    async with hosted(
        made.base,
        routing=ROUTING,
        scenario=SCENARIO,
        says=respond,
        environ=ENVIRON,
        fetch=made.api.fetch,
        public_url=PUBLIC,
    ) as running:
        async with trio.open_nursery() as phones:
            for provider in PROVIDERS:
                phones.start_soon(_make_call, made, running, provider, "caller")
                phones.start_soon(_make_call, made, running, provider, "we")
        running.host.drain()
        await running.stopped.wait()
        made.log = running.log


async def _make_call(made: Made, running: Running, provider: str, who: str) -> None:
    kind = PROVIDERS[provider]
    phone = PhoneCall(
        call_id=f"c-{provider}-{who}",
        caller="+15550100",
        callee="+15550199",
        format=kind.formats[0],
    )
    plan = DialledCallPlan.by_provider(
        url=f"tcp://{provider}:1" if kind.transport == "tcp" else f"ws://host/media/{provider}",
        headers=proofs(provider),
        carrier=kind.place(phone),
        script=script_of(provider, who, made.base),
        folder=made.base / "phones" / f"{provider}-{who}",
        make_engines=lambda: running.engines,
        open_stream=running.sockets.open_stream,
    )
    made.results[provider, who] = await DialledCall(plan, Watcher()).run()


def script_of(provider: str, who: str, folder: Path) -> CallerScript:
    digit = "'9'" if who == "we" else "'5'"
    press = f"{{digits: {digit}, how: inband}}" if provider in WITHOUT_DIGITS else digit
    end = "- wait: {seconds: 0.4}\n- hang_up\n" if who == "caller" else ""
    steps = STEPS.replace("PRESSED", press) + end
    script = parse_script(steps, file="caller.yaml", folder=folder)
    if who == "we":
        script = attrs.evolve(script, steps=(*script.steps, StayOn()))
    return script


def proofs(provider: str) -> list[tuple[str, str]]:
    """How a provider proves itself when it connects."""
    kind = PROVIDERS[provider]
    if kind.transport == "tcp":
        return []
    # The phone adds who calls whom to the address where the protocol has no place for it.
    public = f"{PUBLIC.replace('http', 'ws')}/media/{provider}"
    now = clock.calendar().timestamp()
    return list(kind.stream_headers(public, ENVIRON.get, now=now, nonce="12345"))


RELEASED = {
    "twilio": ("POST", "/2010-04-01/Accounts/AC0/Calls/{call_id}.json"),
    "telnyx": ("POST", "/v2/calls/{call_id}/actions/hangup"),
    "plivo": ("DELETE", "/v1/Account/MA0/Call/{call_id}/"),
    "vonage": ("PUT", "/v1/calls/{call_id}"),
}


@pytest.mark.parametrize("who", ["caller", "we"])
@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_whole_call(made: Made, provider: str, who: str) -> None:
    result = made.results[provider, who]
    row = made.row(provider, who)
    assert result.failure == "", "the caller heard the greeting and the last words"
    heard = [line["text"] for line in result.record.personal["transcript"]]
    assert row.state == "ended"
    assert (row.finish_reason, row.errors, row.warnings) == ("Normal termination", 0, 0)
    trace = read_trace(row.folder / "trace.jsonl")
    said = [
        str(e.personal["payload"]["transcript"])
        for e in trace
        if e.name.endswith("ResponseOutputAudioTranscriptDone")
    ]
    assert said[0] == GREETING, heard
    assert said[-1] == LAST
    assert any(e.name.endswith("InputAudioBufferSpeechStarted") for e in trace)
    tones = [e.personal["text"] for e in trace if e.kind == "log"]
    assert tones == ["tone 9" if who == "we" else "tone 5"]
    (call,) = row.calls
    assert call.successful
    assert (call.end_description == "Hung up by the scenario") == (who == "we")
    if PROVIDERS[provider].transport != "tcp":  # a byte stream may name nobody
        assert call.remote_number == "+15550100"
    assert row.destination == "+15550199"


@pytest.mark.parametrize("provider", sorted(RELEASED))
def test_our_hang_up_releases_the_line_by_the_providers_api(made: Made, provider: str) -> None:
    ours = made.row(provider, "we").transaction_id
    theirs = made.row(provider, "caller").transaction_id
    method, target = RELEASED[provider]
    asked = [(request.method, urlsplit(request.url).path) for request in made.api.asked]
    assert (method, target.format(call_id=ours)) in asked
    assert (method, target.format(call_id=theirs)) not in asked, "the caller has hung up already"
    told = [e for e in made.log if e["event"] == "line released"]
    (data,) = [e["data"] for e in told if e["data"]["call"] == ours]
    assert (data["channel"], data["status"]) == (provider, 200)


def test_nothing_went_wrong_at_the_host(made: Made) -> None:
    assert [e for e in made.log if e["level"] != "info"] == []
    assert len(sessions_in(made.base, Filter(rule="all"))) == 2 * len(PROVIDERS)
