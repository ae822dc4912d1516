"""What a WebSocket message costs: the codec alone, and whole sockets under a paced load.

Run: ``python benchmarks/websocket.py [codec|sockets]``; the libraries it is compared with come with
the ``dev`` extra. Codec: microseconds per message, beside a floor of struct and bytes. Sockets: a
peer in its own process sends each of N connections a 200-byte text every 20 ms and gets one back;
CPU microseconds of this process per message pair, and how long the peer waited for the answer.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import time
import timeit
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import quantiles

import trio
import websockets.frames
import websockets.protocol
import wsproto.connection
import wsproto.events
from trio_websocket import ConnectionClosed, wrap_server_stream

from voxpy.engine.ports import Endpoint
from voxpy.sockets import FrameSocket, SocketLimits, connect, receive_upgrade
from voxpy.sockets.masks import new_mask
from voxpy.wire.websocket.protocol import Role, WebSocketProtocol

SIZES_BYTES = (200, 700, 2000)
CALLS = 2000
REPEATS = 7
LIMIT_BYTES = 1 << 24
PACED_BYTES = 200
PERIOD_S = 0.02
RUN_S = 6.0
SETTLE_S = 2.0

Codec = Callable[[], object]


# -- the codec alone -------------------------------------------------------------------------------


def ours(role: Role, text: str, wire: bytes) -> tuple[Codec, Codec]:
    protocol = WebSocketProtocol(role, new_mask=new_mask, max_message_bytes=LIMIT_BYTES)
    assert protocol.receive(wire) == [text]
    return partial(protocol.receive, wire), partial(protocol.message, text)


def library(role: Role, text: str, wire: bytes) -> tuple[Codec, Codec]:
    side = websockets.protocol.Side.CLIENT if role == "client" else websockets.protocol.Side.SERVER
    protocol = websockets.protocol.Protocol(side, max_size=LIMIT_BYTES)

    def read() -> str:
        protocol.receive_data(wire)
        (frame,) = protocol.events_received()
        assert isinstance(frame, websockets.frames.Frame)
        return bytes(frame.data).decode()

    def write() -> list[bytes]:
        protocol.send_text(text.encode())
        return protocol.data_to_send()

    assert read() == text
    return read, write


def wsproto_(role: Role, text: str, wire: bytes) -> tuple[Codec, Codec]:
    kind = wsproto.ConnectionType.CLIENT if role == "client" else wsproto.ConnectionType.SERVER
    connection = wsproto.connection.Connection(kind)

    def read() -> str:
        connection.receive_data(wire)
        return "".join(
            e.data for e in connection.events() if isinstance(e, wsproto.events.TextMessage)
        )

    def write() -> bytes:
        return connection.send(wsproto.events.TextMessage(data=text))

    assert read() == text
    return read, write


def floor(role: Role, text: str, wire: bytes) -> tuple[Codec, Codec]:
    """Find and cut the payload, join header and payload: no check, no mask, no state."""
    header = struct.Struct("!BBH")

    def read() -> str:
        _, _, size = header.unpack_from(wire)
        return str(wire[4 : 4 + size], "latin-1")

    return read, lambda: b"".join((header.pack(0x81, 126, len(text)), text.encode()))


def best_us(work: Codec) -> float:
    """Return the least time of one call: what disturbs a measurement only ever adds to it."""
    return min(timeit.repeat(work, number=CALLS, repeat=REPEATS)) / CALLS * 1e6


def measure_codecs() -> None:
    rivals = {"floor": floor, "voxpy": ours, "websockets": library, "wsproto": wsproto_}
    print(f"{'µs per text message':<36}" + "".join(f"{name:>12}" for name in rivals))
    for size in SIZES_BYTES:
        text = os.urandom(size // 2).hex()
        for role, far in (("client", "server"), ("server", "client")):
            sender = WebSocketProtocol(far, new_mask=new_mask, max_message_bytes=LIMIT_BYTES)  # type: ignore[arg-type]
            wire = sender.message(text)
            pairs = [make(role, text, wire) for make in rivals.values()]  # type: ignore[arg-type]
            for n, what in enumerate(("reads", "writes")):
                masked = (role == "server") == (what == "reads")
                label = f"{size:>5} bytes, {role} {what}{', masked' if masked else ''}"
                print(f"{label:<36}" + "".join(f"{best_us(pair[n]):>12.2f}" for pair in pairs))


# -- whole sockets ---------------------------------------------------------------------------------


async def serve_by_tasks(stream: trio.SocketStream, pairs: list[int]) -> None:
    await serve_ours(trio.StapledStream(stream, stream), pairs)  # no kernel socket to be seen


async def serve_ours(stream: trio.abc.Stream, pairs: list[int]) -> None:
    socket = await (await receive_upgrade(stream)).accept()

    def answer(message: str | bytes) -> None:
        pairs[0] += 1
        socket.send(message)

    socket.on_message = answer
    await socket.run()


async def serve_trio_websocket(stream: trio.SocketStream, pairs: list[int]) -> None:
    async with trio.open_nursery() as nursery:
        request = await wrap_server_stream(nursery, stream, message_queue_size=64)
        socket = await request.accept()
        try:
            while True:
                message = await socket.get_message()
                pairs[0] += 1
                await socket.send_message(message)
        except ConnectionClosed:
            nursery.cancel_scope.cancel()


Serve = Callable[[trio.SocketStream, list[int]], Awaitable[None]]


async def measure_server(serve: Serve, calls: int) -> tuple[float, str, int]:
    """Return CPU µs per message pair, what the peer says of its waits, and the pairs."""
    pairs = [0]
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    command = [sys.executable, __file__, "peer", str(port), str(calls)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, lambda s: serve(s, pairs), listeners)
        run = partial(trio.run_process, command, capture_stdout=True)
        before_s, done = 0.0, [b""]

        async def peer() -> None:
            done[0] = (await run()).stdout
            nursery.cancel_scope.cancel()

        nursery.start_soon(peer)
        await trio.sleep(SETTLE_S)  # start of the peer, handshakes
        began, before_s, first = trio.current_time(), time.process_time(), pairs[0]
        await trio.sleep(RUN_S - SETTLE_S - 1)
        used_s, counted = time.process_time() - before_s, pairs[0] - first
        elapsed_s = trio.current_time() - began
        await trio.sleep_forever()
    return (
        used_s / counted * 1e6,
        f"{used_s / elapsed_s:6.1%} of a core, {done[0].decode()}",
        counted,
    )


async def be_peer(port: int, calls: int) -> None:
    waits: list[float] = []
    text = "x" * (PACED_BYTES - 20)

    async def dial(endpoint: Endpoint) -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", port)

    def heard(message: str | bytes) -> None:
        waits.append(time.perf_counter() - float(str(message).partition(" ")[0]))

    async with trio.open_nursery() as nursery:
        sockets: list[FrameSocket] = []
        for _ in range(calls):
            socket = await connect(dial, "ws://bench/", limits=SocketLimits.without_pings())
            socket.on_message = heard
            sockets.append(socket)
            nursery.start_soon(socket.run)
        began = trio.current_time()
        for tick in range(int(RUN_S / PERIOD_S)):
            for n, socket in enumerate(sockets):  # spread over the 20 ms, as calls are
                if n % 5 == 0:
                    await trio.sleep_until(began + PERIOD_S * (tick + n / calls))
                socket.send(f"{time.perf_counter():019.9f} {text}")
        nursery.cancel_scope.cancel()
    steady = sorted(waits[len(waits) // 4 :])
    cuts = quantiles(steady, n=100)
    print(f"answer p50 {cuts[49] * 1e3:.2f} p99 {cuts[98] * 1e3:.2f} ms", end="")


def measure_sockets() -> None:
    ways: dict[str, Serve] = {
        "trio-websocket": serve_trio_websocket,
        "voxpy, tasks": serve_by_tasks,
        "voxpy, hub": serve_ours,
    }
    for calls in (1, 20, 60, 120):
        for name, serve in ways.items():
            cost_us, told, _ = trio.run(measure_server, serve, calls)
            print(f"{calls:>4} x {name:<16}{cost_us:8.1f} µs per pair, {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("codec", "sockets", "peer"), default=None)
    parser.add_argument("peer", nargs="*", type=int)
    chosen = parser.parse_args()
    if chosen.what == "peer":
        trio.run(be_peer, *chosen.peer)
        return
    if chosen.what != "sockets":
        measure_codecs()
    if chosen.what != "codec":
        measure_sockets()


if __name__ == "__main__":
    main()
