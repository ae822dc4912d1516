"""What a voice tells its program: one frozen class for each event, ``name`` as in Mastra's voice.

Besides these, every event of the service is passed on under its own name (``response.done``) as
the class of ``voxpy.wire.realtime.events.server_events``, all but ``error`` and the audio itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from voxpy.engine.events import Namespace
from voxpy.inworld.voice.audio import AudioStream
from voxpy.wire.realtime.events.types import Error


@attrs.frozen(kw_only=True)
class VoiceEvent:
    """Base of the payload classes; ``name`` is what ``on`` takes."""

    name: ClassVar[str] = ""


class Speaker(AudioStream):
    """A response began: its audio, as an async iterator. Stopped when the user interrupts it."""

    name: ClassVar[str] = "speaker"


class Backchannel(AudioStream):
    """The agent murmurs ("uh-huh") while the user speaks. Never stopped by an interruption."""

    name: ClassVar[str] = "backchannel"


@attrs.frozen(kw_only=True)
class Speaking(VoiceEvent):
    """A piece of the agent's audio, decoded, in the session's output format."""

    name: ClassVar[str] = "speaking"
    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")
    response_id: str


@attrs.frozen(kw_only=True)
class SpeakingDone(VoiceEvent):
    """A part of the agent's audio is complete."""

    name: ClassVar[str] = "speaking.done"
    response_id: str


@attrs.frozen(kw_only=True)
class Writing(VoiceEvent):
    r"""Words. The agent's come piece by piece and end with ``"\n"``; the user's come whole.

    For the user ``response_id`` is the id of the item, and ``voice_profile`` what Inworld made of
    the voice, if ``providerData.stt.voice_profile`` is on.
    """

    name: ClassVar[str] = "writing"
    text: str
    response_id: str
    role: Literal["assistant", "user"]
    voice_profile: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True)
class SpeechStarted(VoiceEvent):
    """The user began to speak, ``audio_start_ms`` into all audio ever sent."""

    name: ClassVar[str] = "speech-started"
    item_id: str
    audio_start_ms: float | None = None


@attrs.frozen(kw_only=True)
class SpeechStopped(VoiceEvent):
    """The user stopped, ``audio_end_ms`` into all audio ever sent."""

    name: ClassVar[str] = "speech-stopped"
    item_id: str
    audio_end_ms: float | None = None


@attrs.frozen(kw_only=True)
class Interrupted(VoiceEvent):
    """The user speaks over this response: stop playing it. Once for each response."""

    name: ClassVar[str] = "interrupted"
    response_id: str


@attrs.frozen(kw_only=True)
class TurnSuggestion(VoiceEvent):
    """The user's turn may be over, with this ``probability`` (0 to 1). A hint only."""

    name: ClassVar[str] = "turn-suggestion"
    item_id: str
    utterance_index: int | None = None
    probability: float | None = None
    trailing_silence_ms: float | None = None
    audio_duration_ms: float | None = None
    inference_ms: float | None = None


@attrs.frozen(kw_only=True)
class TurnSuggestionRevoked(VoiceEvent):
    """The user went on speaking: an earlier hint no longer holds."""

    name: ClassVar[str] = "turn-suggestion-revoked"
    item_id: str
    utterance_index: int | None = None


@attrs.frozen(kw_only=True)
class InputCommitted(VoiceEvent):
    """The audio sent so far became a user's turn."""

    name: ClassVar[str] = "input-committed"
    item_id: str
    previous_item_id: str | None = None


@attrs.frozen(kw_only=True)
class InputCleared(VoiceEvent):
    """The audio that was not committed is gone."""

    name: ClassVar[str] = "input-cleared"


@attrs.frozen(kw_only=True)
class InputTimeout(VoiceEvent):
    """Nobody spoke for the idle timeout of ``server_vad``; an empty turn was committed."""

    name: ClassVar[str] = "input-timeout"
    item_id: str
    audio_start_ms: float | None = None
    audio_end_ms: float | None = None


@attrs.frozen(kw_only=True)
class OutputAudioStarted(VoiceEvent):
    """The service began to send audio."""

    name: ClassVar[str] = "output-audio-started"


@attrs.frozen(kw_only=True)
class OutputAudioStopped(VoiceEvent):
    """The service has sent all audio of the response."""

    name: ClassVar[str] = "output-audio-stopped"


@attrs.frozen(kw_only=True)
class OutputAudioCleared(VoiceEvent):
    """The service dropped the audio it had not sent."""

    name: ClassVar[str] = "output-audio-cleared"


@attrs.frozen(kw_only=True)
class Memory(VoiceEvent):
    """Inworld's rolling memory has a new version; ``state`` as on the wire.

    Its fields: version, facts, summary, context_text, turns_since_gen, total_turns, items_trimmed.
    """

    name: ClassVar[str] = "memory"
    state: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class BackchannelDone(VoiceEvent):
    """A back-channel is complete; it said ``phrase``."""

    name: ClassVar[str] = "backchannel.done"
    backchannel_id: str
    phrase: str | None = None


@attrs.frozen(kw_only=True)
class BackchannelSkipped(VoiceEvent):
    """No back-channel after all, for ``reason``."""

    name: ClassVar[str] = "backchannel.skipped"
    reason: str
    backchannel_id: str | None = None


@attrs.frozen(kw_only=True)
class FunctionCallArguments(VoiceEvent):
    """The model has said which function to call; ``arguments`` is JSON text."""

    name: ClassVar[str] = "function_call.arguments"
    call_id: str
    function: str
    arguments: str


@attrs.frozen(kw_only=True)
class ToolCallStart(VoiceEvent):
    """A tool of ours is about to run; ``arguments`` is JSON text."""

    name: ClassVar[str] = "tool-call-start"
    call_id: str
    tool: str
    arguments: str


@attrs.frozen(kw_only=True)
class ToolCallResult(VoiceEvent):
    """A tool has run; ``output`` is the JSON the model gets, ``error`` what the tool raised."""

    name: ClassVar[str] = "tool-call-result"
    call_id: str
    tool: str
    output: str
    error: Exception | None = None


@attrs.frozen(kw_only=True)
class VoiceError(VoiceEvent):
    """Something failed: the service says so (``code``, ``param``), or ``error`` was raised here.

    The voice goes on. The two races that every client loses now and then (a response cancelled
    that just ended, one asked for while another is active) are seen to and not told.
    """

    name: ClassVar[str] = "error"
    message: str
    code: str | None = None
    param: str | None = None
    error: Exception | Error | None = None


@attrs.frozen(kw_only=True)
class Closed(VoiceEvent):
    """The connection is over; ``code`` as in RFC 6455 section 7.4. ``connect`` opens another."""

    name: ClassVar[str] = "closed"
    code: int
    reason: str
    was_clean: bool


class VoiceEvents(metaclass=Namespace):
    """The events of a voice: ``voice.on(VoiceEvents.Writing, f)`` or ``voice.on("writing", f)``."""

    Speaker: TypeAlias = Speaker
    Speaking: TypeAlias = Speaking
    SpeakingDone: TypeAlias = SpeakingDone
    Writing: TypeAlias = Writing
    SpeechStarted: TypeAlias = SpeechStarted
    SpeechStopped: TypeAlias = SpeechStopped
    Interrupted: TypeAlias = Interrupted
    TurnSuggestion: TypeAlias = TurnSuggestion
    TurnSuggestionRevoked: TypeAlias = TurnSuggestionRevoked
    InputCommitted: TypeAlias = InputCommitted
    InputCleared: TypeAlias = InputCleared
    InputTimeout: TypeAlias = InputTimeout
    OutputAudioStarted: TypeAlias = OutputAudioStarted
    OutputAudioStopped: TypeAlias = OutputAudioStopped
    OutputAudioCleared: TypeAlias = OutputAudioCleared
    Memory: TypeAlias = Memory
    Backchannel: TypeAlias = Backchannel
    BackchannelDone: TypeAlias = BackchannelDone
    BackchannelSkipped: TypeAlias = BackchannelSkipped
    FunctionCallArguments: TypeAlias = FunctionCallArguments
    ToolCallStart: TypeAlias = ToolCallStart
    ToolCallResult: TypeAlias = ToolCallResult
    Error: TypeAlias = VoiceError
    Closed: TypeAlias = Closed
