"""A leg without a network: mu-law at 8 kHz between a session and a simulated caller.

The line between the two may lose, delay and disturb packets. All signalling takes effect at the
next 20 ms tick, as it would one packet later on a real line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU, Format
from voxpy.audio.line import Line
from voxpy.audio.mix import mix
from voxpy.audio.tones import dtmf
from voxpy.engine.ports import (
    EarlyMedia,
    FirstAudio,
    LegConnected,
    LegEnded,
    LegEvent,
    LegInfo,
    LegMessage,
    LegTone,
)
from voxpy.media.playout import Playout
from voxpy.media.unit import MediaPort

__all__ = ["FarEnd", "SimulatedLeg"]

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}


class FarEnd(Protocol):
    """The caller at the other end of the line, as the leg sees it."""

    def rings(self) -> None:
        """Hear that the callee is being alerted."""

    def answered(self) -> None:
        """Learn that the call is up."""

    def ended(self, code: int, reason: str) -> None:
        """Learn that the call is over, whoever ended it."""

    def hears(self, frame: bytes) -> None:
        """Hear 20 ms of mu-law."""

    def receives(self, kind: str, content: str) -> None:
        """Receive digits, a message or an INFO."""


class SimulatedLeg:
    """Implements ``voxpy.engine.ports.Leg``; a caller drives it by the ``caller_...`` methods."""

    channel = "simulated"
    client_type = "sip"

    def __init__(
        self,
        *,
        leg_id: str,
        callerid: str,
        destination: str,
        display_name: str = "",
        headers: Headers = NO_HEADERS,
        to_callee: Line | None = None,
        to_caller: Line | None = None,
    ) -> None:
        self.leg_id = leg_id
        self.incoming = True
        self.callerid = callerid
        self.destination = destination
        self.display_name = display_name
        self.headers = headers
        self.mouth = Playout(PCMU, limit_s=600.0)
        self.media = MediaPort(name=leg_id, source=_FromCaller(self), sink=_ToCaller(self))
        self.to_callee = to_callee or Line()
        self.to_caller = to_caller or Line()
        self.state = "alerting"
        self.wants_tones = False
        self._report: Callable[[LegEvent], None] = lambda _: None
        self._far_end: FarEnd | None = None
        self._next_tick: list[Callable[[], None]] = []
        self._tones = Playout(PCMU, limit_s=60.0)

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``."""
        self._report = report

    def connect_far_end(self, far_end: FarEnd) -> None:
        """Put a caller at the other end."""
        self._far_end = far_end

    # -- what the session asks for --------------------------------------------------------------

    def ring(self, headers: Headers) -> None:
        """Tell the caller that it rings."""
        if self._far_end is not None:
            self._soon(self._far_end.rings)

    def start_early_media(self, headers: Headers) -> None:
        """Open the way to the caller's ear before the answer."""
        if self.state == "alerting":
            self.state = "early"
            self._soon(lambda: self._report(EarlyMedia()))

    def answer(self, headers: Headers) -> None:
        """Connect both ways."""
        self._soon(self._connect)

    def reject(self, code: int, headers: Headers) -> None:
        """Refuse the call."""
        self._end(code, "Rejected")

    def hangup(self, headers: Headers) -> None:
        """End the call from our side; before the answer that is a refusal (603, RFC 3261)."""
        up = self.state == "connected"
        self._end(200 if up else 603, "Hung up by the scenario")

    def handle_tones(self, enabled: bool) -> None:
        """Report digits instead of letting them sound."""
        self.wants_tones = enabled

    def send_digits(self, digits: str) -> None:
        """Let the caller hear digits, and tell it which."""
        self._tones.write(encode(dtmf(digits), PCMU))
        self._tell("digits", digits)

    def send_message(self, text: str) -> None:
        """Show the caller a message."""
        self._tell("message", text)

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Pass an INFO to the caller."""
        self._tell("info", f"{mime_type}: {body}")

    async def aclose(self) -> None:
        """Say BYE if that was not done, or that nobody is here (480) to a caller still waiting."""
        up = self.state == "connected"
        self._end(200 if up else 480, "Session ended")

    # -- what the caller does -------------------------------------------------------------------

    def caller_hangs_up(self) -> None:
        """End the call from the caller's side; before the answer it counts as given up."""
        connected = self.state == "connected"
        self._end(*((200, "Hung up by the caller") if connected else (487, "Request Terminated")))

    def caller_presses(self, digits: str) -> None:
        """Send digits: as events if the session handles tones, as sound otherwise."""
        if self.wants_tones:
            for digit in digits:
                self._soon(lambda digit=digit: self._report(LegTone(tone=digit)))  # type: ignore[misc]
        else:
            self.mouth.write(encode(dtmf(digits), PCMU))

    def caller_sends_message(self, text: str) -> None:
        """Send a text message to the session."""
        self._soon(lambda: self._report(LegMessage(text=text)))

    def caller_sends_info(self, mime_type: str, body: str) -> None:
        """Send an INFO to the session."""
        self._soon(lambda: self._report(LegInfo(mime_type=mime_type, body=body)))

    # -- media ----------------------------------------------------------------------------------

    def pull(self) -> bytes | None:
        """Give the session 20 ms of the caller; runs what waited for this tick first."""
        waiting, self._next_tick = self._next_tick, []
        for action in waiting:
            action()
        if self.state != "connected":
            return None
        return self.to_callee.carry(self.mouth.pull() or PCMU.silence)

    def push(self, frame: bytes) -> None:
        """Give the caller 20 ms of the session."""
        if self._far_end is None or self.state not in ("early", "connected"):
            return
        tone = self._tones.pull()
        if tone is not None:
            frame = encode(mix(decode(frame, PCMU), decode(tone, PCMU)), PCMU)
        self._far_end.hears(self.to_caller.carry(frame))

    # -- the inside -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if self.state in ("alerting", "early"):
            self.state = "connected"
            self._report(FirstAudio())
            self._report(LegConnected())
            if self._far_end is not None:
                self._far_end.answered()

    def _end(self, code: int, reason: str) -> None:
        if self.state == "ended":
            return
        self.state = "ended"
        self._next_tick.clear()
        self._report(LegEnded(code=code, reason=reason))
        if self._far_end is not None:
            self._far_end.ended(code, reason)

    def _tell(self, kind: str, content: str) -> None:
        if self._far_end is not None and self.state == "connected":
            self._far_end.receives(kind, content)

    def _soon(self, action: Callable[[], None]) -> None:
        if self.state != "ended":
            self._next_tick.append(action)


class _FromCaller:
    """The Source of a simulated leg."""

    format: Format = PCMU

    def __init__(self, leg: SimulatedLeg) -> None:
        self.pull = leg.pull


class _ToCaller:
    """The Sink of a simulated leg."""

    format: Format = PCMU

    def __init__(self, leg: SimulatedLeg) -> None:
        self.push = leg.push
