"""A realtime service that speaks all the time: the far end of ``voxpy bench``.

It answers the handshake, ``session.update``, ``response.create`` and ``output_audio_buffer.clear``
as the service does, and sends its speech in deltas of 20 ms of mu-law, with a stamp in each. It is
interrupted on a schedule, which no caller's voice decides here.
"""

from __future__ import annotations

import itertools
import random
import socket
from functools import partial
from typing import Any

import orjson

from voxpy.lab.bench.framing import (
    CLOSE,
    FRAME_S,
    TEXT,
    Frames,
    read_stamp,
    stamped,
    text_frame,
    upgrade_answer,
)
from voxpy.lab.bench.pacing import Loop, Samples, now

PERIOD_FRAMES, SPEECH_FRAMES = 250, 230
"""It pauses for 0.4 s in five, as between two sentences."""
APPEND = b'{"type":"input_audio_buffer.append"'
AUDIO = b'"audio":"'


class Model:
    """The server: its settings, and what it has measured."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.speed = 1.0
        """How much faster than real time the speech is sent."""
        self.barge_in = False
        self.responses = itertools.count(1)
        self.draw = random.Random(7)
        self.sessions: set[Session] = set()
        self.delays = Samples(3)  # call, when it came, delay
        self.interrupted: dict[int, float] = {}  # response: when speech_started was sent
        self.gone: dict[int, float] = {}  # call: when its session was closed
        self.sent_frames = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.setblocking(False)
        self.loop.watch(self._listener, self._accept)
        self.loop.orders.update(
            begin=self._begin,
            count=lambda: self.sent_frames,
            report=self._report,
            set=self._set,
        )

    def run(self) -> None:
        """Serve until stdin ends."""
        self.loop.run({"port": self._listener.getsockname()[1]})

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        self.sessions.add(Session(self, sock))

    def _set(self, speed: float, barge_in: bool) -> None:
        self.speed, self.barge_in = speed, barge_in

    def _begin(self) -> None:
        """Forget what was measured so far."""
        self.delays.clear()
        self.loop.late_s.clear()
        self.interrupted.clear()
        self.gone.clear()
        self.sent_frames = 0

    def _report(self) -> dict[str, Any]:
        return {
            "delays": self.delays,
            "late": self.loop.late_s,
            "interrupted": self.interrupted,
            "gone": self.gone,
            "open": len(self.sessions),
        }


class Session:
    """One connection."""

    def __init__(self, model: Model, sock: socket.socket) -> None:
        self._model = model
        self._sock = sock
        self._frames: Frames | None = None
        self._call = 0
        self._response = 0
        self._frame = 0
        self._head = b""
        self._due_s = 0.0
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        model.loop.watch(sock, self._readable)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(262144)
        except OSError:
            data = b""
        if not data:
            self._over()
        elif self._frames is None:
            self._frames = Frames()
            self._write(upgrade_answer(data))
            self._send("session.created", session={"id": "sess_1", "type": "realtime"})
        else:
            at_s = now()
            for kind, payload in self._frames.feed(data):
                if kind == CLOSE:
                    self._write(text_frame(payload[:2], masked=False, kind=CLOSE))
                    self._over()
                    return
                if kind == TEXT:
                    self._take(payload, at_s)

    def _over(self) -> None:
        if self in self._model.sessions:
            self._model.sessions.remove(self)
            self._model.gone.setdefault(self._call, now())
            self._model.loop.forget(self._sock)

    def _take(self, payload: bytes, at_s: float) -> None:
        if payload.startswith(APPEND):
            call, sent_s = read_stamp(payload, payload.index(AUDIO) + len(AUDIO))
            if sent_s > 1:  # else a pause, or the silence before the first frame
                self._call = call
                self._model.delays.add(self._call, at_s, at_s - sent_s)
            return
        event = orjson.loads(payload)
        match event["type"]:
            case "session.update":
                self._send("session.updated", session={"id": "sess_1", **event["session"]})
            case "response.create":
                self._respond()
            case "output_audio_buffer.clear":
                self._send("output_audio_buffer.cleared", response_id=f"resp_{self._response}")

    # -- speech ------------------------------------------------------------------------------------

    def _respond(self) -> None:
        self._response = number = next(self._model.responses)
        self._send("response.created", response={"id": f"resp_{number}", "status": "in_progress"})
        self._head = (
            b'{"type":"response.output_audio.delta","response_id":"resp_%d","item_id":"item_%d",'
            b'"output_index":0,"content_index":0,' % (number, number)
        )
        self._due_s = now() + FRAME_S * self._model.draw.random()
        self._frame = self._model.draw.randrange(SPEECH_FRAMES)
        self._model.loop.at(self._due_s, partial(self._speak, number))
        if self._model.barge_in:
            after_s = self._model.draw.uniform(0.8, 2.4)
            self._model.loop.at(now() + after_s, self._interrupt)

    def _speak(self, number: int) -> None:
        if number != self._response or self._sock.fileno() < 0:
            return
        self._frame += 1
        if self._frame % PERIOD_FRAMES < SPEECH_FRAMES:
            audio = stamped(number, now())
            event = b'"event_id":"event_%d_%d"' % (number, self._frame)  # each is another, as ever
            delta = b'%b%b,"delta":"%b"}' % (self._head, event, audio)
            self._write(text_frame(delta, masked=False))
            self._model.sent_frames += 1
        self._due_s += FRAME_S / self._model.speed
        self._model.loop.at(self._due_s, partial(self._speak, number))

    def _interrupt(self) -> None:
        """The caller speaks: stop, and speak again after a while."""
        number, self._response = self._response, 0
        if self._sock.fileno() < 0:
            return
        self._model.interrupted[number] = now()
        item = f"caller_{number}"
        self._send("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
        response = {"id": f"resp_{number}", "status": "cancelled"}
        self._send("response.done", response=response)
        self._model.loop.at(now() + 0.5, partial(self._reply, item))

    def _reply(self, item: str) -> None:
        if self._sock.fileno() >= 0:
            self._send("input_audio_buffer.speech_stopped", audio_end_ms=500, item_id=item)
            self._send("input_audio_buffer.committed", item_id=item)
            self._respond()

    def _send(self, kind: str, **fields: Any) -> None:
        payload = orjson.dumps({"type": kind, "event_id": "e", **fields})
        self._write(text_frame(payload, masked=False))

    def _write(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # reading will tell
        if sent < len(data):
            self._over()  # a program so far behind has lost the call


if __name__ == "__main__":
    Model().run()
