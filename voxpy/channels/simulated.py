"""A leg without a network: mu-law at 8 kHz between a session and a simulated caller or callee.

The line between the two may lose, delay and disturb packets; at both ends a jitter buffer and
concealment make frames of what arrives, as they do for a real leg. All signalling takes effect at
the next 20 ms tick, as it would one packet later on a real line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Protocol

from voxpy.audio.convert import encode
from voxpy.audio.frame import FRAME_S, PCMU, Format
from voxpy.audio.line import Line
from voxpy.audio.tones import dtmf
from voxpy.engine.ports import (
    NOT_HANDLED,
    EarlyMedia,
    FirstAudio,
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    LegInfo,
    LegMessage,
    LegTone,
    LegTransferAsked,
    LegTransferred,
    LegTrouble,
    Ringing,
)
from voxpy.media.digits import DigitQueue
from voxpy.media.jitter import JitterStatistics, Packet
from voxpy.media.playout import Playout
from voxpy.media.receiver import Receiver
from voxpy.media.unit import MediaPort, StreamFigures

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}

PressedAs = Literal["inband", "rfc4733", "info"]
"""How a far end sends digits: as sound, as RTP events beside it, or in SIP INFO requests."""

CallsElsewhere = Callable[[str, Callable[[int, str], None]], None]
"""Lets a far end call somebody itself: it gets whom, and what to tell the outcome to."""


class FarEnd(Protocol):
    """The person at the other end of the line, as the leg sees it."""

    def rings(self) -> None:
        """Hear, as a caller, that the callee is being alerted."""

    def answered(self) -> None:
        """Learn that the call is up."""

    def ended(self, code: int, reason: str) -> None:
        """Learn that the call is over, whoever ended it."""

    def hears(self, frame: bytes) -> None:
        """Hear 20 ms of mu-law."""

    def receives(self, kind: str, content: str) -> None:
        """Receive digits, a message or an INFO."""


class SimulatedLeg:
    """Implements ``voxpy.engine.ports.Leg``, in both directions.

    A person drives it by the ``far_end_...`` methods, a callee by those of ``callee`` too.
    """

    channel: str = "simulated"

    def __init__(
        self,
        *,
        leg_id: str,
        callerid: str,
        destination: str,
        display_name: str = "",
        headers: Headers = NO_HEADERS,
        incoming: bool = True,
        client_type: str = "sip",
        to_session: Line | None = None,
        to_far_end: Line | None = None,
    ) -> None:
        self.leg_id = leg_id
        self.incoming = incoming
        self.callee = CalleeSide(self)
        self.client_type = client_type
        self.callerid = callerid
        self.destination = destination
        self.display_name = display_name
        self.headers = headers
        self.mouth = Playout(PCMU, limit_s=600.0)
        self.media = MediaPort(
            name=leg_id,
            source=_FromFarEnd(self),
            sink=_ToFarEnd(self),
            figures=lambda: (self.to_session.figures, self.to_far_end.figures),
        )
        self.to_session = Transmission(to_session or Line())
        self.to_far_end = Transmission(to_far_end or Line())
        self.state = "alerting"
        self.wants_tones = False
        self.transfers = SimulatedTransfers(self)
        self._report: Callable[[LegEvent], None] = lambda _: None
        self._far_end: FarEnd | None = None
        self._next_tick: list[Callable[[], None]] = []
        self._digits = DigitQueue(PCMU)

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``."""
        self._report = report

    def connect_far_end(self, far_end: FarEnd) -> None:
        """Put a person at the other end."""
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
        """End the call from our side.

        Before the answer that refuses a caller (603) and gives a callee up (487, RFC 3261).
        """
        if self.state == "connected" or self.incoming:
            self._end(200 if self.state == "connected" else 603, "Hung up by the scenario")
        else:
            self._end(487, "Request Terminated")

    def handle_tones(self, enabled: bool) -> None:
        """Report digits instead of letting them sound."""
        self.wants_tones = enabled

    def send_digits(self, digits: str) -> None:
        """Let the far end hear digits, and tell it which. Raises LimitExceeded."""
        self._digits.write(digits)
        self._tell("digits", digits)

    def send_message(self, text: str) -> None:
        """Show the caller a message."""
        self._tell("message", text)

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Pass an INFO to the caller."""
        self._tell("info", f"{mime_type}: {body}")

    async def aclose(self) -> None:
        """Say BYE if that was not done; before the answer refuse (480) or give up (487)."""
        up = self.state == "connected"
        self._end(200 if up else 480 if self.incoming else 487, "Session ended")

    # -- what the person at the far end does ----------------------------------------------------

    def far_end_hangs_up(self) -> None:
        """End the call; before the answer a caller gives up (487) and a callee declines (603)."""
        if self.state == "connected":
            self._end(200, f"Hung up by the {'caller' if self.incoming else 'callee'}")
        elif self.incoming:
            self._end(487, "Request Terminated")
        else:
            self._end(603, "Decline")

    def far_end_presses(self, digits: str, how: PressedAs | None = None) -> None:
        """Send digits as sound or beside it.

        Where ``how`` does not say: beside it, as RFC 4733, if the session wants that, else as
        sound.
        """
        how = how or ("rfc4733" if self.wants_tones else "inband")
        if how == "inband":
            self.mouth.write(encode(dtmf(digits), PCMU))
            return
        kind = "1" if how == "rfc4733" else "3"
        for digit in digits:
            self._soon(partial(self._report, LegTone(tone=digit, kind=kind)))

    def far_end_sends_message(self, text: str) -> None:
        """Send a text message to the session."""
        self._soon(lambda: self._report(LegMessage(text=text)))

    def far_end_sends_info(self, mime_type: str, body: str) -> None:
        """Send an INFO to the session."""
        self._soon(lambda: self._report(LegInfo(mime_type=mime_type, body=body)))

    def far_end_transfers(self, to: str) -> None:
        """Ask the session to put the far end through to ``to``; it hears what becomes of it."""
        self.transfers.asked(to)

    # -- media ----------------------------------------------------------------------------------

    def pull(self) -> bytes | None:
        """Give the session 20 ms of the far end; runs what waited for this tick first."""
        waiting, self._next_tick = self._next_tick, []
        for action in waiting:
            if self.state != "ended":  # by the one before
                action()
        if self.state != "connected" and not (self.state == "early" and not self.incoming):
            return None
        return self.to_session.carry(self.mouth.pull() or PCMU.silence)

    def push(self, frame: bytes) -> None:
        """Give the far end 20 ms of the session; before the answer only a caller hears it."""
        if self._far_end is None or self.state not in ("early", "connected"):
            return
        if self.state == "early" and not self.incoming:
            frame = PCMU.silence
        frame = self._digits.replace(frame)
        self._far_end.hears(self.to_far_end.carry(frame) or PCMU.silence)

    # -- the inside -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if self.state in ("alerting", "early"):
            heard_before = self.state == "early" and not self.incoming
            self.state = "connected"
            if not heard_before:
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


class SimulatedTransfers:
    """Implements ``voxpy.engine.ports.LegTransfers``.

    ``calls_elsewhere`` is what becomes of a call that the far end is asked to make. What the two
    then say to each other is no part of the session.
    """

    def __init__(self, leg: SimulatedLeg) -> None:
        self.calls_elsewhere: CallsElsewhere = lambda to, done: done(404, "Not Found")
        self._leg = leg
        self._handled = False
        self._pending = False

    def handle(self, enabled: bool) -> None:
        """Let the session decide on what the far end asks for."""
        self._handled = enabled

    def answer(self, code: int, reason: str) -> None:
        """Tell the far end how the transfer goes that it asked for."""
        if self._pending:
            self._pending = code < 200
            self._leg._tell("transfer", f"{code} {reason}")

    def ask(self, to: str, target: Leg | None, headers: Headers) -> None:
        """Let the far end call somebody itself; a ``target`` is on the line already."""
        leg = self._leg
        if target is None:
            leg._soon(partial(self.calls_elsewhere, to, partial(self._over, None)))
        elif isinstance(target, SimulatedLeg) and target.state == "connected":
            leg._soon(partial(self._over, target, 200, "OK"))
        else:
            leg._soon(partial(self._over, None, 481, "Call/Transaction Does Not Exist"))

    def _over(self, target: SimulatedLeg | None, code: int, reason: str) -> None:
        leg = self._leg
        if leg.state != "connected":
            return
        leg._report(LegTransferred(role="transferee", code=code, reason=reason))
        if code == 200:
            leg._end(200, "Transferred")
            if target is not None:
                target._report(LegTransferred(role="target", code=code, reason=reason))
                target._end(200, "Transferred")

    def asked(self, to: str) -> None:
        """Take what the far end asks for."""
        leg = self._leg
        if leg.state != "connected" or self._pending:
            leg._tell("transfer", "491 Request Pending")
        elif not self._handled:
            leg._tell("transfer", "603 Decline")
            leg._soon(lambda: leg._report(LegTrouble(kind=NOT_HANDLED, text=to)))
        else:
            self._pending = True
            leg._soon(lambda: leg._report(LegTransferAsked(to=to)))


class CalleeSide:
    """What a callee does on a leg that we dialled, before the call is up."""

    def __init__(self, leg: SimulatedLeg) -> None:
        self._leg = leg

    def rings(self) -> None:
        """Say that it rings (180)."""
        self._leg._soon(lambda: self._leg._report(Ringing()))

    def sends_early_media(self) -> None:
        """Let the session hear what the callee's side plays before the answer (183)."""
        self._leg._soon(self._start_early)

    def answers(self) -> None:
        """Pick up."""
        self._leg._soon(self._leg._connect)

    def refuses(self, code: int, reason: str) -> None:
        """Do not take the call, with a SIP status 300-699."""
        self._leg._soon(lambda: self._leg._end(code, reason))

    def _start_early(self) -> None:
        if self._leg.state == "alerting":
            self._leg.state = "early"
            self._leg._report(EarlyMedia())
            self._leg._report(FirstAudio())


class Transmission:
    """One direction of a call: a line, and the receiver that a real leg has at its end.

    Takes a frame a tick and gives a frame a tick; over a perfect line the same one.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._is_perfect = line.is_perfect
        self._receiver = Receiver(line.fmt)
        self._ticks = self._untouched = 0

    def carry(self, frame: bytes) -> bytes | None:
        """Send ``frame`` at this tick; return what the receiver plays, or None if nothing is there.

        Raises ValueError if ``frame`` is not exactly 20 ms of the line's format.
        """
        if self._is_perfect and len(frame) == self._line.fmt.frame_bytes:
            self._untouched += 1
            return frame  # the receiver would return it, too, at a seventh of a call's cost
        now = self._ticks * FRAME_S
        self._ticks += 1
        self._line.send(frame, now)
        units = self._line.fmt.frame_samples
        for arrival in self._line.arrivals(now):
            number = arrival.number
            packet = Packet(
                sequence=number & 0xFFFF,
                timestamp=number * units & 0xFFFFFFFF,
                payload=arrival.frame,
                marker=number == 0,
            )
            self._receiver.put(packet, arrival.at)
        return self._receiver.pull(now)

    @property
    def statistics(self) -> JitterStatistics:
        """What the receiver has counted."""
        return self._receiver.statistics

    @property
    def figures(self) -> StreamFigures:
        """What its receiver would report."""
        counted = self._receiver.statistics
        return StreamFigures(
            id="simulated",
            packets=counted.received + self._untouched,
            lost=counted.lost,
            jitter_s=counted.jitter_s,
        )


class _FromFarEnd:
    """The Source of a simulated leg."""

    format: Format = PCMU

    def __init__(self, leg: SimulatedLeg) -> None:
        self.pull = leg.pull


class _ToFarEnd:
    """The Sink of a simulated leg."""

    format: Format = PCMU

    def __init__(self, leg: SimulatedLeg) -> None:
        self.push = leg.push
