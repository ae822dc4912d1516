"""How the network cuts the bytes of a frame sequence makes no difference to what is received."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.engine.ports import Endpoint
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.service import Service, Talk
from voxpy.wire.realtime.client.protocol import RealtimeClient

SESSION = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}


class Chopped(trio.abc.Stream):
    """A stream that hands over what it receives in pieces of the given sizes, over and over."""

    def __init__(self, stream: trio.abc.Stream, sizes: Iterator[int]) -> None:
        self._stream = stream
        self._sizes = sizes

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(next(self._sizes)))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Received(ConnectionReports):
    """What arrived, as the protocol's client understands it."""

    def __init__(self) -> None:
        self.client = RealtimeClient()
        self.items: list[Any] = []
        self.ends: list[tuple[int, str, bool]] = []

    def received(self, text: str) -> None:
        self.items += self.client.receive(text)

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        self.ends.append((code, reason, was_clean))


def deliver(frames: Sequence[dict[str, Any]], sizes: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """Send ``frames`` through a real WebSocket whose bytes are cut into ``sizes``."""

    async def play(talk: Talk) -> None:
        for number, frame in enumerate(frames):
            await talk.send({**frame, "event_id": f"e{number}"})
        await talk.socket.aclose(1000, "that was all")

    async def main() -> Received:
        async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(Service(play), theirs)
            return Chopped(ours, itertools.cycle(sizes))

        reports = Received()
        url = "ws://service.test/session?key=k&protocol=realtime"
        async with trio.open_nursery() as nursery:
            await RealtimeConnection(
                url, [("Authorization", "Basic a2V5")], open_stream=open_stream, reports=reports
            ).run()
        return reports

    reports = run_virtual(main)
    return reports.items, reports.ends


words = st.text(max_size=40)
audio = st.integers(0, 400).map(lambda n: "/" * (4 * n))
frames = st.lists(
    st.one_of(
        words.map(lambda t: {"type": "conversation.item.input_audio_transcription.completed",
                             "event_id": "e", "item_id": "u", "content_index": 0, "transcript": t}),
        audio.map(lambda a: {"type": "response.output_audio.delta", "event_id": "e",
                             "response_id": "r", "item_id": "i", "output_index": 0,
                             "content_index": 0, "delta": a}),
        words.map(lambda t: {"type": "something.new", "event_id": "e", "text": t}),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=40)
@given(sent=frames, sizes=st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_how_the_bytes_are_cut_makes_no_difference(
    sent: list[dict[str, Any]], sizes: list[int]
) -> None:
    opening = {"type": "session.created", "event_id": "e0", "session": {"id": "s", **SESSION}}
    sequence = [opening, *sent]
    whole, end = deliver(sequence, [65536])
    assert len(whole) >= 1 + sum(orjson.dumps(f).count(b"transcript") > 0 for f in sent)
    assert deliver(sequence, sizes) == (whole, end)
    assert end == [(1000, "that was all", True)]
