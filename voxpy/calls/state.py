"""One call's state: from what a leg reports to the events a scenario gets.

::

    ALERTING ──ring, early media──▶ PROGRESSING ──answered──▶ CONNECTED ──over──▶ TERMINATED
        └──────────────────────────────answered───────────────▲
    every state ──over──▶ TERMINATED

A call that we make begins as PROGRESSING. If it never is CONNECTED its end is ``Failed``.

Commands in a state that does not allow them are traced and ignored, as in VoxEngine: every command
of a call and of its parts asks ``takes`` first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import singledispatchmethod
from typing import TYPE_CHECKING

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.ports import (
    EarlyMedia,
    FirstAudio,
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    LegForwarded,
    LegHeld,
    LegIdentified,
    LegInfo,
    LegMedia,
    LegMessage,
    LegReInvite,
    LegSignal,
    LegTone,
    LegTransferAsked,
    LegTransferred,
    LegTrouble,
    Ringing,
)
from voxpy.engine.session import Session
from voxpy.events import CallEvent, CallEvents

if TYPE_CHECKING:
    from voxpy.call import Call

Headers = Mapping[str, str]

EARLY, OK = 183, 200
WIDEBAND_HZ = 16000
SIP_TO_Q850 = {200: 16, 404: 1, 408: 102, 480: 20, 486: 17, 487: 31, 603: 21}
"""How a connected call ended, as ``internalCode`` has it: Q.850, RFC 3398 section 8.2."""
_Q850 = re.compile(r"Q\.850\s*;[^,]{0,200}?cause\s*=\s*([0-9]{1,3})\b", re.IGNORECASE)
"""In a Reason header (RFC 3326)."""


@attrs.frozen(kw_only=True)
class CallParts:
    """What a call does itself when its leg has reported something."""

    connected: Callable[[], None]
    over: Callable[[], None]
    tone: Callable[[LegTone], None]


class CallState:
    """What the parts of a call share: its state, its session, and the way to its listeners."""

    def __init__(
        self, session: Session, call: Call, leg: Leg, *, allow_180_after_183: bool
    ) -> None:
        self.session = session
        self.call = call
        self.leg = leg
        self.state = "ALERTING" if leg.incoming else "PROGRESSING"
        self.answering = False
        self.held = False
        """Whether the far end has put us on hold."""
        self.early_media_since: float | None = None
        self.parts: CallParts | None = None
        self._allow_180_after_183 = allow_180_after_183
        self._audio_started = False
        self._first_audio_came = False
        self._connected_at: float | None = None
        self._given_up: tuple[int, str] | None = None
        self._settled = trio.Event()

    # -- for commands ----------------------------------------------------------------------------

    @property
    def early(self) -> bool:
        """Whether it is an incoming call that is not up yet."""
        return self.leg.incoming and self.state in ("ALERTING", "PROGRESSING")

    def takes(self, command: str, *, when: bool = True, **fields: object) -> bool:
        """Trace a command and return whether it is to be done: ``when``, and never after the end.

        What is ignored is traced with the state that is to blame.
        """
        allowed = when and self.state != "TERMINATED"
        note = {} if allowed else {"ignored_in_state": self.state}
        self.session.trace.command(f"Call.{command}", unit=self.leg.leg_id, **fields, **note)
        return allowed

    def post(self, event: CallEvent) -> None:
        """Post an event to the listeners of the call."""
        self.session.post(self.call.listeners, event)

    def move(self, state: str) -> None:
        """Be in another state from now on; the scenario is told."""
        if state != self.state:
            old, self.state = self.state, state
            self.post(CallEvents.StateChanged(call=self.call, old_state=old, new_state=state))

    # -- of a call that we make --------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until the call is answered or over."""
        await self._settled.wait()

    def give_up(self, code: int, reason: str) -> None:
        """Take the call back; it fails with ``code`` and ``reason`` unless it is answered yet."""
        self._given_up = code, reason
        self.leg.hangup({})

    # -- reports -----------------------------------------------------------------------------------

    def report(self, event: LegEvent) -> None:
        """Take one event of the leg; whatever follows the end is ignored."""
        if isinstance(event, LegSignal):
            self.session.trace.write(
                "sip",
                event.name,
                unit=self.leg.leg_id,
                direction=event.direction,
                text=event.text,
            )
        elif self.state != "TERMINATED":
            # Not self._on(event): Python 3.13 remembers for good whoever asks so, and with it all
            # of the call.
            _ON.dispatch(type(event))(self, event)

    @singledispatchmethod
    def _on(self, event: LegEvent) -> None:
        raise TypeError(f"unknown leg event {event!r}")

    @_on.register
    def _(self, event: Ringing) -> None:
        if self._audio_started and not self._allow_180_after_183:
            return  # VoxEngine: CallSIPParameters.allow180After183
        self.post(CallEvents.Ringing(call=self.call, headers=event.headers))

    @_on.register
    def _(self, event: EarlyMedia) -> None:
        self._start_audio(EARLY, event.headers)

    @_on.register
    def _(self, event: FirstAudio) -> None:
        if self._first_audio_came:  # channels report what came at least once
            return
        self._first_audio_came = True
        # Packets overtake the 180 or 183 before them: a scenario hears of both in their order.
        if self.leg.incoming or self._audio_started:
            self._tell_first_audio()

    @_on.register
    def _(self, event: LegConnected) -> None:
        if self._connected_at is not None:
            return
        self._connected_at = clock.now()
        self._settled.set()
        self._start_audio(OK, event.headers)
        self.move("CONNECTED")
        self.post(
            CallEvents.Connected(
                call=self.call,
                headers=event.headers,
                custom_data=self.call.custom_data(),
                display_name=self.leg.display_name,
                encrypted=event.encrypted,
                sip_call_id=event.sip_call_id,
                sip_transport=event.sip_transport,
            )
        )
        source = self.leg.media.source
        wide = source is not None and source.format.rate_hz >= WIDEBAND_HZ
        quality = "HD" if wide else "Standard"
        self.post(CallEvents.AudioQualityDetected(call=self.call, quality=quality))
        if self.parts is not None:
            self.parts.connected()

    @_on.register
    def _(self, event: LegEnded) -> None:
        connected_at = self._connected_at
        if self._given_up is not None and connected_at is None:
            # The leg knows only of a cancellation.
            code, reason = self._given_up
            event = attrs.evolve(event, code=code, reason=reason)
        self._settled.set()
        duration_s = 0.0 if connected_at is None else round(clock.now() - connected_at, 3)
        # A SIP status for a call that never was up, else a Q.850 cause: as VoxEngine's.
        code = event.code if connected_at is None else _cause(event)
        custom_data = self.call.custom_data()
        self.session.trace.step(
            "call over",
            unit=self.leg.leg_id,
            code=code,
            reason=event.reason,
            duration_s=duration_s,
            **({"custom_data": custom_data} if custom_data else {}),
            **({"counts": dict(event.counts)} if event.counts else {}),
        )
        self.move("TERMINATED")
        if self.leg.incoming or connected_at is not None:
            self.post(
                CallEvents.Disconnected(
                    call=self.call,
                    headers=event.headers,
                    internal_code=code,
                    reason=event.reason,
                    duration=duration_s,
                )
            )
        else:
            self.post(
                CallEvents.Failed(
                    call=self.call, headers=event.headers, code=event.code, reason=event.reason
                )
            )
        if self.parts is not None:
            self.parts.over()

    @_on.register
    def _(self, event: LegHeld) -> None:
        self.held = event.held
        kind = CallEvents.OnHold if event.held else CallEvents.OffHold
        self.post(kind(call=self.call))

    @_on.register
    def _(self, event: LegMedia) -> None:
        kind = CallEvents.RtpResumed if event.flow else CallEvents.RtpStopped
        self.post(kind(call=self.call))

    @_on.register
    def _(self, event: LegTrouble) -> None:
        self.session.trace.write("warning", event.kind, unit=self.leg.leg_id, text=event.text)

    @_on.register
    def _(self, event: LegTone) -> None:
        if self.parts is not None:
            self.parts.tone(event)

    @_on.register
    def _(self, event: LegMessage) -> None:
        self.post(
            CallEvents.MessageReceived(call=self.call, text=event.text, headers=event.headers)
        )

    @_on.register
    def _(self, event: LegInfo) -> None:
        self.post(
            CallEvents.InfoReceived(
                call=self.call, mime_type=event.mime_type, body=event.body, headers=event.headers
            )
        )

    @_on.register
    def _(self, event: LegIdentified) -> None:
        self.post(
            CallEvents.AudioIdentificationResult(
                call=self.call, audio_type=event.who, audio_sub_type=event.detail
            )
        )

    @_on.register
    def _(self, event: LegForwarded) -> None:
        self.post(CallEvents.Forwarding(call=self.call))

    @_on.register
    def _(self, event: LegReInvite) -> None:
        if event.what == "rejected":
            self.post(
                CallEvents.ReInviteRejected(
                    call=self.call, headers=event.headers, code=event.code, reason=event.reason
                )
            )
            return
        received = event.what == "received"
        kind = CallEvents.ReInviteReceived if received else CallEvents.ReInviteAccepted
        self.post(
            kind(call=self.call, mime_type=event.mime_type, body=event.body, headers=event.headers)
        )

    @_on.register
    def _(self, event: LegTransferAsked) -> None:
        self.post(
            CallEvents.BlindTransferRequested(
                call=self.call, transfer_to=event.to, headers=event.headers
            )
        )

    @_on.register
    def _(self, event: LegTransferred) -> None:
        if event.code < 300:
            self.post(
                CallEvents.TransferComplete(call=self.call, role=event.role, headers=event.headers)
            )
        else:
            self.post(
                CallEvents.TransferFailed(
                    call=self.call,
                    role=event.role,
                    code=event.code,
                    reason=event.reason,
                    headers=event.headers,
                )
            )

    def _start_audio(self, code: int, headers: Headers) -> None:
        """Tell once that audio is there: after 183, or 200 for a call that we made."""
        if not self._audio_started and (code == EARLY or not self.leg.incoming):
            self._audio_started = True
            self.post(CallEvents.AudioStarted(call=self.call, code=code, headers=headers))
            if self._first_audio_came and not self.leg.incoming:
                self._tell_first_audio()

    def _tell_first_audio(self) -> None:
        self.post(CallEvents.FirstAudioPacketReceived(call=self.call))


def _cause(event: LegEnded) -> int:
    """Return the Q.850 cause of a call that was up: the network's own where it says one."""
    said = _Q850.search(event.headers.get("Reason", ""))
    return int(said[1]) if said is not None else SIP_TO_Q850.get(event.code, event.code)


_ON = CallState.__dict__["_on"].dispatcher
