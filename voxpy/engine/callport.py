"""What ``Call``, the face, asks of whatever drives a leg, and the parameters between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

import attrs

from voxpy.media.unit import MediaPort

__all__ = [
    "AnswerParameters",
    "BeepDetection",
    "CallControl",
    "CallPlayback",
    "EarlyMediaParameters",
    "MediaUnit",
    "MicStatus",
    "RecordParameters",
]

Headers = Mapping[str, str]


@attrs.frozen(kw_only=True)
class AnswerParameters:
    """How to answer a call (VoxEngine: CallAnswerParameters).

    voxpy carries audio only: the four ``disable_ext_*`` fields and ``max_video_bitrate`` (kbps) are
    kept for the trace and change nothing. ``scheme`` is opaque and is passed on, never read.
    """

    display_name: str | None = None
    scheme: Any = None
    max_video_bitrate: int | None = None
    conference_call: bool = False
    disable_dtx_for_audio: bool = False
    disable_ext_video_offset: bool = False
    disable_ext_video_orientation: bool = False
    disable_ext_playout_delay: bool = False
    disable_ext_video_timing: bool = False


@attrs.frozen(kw_only=True)
class EarlyMediaParameters:
    """How to start early media (VoxEngine: Call.startEarlyMedia); ``max_video_bitrate`` in kbps."""

    scheme: Any = None
    max_video_bitrate: int | None = None
    audio_level_extension: bool = False
    conference_call: bool = False
    disable_dtx_for_audio: bool = False


@attrs.frozen(kw_only=True)
class RecordParameters:
    """What to record and what to do with it (VoxEngine: CallRecordParameters).

    ``format`` is ``wav``, ``mp3``, ``flac`` or VoxEngine's ``json``, which is the transcript's.
    ``labels`` and ``dict`` concern the transcription; ``expire`` is a ``RecordExpireTime`` string.
    """

    stereo: bool = False
    hd_audio: bool = False
    transcribe: bool = False
    lossless: bool = False
    secure: bool = False
    language: str | None = None
    expire: str = ""
    video: bool = False
    video_parameters: Mapping[str, Any] | None = None
    record_name_prefix: str = ""
    dict: Sequence[str] = ()
    labels: Sequence[str] = ()
    provider: str | None = None
    format: str | None = None


class MediaUnit(Protocol):
    """Whatever sends or takes media: a call, a client, a player (VoxEngine: VoxMediaUnit)."""

    def id(self) -> str:
        """Return the id of the unit, unique in the session."""

    @property
    def media(self) -> MediaPort:
        """The media side of the unit."""


class CallPlayback(Protocol):
    """What a call plays by itself: the call's own players."""

    def start(self, url: str, *, loop: bool, progressive_playback: bool) -> None:
        """Play a sound file to the far end; replaces what plays."""

    def stop(self) -> None:
        """Stop what plays."""

    def say(
        self,
        text: str,
        *,
        voice: str | None,
        progressive_playback: bool,
        tts_options: Mapping[str, Any] | None,
        request: Mapping[str, Any] | None,
    ) -> None:
        """Speak ``text`` to the far end; replaces what plays."""

    def progress_tone(self, country: str) -> None:
        """Play a country's ring-back tone until the call is answered or something else plays."""


class BeepDetection(Protocol):
    """Listens for the beep of an answering machine."""

    def enable(self, *, frequencies: Sequence[float] | None, timeout: float | None) -> None:
        """Start listening; ``frequencies`` in Hz, ``timeout`` in milliseconds."""

    def disable(self) -> None:
        """Stop listening."""


class MicStatus(Protocol):
    """Reports whether the far end speaks."""

    def handle(self, enable: bool) -> None:
        """Start or stop reporting."""


class CallControl(Protocol):
    """What a Call delegates to: it keeps the state, drives the leg and posts ``CallEvents``.

    Arguments arrive checked; the face assigns ``custom_data`` and nothing else. The control ignores
    commands in a state that does not allow them.
    """

    call_id: str
    incoming: bool
    callerid: str
    display_name: str
    number: str
    client_type: str
    custom_data: str
    media: MediaPort

    @property
    def playback(self) -> CallPlayback:
        """What the call plays by itself."""

    @property
    def beep(self) -> BeepDetection:
        """Its beep detector."""

    @property
    def mic(self) -> MicStatus:
        """Its voice activity."""

    @property
    def state(self) -> str:
        """``ALERTING``, ``PROGRESSING``, ``CONNECTED`` or ``TERMINATED``."""

    @property
    def vad(self) -> bool:
        """Whether voice activity detection is on."""

    def answer(self, headers: Headers, parameters: AnswerParameters) -> None:
        """Accept an incoming call."""

    def reject(self, code: int, headers: Headers) -> None:
        """Refuse an incoming call with a SIP status 300-699."""

    def hangup(self, headers: Headers) -> None:
        """End the call."""

    def ring(self, headers: Headers) -> None:
        """Tell the caller that it rings."""

    def start_early_media(self, headers: Headers, parameters: EarlyMediaParameters) -> None:
        """Let audio flow to the caller before the answer."""

    def record(self, parameters: RecordParameters) -> None:
        """Start recording both directions."""

    def send_media_to(
        self,
        unit: MediaUnit,
        *,
        encoding: str | None,
        tag: str | None,
        custom_parameters: Mapping[str, str] | None,
    ) -> None:
        """Send what the far end says to ``unit``."""

    def stop_media_to(self, unit: MediaUnit) -> None:
        """Undo ``send_media_to``."""

    def handle_tones(self, enable: bool, dtmf_type: str) -> None:
        """Report digits of ``dtmf_type`` and keep them out of the audio."""

    async def wait_silence(self, seconds: float, *, both: bool) -> bool:
        """Return True after so much silence of the far end (or of both), False at the end."""

    def send_digits(self, digits: str) -> None:
        """Play ``0-9*#p`` to the far end."""

    def send_message(self, text: str) -> None:
        """Send a text message inside the call."""

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Send a SIP INFO or its equivalent."""

    def not_supported(self, what: str) -> NoReturn:
        """Raise NotSupported naming ``what``, this channel, and what would support it."""
