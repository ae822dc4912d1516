"""For every provider two whole calls at a host: real sockets, real time, its production path.

Greeting, question, answer, barge-in, a digit; then the caller hangs up, or the scenario does, which
must release the line in the provider's way. The phones speak each provider's side as its pages show
it (``Carrier``, sources in ``Provider.source``); their APIs are a server of this test.
All calls run at once: that is what a host is for, and it takes as long as one.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import h11
import orjson
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from voxpy.channels.providers.provider import PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine import clock
from voxpy.engine.ports import RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Entry
from voxpy.history.history import History
from voxpy.history.search import Filter, SessionRow, find_sessions
from voxpy.history.tracefile import read_trace
from voxpy.host.hostlog import host_log
from voxpy.host.listening import open_sockets
from voxpy.host.serve import Host, HostOptions
from voxpy.localagent.responder import Act, Say, Turn
from voxpy.localagent.server import serve_stream
from voxpy.project.project import ProjectFiles, load_project
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.dialledcall import DialledCall, DialledCallPlan, DialledCallResult
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.steps import StayOn
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets.memory import MemoryDialer

pytestmark = pytest.mark.slow

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
        "rules": [{"name": "all", "pattern": ".*", "scenarios": ["mine.py"]}],
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
NO_DIGITS = ("voximplant",)
"""Its protocol has none: there they are heard as sound."""


def respond(turn: Turn) -> Sequence[Act]:
    """Greet, answer whatever is asked, give in to whatever comes then."""
    asked = sum(item.get("role") == "user" for item in turn.items)
    return [Say((GREETING, ANSWER, LAST)[min(asked, 2)])]


@attrs.define
class Api:
    """The providers' APIs: every request that came."""

    requests: list[tuple[str, str, dict[str, str], bytes]] = attrs.field(factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        http, head, body = h11.Connection(h11.SERVER), None, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
        assert head is not None
        headers = {name.decode(): value.decode() for name, value in head.headers}
        self.requests.append((head.method.decode(), head.target.decode(), headers, body))
        answer = h11.Response(status_code=200, headers=[("content-length", "0")])
        await stream.send_all((http.send(answer) or b"") + (http.send(h11.EndOfMessage()) or b""))
        await stream.aclose()


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
    api: Api
    results: dict[tuple[str, str], DialledCallResult] = attrs.field(factory=dict)
    rows: dict[str, SessionRow] = attrs.field(factory=dict)
    log: list[dict[str, Any]] = attrs.field(factory=list)

    def row(self, provider: str, who: str) -> SessionRow:
        """The session of a call; AudioSocket names no numbers, so there it is told by its end."""
        found = [r for r in find_sessions(self.base) if r.channel == provider]
        return next(r for r in found if ("scenario" in r.calls[0].end_description) == (who == "we"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("providers"), Api())
    trio.run(_make_calls, made)
    return made


async def _make_calls(made: Made) -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, made.api.serve, 0,
                                                    host="127.0.0.1"))  # fmt: skip
            port = listeners[0].socket.getsockname()[1]
            await _host(made, f"http://127.0.0.1:{port}")
            nursery.cancel_scope.cancel()


async def _host(made: Made, api_url: str) -> None:
    base, output = made.base, io.StringIO()
    (base / "routing.yaml").write_text(ROUTING)
    (base / "mine.py").write_text(SCENARIO)
    secrets = Secrets(base / "secrets.env", environ=environment(api_url))
    project = load_project(base / "routing.yaml", secrets).project
    assert project is not None
    engines = scripted_engines(ScriptedResponder(respond))
    log = host_log(output, secrets.values, as_lines_of_json=True)
    sockets = open_sockets("127.0.0.1", 0, project.routing.channels)
    history, started, stopped = History(base), trio.Event(), trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            agent = MemoryDialer(nursery, partial(serve_stream, engines=engines))
            host = Host(
                HostOptions(base=base, public_url="https://calls.example"),
                ProjectFiles(project, log=log),
                SessionContext(
                    secrets=secrets,
                    media_clock=clock.MediaClock(),
                    open_stream=agent,
                    realtime=RealtimeEndpoint(url="ws://agent.test/realtime", api_key="local"),
                    speech=lambda: engines,
                ),
                history=history,
                log=log,
            )

            async def run() -> None:
                await host.run(sockets, started=started.set)
                stopped.set()

            async def call(provider: str, who: str) -> None:
                how = "inband" if provider in NO_DIGITS else "events"
                press = f"{{digits: '{9 if who == 'we' else 5}', how: inband}}"
                if how == "events":
                    press = "'9'" if who == "we" else "'5'"
                end = "- wait: {seconds: 0.4}\n- hang_up\n" if who == "caller" else ""
                steps = STEPS.replace("PRESSED", press) + end
                script = parse_script(steps, file="caller.yaml", folder=base)
                if who == "we":
                    script = attrs.evolve(script, steps=(*script.steps, StayOn()))
                phone = PhoneCall(
                    call_id=f"c-{provider}-{who}",
                    caller="+15550100",
                    callee="+15550199",
                    format=PROVIDERS[provider].formats[0],
                )
                side = PROVIDERS[provider].place(phone)
                url, headers = address(provider, sockets)
                plan = DialledCallPlan(
                    url=url,
                    headers=headers,
                    carrier=side,
                    script=script,
                    folder=base / "phones" / f"{provider}-{who}",
                    make_engines=lambda: engines,
                )
                made.results[provider, who] = await DialledCall(plan, Watcher()).run()

            nursery.start_soon(run)
            await started.wait()
            async with trio.open_nursery() as phones:
                for provider in PROVIDERS:
                    phones.start_soon(call, provider, "caller")
                    phones.start_soon(call, provider, "we")
            host.drain()
            await stopped.wait()
            nursery.cancel_scope.cancel()
    finally:
        sockets.close()
        history.close()
    made.log += [orjson.loads(line) for line in output.getvalue().splitlines()]


def environment(api_url: str) -> dict[str, str]:
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
        "TWILIO_API_URL": api_url,
        "TELNYX_API_KEY": "telnyx-api-key",
        "TELNYX_API_URL": api_url,
        "PLIVO_AUTH_ID": "MA0",
        "PLIVO_AUTH_TOKEN": "plivo-auth-token",
        "PLIVO_API_URL": api_url,
        "VONAGE_APPLICATION_ID": "app-0",
        "VONAGE_PRIVATE_KEY": pem.decode().replace("\n", "\\n"),
        "VONAGE_API_URL": api_url,
    }


def address(provider: str, sockets: Any) -> tuple[str, list[tuple[str, str]]]:
    """Where a provider connects, and how it proves itself."""
    kind = PROVIDERS[provider]
    if kind.transport == "tcp":
        return f"tcp://127.0.0.1:{sockets.own[provider][0].getsockname()[1]}", []
    # The phone adds who calls whom to the address where the protocol has no place for it.
    public = f"wss://calls.example/media/{provider}"
    secrets = environment("").get
    headers = kind.stream_headers(public, secrets, now=clock.calendar().timestamp(), nonce="12345")
    return f"ws://127.0.0.1:{sockets.port}/media/{provider}", headers


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
    if provider != "audiosocket":
        assert call.remote_number == "+15550100"
    assert row.destination == "+15550199"


@pytest.mark.parametrize("provider", sorted(RELEASED))
def test_our_hang_up_releases_the_line_by_the_providers_api(made: Made, provider: str) -> None:
    ours = made.row(provider, "we").transaction_id
    theirs = made.row(provider, "caller").transaction_id
    method, target = RELEASED[provider]
    asked = [(m, t) for m, t, _, _ in made.api.requests]
    assert (method, target.format(call_id=ours)) in asked
    assert (method, target.format(call_id=theirs)) not in asked, "the caller has hung up already"
    told = [e for e in made.log if e["event"] == "line released"]
    (data,) = [e["data"] for e in told if e["data"]["call"] == ours]
    assert (data["channel"], data["status"]) == (provider, 200)


def test_nothing_went_wrong_at_the_host(made: Made) -> None:
    assert [e for e in made.log if e["level"] != "info"] == []
    assert len(find_sessions(made.base, Filter(rule="all"))) == 2 * len(PROVIDERS)
