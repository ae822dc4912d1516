"""A phone at a provider that writes down what happens to it, for tests of media streams."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

import attrs

from voxpy.channels.providers.events import Clear, HostEvent, Play
from voxpy.channels.providers.provider import PhoneCall, Provider
from voxpy.channels.providers.twilio import PROVIDER as TWILIO
from voxpy.engine import clock
from voxpy.simulation.dialin import ProviderPhone
from voxpy.sockets import FrameSocket


@attrs.frozen
class Played:
    """A frame the phone heard, and when."""

    at_s: float
    frame: bytes


class CarrierPhone(ProviderPhone):
    """A ProviderPhone whose attributes tell what happened, and when.

    Each is a call of its own unless a ``call_id`` is given. ``played`` is what the phone heard,
    ``received`` when audio came, ``cleared`` when a clear did, ``marks`` how many were passed.
    """

    def __init__(
        self,
        socket: FrameSocket,
        *,
        parameters: Mapping[str, str],
        provider: Provider = TWILIO,
        call_id: str = "",
        delay_s: float = 0.0,
        answer_marks: bool = True,
    ) -> None:
        rest = {k: v for k, v in parameters.items() if k not in ("from", "to")}
        call = PhoneCall(
            call_id=call_id or f"CA{uuid4().hex}",
            caller=parameters.get("from", ""),
            callee=parameters.get("to", ""),
            format=provider.formats[0],
            parameters=rest,
        )
        super().__init__(socket, provider.place(call), delay_s=delay_s, answer_marks=answer_marks)
        self.played: list[Played] = []
        self.received: list[float] = []
        self.cleared: list[float] = []
        self.marks = 0
        self._socket = socket

    @property
    def most_waiting(self) -> float:
        """Frames in the provider's buffer at the fullest."""
        return self.buffer.statistics.most_waiting_frames

    def hear(self, frame: bytes, *, something: bool) -> None:
        """Note what was heard."""
        if something:
            self.played.append(Played(clock.now(), frame))
        super().hear(frame, something=something)

    def obey(self, event: HostEvent) -> None:
        """Note what was asked for."""
        if isinstance(event, Play):
            self.received.append(clock.now())
        elif isinstance(event, Clear):
            self.cleared.append(clock.now())
        super().obey(event)

    def pass_mark(self, name: str, *, played: bool) -> None:
        """Count marks."""
        self.marks += 1
        super().pass_mark(name, played=played)

    def cut(self) -> None:
        """Lose the connection without a word."""
        self._socket.abort()

    def say(self, message: str | bytes) -> None:
        """Send a message as it is."""
        self._socket.send(message)
