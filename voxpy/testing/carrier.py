"""The other end of a Twilio media stream: a carrier that plays from a buffer, and a phone on it.

To a ``SimulatedCaller`` it is a line like ``SimulatedLeg``: what the caller says goes into
``mouth``, and what reaches the phone is heard, 20 ms by 20 ms.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import orjson
import trio

from voxpy.audio.frame import FRAME_S, PCMU
from voxpy.channels.simulated import FarEnd
from voxpy.engine import clock
from voxpy.media.playout import Playout
from voxpy.sockets import CloseInfo, FrameSocket

__all__ = ["CarrierPhone", "Played"]

STREAM_SID = "MZ0123456789abcdef0123456789abcdef"
CALL_SID = "CA0123456789abcdef0123456789abcdef"

_Arriving = tuple[float, Callable[..., None], tuple[Any, ...]]


@attrs.frozen
class Played:
    """A frame the phone heard, and when."""

    at_s: float
    frame: bytes


class CarrierPhone:
    """Speaks Twilio's side over a client's socket. ``run`` must be running.

    ``delay_s`` is the way to the carrier and back, each. Attributes tell what happened: ``played``,
    ``received`` (time and size of every frame that came), ``cleared`` (when), ``most_waiting``
    (frames in the buffer at the fullest), ``marks``.
    """

    def __init__(
        self,
        socket: FrameSocket,
        *,
        parameters: Mapping[str, str],
        delay_s: float = 0.0,
        answer_marks: bool = True,
    ) -> None:
        self.mouth = Playout(PCMU, limit_s=600.0)
        self.played: list[Played] = []
        self.received: list[float] = []
        self.cleared: list[float] = []
        self.marks = 0
        self.most_waiting = 0
        self.info: CloseInfo | None = None
        self._socket = socket
        self._parameters = dict(parameters)
        self._delay_s = delay_s
        self._answer_marks = answer_marks
        self._buffer: deque[bytes | str] = deque()  # frames, and names of marks between them
        self._far_end: FarEnd | None = None
        self._sequence = 0
        self._chunk = 0
        self._on_the_way, self._arriving = trio.open_memory_channel[_Arriving](math.inf)

    # -- as a SimulatedCaller sees it --------------------------------------------------------------

    def connect_far_end(self, far_end: FarEnd) -> None:
        """Put a person at the phone."""
        self._far_end = far_end

    def far_end_presses(self, digits: str, how: object = None) -> None:
        """Send digits as events."""
        for digit in digits:
            self._send("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def far_end_hangs_up(self) -> None:
        """Hang up: the carrier says stop and closes."""
        self._send("stop", stop={"accountSid": "AC0", "callSid": CALL_SID})
        self._socket.close()

    def cut(self) -> None:
        """Lose the connection without a word."""
        self._socket.abort()

    def say(self, message: str) -> None:
        """Send a message as it is."""
        self._socket.send(message)

    # -- the carrier ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the stream, carry audio both ways until it is over."""
        self._socket.on_message = self._receive
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            nursery.start_soon(self._carry, self._arriving)
            self._socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
            self._send("start", start=self._start())
            if self._far_end is not None:
                self._far_end.answered()
            self.info = await self._socket.run()
            nursery.cancel_scope.cancel()
        if self._far_end is not None:
            self._far_end.ended(200, "the stream is closed")

    def _start(self) -> dict[str, Any]:
        return {
            "accountSid": "AC0",
            "streamSid": STREAM_SID,
            "callSid": CALL_SID,
            "tracks": ["inbound"],
            "customParameters": self._parameters,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }

    async def _tick(self) -> None:
        began_at = clock.now()
        ticks = 0
        while True:
            ticks += 1
            await trio.sleep_until(began_at + ticks * FRAME_S)
            said = self.mouth.pull() or PCMU.silence
            self._chunk += 1
            self._later(self._send_media, said, self._chunk)
            self._play()

    def _send_media(self, frame: bytes, chunk: int) -> None:
        media = {
            "track": "inbound",
            "chunk": str(chunk),
            "timestamp": str(chunk * 20),
            "payload": b64encode(frame).decode(),
        }
        self._send("media", media=media)

    def _play(self) -> None:
        self._pass_marks()
        frame = PCMU.silence
        if self._buffer:
            front = self._buffer.popleft()
            assert isinstance(front, bytes)
            frame = front
            self.played.append(Played(clock.now(), frame))
        self._pass_marks()
        if self._far_end is not None:
            self._far_end.hears(frame)

    def _pass_marks(self) -> None:
        while self._buffer and isinstance(self._buffer[0], str):
            self._mark(str(self._buffer.popleft()))

    def _mark(self, name: str) -> None:
        self.marks += 1
        if self._answer_marks:
            self._later(self._send_mark, name)

    def _send_mark(self, name: str) -> None:
        self._send("mark", mark={"name": name})

    # -- what comes --------------------------------------------------------------------------------

    def _receive(self, message: str | bytes) -> None:
        self._later(self._take, orjson.loads(message))

    def _take(self, value: dict[str, Any]) -> None:
        match value["event"]:
            case "media":
                assert value["streamSid"] == STREAM_SID
                frame = b64decode(value["media"]["payload"])
                self.received.append(clock.now())
                self._buffer.append(frame)
                waiting = sum(isinstance(f, bytes) for f in self._buffer)
                self.most_waiting = max(self.most_waiting, waiting)
            case "mark":
                self._buffer.append(value["mark"]["name"])
            case "clear":
                self.cleared.append(clock.now())
                marks = [f for f in self._buffer if isinstance(f, str)]
                self._buffer.clear()
                for name in marks:
                    self._mark(name)

    def _send(self, event: str, **fields: object) -> None:
        self._sequence += 1
        message = {
            "event": event,
            "sequenceNumber": str(self._sequence),
            "streamSid": STREAM_SID,
            **fields,
        }
        self._socket.send(orjson.dumps(message).decode())

    def _later(self, do: Callable[..., None], *args: Any) -> None:
        if self._delay_s == 0:
            do(*args)
        else:
            self._on_the_way.send_nowait((clock.now() + self._delay_s, do, args))

    async def _carry(self, arriving: trio.MemoryReceiveChannel[_Arriving]) -> None:
        async for at_s, do, args in arriving:
            await trio.sleep_until(at_s)
            do(*args)
