"""``Call``: one leg of a conversation, as scenarios hold it (VoxEngine: Call).

A call here is only a face. Every method checks what can be checked without knowing the channel,
then asks a ``CallControl``, which keeps the state and posts the events. So this module knows no
events: ``voxpy.events`` imports it, never the other way round.

Methods that take a parameter object in VoxEngine take keyword arguments here, under the same names
in snake_case. None of them blocks; results arrive as ``CallEvents``. On a call that has ended,
commands are ignored, as in VoxEngine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voxpy.engine.callport import (
    AnswerParameters,
    CallControl,
    EarlyMediaParameters,
    MediaUnit,
    RecordParameters,
)
from voxpy.engine.emitter import Emitter
from voxpy.engine.events import Namespace
from voxpy.engine.session import Session
from voxpy.errors import LimitExceeded, ScenarioError, UnknownName, nearest
from voxpy.media.unit import MediaPort

__all__ = [
    "MESSAGE_BYTES",
    "Call",
    "DTMFType",
    "check_headers",
]

Headers = Mapping[str, str]

# VoxEngine: limits of sendMessage and sendInfo.
MESSAGE_BYTES = 8192

_HEADER_NAME = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")  # a SIP token: RFC 3261 section 25.1
_BEYOND_X = frozenset({"vi-calltimeout"})  # the one platform header that scenarios may set
# Names that scenarios invent so often that the spelling alone would suggest the wrong method.
_OFTEN_MEANT = {"callid": "id", "call_id": "id"}


class DTMFType(metaclass=Namespace):
    """Which digits ``handle_tones`` reports (VoxEngine: DTMFType)."""

    ALL = "ALL"
    IN_BAND = "IN_BAND"
    SIP_INFO = "SIP_INFO"
    TELEPHONE_EVENT = "TELEPHONE_EVENT"


def _bounded_text(what: str, value: Any, limit_bytes: int) -> str:
    if not isinstance(value, str):
        raise ScenarioError(f"{what} must be a string, not {type(value).__name__} ({value!r})")
    size_bytes = len(value.encode("utf-8", "surrogatepass"))
    if size_bytes > limit_bytes:
        start = value if len(value) <= 40 else value[:40] + "..."
        raise LimitExceeded(f"{what} {start!r} is {size_bytes} bytes; at most {limit_bytes} fit")
    return value


def _reject_code(code: Any) -> int:
    if isinstance(code, int) and not isinstance(code, bool) and 300 <= code <= 699:
        return code
    raise ScenarioError(f"reject needs a SIP status from 300 to 699, not {code!r}")


def _digits(digits: Any) -> str:
    if isinstance(digits, str) and digits and set(digits) <= set("0123456789*#p"):
        return digits
    raise ScenarioError(f"send_digits takes 0-9, *, # and p (a pause), not {digits!r}")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _dtmf_type(dtmf_type: Any) -> str:
    known = DTMFType.members().values()
    if dtmf_type in known:
        return str(dtmf_type)
    raise ScenarioError(
        f"{dtmf_type!r} is not a DTMFType ({', '.join(known)}){nearest(str(dtmf_type), known)}"
    )


def check_headers(headers: Headers | None) -> Headers:
    """Return ``headers`` as a new dict, empty for None.

    Names start with ``X-`` (in any case) or are ``VI-CallTimeout``; values are strings on one line,
    because a line break would smuggle in a header of its own. Raises ScenarioError otherwise.
    """
    given: dict[Any, Any] = dict(headers or {})  # scenarios are not always type checked
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ScenarioError(f"header {name!r}: {value!r}: names and values must be strings")
        folded = name.lower()
        custom = folded.startswith("x-") and _HEADER_NAME.fullmatch(name) is not None
        if not custom and folded not in _BEYOND_X:
            raise ScenarioError(
                f"header {name!r} cannot be set: custom headers start with 'X-' "
                "(or are 'VI-CallTimeout')"
            )
        if not value.isprintable():
            raise ScenarioError(f"header {name!r}: {value!r} has a line break or control character")
    return given


class Call(Emitter):
    """One leg of a conversation (VoxEngine: Call).

    A call sends media to any number of units and **hears exactly one stream**: a new one replaces
    the old. Scenarios get calls from ``AppEvents.CallAlerting`` and ``VoxEngine.call_*`` and never
    make them. Listen with ``CallEvents``.
    """

    def __init__(self, session: Session, control: CallControl) -> None:
        super().__init__(session, catalog="CallEvents")
        self._session: Session = session
        self._control = control

    def id(self) -> str:
        """Return the id of the call, unique in the session (VoxEngine: Call.id)."""
        return self._control.call_id

    def state(self) -> str:
        """Return ALERTING, PROGRESSING, CONNECTED or TERMINATED (VoxEngine: Call.state)."""
        return self._control.state

    def incoming(self) -> bool:
        """Return whether the far end dialled us (VoxEngine: Call.incoming)."""
        return self._control.incoming

    def callerid(self) -> str:
        """Return who calls: a number or a user name (VoxEngine: Call.callerid)."""
        return self._control.callerid

    def display_name(self) -> str:
        """Return the caller's name; may be empty (VoxEngine: Call.displayName)."""
        return self._control.display_name

    def number(self) -> str:
        """Return what was dialled, in both directions (VoxEngine: Call.number)."""
        return self._control.number

    def client_type(self) -> str:
        """Return ``pstn``, ``sip``, ``user`` or ``wab`` (WhatsApp) (VoxEngine: Call.clientType)."""
        return self._control.client_type

    def vad(self) -> bool:
        """Return whether voice activity detection is on (VoxEngine: Call.vad)."""
        return self._control.vad

    def custom_data(self, value: str | None = None) -> str:
        """Set the call's own string if ``value`` is given, and return it.

        At most ``limits.custom_data_bytes`` of UTF-8: 2,000, where VoxEngine documents 200 in one
        place and 2,000 in another. Independent of ``VoxEngine.custom_data``. Raises LimitExceeded,
        ScenarioError for what is not a string. VoxEngine: Call.customData.
        """
        if value is not None:
            limit_bytes = self._session.context.settings.limits.custom_data_bytes
            self._control.custom_data = _bounded_text("custom_data", value, limit_bytes)
        return self._control.custom_data

    def to_string(self) -> str:
        """Return one line about the call; also ``str(call)`` (VoxEngine: Call.toString)."""
        way = "incoming" if self.incoming() else "outgoing"
        ends = f"{self.callerid()} -> {self.number()}"
        return f"Call {self.id()} ({way} {self.client_type()}, {self.state()}): {ends}"

    __str__ = to_string

    @property
    def media(self) -> MediaPort:
        """The media side of the call: the far end's voice is its source, its ear the sink."""
        return self._control.media

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
        parameters = AnswerParameters(
            display_name=display_name,
            scheme=scheme,
            max_video_bitrate=max_video_bitrate,
            conference_call=conference_call,
            disable_dtx_for_audio=disable_dtx_for_audio,
            disable_ext_video_offset=disable_ext_video_offset,
            disable_ext_video_orientation=disable_ext_video_orientation,
            disable_ext_playout_delay=disable_ext_playout_delay,
            disable_ext_video_timing=disable_ext_video_timing,
        )
        self._control.answer(check_headers(extra_headers), parameters)

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
        self._control.not_supported("answer_direct")

    def reject(self, code: int, extra_headers: Headers | None = None) -> None:
        """Refuse an incoming call with a SIP status; ``CallEvents.Disconnected`` follows at once.

        ``code`` is 300 to 699: 486 busy, 603 declined, 404 not found. Raises ScenarioError for
        another code or a header that cannot be set. VoxEngine: Call.reject.
        """
        self._control.reject(_reject_code(code), check_headers(extra_headers))

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
        self._control.hangup(check_headers(extra_headers))

    def ring(self, extra_headers: Headers | None = None) -> None:
        """Tell the caller that it rings (SIP 180); the caller's network makes the tone.

        Raises ScenarioError for a header that cannot be set. VoxEngine: Call.ring.
        """
        self._control.ring(check_headers(extra_headers))

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
        parameters = EarlyMediaParameters(
            scheme=scheme,
            max_video_bitrate=max_video_bitrate,
            audio_level_extension=audio_level_extension,
            conference_call=conference_call,
            disable_dtx_for_audio=disable_dtx_for_audio,
        )
        self._control.start_early_media(check_headers(extra_headers), parameters)

    def play_progress_tone(self, country: str) -> None:
        """Play a country's ringing tone to the caller until the call is answered.

        ``country`` is US, RU, EU, DE, FR, GB or another of ``voxpy.audio.progress.RINGING``. The
        caller hears it after ``start_early_media()``. No events. Raises ScenarioError for a country
        that is not known. VoxEngine: Call.playProgressTone, which knows US and RU.
        """
        self._control.playback.progress_tone(country)

    def start_playback(
        self, url: str, *, loop: bool = False, progressive_playback: bool = False
    ) -> None:
        """Play a sound file to the far end: mp3, ogg, flac or wav, at most 10 MB.

        It replaces what the call hears, and what it plays by itself. ``url`` and
        ``progressive_playback`` are those of ``VoxEngine.create_url_player``. Before the far end
        can hear it, it is only loaded. ``CallEvents.PlaybackReady``, ``PlaybackStarted`` and
        ``PlaybackFinished`` follow; afterwards the call hears nothing until something is sent to it
        again. Raises ScenarioError for what is no URL. VoxEngine: Call.startPlayback.
        """
        self._control.playback.start(url, loop=loop, progressive_playback=progressive_playback)

    def stop_playback(self) -> None:
        """Stop what ``start_playback`` or ``say`` plays, within the running 20 ms frame.

        ``PlaybackFinished`` does not follow. VoxEngine: Call.stopPlayback.
        """
        self._control.playback.stop()

    def say(
        self,
        text: str,
        *,
        voice: str | None = None,
        progressive_playback: bool = False,
        tts_options: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
    ) -> None:
        """Speak a text of at most 1,500 characters to the far end; events as ``start_playback``.

        ``voice`` and the rest are those of ``VoxEngine.create_tts_player``. A text that is longer,
        or a host without a voice, leads to a ``PlaybackFinished`` with the error. Raises
        ScenarioError for a wrong argument. VoxEngine: Call.say.
        """
        self._control.playback.say(
            text,
            voice=voice,
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
        parameters = RecordParameters(
            stereo=stereo,
            hd_audio=hd_audio,
            transcribe=transcribe,
            lossless=lossless,
            secure=secure,
            language=language,
            expire=expire,
            video=video,
            video_parameters=video_parameters,
            record_name_prefix=record_name_prefix,
            dict=dict,
            labels=labels,
            provider=provider,
            format=format,
        )
        self._control.record(parameters)

    def send_media_to(
        self,
        unit: MediaUnit,
        *,
        encoding: str | None = None,
        tag: str | None = None,
        custom_parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Send what the far end says to ``unit``; replaces what the unit heard before.

        The keyword arguments concern WebSocket targets only. Raises ScenarioError if ``unit`` takes
        no media. VoxEngine: Call.sendMediaTo.
        """
        self._control.send_media_to(
            unit, encoding=encoding, tag=tag, custom_parameters=custom_parameters
        )

    def stop_media_to(self, unit: MediaUnit) -> None:
        """Stop sending to ``unit``; nothing happens if the call was not sending to it.

        Raises ScenarioError if ``unit`` takes no media. VoxEngine: Call.stopMediaTo.
        """
        self._control.stop_media_to(unit)

    def handle_tones(self, enable: bool, dtmf_type: str = DTMFType.ALL) -> None:
        """Report digits as ``CallEvents.ToneReceived`` and take them out of the audio, or stop.

        A digit is reported once however it comes: beside the audio (RFC 4733, SIP INFO) or as sound
        in it, which with ``ALL`` and ``IN_BAND`` is listened to. What hears the call (agents,
        recognisers, recordings, conferences) gets silence in place of the sound, from at most 20 ms
        after its beginning. Without this no digit is reported.
        Raises ScenarioError for what is no ``DTMFType``.
        VoxEngine: Call.handleTones.
        """
        self._control.handle_tones(enable, _dtmf_type(dtmf_type))

    def send_digits(self, digits: str) -> None:
        """Send ``digits``, made of ``0-9``, ``*``, ``#`` and ``p`` (a pause), to the far end.

        Each sounds for 100 ms and is silent for 100 ms, during which nothing else is sent; ``p``
        waits 500 ms. Calls add up: digits are sent one after another. Raises ScenarioError for any
        other character, or none, LimitExceeded for more than two minutes of them.
        VoxEngine: Call.sendDigits.
        """
        self._control.send_digits(_digits(digits))

    def send_message(self, text: str) -> None:
        """Send a text message inside the call, at most 8,192 bytes of UTF-8.

        Raises LimitExceeded, ScenarioError for what is not a string. VoxEngine: Call.sendMessage.
        """
        self._control.send_message(_bounded_text("send_message: text", text, MESSAGE_BYTES))

    def send_info(self, mime_type: str, body: str, *, headers: Headers | None = None) -> None:
        """Send a SIP INFO; ``body`` is at most 8,192 bytes of UTF-8.

        Raises LimitExceeded, ScenarioError for a header that cannot be set. VoxEngine:
        Call.sendInfo.
        """
        body = _bounded_text("send_info: body", body, MESSAGE_BYTES)
        self._control.send_info(mime_type, body, check_headers(headers))

    def handle_mic_status(self, enable: bool) -> None:
        """Report as ``CallEvents.MicStatusChange`` when the far end begins and stops to speak.

        Off at first. A speech gate decides, not loudness. VoxEngine: Call.handleMicStatus.
        """
        self._control.mic.handle(enable)

    async def wait_silence(self, seconds: float, *, both: bool = False) -> bool:
        """Wait until the far end has been quiet for ``seconds``; return False if the call ends.

        ``both``: until nobody has been audible in either direction. Counted from now on; loudness
        decides (-50 dBFS), so that noise and music are no silence. Raises ScenarioError unless
        ``seconds`` is above 0. voxpy's own.
        """
        if not _is_positive(seconds):
            raise ScenarioError(f"wait_silence takes seconds above 0, not {seconds!r}")
        return await self._control.wait_silence(seconds, both=both)

    def handle_blind_transfer(self, enable: bool) -> None:
        """Take REFERs as events. Raises NotSupported. VoxEngine: Call.handleBlindTransfer."""
        self._control.not_supported("handle_blind_transfer")

    def notify_blind_transfer_success(self) -> None:
        """Answer a REFER. Raises NotSupported. VoxEngine: Call.notifyBlindTransferSuccess."""
        self._control.not_supported("notify_blind_transfer_success")

    def notify_blind_transfer_failed(self, code: int, reason: str) -> None:
        """Refuse a REFER. Raises NotSupported. VoxEngine: Call.notifyBlindTransferFailed."""
        self._control.not_supported("notify_blind_transfer_failed")

    def transfer_to(
        self, to: str, *, call: Call | None = None, headers: Headers | None = None
    ) -> None:
        """Send a REFER to ``to``; ``call`` makes it an attended transfer. At most 10 per call.

        Raises NotSupported. VoxEngine: Call.transferTo.
        """
        self._control.not_supported("transfer_to")

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
        self._control.beep.enable(frequencies=frequencies, timeout=timeout)

    def disable_beep_detection(self) -> None:
        """Stop listening for a beep; ``Complete`` comes with ``timeout=False`` if it was on.

        VoxEngine: Call.disableBeepDetection.
        """
        self._control.beep.disable()

    def monitor_media_statistics(self, *, monitor: bool, interval: float) -> None:
        """Report ``CallEvents.MediaStatisticsReceived`` every ``interval`` seconds (3 to 10).

        Raises NotSupported. VoxEngine: Call.monitorMediaStatistics.
        """
        self._control.not_supported("monitor_media_statistics")

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            meant = _OFTEN_MEANT.get(name.lower())
            hint = f"; did you mean {meant!r}?" if meant else nearest(name, known)
            raise UnknownName(f"Call has no {name!r}{hint}")
