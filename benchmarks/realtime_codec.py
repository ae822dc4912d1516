"""What an audio delta costs to read and to write, next to bare orjson and base64 in the same run.

Run: ``python benchmarks/realtime_codec.py``. Times are microseconds per frame of 40 ms.
"""

from __future__ import annotations

import base64
import itertools
import random
import timeit
from collections.abc import Callable

import orjson

from voxpy.wire.realtime.client.protocol import RealtimeClient
from voxpy.wire.realtime.events.codec import encode_append, parse_server
from voxpy.wire.realtime.server.output import Outbox
from voxpy.wire.realtime.server.protocol import RealtimeServer

FRAME_MS = 40
ROUNDS = 5000
REPEATS = 7
PART = b'"response_id":"resp_0001","item_id":"item_0001","output_index":0,"content_index":0'


def best_us(work: Callable[[], object]) -> float:
    """Return the least time of one call over several runs: the others measure the machine."""
    return min(timeit.repeat(work, number=ROUNDS, repeat=REPEATS)) / ROUNDS * 1e6


def report(title: str, floor_us: float, ours: dict[str, float]) -> None:
    print(f"{title:<34}{floor_us:8.2f}")
    for name, took_us in ours.items():
        print(f"  {name:<32}{took_us:8.2f}   {took_us / floor_us:5.2f} x")


def measure(name: str, pcm: bytes) -> None:
    ids = itertools.count(1)
    outbox = Outbox(lambda kind: f"{kind}_{next(ids):08d}")
    outbox.emit_audio(pcm, part=PART)
    (frame,) = outbox.drain()
    text = frame.decode()  # trio-websocket hands over str

    def floor_read() -> bytes:
        return base64.b64decode(orjson.loads(text)["delta"])

    def floor_write() -> bytes:
        audio = base64.b64encode(pcm).decode("ascii")
        return orjson.dumps({"type": "response.output_audio.delta", "delta": audio})

    def server_write() -> list[bytes]:
        outbox.emit_audio(pcm, part=PART)
        return outbox.drain()

    client = RealtimeClient()
    append = encode_append(pcm).decode()
    server = RealtimeServer(session_id="s", new_id=lambda kind: f"{kind}_{next(ids):08d}")
    print(f"-- {name}, {FRAME_MS} ms, {len(pcm)} bytes")
    loads_us = best_us(lambda: orjson.loads(text))
    report("orjson.loads", loads_us, {"parse_server": best_us(lambda: parse_server(text))})
    report(
        "orjson.loads + base64",
        best_us(floor_read),
        {
            "RealtimeClient.receive": best_us(lambda: client.receive(text)),
            "RealtimeServer.receive (append)": best_us(lambda: server.receive(append, 0.0)),
        },
    )
    report(
        "base64 + orjson.dumps",
        best_us(floor_write),
        {
            "encode_append": best_us(lambda: encode_append(pcm)),
            "audio delta": best_us(server_write),
        },
    )


def main() -> None:
    noise = random.Random(7)
    measure("pcm16 24 kHz", noise.randbytes(FRAME_MS * 24 * 2))
    measure("mu-law 8 kHz", noise.randbytes(FRAME_MS * 8))


if __name__ == "__main__":
    main()
