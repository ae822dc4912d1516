"""One call's state: from what a leg reports to the events a scenario gets.

::

    ALERTING ──ring, early media──▶ PROGRESSING ──answered──▶ CONNECTED ──over──▶ TERMINATED
        └──────────────────────────────answered───────────────▲
    every state ──over──▶ TERMINATED

A call that we make begins as PROGRESSING. If it never is CONNECTED its end is ``Failed``.

Commands in a state that does not allow them are traced and ignored, as in VoxEngine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import singledispatchmethod
from typing import NoReturn

from voxpy.call import Call
from voxpy.calls.attempt import Attempt
from voxpy.calls.beep import Beep
from voxpy.calls.features import raise_not_supported
from voxpy.calls.mic import Mic
from voxpy.calls.playback import Playback
from voxpy.calls.recording import Recordings
from voxpy.calls.silence import wait_silence
from voxpy.calls.tones import Tones
from voxpy.calls.watchdogs import watch_call, watch_outgoing_call
from voxpy.engine import clock
from voxpy.engine.callport import (
    AnswerParameters,
    EarlyMediaParameters,
    MediaUnit,
    RecordParameters,
)
from voxpy.engine.ports import (
    EarlyMedia,
    FirstAudio,
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    LegInfo,
    LegMessage,
    LegTone,
    LegTrouble,
    Ringing,
)
from voxpy.engine.session import Session
from voxpy.events import CallEvent, CallEvents

__all__ = ["CallController", "make_call"]

Headers = Mapping[str, str]

EARLY, OK = 183, 200
WIDEBAND_HZ = 16000
SIP_TO_Q850 = {200: 16, 404: 1, 408: 102, 480: 20, 486: 17, 487: 31, 603: 21}
"""How a connected call ended, as ``internalCode`` has it: Q.850, RFC 3398 section 8.2."""


def make_call(
    session: Session,
    leg: Leg,
    *,
    ring_timeout_s: float = math.inf,
    allow_180_after_183: bool = False,
) -> Call:
    """Return the Call over ``leg``; from now on the leg's events reach the scenario.

    ``ring_timeout_s`` and ``allow_180_after_183`` concern a leg that we dialled: after so much time
    without an answer it fails with 408; ringing that comes after early media is told or not.
    """
    controller = CallController(session, leg, allow_180_after_183=allow_180_after_183)
    session.trace.step(
        "call began",
        unit=leg.leg_id,
        incoming=leg.incoming,
        client_type=leg.client_type,
        callerid=leg.callerid,
        destination=leg.destination,
    )
    session.call_began(leg.leg_id)
    session.graph.attach(leg.media)
    session.add_closer(f"call {leg.leg_id}", controller.aclose)
    leg.bind(controller.report)
    name = f"watching {leg.leg_id}"
    if leg.incoming:
        session.on_start(name, watch_call, session, controller)
    else:
        attempt = controller.attempt
        session.on_start(
            name, watch_outgoing_call, session, controller.call, attempt, ring_timeout_s
        )
    return controller.call


class CallController:
    """Implements ``voxpy.engine.callport.CallControl`` over a Leg."""

    def __init__(self, session: Session, leg: Leg, *, allow_180_after_183: bool = False) -> None:
        self._session = session
        self._allow_180_after_183 = allow_180_after_183
        self._audio_started = False
        self.attempt = Attempt(leg)
        self._leg = leg
        self._connected_at: float | None = None
        self._answering = False
        self.early_media_since: float | None = None
        self.call_id = leg.leg_id
        self.incoming = leg.incoming
        self.callerid = leg.callerid
        self.display_name = leg.display_name
        self.number = leg.destination
        self.client_type = leg.client_type
        self.custom_data = ""
        self.media = leg.media
        self.state = "ALERTING" if leg.incoming else "PROGRESSING"
        self.call = Call(session, self)
        self._recordings = Recordings(session, self.call)
        self.playback = Playback(session, self.call, self)
        self.beep = Beep(session, self.call)
        self.mic = Mic(session, self.call, leg.channel)
        self.tones = Tones(session, self.call)
        self.on_connected: list[Callable[[], None]] = [self.playback.answered]

    @property
    def vad(self) -> bool:
        """Whether voice activity is reported."""
        return self.mic.enabled

    # -- commands --------------------------------------------------------------------------------

    def answer(self, headers: Headers, parameters: AnswerParameters) -> None:
        """Accept the call once."""
        allowed = self.state in ("ALERTING", "PROGRESSING") and not self._answering
        if self._allowed("answer", allowed and self.incoming, headers=dict(headers)):
            self._answering = True
            self._leg.answer(headers)

    def reject(self, code: int, headers: Headers) -> None:
        """Refuse the call if it was not answered."""
        allowed = self.state in ("ALERTING", "PROGRESSING") and not self._answering
        if self._allowed("reject", allowed and self.incoming, code=code):
            self._leg.reject(code, headers)

    def hangup(self, headers: Headers) -> None:
        """End the call in any state but the last."""
        if self._allowed("hangup", self.state != "TERMINATED"):
            self._leg.hangup(headers)

    def ring(self, headers: Headers) -> None:
        """Tell the caller that it rings."""
        if self._allowed("ring", self.state in ("ALERTING", "PROGRESSING") and self.incoming):
            self._leg.ring(headers)
            self._move("PROGRESSING")

    def start_early_media(self, headers: Headers, parameters: EarlyMediaParameters) -> None:
        """Let media flow to the caller before the answer."""
        allowed = self.state in ("ALERTING", "PROGRESSING") and self.incoming
        if self._allowed("start_early_media", allowed):
            self.early_media_since = clock.now()
            self._leg.start_early_media(headers)
            self._move("PROGRESSING")

    def record(self, parameters: RecordParameters) -> None:
        """Start recording; a second one replaces the first."""
        if self._allowed("record", self.state != "TERMINATED", stereo=parameters.stereo):
            self._recordings.start(parameters)

    def send_media_to(
        self,
        unit: MediaUnit,
        *,
        encoding: str | None,
        tag: str | None,
        custom_parameters: Mapping[str, str] | None,
    ) -> None:
        """Link the caller's voice to a unit."""
        self._session.connect_media(self.call, unit)

    def stop_media_to(self, unit: MediaUnit) -> None:
        """Unlink the caller's voice from a unit."""
        self._session.disconnect_media(self.call, unit)

    def handle_tones(self, enable: bool, dtmf_type: str) -> None:
        """Report digits as events; the leg those it gets beside the audio, if any are wanted."""
        if self._allowed("handle_tones", self.state != "TERMINATED", enable=enable, type=dtmf_type):
            self._leg.handle_tones(self.tones.handle(enable, dtmf_type))

    def send_digits(self, digits: str) -> None:
        """Play digits to the far end."""
        if self._allowed("send_digits", self.state == "CONNECTED", digits=digits):
            self._leg.send_digits(digits)

    async def wait_silence(self, seconds: float, *, both: bool) -> bool:
        """Wait until the call has been quiet for so long."""
        return await wait_silence(self._session, self.call, seconds, both=both)

    def send_message(self, text: str) -> None:
        """Send a text message inside the call."""
        if self._allowed("send_message", self.state == "CONNECTED", text=text):
            self._leg.send_message(text)

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Send a SIP INFO or its equivalent."""
        if self._allowed("send_info", self.state == "CONNECTED", mime_type=mime_type, body=body):
            self._leg.send_info(mime_type, body, headers)

    def not_supported(self, what: str) -> NoReturn:
        """Raise NotSupported naming the channel."""
        raise_not_supported(what, self._leg.channel)

    async def aclose(self) -> None:
        """Finish the recording and let the leg say BYE."""
        self._recordings.stop("Session ended")
        await self._leg.aclose()
        await self._recordings.saved()

    # -- reports ---------------------------------------------------------------------------------

    def report(self, event: LegEvent) -> None:
        """Take one event of the leg; whatever follows the end is ignored."""
        if self.state != "TERMINATED":
            self._on(event)

    @singledispatchmethod
    def _on(self, event: LegEvent) -> None:
        raise TypeError(f"unknown leg event {event!r}")

    @_on.register
    def _(self, event: Ringing) -> None:
        if self._audio_started and not self._allow_180_after_183:
            return  # VoxEngine: CallSIPParameters.allow180After183
        self._post(CallEvents.Ringing(call=self.call, headers=event.headers))

    @_on.register
    def _(self, event: EarlyMedia) -> None:
        self._start_audio(EARLY, event.headers)

    @_on.register
    def _(self, event: FirstAudio) -> None:
        self._start_audio(OK, {})
        self._post(CallEvents.FirstAudioPacketReceived(call=self.call))

    @_on.register
    def _(self, event: LegConnected) -> None:
        self._connected_at = clock.now()
        self.attempt.answered()
        self._start_audio(OK, event.headers)
        self._move("CONNECTED")
        self._post(
            CallEvents.Connected(
                call=self.call,
                headers=event.headers,
                custom_data=self.custom_data,
                display_name=self.display_name,
            )
        )
        source = self.media.source
        wide = source is not None and source.format.rate_hz >= WIDEBAND_HZ
        self._post(
            CallEvents.AudioQualityDetected(call=self.call, quality="HD" if wide else "Standard")
        )
        for callback in self.on_connected:
            callback()

    @_on.register
    def _(self, event: LegEnded) -> None:
        event = self.attempt.over(event)
        duration_s = 0.0 if self._connected_at is None else clock.now() - self._connected_at
        self._session.trace.step(
            "call over",
            unit=self.call_id,
            code=self._internal_code(event),
            reason=event.reason,
            duration_s=round(duration_s, 3),
            **({"custom_data": self.custom_data} if self.custom_data else {}),
            **({"counts": dict(event.counts)} if event.counts else {}),
        )
        self._move("TERMINATED")
        if self.incoming or self._connected_at is not None:
            self._post(
                CallEvents.Disconnected(
                    call=self.call,
                    headers=event.headers,
                    internal_code=self._internal_code(event),
                    reason=event.reason,
                    duration=round(duration_s, 3),
                )
            )
        else:
            self._post(
                CallEvents.Failed(
                    call=self.call, headers=event.headers, code=event.code, reason=event.reason
                )
            )
        self._recordings.stop("Call ended")
        for feature in (self.playback, self.tones, self.beep, self.mic):
            feature.close()
        self._session.graph.remove(self.media)
        self._session.call_ended(self.call_id)

    @_on.register
    def _(self, event: LegTrouble) -> None:
        self._session.trace.write("warning", event.kind, unit=self.call_id, text=event.text)

    @_on.register
    def _(self, event: LegTone) -> None:
        self.tones.reported(event)

    @_on.register
    def _(self, event: LegMessage) -> None:
        self._post(
            CallEvents.MessageReceived(call=self.call, text=event.text, headers=event.headers)
        )

    @_on.register
    def _(self, event: LegInfo) -> None:
        self._post(
            CallEvents.InfoReceived(
                call=self.call, mime_type=event.mime_type, body=event.body, headers=event.headers
            )
        )

    # -- the inside ------------------------------------------------------------------------------

    def _allowed(self, command: str, allowed: bool, **fields: object) -> bool:
        note = {} if allowed else {"ignored_in_state": self.state}
        self._session.trace.command(f"Call.{command}", unit=self.call_id, **fields, **note)
        return allowed

    def _start_audio(self, code: int, headers: Headers) -> None:
        """Tell once that audio is there: after 183, or 200 for a call that we made."""
        if not self._audio_started and (code == EARLY or not self.incoming):
            self._audio_started = True
            self._post(CallEvents.AudioStarted(call=self.call, code=code, headers=headers))

    def _move(self, state: str) -> None:
        if state != self.state:
            old, self.state = self.state, state
            self._post(CallEvents.StateChanged(call=self.call, old_state=old, new_state=state))

    def _internal_code(self, event: LegEnded) -> int:
        """Return the SIP status of a call that never was up, else a Q.850 cause: as VoxEngine's."""
        return event.code if self._connected_at is None else SIP_TO_Q850.get(event.code, event.code)

    def _post(self, event: CallEvent) -> None:
        self._session.post(self.call.listeners, event)
