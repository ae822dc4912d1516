"""X- headers in every message that may carry them, both ways; what draining says; how calls end."""

from __future__ import annotations

import json

import pytest

from tests.channels.sip.conftest import SipHosting
from voxpy.engine.ports import LegConnected, LegEnded, Ringing
from voxpy.errors import CallFailed
from voxpy.testing.sipphone import PhoneCall, sip_phone

pytestmark = pytest.mark.slow

SAYS = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

def log(event):
    code = getattr(event, "code", getattr(event, "internal_code", ""))
    Logger.write(f"{event.name} {code} {dict(sorted(event.headers.items()))}")

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    Logger.write(f"alerting {dict(sorted(event.headers.items()))}")
    call.add_event_listener(CallEvents.Disconnected, log)
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    if event.destination == "refused":
        call.reject(480, {"X-Why": "lunch"})
        return
    call.ring({"X-Ring": "1"})
    call.answer({"X-Answer": "2"})
    await call.wait_event(CallEvents.Connected)
    if event.destination == "leave":
        call.hangup({"X-Bye": "3"})
"""


def headers(call: PhoneCall, kind: type[Ringing | LegConnected | LegEnded]) -> dict[str, str]:
    (found,) = [event for event in call.events if isinstance(event, kind)]
    return dict(found.headers)


async def test_headers_go_both_ways(sip_host: SipHosting) -> None:
    async with sip_host(scenario=SAYS) as host, sip_phone(server=host.server) as phone:
        call = await phone.call(host.uri("leave"), headers={"X-From": "phone", "Subject": "no"})
        await host.until(call.over.is_set)
        assert headers(call, Ringing) == {"X-Ring": "1"}
        assert headers(call, LegConnected) == {"X-Answer": "2"}
        assert headers(call, LegEnded) == {"X-Bye": "3"}
        call = await phone.call(host.uri("refused"))
        await host.until(call.over.is_set)
        assert headers(call, LegEnded) == {"X-Why": "lunch"}
        assert call.end is not None
        assert call.end.code == 480
        call = await phone.connect(host.uri("stay"))
        call.leg.hangup({"X-Gone": "4", "Reason": 'Q.850;cause=34;text="no circuit"'})
        await host.until(lambda: host.host.admission.running == 0)
    logs = "".join(path.read_text() for path in host.folder.rglob("session.log"))
    assert "alerting {'X-From': 'phone'}" in logs
    assert "Call.Disconnected 34 {'Reason': 'Q.850;cause=34" in logs


async def test_a_host_that_drains_sends_calls_elsewhere(sip_host: SipHosting) -> None:
    async with sip_host() as host, sip_phone(server=host.server) as phone:
        call = await phone.connect(host.uri("echo"))
        assert await phone.options(host.uri("echo")) == 200
        host.host.drain()
        await host.until(lambda: host.host.admission.draining)
        assert await phone.options(host.uri("echo")) == 503
        with pytest.raises(CallFailed, match="503"):
            await phone.connect(host.uri("echo"))
        assert call.end is None, "those that are up go on"
        call.hang_up()
        await host.until(lambda: host.host.admission.running == 0)


OUT = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.answer()
    uri = event.headers["X-Call"]
    other = VoxEngine.call_sip(uri, "voxpy", headers={"X-Out": "1", "VI-CallTimeout": "10"})
    def log(e):
        code = getattr(e, "code", getattr(e, "internal_code", ""))
        Logger.write(f"{e.name} {code} {dict(sorted(e.headers.items()))}")
    for kind in (CallEvents.Ringing, CallEvents.Connected, CallEvents.Failed,
                 CallEvents.Disconnected):
        other.add_event_listener(kind, log)
    for kind in (CallEvents.Failed, CallEvents.Disconnected):
        other.add_event_listener(kind, VoxEngine.terminate)
"""


@pytest.mark.parametrize(
    ("code", "told"),
    [(486, "Failed 486"), (603, "Failed 603"), (404, "Failed 404"), (480, "Failed 480")],
)
async def test_a_callee_that_refuses(sip_host: SipHosting, code: int, told: str) -> None:
    async with (
        sip_host(scenario=OUT) as host,
        sip_phone(server=host.server) as caller,
        sip_phone(user="bert", server=host.server) as bert,
    ):
        bert.answers = lambda call: call.leg.reject(code, {"X-Why": "no"})
        headers = {"X-Call": f"sip:bert@127.0.0.1:{bert.port}"}
        call = await caller.call(host.uri("x"), headers=headers)
        await host.until(call.over.is_set)
        await host.until(lambda: host.host.admission.running == 0)
    (log,) = [path.read_text() for path in host.folder.rglob("session.log")]
    assert f"Call.{told} {{'X-Why': 'no'}}" in log


async def test_headers_of_calls_out(sip_host: SipHosting) -> None:
    async with (
        sip_host(scenario=OUT) as host,
        sip_phone(server=host.server) as caller,
        sip_phone(user="bert", server=host.server) as bert,
    ):

        def answer(call: PhoneCall) -> None:
            call.leg.ring({"X-Ring": "a"})
            call.leg.answer({"X-Answer": "b"})

        bert.answers = answer
        headers = {"X-Call": f"sip:bert@127.0.0.1:{bert.port}"}
        call = await caller.connect(host.uri("x"), headers=headers)
        await host.until(lambda: bert.calls and bert.calls[0].answered.is_set())
        assert bert.calls[0].leg.headers == {"X-Out": "1"}
        bert.calls[0].leg.hangup({"X-Bye": "c"})
        await host.until(call.over.is_set)
        await host.until(lambda: host.host.admission.running == 0)
    (log,) = [path.read_text() for path in host.folder.rglob("session.log")]
    for line in (
        "Call.Ringing  {'X-Ring': 'a'}",
        "Call.Connected  {'X-Answer': 'b'}",
        "Call.Disconnected 16 {'X-Bye': 'c'}",
    ):
        assert line in log


async def test_the_trace_has_the_messages_without_their_secrets(sip_host: SipHosting) -> None:
    users = {"routing": "users: {anna: ANNA}\n", "environ": {"ANNA": "secret"}}
    async with (
        sip_host(pattern="anna", scenario=OUT, **users) as host,
        sip_phone(user="anna", server=host.server, password="secret") as anna,
        sip_phone(user="bert", server=host.server) as bert,
    ):
        bert.answers = lambda call: call.leg.answer({})
        headers = {"X-Call": f"sip:bert@127.0.0.1:{bert.port}"}
        call = await anna.connect(host.uri("anna"), headers=headers)
        await host.until(lambda: bert.calls and bert.calls[0].answered.is_set())
        bert.calls[0].leg.hangup({})
        await host.until(call.over.is_set)
        await host.until(lambda: host.host.admission.running == 0)
    (path,) = host.folder.rglob("trace.jsonl")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    sip = [entry for entry in entries if entry["kind"] == "sip"]
    ladder: dict[str, list[str]] = {"call-1": [], "outgoing-1": []}
    for entry in sip:
        ladder[entry["unit"]].append(f"{entry['data']['direction']} {entry['name']}")
    assert ladder["call-1"][0] == "in INVITE"
    assert {"out 200 OK (INVITE)", "in ACK", "out BYE"} <= set(ladder["call-1"])
    assert ladder["outgoing-1"][0] == "out INVITE"
    assert {"in 200 OK (INVITE)", "out ACK", "in BYE"} <= set(ladder["outgoing-1"])
    first = sip[0]["personal"]["text"]
    assert "Authorization: *hidden*" in first
    assert "m=audio" in first
