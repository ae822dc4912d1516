"""Whole scenarios in one line: ``easy_process``, forwarding, ``play_sound_and_hangup``.

``easy_process`` makes one of an incoming call and the call it is forwarded to; the forwarding
functions wait for ``CallAlerting``, dial and leave the two calls to it. The order and the relays
are those of the source that Voximplant publishes (github voximplant/easyprocess). Left out are
re-INVITEs: no channel of ours has them. Done better:

- a caller who still waits is refused with the code with which the callee failed (486 when it is
  busy), as a proxy would (RFC 3261 section 16.7), rather than left to the end of the session;
- calls that are over already end the session instead of ringing for nobody;
- an incoming call that was answered before is joined all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from voxpy.call import Call
from voxpy.calls.outgoing import place_call
from voxpy.engine.ending import EndReason
from voxpy.engine.session import Session
from voxpy.engine.units import fitted
from voxpy.errors import ScenarioError
from voxpy.events import AppEvents, CallEvents
from voxpy.players.request import read_request

OK = 200
Established = Callable[[Call, Call], Awaitable[None] | None]


def easy_process(
    session: Session,
    call1: Call,
    call2: Call,
    *,
    on_established: Established | None = None,
    direct: bool = False,
) -> None:
    """Answer ``call1`` (incoming) when ``call2`` (outgoing) is answered, and join the two.

    ``on_established(call1, call2)`` is called once, when ``call1`` is connected; if it was before,
    when ``call2`` is. The session ends with
    the first of the two. ``direct`` is traced: the media passes through voxpy all the same. Raises
    ScenarioError for calls in the wrong order and for what is no call.
    """
    _check(call1, call2, on_established)
    session.trace.command(
        "VoxEngine.easy_process", unit=call1.id(), target=call2.id(), direct=direct
    )
    if direct:
        session.trace.warning("no direct media between two legs; it passes through voxpy")
    if "TERMINATED" in (call1.state(), call2.state()):
        _end(session, "one of the calls was over")
        return
    _answer_together(call1, call2, on_established)
    session.connect_media(call1, call2)
    session.connect_media(call2, call1)
    _relay(call1, call2)
    _relay(call2, call1)
    _end_together(session, call1, call2)


def custom_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what may be sent on: the platform's own headers (VI-...) concern one leg only."""
    return {name: value for name, value in headers.items() if name.lower().startswith("x-")}


def _answer_together(call1: Call, call2: Call, on_established: Established | None) -> None:
    told = False

    def answered(event: CallEvents.Connected) -> None:
        headers = custom_headers(event.headers)
        call1.answer(headers, display_name=call2.display_name(), scheme=event.scheme)

    def established(_event: CallEvents.Connected) -> Awaitable[None] | None:
        nonlocal told
        if told or on_established is None:
            return None
        told = True
        done: Awaitable[None] | None = fitted(on_established, call1, call2)()
        return done

    def ringing(_event: CallEvents.Ringing) -> None:
        call1.ring()

    def audio_started(event: CallEvents.AudioStarted) -> None:
        if event.code != OK:  # with the answer: a 183 in the moment before the 200 is of no use
            call1.start_early_media(None, event.scheme)

    if call1.state() != "CONNECTED":
        call2.add_event_listener(CallEvents.Connected, answered)
        call2.add_event_listener(CallEvents.Ringing, ringing)
        call2.add_event_listener(CallEvents.AudioStarted, audio_started)
        # As published: when the caller's leg is up, be it before the callee answers.
        call1.add_event_listener(CallEvents.Connected, established)
    else:  # a moment that the published one never has
        call2.add_event_listener(CallEvents.Connected, established)


def _relay(source: Call, target: Call) -> None:
    def message(event: CallEvents.MessageReceived) -> None:
        target.send_message(event.text)

    def info(event: CallEvents.InfoReceived) -> None:
        target.send_info(event.mime_type, event.body, headers=custom_headers(event.headers))

    source.add_event_listener(CallEvents.MessageReceived, message)
    source.add_event_listener(CallEvents.InfoReceived, info)


def _end_together(session: Session, call1: Call, call2: Call) -> None:
    def failed(event: CallEvents.Failed) -> None:
        if call1.state() in ("ALERTING", "PROGRESSING"):
            call1.reject(event.code if 300 <= event.code <= 699 else 480)
        _end(session, f"the forwarded call failed: {event.code} {event.reason}")

    def over(event: CallEvents.Disconnected) -> None:
        who = "caller" if event.call is call1 else "callee"
        _end(session, f"the {who}'s call is over")

    call2.add_event_listener(CallEvents.Failed, failed)
    call1.add_event_listener(CallEvents.Disconnected, over)
    call2.add_event_listener(CallEvents.Disconnected, over)


def _end(session: Session, why: str) -> None:
    session.end(EndReason.TERMINATED, f"easy_process: {why}")


def _check(call1: Any, call2: Any, on_established: Any) -> None:
    for name, call in (("call1", call1), ("call2", call2)):
        if not isinstance(call, Call):
            raise ScenarioError(
                f"easy_process(call1, call2): {name} must be a call, not {type(call).__name__}"
            )
    if call2.incoming() and not call1.incoming():
        raise ScenarioError(
            "easy_process(call1, call2): the calls are swapped; the incoming call is the first, "
            "the one that VoxEngine.call_*() returned is the second"
        )
    if call1.incoming() == call2.incoming():
        way = "incoming" if call1.incoming() else "outgoing"
        raise ScenarioError(
            f"easy_process(call1, call2): both calls are {way}; it forwards an incoming call to an "
            "outgoing one. To join any two connected calls use VoxEngine.send_media_between"
        )
    if on_established is not None and not callable(on_established):
        raise ScenarioError(
            "easy_process: on_established must be a function of the two calls, not "
            f"{type(on_established).__name__}"
        )


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
