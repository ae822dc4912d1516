"""What a call may expect of every leg, whatever channel it comes from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.ports import Leg, LegConnected, LegEnded, LegEvent
from voxpy.errors import NotSupported
from voxpy.media.graph import MediaGraph
from voxpy.testing.conformance.rules import Check, check_all, rule

SETTLE_TICKS = 10
CLOSE_S = 5.0
OK, REQUEST_TERMINATED = 200, 487


@attrs.frozen(kw_only=True)
class LegBench:
    """A leg nobody has bound yet, and what its far end can do.

    far_end_hangs_up: the person at the far end leaves, at any time.
    far_end_answers: for a leg that we dialled; None for an incoming one.
    settle: awaited after every act, for what is on its way over sockets; the clock is advanced by
        ticks of the media anyway.
    rejects_with_code: whether the code of ``reject`` comes back in LegEnded.
    """

    leg: Leg
    far_end_hangs_up: Callable[[], None]
    far_end_answers: Callable[[], None] | None = None
    settle: Callable[[], Any] = trio.lowlevel.checkpoint
    rejects_with_code: bool = True


MakeLeg = Callable[[], AbstractAsyncContextManager[LegBench]]
"""Makes a new leg, alerting, and takes down in the end whatever it needed."""


async def check_leg(make: MakeLeg) -> None:
    """Check every rule of voxpy.engine.ports.Leg. Raises Nonconforming, which names them.

    Needs a MockClock that jumps (``autojump_clock``) unless the leg lives on real sockets.
    """
    async with make() as bench:
        name = type(bench.leg).__name__
    await check_all(name, LEG_CHECKS, make)


@attrs.define
class _Trial:
    """One leg on a graph, and what it reported."""

    bench: LegBench
    graph: MediaGraph = attrs.field(factory=MediaGraph)
    events: list[LegEvent] = attrs.field(factory=list)

    @property
    def leg(self) -> Leg:
        return self.bench.leg

    def bind(self) -> None:
        self.graph.attach(self.leg.media)
        self.leg.bind(self.events.append)

    async def pass_time(self) -> None:
        for _ in range(SETTLE_TICKS):
            await self.bench.settle()
            self.graph.tick(clock.now())
        await self.bench.settle()

    async def connect(self) -> None:
        """Bring the call up."""
        self.bind()
        await self.pass_time()
        if self.bench.far_end_answers is not None:
            self.bench.far_end_answers()
        else:
            self.leg.answer({})
        await self.pass_time()

    def ended(self) -> LegEnded:
        """Return the end, which must be there, once and last."""
        ends = [e for e in self.events if isinstance(e, LegEnded)]
        assert len(ends) == 1, f"{len(ends)} ends among {_names(self.events)}"
        assert self.events[-1] is ends[0], f"the end is not last: {_names(self.events)}"
        return ends[0]


def _names(events: list[LegEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


@rule
async def _it_introduces_itself(make: MakeLeg) -> None:
    """A leg has an id, which is its media port's name too, a channel and numbers (ports.Leg)."""
    async with make() as bench:
        leg = bench.leg
        for name in ("leg_id", "channel", "client_type"):
            value = getattr(leg, name)
            assert isinstance(value, str), f"{name} is {value!r}"
            assert value, f"{name} is empty"
        for name in ("callerid", "destination", "display_name"):
            assert isinstance(getattr(leg, name), str), f"{name} is {getattr(leg, name)!r}"
        assert isinstance(leg.incoming, bool), f"incoming is {leg.incoming!r}"
        assert leg.media.name == leg.leg_id, f"the port is named {leg.media.name}"
        assert leg.media.source is not None, "it cannot be heard"
        assert leg.media.sink is not None, "it cannot hear"


@rule
async def _bind_reports_nothing(make: MakeLeg) -> None:
    """No event comes before bind has returned: its owner is not ready (ports.Leg)."""
    async with make() as bench:
        await bench.settle()
        trial = _Trial(bench)
        trial.bind()
        assert not trial.events, f"{_names(trial.events)} within bind"


@rule
async def _an_answer_connects_once(make: MakeLeg) -> None:
    """Answered, a leg reports LegConnected, once (ports.Leg.answer)."""
    async with make() as bench:
        trial = _Trial(bench)
        await trial.connect()
        connected = sum(isinstance(e, LegConnected) for e in trial.events)
        assert connected == 1, f"{connected} among {_names(trial.events)}"


@rule
async def _a_hangup_ends_with_200(make: MakeLeg) -> None:
    """Our hang-up of a connected call is reported as LegEnded 200 (ports.LegEnded)."""
    async with make() as bench:
        trial = _Trial(bench)
        await trial.connect()
        trial.leg.hangup({})
        await trial.pass_time()
        end = trial.ended()
        assert end.code == OK, f"{end}"


@rule
async def _the_far_end_ends_with_200(make: MakeLeg) -> None:
    """The far end's hang-up of a connected call is reported as LegEnded 200 (ports.LegEnded)."""
    async with make() as bench:
        trial = _Trial(bench)
        await trial.connect()
        bench.far_end_hangs_up()
        await trial.pass_time()
        end = trial.ended()
        assert end.code == OK, f"{end}"


@rule
async def _giving_up_is_no_success(make: MakeLeg) -> None:
    """A caller who gives up before the answer ends the leg with 487 (RFC 3261 section 9)."""
    async with make() as bench:
        trial = _Trial(bench)
        trial.bind()
        await trial.pass_time()
        bench.far_end_hangs_up()
        await trial.pass_time()
        end = trial.ended()
        wanted = end.code == REQUEST_TERMINATED if bench.leg.incoming else end.code >= 300
        assert wanted, f"{end}"


@rule
async def _a_hangup_before_the_answer_is_no_success(make: MakeLeg) -> None:
    """hangup before the answer ends the leg with a failure; dialled by us with 487 (ports.Leg)."""
    async with make() as bench:
        trial = _Trial(bench)
        trial.bind()
        await trial.pass_time()
        trial.leg.hangup({})
        await trial.pass_time()
        end = trial.ended()
        assert end.code >= 300, f"{end}"
        assert bench.leg.incoming or end.code == REQUEST_TERMINATED, f"{end}"


@rule
async def _a_rejection_has_its_code(make: MakeLeg) -> None:
    """reject(code) ends an incoming leg with that code (ports.Leg.reject)."""
    async with make() as bench:
        if not bench.leg.incoming:
            return
        trial = _Trial(bench)
        trial.bind()
        trial.leg.reject(486, {})
        await trial.pass_time()
        end = trial.ended()
        assert end.code == 486 or not bench.rejects_with_code, f"{end}"


@rule
async def _nothing_follows_the_end(make: MakeLeg) -> None:
    """LegEnded is the last event, whatever either side does after it (ports.LegEnded)."""
    async with make() as bench:
        trial = _Trial(bench)
        await trial.connect()
        bench.far_end_hangs_up()
        await trial.pass_time()
        bench.far_end_hangs_up()
        trial.leg.hangup({})
        trial.leg.answer({})
        trial.leg.handle_tones(enabled=True)
        await trial.pass_time()
        await _close(trial)
        trial.ended()


@rule
async def _closing_ends_it(make: MakeLeg) -> None:
    """aclose of a call says BYE and reports the end; a second one does nothing (ports.Leg)."""
    async with make() as bench:
        trial = _Trial(bench)
        await trial.connect()
        await _close(trial)
        trial.ended()
        await _close(trial)
        await trial.pass_time()
        trial.ended()


@rule
async def _closing_an_unanswered_call_ends_it(make: MakeLeg) -> None:
    """aclose before the answer refuses or gives up: no leg is left ringing (ports.Leg.aclose)."""
    async with make() as bench:
        trial = _Trial(bench)
        trial.bind()
        await trial.pass_time()
        await _close(trial)
        end = trial.ended()
        assert end.code >= 300, f"{end}"


@rule
async def _frames_are_20_ms(make: MakeLeg) -> None:
    """In every state a leg gives None or 20 ms in its format, and takes 20 ms (media.unit)."""
    async with make() as bench:
        trial = _Trial(bench)
        leg = bench.leg

        def step(when: str) -> None:
            source, sink = leg.media.source, leg.media.sink
            assert source is not None
            assert sink is not None
            frame = source.pull()
            size = source.format.frame_bytes
            told = "" if frame is None else f"{len(frame)} of {size} bytes {when}"
            assert frame is None or len(frame) == size, told
            sink.push(sink.format.silence)

        leg.bind(trial.events.append)
        step("before the answer")
        trial.graph.attach(leg.media)
        if bench.far_end_answers is not None:
            bench.far_end_answers()
        else:
            leg.answer({})
        await trial.pass_time()
        step("in the call")
        leg.hangup({})
        await trial.pass_time()
        step("after the end")


@rule
async def _commands_do_not_wait(make: MakeLeg) -> None:
    """Commands return nothing at once; what a channel lacks raises NotSupported (ports.Leg)."""
    async with make() as bench:
        trial = _Trial(bench)
        await trial.connect()
        leg: Any = bench.leg
        for name, arguments in (
            ("handle_tones", (True,)),
            ("send_digits", ("12#",)),
            ("send_message", ("hello",)),
            ("send_info", ("text/plain", "hello", {})),
            ("hangup", ({},)),
        ):
            try:
                outcome = getattr(leg, name)(*arguments)
            except NotSupported:
                continue
            if hasattr(outcome, "close"):
                outcome.close()
            assert outcome is None, f"{name} returned {outcome!r}"
        await trial.pass_time()


async def _close(trial: _Trial) -> None:
    with trio.move_on_after(CLOSE_S) as scope:
        await trial.leg.aclose()
    assert not scope.cancelled_caught, f"aclose takes more than {CLOSE_S:g} s"


LEG_CHECKS: tuple[Check[MakeLeg], ...] = (
    _it_introduces_itself,
    _bind_reports_nothing,
    _an_answer_connects_once,
    _a_hangup_ends_with_200,
    _the_far_end_ends_with_200,
    _giving_up_is_no_success,
    _a_hangup_before_the_answer_is_no_success,
    _a_rejection_has_its_code,
    _nothing_follows_the_end,
    _closing_ends_it,
    _closing_an_unanswered_call_ends_it,
    _frames_are_20_ms,
    _commands_do_not_wait,
)
