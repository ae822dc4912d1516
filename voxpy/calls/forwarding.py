"""Whole scenarios in one line: forwarding, and ``play_sound_and_hangup``.

The forwarding functions wait for ``CallAlerting``, dial and leave the two calls to
``easy_process`` (joining.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxpy.call import Call
from voxpy.calls.joining import Established, custom_headers, easy_process
from voxpy.calls.outgoing import place_call
from voxpy.engine.ending import EndReason
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError
from voxpy.events import AppEvents, CallEvents
from voxpy.players.request import read_request

# -- forwarding ------------------------------------------------------------------------------------


def forward_to_number(
    session: Session,
    command: str,
    *,
    number_transform: Callable[[str], str] | None,
    on_established: Established | None,
    callerid: str | None,
    follow_diversion: bool,
) -> None:
    """Forward every incoming call to the number that ``number_transform(destination)`` returns.

    ``callerid`` None is the caller's own. Raises ScenarioError for what is no function.
    """
    _check_function(command, "number_transform", number_transform)

    def dial(event: AppEvents.CallAlerting) -> Call:
        number = event.destination
        return place_call(
            session,
            command,
            kind="pstn",
            destination=number if number_transform is None else number_transform(number),
            callerid=event.callerid if callerid is None else callerid,
            display_name=event.display_name,
            follow_diversion=follow_diversion,
        )

    _forward(session, command, dial, on_established)


def forward_to_user(
    session: Session,
    command: str,
    *,
    on_established: Established | None,
    direct: bool = False,
    video: bool = False,
) -> None:
    """Forward every incoming call to the user whose name was dialled."""

    def dial(event: AppEvents.CallAlerting) -> Call:
        return place_call(
            session,
            command,
            kind="user_direct" if direct else "user",
            destination=event.destination,
            callerid=event.callerid,
            display_name=event.display_name,
            headers=custom_headers(event.headers),
            video=video,
        )

    _forward(session, command, dial, on_established, direct=direct)


def forward_to_sip(
    session: Session, command: str, *, on_established: Established | None, video: bool = False
) -> None:
    """Forward every incoming call to the SIP URI that was dialled."""

    def dial(event: AppEvents.CallAlerting) -> Call:
        return place_call(
            session,
            command,
            kind="sip",
            destination=event.to_uri,
            callerid=event.callerid,
            display_name=event.display_name,
            headers=custom_headers(event.headers),
            video=video,
        )

    _forward(session, command, dial, on_established)


def _forward(
    session: Session,
    command: str,
    dial: Callable[[AppEvents.CallAlerting], Call],
    on_established: Established | None,
    *,
    direct: bool = False,
) -> None:
    _check_function(command, "on_established", on_established)

    def alerting(event: AppEvents.CallAlerting) -> None:
        call2 = dial(event)
        easy_process(session, event.call, call2, on_established=on_established, direct=direct)

    session.trace.command(f"VoxEngine.{command}")
    session.listeners.add(AppEvents.CallAlerting, alerting)


def _check_function(command: str, what: str, function: Any) -> None:
    if function is not None and not callable(function):
        raise ScenarioError(f"{command}: {what} must be a function, not {type(function).__name__}")


# -- an announcement -------------------------------------------------------------------------------

ANNOUNCEMENT = "VoxEngine.play_sound_and_hangup"


def play_sound_and_hangup(session: Session, url: str) -> None:
    """Answer incoming calls with one sound; its end, or the call's, ends the session."""
    request = read_request(url, ANNOUNCEMENT)
    session.trace.command(ANNOUNCEMENT, url=request.shown)

    def over(_event: object) -> None:
        session.end(EndReason.TERMINATED, ANNOUNCEMENT)

    def play(event: CallEvents.Connected) -> None:
        event.call.start_playback(url)

    def answer(event: AppEvents.CallAlerting) -> None:
        call = event.call
        call.add_event_listener(CallEvents.Connected, play)
        for kind in (CallEvents.PlaybackFinished, CallEvents.Failed, CallEvents.Disconnected):
            call.add_event_listener(kind, over)
        call.answer()

    session.listeners.add(AppEvents.CallAlerting, answer)
