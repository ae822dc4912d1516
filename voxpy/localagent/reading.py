"""One client of a voice: what it sends is read out, in order, as it comes."""

from __future__ import annotations

import math

import orjson
import trio

from voxpy.localagent.engines import Engines
from voxpy.localagent.services.speech import Speak, SpeechFake
from voxpy.localagent.wireaudio import Speech
from voxpy.sockets import FrameSocket
from voxpy.text import json


async def read_out(socket: FrameSocket, fake: SpeechFake, engines: Engines) -> None:
    """Serve one connection to its end."""
    send, receive = trio.open_memory_channel[Speak](math.inf)

    def take(message: str | bytes) -> None:
        try:
            frame = json.loads(message)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            socket.close(1007, "no JSON object")
            return
        for speak in fake.asked(frame):
            send.send_nowait(speak)

    async def speak_all() -> None:
        async for speak in receive:
            if speak.text.strip():
                sentences = engines.voice.speak(speak.text, speaker="agent", speed=1.0)
                line = Speech(fake.encoding, fake.rate_hz)
                while (samples := await engines.run(next, sentences, None)) is not None:
                    for chunk in line.chunks(samples):
                        socket.send(orjson.dumps(fake.audio(speak.context, chunk)).decode())
            if (end := fake.said(speak)) is not None:
                socket.send(orjson.dumps(end).decode())

    socket.on_message = take
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak_all)
        await socket.run()
        nursery.cancel_scope.cancel()
