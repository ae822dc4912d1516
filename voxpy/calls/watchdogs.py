"""Calls that go wrong without anybody noticing: nobody answers, nothing arrives, nobody speaks.

Each watchdog posts its event first and ends the session some seconds later, so that a scenario can
say goodbye or take back the cause. They are tasks of the session and end with it.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from voxpy.call import Call
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.events import Event
from voxpy.engine.session import Session
from voxpy.events import WatchdogEvents

__all__ = ["watch_call"]

LOOK_EVERY_S = 1.0


async def watch_call(session: Session, call: Call) -> None:
    """Watch one incoming call until it is over."""
    limits = session.around.settings.limits
    if not await _connects_within(call, limits.unanswered_call_s):
        if call.state() != "TERMINATED":
            session.trace.warning(
                "nobody answered", unit=call.id(), after_s=limits.unanswered_call_s
            )
            call.reject(408)
        return
    await _watch_flow(session, call)


async def _connects_within(call: Call, limit_s: float) -> bool:
    with trio.move_on_after(limit_s):
        while call.state() in ("ALERTING", "PROGRESSING"):  # noqa: ASYNC110  to the second will do
            await trio.sleep(LOOK_EVERY_S)
    return call.state() == "CONNECTED"


async def _watch_flow(session: Session, call: Call) -> None:
    dogs = session.around.settings.watchdogs
    connected_at = clock.now()
    port = call.media

    def media_age_s() -> float:
        return clock.now() - (session.graph.flow(port).last_frame_at or connected_at)

    def silence_s() -> float:
        feed = session.graph.feed_of(port)
        flows = [session.graph.flow(p) for p in (port, feed) if p is not None]
        return clock.now() - max([f.last_audible_at or connected_at for f in flows])

    def age_s() -> float:
        return clock.now() - connected_at

    watches: list[tuple[Callable[[], float], float, Callable[[float], Event], str]] = [
        (
            media_age_s,
            dogs.no_inbound_media_s,
            lambda s: WatchdogEvents.NoInboundMedia(call=call, silent_for_s=s),
            "no media from the caller",
        ),
        (
            silence_s,
            dogs.dead_air_s,
            lambda s: WatchdogEvents.DeadAir(silent_for_s=s),
            "nobody has been audible",
        ),
        (
            age_s,
            dogs.longest_call_s,
            lambda s: WatchdogEvents.CallTooLong(call=call, duration_s=s),
            "the call is too long",
        ),
    ]
    barked: dict[str, float] = {}
    while call.state() == "CONNECTED":
        await trio.sleep(LOOK_EVERY_S)
        for measure, limit_s, make_event, words in watches:
            value_s = measure()
            if value_s < limit_s:
                barked.pop(words, None)
            elif words not in barked:
                barked[words] = clock.now()
                session.post(session.listeners, make_event(round(value_s, 3)))
            elif clock.now() - barked[words] >= dogs.grace_s:
                session.end(EndReason.WATCHDOG, f"{words} for {value_s:.0f} s")
