"""Two workers on the same ports: whichever gets a message, the call's own worker answers it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.channels.sip.conftest import SipHost, hosted_workers
from tests.channels.sip.test_transfers import hear_each_other, outcomes
from tests.fleet.test_membership import Line, Server
from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU
from voxpy.audio.tones import dtmf
from voxpy.channels.sip.sharing import owner_in, owner_of
from voxpy.engine import clock
from voxpy.testing.sipphone import sip_phone
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.message import Request, Response
from voxpy.wire.sip.registrar import Binding
from voxpy.wire.sip.values import parse_uri

slow = pytest.mark.slow
USERS = "users: {anna: ANNA, bert: BERT}\n"
PASSWORDS = {"ANNA": "a", "BERT": "b"}
FORWARD = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    VoxEngine.easy_process(
        event.call, VoxEngine.call_user(username=event.destination, callerid=event.callerid))
"""


async def all_idle(hosts: list[SipHost]) -> None:
    await hosts[0].until(lambda: all(host.host.admission.running == 0 for host in hosts))


def taken(hosts: list[SipHost]) -> list[int]:
    return [len(host.logged("call began")) for host in hosts]


@slow
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_spread_over_workers_and_none_is_lost(tmp_path: Path, transport: str) -> None:
    async with (
        hosted_workers(tmp_path, 2) as hosts,
        sip_phone(server=hosts[0].server, transport=transport) as phone,
    ):
        made = 0
        while made < 12 or not all(taken(hosts)):
            call = await phone.connect(f"{hosts[0].uri('echo')};transport={transport}")
            call.says(encode(dtmf("5", tone_ms=100), PCMU))
            call.hang_up()
            made += 1
        await all_idle(hosts)
        assert sum(taken(hosts)) == made
        ends = [e["data"]["reason"] for host in hosts for e in host.logged("call ended")]
        assert ends == ["terminated"] * made


@slow
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_user_is_reached_from_every_worker(tmp_path: Path, transport: str) -> None:
    """One has the connection, one has answered the REGISTER, and one is neither."""
    async with (
        hosted_workers(tmp_path, 3, scenario=FORWARD, routing=USERS, environ=PASSWORDS) as hosts,
        sip_phone(user="anna", password="a", server=hosts[0].server, transport=transport) as anna,
        sip_phone(user="bert", password="b", server=hosts[0].server, transport=transport) as bert,
    ):
        assert await bert.register() == 200
        while not all(taken(hosts)):  # the Call-ID decides
            call = await anna.connect(f"{hosts[0].uri('bert')};transport={transport}")
            bert.calls[-1].hang_up()
            await hosts[0].until(call.over.is_set)
        assert sum(taken(hosts)) == len(bert.calls)


@slow
async def test_giving_up_and_repeating_find_the_worker_of_the_call(tmp_path: Path) -> None:
    scenario = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, VoxEngine.terminate)
    event.call.ring()
"""
    async with (
        hosted_workers(tmp_path, 2, scenario=scenario) as hosts,
        sip_phone(server=hosts[0].server) as phone,
    ):
        made = 0
        while not all(taken(hosts)):  # the Call-ID decides
            calls = [await phone.call(hosts[0].uri(f"x{n}")) for n in range(6)]
            for call in calls:
                await hosts[0].until(call.ringing.is_set)
                call.hang_up()
            await all_idle(hosts)
            made += len(calls)
            assert sum(taken(hosts)) == made


@slow
async def test_an_attended_transfer_across_workers(tmp_path: Path) -> None:
    users = "users: {anna: ANNA, bert: BERT, cleo: CLEO}\n"
    environ = {**PASSWORDS, "CLEO": "c"}
    async with (
        hosted_workers(tmp_path, 2, scenario=FORWARD, routing=users, environ=environ) as hosts,
        sip_phone(user="anna", password="a", server=hosts[0].server) as anna,
        sip_phone(user="bert", password="b", server=hosts[0].server) as bert,
        sip_phone(user="cleo", password="c", server=hosts[0].server) as cleo,
    ):
        for phone in (bert, cleo):
            assert await phone.register() == 200
        for n in range(4):
            call = await anna.connect(hosts[0].uri("bert"))
            asking = await bert.connect(hosts[0].uri("cleo"))
            (at_bert,) = [c for c in bert.calls if c.leg.incoming and not c.over.is_set()]
            at_bert.transfer("", asking)
            await hosts[0].until(at_bert.over.is_set)
            await hosts[0].until(asking.over.is_set)
            call.hang_up()
            await hosts[0].until(cleo.calls[n].over.is_set)


@pytest.mark.parametrize(
    ("word", "owner"),
    [("w1.abc", 1), ("w7.abc", None), ("abc", None), ("wx.1", None), ("w1", None)],
)
def test_whose_a_word_is(word: str, owner: int | None) -> None:
    assert owner_in(word, 4) == owner


def test_a_call_that_comes_in_always_finds_the_same_worker() -> None:
    def request(method: str, to: str) -> Request:
        made = Request(method=method, uri=parse_uri("sip:a@b"))
        made.headers.extend({"To": to, "Call-ID": "x@y", "CSeq": f"1 {method}"})
        return made

    first = owner_of(request("INVITE", "<sip:a@b>"), 8)
    assert owner_of(request("CANCEL", "<sip:a@b>"), 8) == first
    assert owner_of(request("BYE", "<sip:a@b>;tag=w3.77"), 8) == 3


@slow
async def test_a_user_is_reached_from_every_host(tmp_path: Path) -> None:
    server, line = Server(), Line(Server())
    line.server = server
    setup: dict[str, Any] = {"scenario": FORWARD, "routing": USERS, "environ": PASSWORDS}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        hosted_workers(tmp_path / "one", 1, store=line, name="one", **setup) as (one,),
        hosted_workers(tmp_path / "two", 1, store=Line(server), name="two", **setup) as (two,),
        sip_phone(user="anna", password="a", server=one.server) as anna,
        sip_phone(user="bert", password="b", server=two.server) as bert,
        sip_phone(user="bert", password="b", server=one.server) as other,
    ):
        assert await bert.register() == 200
        await one.until(lambda: server.store._find("users/bert/"))
        call = await anna.connect(one.uri("bert"))
        bert.calls[0].hang_up()
        await one.until(call.over.is_set)
        assert await other.register() == 200  # and at a second place: both ring
        ringing = await anna.call(one.uri("bert"))
        await one.until(lambda: len(bert.calls) == 2 and len(other.calls) == 1)
        ringing.hang_up()
        assert await two.host._users() == {"anna": 0, "bert": 2}
        assert await bert.register(0) == 200
        line.cut = True  # what is known here goes on
        again = await anna.connect(one.uri("bert"))
        again.hang_up()
        await one.until(other.calls[1].over.is_set)
        await all_idle([one, two])


@slow
@pytest.mark.parametrize(("transport", "workers"), [("tcp", 1), ("tcp", 3), ("tls", 3)])
async def test_a_phone_with_a_connection_to_another_host_is_reached_by_it(
    tmp_path: Path, transport: str, workers: int
) -> None:
    server, authority = Server(), trustme.CA()
    setup: dict[str, Any] = {"scenario": FORWARD, "routing": USERS, "environ": PASSWORDS}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        issued = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
        issued.write_to_path(str(tmp_path / name / "sip.pem"))
    setup["more"] = ", tls_port: 0, certificate: sip.pem"
    made = hosted_workers(tmp_path / "two", workers, store=Line(server), name="two", **setup)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    of_bert: dict[str, Any] = {"transport": transport, "tls": trusting}
    async with (
        hosted_workers(tmp_path / "one", 1, store=Line(server), name="one", **setup) as (one,),
        made as others,
        sip_phone(user="anna", password="a", server=one.server) as anna,
        sip_phone(
            user="bert",
            password="b",
            server=others[0].server if transport == "tcp" else others[0].tls_server,
            **of_bert,
        ) as bert,
    ):
        assert await bert.register() == 200
        await one.until(lambda: server.store._find("users/bert/"))
        for n, hangs_up in enumerate((anna, bert, anna, bert)):
            call = await anna.connect(one.uri("bert"))
            call.says(encode(dtmf("5", tone_ms=200), PCMU))
            await one.until(lambda: any(bert.calls[-1].heard))
            (call if hangs_up is anna else bert.calls[n]).hang_up()
            await one.until(call.over.is_set)
            await one.until(bert.calls[n].over.is_set)
        bert.answers = lambda call: call.leg.ring({})
        ringing = await anna.call(one.uri("bert"))
        await one.until(ringing.ringing.is_set)
        ringing.hang_up()  # a CANCEL
        await one.until(bert.calls[4].over.is_set)
        bert.answers = lambda call: call.leg.reject(486, {})
        busy = await anna.call(one.uri("bert"))
        await one.until(busy.over.is_set)
        assert busy.end is not None
        assert busy.end.code == 486
        await all_idle([one, *others])
        assert taken([one, *others]) == [6] + [0] * workers, "the other host only passes on"


@slow
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("names", ["the call", "the user"])
async def test_a_phone_joins_calls_that_two_hosts_have(
    tmp_path: Path, workers: int, names: str
) -> None:
    """As behind a proxy that spreads the calls of one phone over all hosts."""
    server = Server()
    users = "users: {anna: ANNA, bert: BERT, cleo: CLEO}\n"
    passwords = {**PASSWORDS, "CLEO": "c"}
    setup: dict[str, Any] = {"scenario": FORWARD, "routing": users, "environ": passwords}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    made = (
        hosted_workers(tmp_path / name, workers, store=Line(server), name=name, **setup)
        for name in ("one", "two")
    )
    async with (
        next(made) as ones,
        next(made) as twos,
        sip_phone(user="anna", password="a", server=ones[0].server) as anna,
        sip_phone(user="bert", password="b", server=twos[0].server) as bert,
        sip_phone(user="cleo", password="c", server=twos[0].server) as cleo,
    ):
        assert [await p.register() for p in (bert, cleo)] == [200, 200]
        await ones[0].until(lambda: server.store._find("users/cleo/"))
        call = await anna.connect(ones[0].uri("bert"))
        (at_bert,) = bert.calls
        asking = await bert.connect(twos[0].uri("cleo"))
        assert sum(taken(twos)) == 1
        at_bert.transfer("" if names == "the call" else ones[0].uri("cleo"), asking)
        await ones[0].until(lambda: outcomes(at_bert))
        assert outcomes(at_bert) == [200]
        await ones[0].until(at_bert.over.is_set)
        await ones[0].until(asking.over.is_set)
        await hear_each_other(ones[0], call, cleo.calls[0])
        assert len(cleo.calls) == 1, "she is taken over, not called again"
        call.hang_up()
        await ones[0].until(cleo.calls[0].over.is_set)
        await all_idle([*ones, *twos])


@slow
async def test_a_user_behind_a_proxy_is_known_to_all_and_outlives_a_host(tmp_path: Path) -> None:
    server = Server()
    setup: dict[str, Any] = {"scenario": FORWARD, "routing": USERS, "environ": PASSWORDS}
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with hosted_workers(tmp_path / "two", 1, store=Line(server), name="two", **setup) as (
        two,
    ):
        endpoint = two.host.listeners[0]._running[0]  # type: ignore[attr-defined]
        async with hosted_workers(tmp_path / "one", 1, store=Line(server), name="one", **setup) as (
            one,
        ):
            first = one.host.listeners[0]._running[0]  # type: ignore[attr-defined]
            path = ("<sip:127.0.0.1:5999;lr>",)
            binding = Binding(
                contact=parse_uri("sip:bert@10.9.9.9:5060"),
                flow=Flow("UDP", "127.0.0.1", 5999),
                expires_at=clock.now() + 300,
                call_id="x",
                sequence=1,
                path=path,
            )

            def register() -> Response:
                first.registrar.adopt("bert", [binding])
                return Response(status=200)

            await first.whereabouts.register("bert", register)
        await endpoint.whereabouts.learn("bert")
        found = endpoint.registrar.contacts("bert", clock.now())
    assert [(str(b.contact), b.path) for b in found] == [("sip:bert@10.9.9.9:5060", path)]


@slow
async def test_a_stranger_who_names_a_connection_gets_no_further(tmp_path: Path) -> None:
    setup: dict[str, Any] = {"scenario": FORWARD, "routing": USERS, "environ": PASSWORDS}
    async with (
        hosted_workers(tmp_path, 1, store=Line(Server()), name="one", **setup) as (one,),
        sip_phone(server=one.server) as stranger,
    ):
        flow = b"TCP 127.0.0.1 9 0".hex()
        headers = {"Route": f"<sip:{one.server};lr;voxpy-flow={flow}.{'0' * 32}>"}
        call = await stranger.call(one.uri("bert"), headers=headers)
        await one.until(call.over.is_set)
        assert call.end is not None
        assert call.end.code == 403
        assert taken([one]) == [0]
