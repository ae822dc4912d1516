"""SIP over TCP and TLS: what one connection may do, and what all of them together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from tests.channels.sip.conftest import SipHosting
from voxpy.channels.sip.connection import (
    FIRST_S,
    IDLE_S,
    MOST_WAITING_BYTES,
    TURN_MESSAGES,
    SipConnection,
)
from voxpy.host.listening import ConnectionLimits
from voxpy.sockets.memory import memory_pair
from voxpy.testing.sipphone import sip_phone
from voxpy.wire.sip.message import BadMessage, Message

# ruff: noqa: SIM117  a host, and then who connects to it

OPTIONS = (
    "OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{n}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag=a{n}\r\nTo: <sip:{host}>\r\n"
    "Call-ID: {n}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
USERS = "users: {anna: ANNA}\n"
PASSWORDS = {"ANNA": "secret-a"}


def options(n: int, host: str = "127.0.0.1") -> bytes:
    return OPTIONS.format(n=n, host=host).encode()


class Far:
    """A connection of ours over memory, and the far end of it."""

    def __init__(self) -> None:
        self.got: list[Message | BadMessage] = []
        ours, self.stream = memory_pair()
        self.connection = SipConnection(ours, self.got.append)
        self.over = trio.Event()

    async def run(self, nursery: trio.Nursery) -> None:
        await self.connection.run(nursery)
        self.over.set()


@asynccontextmanager
async def far() -> AsyncIterator[Far]:
    async with trio.open_nursery() as nursery:
        end = Far()
        nursery.start_soon(end.run, nursery)
        await trio.testing.wait_all_tasks_blocked()
        yield end
        nursery.cancel_scope.cancel()


async def test_many_messages_at_once_are_taken_some_a_turn(autojump_clock: object) -> None:
    async with far() as end:
        count = 3 * TURN_MESSAGES + 1
        await end.stream.send_all(b"".join(map(options, range(count))))
        most, before = 0, 0
        while len(end.got) < count:
            await trio.lowlevel.checkpoint()
            most, before = max(most, len(end.got) - before), len(end.got)
        assert most <= 2 * TURN_MESSAGES, "one turn, or two where the scheduler has it so"
        assert [message.call_id for message in end.got if not isinstance(message, BadMessage)] == [
            str(n) for n in range(count)
        ]
        assert not end.connection.is_silent


@pytest.mark.parametrize("sent", [b"", options(1)[:-10], b"\r\n"], ids=["nothing", "half", "blank"])
async def test_who_says_no_whole_message_is_not_waited_for(
    autojump_clock: object, sent: bytes
) -> None:
    async with far() as end:
        for n in range(len(sent)):  # a byte now and then makes no difference
            await end.stream.send_all(sent[n : n + 1])
            await trio.sleep(FIRST_S / 1000)
        await end.over.wait()
        assert trio.current_time() == pytest.approx(FIRST_S)
        assert end.connection.is_silent


async def test_pings_are_answered_and_keep_a_connection(autojump_clock: object) -> None:
    async with far() as end:
        for _ in range(3):
            await end.stream.send_all(b"\r\n\r\n" * 1000)
            assert await end.stream.receive_some() == b"\r\n"
            await trio.sleep(IDLE_S - 1)
        await end.over.wait()
        assert trio.current_time() == pytest.approx(3 * IDLE_S - 2)


async def test_a_stream_that_is_lost_is_closed(autojump_clock: object) -> None:
    async with far() as end:
        await end.stream.send_all(options(1) + b"SIP? no.\r\n\r\n" + options(2))
        await end.over.wait()
        assert [type(message) is BadMessage for message in end.got] == [False, True]
        with pytest.raises(trio.ClosedResourceError):
            end.connection.send_nowait(b"late")


async def test_what_waits_for_a_far_end_that_does_not_read_is_bounded() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    theirs = await trio.testing.open_stream_to_socket_listener(listener)
    connection = SipConnection(await listener.accept(), lambda message: None)

    def pour() -> None:
        for _ in range(100_000):
            connection.send_nowait(b"x" * 4096)

    with pytest.raises(trio.WouldBlock):
        pour()
    assert connection._pipe.waiting_bytes <= MOST_WAITING_BYTES
    await theirs.aclose()
    await listener.aclose()
    async with trio.open_nursery() as nursery:
        connection.close()
        await connection.run(nursery)


# -- many of them ----------------------------------------------------------------------------------


async def test_a_silent_connection_to_a_host_is_closed(sip_host: SipHosting) -> None:
    async with sip_host(limits=ConnectionLimits(start_s=0.1)) as host:
        stream = await trio.open_tcp_stream("127.0.0.1", host.port)
        with trio.fail_after(10):
            assert await stream.receive_some() == b""
        await stream.aclose()
        await host.until(lambda: host.logged("connection refused"))
        (entry,) = host.logged("connection refused")
        assert entry["data"]["problem"] == "no SIP message came"


@pytest.mark.slow
async def test_strangers_make_room_and_a_registered_phone_does_not(sip_host: SipHosting) -> None:
    limits = ConnectionLimits(per_address=3)
    phone = partial(sip_phone, user="anna", password="secret-a", transport="tcp")
    async with sip_host(routing=USERS, environ=PASSWORDS, limits=limits) as host:
        async with phone(server=host.server) as anna:
            assert await anna.register() == 200
            strangers = [await trio.open_tcp_stream("127.0.0.1", host.port) for _ in range(4)]
            for n, stranger in enumerate(strangers[1:]):
                await stranger.send_all(options(n))
                with trio.fail_after(10):
                    assert (await stranger.receive_some()).startswith(b"SIP/2.0 200")
            with trio.fail_after(10):
                assert await strangers[0].receive_some() == b"", "the oldest made room"
            assert await anna.register() == 200
            connections = host.host.handler.connections
            assert connections.open == 4
            for stranger in strangers:
                await stranger.aclose()


@pytest.mark.slow
async def test_a_call_by_tcp_makes_no_room(sip_host: SipHosting) -> None:
    async with sip_host(limits=ConnectionLimits(per_address=2)) as host:
        async with sip_phone(server=host.server, transport="tcp") as phone:
            call = await phone.connect(f"{host.uri('echo')};transport=tcp")
            strangers = [await trio.open_tcp_stream("127.0.0.1", host.port) for _ in range(3)]
            with trio.fail_after(10):
                assert await strangers[0].receive_some() == b""
            assert call.end is None
            call.hang_up()
            await host.until(lambda: host.host.admission.running == 0)
            for stranger in strangers:
                await stranger.aclose()
