"""The process stood still: what came meanwhile lies in the kernel, and nobody wants to hear it."""

from __future__ import annotations

from base64 import b64encode

import orjson
import pytest
import trio
from trio.testing import MockClock

from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine.clock import CATCH_UP_TICKS
from voxpy.engine.ports import LegEnded, LegEvent
from voxpy.sockets import FrameSocket, SocketLimits
from voxpy.sockets.masks import new_mask
from voxpy.sockets.memory import memory_pair
from voxpy.wire.websocket.protocol import Role, WebSocketProtocol

START = {
    "event": "start",
    "start": {
        "streamSid": "MZ",
        "callSid": "CA",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    },
}
TICK_S = 0.02


def socket(stream: trio.abc.Stream, role: Role) -> FrameSocket:
    protocol = WebSocketProtocol(role, new_mask=new_mask, max_message_bytes=65536)
    return FrameSocket(stream, protocol, limits=SocketLimits())


class Call:
    """A leg that is ticked by hand, and a provider that sends numbered frames to it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        ours, theirs = memory_pair()
        self.phone, self.line = socket(theirs, "client"), socket(ours, "server")
        stream = PROVIDERS["twilio"].open_stream()
        stream.receive(orjson.dumps(START).decode())
        self.leg = MediaStreamLeg(stream, self.line)
        self.reported: list[LegEvent] = []
        self.leg.bind(self.reported.append)
        self.line.on_message = self.leg.receive
        self.leg.answer({})
        self.said = 0
        self.ages: list[int | None] = []
        """Of what each tick plays: how many frames were spoken after it; None where nothing."""
        nursery.start_soon(self.line.run)
        nursery.start_soon(self.phone.run)

    def speak(self) -> None:
        self.said += 1
        payload = b64encode(self.said.to_bytes(2, "big") * 80).decode()
        media = {"track": "inbound", "payload": payload}
        self.phone.send(orjson.dumps({"event": "media", "media": media}).decode())

    def tick(self) -> None:
        frame = self.leg.tick()
        self.ages.append(None if frame is None else self.said - int.from_bytes(frame[:2], "big"))

    async def talk(self, frames: int, *, ticks: bool) -> None:
        for _ in range(frames):
            self.speak()
            if ticks:
                self.tick()
            await trio.sleep(TICK_S)


@pytest.mark.parametrize("stall_s", [0.5, 3.0, 10.0])
async def test_nothing_stale_is_played_and_the_delay_is_gone_within_a_second(
    stall_s: float, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    call = Call(nursery)
    await call.talk(100, ticks=True)
    usual = call.ages[-1]
    assert usual is not None
    call.ages.clear()
    await call.talk(round(stall_s / TICK_S), ticks=False)
    for _ in range(CATCH_UP_TICKS):  # as the media clock does
        call.tick()
    await call.talk(100, ticks=True)
    assert all(age is None or age <= 12 for age in call.ages), (
        "200 ms, wherever it waited, and what one read leaves for the next"
    )
    assert set(call.ages[50:]) <= {usual, usual + 1}, "a second later it is as it was"
    call.leg.hangup({})
    (ended,) = [event for event in call.reported if isinstance(event, LegEnded)]
    lost_frames = sum(age is not None for age in call.ages) + ended.counts["late_ms"] / 20
    assert lost_frames + usual == pytest.approx(round(stall_s / TICK_S) + 100 + usual, abs=2), (
        "what was not played is counted"
    )
    nursery.cancel_scope.cancel()
