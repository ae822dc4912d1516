"""From what the service sends to what a voice tells its program. Pure; one object a connection.

Three things here are more than renaming. Words come twice, as transcript and as text, in either
order: the first kind of a response wins. An interruption has three signs (speech, and rolling
transcripts before it is noticed): it is told once a response. And memory comes with every
``session.updated``: it is told when its version changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from voxpy.inworld.voice import events as ve
from voxpy.inworld.voice.config import interrupts
from voxpy.wire.realtime.client.protocol import Audio
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import ServerEvent


@attrs.frozen
class Cancel:
    """The response must be cancelled at the service, and no more of it be heard."""

    response_id: str


Told: TypeAlias = "ve.VoiceEvent | Cancel"


class Reading:
    """Reads one connection from its beginning."""

    def __init__(self) -> None:
        self._session: Mapping[str, Any] = {}
        self._active: dict[str, None] = {}  # an ordered set of response ids
        self._interrupted: set[str] = set()
        self._cancelled: set[str] = set()
        self._source: dict[str, str] = {}  # which kind of words a response is written from
        self._functions: dict[str, str] = {}  # item id: name, which arguments.done may lack
        self._arguments: dict[str, str] = {}  # item id: what deltas said so far
        self._memory: Any = _NO_VERSION

    def take(self, item: Audio | ServerEvent) -> list[Told]:
        """Return what follows from one item that ``RealtimeClient.receive`` gave, in order."""
        if isinstance(item, Audio):
            if item.backchannel or item.response_id in self._cancelled:
                return []
            return [ve.Speaking(audio=item.data, response_id=item.response_id)]
        rule = _RULES.get(type(item))
        return [] if rule is None else rule(self, item)

    # -- responses --------------------------------------------------------------------------------

    def _created(self, event: se.ResponseCreated) -> list[Told]:
        self._active[event.response.get("id") or ""] = None
        return []

    def _done(self, event: se.ResponseDone) -> list[Told]:
        response_id = event.response.get("id") or ""
        self._active.pop(response_id, None)
        self._interrupted.discard(response_id)
        self._cancelled.discard(response_id)
        self._source.pop(response_id, None)
        return []

    def _words(self, response_id: str, source: str, text: str) -> list[Told]:
        if self._source.setdefault(response_id, source) != source:
            return []
        return [ve.Writing(text=text, response_id=response_id, role="assistant")]

    def _end_of_words(self, response_id: str, source: str) -> list[Told]:
        if self._source.get(response_id) != source:
            return []
        return [ve.Writing(text="\n", response_id=response_id, role="assistant")]

    def _item_added(self, event: se.ResponseOutputItemAdded) -> list[Told]:
        if event.item.get("type") == "function_call":
            self._functions[event.item.get("id") or ""] = event.item.get("name") or ""
        return []

    def _arguments_delta(self, event: se.ResponseFunctionCallArgumentsDelta) -> list[Told]:
        self._arguments[event.item_id] = self._arguments.get(event.item_id, "") + event.delta
        return []

    def _arguments_done(self, event: se.ResponseFunctionCallArgumentsDone) -> list[Told]:
        name = self._functions.pop(event.item_id, "")
        gathered = self._arguments.pop(event.item_id, "")
        return [
            ve.FunctionCallArguments(
                call_id=event.call_id or "",
                function=event.name or name,
                arguments=gathered or event.arguments,
            )
        ]

    # -- the user ---------------------------------------------------------------------------------

    def _speech_started(self, event: se.InputAudioBufferSpeechStarted) -> list[Told]:
        started = ve.SpeechStarted(item_id=event.item_id, audio_start_ms=event.audio_start_ms)
        return [started, *self._interrupt()]

    def _interrupt(self) -> list[Told]:
        told: list[Told] = []
        cancel = interrupts(self._session)
        for response_id in self._active:
            if response_id not in self._interrupted:
                self._interrupted.add(response_id)
                told.append(ve.Interrupted(response_id=response_id))
                if cancel:
                    self._cancelled.add(response_id)
                    told.append(Cancel(response_id))
        return told

    def _user_said(self, event: se.ConversationItemInputAudioTranscriptionCompleted) -> list[Told]:
        if not event.transcript:
            return []
        profile = (event.provider_data or {}).get("voiceProfile")
        said = ve.Writing(
            text=event.transcript, response_id=event.item_id, role="user", voice_profile=profile
        )
        return [said, attrs.evolve(said, text="\n")]

    # -- the session ------------------------------------------------------------------------------

    def _session_told(self, event: se.SessionCreated | se.SessionUpdated) -> list[Told]:
        self._session = event.session
        state = _below(_below(event.session.get("providerData")).get("memory")).get("state")
        if not isinstance(state, Mapping):
            return []
        version = state.get("version")
        if version is not None and version == self._memory:
            return []
        self._memory = version
        return [ve.Memory(state=state)]


def _below(value: Any) -> Mapping[str, Any]:
    """Return what a service has put there: a mapping, or who knows."""
    return value if isinstance(value, Mapping) else {}


_NO_VERSION = object()


def _fields_of(event: Any, kind: type[Any]) -> list[Told]:
    """Return ``kind`` with the fields it shares with ``event``."""
    return [kind(**{f.name: getattr(event, f.name) for f in attrs.fields(kind)})]


_RULES: Mapping[type[ServerEvent], Callable[[Reading, Any], list[Told]]] = {
    se.SessionCreated: Reading._session_told,
    se.SessionUpdated: Reading._session_told,
    se.ResponseCreated: Reading._created,
    se.ResponseDone: Reading._done,
    se.ResponseOutputAudioDone: lambda _, e: [ve.SpeakingDone(response_id=e.response_id)],
    se.ResponseOutputAudioTranscriptDelta: lambda r, e: r._words(e.response_id, "audio", e.delta),
    se.ResponseOutputAudioTranscriptDone: lambda r, e: r._end_of_words(e.response_id, "audio"),
    se.ResponseOutputTextDelta: lambda r, e: r._words(e.response_id, "text", e.delta),
    se.ResponseOutputTextDone: lambda r, e: r._end_of_words(e.response_id, "text"),
    se.ResponseOutputItemAdded: Reading._item_added,
    se.ResponseFunctionCallArgumentsDelta: Reading._arguments_delta,
    se.ResponseFunctionCallArgumentsDone: Reading._arguments_done,
    se.InputAudioBufferSpeechStarted: Reading._speech_started,
    se.InputAudioBufferSpeechStopped: lambda _, e: _fields_of(e, ve.SpeechStopped),
    se.ConversationItemInputAudioTranscriptionDelta: lambda r, _: r._interrupt(),
    se.ConversationItemInputAudioTranscriptionCompleted: Reading._user_said,
    se.InputAudioBufferTurnSuggestion: lambda _, e: _fields_of(e, ve.TurnSuggestion),
    se.InputAudioBufferTurnSuggestionRevoked: lambda _, e: _fields_of(e, ve.TurnSuggestionRevoked),
    se.InputAudioBufferCommitted: lambda _, e: _fields_of(e, ve.InputCommitted),
    se.InputAudioBufferCleared: lambda _, e: [ve.InputCleared()],
    se.InputAudioBufferTimeoutTriggered: lambda _, e: _fields_of(e, ve.InputTimeout),
    se.OutputAudioBufferStarted: lambda _, e: [ve.OutputAudioStarted()],
    se.OutputAudioBufferStopped: lambda _, e: [ve.OutputAudioStopped()],
    se.OutputAudioBufferCleared: lambda _, e: [ve.OutputAudioCleared()],
    se.ResponseBackchannelAudioDone: lambda _, e: [
        ve.BackchannelDone(backchannel_id=e.backchannel_id or "", phrase=e.phrase)
    ],
    se.ResponseBackchannelSkipped: lambda _, e: [
        ve.BackchannelSkipped(reason=e.reason or "", backchannel_id=e.backchannel_id)
    ],
}
