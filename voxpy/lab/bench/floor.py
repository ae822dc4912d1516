"""The floor: the same calls over bare trio, with thin framing and slicing and nothing around it.

No session, no events, no clock, no queue, no trace, no recording: what comes is passed on at once.
A task per socket, which waits for it with trio and reads it itself.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import orjson
import trio

from voxpy.lab.bench.framing import TEXT, Frames, text_frame, upgrade_answer, upgrade_request
from voxpy.lab.bench.pacing import answer

DELTA = b'{"type":"response.output_audio.delta"'
MEDIA = b'{"event":"media"'
APPEND = b'{"type":"input_audio_buffer.append","audio":"%b"}'
PLAY = b'{"event":"media","streamSid":"MZ1","media":{"payload":"%b"}}'


def cut(text: bytes, before: bytes) -> bytes:
    """Return the string behind a key."""
    at = text.index(before) + len(before)
    return text[at : text.index(b'"', at)]


class Bridge:
    """One call."""

    def __init__(self, phone: socket.socket, model: socket.socket) -> None:
        self._phone = phone
        self._model = model

    def from_phone(self, text: bytes) -> None:
        """Pass audio to the model."""
        if text.startswith(MEDIA):
            self._tell(self._model, APPEND % cut(text, b'"payload":"'), masked=True)

    def from_model(self, text: bytes) -> None:
        """Pass audio to the phone, and do what the protocol wants."""
        if text.startswith(DELTA):
            self._tell(self._phone, PLAY % cut(text, b'"delta":"'), masked=False)
            return
        kind = orjson.loads(text)["type"]
        if kind == "session.created":
            self._tell(self._model, b'{"type":"session.update","session":{}}', masked=True)
        elif kind == "session.updated":
            self._tell(self._model, b'{"type":"response.create"}', masked=True)
        elif kind == "input_audio_buffer.speech_started":
            self._tell(self._phone, b'{"event":"clear","streamSid":"MZ1"}', masked=False)

    @staticmethod
    def _tell(sock: socket.socket, text: bytes, *, masked: bool) -> None:
        sock.send(text_frame(text, masked=masked))


async def read(sock: socket.socket, take: Callable[[bytes], None], first: bytes) -> None:
    """Read to the end of the stream."""
    frames = Frames()
    data = first
    while True:
        for kind, payload in frames.feed(data):
            if kind != TEXT:
                return
            take(payload)
        await trio.lowlevel.wait_readable(sock)
        if not (data := sock.recv(65536)):
            return


async def serve(phone: socket.socket, model_port: int) -> None:
    """Run one call; whichever side ends first ends it."""
    with phone, socket.create_connection(("127.0.0.1", model_port)) as model:
        for sock in (phone, model):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await trio.lowlevel.wait_readable(phone)
        phone.send(upgrade_answer(phone.recv(65536)))
        model.send(upgrade_request("/"))
        await trio.lowlevel.wait_readable(model)
        _, _, first = model.recv(65536).partition(b"\r\n\r\n")
        bridge = Bridge(phone, model)
        try:
            async with trio.open_nursery() as nursery:

                async def half(
                    sock: socket.socket, take: Callable[[bytes], None], first: bytes
                ) -> None:
                    await read(sock, take, first)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(half, phone, bridge.from_phone, b"")
                nursery.start_soon(half, model, bridge.from_model, first)
        except* OSError:
            pass  # a side that vanished


async def main() -> None:
    """Serve until stdin ends."""
    model_port = int(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    listener.setblocking(False)
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            while True:
                await trio.lowlevel.wait_readable(listener)
                phone, _ = listener.accept()
                nursery.start_soon(serve, phone, model_port)

        nursery.start_soon(accept)
        answer({"port": listener.getsockname()[1]})
        async for _ in trio.lowlevel.FdStream(0):
            answer({})
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
