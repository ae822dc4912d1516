"""``easy_process``: two calls become one, and stay so when a phone transfers its end.

The order and the relays are those of the source that Voximplant publishes (github
voximplant/easyprocess), for any two calls that it takes: a caller who waits and whom we call for
it, one who was answered before, two whom we call both. Left out are re-INVITEs: each leg answers
its own. Done better:

- a caller who still waits is refused with the code with which the callee failed (486 when it is
  busy), as a proxy would (RFC 3261 section 16.7), rather than left to the end of the session;
- calls that are over already end the session instead of ringing for nobody;
- an incoming call that was answered before is joined all the same;
- whoever presses its phone's transfer key (REFER) is replaced: we call the new one, who takes its
  place when it answers. A scenario that listens to BlindTransferRequested does that itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from voxpy.audio.progress import ringing
from voxpy.call import Call
from voxpy.calls.outgoing import place_call
from voxpy.engine.ending import EndReason
from voxpy.engine.ports import DialKind
from voxpy.engine.session import Session
from voxpy.engine.units import fitted
from voxpy.errors import NotSupported, ScenarioError
from voxpy.events import CallEvents
from voxpy.players.making import tone_sound
from voxpy.players.playing import Playing, PlayingReports

OK, UNAVAILABLE = 200, 480
RINGING_COUNTRY = "EU"
_NUMBER = re.compile(r"\+?[0-9*#]{3,}")
Established = Callable[[Call, Call], Awaitable[None] | None]


def easy_process(
    session: Session,
    call1: Call,
    call2: Call,
    *,
    on_established: Established | None = None,
    direct: bool = False,
) -> None:
    """Answer ``call1`` when ``call2`` is answered, and join the two.

    ``on_established(call1, call2)`` is called once, when ``call1`` is connected; if it was before,
    or is a call of ours, when both are. The session ends with the first of the two. ``direct`` is
    traced: the media passes through voxpy all the same. Raises ScenarioError for calls in the wrong
    order and for what is no call.
    """
    _check(call1, call2, on_established)
    session.trace.command(
        "VoxEngine.easy_process", unit=call1.id(), target=call2.id(), direct=direct
    )
    if direct:
        session.trace.warning("no direct media between two legs; it passes through voxpy")
    if "TERMINATED" in (call1.state(), call2.state()):
        session.end(EndReason.TERMINATED, "easy_process: one of the calls was over")
        return
    _answer_together(call1, call2, on_established)
    _Joined(session, call1, call2)


def custom_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what may be sent on: the platform's own headers (VI-...) concern one leg only."""
    return {name: value for name, value in headers.items() if name.lower().startswith("x-")}


def _answer_together(call1: Call, call2: Call, on_established: Established | None) -> None:
    told = False
    waits = call1.incoming() and call1.state() != "CONNECTED"

    def answered(event: CallEvents.Connected) -> None:
        headers = custom_headers(event.headers)
        call1.answer(headers, display_name=call2.display_name(), scheme=event.scheme)

    def established(_event: CallEvents.Connected) -> Awaitable[None] | None:
        nonlocal told
        both = call1.state() == call2.state() == "CONNECTED"
        if told or on_established is None or not (waits or both):
            return None
        told = True
        done: Awaitable[None] | None = fitted(on_established, call1, call2)()
        return done

    def rings(_event: CallEvents.Ringing) -> None:
        call1.ring()

    def audio_started(event: CallEvents.AudioStarted) -> None:
        if event.code != OK:  # with the answer: a 183 in the moment before the 200 is of no use
            call1.start_early_media(None, event.scheme)

    # As published: when the caller's leg is up, be it before the callee answers.
    call1.add_event_listener(CallEvents.Connected, established)
    if waits:
        call2.add_event_listener(CallEvents.Connected, answered)
        call2.add_event_listener(CallEvents.Ringing, rings)
        call2.add_event_listener(CallEvents.AudioStarted, audio_started)
    else:  # moments that the published one never has, or leaves to the scenario
        call2.add_event_listener(CallEvents.Connected, established)


class _Joined:
    """The two calls that talk to each other now, and whoever is being called in a transfer."""

    def __init__(self, session: Session, call1: Call, call2: Call) -> None:
        self._session = session
        self._calls = [call1, call2]
        self._leaving: Call | None = None
        self._coming: Call | None = None
        self._tone: Playing | None = None
        self._connect()
        for call in (call1, call2):
            self._listen(call)

    def _connect(self) -> None:
        one, other = self._calls
        self._session.connect_media(one, other)
        self._session.connect_media(other, one)

    def _other(self, call: Call) -> Call | None:
        """Return whom a call talks to, None for one that does not any more."""
        if call not in self._calls:
            return None
        return self._calls[1 - self._calls.index(call)]

    def _listen(self, call: Call) -> None:
        call.add_event_listener(CallEvents.MessageReceived, self._message)
        call.add_event_listener(CallEvents.InfoReceived, self._info)
        call.add_event_listener(CallEvents.Failed, self._failed)
        call.add_event_listener(CallEvents.Disconnected, self._over)
        if CallEvents.BlindTransferRequested in call.listeners.kinds:
            return
        call.add_event_listener(CallEvents.BlindTransferRequested, self._transfer)
        try:
            call._leg.transfers.handle(True)
        except NotSupported:
            return  # nobody can ask on this channel

    # -- what passes between them -----------------------------------------------------------------

    def _message(self, event: CallEvents.MessageReceived) -> None:
        other = self._other(event.call)
        if other is not None:
            other.send_message(event.text)

    def _info(self, event: CallEvents.InfoReceived) -> None:
        other = self._other(event.call)
        if other is not None:
            headers = custom_headers(event.headers)
            other.send_info(event.mime_type, event.body, headers=headers)

    # -- the end ----------------------------------------------------------------------------------

    def _failed(self, event: CallEvents.Failed) -> None:
        if event.call not in self._calls:
            return
        other = self._other(event.call)
        if other is not None and other.incoming() and other.state() in ("ALERTING", "PROGRESSING"):
            other.reject(event.code if 300 <= event.code <= 699 else UNAVAILABLE)
        self._end(f"the forwarded call failed: {event.code} {event.reason}")

    def _over(self, event: CallEvents.Disconnected) -> None:
        if event.call not in self._calls or event.call is self._leaving:
            return
        who = "caller" if event.call.incoming() else "callee"
        self._end(f"the {who}'s call is over")

    def _end(self, why: str) -> None:
        self._session.end(EndReason.TERMINATED, f"easy_process: {why}")

    # -- a transfer -------------------------------------------------------------------------------

    def _transfer(self, event: CallEvents.BlindTransferRequested) -> None:
        leaving, stays = event.call, self._other(event.call)
        if self._coming is not None or stays is None or stays.state() != "CONNECTED":
            leaving.notify_blind_transfer_failed(UNAVAILABLE, "Nobody to transfer")
            return
        kind, destination = _whom(event)
        self._leaving = leaving
        self._coming = coming = place_call(
            self._session,
            "easy_process",
            kind=kind,
            destination=destination,
            callerid=stays.callerid() if stays.incoming() else stays.number(),
            display_name=stays.display_name() if stays.incoming() else "",
            headers=custom_headers(event.headers),
        )
        coming.add_event_listener(CallEvents.AudioStarted, self._early)
        coming.add_event_listener(CallEvents.Connected, self._come)
        coming.add_event_listener(CallEvents.Failed, self._not_come)
        self._tone = Playing(
            self._session,
            self._session.new_id("tone"),
            [tone_sound(ringing(RINGING_COUNTRY), "easy_process", loop=True)],
            loop=True,
            paused=False,
            reports=PlayingReports(),
        )
        self._session.graph.connect(self._tone.port, stays.media)

    def _early(self, event: CallEvents.AudioStarted) -> None:
        stays = self._stays()
        if event.code != OK and stays is not None:
            self._quiet()
            self._session.connect_media(event.call, stays)

    def _come(self, event: CallEvents.Connected) -> None:
        leaving, stays = self._leaving, self._stays()
        if leaving is None or stays is None:
            return
        self._quiet()
        self._leaving = self._coming = None
        self._session.disconnect_media(leaving, stays)
        self._session.disconnect_media(stays, leaving)
        self._calls = [stays, event.call]
        self._connect()
        self._listen(event.call)
        if leaving.state() == "CONNECTED":
            leaving.notify_blind_transfer_success()
            leaving.hangup()

    def _not_come(self, event: CallEvents.Failed) -> None:
        leaving, self._coming = self._leaving, None
        self._leaving = None
        if leaving is None:
            return
        self._quiet()
        if leaving.state() != "CONNECTED":
            self._end(f"the transfer failed: {event.code} {event.reason}")
            return
        code = event.code if 300 <= event.code <= 699 else UNAVAILABLE
        leaving.notify_blind_transfer_failed(code, event.reason)
        self._connect()  # as before: the two go on

    def _stays(self) -> Call | None:
        return None if self._leaving is None else self._other(self._leaving)

    def _quiet(self) -> None:
        if self._tone is not None:
            self._tone.stop()
            self._tone = None


def _whom(event: CallEvents.BlindTransferRequested) -> tuple[DialKind, str]:
    """Return how whoever was asked for is called: as the SIP address says, or by name or number."""
    address = event.headers.get("Refer-To", "")
    if address.startswith(("sip:", "sips:")):
        return "sip", address
    number = address.removeprefix("tel:").partition(";")[0] or event.transfer_to
    return ("pstn" if _NUMBER.fullmatch(number) else "user"), number


def _check(call1: Any, call2: Any, on_established: Any) -> None:
    for name, call in (("call1", call1), ("call2", call2)):
        if not isinstance(call, Call):
            raise ScenarioError(
                f"easy_process(call1, call2): {name} must be a call, not {type(call).__name__}"
            )
    if call1 is call2:
        raise ScenarioError("easy_process(call1, call2): both are the same call")
    if call2.incoming() and not call1.incoming():
        raise ScenarioError(
            "easy_process(call1, call2): the calls are swapped; the incoming call is the first, "
            "the one that VoxEngine.call_*() returned is the second"
        )
    if on_established is not None and not callable(on_established):
        raise ScenarioError(
            "easy_process: on_established must be a function of the two calls, not "
            f"{type(on_established).__name__}"
        )
