"""Callers at a phone provider, with Twilio's media-stream protocol: 20 ms of mu-law both ways."""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import orjson

from voxpy.lab.bench.framing import (
    CLOSE,
    FRAME_BYTES,
    FRAME_S,
    TEXT,
    Frames,
    read_stamp,
    stamped,
    text_frame,
    upgrade_request,
)
from voxpy.lab.bench.pacing import Loop, Samples, now

MEDIA = b'{"event":"media"'
PAYLOAD = b'"payload":"'
PERIOD_FRAMES, SPEECH_FRAMES = 250, 200
"""A caller draws breath for one second in five; only then may a buffer give delay back."""
PAUSE = b64encode(b"\xff" * FRAME_BYTES)
SLOTS = 20
"""The calls are spread evenly over the 20 ms: their phases are those of real calls."""
MOST_STEP = 40
"""More than that is a pause, of the sender or of the network: nothing is known to be missing."""
CONNECTS_WITHIN_S = 5.0
OLDEST_S = 60.0
"""What claims to be older is no stamp: a far end that we do not know says what it likes."""


class Leaves(Protocol):
    """A call that can be ended."""

    def leave(self, *, drop: bool) -> None:
        """Hang up in order, or let the connection break."""


class Callers:
    """All calls, and what they have measured."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.calls: dict[int, Leaves] = {}
        self.delays = Samples(3)  # call, when it came, delay
        self.clears: dict[int, float] = {}  # response: when the clear came
        self.stale: dict[int, int] = {}  # response: frames of it after its clear
        self.last_frame: dict[int, float] = {}  # response: when its last frame came
        self.left: dict[int, float] = {}  # call: when we hung up
        self.first_audio: dict[int, float] = {}  # call: seconds from dialling to the first frame
        self.received_frames = 0
        self.sequence = [0, 0]
        """How many frames should have come by the numbers or times in them, and how many did."""
        self.cut_off = 0
        """Calls that the program ended."""
        self.refused: Counter[str] = Counter()
        """Calls that nobody was heard in, by what ended them."""
        self.began_s = now()
        self.loop.orders.update(
            open=self._open,
            close=self._close,
            answered=lambda: len(self.first_audio),
            settled=lambda: len(self.first_audio) + sum(self.refused.values()),
            begin=self._begin,
            count=lambda: self.received_frames,
            report=self._report,
        )

    def _open(self, calls: list[int], **where: Any) -> None:
        for number in calls:
            try:
                self.calls[number] = self._call(number, **where)
            except OSError as error:
                self.refused[f"{error.strerror or error}"] += 1

    def _call(self, number: int, **where: Any) -> Leaves:
        return Call(self, number, **where)

    def over(self, number: int, why: str = "") -> None:
        """Take note that a call is over, and of why if it was not we who ended it."""
        if self.calls.pop(number, None) is None or not why:
            return
        if number in self.first_audio:
            self.cut_off += 1
        else:
            self.refused[why] += 1

    def note_step(self, frames: int) -> None:
        """Take note of a frame that should be so many after the one before it in its call."""
        self.sequence[0] += frames if 0 <= frames < MOST_STEP else 1
        self.sequence[1] += 1

    def _close(self, calls: list[int], drop: bool) -> None:
        for number in calls:
            if number in self.calls:
                self.calls[number].leave(drop=drop)

    def _begin(self) -> None:
        """Forget what was measured so far."""
        for samples in (self.delays, self.loop.late_s):
            samples.clear()
        for noted in (self.clears, self.stale, self.last_frame, self.left):
            noted.clear()
        self.received_frames = 0
        self.sequence = [0, 0]

    def _report(self) -> dict[str, Any]:
        return {
            "delays": self.delays,
            "late": self.loop.late_s,
            "clears": self.clears,
            "stale": self.stale,
            "last_frame": self.last_frame,
            "left": self.left,
            "first_audio": list(self.first_audio.values()),
            "open": len(self.calls),
            "cut_off": self.cut_off,
            "refused": self.refused,
            "unheard": sum(number not in self.first_audio for number in self.calls),
            "sequence": self.sequence,
        }


class Call:
    """One phone call: the provider's end of its stream.

    ``called`` is the host as its URL names it. ``headers`` prove that we are the provider. ``run``
    tells the calls of one run from another's.
    """

    def __init__(
        self,
        callers: Callers,
        number: int,
        *,
        port: int,
        host: str = "127.0.0.1",
        called: str = "bench",
        path: str = "/media",
        tls: bool = False,
        headers: list[list[str]] = [],  # noqa: B006  read only
        to: str = "+15550002222",
        run: str = "",
    ) -> None:
        self._callers = callers
        self._number = number
        self._call_id, self._to = f"CA{run}{number}", to
        self._head = b""
        self._frames: Frames | None = None
        self._chunk = 0
        self._response = 0
        self._plays_until_s = 0.0
        self._last = 0
        self._dialled_s = now()
        phase_s = FRAME_S * (number % SLOTS) / SLOTS
        ticks = int((now() - callers.began_s) / FRAME_S) + 2
        self._due_s = callers.began_s + ticks * FRAME_S + phase_s
        self._sock = socket.create_connection((host, port), CONNECTS_WITHIN_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self._sock = ssl.create_default_context().wrap_socket(self._sock, server_hostname=host)
        self._sock.setblocking(False)
        callers.loop.watch(self._sock, self._readable)
        self._sock.send(upgrade_request(path, called, headers))

    def leave(self, *, drop: bool) -> None:
        """Hang up in Twilio's way, or let the connection break."""
        self._callers.left[self._number] = now()
        if not drop:
            self._write({"event": "stop", "stop": {"callSid": "CA1"}})
            self._raw(text_frame(b"\x03\xe8", masked=True, kind=CLOSE))
        self._over()

    def _over(self, why: str = "") -> None:
        self._callers.loop.forget(self._sock)
        self._callers.over(self._number, why)

    def _readable(self) -> None:
        while True:
            try:
                data = self._sock.recv(262144)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError:
                data = b""
            if not data:
                self._over("the connection was closed")
                return
            if not self._read(data) or not isinstance(self._sock, ssl.SSLSocket):
                return  # only TLS may hold more than the kernel tells of

    def _read(self, data: bytes) -> bool:
        """Take bytes; return whether the call goes on."""
        if self._frames is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return True
            status = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 1)[-1]
            if not status.startswith("101"):
                self._over(f"HTTP {status}")
                return False
            self._frames = Frames()
            self._start()
        at_s = now()
        for kind, payload in self._frames.feed(data):
            if kind == CLOSE:
                self._over(f"closed with {int.from_bytes(payload[:2], 'big')}")
                return False
            if kind == TEXT:
                self._take(payload, at_s)
        return True

    def _start(self) -> None:
        self._write({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "streamSid": "MZ1",
            "accountSid": "AC1",
            "callSid": self._call_id,
            "tracks": ["inbound"],
            "customParameters": {"from": "+15550001111", "to": self._to},
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        self._write({"event": "start", "streamSid": "MZ1", "start": start})
        self._callers.loop.at(self._due_s, self._speak)

    def _speak(self) -> None:
        if self._sock.fileno() < 0:
            return
        self._chunk += 1
        pauses = (self._chunk + 7 * self._number) % PERIOD_FRAMES >= SPEECH_FRAMES
        audio = PAUSE if pauses else stamped(self._number, now())
        payload = (
            b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d",'
            b'"timestamp":"%d","payload":"%b"},"streamSid":"MZ1"}'
        ) % (self._chunk + 2, self._chunk, self._chunk * 20, audio)
        self._raw(text_frame(payload, masked=True))
        self._due_s += FRAME_S
        self._callers.loop.at(self._due_s, self._speak)

    def _take(self, payload: bytes, at_s: float) -> None:
        callers = self._callers
        if payload.startswith(MEDIA):
            callers.received_frames += 1
            self._plays_until_s = max(at_s, self._plays_until_s) + FRAME_S
            callers.first_audio.setdefault(self._number, at_s - self._dialled_s)
            response, sent_s = read_stamp(payload, payload.index(PAYLOAD) + len(PAYLOAD))
            if not 0 <= at_s - sent_s < OLDEST_S:
                return
            callers.delays.add(self._number, at_s, at_s - sent_s)
            ordinal = round((sent_s - self._due_s) / FRAME_S) + self._chunk
            callers.note_step(ordinal - self._last)
            self._last = ordinal
            callers.last_frame[response] = at_s
            self._response = max(self._response, response)
            if response in callers.clears:
                callers.stale[response] = callers.stale.get(response, 0) + 1
            return
        event = orjson.loads(payload)
        if event["event"] == "clear":
            callers.clears.setdefault(self._response, at_s)
            self._plays_until_s = at_s
        elif event["event"] == "mark":
            callers.loop.at(max(at_s, self._plays_until_s), partial(self._write, event))

    def _write(self, event: dict[str, Any]) -> None:
        self._raw(text_frame(orjson.dumps(event), masked=True))

    def _raw(self, data: bytes) -> None:
        with suppress(OSError):  # a program that does not read, or has gone: reading will tell
            self._sock.send(data)


if __name__ == "__main__":
    Callers().loop.run({})
