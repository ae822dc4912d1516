"""A speech service with a wire of its own, invented: what a connector above the seam has to bring.

One way go ``{"audio": ...}``, ``{"interrupted": true}``, ``{"call": {...}}``, ``{"over": true}``,
the other ``{"heard": ...}``, ``{"cut_at_ms": ...}``, ``{"result": ...}``. It says nothing of items:
one turn is one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeAlias, Unpack

import orjson

from voxpy.audio.frame import pcm16
from voxpy.engine.events import Namespace, event_class
from voxpy.engine.session import Session
from voxpy.errors import RemoteProtocolError
from voxpy.realtime import events
from voxpy.realtime.envelope import EventNamespace, MediaEvents, RealtimeAPIEvent
from voxpy.realtime.options import ClientOptions, ClientParameters
from voxpy.realtime.service import Access, Service, bearer
from voxpy.realtime.speech import SpeechClient, open_client
from voxpy.realtime.wire import (
    Audio,
    AudioOver,
    CallerSpoke,
    Happening,
    Sent,
    Told,
    ToolsCalled,
    Wire,
)
from voxpy.wire.realtime.client.playback import AudioRate, Playback
from voxpy.wire.realtime.events.types import FunctionCall


class OwnWire:
    """Implements ``Wire``: no socket, no clock, no session."""

    def __init__(self) -> None:
        self.playback = Playback()
        self.input_format = self.output_format = pcm16(16000)
        self.idle = True
        self.owes = ""
        self._rate = AudioRate("pcm16", 16000)
        self._turn = 1
        self._calls: set[str] = set()
        self._due: list[bytes] = []

    @property
    def item_id(self) -> str:
        return f"turn-{self._turn}"

    def receive(self, text: str) -> list[Happening]:
        try:
            frame: dict[str, Any] = orjson.loads(text)
        except ValueError as error:
            raise RemoteProtocolError(str(error)) from error
        told = [Told(name, frame) for name in frame if name != "audio"]
        if "audio" in frame:
            self.idle = False
            data = base64.b64decode(frame["audio"])
            self.playback.produced(self.item_id, "", len(data), self._rate)
            return [Audio("", self.item_id, data)]
        if "interrupted" in frame:
            return [CallerSpoke(interrupts=True), *told]
        if "over" in frame:
            self.idle = True
            self.playback.item_done(self.item_id)
            return [AudioOver(), *told]
        if "call" in frame:
            call = frame["call"]
            self._calls.add(call["id"])
            arguments = orjson.dumps(call["args"]).decode()
            asked = FunctionCall(
                item_id="", call_id=call["id"], name=call["name"], arguments=arguments
            )
            return [*told, ToolsCalled([asked])]
        return [*told]

    def receive_binary(self, data: bytes) -> None:
        return None

    def outgoing(self) -> list[bytes]:
        due, self._due = self._due, []
        return due

    def append(self, audio: bytes) -> bytes:
        return orjson.dumps({"heard": base64.b64encode(audio).decode()})

    def interrupt(self, played_ms: Callable[[str], float]) -> list[Sent]:
        cut = {"cut_at_ms": round(played_ms(self.item_id))}
        self._turn += 1
        return [Sent("cut", cut, orjson.dumps(cut))]

    def awaits_output(self, call_id: str) -> bool:
        return call_id in self._calls

    def tool_output(self, call_id: str, output: str, *, silent: bool = False) -> None:
        self._calls.remove(call_id)
        self._due.append(orjson.dumps({"result": orjson.loads(output), "id": call_id}))

    def transcript_heard(self, item_id: str, played_ms: float) -> str:
        return f"{played_ms:.0f} ms of {item_id}"


def _is_a_wire(wire: OwnWire) -> Wire:
    return wire


class OwnEvents(metaclass=EventNamespace, prefix="Own.API"):
    """What the service tells."""

    Unknown: TypeAlias = events.Unknown
    ConnectorInformation: TypeAlias = events.ConnectorInformation

    @event_class
    class Interrupted(RealtimeAPIEvent):
        """The caller spoke."""

        wire_type = "interrupted"


class OwnMedia(MediaEvents, metaclass=EventNamespace, prefix="Own.Events"):
    """The media stream."""


OWN = Service(
    name="Own",
    endpoint="wss://own.test/talk",
    secret="OWN_KEY",
    authentication=bearer,
    events=OwnEvents,
    media_events=OwnMedia,
)


class OwnClient(SpeechClient[OwnWire]):
    """Its one method is the service's own."""

    def __init__(
        self, session: Session, client_id: str, access: Access, options: ClientOptions
    ) -> None:
        super().__init__(
            session,
            service=OWN,
            access=access,
            client_id=client_id,
            options=options,
            make_wire=OwnWire,
        )

    def say(self, text: str) -> None:
        self._announce.command("say", {"text": text})
        self._link.send(orjson.dumps({"say": text}))


class Own(metaclass=Namespace):
    """The module."""

    Events = OwnEvents

    @staticmethod
    async def create_client(**parameters: Unpack[ClientParameters]) -> OwnClient:
        return await open_client(
            OwnClient,
            OWN,
            function="Own.create_client",
            address=lambda base, _: base,
            api_key="key",
            url=None,
            parameters=parameters,
        )
