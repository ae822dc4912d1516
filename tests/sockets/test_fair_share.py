"""What one socket may have: a turn in each round, and no more than a phone needs for long."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from voxpy.engine import clock
from voxpy.sockets import SocketLimits
from voxpy.sockets.framesocket import TICK_FRAMES, TURN_FRAMES
from voxpy.sockets.hub import EPOLLOUT, FEWEST, ROUNDS, Hub, current_hub, strangers_turn
from voxpy.sockets.reading import read_until

if TYPE_CHECKING:
    from tests.sockets.conftest import Joined

PHONE = SocketLimits(units_per_s=400, ping_s=math.inf)


async def test_more_frames_than_a_turn_has_come_all_and_in_order(joined: Joined) -> None:
    async with joined() as ends:
        for ours, theirs in ends.both():
            sent: list[str | bytes] = [str(n) for n in range(5 * TURN_FRAMES + 3)]
            for message in sent:
                ours.socket.send(message)
            await theirs.wait_for(len(sent))
            assert theirs.got == sent
        ends.client.socket.close()
        assert (await ends.server.wait_over()).clean


async def test_between_two_turns_everybody_else_has_one(joined: Joined) -> None:
    async with joined() as ends:
        at_once: list[int] = []
        since = 0

        def count(message: str | bytes) -> None:
            nonlocal since
            since += 1
            ends.server.take(message)

        async def watch() -> None:
            nonlocal since
            while True:
                at_once.append(since)
                since = 0
                await trio.lowlevel.checkpoint()

        ends.server.socket.on_message = count
        ends.nursery.start_soon(watch)
        for n in range(1000):
            ends.client.socket.send(str(n))
        await ends.server.wait_for(1000)
        assert 0 < max(at_once) <= (ROUNDS + 1) * TURN_FRAMES


async def test_a_socket_that_is_held_gets_its_share_of_a_tick(holding: Joined) -> None:
    async with holding() as ends:
        ends.server.socket.hold()
        for n in range(100):
            ends.client.socket.send(str(n))
        seen: list[int] = []
        with trio.fail_after(5):
            while sum(seen) < 100:
                before = len(ends.server.got)
                await trio.lowlevel.checkpoint()
                ends.server.socket.read()
                seen.append(len(ends.server.got) - before)
        assert max(seen) == TICK_FRAMES
        assert ends.server.got == [str(n) for n in range(100)]


async def test_what_is_left_when_the_holding_ends_is_taken(holding: Joined) -> None:
    async with holding() as ends:
        ends.server.socket.hold()
        for n in range(100):
            ends.client.socket.send(str(n))
        ends.client.socket.close()
        with trio.fail_after(5):
            while not ends.server.got:
                await trio.lowlevel.checkpoint()
                ends.server.socket.read()
        ends.server.socket.close()
        assert (await ends.server.wait_over()).clean
        assert ends.server.got == [str(n) for n in range(100)]


# -- for long --------------------------------------------------------------------------------------


async def test_who_goes_on_beyond_several_times_real_time_is_closed(joined: Joined) -> None:
    async with joined(limits=PHONE) as ends:
        for n in range(3000):
            ends.client.socket.send(str(n))
        info = await ends.client.wait_over()
        assert (info.code, info.reason) == (
            1008,
            "more than is wanted here: 400 frames or KiB a second",
        )
        assert len(ends.server.got) < 2000
        told = await ends.server.wait_over()
        assert (told.code, told.clean) == (1008, False)


@pytest.mark.parametrize("frame", [0x89, 0x82, 0x00, 0x81], ids=["ping", "binary", "part", "text"])
async def test_empty_frames_of_any_kind_count(
    joined_in_memory: Joined, autojump_clock: object, frame: int
) -> None:
    async with joined_in_memory(limits=PHONE, run="none") as ends:
        ends.nursery.start_soon(ends.server.run)
        first = bytes([0x01, 0x80, 0, 0, 0, 0]) if frame == 0 else b""
        await ends.client_stream.send_all(first + bytes([frame, 0x80, 0, 0, 0, 0]) * 2000)
        assert (await ends.server.wait_over()).code == 1008


async def test_a_call_goes_on_for_hours_and_catches_up_after_a_pause(
    joined_in_memory: Joined, autojump_clock: object
) -> None:
    async with joined_in_memory(limits=PHONE) as ends:
        sent = 0
        for pause_s in (0.02, 0.02, 0.1, 25, 0.02, 3):
            for _ in range(round(2000 * 0.02)):
                for _ in range(max(1, round(pause_s / 0.02))):
                    ends.client.socket.send("a" * 300)
                    sent += 1
                await trio.sleep(pause_s)
        await ends.server.wait_for(sent)
        assert ends.server.info is None


async def test_services_may_send_as_fast_as_they_like(joined: Joined) -> None:
    async with joined() as ends:
        for n in range(5000):
            ends.server.socket.send(str(n))
        await ends.client.wait_for(5000)
        assert ends.client.info is None


# -- strangers -------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[Hub]:
    found = Hub()
    yield found
    found.close()


async def test_strangers_have_a_few_turns_a_round_and_the_others_all(hub: Hub) -> None:
    pairs = [socket.socketpair() for _ in range(30)]
    served: list[int] = []

    def ready(n: int, mask: int) -> None:
        os.read(pairs[n][0].fileno(), 10)
        served.append(n)

    for n, (ours, theirs) in enumerate(pairs):
        hub.add(ours.fileno(), partial(ready, n), stranger=n < 20)
        theirs.send(b"x")
    hub.serve(math.inf)
    assert served == list(range(20, 30))
    for n in range(20):
        assert hub.serve_strangers()
        assert len(served) == 10 + FEWEST * (n + 1)
    assert sorted(served) == list(range(30)), "nobody twice before everybody once"
    assert not hub.serve_strangers()
    for ours, theirs in pairs:
        hub.remove(ours.fileno())
        ours.close()
        theirs.close()


async def test_a_call_that_nobody_reads_is_no_stranger(hub: Hub) -> None:
    ours, theirs = socket.socketpair()
    served: list[int] = []
    hub.add(ours.fileno(), served.append, stranger=True)
    hub.want(ours.fileno(), read=False, write=True)
    hub.serve(math.inf)
    assert served == [EPOLLOUT]
    hub.want(ours.fileno(), read=True, write=True)
    hub.serve(math.inf)
    assert served == [EPOLLOUT]
    hub.serve_strangers()
    assert served == [EPOLLOUT, EPOLLOUT]
    hub.remove(ours.fileno())
    ours.close()
    theirs.close()


async def test_strangers_rest_longer_than_their_turns_took() -> None:
    """And whoever is known is served meanwhile."""
    order: list[str] = []

    async def strange() -> None:
        for _ in range(3):
            await strangers_turn()
            order.append("stranger")
            began = clock.busy_s()
            while clock.busy_s() - began < 0.005:
                pass

    async def known(ours: trio.socket.SocketType, theirs: trio.socket.SocketType) -> None:
        found = current_hub()
        assert found is not None
        found.add(ours.fileno(), lambda mask: order.append(ours_read(ours)))
        while order.count("stranger") < 3:
            await theirs.send(b"x")
            await trio.lowlevel.checkpoint()
        found.remove(ours.fileno())

    def ours_read(ours: trio.socket.SocketType) -> str:
        os.read(ours.fileno(), 100)
        return "known"

    ours, theirs = trio.socket.socketpair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(strange)
        nursery.start_soon(known, ours, theirs)
    ours.close()
    theirs.close()
    first = order.index("stranger")
    second = order.index("stranger", first + 1)
    assert "known" in order[first:second]


async def test_whoever_gives_up_leaves_no_turn_behind(autojump_clock: object) -> None:
    turns: list[int] = []

    async def take(n: int) -> None:
        await strangers_turn()
        turns.append(n)

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as given_up:
            given_up.cancel()
            await strangers_turn()
        for n in range(50):
            nursery.start_soon(take, n)
    assert sorted(turns) == list(range(50))


async def test_a_round_that_took_too_long_goes_on_in_the_next(hub: Hub) -> None:
    pairs = [socket.socketpair() for _ in range(12)]
    served: list[int] = []
    for n, (ours, theirs) in enumerate(pairs):
        hub.add(ours.fileno(), lambda mask, n=n: served.append(n))  # type: ignore[misc]
        theirs.send(b"x")
    while len(served) < 12:
        before = len(served)
        hub.serve(-math.inf)
        assert before < len(served) <= before + 4
    assert sorted(served) == list(range(12)), "nobody twice before everybody once"
    for ours, theirs in pairs:
        hub.remove(ours.fileno())
        ours.close()
        theirs.close()


async def test_a_head_that_comes_byte_by_byte_wakes_its_reader_once() -> None:
    ours, theirs = (
        trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in socket.socketpair()
    )
    received = bytearray()
    ends: list[bool] = []
    steps = 0

    class Watch(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += task.name == "who waits"

    async def read() -> None:
        ends.append(await read_until(ours, received, lambda: b"\n" in received))
        ends.append(await read_until(ours, received, lambda: b"\n\n" in received))

    watch = Watch()
    async with theirs, ours, trio.open_nursery() as nursery:
        nursery.start_soon(read, name="who waits")
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(watch)
        for n in range(200):
            await theirs.send_all(b"%d" % (n % 10))
            await trio.lowlevel.checkpoint()
        assert steps == 0
        await theirs.send_all(b"\n")
        await theirs.aclose()
    trio.lowlevel.remove_instrument(watch)
    assert ends == [True, False]
    assert len(received) == 201
