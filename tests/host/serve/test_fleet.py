"""Two hosts that share: a session is found from either, as if there were one."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from tests.fleet.test_membership import Line, Server, beats
from tests.host.serve.conftest import ECHO, Running, hosted
from tests.host.serve.test_api import OPERATOR, TOKENS
from tests.host.serve.test_pages import START, page
from tests.host.serve.test_supervising import SILENT, say, share
from voxpy.channels.outgoing import Trunk
from voxpy.channels.providers.twilio import twilio_signature
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.ports import Endpoint, Leg, OutgoingCall
from voxpy.errors import ConnectFailed, HandshakeRefused
from voxpy.fleet.membership import Fleet
from voxpy.fleet.storage import SharedStorage
from voxpy.host.requesthead import Head, read_head
from voxpy.testing import SocketPeer

ASKED = """
from voxpy import AppEvents, VoxEngine, WebSocketEvents
VoxEngine.allow_websocket_connections()

@VoxEngine.on(AppEvents.HttpRequest)
async def asked(event):
    return event.content.upper()

@VoxEngine.on(AppEvents.WebSocket)
def connected(event):
    event.websocket.add_event_listener(
        WebSocketEvents.MESSAGE, lambda e: event.websocket.send(e.text.upper())
    )
"""


@attrs.define
class Pair:
    """Both hosts, and the ways between them."""

    server: Server
    hosts: dict[str, Running] = attrs.field(factory=dict)
    tries: list[str] = attrs.field(factory=list)

    async def open(self, endpoint: Endpoint) -> trio.abc.Stream:
        self.tries.append(endpoint.host)
        if endpoint.host not in self.hosts:
            raise ConnectFailed(f"{endpoint.host}: cannot connect")
        return await self.hosts[endpoint.host].sockets.dial()


@asynccontextmanager
async def pair(folder: Path, **more: Any) -> AsyncIterator[tuple[Running, Running, Pair]]:
    ways = Pair(Server())

    @asynccontextmanager
    async def host(name: str) -> AsyncIterator[Running]:
        (folder / name).mkdir()
        fleet = Fleet(Line(ways.server), host=name)
        storage = SharedStorage(fleet.store)
        setup: dict[str, Any] = {
            "storage": storage,
            "scenario": ASKED,
            "environ": TOKENS,
            "fleet": fleet,
            **more,
        }
        async with hosted(folder / name, fleet_url=f"http://{name}", **setup) as runs:
            ways.hosts[name] = runs
            runs.host.handler.open_stream = ways.open
            runs.host.handler.relay = attrs.evolve(runs.host.handler.relay, open_stream=ways.open)
            yield runs

    async with host("one") as one, host("two") as two:
        await beats(2)
        yield one, two, ways


async def ask(running: Running, method: str, path: str, **more: Any) -> httpx.Response:
    return await running.ask(method, path, headers=OPERATOR, **more)


async def start(running: Running) -> tuple[str, str]:
    told = await ask(running, "POST", "/platform_api/StartScenarios?rule_name=echo")
    answer = told.json()
    path = answer["media_session_access_url"].removeprefix("http://host.test")
    return answer["call_session_history_id"], path


async def test_a_session_is_asked_and_ended_from_either_host(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with pair(tmp_path) as (one, two, ways):
        session, path = await start(one)
        for running in (one, two):
            told = await ask(running, "POST", path, content="hello")
            assert (told.status_code, told.text) == (200, "HELLO")
        assert ways.tries == ["one"]
        peer = SocketPeer(await two.connect(path))
        two.nursery.start_soon(peer.run)
        peer.send("hi")
        assert await peer.receive(within_s=60) == "HI"
        peer.close()
        await peer.wait_closed()
        shown = await ask(two, "GET", f"/api/sessions/{session}")
        assert shown.json()["result"]["session_id"] == session
        ended = await ask(two, "POST", f"/api/sessions/{session}/hangup")
        assert ended.status_code == 200
        await one.until(lambda: not one.calls)
        gone = await ask(two, "POST", path, content="hello")
        assert gone.status_code == 404
        log = await ask(two, "GET", f"/api/sessions/{session}/log")  # that is on the disk of one
        assert log.status_code == 200


async def test_a_host_that_is_gone_or_does_not_answer_is_named(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with pair(tmp_path) as (one, two, ways):
        session, path = await start(one)
        del ways.hosts["one"]  # the network between them
        told = await ask(two, "POST", path, content="hello")
        assert told.status_code == 502
        assert "'one'" in told.text
        with pytest.raises(HandshakeRefused, match="502"):
            await two.connect(path)
        line = one.host.fleet.store
        assert isinstance(line, Line)
        line.cut = True
        await beats(4)
        told = await ask(two, "POST", path, content="hello")
        assert told.status_code == 410
        assert "is gone" in told.text
        told = await ask(two, "GET", f"/api/sessions/{session}")  # perhaps it is in the history
        assert told.status_code == 404


async def test_a_wrong_fleet_url_makes_no_circle(tmp_path: Path, autojump_clock: object) -> None:
    async with pair(tmp_path) as (one, two, ways):
        _, path = await start(one)
        ways.hosts["one"] = two  # as a balancer would, which is no host's own address
        told = await ask(two, "POST", path, content="hello")
        assert told.status_code == 508
        assert "--fleet-url" in told.text
        assert ways.tries == ["one"]


async def test_who_the_client_is_goes_along_and_nobody_else_can_say_it(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with pair(tmp_path) as (one, two, _):
        session, _ = await start(one)
        asks = f"POST /api/sessions/{session}/hangup HTTP/1.1\r\nhost: a\r\n\r\n".encode()
        client, ours = trio.testing.memory_stream_pair()
        theirs, passed = trio.testing.memory_stream_pair()

        async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
            return theirs

        relay = attrs.evolve(two.host.handler.relay, open_stream=open_stream)
        await client.send_all(asks)
        head = await _head(ours)
        two.nursery.start_soon(
            partial(relay.passes_on, ours, head, "203.0.113.9", worth=lambda: None)
        )
        came = await _head(passed)
        there = one.host.handler.relay
        assert there.client(came, "10.0.0.2") == "203.0.113.9"
        for said, lie in ((b"203.0.113.9 ", b"127.0.0.1 "), (b"hangup", b"log"), (b"POST", b"PUT")):
            client, ours = trio.testing.memory_stream_pair()
            await client.send_all(came.raw.replace(said, lie))
            assert there.client(await _head(ours), "10.0.0.2") == "10.0.0.2"


async def _head(stream: trio.abc.Stream) -> Head:
    return await read_head(stream, most_bytes=10_000, until=math.inf)


LIMITED = """
rules:
  - {name: echo, pattern: '.*', scenarios: [echo.py], most_calls: 3}
"""


async def test_a_rule_has_so_many_calls_in_all_hosts(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with pair(tmp_path, scenario=ECHO, routing=LIMITED) as (one, two, ways):
        phones = [await one.phone(), await one.phone(), await two.phone()]
        await one.until(lambda: all(phone.received for phone in phones))
        for running in (one, two):
            refused = await running.phone()
            await running.until(lambda refused=refused: refused.info)
            assert not refused.received
            (said,) = running.logged("call refused")[-1:]
            assert said["data"]["detail"] == "rule 'echo' has its 3 calls"
            told = await ask(running, "POST", "/platform_api/StartScenarios?rule_name=echo")
            assert told.status_code == 503
            assert "has its 3 calls" in told.text
        phones[0].far_end_hangs_up()
        await one.until(lambda: one.calls == 1)
        ways.server.away = True  # then what was last known counts
        again = await one.phone()
        await one.until(lambda: again.received)
        for phone in (*phones[1:], again):
            phone.far_end_hangs_up()
        await one.until(lambda: not (one.calls or two.calls))


CALLS_OUT = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.Started)
def started(event):
    call = VoxEngine.call_pstn("+15550001", "+15550002")
    call.add_event_listener(CallEvents.Failed, failed)

def failed(event):
    Logger.write(f"failed {event.code} {event.reason}")
    VoxEngine.terminate()
"""
TRUNKS = """
rules: [{name: echo, pattern: '.*', scenarios: [echo.py]}]
trunks: {carrier: {sip: sip.example.com, most_calls: 2}}
"""


@attrs.define
class Way:
    """What stands for SIP: phones that ring."""

    legs: list[SimulatedLeg] = attrs.field(factory=list)

    def dial(self, call: OutgoingCall) -> Leg:
        raise NotImplementedError

    def dial_by(self, trunk: Trunk, call: OutgoingCall) -> Leg:
        leg = SimulatedLeg(leg_id=call.leg_id, callerid="", destination="", incoming=False)
        self.legs.append(leg)
        return leg


async def test_a_trunk_carries_so_many_calls_of_all_hosts(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with pair(tmp_path, scenario=CALLS_OUT, routing=TRUNKS) as (one, two, _):
        ways = [Way(), Way()]
        for running, way in zip((one, two), ways, strict=True):
            running.host.handler.dials("sip", way)
        await start(one)
        await start(two)
        await one.until(lambda: ways[0].legs and ways[1].legs)
        session, _ = await start(two)
        await two.until(lambda: two.calls == 1)
        log = await ask(two, "GET", f"/api/sessions/{session}/log")
        assert "failed 503 trunk 'carrier' carries its 2 calls already" in log.text
        ways[0].legs[0].far_end_hangs_up()
        await one.until(lambda: not one.calls)
        await start(two)
        await two.until(lambda: len(ways[1].legs) == 2)


async def test_both_say_that_they_share(tmp_path: Path, autojump_clock: object) -> None:
    async with pair(tmp_path) as (one, _, ways):
        health = (await ask(one, "GET", "/health")).json()
        assert health["fleet"] == {"name": "one", "hosts": 2, "store": "up"}
        ways.server.away = True
        await beats(1)
        health = (await ask(one, "GET", "/health")).json()
        assert health["fleet"] == {"name": "one", "hosts": 2, "store": "away"}
        metrics = (await ask(one, "GET", "/metrics")).text
        assert 'voxpy_fleet_store_up{worker="0"} 0.0' in metrics
        assert 'voxpy_fleet_members{worker="0"} 2.0' in metrics
        assert 'voxpy_fleet_versions{worker="0"} 1.0' in metrics
        assert "voxpy_fleet_store_errors_total 0.0" not in metrics


REMEMBERS = """
from voxpy import AppEvents, ApplicationStorage, Modules, VoxEngine, require
from voxpy.errors import RequestFailed
require(Modules.ApplicationStorage)

@VoxEngine.on(AppEvents.HttpRequest)
async def asked(event):
    try:
        if event.content == "keys":
            return " ".join((await ApplicationStorage.keys("a*c")).keys)
        if event.content:
            return (await ApplicationStorage.put("abc", event.content, 60)).value
        found = await ApplicationStorage.get("abc")
        await ApplicationStorage.remove("abc")
        return found.value
    except RequestFailed as error:
        return f"without: {error}"
"""


async def test_what_scenarios_keep_is_there_on_every_host(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with pair(tmp_path, scenario=REMEMBERS) as (one, two, ways):
        (_, here), (_, there) = await start(one), await start(two)
        assert (await ask(one, "POST", here, content="seen")).text == "seen"
        assert (await ask(two, "POST", there, content="keys")).text == "abc"
        assert (await ask(two, "POST", there)).text == "seen"
        ways.server.away = True
        told = await ask(one, "POST", here, content="lost")
        assert told.text == "without: ApplicationStorage.put: connection refused"


async def test_a_call_of_another_host_is_listened_in_to(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with pair(tmp_path, scenario=SILENT) as (one, two, _):
        caller = await page(one, authorization=OPERATOR["authorization"])
        caller.say(**START)
        await one.until(lambda: len(caller.events) == 2)
        session = caller.events[0]["id"]
        boss = await page(two, f"/calls/{session}/listen", **OPERATOR)
        boss.say(mode="listen")
        await say(caller, 1000.0)
        assert share(boss.audio, 1000) > 1000
        boss.socket.close()
        caller.socket.close()
        await one.until(lambda: not one.calls)


async def test_a_signature_counts_once_in_a_fleet(tmp_path: Path, autojump_clock: object) -> None:
    form = {"To": "+15550002222", "From": "+15550001111", "CallSid": "CA1"}
    signed = twilio_signature("key", "https://calls.example/twilio/voice", form)
    more = {"public_url": "https://calls.example", "environ": {"TWILIO_AUTH_TOKEN": "key"}}
    async with pair(tmp_path, **more) as (one, two, _):

        async def asks(running: Running) -> int:
            headers = {"X-Twilio-Signature": signed}
            told = await running.ask("POST", "/twilio/voice", headers=headers, data=form)
            return told.status_code

        assert await asks(one) == 200
        await trio.sleep(30)
        assert await asks(two) == 200  # our answer may have been lost on its way
        await trio.sleep(40)
        assert await asks(two) == 403
