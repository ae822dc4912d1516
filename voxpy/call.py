"""``Call``: one leg of a conversation, as scenarios hold it (VoxEngine: Call).

Here are the commands: each checks its arguments, asks the state whether it may, and passes them on
to the leg or to one of the call's parts. What the leg reports becomes events in
``voxpy.calls.state``.

Methods that take a parameter object in VoxEngine take keyword arguments here, under the same names
in snake_case. None of them blocks; results arrive as ``CallEvents``. On a call that has ended,
commands are ignored, as in VoxEngine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from voxpy.calls.arguments import (
    MESSAGE_BYTES,
    DTMFType,
    Headers,
    bounded_text,
    check_headers,
    checked_digits,
    checked_dtmf_type,
    is_positive,
    reject_code,
)
from voxpy.calls.listening import Beep, Mic, Tones
from voxpy.calls.playback import Playback
from voxpy.calls.recording import Recordings
from voxpy.calls.state import CallParts, CallState
from voxpy.calls.statistics import Statistics
from voxpy.calls.transfers import Transfers
from voxpy.calls.watchdogs import wait_silence, watch_call, watch_outgoing_call
from voxpy.engine import clock
from voxpy.engine.ports import Leg
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, MediaSource
from voxpy.errors import NotSupported, ScenarioError
from voxpy.events import CallEvents
from voxpy.recording.files import choose_file_kind
from voxpy.recording.transcript import TranscriptOptions

__all__ = ["Call", "DTMFType", "make_call"]

_NEEDS = {
    "answer_direct": "no channel: voxpy always carries the media itself",
}
"""What a leg would have to be for the methods that refuse today."""


class Call(MediaSource):
    """One leg of a conversation (VoxEngine: Call).

    A call sends media to any number of units and **hears exactly one stream**: a new one replaces
    the old. Scenarios get calls from ``AppEvents.CallAlerting`` and ``VoxEngine.call_*`` and never
    make them. Listen with ``CallEvents``.
    """

    _catalog: ClassVar[Catalog] = {"CallEvents": CallEvents}
    # Invented so often that the spelling alone would suggest the wrong method.
    _hints: ClassVar[Mapping[str, str]] = {
        "callid": "; did you mean 'id'?",
        "call_id": "; did you mean 'id'?",
    }

    def __init__(self, session: Session, leg: Leg, *, allow_180_after_183: bool = False) -> None:
        super().__init__(session, leg.leg_id)
        self.media = leg.media
        """The media side of the call: the far end's voice is its source, its ear the sink."""
        self._leg = leg
        self._custom_data = ""
        self._state = CallState(session, self, leg, allow_180_after_183=allow_180_after_183)
        self._recordings = Recordings(self._state)
        self._playback = Playback(self._state)
        self._beep = Beep(self._state)
        self._mic = Mic(self._state)
        self._tones = Tones(self._state)
        self._transfers = Transfers(self._state)
        self._statistics = Statistics(self._state)
        self._state.parts = CallParts(
            connected=self._playback.answered, over=self._over, tone=self._tones.reported
        )

    def id(self) -> str:
        """Return the id of the call, unique in the session (VoxEngine: Call.id)."""
        return self._leg.leg_id

    def state(self) -> str:
        """Return ALERTING, PROGRESSING, CONNECTED or TERMINATED (VoxEngine: Call.state)."""
        return self._state.state

    def incoming(self) -> bool:
        """Return whether the far end dialled us (VoxEngine: Call.incoming)."""
        return self._leg.incoming

    def callerid(self) -> str:
        """Return who calls: a number or a user name (VoxEngine: Call.callerid)."""
        return self._leg.callerid

    def display_name(self) -> str:
        """Return the caller's name; may be empty (VoxEngine: Call.displayName)."""
        return self._leg.display_name

    def number(self) -> str:
        """Return what was dialled, in both directions (VoxEngine: Call.number)."""
        return self._leg.destination

    def client_type(self) -> str:
        """Return ``pstn``, ``sip``, ``user`` or ``wab`` (WhatsApp) (VoxEngine: Call.clientType)."""
        return self._leg.client_type

    def vad(self) -> bool:
        """Return whether voice activity detection is on (VoxEngine: Call.vad)."""
        return self._mic.enabled

    def custom_data(self, value: str | None = None) -> str:
        """Set the call's own string if ``value`` is given, and return it.

        At most ``limits.custom_data_bytes`` of UTF-8: 2,000, where VoxEngine documents 200 in one
        place and 2,000 in another. Independent of ``VoxEngine.custom_data``. Raises LimitExceeded,
        ScenarioError for what is not a string. VoxEngine: Call.customData.
        """
        if value is not None:
            limit_bytes = self._session.context.settings.limits.custom_data_bytes
            self._custom_data = bounded_text("custom_data", value, limit_bytes)
        return self._custom_data

    def to_string(self) -> str:
        """Return one line about the call; also ``str(call)`` (VoxEngine: Call.toString)."""
        way = "incoming" if self.incoming() else "outgoing"
        ends = f"{self.callerid()} -> {self.number()}"
        return f"Call {self.id()} ({way} {self.client_type()}, {self.state()}): {ends}"

    __str__ = to_string

    def answer(
        self,
        extra_headers: Headers | None = None,
        *,
        display_name: str | None = None,
        scheme: Any = None,
        max_video_bitrate: int | None = None,
        conference_call: bool = False,
        disable_dtx_for_audio: bool = False,
        disable_ext_video_offset: bool = False,
        disable_ext_video_orientation: bool = False,
        disable_ext_playout_delay: bool = False,
        disable_ext_video_timing: bool = False,
    ) -> None:
        """Accept an incoming call; ``CallEvents.Connected`` follows. A second answer is ignored.

        The video arguments change nothing: voxpy carries audio. Raises ScenarioError for a header
        that cannot be set. VoxEngine: Call.answer.
        """
        headers = check_headers(extra_headers)
        may = self._state.early and not self._state.answering
        if self._state.takes("answer", when=may, headers=headers):
            self._state.answering = True
            self._leg.answer(headers)

    def answer_direct(
        self,
        peer_call: Call,
        extra_headers: Headers | None = None,
        *,
        display_name: str | None = None,
        scheme: Any = None,
    ) -> None:
        """Connect two legs without voxpy between their media. VoxEngine: Call.answerDirect.

        Raises NotSupported: the media of every call passes through voxpy.
        """
        self._refuse("answer_direct")

    def reject(self, code: int, extra_headers: Headers | None = None) -> None:
        """Refuse an incoming call with a SIP status; ``CallEvents.Disconnected`` follows at once.

        ``code`` is 300 to 699: 486 busy, 603 declined, 404 not found. Raises ScenarioError for
        another code or a header that cannot be set. VoxEngine: Call.reject.
        """
        code, headers = reject_code(code), check_headers(extra_headers)
        may = self._state.early and not self._state.answering
        if self._state.takes("reject", when=may, code=code):
            self._leg.reject(code, headers)

    def decline(self, code: int, extra_headers: Headers | None = None) -> None:
        """Do what ``reject`` does; VoxEngine keeps it as a deprecated alias.

        Raises as ``reject``. VoxEngine: Call.decline.
        """
        self.reject(code, extra_headers)

    def hangup(self, extra_headers: Headers | None = None) -> None:
        """End the call.

        ``CallEvents.Disconnected`` follows, or ``Failed`` for an outgoing call that was not
        connected. Raises ScenarioError for a header that cannot be set. VoxEngine: Call.hangup.
        """
        headers = check_headers(extra_headers)
        if self._state.takes("hangup"):
            self._leg.hangup(headers)

    def ring(self, extra_headers: Headers | None = None) -> None:
        """Tell the caller that it rings (SIP 180); the caller's network makes the tone.

        Raises ScenarioError for a header that cannot be set. VoxEngine: Call.ring.
        """
        headers = check_headers(extra_headers)
        if self._state.takes("ring", when=self._state.early):
            self._leg.ring(headers)
            self._state.move("PROGRESSING")

    def start_early_media(
        self,
        extra_headers: Headers | None = None,
        scheme: Any = None,
        *,
        max_video_bitrate: int | None = None,
        audio_level_extension: bool = False,
        conference_call: bool = False,
        disable_dtx_for_audio: bool = False,
    ) -> None:
        """Let audio flow to the caller before the answer (SIP 183), for at most 60 s.

        One way: the scenario does not hear the caller. Raises ScenarioError for a header that
        cannot be set. VoxEngine: Call.startEarlyMedia.
        """
        headers = check_headers(extra_headers)
        if self._state.takes("start_early_media", when=self._state.early):
            self._state.early_media_since = clock.now()
            self._leg.start_early_media(headers)
            self._state.move("PROGRESSING")

    def play_progress_tone(self, country: str) -> None:
        """Play a country's ringing tone to the caller until the call is answered.

        ``country`` is US, RU, EU, DE, FR, GB or another of ``voxpy.audio.progress.RINGING``. The
        caller hears it after ``start_early_media()``. No events. Raises ScenarioError for a country
        that is not known. VoxEngine: Call.playProgressTone, which knows US and RU.
        """
        self._playback.progress_tone(country)

    def start_playback(
        self, url: str, loop: bool = False, *, progressive_playback: bool = False
    ) -> None:
        """Play a sound file to the far end: mp3, ogg, flac or wav, at most 10 MB.

        It replaces what the call hears, and what it plays by itself. ``url`` and
        ``progressive_playback`` are those of ``VoxEngine.create_url_player``. Before the far end
        can hear it, it is only loaded. ``CallEvents.PlaybackReady``, ``PlaybackStarted`` and
        ``PlaybackFinished`` follow; afterwards the call hears nothing until something is sent to it
        again. Raises ScenarioError for what is no URL. VoxEngine: Call.startPlayback.
        """
        self._playback.start(url, loop=loop, progressive_playback=progressive_playback)

    def stop_playback(self) -> None:
        """Stop what ``start_playback`` or ``say`` plays, within the running 20 ms frame.

        ``PlaybackFinished`` does not follow. VoxEngine: Call.stopPlayback.
        """
        self._playback.stop()

    def say(
        self,
        text: str,
        voice: str | None = None,
        *,
        language: str | None = None,
        progressive_playback: bool = False,
        tts_options: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
    ) -> None:
        """Speak a text of at most 1,500 characters to the far end; events as ``start_playback``.

        ``voice``, ``language`` and the rest are those of ``VoxEngine.create_tts_player``. A text
        that is longer, or a host without a voice, leads to a ``PlaybackFinished`` with the error.
        Raises ScenarioError for a wrong argument. VoxEngine: Call.say.
        """
        self._playback.say(
            text,
            voice=voice or language,
            progressive_playback=progressive_playback,
            tts_options=tts_options,
            request=request,
        )

    def record(
        self,
        *,
        stereo: bool = False,
        hd_audio: bool = False,
        transcribe: bool = False,
        lossless: bool = False,
        secure: bool = False,
        language: str | None = None,
        expire: str = "",
        video: bool = False,
        video_parameters: Mapping[str, Any] | None = None,
        record_name_prefix: str = "",
        dict: Sequence[str] = (),
        labels: Sequence[str] = (),
        provider: str | None = None,
        format: str | None = None,
    ) -> None:
        """Record both directions; ``CallEvents.RecordStarted`` follows, with the ``url``.

        ``stereo``: left is what the far end says, right what it hears; otherwise both are mixed.
        ``hd_audio``: 48 kHz, not 8. ``format``: ``wav`` (the default), ``mp3`` or ``flac``;
        VoxEngine's ``json`` is accepted. ``lossless``: FLAC at 48 kHz. ``transcribe``: write the
        words into a JSON file beside the recording when it is complete; ``language`` must be one
        the host's recogniser has, ``labels`` are copied. ``record_name_prefix`` begins the file's
        name. The rest concerns VoxEngine's storage or video and changes nothing. A recording under
        way is finished first. Raises ScenarioError for an unknown format, and for ``lossless`` with
        ``hd_audio`` or another format than FLAC. VoxEngine: Call.record.
        """
        if self._state.takes("record", stereo=stereo):
            self._recordings.start(
                choose_file_kind(format=format, hd_audio=hd_audio, lossless=lossless),
                stereo=stereo,
                prefix=record_name_prefix,
                transcript=(
                    TranscriptOptions(language=language, labels=labels) if transcribe else None
                ),
            )
            if video:
                self._session.trace.warning(
                    "call.record cannot record video; recording the sound", unit=self.id()
                )

    def handle_tones(self, enable: bool, dtmf_type: str = DTMFType.ALL) -> None:
        """Report digits as ``CallEvents.ToneReceived`` and take them out of the audio, or stop.

        A digit is reported once however it comes: beside the audio (RFC 4733, SIP INFO) or as sound
        in it, which with ``ALL`` and ``IN_BAND`` is listened to. What hears the call (agents,
        recognisers, recordings, conferences) gets silence in place of the sound, from at most 20 ms
        after its beginning. Without this no digit is reported.
        Raises ScenarioError for what is no ``DTMFType``.
        VoxEngine: Call.handleTones.
        """
        kind = checked_dtmf_type(dtmf_type)
        if self._state.takes("handle_tones", enable=enable, type=kind):
            self._leg.handle_tones(self._tones.handle(enable, kind))

    def send_digits(self, digits: str) -> None:
        """Send ``digits``, made of ``0-9``, ``*``, ``#`` and ``p`` (a pause), to the far end.

        Each sounds for 100 ms and is silent for 100 ms, during which nothing else is sent; ``p``
        waits 500 ms. Calls add up: digits are sent one after another. Raises ScenarioError for any
        other character, or none, LimitExceeded for more than two minutes of them.
        VoxEngine: Call.sendDigits.
        """
        digits = checked_digits(digits)
        if self._state.takes("send_digits", when=self._connected, digits=digits):
            self._leg.send_digits(digits)

    def send_message(self, text: str) -> None:
        """Send a text message inside the call, at most 8,192 bytes of UTF-8.

        Raises LimitExceeded, ScenarioError for what is not a string. VoxEngine: Call.sendMessage.
        """
        text = bounded_text("send_message: text", text, MESSAGE_BYTES)
        if self._state.takes("send_message", when=self._connected, text=text):
            self._leg.send_message(text)

    def send_info(self, mime_type: str, body: str, headers: Headers | None = None) -> None:
        """Send a SIP INFO; ``body`` is at most 8,192 bytes of UTF-8.

        Raises LimitExceeded, ScenarioError for a header that cannot be set. VoxEngine:
        Call.sendInfo.
        """
        body = bounded_text("send_info: body", body, MESSAGE_BYTES)
        checked = check_headers(headers)
        if self._state.takes("send_info", when=self._connected, mime_type=mime_type, body=body):
            self._leg.send_info(mime_type, body, checked)

    def handle_mic_status(self, enable: bool) -> None:
        """Report as ``CallEvents.MicStatusChange`` when the far end begins and stops to speak.

        Off at first. A speech gate decides, not loudness. VoxEngine: Call.handleMicStatus.
        """
        self._mic.handle(enable)

    async def wait_silence(self, seconds: float, *, both: bool = False) -> bool:
        """Wait until the far end has been quiet for ``seconds``; return False if the call ends.

        ``both``: until nobody has been audible in either direction. Counted from now on; loudness
        decides (-50 dBFS), so that noise and music are no silence. Raises ScenarioError unless
        ``seconds`` is above 0. voxpy's own.
        """
        if not is_positive(seconds):
            raise ScenarioError(f"wait_silence takes seconds above 0, not {seconds!r}")
        return await wait_silence(self._session, self, seconds, both=both)

    def handle_blind_transfer(self, enable: bool) -> None:
        """Report as ``CallEvents.BlindTransferRequested`` whom the far end wants to be put through.

        The scenario then calls ``event.transfer_to``, joins that call with the one that is to go
        on, and says ``notify_blind_transfer_success`` or ``..._failed``; meanwhile the far end may
        hang up. Off, as at first, such requests are declined, but ``VoxEngine.easy_process`` does
        all of this by itself. Raises NotSupported on media streams.
        VoxEngine: Call.handleBlindTransfer.
        """
        self._transfers.handle(enable)

    def notify_blind_transfer_success(self) -> None:
        """Tell the far end that the transfer it asked for has worked; most phones then hang up.

        VoxEngine: Call.notifyBlindTransferSuccess.
        """
        self._transfers.succeeded()

    def notify_blind_transfer_failed(self, code: int, reason: str) -> None:
        """Tell the far end that the transfer it asked for has failed, with a SIP status.

        Raises ScenarioError for a code outside 300 to 699. VoxEngine:
        Call.notifyBlindTransferFailed.
        """
        self._transfers.failed(code, reason)

    def transfer_to(
        self, to: str, *, call: Call | None = None, headers: Headers | None = None
    ) -> None:
        """Ask the far end to call ``to`` itself: a number, a user or a SIP URI (SIP REFER).

        With ``call``, an attended transfer: the far end takes our place in that call, which must be
        connected; ``to`` may then be empty. ``CallEvents.TransferComplete`` follows, and both calls
        end, or ``TransferFailed``, and the call goes on. At most 10 per call. Raises LimitExceeded,
        ScenarioError for what cannot be meant, NotSupported on media streams. VoxEngine:
        Call.transferTo.
        """
        self._transfers.ask(to, call, headers)

    def enable_beep_detection(
        self, *, frequencies: Sequence[float] | None = None, timeout: float | None = None
    ) -> None:
        """Listen for an answering machine's beep; ``CallEvents.BeepDetectionComplete`` follows.

        A beep is a pure tone of 100 ms to 4 s, reported when it is over. ``frequencies``: which to
        listen for, in Hz, 2.5 % either way; any from 550 to 2000 Hz if not given. ``timeout``: in
        ms, after which ``Complete`` comes with ``timeout=True``; for ever if not given. Raises
        ScenarioError for frequencies outside 200 to 3500 Hz and a timeout not above 0. VoxEngine:
        Call.enableBeepDetection.
        """
        self._beep.enable(frequencies=frequencies, timeout=timeout)

    def disable_beep_detection(self) -> None:
        """Stop listening for a beep; ``Complete`` comes with ``timeout=False`` if it was on.

        VoxEngine: Call.disableBeepDetection.
        """
        self._beep.disable()

    def monitor_media_statistics(self, *, monitor: bool, interval: float) -> None:
        """Report ``CallEvents.MediaStatisticsReceived`` every ``interval`` seconds (3 to 10).

        Again begins anew; with ``monitor`` False it stops. Raises ScenarioError for another
        interval, NotSupported on media streams, whose providers do not tell.
        VoxEngine: Call.monitorMediaStatistics.
        """
        self._statistics.monitor(monitor, interval)

    # -- the inside ------------------------------------------------------------------------------

    @property
    def _connected(self) -> bool:
        return self._state.state == "CONNECTED"

    def _refuse(self, what: str) -> NoReturn:
        raise NotSupported(
            f"call.{what}() is not supported on the {self._leg.channel} channel; "
            f"it needs {_NEEDS[what]}"
        )

    def _over(self) -> None:
        self._recordings.stop("Call ended")
        for part in (self._playback, self._tones, self._beep, self._mic, self._statistics):
            part.close()
        self._session.graph.remove(self.media)
        self._session.call_ended(self.id())

    async def _aclose(self) -> None:
        """Finish the recording and let the leg say BYE."""
        self._recordings.stop("Session ended")
        await self._leg.aclose()
        await self._recordings.saved()


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
    call = Call(session, leg, allow_180_after_183=allow_180_after_183)
    state = call._state
    session.graph.attach(leg.media)
    session.trace.step(
        "call began",
        unit=leg.leg_id,
        incoming=leg.incoming,
        client_type=leg.client_type,
        callerid=leg.callerid,
        destination=leg.destination,
    )
    session.call_began(leg.leg_id)
    session.add_closer(f"call {leg.leg_id}", call._aclose)
    leg.bind(state.report)
    name = f"watching {leg.leg_id}"
    if leg.incoming:
        session.on_start(name, watch_call, state)
    else:
        session.on_start(name, watch_outgoing_call, state, ring_timeout_s)
    return call
