"""One call out that may go several ways: one after another, or all at once.

Trunks are tried in turn: the next when one fails for a reason of its own, which is a 5xx, or no
answer at all (408), while nothing was heard of the callee. The phones of one user ring together,
the first that answers has the call (RFC 3261 section 16.7: a 6xx ends the others too). A trunk that
carries only so many calls is asked for first, which takes a moment where hosts share it. Where they
have to be asked for the ways themselves, the call begins without any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import attrs

from voxpy.audio.frame import PCMU, Format
from voxpy.engine.ports import (
    SERVICE_UNAVAILABLE,
    EarlyMedia,
    FirstAudio,
    Headers,
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    LegForwarded,
    LegSignal,
    LegTransfers,
    LegTrouble,
    NoTransfers,
    OutgoingCall,
    RefusedLeg,
    Ringing,
)
from voxpy.media.unit import MediaPort, StreamFigures

GIVEN_UP, TIMEOUT, EVERYWHERE = 487, 408, 600


@attrs.frozen
class Limited:
    """A way that is gone only if ``ask`` says that there is room; ``free`` gives that back."""

    dial: Callable[[], Leg]
    ask: Callable[[Callable[[bool], None]], None]
    free: Callable[[], None]
    full: str
    """Says why not."""


Way = Callable[[], Leg] | Limited


def hunt(call: OutgoingCall, ways: Sequence[Way], *, at_once: bool = False) -> Leg:
    """Return the leg of a call that goes one of these ways; each is dialled when it is its turn."""
    if len(ways) == 1 and not isinstance(ways[0], Limited):
        return ways[0]()
    return HuntingLeg(call, ways, at_once=at_once)


class HuntingLeg:
    """Implements ``voxpy.engine.ports.Leg`` over the legs of the ways.

    ``seek`` is called when no way is left to try, and at once if there are none: whoever looks for
    more then says so by ``go``. Without it the call ends.
    """

    incoming = False
    channel = "none"

    def __init__(
        self,
        call: OutgoingCall,
        ways: Sequence[Way] = (),
        *,
        at_once: bool,
        seek: Callable[[HuntingLeg], object] | None = None,
    ) -> None:
        self.leg_id = call.leg_id
        self.client_type = call.client_type
        self.callerid = call.callerid
        self.destination = call.destination
        self.display_name = call.display_name
        self.headers: Headers = {}
        self.media = MediaPort(
            name=call.leg_id, source=_Hears(self), sink=_Speaks(self), figures=self._figures
        )
        self._ways: Iterator[Way] = iter(())
        self._seek = seek
        self._nobody: Leg = RefusedLeg(call, SERVICE_UNAVAILABLE, "no way was tried yet")
        self._taken: dict[int, Limited] = {}  # by the id of the leg
        self._at_once = at_once
        self._tried: list[Leg] = []
        """Those that may still have the call; the one that has it, once it is answered."""
        self._all: list[Leg] = []
        self._failures: list[LegEnded] = []
        self._early: Leg | None = None
        self._answered = self._over = self._rang = False
        self._wants_tones = False
        self.transfers = _Transfers(self)
        self._report: Callable[[LegEvent], None] = lambda event: None
        if ways or seek is None:
            self.go(ways)
        else:
            seek(self)

    def go(self, ways: Sequence[Way]) -> None:
        """Try these ways, at least one, unless the call was given up meanwhile."""
        if not self._over:
            self._ways = iter(ways)
            for way in ways if self._at_once else [next(self._ways)]:
                self._begin(way)

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``."""
        self._report = report

    @property
    def below(self) -> Leg:
        """The leg that has the call, or will have it as things stand."""
        return self._tried[0] if self._tried else self._all[-1] if self._all else self._nobody

    @property
    def answered_by(self) -> LegTransfers:
        """The transfers of whoever has answered."""
        return self.below.transfers if self._answered else NoTransfers()

    def _figures(self) -> tuple[StreamFigures, StreamFigures]:
        figures = self.below.media.figures
        return figures() if figures is not None else (StreamFigures(), StreamFigures())

    # -- what the session asks for ----------------------------------------------------------------

    def hangup(self, headers: Headers) -> None:
        """End the call, or give all of them up."""
        if self._answered:
            self.below.hangup(headers)
        elif not self._over:
            self._drop_all()
            self._end(LegEnded(code=GIVEN_UP, reason="Request Terminated"))

    def ring(self, headers: Headers) -> None:
        """Nothing: it is for calls that come in."""

    start_early_media = answer = ring

    def reject(self, code: int, headers: Headers) -> None:
        """Nothing: it is for calls that come in."""

    def handle_tones(self, enabled: bool) -> None:
        """Report digits of whoever answers."""
        self._wants_tones = enabled
        for leg in self._tried:
            leg.handle_tones(enabled)

    def send_digits(self, digits: str) -> None:
        """Send digits to whoever has answered."""
        self.below.send_digits(digits)

    def send_message(self, text: str) -> None:
        """Send a message to whoever has answered."""
        self.below.send_message(text)

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Send an INFO to whoever has answered."""
        self.below.send_info(mime_type, body, headers)

    async def aclose(self) -> None:
        """Hang up if that was not done, and free what every way has taken."""
        self.hangup({})
        for leg in self._all:
            await leg.aclose()
            self._give_back(leg)

    # -- what the ways report ---------------------------------------------------------------------

    def _begin(self, way: Way) -> None:
        if isinstance(way, Limited):
            way.ask(partial(self._begin_limited, way))
        else:
            self._dial(way())

    def _begin_limited(self, way: Limited, granted: bool) -> None:
        if not granted:
            if not self._over:
                self._next_or_end(LegEnded(code=SERVICE_UNAVAILABLE, reason=way.full))
        elif self._over:  # given up meanwhile
            way.free()
        else:
            leg = way.dial()
            self._taken[id(leg)] = way
            self._dial(leg)

    def _give_back(self, leg: Leg) -> None:
        if (way := self._taken.pop(id(leg), None)) is not None:
            way.free()

    def _dial(self, leg: Leg) -> None:
        self.channel = leg.channel
        self._tried.append(leg)
        self._all.append(leg)
        leg.handle_tones(self._wants_tones)
        leg.bind(partial(self._reported, leg))

    def _reported(self, leg: Leg, event: LegEvent) -> None:
        if isinstance(event, LegSignal):
            self._report(event)
            return
        if isinstance(event, LegEnded):
            self._give_back(leg)
        if self._over or leg not in self._tried:
            return
        if self._answered:
            if isinstance(event, LegEnded):
                self._over = True
            self._report(event)
            return
        match event:
            case LegConnected():
                self._answered = True
                self._tried.remove(leg)
                self._drop_all()
                self._tried.append(leg)
                if self.transfers.wanted:
                    leg.transfers.handle(True)
                self._report(event)
            case LegEnded():
                self._failed(leg, event)
            case Ringing() | LegForwarded() if not self._rang:
                self._rang = True
                self._report(event)
            case EarlyMedia() if self._early is None:
                self._early = leg
                self._report(event)
            case FirstAudio() if leg is self._early:
                self._report(event)
            case LegTrouble():
                self._report(event)

    def _failed(self, leg: Leg, event: LegEnded) -> None:
        self._tried.remove(leg)
        self._failures.append(event)
        if self._early is leg:
            self._early = None
        if self._at_once and event.code >= EVERYWHERE:
            self._drop_all()
        if not self._tried:
            self._next_or_end(event)

    def _next_or_end(self, event: LegEnded) -> None:
        heard = self._rang or self._early is not None
        if not self._at_once and not heard and _is_the_ways(event):
            way = next(self._ways, None)
            if way is not None:
                self._begin(way)
                return
            if self._seek is not None:
                self._seek(self)
                return
        self._end(_best(self._failures) if self._at_once and self._failures else event)

    def _drop_all(self) -> None:
        dropped, self._tried = self._tried, []
        for leg in dropped:
            leg.hangup({})

    def _end(self, event: LegEnded) -> None:
        self._over = True
        self._report(event)

    # -- media ------------------------------------------------------------------------------------

    def pull(self) -> bytes | None:
        """Give 20 ms of whoever is heard; every way lives by this tick."""
        heard: bytes | None = None
        for leg in tuple(self._tried):
            source = leg.media.source
            frame = source.pull() if source is not None else None
            if self._answered or leg is self._early:
                heard = frame
        return heard

    def push(self, frame: bytes) -> None:
        """Let whoever has answered hear 20 ms."""
        sink = self.below.media.sink if self._answered else None
        if sink is not None:
            sink.push(frame)


class _Transfers:
    """Implements ``voxpy.engine.ports.LegTransfers``; who asks early has asked of who answers."""

    def __init__(self, leg: HuntingLeg) -> None:
        self._leg = leg
        self.wanted = False

    def handle(self, enabled: bool) -> None:
        self.wanted = enabled
        self._leg.answered_by.handle(enabled)

    def answer(self, code: int, reason: str) -> None:
        self._leg.answered_by.answer(code, reason)

    def ask(self, to: str, target: Leg | None, headers: Headers) -> None:
        self._leg.answered_by.ask(to, target, headers)


class _Hears:
    def __init__(self, leg: HuntingLeg) -> None:
        self._leg = leg
        self.pull = leg.pull

    @property
    def format(self) -> Format:
        source = (self._leg._early or self._leg.below).media.source
        return PCMU if source is None else source.format


class _Speaks:
    def __init__(self, leg: HuntingLeg) -> None:
        self._leg = leg
        self.push = leg.push

    @property
    def format(self) -> Format:
        sink = self._leg.below.media.sink
        return PCMU if sink is None else sink.format


def _is_the_ways(event: LegEnded) -> bool:
    """Return whether a failure is of the way there, not of the one who is called."""
    return event.code == TIMEOUT or 500 <= event.code < EVERYWHERE


def _best(failures: Sequence[LegEnded]) -> LegEnded:
    """Return what says most of several failures: a 6xx, else the lowest class, busy before away."""

    def rank(event: LegEnded) -> tuple[int, int]:
        kind = event.code // 100
        weak = event.code in (TIMEOUT, 480, GIVEN_UP)
        return (0 if kind == 6 else kind, 1 if weak else 0)

    return min(failures, key=rank)
