"""A leg without sound: what a host does with a call is seen, what is said in it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio

from voxpy.audio.frame import PCMU
from voxpy.engine.ports import LegConnected, LegEnded, LegEvent
from voxpy.media.unit import MediaPort


class _Still:
    """No sound, either way."""

    format = PCMU

    def pull(self) -> None:
        return None

    def push(self, frame: bytes) -> None:
        pass


class QuietLeg:
    """Implements ``voxpy.engine.ports.Leg``: signalling alone, at once."""

    channel = "sip"
    client_type = "sip"
    display_name = ""
    transfers: Any = None

    def __init__(self, leg_id: str, destination: str, *, incoming: bool = True) -> None:
        self.leg_id, self.destination, self.incoming = leg_id, destination, incoming
        self.callerid = "+15550001111"
        self.headers: Mapping[str, str] = {}
        self.media = MediaPort(name=leg_id, source=_Still(), sink=_Still())
        self.answered = trio.Event()
        self.settled = trio.Event()
        """It was answered or refused, or nobody is there to do either."""
        self.over = trio.Event()
        self.code = 0
        """What ended it: 200 for a goodbye of the host."""
        self._report: Callable[[LegEvent], None] = lambda event: None

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        self._report = report

    def ring(self, headers: object) -> None:
        pass

    def start_early_media(self, headers: object) -> None:
        pass

    def answer(self, headers: object) -> None:
        self.answered.set()
        self.settled.set()
        self._report(LegConnected())

    def reject(self, code: int, headers: object) -> None:
        self.end(code)

    def hangup(self, headers: object) -> None:
        self.end(200)

    def handle_tones(self, enabled: bool) -> None:
        pass

    def send_digits(self, digits: str) -> None:
        pass

    def send_message(self, text: str) -> None:
        pass

    def send_info(self, mime_type: str, body: str, headers: object) -> None:
        pass

    def far_end(self, event: LegEvent) -> None:
        """Report what the other end does."""
        self._report(event)

    def end(self, code: int, reason: str = "") -> None:
        if not self.over.is_set():
            self.code = code
            self.over.set()
            self.settled.set()
            self._report(LegEnded(code=code, reason=reason))

    async def aclose(self) -> None:
        self.end(200)
        await trio.lowlevel.checkpoint()
