"""Callers at a phone provider, with Twilio's media-stream protocol: 20 ms of mu-law both ways."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import suppress
from functools import partial
from typing import Any

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


class Callers:
    """All calls, and what they have measured."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.calls: dict[int, Call] = {}
        self.delays = Samples(3)  # call, when it came, delay
        self.clears: dict[int, float] = {}  # response: when the clear came
        self.stale: dict[int, int] = {}  # response: frames of it after its clear
        self.last_frame: dict[int, float] = {}  # response: when its last frame came
        self.left: dict[int, float] = {}  # call: when we hung up
        self.first_audio: dict[int, float] = {}  # call: seconds from dialling to the first frame
        self.received_frames = 0
        self.cut_off = 0
        """Calls that the program ended."""
        self._began_s = now()
        self.loop.orders.update(
            open=self._open,
            close=self._close,
            answered=lambda: len(self.first_audio),
            begin=self._begin,
            count=lambda: self.received_frames,
            report=self._report,
        )

    def _open(self, port: int, calls: list[int], path: str = "/media") -> None:
        for number in calls:
            self.calls[number] = Call(self, number, port, path, self._began_s)

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
        }


class Call:
    """One phone call: the provider's end of its stream."""

    def __init__(self, callers: Callers, number: int, port: int, path: str, began_s: float) -> None:
        self._callers = callers
        self._number = number
        self._frames: Frames | None = None
        self._chunk = 0
        self._response = 0
        self._plays_until_s = 0.0
        self._dialled_s = now()
        phase_s = FRAME_S * (number % SLOTS) / SLOTS
        ticks = int((now() - began_s) / FRAME_S) + 2
        self._due_s = began_s + ticks * FRAME_S + phase_s
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        callers.loop.watch(self._sock, self._readable)
        self._sock.send(upgrade_request(path))

    def leave(self, *, drop: bool) -> None:
        """Hang up in Twilio's way, or let the connection break."""
        self._callers.left[self._number] = now()
        if not drop:
            self._write({"event": "stop", "stop": {"callSid": "CA1"}})
            self._raw(text_frame(b"\x03\xe8", masked=True, kind=CLOSE))
        self._over()

    def _over(self) -> None:
        self._callers.loop.forget(self._sock)
        self._callers.calls.pop(self._number, None)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(262144)
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        if self._frames is None:
            _, _, data = data.partition(b"\r\n\r\n")
            self._frames = Frames()
            self._start()
        at_s = now()
        for kind, payload in self._frames.feed(data):
            if kind == CLOSE:
                self._lost()
                return
            if kind == TEXT:
                self._take(payload, at_s)

    def _lost(self) -> None:
        self._callers.cut_off += 1
        self._over()

    def _start(self) -> None:
        self._write({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "streamSid": "MZ1",
            "accountSid": "AC1",
            "callSid": f"CA{self._number}",
            "tracks": ["inbound"],
            "customParameters": {"from": "+15550001111", "to": "+15550002222"},
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
            response, sent_s = read_stamp(payload, payload.index(PAYLOAD) + len(PAYLOAD))
            callers.received_frames += 1
            callers.delays.add(self._number, at_s, at_s - sent_s)
            callers.last_frame[response] = at_s
            self._plays_until_s = max(at_s, self._plays_until_s) + FRAME_S
            self._response = max(self._response, response)
            if response in callers.clears:
                callers.stale[response] = callers.stale.get(response, 0) + 1
            callers.first_audio.setdefault(self._number, at_s - self._dialled_s)
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
