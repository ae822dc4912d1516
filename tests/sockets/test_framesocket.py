"""``FrameSocket``: order, bounds and every end, over memory and over the kernel."""

from __future__ import annotations

import contextvars
import math
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from voxpy.errors import LocalProtocolError
from voxpy.sockets import CloseInfo, FrameSocket, SocketLimits
from voxpy.wire.websocket.protocol import WebSocketProtocol

if TYPE_CHECKING:
    from tests.sockets.conftest import End, Joined

LARGE_BYTES = 6_000_000
"""More than the kernel's buffers of a loopback connection."""
LOST = CloseInfo(1006, "connection lost", clean=False)


def never(message: str | bytes) -> None:
    raise AssertionError(message)


# -- messages --------------------------------------------------------------------------------------


async def test_messages_arrive_in_order_and_as_their_kind(joined: Joined) -> None:
    async with joined() as ends:
        for ours, theirs in ends.both():
            sent: list[str | bytes] = [
                "text ключ",
                b"\x00\xff",
                "",
                b"",
                *(str(n) for n in range(99)),
            ]
            for message in sent:
                ours.socket.send(message)
            ours.socket.send('{"ключ":1}'.encode(), as_text=True)
            await theirs.wait_for(len(sent) + 1)
            assert theirs.got == [*sent, '{"ключ":1}']
            assert ours.socket.statistics.messages_out == len(sent) + 1
            assert theirs.socket.statistics.messages_in == len(sent) + 1


async def test_both_send_more_than_the_kernel_takes_at_once(joined: Joined) -> None:
    async with joined() as ends:
        for ours, _ in ends.both():
            ours.socket.send(bytes(LARGE_BYTES))
            ours.socket.send("behind it")
            assert ours.socket.waiting_bytes > 0
            assert ours.socket.waiting_messages >= 1
        for ours, theirs in ends.both():
            await theirs.wait_for(2)
            assert theirs.got == [bytes(LARGE_BYTES), "behind it"]
            assert (ours.socket.waiting_bytes, ours.socket.waiting_messages) == (0, 0)
        await ends.client.socket.aclose()


async def test_what_is_sent_before_run_is_sent(joined: Joined) -> None:
    async with joined(run="client") as ends:
        ends.server.socket.send("early")
        ends.server.socket.send(bytes(LARGE_BYTES))
        ends.nursery.start_soon(ends.server.run)
        await ends.client.wait_for(2)
        assert ends.client.got[0] == "early"


async def test_an_answer_from_inside_the_callback(joined: Joined) -> None:
    async with joined() as ends:
        ends.server.socket.on_message = lambda m: ends.server.socket.send(f"echo {m!r}")
        for n in range(50):
            ends.client.socket.send(str(n))
        await ends.client.wait_for(50)
        assert ends.client.got == [f"echo '{n}'" for n in range(50)]


async def test_the_callback_runs_in_the_context_of_run(joined: Joined) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    seen: list[str] = []

    async with joined(run="client") as ends:
        ends.server.socket.on_message = lambda m: seen.append(name.get())
        name.set("the server's")
        ends.nursery.start_soon(ends.server.run)
        name.set("another's")
        ends.client.socket.send("x")
        ends.client.socket.send("x")
        await ends.client.socket.aclose()
        assert seen == ["the server's"] * 2


# -- closing ---------------------------------------------------------------------------------------


async def test_either_side_may_close_in_order(joined: Joined) -> None:
    for first in range(2):
        async with joined() as ends:
            ours, theirs = ends.both()[first]
            ours.socket.send("last words")
            ours.socket.close(4001, "enough")
            ours.socket.close()  # idempotent
            assert not ours.socket.is_open
            ours.socket.send("too late")  # ignored
            assert await theirs.wait_over() == CloseInfo(4001, "enough", clean=True)
            assert await ours.wait_over() == CloseInfo(4001, "", clean=True)
            assert theirs.got == ["last words"]
            assert ours.socket.closed == ours.info
            theirs.socket.send("ignored")
            theirs.socket.close()
            await theirs.socket.aclose()


async def test_closing_behind_a_large_message(joined: Joined) -> None:
    async with joined() as ends:
        ends.client.socket.send(bytes(LARGE_BYTES))
        await ends.client.socket.aclose(1001, "bye")
        assert await ends.server.wait_over() == CloseInfo(1001, "bye", clean=True)
        assert ends.server.got == [bytes(LARGE_BYTES)]


async def test_both_close_at_once(joined: Joined) -> None:
    async with joined() as ends:
        for ours, _ in ends.both():
            ours.socket.close(1000)
        for ours, _ in ends.both():
            assert await ours.wait_over() == CloseInfo(1000, "", clean=True)


async def test_a_bad_code_is_the_callers_mistake(joined: Joined) -> None:
    async with joined() as ends:
        with pytest.raises(LocalProtocolError, match="close code 1006 cannot be sent"):
            ends.client.socket.close(1006)
        assert ends.client.socket.is_open


async def test_aborting_says_nothing(joined: Joined) -> None:
    async with joined() as ends:
        ends.client.socket.abort()
        ends.client.socket.abort()
        assert await ends.client.wait_over() == LOST
        assert await ends.server.wait_over() == LOST


async def test_a_cancelled_run_cuts_the_connection(joined: Joined) -> None:
    async with joined(run="client") as ends:
        with trio.CancelScope() as scope:
            scope.cancel()
            await ends.server.socket.run()
        assert ends.server.socket.closed == LOST
        assert await ends.client.wait_over() == LOST


async def test_a_far_side_that_vanishes(joined: Joined) -> None:
    async with joined(run="client") as ends:
        await trio.aclose_forcefully(ends.server_stream)
        assert await ends.client.wait_over() == LOST


async def test_a_far_side_that_breaks_the_protocol_is_told(joined: Joined) -> None:
    async with joined(run="client") as ends:
        await ends.server_stream.send_all(b"\x81\x02ok\xff\xff\xff\xff")
        info = await ends.client.wait_over()
        assert (info.code, info.clean) == (1002, False)
        assert "reserved bit" in info.reason
        assert ends.client.got == ["ok"]
        data = await ends.server_stream.receive_some()
        side = WebSocketProtocol("server", new_mask=lambda: b"", max_message_bytes=9)
        (told,) = side.receive(bytes(data))
        assert f"1002, {info.reason!r}" in repr(told).replace("reason=", "").replace("code=", "")


async def test_closing_a_socket_that_never_ran(joined: Joined) -> None:
    async with joined(run="client") as ends:
        ends.server.socket.send("last words")
        await ends.server.socket.aclose()
        assert await ends.client.wait_over() == CloseInfo(1000, "", clean=True)
        assert ends.client.got == ["last words"]
        assert await ends.server.socket.run() == CloseInfo(1000, "", clean=True)


async def test_a_message_over_the_limit(joined: Joined) -> None:
    async with joined(limits=SocketLimits(message_bytes=1000)) as ends:
        ends.client.socket.send("x" * 1001)
        assert (await ends.client.wait_over()).code == 1009
        assert (await ends.server.wait_over()).code == 1009


# -- a callback that raises ------------------------------------------------------------------------


async def test_a_callback_that_raises_closes_this_socket_and_is_runs_error(joined: Joined) -> None:
    def fail(message: str | bytes) -> None:
        raise ValueError(message)

    async with joined() as ends:
        ends.server.socket.on_message = fail
        ends.client.socket.send("bad")
        ends.client.socket.send("worse")
        info = await ends.client.wait_over()
        assert (info.code, info.clean) == (1011, True)
        with trio.fail_after(1):
            await ends.server.over.wait()
        assert repr(ends.server.error) == "ValueError('bad')"


async def test_one_that_raises_does_not_stop_the_others(
    joined: Joined, joined_by_tcp: Joined
) -> None:
    def fail(message: str | bytes) -> None:
        raise ValueError(message)

    async with joined_by_tcp() as good, joined_by_tcp() as bad:
        bad.server.socket.on_message = fail
        for n in range(20):
            bad.client.socket.send("x")
            good.client.socket.send(str(n))
        await good.server.wait_for(20)
        assert (await bad.client.wait_over()).code == 1011
        good.client.socket.send("still there")
        await good.server.wait_for(21)


# -- a far side that does not read or answer: virtual time -----------------------------------------


async def test_a_full_outbox_ends_the_socket_by_name(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    async with joined_in_memory(run="client", limits=SocketLimits(outbox_bytes=10_000)) as ends:
        for _ in range(101):  # the first hundred fit, their frames' bytes do not
            ends.client.socket.send("x" * 100)
        info = await ends.client.wait_over()
        assert info.code == 1006
        assert info.reason.startswith("the far side does not read: 10")
        assert ends.client.socket.statistics.overflowed == 1


async def test_a_far_side_that_does_not_answer_the_close(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    async with joined_in_memory(run="client") as ends:
        began = trio.current_time()
        await ends.client.socket.aclose()
        assert trio.current_time() - began == pytest.approx(2)
        assert await ends.client.wait_over() == CloseInfo(
            1006, "the far side did not answer the close in time", clean=False
        )


async def test_cancelling_a_close_cuts_it_off(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    async with joined_in_memory(run="client") as ends:
        with trio.move_on_after(0.1):
            await ends.client.socket.aclose()
        began = trio.current_time()
        assert await ends.client.wait_over() == LOST
        assert trio.current_time() == began


async def test_pings_keep_two_quiet_sides_together(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    async with joined_in_memory() as ends:
        await trio.sleep(3600)
        assert ends.client.socket.is_open
        assert ends.server.socket.is_open
        await ends.client.socket.aclose()
        assert await ends.server.wait_over() == CloseInfo(1000, "", clean=True)


async def test_a_far_side_that_is_gone_without_a_word(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    async with joined_in_memory(run="client") as ends:
        began = trio.current_time()
        info = await ends.client.wait_over()
        assert info == CloseInfo(1006, "no answer to a ping within 20 s", clean=False)
        assert trio.current_time() - began == pytest.approx(40)


async def test_anything_it_says_counts_as_an_answer(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    async with joined_in_memory(run="client") as ends:
        for _ in range(20):
            await trio.sleep(15)
            await ends.server_stream.send_all(b"\x82\x00")
        await ends.client.wait_for(20)
        assert ends.client.socket.is_open


async def test_without_pings_a_silent_far_side_is_waited_for(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    limits = SocketLimits.without_pings()
    assert limits.ping_s == math.inf
    async with joined_in_memory(run="client", limits=limits) as ends:
        await trio.sleep(10_000)
        assert ends.client.socket.is_open


# -- the kernel's socket ---------------------------------------------------------------------------


async def test_a_far_side_that_does_not_read_fills_kernel_and_outbox(joined_by_tcp: Joined) -> None:
    async with joined_by_tcp(run="client", limits=SocketLimits(outbox_bytes=100_000)) as ends:
        sent = 0
        while ends.client.socket.is_open:
            ends.client.socket.send(bytes(50_000))
            sent += 1
            assert sent < 1000
        assert "does not read" in (await ends.client.wait_over()).reason


async def test_no_task_of_its_own_waits_for_each_packet(joined_by_tcp: Joined) -> None:
    """The hub reads: the tasks of both sockets stay asleep however many messages pass."""
    async with joined_by_tcp() as ends:
        await trio.testing.wait_all_tasks_blocked()
        woken: list[str] = []

        class Watch(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                if "End.run" in task.name or "FrameSocket" in task.name:
                    woken.append(task.name)

        watch = Watch()
        trio.lowlevel.add_instrument(watch)
        ends.server.socket.on_message = ends.server.socket.send
        for n in range(100):
            ends.client.socket.send(str(n))
            await ends.client.wait_for(n + 1)
        trio.lowlevel.remove_instrument(watch)
        assert woken == []


async def test_a_flood_on_one_socket_lets_the_others_through(joined_by_tcp: Joined) -> None:
    async with joined_by_tcp() as flood, joined_by_tcp() as quiet:
        order: list[str] = []

        def hear(message: str | bytes) -> None:
            order.append("quiet")
            quiet.server.take(message)

        flood.server.socket.on_message = lambda m: order.append("flood")
        quiet.server.socket.on_message = hear
        for _ in range(300):
            flood.client.socket.send(bytes(10_000))
        quiet.client.socket.send("hello?")
        await quiet.server.wait_for(1)
        assert order.index("quiet") < 100
        await flood.client.socket.aclose()


async def read_until(end: End, count: int) -> None:
    """Read a socket that is held, as a tick does, until so many messages have come."""
    with trio.fail_after(5):
        while len(end.got) < count:
            await trio.lowlevel.checkpoint()
            end.socket.read()


async def test_a_socket_that_is_held_takes_messages_only_when_it_is_read(holding: Joined) -> None:
    async with holding() as ends:
        server = ends.server
        ends.client.socket.send("at once")
        await server.wait_for(1)
        server.socket.hold()
        ends.client.socket.send("when asked")
        server.socket.send("out all the same")
        await ends.client.wait_for(1)
        await trio.testing.wait_all_tasks_blocked()
        assert server.got == ["at once"]
        await read_until(server, 2)
        server.socket.read()
        assert server.got == ["at once", "when asked"]


@pytest.mark.parametrize("closing", ["client", "server"])
async def test_a_close_ends_the_holding(holding: Joined, closing: str) -> None:
    """Whoever reads may be gone by then."""
    async with holding() as ends:
        ends.server.socket.hold()
        ends.client.socket.send("last words")
        if closing == "server":
            ends.server.socket.close()
        else:
            ends.client.socket.close()
            await read_until(ends.server, 1)
        assert (await ends.server.wait_over()).clean
        assert (await ends.client.wait_over()).clean
        assert ends.server.got == ["last words"]


async def test_a_held_socket_notices_when_the_far_side_vanishes(holding: Joined) -> None:
    async with holding() as ends:
        ends.server.socket.hold()
        ends.client.socket.abort()
        with trio.fail_after(5):
            while ends.server.info is None:
                await trio.lowlevel.checkpoint()
                ends.server.socket.read()
        assert not ends.server.info.clean


async def test_what_waits_is_written_while_the_reading_is_held(joined_by_tcp: Joined) -> None:
    big = bytes(8_000_000)
    async with joined_by_tcp() as ends:
        ends.server.socket.hold()
        ends.server.socket.send(big)
        assert ends.server.socket.waiting_bytes
        await ends.client.wait_for(1)
        assert ends.client.got == [big]


async def test_descriptors_are_given_back(joined_by_tcp: Joined) -> None:
    import os

    async def once() -> None:
        async with joined_by_tcp() as ends:
            ends.client.socket.send("x")
            await ends.server.wait_for(1)
            await ends.client.socket.aclose()
            await ends.server.wait_over()

    await once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        await once()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_stream_closed_behind_its_back_writes_into_nothing(joined_by_tcp: Joined) -> None:
    """Its descriptor may belong to another connection by then."""
    async with joined_by_tcp(run="none") as ends:
        await trio.aclose_forcefully(ends.server_stream)
        async with joined_by_tcp() as other:
            ends.server.socket.send("into nothing")
            other.client.socket.send("sound")
            await other.server.wait_for(1)
            assert other.server.got == ["sound"]
            assert other.client.got == []
            assert other.client.socket.is_open


async def test_a_socket_can_be_made_on_its_own() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    protocol = WebSocketProtocol("server", new_mask=lambda: b"", max_message_bytes=100)
    socket = FrameSocket(ours, protocol, limits=SocketLimits(), first=b"\x88\x80abcd")
    socket.on_message = never
    assert await socket.run() == CloseInfo(1005, "", clean=True)  # closed by what came early
    assert await theirs.receive_some() == b"\x88\x00"
