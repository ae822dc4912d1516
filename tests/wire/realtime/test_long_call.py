"""An hour and two hundred turns: nothing piles up that is not the conversation itself."""

from __future__ import annotations

import gc
import itertools
import tracemalloc

from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events.codec import encode_append
from voxpy.wire.realtime.server import effects as fx
from voxpy.wire.realtime.server.conversation import KEPT_BYTES
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import Quirks
from voxpy.wire.realtime.server.state import RECENT_S

TURNS = 200
HOUR_S = 3600.0
PACKET_S = 0.2
PACKET = b"\x55" * 1600  # mu-law
SESSION = {
    "audio": {"input": {"format": "audio/pcmu"}, "output": {"format": "audio/pcmu"}},
    "providerData": {
        "backchannel": {"enabled": True, "decider_kind": "rule"},
        "responsiveness": {"enabled": True},
        "memory": {"enabled": True, "turn_interval": 10, "trim_after_summarize": True},
    },
}


class Call:
    """A client and a server, a caller who talks, an agent who answers; caller audio all along."""

    def __init__(self) -> None:
        ids = itertools.count()
        self.server = RealtimeServer(
            session_id="s",
            new_id=lambda kind: f"{kind}_{next(ids):08d}",
            quirks=Quirks(ping_interval_s=20),
        )
        self.client = RealtimeClient()
        self.now = 0.0
        self.heard_bytes = self.spoken_bytes = self.backchannels = self.summaries = 0
        self.server.open(self.now)
        self.take(self.server.receive(self.client.send(ce.SessionUpdate(session=SESSION)), 0.0))

    def take(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            match effect:
                case fx.ConsiderBackchannel():
                    self.server.backchannel_audio(effect.backchannel_id, PACKET, self.now)
                    self.server.backchannel_done(effect.backchannel_id, "right", self.now)
                    self.backchannels += 1
                case fx.Summarise():
                    self.server.memory({"facts": ["a fact"], "summary": "x" * 200}, self.now)
                    self.summaries += 1
        for frame in self.server.outgoing():
            for each in self.client.receive(frame):
                if isinstance(each, Audio) and not each.backchannel:
                    self.heard_bytes += len(each.data)

    def listen(self, seconds: float) -> None:
        for _ in range(round(seconds / PACKET_S)):
            self.take(self.server.receive(encode_append(PACKET), self.now))
            self.now += PACKET_S
            self.take(self.server.tick(self.now))

    def turn(self, n: int) -> None:
        self.take(self.server.speech_started(self.now * 1000, self.now))
        for words in range(5):
            self.server.transcript_delta("so and so " * (words + 1), self.now)
            self.listen(1)
        self.server.speech_stopped(self.now * 1000, self.now)
        self.take(self.server.transcript_completed(f"so and so {n}", self.now))
        response_id = self.server.active_response_id or ""
        for _ in range(60):
            self.server.text(response_id, "word ", self.now)
            self.server.audio(response_id, PACKET, self.now)
            self.spoken_bytes += len(PACKET)
        if n % 3 == 0:  # barge-in
            self.listen(2)
            self.take(self.server.speech_started(self.now * 1000, self.now))
            self.server.speech_stopped(self.now * 1000, self.now)
            self.take(self.server.transcript_completed("", self.now))
        else:
            self.server.finish(response_id, self.now)
            self.spoken_bytes += 4  # the padding
        self.take(self.server.effects())
        self.listen(HOUR_S / TURNS * (n + 1) - self.now)


def test_memory_stays_flat_over_an_hour() -> None:
    """The most that both objects held is the same late in the call as in its middle.

    The most, since the conversation grows until it is trimmed, and tables grow by doubling.
    """
    gc.freeze()  # what other tests left is none of ours, and would be walked at every collection
    tracemalloc.start()
    try:
        call = Call()
        held = []
        for n in range(TURNS):
            call.turn(n)
            if n % 10 == 9:
                gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert abs(call.now - HOUR_S) < 1
    assert call.heard_bytes == call.spoken_bytes
    assert call.backchannels >= TURNS // 2
    assert call.summaries >= 10
    middle, late = max(held[80:140]), max(held[140:])
    assert late <= middle * 1.05, f"{middle} bytes in the middle, {late} towards the end"
    kept = KEPT_BYTES + 1.5 * RECENT_S * 24_000 * 2  # sound of items, and of the caller so far
    assert late < 400_000 + kept
