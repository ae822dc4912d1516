"""Transfers between real phones and a host: by the phone's key and by the scenario."""

from __future__ import annotations

import pytest

from tests.channels.sip.conftest import SipHost, SipHosting
from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.engine.ports import LegTransferred
from voxpy.testing.sipphone import PhoneCall, sip_phone

pytestmark = pytest.mark.slow

USERS = "users: {anna: ANNA, bert: BERT, cleo: CLEO}\n"
PASSWORDS = {"ANNA": "a", "BERT": "b", "CLEO": "c"}

FORWARD = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    VoxEngine.easy_process(
        event.call, VoxEngine.call_user(username=event.destination, callerid=event.callerid))
"""

SENDS_AWAY = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

def log(event):
    Logger.write(f"{event.name} {event.role} {getattr(event, 'code', '')}")

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    for kind in (CallEvents.TransferComplete, CallEvents.TransferFailed):
        call.add_event_listener(kind, log)
    call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    if event.destination == "cleo":
        VoxEngine.easy_process(call, VoxEngine.call_user(username="cleo", callerid="x"))
        return
    call.answer()
    await call.wait_event(CallEvents.Connected)
    if event.destination == "attended":
        cleo = VoxEngine.call_user(username="cleo", callerid="anna")
        await cleo.wait_event(CallEvents.Connected)
        call.transfer_to("", call=cleo)
    else:
        call.transfer_to("cleo")
"""


def outcomes(call: PhoneCall) -> list[int]:
    return [event.code for event in call.events if isinstance(event, LegTransferred)]


def is_loud(call: PhoneCall, since: int = 0) -> bool:
    heard = b"".join(call.heard[since:])
    return bool(heard) and int(abs(decode(heard, PCMU).astype(int)).max()) > 5000


async def hear_each_other(host: SipHost, one: PhoneCall, other: PhoneCall) -> None:
    said = encode(dtmf("5", tone_ms=400), PCMU)
    for speaker, hearer in ((one, other), (other, one)):
        since = len(hearer.heard)

        def heard(speaker: PhoneCall = speaker, hearer: PhoneCall = hearer, n: int = since) -> bool:
            if not speaker.is_speaking:  # a first one may be lost to who was there before
                speaker.says(said)
            return is_loud(hearer, n)

        await host.until(heard)


async def test_a_phone_transfers_the_one_it_was_called_by(sip_host: SipHosting) -> None:
    async with (
        sip_host(scenario=FORWARD, routing=USERS, environ=PASSWORDS) as host,
        sip_phone(user="anna", password="a", server=host.server) as anna,
        sip_phone(user="bert", password="b", server=host.server) as bert,
        sip_phone(user="cleo", password="c", server=host.server) as cleo,
    ):
        assert [await p.register() for p in (bert, cleo)] == [200, 200]
        call = await anna.connect(host.uri("bert"))
        (at_bert,) = bert.calls
        at_bert.transfer("cleo")
        await host.until(lambda: cleo.calls and cleo.calls[0].answered.is_set())
        await host.until(at_bert.over.is_set)
        assert outcomes(at_bert) == [200]
        await hear_each_other(host, call, cleo.calls[0])
        cleo.calls[0].hang_up()
        await host.until(call.over.is_set)
        await host.until(lambda: host.host.admission.running == 0)


async def test_a_phone_transfers_to_somebody_who_is_not_there(sip_host: SipHosting) -> None:
    async with (
        sip_host(scenario=FORWARD, routing=USERS, environ=PASSWORDS) as host,
        sip_phone(user="anna", password="a", server=host.server) as anna,
        sip_phone(user="bert", password="b", server=host.server) as bert,
    ):
        await bert.register()
        call = await anna.connect(host.uri("bert"))
        call.transfer("cleo")
        await host.until(lambda: outcomes(call))
        assert outcomes(call) == [480]
        await hear_each_other(host, call, bert.calls[0])


async def test_a_phone_joins_its_two_calls(sip_host: SipHosting) -> None:
    """Bert answers Anna, asks Cleo, and leaves the two to each other; all three through us."""
    async with (
        sip_host(scenario=FORWARD, routing=USERS, environ=PASSWORDS) as host,
        sip_phone(user="anna", password="a", server=host.server) as anna,
        sip_phone(user="bert", password="b", server=host.server) as bert,
        sip_phone(user="cleo", password="c", server=host.server) as cleo,
    ):
        assert [await p.register() for p in (bert, cleo)] == [200, 200]
        call = await anna.connect(host.uri("bert"))
        (at_bert,) = bert.calls
        asking = await bert.connect(host.uri("cleo"))
        at_bert.transfer("", asking)
        await host.until(lambda: outcomes(at_bert))
        assert outcomes(at_bert) == [200]
        await host.until(at_bert.over.is_set)
        await host.until(asking.over.is_set)
        await hear_each_other(host, call, cleo.calls[0])
        call.hang_up()
        await host.until(cleo.calls[0].over.is_set)
        await host.until(lambda: host.host.admission.running == 0)


async def test_a_scenario_sends_its_caller_away(sip_host: SipHosting) -> None:
    async with (
        sip_host(scenario=SENDS_AWAY, routing=USERS, environ=PASSWORDS) as host,
        sip_phone(user="anna", password="a", server=host.server) as anna,
        sip_phone(user="cleo", password="c", server=host.server) as cleo,
    ):
        assert [await p.register() for p in (anna, cleo)] == [200, 200]
        first = await anna.connect(host.uri("attended"))
        await host.until(first.over.is_set)
        assert len(anna.calls) == 2
        await hear_each_other(host, anna.calls[1], cleo.calls[0])
        anna.calls[1].hang_up()
        await host.until(cleo.calls[0].over.is_set)
        await host.until(lambda: host.host.admission.running == 0)
        second = await anna.connect(host.uri("blind"))
        await host.until(second.over.is_set)
        await hear_each_other(host, anna.calls[-1], cleo.calls[-1])
        assert len(cleo.calls) == 2
        anna.calls[-1].hang_up()
        await host.until(lambda: host.host.admission.running == 0)


async def test_what_nobody_handles_is_declined(sip_host: SipHosting) -> None:
    async with sip_host() as host, sip_phone(server=host.server) as phone:
        call = await phone.connect(host.uri("echo"))
        call.transfer("1002")
        await host.until(lambda: outcomes(call))
        assert outcomes(call) == [603]
        call.hang_up()
