"""The state of a realtime session on the server's side, and the changes more than one event makes.

When does the agent speak by itself? A turn's text, or the last awaited tool result, makes an answer
*due*. It begins once no response is active and no other turn is under way: a caller who goes on
speaking gets one answer to both turns. If the client asks first, that answers it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE, AudioLength, WholeSamples
from voxpy.wire.realtime.events.session import default_session
from voxpy.wire.realtime.events.types import Error, nulls
from voxpy.wire.realtime.server.conversation import Conversation
from voxpy.wire.realtime.server.effects import Effect, OutputCleared, Respond, Stop
from voxpy.wire.realtime.server.output import Outbox, OutputBuffer
from voxpy.wire.realtime.server.quirks import Quirks
from voxpy.wire.realtime.server.response_writer import ResponseWriter

__all__ = ["Awaited", "Feature", "InputTurns", "ServerState"]


class ServerState:
    """Everything a session holds; its parts say what they mean. ``now`` is that of the last call.

    ``features`` are told what happens and act by themselves.
    """

    def __init__(
        self, *, session_id: str, new_id: Callable[[str], str], quirks: Quirks | None = None
    ) -> None:
        self.quirks = quirks or Quirks()
        self.now = 0.0
        self.session: dict[str, Any] = default_session(session_id)
        self.outbox = Outbox(new_id, legacy_names=self.quirks.legacy_names)
        self.output = OutputBuffer(self.outbox, with_response_id=self.quirks.buffer_response_id)
        self.conversation = Conversation(new_id)
        self.conversation_id = new_id("conv")
        self.turns = InputTurns()
        self.response: ResponseWriter | None = None
        self.effects: list[Effect] = []
        self.features: tuple[Feature, ...] = ()
        self.new_id = new_id
        self._responses = 0
        self._open_calls: set[str] = set()
        self._turn_due = False
        self._tools_due = False
        self._late: list[Callable[[], None]] = []  # transcripts to be told after the response

    def at(self, now: float | None) -> float:
        """Take over the caller's ``now``; time never goes back. Returns the session's."""
        if now is not None and now > self.now:
            self.now = now
        return self.now

    @property
    def turn_detection(self) -> Mapping[str, Any] | None:
        """The session's turn detection; None if the client ends turns itself."""
        return self.session["audio"]["input"]["turn_detection"]  # type: ignore[no-any-return]

    @property
    def shows_transcripts(self) -> bool:
        """Whether the client wants to see what the caller said."""
        return self.session["audio"]["input"]["transcription"] is not None

    def branch(self, name: str) -> Mapping[str, Any] | None:
        """Return a branch of ``providerData`` if it is enabled."""
        found = self.session["providerData"].get(name)
        return found if found and found.get("enabled") else None

    def take_effects(self) -> list[Effect]:
        """Return the effects that are due and forget them."""
        effects, self.effects = self.effects, []
        return effects

    def refuse(self, code: str, message: str, *, param: str | None, event_id: str | None) -> None:
        """Tell the client that one of its events was refused; the session goes on."""
        self.error("invalid_request_error", code, message, param=param, event_id=event_id)

    def error(
        self,
        kind: str,
        code: str | None,
        message: str,
        *,
        param: str | None = None,
        event_id: str | None = None,
    ) -> None:
        """Send an ``error`` event."""
        absent = nulls(code=code, param=param, event_id=event_id)
        told = Error(
            type=kind, code=code, message=message, param=param, event_id=event_id, extra=absent
        )
        self.outbox.emit(se.ErrorEvent(error=told))

    def shown(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item as the client may see it: no audio, no transcript if it wants none."""
        if not isinstance(item.get("content"), list):
            return dict(item)
        content = []
        for part in item["content"]:
            seen = {name: value for name, value in part.items() if name != "audio"}
            if part.get("type") == "input_audio" and not self.shows_transcripts:
                seen["transcript"] = None
            content.append(seen)
        return {**item, "content": content}

    def respond(self, overrides: Mapping[str, Any]) -> None:
        """Begin a response; there must be no active one."""
        self._turn_due = self._tools_due = False
        self._open_calls.clear()
        self._responses += 1
        if self._responses == self.quirks.exhausted_at_response:
            self.outbox.emit_bare({"errorType": "SESSION_RESOURCES_EXHAUSTED"})
        self.response = ResponseWriter(
            id=self.new_id("resp"),
            session=self.session,
            overrides=overrides,
            conversation_id=self.conversation_id,
            conversation=self.conversation,
            outbox=self.outbox,
            output_buffer=self.output,
            new_id=self.new_id,
            quirks=self.quirks,
        )
        items = self.conversation.items
        self.response.open()
        self.effects.append(
            Respond(
                response_id=self.response.id,
                session=self.session,
                items=items,
                overrides=overrides,
            )
        )
        for feature in self.features:
            feature.response_began()

    def end_response(
        self,
        status: str,
        *,
        details: Mapping[str, Any] | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> None:
        """End the active response with this status, and begin the next if one is due."""
        writer, self.response = self.response, None
        if writer is None:
            return
        writer.close(status, now=self.now, details=details, usage=usage)
        if status != "completed":
            self._open_calls.clear()  # nobody may run the tools of such a response
        late, self._late = self._late, []
        for tell in late:
            tell()
        for feature in self.features:
            feature.response_ended(status)
        self.respond_if_due()

    def cancel_response(self, reason: str) -> None:
        """End the active response as cancelled, for ``turn_detected`` or ``client_cancelled``."""
        if self.response is None:
            return
        self.effects.append(Stop(self.response.id, reason))
        self.end_response("cancelled", details={"type": "cancelled", "reason": reason})

    def interrupt(self, now: float) -> None:
        """The caller speaks over the agent: end its response and what is left of its audio."""
        was_playing = self.output.is_playing(now)
        self.cancel_response("turn_detected")
        if was_playing:
            self.output.clear(now)
            self.effects.append(OutputCleared())

    def call(self, name: str, arguments: str) -> None:
        """The active response calls a function."""
        if self.response is not None:
            self._open_calls.add(self.response.call(name, arguments))
            self._tools_due = False

    def tool_answered(self, call_id: str) -> None:
        """The client gave a function's output: with the last of them an answer is due.

        Unless ``providerData.auto_tool_response`` is false; Inworld's default is not documented,
        and its clients behave as if it were true.
        """
        self._open_calls.discard(call_id)
        provider_data = self.session["providerData"]
        automatic = provider_data.get("auto_tool_response", self.quirks.auto_tool_response)
        if automatic and not self._open_calls:
            self._tools_due = True
            self.respond_if_due()

    def end_speech(self) -> None:
        """What the caller was saying is over, whatever becomes of it."""
        if self.turns.speaking:
            self.turns.speaking = False
            for feature in self.features:
                feature.speech_ended()

    def commit_turn(self, *, answer: bool) -> str:
        """Make a user item of the input audio and return its id; its text is then awaited."""
        item_id = self.turns.item_id or self.conversation.reserve()
        self.turns.reset()
        self.turns.awaited.append(Awaited(item_id, answer))
        previous = self.conversation.last_id
        absent = nulls(previous_item_id=previous)
        self.outbox.emit(
            se.InputAudioBufferCommitted(item_id=item_id, previous_item_id=previous, extra=absent)
        )
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        self.conversation.append(item)
        self.outbox.emit(
            se.ConversationItemAdded(item=item, previous_item_id=previous, extra=absent)
        )
        return item_id

    def turn_recognised(self, awaited: Awaited, text: str, *, answer_anyway: bool = False) -> None:
        """The text of a turn is known; ``answer_anyway`` holds for one without words too."""
        entry = self.conversation.find(awaited.item_id)  # the client may have deleted it meanwhile
        if entry is not None:
            entry.item = {**entry.item, "content": [{"type": "input_audio", "transcript": text}]}
        answered = answer_anyway or (awaited.answer and bool(text.strip()))
        self._turn_due = self._turn_due or answered
        tell = partial(self._tell_words, awaited.item_id, text)
        if self.quirks.transcription == "before_response":
            tell()
        self.respond_if_due()
        if self.quirks.transcription == "after_created":
            tell()
        elif self.quirks.transcription == "after_done":
            self._late.append(tell) if self.response else tell()
        if not answered:
            for feature in self.features:
                feature.turn_unanswered()

    def _tell_words(self, item_id: str, text: str) -> None:
        if self.shows_transcripts:
            self.outbox.emit(
                se.ConversationItemInputAudioTranscriptionCompleted(
                    item_id=item_id, content_index=0, transcript=text
                )
            )
        entry = self.conversation.find(item_id)
        if entry is not None:
            previous = self.conversation.previous_id(entry)
            self.outbox.emit(
                se.ConversationItemDone(
                    item=self.shown(entry.item),
                    previous_item_id=previous,
                    extra=nulls(previous_item_id=previous),
                )
            )

    def respond_if_due(self) -> None:
        """Begin the answer that is due, unless a response or another turn is under way."""
        due = self._turn_due or self._tools_due
        if due and self.response is None and not self.turns.busy:
            self.respond({})


class Feature:
    """Reacts to nothing; a feature overrides what concerns it.

    Times are the session's, read from its state: it is up to date whenever one of these is called.
    """

    def deadline(self) -> float | None:
        """Return when ``tick`` is due next, None for never. May lie in the past."""
        return None

    def tick(self) -> None:
        """Time has passed: do what is due. Afterwards ``deadline`` must lie in the future."""

    def speech_started(self) -> None:
        """The caller began to speak."""

    def speech_paused(self) -> None:
        """The caller has fallen silent in mid-turn."""

    def speech_resumed(self) -> None:
        """The caller goes on after a pause."""

    def words_so_far(self, text: str) -> None:
        """All of the turn's words that are recognised so far."""

    def speech_ended(self) -> None:
        """The caller's speech is over, committed or forgotten."""

    def turn_unanswered(self) -> None:
        """A turn was recognised and needs no answer: there were no words in it."""

    def response_began(self) -> None:
        """A response is active."""

    def response_ended(self, status: str) -> None:
        """The response is over, no other is active yet."""


@attrs.frozen
class Awaited:
    """A committed user item whose text is still being recognised.

    ``answer`` is whether its text makes the agent respond by itself.
    """

    item_id: str
    answer: bool


@attrs.define
class InputTurns:
    """Plain state; ``item_id`` is that of the user item the present audio will become.

    ``appended`` is all audio ever received, ``buffered`` what of it is not committed.
    ``utterances`` counts the turn suggestions made in this turn, ``suggested`` is whether the last
    of them still holds. ``told`` is what the client was told of the words of this turn.
    """

    appended: AudioLength = attrs.field(factory=AudioLength)
    buffered: AudioLength = attrs.field(factory=AudioLength)
    speaking: bool = False
    item_id: str | None = None
    utterances: int = 0
    suggested: bool = False
    told: str = ""
    awaited: list[Awaited] = attrs.field(factory=list)
    _samples: WholeSamples = attrs.field(factory=WholeSamples)

    def count(self, data: bytes, encoding: str, rate_hz: int) -> None:
        """Count audio of the client's; half a sample counts when its other half has come."""
        n_samples = len(self._samples.take(data, encoding)) // BYTES_PER_SAMPLE[encoding]
        self.appended.add(n_samples, rate_hz)
        self.buffered.add(n_samples, rate_hz)

    def reset(self) -> None:
        """Forget the audio and speech that are not committed."""
        self.buffered.ticks, self.speaking, self.item_id = 0, False, None
        self.utterances, self.suggested, self.told = 0, False, ""

    def take(self, item_id: str | None) -> Awaited | None:
        """Remove and return the awaited item named, or without a name the oldest."""
        for awaited in self.awaited:
            if item_id in (None, awaited.item_id):
                self.awaited.remove(awaited)
                return awaited
        return None

    @property
    def text_item_id(self) -> str | None:
        """The item that words heard now belong to."""
        if self.item_id is None and self.awaited:
            return self.awaited[0].item_id
        return self.item_id

    @property
    def busy(self) -> bool:
        """Whether a turn is under way that will be answered, so that no response should begin."""
        return self.speaking or any(awaited.answer for awaited in self.awaited)
