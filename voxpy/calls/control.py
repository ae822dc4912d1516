"""One call's state: from what a leg reports to the events a scenario gets.

::

    ALERTING ──ring, early media──▶ PROGRESSING ──answered──▶ CONNECTED ──over──▶ TERMINATED
        └──────────────────────────────answered───────────────▲
    every state ──over──▶ TERMINATED

Commands in a state that does not allow them are traced and ignored, as in VoxEngine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatchmethod
from typing import NoReturn

from voxpy.call import Call, DTMFType
from voxpy.calls.beep import Beep
from voxpy.calls.features import raise_not_supported
from voxpy.calls.mic import Mic
from voxpy.calls.playback import Playback
from voxpy.calls.recording import Recording
from voxpy.calls.watchdogs import watch_call
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
    Ringing,
)
from voxpy.engine.session import Session
from voxpy.events import CallEvent, CallEvents

__all__ = ["CallController", "make_call"]

Headers = Mapping[str, str]

WIDEBAND_HZ = 16000
SIP_TO_Q850 = {200: 16, 404: 1, 408: 102, 480: 20, 486: 17, 487: 31, 603: 21}
"""How a connected call ended, as ``internalCode`` has it: Q.850, RFC 3398 section 8.2."""


TONE_KINDS = {
    DTMFType.ALL: frozenset("123"),
    DTMFType.TELEPHONE_EVENT: frozenset("1"),
    DTMFType.IN_BAND: frozenset("2"),
    DTMFType.SIP_INFO: frozenset("3"),
}
"""Which ``LegTone.kind`` each DTMFType of ``handle_tones`` lets through."""


def make_call(session: Session, leg: Leg) -> Call:
    """Return the Call over ``leg``; from now on the leg's events reach the scenario."""
    controller = CallController(session, leg)
    session.call_began(leg.leg_id)
    session.graph.attach(leg.media)
    session.add_closer(f"call {leg.leg_id}", controller.aclose)
    leg.bind(controller.report)
    session.on_start(f"watching {leg.leg_id}", watch_call, session, controller)
    return controller.call


class CallController:
    """Implements ``voxpy.engine.callport.CallControl`` over a Leg."""

    def __init__(self, session: Session, leg: Leg) -> None:
        self._session = session
        self._leg = leg
        self._recording: Recording | None = None
        self._connected_at: float | None = None
        self._answering = False
        self._tone_kinds = TONE_KINDS[DTMFType.ALL]
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
        self.playback = Playback(session, self.call, leg.channel)
        self.beep = Beep(session, self.call, leg.channel)
        self.mic = Mic(session, self.call, leg.channel)
        self.on_connected: list[Callable[[], None]] = []

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
            self._stop_recording("Replaced by another recording")
            self._recording = Recording.start(self._session, self._leg.media, parameters)
            self._post(CallEvents.RecordStarted(call=self.call, url=self._recording.url))

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
        """Report digits as events."""
        if self._allowed("handle_tones", self.state != "TERMINATED", enable=enable, type=dtmf_type):
            self._tone_kinds = TONE_KINDS[dtmf_type]
            self._leg.handle_tones(enable)

    def send_digits(self, digits: str) -> None:
        """Play digits to the far end."""
        if self._allowed("send_digits", self.state == "CONNECTED", digits=digits):
            self._leg.send_digits(digits)

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
        self._stop_recording("Session ended")
        await self._leg.aclose()

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
        self._post(CallEvents.Ringing(call=self.call, headers=event.headers))

    @_on.register
    def _(self, event: EarlyMedia) -> None:
        self._post(CallEvents.AudioStarted(call=self.call, code=183, headers=event.headers))

    @_on.register
    def _(self, event: FirstAudio) -> None:
        self._post(CallEvents.FirstAudioPacketReceived(call=self.call))

    @_on.register
    def _(self, event: LegConnected) -> None:
        self._connected_at = clock.now()
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
        duration_s = 0.0 if self._connected_at is None else clock.now() - self._connected_at
        self._session.trace.step(
            "call over",
            unit=self.call_id,
            code=self._internal_code(event),
            reason=event.reason,
            duration_s=round(duration_s, 3),
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
        self._stop_recording("Call ended")
        for feature in (self.playback, self.beep, self.mic):
            feature.close()
        self._session.graph.remove(self.media)
        self._session.call_ended(self.call_id)

    @_on.register
    def _(self, event: LegTone) -> None:
        if event.kind not in self._tone_kinds:
            return
        self._post(CallEvents.ToneReceived(call=self.call, tone=event.tone, type=event.kind))

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

    def _move(self, state: str) -> None:
        if state != self.state:
            old, self.state = self.state, state
            self._post(CallEvents.StateChanged(call=self.call, old_state=old, new_state=state))

    def _internal_code(self, event: LegEnded) -> int:
        """Return the SIP status of a call that never was up, else a Q.850 cause: as VoxEngine's."""
        return event.code if self._connected_at is None else SIP_TO_Q850.get(event.code, event.code)

    def _post(self, event: CallEvent) -> None:
        self._session.post(self.call.listeners, event)

    def _stop_recording(self, reason: str) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            duration_s = recording.stop()
            self._post(
                CallEvents.RecordStopped(
                    call=self.call, url=recording.url, duration=duration_s, reason=reason
                )
            )
