"""Calls out through providers' APIs: a phone calls in, and the scenario calls on by the trunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.channels.mediastream.fakeapi import FakeApi, fake_api
from tests.channels.sip.conftest import SipHost, SipHosting, hosted, hosted_workers
from tests.fleet.test_membership import Line, Server
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.errors import CallFailed
from voxpy.host.metrics import Snapshot
from voxpy.testing.sipphone import PhoneCall, sip_phone

pytestmark = pytest.mark.slow
# ruff: noqa: SIM117  a provider, then a host, and then who calls it

NAMES = ["twilio", "telnyx", "plivo", "vonage"]
CALL_OUT = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    other = VoxEngine.call_pstn("+15550199", "+15550100")
    other.add_event_listener(CallEvents.AudioIdentificationResult,
        lambda e: Logger.write(f"identified {e.audio_type}"))
    VoxEngine.easy_process(event.call, other)
"""
sip_host = pytest.fixture(lambda tmp_path: lambda **more: hosted(tmp_path, **more))
TONE = encode(dtmf("5", tone_ms=300), PCMU)


def trunk(name: str, more: str = "") -> str:
    connection = ", connection: conn-1" if name == "telnyx" else ""
    return f"trunks:\n  main: {{provider: {name}{connection}{more}}}\n"


class Ear:
    """The callee, who repeats nothing and remembers whether it was loud."""

    def __init__(self) -> None:
        self.loud = False

    def rings(self) -> None: ...
    def answered(self) -> None: ...
    def ended(self, code: int, reason: str) -> None: ...
    def receives(self, kind: str, content: str) -> None: ...

    def hears(self, frame: bytes) -> None:
        self.loud |= is_loud(frame)


def is_loud(frame: bytes) -> bool:
    return bool(frame) and int(abs(decode(frame, PCMU).astype(int)).max()) > 5000


async def talk(host: SipHost, call: PhoneCall, api: FakeApi, ear: Ear) -> None:
    await host.until(lambda: api.phone is not None)
    phone = api.phone
    assert phone is not None

    def both() -> bool:
        if not call.is_speaking:
            call.says(TONE)
        if not phone.mouth.buffered_bytes:
            phone.mouth.write(TONE)
        return ear.loud and any(is_loud(frame) for frame in call.heard)

    await host.until(both)


@pytest.mark.parametrize("name", NAMES)
async def test_a_callee_answers_talks_and_hangs_up(sip_host: SipHosting, name: str) -> None:
    ear = Ear()
    async with fake_api(name) as api:
        api.ear = ear
        async with sip_host(
            scenario=CALL_OUT,
            routing=trunk(name, ", callerid: '+15557777', detect_machines: true"),
            environ=api.secret,
            channels=f"  {name}:\n",
        ) as host:
            async with sip_phone(server=host.server) as phone:
                call = await phone.connect(host.uri("x"))
                await talk(host, call, api, ear)
                assert api.phone is not None
                api.phone.far_end_hangs_up()
                await host.until(call.over.is_set)
                await host.until(lambda: host.host.admission.running == 0)
                await host.until(lambda: api.callbacks and set(api.callbacks) == {200})
    (order,) = api.orders
    assert (order.to.lstrip("+"), order.caller.lstrip("+")) == ("15550199", "15557777")
    logged = next(host.folder.rglob("session.log")).read_text()
    assert "identified VOICEMAIL" in logged
    assert not [word for word in api.secret.values() if len(word) > 8 and word in logged]


@pytest.mark.parametrize("name", NAMES)
async def test_a_callee_is_busy(sip_host: SipHosting, name: str) -> None:
    async with fake_api(name, "busy") as api:
        async with sip_host(
            scenario=CALL_OUT, routing=trunk(name), environ=api.secret, channels=f"  {name}:\n"
        ) as host:
            async with sip_phone(server=host.server) as phone:
                with pytest.raises(CallFailed, match="486"):
                    await phone.connect(host.uri("x"))


@pytest.mark.parametrize("name", NAMES)
async def test_a_caller_gives_up_while_it_rings(sip_host: SipHosting, name: str) -> None:
    async with fake_api(name, "never") as api:
        async with sip_host(
            scenario=CALL_OUT, routing=trunk(name), environ=api.secret, channels=f"  {name}:\n"
        ) as host:
            async with sip_phone(server=host.server) as phone:
                call = await phone.call(host.uri("x"))
                await host.until(lambda: api.callbacks)
                call.hang_up()
                await host.until(api.ended.is_set)
                await host.until(lambda: host.host.admission.running == 0)
                await host.until(lambda: len(api.callbacks) == 2)  # the API says it is over, too
    methods = [asked.split()[0] for asked in api.requests]
    assert methods[1:] == [{"plivo": "DELETE", "vonage": "PUT"}.get(name, "POST")]


async def test_whichever_worker_the_provider_comes_to_the_calls_own_answers(tmp_path: Path) -> None:
    async with (
        fake_api("twilio") as api,
        hosted_workers(
            tmp_path,
            2,
            scenario=CALL_OUT,
            routing=trunk("twilio"),
            environ=api.secret,
            channels="  twilio:\n",
        ) as hosts,
        sip_phone(server=hosts[0].server) as phone,
    ):
        taken: set[str] = set()
        while len(taken) < 2 or len(api.orders) < 5:  # the Call-ID decides who has a call
            ear = api.ear = Ear()
            api.phone = None
            call = await phone.connect(hosts[0].uri("x"))
            await talk(hosts[0], call, api, ear)
            call.hang_up()
            await hosts[0].until(lambda: not any(host.host.admission.running for host in hosts))
            await hosts[0].until(lambda: len(api.callbacks) == 3 * len(api.orders))
            taken.add(urlsplit(api.orders[-1].stream_url).path.rpartition("call-")[2][:2])
        assert set(api.callbacks) == {200}
        asked = {path for host in hosts for _, (path, _), _ in callbacks(host)}
        assert asked == {"/twilio/status"}  # no label for every call


async def test_a_provider_that_comes_to_another_host_reaches_the_one_that_called(
    tmp_path: Path,
) -> None:
    server = Server()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with fake_api("twilio") as api:
        setup: dict[str, Any] = {
            "scenario": CALL_OUT,
            "routing": trunk("twilio"),
            "environ": api.secret,
            "channels": "  twilio:\n",
        }
        made = hosted_workers(tmp_path / "two", 1, store=Line(server), name="two", **setup)
        async with made as (two,):
            setup["public_url"] = two.host.options.public_url  # where the balancer sends all of it
            made = hosted_workers(tmp_path / "one", 1, store=Line(server), name="one", **setup)
            async with made as (one,), sip_phone(server=one.server) as phone:
                two.host.fleet.wake()
                await two.until(lambda: len(two.host.fleet.members) == 2)
                ear = api.ear = Ear()
                call = await phone.connect(one.uri("x"))
                await talk(one, call, api, ear)
                assert api.phone is not None
                api.phone.far_end_hangs_up()
                await one.until(call.over.is_set)
                await one.until(lambda: not one.host.admission.running)
                await one.until(lambda: len(api.callbacks) == 3)
                assert set(api.callbacks) == {200}
                assert not two.logged("call began")


def callbacks(host: SipHost) -> Snapshot:
    return [figure for figure in host.host.snapshot() if figure[0] == "voxpy_http_requests"]


async def test_an_api_that_is_down_leaves_the_call_to_the_next_trunk(
    sip_host: SipHosting, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with fake_api("twilio", "refused") as api, hosted(tmp_path_factory.mktemp("b")) as next_:
        next_one = f"{{sip: '{next_.server}', from: [127.0.0.0/8]}}"
        trunks = trunk("twilio") + f"  other: {next_one}\n"
        async with sip_host(
            scenario=CALL_OUT, routing=trunks, environ=api.secret, channels="  twilio:\n"
        ) as host:
            async with sip_phone(server=host.server) as phone:
                call = await phone.connect(host.uri("x"))
                call.says(TONE)
                await host.until(lambda: any(is_loud(frame) for frame in call.heard))
                call.hang_up()
    assert len(api.requests) == 1


async def test_a_stranger_tells_nothing_of_our_calls(sip_host: SipHosting) -> None:
    import httpx

    async with fake_api("twilio", "never") as api:
        async with sip_host(
            scenario=CALL_OUT, routing=trunk("twilio"), environ=api.secret, channels="  twilio:\n"
        ) as host:
            async with sip_phone(server=host.server) as phone:
                call = await phone.call(host.uri("x"))
                await host.until(lambda: api.callbacks)
                (url,) = api.orders[0].status_urls
                async with httpx.AsyncClient() as client:
                    answer = await client.post(url, data={"CallStatus": "busy"})
                assert answer.status_code == 403
                assert call.end is None
                call.hang_up()
