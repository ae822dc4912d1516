"""Every rule is broken once, by a variant of a thing that keeps it: its check finds that."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar

import orjson
import pytest
import trio

from voxpy.audio.frame import PCMU
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.ports import LegConnected, LegEnded, LegEvent
from voxpy.localagent.server import serve_stream
from voxpy.media.playout import Playout
from voxpy.media.unit import MediaPort
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets import FrameSocket, connect
from voxpy.sockets.memory import MemoryDialer
from voxpy.testing.conformance import (
    LEG_CHECKS,
    REALTIME_SERVER_CHECKS,
    SINK_CHECKS,
    SOURCE_CHECKS,
    Check,
    LegBench,
    Nonconforming,
    RuleBroken,
    check_leg,
    check_sink,
    check_source,
)


def named(checks: tuple[Check[Any], ...], name: str) -> Check[Any]:
    return next(check for check in checks if check.name == name)


def names_of(test: Any) -> set[str]:
    """Return the rules a parametrized test plants faults against."""
    [marked] = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return {name for _, name in marked.args[1]}


# -- legs ------------------------------------------------------------------------------------------


class Nameless(SimulatedLeg):
    channel = ""


class Hasty(SimulatedLeg):
    def bind(self, report: Callable[[LegEvent], None]) -> None:
        super().bind(report)
        report(LegConnected())


class Twice(SimulatedLeg):
    def bind(self, report: Callable[[LegEvent], None]) -> None:
        def doubled(event: LegEvent) -> None:
            report(event)
            if isinstance(event, LegConnected):
                report(event)

        super().bind(doubled)


class Recoded(SimulatedLeg):
    """Reports other codes than it has."""

    codes: ClassVar[dict[int, int]]

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        def recoded(event: LegEvent) -> None:
            if isinstance(event, LegEnded):
                event = LegEnded(code=self.codes.get(event.code, event.code), reason=event.reason)
            report(event)

        super().bind(recoded)


class Unsuccessful(Recoded):
    codes: ClassVar = {200: 603}


class Successful(Recoded):
    codes: ClassVar = {487: 200}


class Polite(Recoded):
    codes: ClassVar = {603: 200}


class Forgetful(Recoded):
    codes: ClassVar = {486: 603}


class Content(Recoded):
    codes: ClassVar = {480: 200}


class Talkative(SimulatedLeg):
    """Says that it is over as often as it is told so."""

    def far_end_hangs_up(self) -> None:
        super().far_end_hangs_up()
        if self.state == "ended":
            self.state = "connected"

    def hangup(self, headers: Any) -> None:
        super().hangup(headers)


class Lingering(SimulatedLeg):
    """Closes without a word."""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Short(SimulatedLeg):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        assert self.media.source is not None
        whole = self.media.source.pull

        class Source:
            format = PCMU

            def pull(self) -> bytes | None:
                frame = whole()
                return frame and frame[1:]

        self.media = MediaPort(name=self.leg_id, source=Source(), sink=self.media.sink)


class Waiting(SimulatedLeg):
    async def send_message(self, text: str) -> None:  # type: ignore[override]
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def bench(kind: type[SimulatedLeg]) -> AsyncIterator[LegBench]:
    leg = kind(leg_id="call-1", callerid="1", destination="2")
    await trio.lowlevel.checkpoint()
    yield LegBench(leg=leg, far_end_hangs_up=leg.far_end_hangs_up)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Nameless, "it_introduces_itself"),
        (Hasty, "bind_reports_nothing"),
        (Twice, "an_answer_connects_once"),
        (Unsuccessful, "a_hangup_ends_with_200"),
        (Unsuccessful, "the_far_end_ends_with_200"),
        (Successful, "giving_up_is_no_success"),
        (Polite, "a_hangup_before_the_answer_is_no_success"),
        (Forgetful, "a_rejection_has_its_code"),
        (Talkative, "nothing_follows_the_end"),
        (Lingering, "closing_ends_it"),
        (Content, "closing_an_unanswered_call_ends_it"),
        (Short, "frames_are_20_ms"),
        (Waiting, "commands_do_not_wait"),
    ],
)
async def test_a_broken_leg(kind: type[SimulatedLeg], name: str, autojump_clock: object) -> None:
    with pytest.raises(RuleBroken, match=f"(?s)^{name}: .*seen: ") as caught:
        await named(LEG_CHECKS, name)(partial(bench, kind))
    assert caught.value.name == name
    with pytest.raises(Nonconforming, match=f"(?s){kind.__name__} breaks .*{name}") as all_of_them:
        await check_leg(partial(bench, kind))
    assert name in {broken.name for broken in all_of_them.value.broken}


def test_every_rule_of_legs_has_its_broken_leg() -> None:
    assert names_of(test_a_broken_leg) == {check.name for check in LEG_CHECKS}


# -- sources and sinks -----------------------------------------------------------------------------


class Good:
    """A source of three frames."""

    format = PCMU

    def __init__(self) -> None:
        self.left = [bytes([n]) * 160 for n in (1, 2, 3, 4)]

    def pull(self) -> bytes | None:
        return self.left.pop(0) if self.left else None


class Cut(Good):
    def pull(self) -> bytes | None:
        frame = super().pull()
        return frame and frame[:100]


class Mute(Good):
    def pull(self) -> bytes | None:
        return None


class Ending(Good):
    def pull(self) -> bytes | None:
        return self.left.pop(0)


class Random(Good):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        Random.made += 1
        self.left[0] = bytes([Random.made]) * 160


class Slow(Good):
    def pull(self) -> bytes | None:
        _compute(0.006)
        return super().pull()


class Losing(Playout):
    def __init__(self) -> None:
        super().__init__(PCMU, limit_s=1)
        self.write(b"".join(Good().left))

    def take_back(self) -> None:
        self._on_the_way.clear()
        self._on_the_way_bytes = 0


class Different(Losing):
    def pull_ahead(self) -> bytes | None:
        frame = super().pull_ahead()
        return frame and frame[::-1][:-1] + b"\x00"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Cut, "a_frame_is_20_ms"),
        (Mute, "it_speaks"),
        (Ending, "the_end_is_quiet"),
        (Random, "the_same_again"),
        (Slow, "pull_does_not_block"),
        (Losing, "what_was_taken_back_comes_again"),
        (Different, "ahead_is_the_same_audio"),
    ],
)
async def test_a_broken_source(kind: Any, name: str) -> None:
    with pytest.raises(RuleBroken, match=f"^{name}: "):
        await named(SOURCE_CHECKS, name)(kind)


async def test_a_good_source() -> None:
    await check_source(Good)


class Taking:
    format: Any = PCMU

    def push(self, frame: bytes) -> None:
        """Take it."""


class Shapeless(Taking):
    format = "pcmu"


class Impatient(Taking):
    def __init__(self) -> None:
        self.silent = 0

    def push(self, frame: bytes) -> None:
        self.silent += frame == PCMU.silence
        if self.silent > 100:
            raise RuntimeError("enough")


class Fragile(Taking):
    def push(self, frame: bytes) -> None:
        if frame[0] == frame[1] == 0:
            raise ValueError("too loud")


class Returning(Taking):
    def push(self, frame: bytes) -> Any:
        return frame


class SlowSink(Taking):
    def push(self, frame: bytes) -> None:
        _compute(0.006)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Shapeless, "it_has_a_format"),
        (Impatient, "it_takes_silence"),
        (Fragile, "it_takes_any_sound"),
        (Returning, "push_returns_nothing"),
        (SlowSink, "push_does_not_block"),
    ],
)
async def test_a_broken_sink(kind: Any, name: str) -> None:
    with pytest.raises(RuleBroken, match=f"^{name}: "):
        await named(SINK_CHECKS, name)(kind)


async def test_a_good_sink() -> None:
    await check_sink(Taking)


def _compute(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


# -- realtime servers ------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], list[dict[str, Any]]]


def gone(kind: str) -> Change:
    return lambda event: [] if event["type"] == kind else [event]


def changed(kind: str, change: Callable[[dict[str, Any]], Any]) -> Change:
    def apply(event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["type"] == kind:
            change(event)
        return [event]

    return apply


def doubled(kind: str) -> Change:
    return lambda event: [event, event] if event["type"] == kind else [event]


def hurried(event: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "rate_limits.updated", "event_id": "e0"}, event]


def heard(event: dict[str, Any]) -> list[dict[str, Any]]:
    started = {"type": "input_audio_buffer.speech_started", "event_id": "e9"}
    return [started, event] if event["type"] == "session.updated" else [event]


class Spoiled(FrameSocket):
    """The local agent, with a change to what it says before the checks see it."""

    change: Change

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "on_message" and hasattr(self, "change"):
            take = value

            def value(message: Any) -> None:
                for event in self.change(orjson.loads(message)):
                    take(orjson.dumps(event).decode())

        super().__setattr__(name, value)


@asynccontextmanager
async def spoiled(change: Change) -> AsyncIterator[Callable[[], Awaitable[FrameSocket]]]:
    async with trio.open_nursery() as nursery:
        engines = scripted_engines(ScriptedResponder(["Yes. That is so."] * 3))
        dialer = MemoryDialer(nursery, partial(serve_stream, engines=engines))

        async def opened() -> FrameSocket:
            socket = await connect(
                dialer,
                "ws://agent.test/session?key=k&protocol=realtime",
                headers=[("Authorization", "Basic a2V5")],
            )
            socket.__class__ = Spoiled
            assert isinstance(socket, Spoiled)
            socket.change = change
            return socket

        yield opened
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (hurried, "the_session_comes_first"),
        (
            changed("session.updated", lambda e: e["session"].update(instructions="")),
            "an_update_is_confirmed",
        ),
        (changed("response.done", lambda e: e.pop("event_id")), "events_have_ids_of_their_own"),
        (doubled("response.created"), "events_have_ids_of_their_own"),
        (gone("conversation.item.added"), "an_item_is_added"),
        (gone("response.output_item.added"), "a_response_has_an_order"),
        (
            changed("response.done", lambda e: e["response"].update(id="other")),
            "a_response_has_an_order",
        ),
        (
            changed("response.output_audio.delta", lambda e: e.update(delta="AAAA")),
            "audio_is_whole_samples",
        ),
        (gone("error"), "an_unknown_event_is_an_error_only"),
        (gone("error"), "bad_json_is_an_error_only"),
        (changed("error", lambda e: e["error"].update(event_id=None)), "an_error_names_its_event"),
        (doubled("response.created"), "one_response_at_a_time"),
        (changed("error", lambda e: e["error"].update(code="x")), "an_idle_cancel_is_harmless"),
        (heard, "silence_is_no_speech"),
    ],
)
async def test_a_broken_server(change: Change, name: str, autojump_clock: object) -> None:
    async with spoiled(change) as opened:
        with pytest.raises(RuleBroken, match=f"^{name}: "):
            await named(REALTIME_SERVER_CHECKS, name)(opened)


def test_every_rule_of_servers_has_its_broken_server() -> None:
    assert names_of(test_a_broken_server) == {check.name for check in REALTIME_SERVER_CHECKS}


def test_a_check_says_its_rule_and_where_that_comes_from() -> None:
    for checks in (LEG_CHECKS, SOURCE_CHECKS, SINK_CHECKS, REALTIME_SERVER_CHECKS):
        for check in checks:
            assert check.text.endswith(")."), check.name
