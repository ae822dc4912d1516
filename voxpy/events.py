"""``AppEvents``, ``CallEvents``, ``WatchdogEvents``: what sessions and calls tell a scenario.

Every member is the payload class itself, so it serves three times: as what you subscribe to, as the
annotation of your handler, and as what you get::

    def hung_up(event: CallEvents.Disconnected) -> None:
        Logger.write(f"after {event.duration} s")

    call.add_event_listener(CallEvents.Disconnected, hung_up)

``name`` is VoxEngine's wire string. Fields are VoxEngine's in snake_case; what it may leave out has
a default here. Units are its own too: playback in milliseconds, calls and recordings in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import attrs

from voxpy.engine import events as session_events
from voxpy.engine.events import Event, Namespace, event_class
from voxpy.engine.units import Unit
from voxpy.errors import HelpsWithNames

if TYPE_CHECKING:
    from voxpy.call import Call
    from voxpy.websocket import WebSocket as WebSocketUnit

__all__ = [
    "AppEvents",
    "CallEvent",
    "CallEvents",
    "CallMediaStatistics",
    "MediaSample",
    "WatchdogEvents",
]


@event_class
class CallEvent(Event):
    """Base of every event about one call."""

    call: Call

    @property
    def id(self) -> str:
        """The id of the call."""
        return self.call.id()


@event_class
class _CallEventWithHeaders(CallEvent):
    """Adds the headers that came with it: ``X-*`` and the platform's own ``VI-*``."""

    headers: Mapping[str, str] = attrs.field(factory=dict)


@event_class
class _ReInvite(_CallEventWithHeaders):
    mime_type: str = ""
    body: str = ""


@event_class
class _HttpEvent(Event):
    """An HTTP request to the session. ``headers`` are ``{"key": ..., "value": ...}``, X-* only."""

    method: str
    path: str
    content: str = ""
    headers: Sequence[Mapping[str, str]] = ()


@attrs.frozen(kw_only=True)
class MediaSample(HelpsWithNames):
    """One stream in one interval. ``id`` is its SSRC on a SIP call.

    ``jitter`` in ms, ``packet_loss`` in percent, ``audio_level`` in dBFS; VoxEngine says of its own
    only that the level is in dB.
    """

    id: str = ""
    jitter: float = 0.0
    packet_loss: float = 0.0
    num_packets: int = 0
    audio_level: float = 0.0


@attrs.frozen(kw_only=True)
class CallMediaStatistics(HelpsWithNames):
    """Both directions of a call; ``in_`` is VoxEngine's ``in``, which Python keeps for itself."""

    in_: Sequence[MediaSample] = ()
    out: Sequence[MediaSample] = ()


class AppEvents(metaclass=Namespace):
    """Events of the session (VoxEngine: AppEvents).

    Listen with ``VoxEngine.add_event_listener``.
    """

    # Declared as aliases, or type checkers would refuse them as annotations.
    Started: TypeAlias = session_events.Started
    Terminating: TypeAlias = session_events.Terminating
    Terminated: TypeAlias = session_events.Terminated

    @event_class
    class CallAlerting(_CallEventWithHeaders):
        """An incoming call waits for ``answer`` or ``reject``, for at most 60 s.

        ``callerid`` and ``destination`` are as the channel gives them, with or without ``+``.
        ``scheme`` is opaque.
        """

        name: ClassVar[str] = "Application.CallAlerting"
        callerid: str
        destination: str
        to_uri: str = ""
        from_uri: str = ""
        display_name: str = ""
        custom_data: str = ""
        scheme: Any = None
        sip_call_id: str = ""
        sip_transport: str = ""

    @event_class
    class HttpRequest(_HttpEvent):
        """Somebody made a request to the session's access URL; ``content`` is its body."""

        name: ClassVar[str] = "Application.HttpRequest"

    @event_class
    class WebSocket(_HttpEvent):
        """Somebody opened a WebSocket to the session."""

        # VoxEngine's own spelling: the one application event without the usual prefix.
        name: ClassVar[str] = "AppEvents.NewWebSocketConnection"
        websocket: WebSocketUnit

    @event_class
    class NewWebSocketFailed(_HttpEvent):
        """A WebSocket to the session was refused; ``reason`` says why."""

        name: ClassVar[str] = "Application.OnNewWebSocketFailed"
        reason: str


class CallEvents(metaclass=Namespace):
    """Events of a call; listen with ``call.add_event_listener`` (VoxEngine: CallEvents)."""

    @event_class
    class Connected(_CallEventWithHeaders):
        """The call is answered."""

        name: ClassVar[str] = "Call.Connected"
        custom_data: str = ""
        scheme: Any = None
        display_name: str = ""
        encrypted: bool = False
        sip_call_id: str = ""
        sip_transport: str = ""

    @event_class
    class Disconnected(_CallEventWithHeaders):
        """The call is over. ``duration`` in s; ``cost`` in the account's currency.

        ``internal_code`` is a Q.850 cause after a normal hang-up (16), else a SIP status.
        """

        name: ClassVar[str] = "Call.Disconnected"
        internal_code: int = 0
        reason: str = ""
        duration: float = 0.0
        cost: float = 0.0
        direction: str = ""

    @event_class
    class Failed(_CallEventWithHeaders):
        """An outgoing call was not established. ``code`` is a SIP status (RFC 3261 section 21)."""

        name: ClassVar[str] = "Call.Failed"
        code: int
        reason: str = ""

    @event_class
    class Ringing(_CallEventWithHeaders):
        """The far end of an outgoing call rings (SIP 180)."""

        name: ClassVar[str] = "Call.Ringing"

    @event_class
    class AudioStarted(_CallEventWithHeaders):
        """Media is negotiated, after 183 or the answer; packets may not have come yet."""

        name: ClassVar[str] = "Call.AudioStarted"
        code: int | None = None
        scheme: Any = None

    @event_class
    class FirstAudioPacketReceived(CallEvent):
        """The first audio of the far end is here; may precede ``Connected``."""

        name: ClassVar[str] = "Call.FirstAudioPacketReceived"

    @event_class
    class FirstVideoPacketReceived(CallEvent):
        """The first video of the far end is here."""

        name: ClassVar[str] = "Call.FirstVideoPacketReceived"
        never: ClassVar[str] = "voxpy carries audio only"

    @event_class
    class StateChanged(CallEvent):
        """``call.state()`` has changed."""

        name: ClassVar[str] = "Call.StateChanged"
        old_state: str
        new_state: str

    @event_class
    class PlaybackReady(CallEvent):
        """The sound to play is loaded."""

        name: ClassVar[str] = "Call.PlaybackReady"

    @event_class
    class PlaybackStarted(CallEvent):
        """A sound begins to play into the call; ``duration`` is its length in ms."""

        name: ClassVar[str] = "Call.PlaybackStarted"
        duration: float = 0.0

    @event_class
    class PlaybackFinished(CallEvent):
        """The sound is over, or ``error`` says why not; not sent after ``stop_playback``."""

        name: ClassVar[str] = "Call.PlaybackFinished"
        error: str | None = None

    @event_class
    class ToneReceived(CallEvent):
        """The far end pressed a key, ``tone`` one of ``0-9*#``; needs ``call.handle_tones(True)``.

        ``type`` is a string: ``"1"`` RFC 4733, ``"2"`` in-band, ``"3"`` SIP INFO.
        """

        name: ClassVar[str] = "Call.ToneReceived"
        tone: str
        type: str = "1"

    @event_class
    class ToneDetected(CallEvent):
        """A dial tone or a voicemail tone was heard; at most once per call."""

        name: ClassVar[str] = "Call.ToneDetected"
        never: ClassVar[str] = (
            "it belongs to tone detection that VoxEngine itself has given up; "
            "use AMD, or call.enable_beep_detection()"
        )
        progress_tone: bool = False
        voicemail_tone: bool = False

    @event_class
    class MicStatusChange(CallEvent):
        """The far end began (``active``) or stopped to speak."""

        name: ClassVar[str] = "Call.MicStatusChange"
        active: bool

    @event_class
    class RecordStarted(CallEvent):
        """Recording has begun, into ``url``."""

        name: ClassVar[str] = "Call.RecordStarted"
        url: str

    @event_class
    class RecordStopped(CallEvent):
        """Recording has ended and its file is complete.

        ``duration`` in s; ``cost`` is a string, as in VoxEngine. ``transcript_url`` is voxpy's own:
        where the words will be written if the recording is transcribed, else empty.
        """

        name: ClassVar[str] = "Call.RecordStopped"
        url: str
        cost: str = "0"
        duration: float = 0.0
        reason: str = ""
        transcript_url: str = ""

    @event_class
    class RecordError(CallEvent):
        """A recording or its transcript failed; the call goes on."""

        name: ClassVar[str] = "Call.RecordError"
        error: str

    @event_class
    class VideoTrackCreated(CallEvent):
        """A video recording has a new file at ``url``."""

        name: ClassVar[str] = "Call.Video.TrackCreated"
        never: ClassVar[str] = "voxpy carries audio only"
        url: str

    @event_class
    class MessageReceived(_CallEventWithHeaders):
        """The far end sent a text message inside the call."""

        name: ClassVar[str] = "Call.MessageReceived"
        text: str

    @event_class
    class InfoReceived(_CallEventWithHeaders):
        """The far end sent a SIP INFO or its equivalent."""

        name: ClassVar[str] = "Call.InfoReceived"
        mime_type: str
        body: str

    @event_class
    class OnHold(CallEvent):
        """The far end put the call on hold."""

        name: ClassVar[str] = "Call.OnHold"

    @event_class
    class OffHold(CallEvent):
        """The far end took the call off hold."""

        name: ClassVar[str] = "Call.OffHold"

    @event_class
    class ReInviteReceived(_ReInvite):
        """The far end wants to change the session description."""

        name: ClassVar[str] = "Call.ReInviteReceived"

    @event_class
    class ReInviteAccepted(_ReInvite):
        """The far end agreed to our change."""

        name: ClassVar[str] = "Call.ReInviteAccepted"

    @event_class
    class ReInviteRejected(_CallEventWithHeaders):
        """The far end refused our change; ``code`` is a SIP status."""

        name: ClassVar[str] = "Call.ReInviteRejected"
        code: int | None = None
        reason: str = ""

    @event_class
    class BlindTransferRequested(_CallEventWithHeaders):
        """The far end asks to be replaced by ``transfer_to``, a user or a number.

        Needs ``call.handle_blind_transfer(True)``. ``headers`` has Refer-To, the whole SIP URI that
        ``VoxEngine.call_sip`` takes, and the ``X-`` headers.
        """

        name: ClassVar[str] = "Call.BlindTransferRequested"
        transfer_to: str

    @event_class
    class TransferComplete(_CallEventWithHeaders):
        """A transfer worked; ``role`` is the far end's: ``transferee`` or ``target``.

        The transferee was asked to call somebody (``call.transfer_to``): its call ends now. The
        target of an attended transfer has got another far end: its call goes on.
        """

        name: ClassVar[str] = "Call.TransferComplete"
        role: str | None = None

    @event_class
    class TransferFailed(_CallEventWithHeaders):
        """A transfer failed; ``code`` is a SIP status, ``role`` as in ``TransferComplete``."""

        name: ClassVar[str] = "Call.TransferFailed"
        role: str | None = None
        code: int
        reason: str = ""

    @event_class
    class Forwarding(CallEvent):
        """The far end forwards the call (SIP 181)."""

        name: ClassVar[str] = "Call.Forwarding"

    @event_class
    class PushSent(CallEvent):
        """A push notification went to the user's device."""

        name: ClassVar[str] = "Call.PushSent"
        never: ClassVar[str] = "no push service is connected; a user who is offline fails with 480"
        result: str = ""

    @event_class
    class RtpStopped(CallEvent):
        """No media has come from the far end for some seconds."""

        name: ClassVar[str] = "Call.RtpStopped"

    @event_class
    class RtpResumed(CallEvent):
        """Media comes from the far end again."""

        name: ClassVar[str] = "Call.RtpResumed"

    @event_class
    class AudioQualityDetected(CallEvent):
        """The audio is ``HD`` (16 kHz and more) or ``Standard``."""

        name: ClassVar[str] = "Call.AudioQualityDetected"
        quality: str

    @event_class
    class MediaStatisticsReceived(CallEvent):
        """Figures of the media streams; see ``call.monitor_media_statistics``."""

        name: ClassVar[str] = "Call.MediaStatisticsReceived"
        audio: CallMediaStatistics

    @event_class
    class BeepDetectionComplete(CallEvent):
        """Beep detection is over. ``frequencies`` in Hz.

        ``timeout``: None if a beep was heard, True if none came in time, False if it was disabled.
        """

        name: ClassVar[str] = "Call.BeepDetectionComplete"
        frequencies: Sequence[float] | None = None
        timeout: bool | None = None

    @event_class
    class BeepDetectionError(CallEvent):
        """Beep detection failed."""

        name: ClassVar[str] = "Call.BeepDetectionError"
        reason: str

    @event_class
    class AudioIdentificationStarted(CallEvent):
        """Voicemail detection has begun."""

        name: ClassVar[str] = "Call.AudioIdentificationStarted"

    @event_class
    class AudioIdentificationStopped(CallEvent):
        """Voicemail detection has ended."""

        name: ClassVar[str] = "Call.AudioIdentificationStopped"

    @event_class
    class AudioIdentificationError(CallEvent):
        """Voicemail detection failed."""

        name: ClassVar[str] = "Call.AudioIdentificationError"

    @event_class
    class AudioIdentificationResult(CallEvent):
        """Who answered: VOICEMAIL, HUMAN, TIMEOUT or CALL_ENDED; ``confidence`` is 0 to 100."""

        name: ClassVar[str] = "Call.AudioIdentificationResult"
        audio_type: str
        audio_sub_type: str = ""
        confidence: float | None = None

    @event_class
    class Statistics(CallEvent):
        """Deprecated in VoxEngine, and empty; see ``MediaStatisticsReceived``."""

        name: ClassVar[str] = "Call.Statistics"
        never: ClassVar[str] = (
            "it is deprecated and empty in VoxEngine; see MediaStatisticsReceived"
        )


class WatchdogEvents(metaclass=Namespace):
    """Warnings of voxpy itself before it ends a session that only costs; unknown to VoxEngine.

    Listen with ``VoxEngine.add_event_listener``. A session that does nothing about one is ended
    after a grace (``watchdogs.grace_s``).
    """

    @event_class
    class NoInboundMedia(CallEvent):
        """A connected call has sent no packet for ``silent_for_s`` seconds: its sender is gone."""

        name: ClassVar[str] = "Watchdog.NoInboundMedia"
        silent_for_s: float

    @event_class
    class DeadAir(Event):
        """Nobody in the session has made a sound for ``silent_for_s`` seconds."""

        name: ClassVar[str] = "Watchdog.DeadAir"
        silent_for_s: float

    @event_class
    class CallTooLong(CallEvent):
        """A call has lasted ``duration_s`` seconds, the longest that is allowed."""

        name: ClassVar[str] = "Watchdog.CallTooLong"
        duration_s: float

    @event_class
    class AgentSilent(Event):
        """An agent owes something and has not made a sound for ``silent_for_s`` seconds.

        ``client`` is its client, ``reason`` what is missing. Close the client and let the caller
        hear something else, or move the call on; else the session ends. The caller's own voice
        does not count.
        """

        name: ClassVar[str] = "Watchdog.AgentSilent"
        client: Unit
        silent_for_s: float
        reason: str
