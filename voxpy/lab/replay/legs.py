"""Legs whose far end does again what it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, Format, Samples
from voxpy.engine import ports
from voxpy.engine.ports import (
    SERVICE_UNAVAILABLE,
    Headers,
    Leg,
    LegEnded,
    LegEvent,
    OutgoingCall,
    RefusedLeg,
)
from voxpy.lab.replay.cues import Prompts, cues_of
from voxpy.lab.replay.recording import Recording
from voxpy.media.unit import MediaPort

__all__ = ["ReplayedDialer", "ReplayedLeg"]

SAME_MOMENT_S = 0.001
ENDS = ("hangup", "reject", "aclose")


class ReplayedLeg:
    """Implements ``voxpy.engine.ports.Leg``. ``elapsed`` gives the seconds of the session.

    ``fades`` says that packets stopped coming during the call: then perfect silence counts as none.
    """

    def __init__(
        self,
        recording: Recording,
        leg_id: str,
        *,
        elapsed: Callable[[], float],
        tolerance_s: float,
        said: Callable[[Format], Samples] | None = None,
        fades: bool = False,
    ) -> None:
        inputs = recording.about(leg_id)
        head, *rest = inputs
        self.leg_id = leg_id
        self.channel: str = head.data["channel"]
        self.client_type: str = head.data["client_type"]
        self.incoming: bool = head.data["incoming"]
        self.callerid: str = head.personal["callerid"]
        self.destination: str = head.personal["destination"]
        self.display_name: str = head.personal["display_name"]
        self.headers: Headers = head.personal["headers"]
        self._format = _format(head.data["format"])
        self.media = MediaPort(
            name=leg_id, source=_Said(self, self._format), sink=_Unheard(self._format)
        )
        self._elapsed = elapsed
        self._commands = [i.name for i in rest if i.kind == "leg command"]
        self._cues, times = cues_of(rest, lambda i: i.kind == "leg command")
        self._prompts = Prompts(times, tolerance_s=tolerance_s)
        self._samples = None if said is None else said(self._format)
        self._fades = fades
        self._position = 0
        self._flows = False
        self._over = False
        self._report: Callable[[LegEvent], None] = lambda _: None

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``."""
        self._report = report

    def ring(self, headers: Headers) -> None:
        """Take note."""
        self._told("ring")

    def start_early_media(self, headers: Headers) -> None:
        """Take note."""
        self._told("start_early_media")

    def answer(self, headers: Headers) -> None:
        """Take note."""
        self._told("answer")

    def reject(self, code: int, headers: Headers) -> None:
        """End as recorded, or at once if the recording went on."""
        self._told("reject", LegEnded(code=code, reason="Rejected"))

    def hangup(self, headers: Headers) -> None:
        """End as recorded, or at once if the recording went on."""
        self._told("hangup", LegEnded(code=200, reason="Hung up by the scenario"))

    def handle_tones(self, enabled: bool) -> None:
        """Take note."""
        self._told("handle_tones")

    def send_digits(self, digits: str) -> None:
        """Take note."""
        self._told("send_digits")

    def send_message(self, text: str) -> None:
        """Take note."""
        self._told("send_message")

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Take note."""
        self._told("send_info")

    async def aclose(self) -> None:
        """End as recorded, or at once if the recording went on."""
        self._told("aclose", LegEnded(code=200, reason="Session ended"))

    def pull(self) -> bytes | None:
        """Do what is due, then give 20 ms of what was said."""
        self._play(self._elapsed())
        start, size = self._position, self._format.frame_samples
        self._position += size
        if not self._flows or self._over:
            return None
        if self._samples is None or start >= len(self._samples):
            return None if self._fades else self._format.silence
        frame = self._samples[start : start + size]
        if self._fades and not frame.any():
            return None
        return (encode(frame, self._format) + self._format.silence)[: self._format.frame_bytes]

    def _told(self, command: str, end: LegEnded | None = None) -> None:
        index = self._prompts.count
        now = self._elapsed()
        self._prompts.came(now)
        expected = self._commands[index] if index < len(self._commands) else ""
        if end is not None and not self._over and expected not in ENDS:
            self._cues.clear()
            self._over = True
            self._report(end)
        else:
            self._play(now, provoked=True)

    def _play(self, now: float, *, provoked: bool = False) -> None:
        while self._cues and not self._over:
            cue = self._cues[0]
            if provoked and cue.after != self._prompts.count:
                return
            if self._prompts.due(cue) > now + SAME_MOMENT_S:
                return
            del self._cues[0]
            event = _event(cue.input.name, {**cue.input.data["data"], **cue.input.personal})
            self._flows |= isinstance(event, ports.LegConnected | ports.FirstAudio)
            self._over |= isinstance(event, LegEnded)
            self._report(event)


class _Said:
    def __init__(self, leg: ReplayedLeg, fmt: Format) -> None:
        self.format = fmt
        self.pull = leg.pull


class _Unheard:
    def __init__(self, fmt: Format) -> None:
        self.format = fmt

    def push(self, frame: bytes) -> None:
        """Nobody listens any more."""


def _format(told: str | None) -> Format:
    if told is None:
        return PCMU
    encoding, _, rate_hz = told.partition("/")
    known: Any = encoding
    return Format(known, int(rate_hz))


def _event(name: str, fields: dict[str, Any]) -> LegEvent:
    event: LegEvent = getattr(ports, name)(**fields)
    return event


@attrs.frozen
class ReplayedDialer:
    """Implements ``voxpy.engine.ports.Dialer``: whoever was called then is there again."""

    recording: Recording
    elapsed: Callable[[], float]
    tolerance_s: float

    def dial(self, call: OutgoingCall) -> Leg:
        """Return the leg of that id, or one that fails because there was no such call."""
        if not any(leg.of == call.leg_id for leg in self.recording.legs()):
            return RefusedLeg(call, SERVICE_UNAVAILABLE, "this call was not made in the recording")
        return ReplayedLeg(
            self.recording, call.leg_id, elapsed=self.elapsed, tolerance_s=self.tolerance_s
        )
