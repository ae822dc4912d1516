"""baresip calls a real host over loopback, and is called by it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from tests.channels.sip.conftest import hosted_workers
from tests.channels.sip.peers.baresip import (
    ALIKE,
    Baresip,
    Samples,
    baresip,
    likeness,
    speech_like,
)
from tests.channels.sip.peers.conftest import Served
from tests.channels.sip.peers.processes import WAIT_S, needs
from tests.channels.sip.test_sharing import FORWARD, PASSWORDS, USERS
from tests.fleet.test_membership import Line, Server
from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU
from voxpy.audio.resample import Resampler
from voxpy.localagent.engines import local_engines
from voxpy.localagent.rules import RuleResponder
from voxpy.localagent.topics import load_topics
from voxpy.testing.sipphone import sip_phone

pytestmark = [
    pytest.mark.slow,
    needs("baresip", "baresip-core"),
]


LEAD_S = 0.6
"""Silence in which the jitter buffers find their depth."""


def phone(host: Served, user: str, **more: Any) -> AbstractAsyncContextManager[Baresip]:
    """A phone of one of the host's users."""
    more = {"at": host.at, "password": f"secret-{user}", **more}
    return baresip(user, **more)


def spoken(seconds: float, seed: int) -> Samples:
    return np.concatenate(
        [np.zeros(round(LEAD_S * 8000), np.int16), speech_like(seconds, seed=seed)]
    )


async def test_a_phone_hears_itself_over_every_transport(host: Served) -> None:
    says = spoken(2, seed=1)

    async def try_it(user: str, transport: str) -> None:
        at = host.tls_at if transport == "tls" else host.at
        more = {"at": at, "transport": transport, "certificate": host.certificate}
        async with phone(host, user, says=says, **more) as person:
            await person.dial(f"sip:echo@{at};transport={transport}")
            await person.hears(len(says) / 8000 + 0.3)
            await person.hang_up()
            assert likeness(speech_like(2, seed=1), person.heard()) > ALIKE, transport
        record = await (await host.began(callerid=user, destination="echo")).ended()
        assert record["end_reason"] == "terminated"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(try_it, "anna", "udp")
        nursery.start_soon(try_it, "bert", "tcp")
        nursery.start_soon(try_it, "carl", "tls")


async def test_the_agents_greeting_arrives_in_words(host: Served) -> None:
    engines = local_engines(RuleResponder(load_topics(None)))
    async with phone(host, "anna") as anna:
        await anna.dial(f"sip:agent@{host.at}")
        session = await host.began(callerid="anna", destination="agent")
        await session.writes("agent heard")
        await anna.hang_up()
        await session.ended()
        wide = Resampler(8000, 16000).process(anna.heard())
        heard = engines.ears.transcribe(wide[-16000 * 10 :]).lower()
    assert "hi, this is" in heard
    assert "what would you like to know about" in heard


@pytest.mark.parametrize("way", ["rtpevent", "info"])
async def test_keys_go_both_ways_and_either_side_hangs_up(host: Served, way: str) -> None:
    more = f";dtmfmode={way}"
    async with phone(host, "anna", more=more) as anna, phone(host, "bert", more=more) as bert:
        await anna.dial(f"sip:line@{host.at}")
        await bert.dial(f"sip:line@{host.at}")
        session = await host.began(callerid="anna", destination="line")
        await anna.press("19*")
        for key in "19*":
            await session.writes(f"key {key}")
        await anna.until(lambda: anna.digits == "19*", f"heard its keys, only {anna.digits!r}")
        await anna.press("#")
        await anna.sees("CALL_CLOSED")
        await bert.hang_up()
        for user in ("anna", "bert"):
            session = await host.began(callerid=user, destination="line")
            record = await session.ended()
            assert record["end_reason"] == "terminated"


@pytest.mark.parametrize("by", ["user", "address"])
async def test_two_phones_are_joined(host: Served, by: str) -> None:
    ours, theirs = spoken(2, seed=5), spoken(2, seed=6)
    async with phone(host, "anna", says=ours) as anna, phone(host, "bert", says=theirs) as bert:
        called = "bert" if by == "user" else f"sip-bert-{bert.port}"
        await anna.dial(f"sip:{called}@{host.at}")
        for person in (anna, bert):
            await person.hears(len(ours) / 8000 + 0.4)
        await bert.hang_up()
        await anna.sees("CALL_CLOSED")
        assert likeness(speech_like(2, seed=5), bert.heard()) > ALIKE
        assert likeness(speech_like(2, seed=6), anna.heard()) > ALIKE
        record = await (await host.began(callerid="anna", destination=called)).ended()
        assert len(record["calls"]) == 2


async def hears_its_key(phone: Baresip, key: str) -> None:
    """Press a key until the phone hears it back: one pressed too early is lost."""
    with trio.fail_after(WAIT_S):
        while not phone.digits.endswith(key):
            await phone.press(key)
            with trio.move_on_after(1):
                await phone.until(lambda: phone.digits.endswith(key), "heard its key")


async def test_hold_and_resume(host: Served) -> None:
    """Keys show that audio goes both ways again: baresip's recording ends with the first hold."""
    async with phone(host, "anna") as anna:
        await anna.dial(f"sip:line@{host.at}")
        session = await host.began(callerid="anna", destination="line")
        await hears_its_key(anna, "1")
        await anna.command("hold")
        await session.writes("Event Call.OnHold")
        await anna.command("resume")
        await session.writes("Event Call.OffHold")
        await hears_its_key(anna, "2")
        await anna.hang_up()
        await session.ended()


async def test_a_phones_transfer_key_joins_the_other_two(host: Served) -> None:
    says = spoken(8, seed=8)
    async with (
        phone(host, "anna", says=spoken(8, seed=7)) as anna,
        phone(host, "bert", says=says) as bert,
        phone(host, "carl") as carl,
    ):
        await anna.dial(f"sip:bert@{host.at}")
        await bert.sees("CALL_ESTABLISHED")
        await anna.command("transfer", f"sip:carl@{host.at}")
        await carl.sees("CALL_ESTABLISHED")
        await anna.sees("CALL_CLOSED")
        await carl.recognises(says)
        await carl.hang_up()
        await bert.sees("CALL_CLOSED")
        await (await host.began(callerid="anna", destination="bert")).ended()


@pytest.mark.parametrize("how", ["send", "leave"])
async def test_a_scenario_sends_its_caller_on(host: Served, how: str) -> None:
    """Blind, and attended. baresip 1.0 does not know Replaces: bert has two calls then."""
    says = spoken(8, seed=9)
    async with phone(host, "anna", says=says) as anna, phone(host, "bert") as bert:
        await anna.command("dial", f"sip:{how}-bert@{host.at}")
        session = await host.began(callerid="anna", destination=f"{how}-bert")
        await session.writes("Event Call.TransferComplete")
        assert (await session.ended())["end_reason"] == "terminated"
        await bert.sees("CALL_ESTABLISHED", times=2 if how == "leave" else 1)
        await bert.recognises(says, call=-1)
        await bert.hang_up()


async def test_a_phone_with_a_connection_to_another_host_is_reached_by_it(tmp_path: Path) -> None:
    server = Server()
    setup: dict[str, Any] = {"scenario": FORWARD, "routing": USERS, "environ": PASSWORDS}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        hosted_workers(tmp_path / "one", 1, store=Line(server), name="one", **setup) as (one,),
        hosted_workers(tmp_path / "two", 2, store=Line(server), name="two", **setup) as (two, _),
        sip_phone(user="anna", password="a", server=one.server) as anna,
        baresip("bert", at=two.server, password="b", transport="tcp") as bert,
    ):
        await one.until(lambda: server.store._find("users/bert/"))
        call = await anna.connect(one.uri("bert"))
        call.says(encode(speech_like(1, seed=9), PCMU))
        await bert.until(lambda: np.abs(bert.heard()).max(initial=0) > 1000, "heard")
        call.hang_up()
        await bert.sees("CALL_CLOSED")
        again = await anna.connect(one.uri("bert"))
        await bert.hang_up()
        await one.until(again.over.is_set)
