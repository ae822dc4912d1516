"""One call over a provider's media stream.

The provider has answered the phone before it opens the stream, so ``ring`` and early media change
nothing there: audio flows towards the caller from either, and the caller's is heard once we answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from voxpy.audio.frame import FRAME_MS
from voxpy.channels.mediastream.audio import Inbound, Outbound
from voxpy.channels.mediastream.line import Line
from voxpy.channels.providers import events as ev
from voxpy.channels.providers.provider import MediaStream, Message
from voxpy.engine import clock
from voxpy.engine.ports import (
    EarlyMedia,
    FirstAudio,
    LegConnected,
    LegEnded,
    LegEvent,
    LegTone,
    LegTrouble,
    NoTransfers,
)
from voxpy.errors import NotSupported
from voxpy.media.unit import MediaPort
from voxpy.sockets.terms import CloseInfo

Headers = Mapping[str, str]

Release = Callable[[ev.Start], None]
"""Hangs a call up by the provider's API, without blocking; for those whose stream cannot."""

NORMAL = 1000
POLICY = 1008
MOST_STUCK_TICKS = 250
"""Five seconds in which the caller hears nothing new; a network that pauses is back by then."""
NOT_READING = "the provider does not read what it is sent"
ODD_MESSAGE = "a message of the provider is odd"
PROBLEM = "the provider reports a problem"
LONGEST_TROUBLE = 300
MOST_PROBLEMS_TOLD = 5
"""Of one call; all are counted."""
CALLER_HUNG_UP = "Hung up by the caller"


class MediaStreamLeg:
    """Implements ``voxpy.engine.ports.Leg``. Made when the stream has started.

    Give it every message that comes (``receive``) and the end of the line (``line_closed``).
    """

    incoming = True

    def __init__(
        self,
        stream: MediaStream,
        line: Line,
        *,
        leg_id: str = "call-1",
        release: Release | None = None,
    ) -> None:
        self.start = start = stream.started
        self.leg_id = leg_id
        self.client_type = stream.provider.client_type
        self.display_name = start.display_name
        self.channel = stream.provider.name
        self.callerid = start.caller
        self.destination = start.callee
        self.headers: Headers = _headers(start)
        self.state = "alerting"
        self.wants_tones = False
        self.inbound = Inbound(start.inbound)
        self.outbound = Outbound(stream, line, clock.stopwatch())
        self.transfers = NoTransfers(self.channel)
        self.media = MediaPort(
            name=leg_id,
            source=_FarEnd(self),
            sink=self.outbound,
            carrier=self.outbound if stream.provider.ahead else None,
        )
        self._stream = stream
        self._line = line
        self._release = release
        self._hears = False  # connected, and told of the first audio
        self._told: Counter[str] = Counter()
        self._held = False
        self._early: list[LegEvent] = []  # what happened before anybody listened
        self._report: Callable[[LegEvent], None] = self._early.append

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``; earlier ones at the next tick."""
        self._report = report

    # -- what the session asks for ---------------------------------------------------------------

    def ring(self, headers: Headers) -> None:
        """Tell a phone that is not answered yet; those of providers are."""
        if self.state == "alerting":
            _say(self._line, self._stream.ringing())

    def start_early_media(self, headers: Headers) -> None:
        """Open the way to the caller's ear."""
        if self.state == "alerting":
            self._open("early")
            self._report(EarlyMedia())

    def answer(self, headers: Headers) -> None:
        """Connect both ways, at once."""
        if self.state not in ("alerting", "early"):
            return
        if self.state == "alerting":
            self._open("connected")
        self.state = "connected"
        _say(self._line, self._stream.connected())
        self._report(LegConnected())

    def reject(self, code: int, headers: Headers) -> None:
        """Let the line go; no phone provider passes the code on to the caller."""
        self._leave(code, "Rejected")

    def hangup(self, headers: Headers) -> None:
        """End the call, releasing the line in the provider's way."""
        self._leave(200 if self.state == "connected" else 603, "Hung up by the scenario")

    def handle_tones(self, enabled: bool) -> None:
        """Report digits; providers keep them out of the audio or not, each in its way."""
        self.wants_tones = enabled

    def send_digits(self, digits: str) -> None:
        """Let the far end hear digits: by message where there is one, else as sound.

        Raises LimitExceeded if too many wait.
        """
        if self._stream.provider.sends_dtmf and "p" not in digits:
            self._line.send(self._stream.dtmf(digits))
        else:
            self.outbound.digits.write(digits)

    def send_message(self, text: str) -> None:
        """Send a text; calls of phone providers have none. Raises NotSupported."""
        message = self._stream.words(text)
        if message is None:
            raise NotSupported(
                f"call.send_message() is not supported on the {self.channel} channel; it needs a "
                "browser, a SIP or a simulated leg"
            )
        self._line.send(message)

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Refuse: a media stream has no INFO. Raises NotSupported."""
        raise NotSupported(
            f"call.send_info() is not supported on the {self.channel} channel; it needs a SIP or a "
            "simulated leg"
        )

    async def aclose(self) -> None:
        """Hang up if that was not done, and wait until the stream is closed."""
        self._leave(200 if self.state == "connected" else 480, "Session ended")
        await self._line.aclose()

    # -- what comes from the provider ------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message; one that cannot be understood is dropped and counted."""
        for event in self._stream.receive(message):
            if type(event) is ev.Audio and self._hears:
                self.inbound.put(event.data, event.sequence)
            else:
                self.handle(event)

    def handle(self, event: ev.StreamEvent) -> None:
        """Take an event of the stream; nothing follows the end."""
        if self.state == "ended":
            return
        match event:
            case ev.Audio():
                self._heard(event)
            case ev.Dtmf() if self.wants_tones and self.state == "connected":
                self._report(LegTone(tone=event.digit))
            case ev.MarkPlayed():
                self.outbound.mark_played(event.name)
            case ev.Flow():
                self.outbound.may_send(event.may_send)
            case ev.Odd():
                self._trouble(ODD_MESSAGE, event.problem, most=1)
            case ev.Problem():
                self._trouble(PROBLEM, event.text, most=MOST_PROBLEMS_TOLD)
            case ev.Stop():
                self._over_there(event.reason)
                self._line.close()

    def abandon(self, code: int, reason: str, *, release: bool = True) -> None:
        """Let go of a call that cannot go on: close the stream, and release the line.

        Without ``release`` only the stream is closed: the call is somebody else's.
        """
        self._line.close(code, reason[:100])
        if release:
            self._let_go()
        self._release = None

    def line_closed(self, info: CloseInfo) -> None:
        """The line is over. A clean end is a hang-up: not every provider says stop."""
        if info.clean:
            self._over_there("")
        else:
            self._let_go()
            self._end(503, f"The media stream broke: {info.reason} ({info.code})")

    def tick(self) -> bytes | None:
        """Give the session 20 ms of the far end, read from the line at the tick they play."""
        if not self._held:
            self._held = True
            self._line.hold()
        self._line.read()
        if self._line.behind:
            self.inbound.shed_stale()
        while self._early:
            self._report(self._early.pop(0))
        self.outbound.tick()
        if self.outbound.stuck_ticks >= MOST_STUCK_TICKS and self.state != "ended":
            self._line.close(POLICY, NOT_READING)
            self._end(503, NOT_READING)
        return self.inbound.pull() if self.state == "connected" else None

    # -- the inside ------------------------------------------------------------------------------

    def _heard(self, event: ev.Audio) -> None:
        if self.state != "connected":
            return
        if not self._hears:
            self._hears = True
            self._report(FirstAudio())
        self.inbound.put(event.data, event.sequence)

    def _trouble(self, kind: str, text: str, *, most: int) -> None:
        self._told[kind] += 1
        if self._told[kind] <= most:
            self._report(LegTrouble(kind=kind, text=text[:LONGEST_TROUBLE]))

    def _counts(self) -> dict[str, int]:
        """Return what was dropped and gone wrong, by kind; what never happened is left out."""
        late_frames = (
            self.inbound.statistics.dropped_frames + self.inbound.statistics.trimmed_frames
        )
        counts = {
            "odd_messages": self._stream.odd_messages,
            "problems": self._told[PROBLEM],
            "late_ms": round(late_frames * FRAME_MS),
        }
        return {kind: number for kind, number in counts.items() if number}

    def _open(self, state: str) -> None:
        self.state = state
        _say(self._line, self._stream.answer())
        self.outbound.is_open = True

    def _over_there(self, reason: str) -> None:
        up = self.state == "connected"
        self._end(200 if up else 487, reason or (CALLER_HUNG_UP if up else "Request Terminated"))

    def _leave(self, code: int, reason: str) -> None:
        """Release the line: by message, by the provider's API, and by closing the stream."""
        if self.state == "ended":
            return
        if self._stream.provider.hang_up == "message":
            self._line.send(self._stream.leave(code, reason))
        self._let_go()
        self._line.close(NORMAL)
        self._end(code, reason)

    def _let_go(self) -> None:
        """Have the provider's API hang up, once, unless the call is over anyway."""
        release, self._release = self._release, None
        if release is not None and self.state != "ended":
            release(self._stream.started)

    def _end(self, code: int, reason: str) -> None:
        if self.state != "ended":
            self.state = "ended"
            self._hears = False
            self.outbound.is_open = False
            self.inbound.clear()
            self._report(LegEnded(code=code, reason=reason, counts=self._counts()))


def _say(line: Line, message: Message | None) -> None:
    if message is not None:
        line.send(message)


class _FarEnd:
    """The Source of a leg."""

    def __init__(self, leg: MediaStreamLeg) -> None:
        self.format = leg.inbound.format
        self.pull = leg.tick


def _headers(start: ev.Start) -> Headers:
    """Return the parameters as SIP would carry them, and the provider's name for the call."""
    named = {k if k.lower().startswith("x-") else f"X-{k}": v for k, v in start.parameters.items()}
    return {**named, "X-Provider-Call-Id": start.call_id}
