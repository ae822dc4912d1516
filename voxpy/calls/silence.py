"""Waiting until a call has been quiet for some time."""

from __future__ import annotations

import trio

from voxpy.call import Call
from voxpy.engine import clock
from voxpy.engine.session import Session
from voxpy.events import CallEvents

__all__ = ["wait_silence"]


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
