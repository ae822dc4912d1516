"""Calls between phones and a host over sockets of this machine, which keep virtual time."""

from __future__ import annotations

import pytest
import trio

from tests.channels.sip.conftest import SipHosting, hosted
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.channels.sip.codecs import named_codecs
from voxpy.channels.sip.negotiation import Speech
from voxpy.errors import CallFailed
from voxpy.testing.sipphone import sip_phone

# ruff: noqa: SIM117  a host, and then who calls it

USERS = "users: {anna: ANNA, bert: BERT}\n"
PASSWORDS = {"ANNA": "secret-a", "BERT": "secret-b"}


async def test_a_phone_hears_its_own_voice(sip_host: SipHosting, autojump_clock: object) -> None:
    async with sip_host() as host, sip_phone(server=host.server) as phone:
        call = await phone.connect(host.uri("echo"))
        said = encode(dtmf("5", tone_ms=400), PCMU)
        call.says(said)
        await host.until(lambda: b"".join(call.heard).count(said[:160]) > 0)
        call.hang_up()
        await host.until(lambda: host.host.admission.running == 0)
    (ended,) = host.logged("call ended")
    assert ended["data"]["reason"] == "terminated"


async def test_a_number_that_no_rule_takes(sip_host: SipHosting, autojump_clock: object) -> None:
    async with sip_host(pattern="echo") as host, sip_phone(server=host.server) as phone:
        with pytest.raises(CallFailed, match="404"):
            await phone.connect(host.uri("nobody"))


async def test_a_full_host_sends_callers_to_the_next(sip_host: SipHosting) -> None:
    async with sip_host() as host, sip_phone(server=host.server) as phone:
        host.host.admission.most_calls = 0
        with pytest.raises(CallFailed, match="503"):
            await phone.connect(host.uri("echo"))


def is_loud(frames: list[bytes]) -> bool:
    return bool(frames) and int(abs(decode(b"".join(frames), PCMU).astype(int)).max()) > 5000


FORWARD = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    if event.destination == "bert":
        bert = VoxEngine.call_user(username="bert", callerid=event.callerid)
        VoxEngine.easy_process(event.call, bert)
    else:
        event.call.add_event_listener(CallEvents.Failed, VoxEngine.terminate)
        event.call.reject(486)
        VoxEngine.terminate()
"""


async def test_users_register_and_are_called(sip_host: SipHosting, autojump_clock: object) -> None:
    async with sip_host(scenario=FORWARD, routing=USERS, environ=PASSWORDS) as host:
        async with (
            sip_phone(user="anna", password="secret-a", server=host.server) as anna,
            sip_phone(user="bert", password="secret-b", server=host.server) as bert,
        ):
            assert await bert.register() == 200
            call = await anna.connect(host.uri("bert"))
            (other,) = bert.calls
            said = encode(dtmf("5", tone_ms=400), PCMU)
            call.says(said)
            await host.until(lambda: is_loud(other.heard))
            other.hang_up()
            with trio.fail_after(10):
                await call.over.wait()


async def test_who_is_busy_and_who_is_not_there(
    sip_host: SipHosting, autojump_clock: object
) -> None:
    async with sip_host(scenario=FORWARD, routing=USERS, environ=PASSWORDS) as host:
        async with sip_phone(user="anna", password="secret-a", server=host.server) as anna:
            with pytest.raises(CallFailed, match="486"):
                await anna.connect(host.uri("+15550100"))
            with pytest.raises(CallFailed, match="480"):
                await anna.connect(host.uri("bert"))


@pytest.mark.parametrize(("user", "password"), [("anna", "guess"), ("mallory", "secret-a")])
async def test_strangers_cannot_call(sip_host: SipHosting, user: str, password: str) -> None:
    async with sip_host(routing=USERS, environ=PASSWORDS) as host:
        async with sip_phone(user=user, password=password, server=host.server) as stranger:
            assert await stranger.register() == 403
            with pytest.raises(CallFailed, match="403"):
                await stranger.connect(host.uri("echo"))
        assert host.host.admission.running == 0
    assert "secret" not in host.output.getvalue()


CALL_OUT = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    other = VoxEngine.call_pstn("+15550199", "+15550100")
    VoxEngine.easy_process(event.call, other)
"""


async def test_a_number_goes_by_the_trunk_that_answers(
    sip_host: SipHosting, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with hosted(tmp_path_factory.mktemp("carrier")) as carrier:
        trunks = (
            "trunks:\n"
            "  dead: {sip: '127.0.0.1:9;transport=tcp'}\n"
            f"  carrier: {{sip: '{carrier.server}', callerid: '+15557777'}}\n"
            "  mine: {sip: unused.invalid, numbers: nothing, from: [127.0.0.0/8]}\n"
        )
        async with sip_host(scenario=CALL_OUT, routing=trunks) as host:
            async with sip_phone(server=host.server) as phone:
                call = await phone.connect(host.uri("x"))
                said = encode(dtmf("5", tone_ms=400), PCMU)
                call.says(said)
                await host.until(lambda: is_loud(call.heard))
                call.hang_up()
                await host.until(lambda: carrier.host.admission.running == 0)
        (began,) = carrier.logged("call began")
        personal = {**began["data"], **began.get("personal", {})}
        assert personal["callerid"] == "+15557777"
        assert personal["destination"] == "+15550199"


DIGITS = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    call.handle_tones(True)
    call.add_event_listener(CallEvents.ToneReceived, lambda e: call.send_digits(e.tone))
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    call.answer()
"""


async def test_digits_come_and_go_beside_the_audio(
    sip_host: SipHosting, autojump_clock: object
) -> None:
    async with sip_host(scenario=DIGITS) as host, sip_phone(server=host.server) as phone:
        call = await phone.connect(host.uri("digits"))
        call.leg.handle_tones(True)
        call.leg.send_digits("19#")
        await host.until(lambda: call.digits == "19#")
        call.leg.send_info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", {})
        await host.until(lambda: call.digits == "19#5")


async def test_a_call_that_is_given_up_is_cancelled(
    sip_host: SipHosting, autojump_clock: object
) -> None:
    scenario = DIGITS.replace("    call.answer()\n", "    call.ring()\n").replace(
        "    call.handle_tones",
        "    call.add_event_listener(CallEvents.Failed, VoxEngine.terminate)\n"
        "    call.handle_tones",
    )
    async with sip_host(scenario=scenario) as host, sip_phone(server=host.server) as phone:
        call = await phone.call(host.uri("x"))
        with trio.fail_after(10):
            await call.ringing.wait()
        call.hang_up()
        await host.until(lambda: host.host.admission.running == 0)
    assert host.logged("call ended")


CONNECTED = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call

    def connected(e):
        Logger.write(f"told {e.encrypted} {len(e.sip_call_id) > 5} {e.sip_transport}")

    call.add_event_listener(CallEvents.Connected, connected)
    call.add_event_listener(
        CallEvents.AudioQualityDetected, lambda e: Logger.write(f"told {e.quality}")
    )
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    call.answer()
"""


@pytest.mark.parametrize(
    ("srtp", "codec", "told"),
    [
        ("require", "g722", ["True True UDP", "HD"]),
        ("off", "pcmu", ["False True UDP", "Standard"]),
    ],
)
async def test_a_scenario_sees_how_it_is_connected(
    sip_host: SipHosting, autojump_clock: object, srtp: str, codec: str, told: list[str]
) -> None:
    async with sip_host(scenario=CONNECTED) as host, sip_phone(server=host.server) as phone:
        phone.speech = Speech(codecs=named_codecs([codec]), srtp=srtp)
        call = await phone.connect(host.uri("x"))
        await trio.sleep(0.5)
        call.hang_up()
        await host.until(lambda: host.host.admission.running == 0)
        (log,) = host.folder.rglob("session.log")
        lines = log.read_text().splitlines()
        assert [line.split("told ")[1] for line in lines if "told " in line] == told
        kept = "".join(path.read_text() for path in host.folder.rglob("*.jsonl"))
        assert "inline:" not in kept.replace("inline:***", "")
