"""Calls that go wrong without anybody noticing: nobody answers, nothing arrives, nobody speaks.

Each watchdog posts its event first and ends the session some seconds later, so that a scenario can
say goodbye or take back the cause. They are tasks of the session and end with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from voxpy.calls.state import CallState
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.events import Event
from voxpy.engine.session import Session
from voxpy.events import CallEvents, WatchdogEvents

if TYPE_CHECKING:
    from voxpy.call import Call

LOOK_EVERY_S = 1.0


async def watch_outgoing_call(state: CallState, ring_timeout_s: float) -> None:
    """Watch one call that we make until it is over; it fails with 408 if nobody answers in time.

    ``ring_timeout_s`` counts from the dialling; inf: never (VoxEngine: limits, VI-CallTimeout).
    """
    with trio.move_on_after(ring_timeout_s) as scope:
        await state.settled()
    if scope.cancelled_caught:
        state.give_up(408, f"No answer within {ring_timeout_s:g} s")
        await state.settled()
    if state.state == "CONNECTED":
        await _watch_flow(state)


async def watch_call(state: CallState) -> None:
    """Watch one incoming call until it is over."""
    alerting_since = clock.now()
    while state.early:
        await trio.sleep(LOOK_EVERY_S)
        _drop_if_unanswered(state, alerting_since)
    if state.state == "CONNECTED":
        await _watch_flow(state)


def _drop_if_unanswered(state: CallState, alerting_since: float) -> None:
    """Drop a call that rings, or hears early media, for too long (VoxEngine: limits, 60 s both)."""
    limits = state.session.context.settings.limits
    for words, since, limit_s in (
        ("nobody answered", alerting_since, limits.unanswered_call_s),
        ("early media without an answer", state.early_media_since, limits.early_media_s),
    ):
        if state.early and since is not None and clock.now() - since >= limit_s:
            state.session.trace.warning(words, unit=state.leg.leg_id, after_s=limit_s)
            state.call.reject(408)


async def _watch_flow(state: CallState) -> None:
    session, call = state.session, state.call
    dogs = session.context.settings.watchdogs
    connected_at = held_at = clock.now()
    port = call.media

    def media_age_s() -> float:
        nonlocal held_at
        if state.held:
            held_at = clock.now()  # who holds may send nothing
        return clock.now() - max(session.graph.flow(port).last_frame_at or connected_at, held_at)

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


async def wait_silence(session: Session, call: Call, seconds: float, *, both: bool) -> bool:
    """Return True once ``call`` has been quiet for ``seconds``, False if it ends before.

    ``both``: in both directions, else only what comes from the far end. Loudness decides, not
    speech: what the graph notes as audible (above -50 dBFS, looked at every 100 ms). Only silence
    since this was called counts.
    """
    began_at = clock.now()
    while call.state() != "TERMINATED":
        feed = session.graph.feed_of(call.media) if both else None
        flows = [session.graph.flow(p) for p in (call.media, feed) if p is not None]
        audible_at = max([began_at, *(f.last_audible_at or 0.0 for f in flows)])
        left_s = audible_at + seconds - clock.now()
        if left_s <= 0:
            return True
        try:
            await session.wait_event(call.listeners, CallEvents.Disconnected, left_s)
        except trio.TooSlowError:
            continue
    return False
