"""The digits of a call: from three ways of sending them to one ``CallEvents.ToneReceived`` each."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from voxpy.audio.dtmf import DigitBegan, DigitEnded
from voxpy.call import Call, DTMFType
from voxpy.engine import clock
from voxpy.engine.ports import LegTone
from voxpy.engine.session import Session
from voxpy.events import CallEvents
from voxpy.media.digits import DigitFilter

__all__ = ["IN_BAND", "Tones"]

IN_BAND = "2"
"""``ToneReceived.type`` and ``LegTone.kind`` of a digit that was heard."""

_KINDS = {
    DTMFType.ALL: frozenset("123"),
    DTMFType.TELEPHONE_EVENT: frozenset("1"),
    DTMFType.IN_BAND: frozenset(IN_BAND),
    DTMFType.SIP_INFO: frozenset("3"),
}
_SAME_PRESS_S = 1.0
"""The same digit by another way within this time is the same press.

A far end may send a digit beside the audio and in it; a SIP INFO follows when the key is up.
"""


@attrs.define(eq=False)
class _Told:
    """A digit that was reported and has not come by another way yet."""

    tone: str
    kind: str
    at_s: float


class Tones:
    """What ``call.handle_tones`` turns on. Off it costs nothing: the graph has no stage for it."""

    def __init__(self, session: Session, call: Call) -> None:
        self._session = session
        self._call = call
        self._wanted: frozenset[str] = frozenset()
        self._told: list[_Told] = []
        self._stop_listening: Callable[[], None] = lambda: None

    def handle(self, enable: bool, dtmf_type: str) -> bool:
        """Report digits of ``dtmf_type`` from now on, or none.

        Returns whether digits that come beside the audio are wanted.
        """
        self.close()
        self._wanted = _KINDS[dtmf_type] if enable else frozenset()
        if IN_BAND in self._wanted and self._call.media.source is not None:
            listening = DigitFilter(self._heard)
            self._stop_listening = self._session.graph.insert(self._call.media, listening)
        return bool(self._wanted - {IN_BAND})

    def reported(self, event: LegTone) -> None:
        """Take a digit that the leg reports."""
        self._take(event.tone, event.kind)

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
        self._stop_listening()
        self._wanted = frozenset()
        self._told.clear()

    def _heard(self, event: DigitBegan | DigitEnded) -> None:
        if isinstance(event, DigitBegan):
            self._take(event.digit, IN_BAND)
            return
        for told in self._told:  # what comes beside the audio may wait for the end of the press
            if told.tone == event.digit and told.kind == IN_BAND:
                told.at_s = clock.now()

    def _take(self, tone: str, kind: str) -> None:
        if kind not in self._wanted:
            return
        now = clock.now()
        self._told = [t for t in self._told if now - t.at_s <= _SAME_PRESS_S]
        for told in self._told:
            if told.tone == tone and told.kind != kind:
                self._told.remove(told)
                self._session.trace.step(
                    "the same digit by another way", unit=self._call.id(), tone=tone, type=kind
                )
                return
        self._told.append(_Told(tone, kind, now))
        event = CallEvents.ToneReceived(call=self._call, tone=tone, type=kind)
        self._session.post(self._call.listeners, event)
