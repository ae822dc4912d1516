"""``play_sound_and_hangup``: a whole scenario in one function."""

from __future__ import annotations

from voxpy.engine.ending import EndReason
from voxpy.engine.session import Session
from voxpy.events import AppEvents, CallEvents
from voxpy.players.request import read_request

__all__ = ["play_sound_and_hangup"]

WHAT = "VoxEngine.play_sound_and_hangup"


def play_sound_and_hangup(session: Session, url: str) -> None:
    """Answer incoming calls with one sound; its end, or the call's, ends the session."""
    request = read_request(url, WHAT)
    session.trace.command(WHAT, url=request.shown)

    def over(_event: object) -> None:
        session.end(EndReason.TERMINATED, WHAT)

    def play(event: CallEvents.Connected) -> None:
        event.call.start_playback(url)

    def answer(event: AppEvents.CallAlerting) -> None:
        call = event.call
        call.add_event_listener(CallEvents.Connected, play)
        for kind in (CallEvents.PlaybackFinished, CallEvents.Failed, CallEvents.Disconnected):
            call.add_event_listener(kind, over)
        call.answer()

    session.listeners.add(AppEvents.CallAlerting, answer)
