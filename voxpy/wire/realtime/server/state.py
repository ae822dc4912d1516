"""The state of a realtime session on the server's side, and the changes more than one event makes.

When does the agent speak by itself? A turn's text, or the last awaited tool result, makes an answer
*due*. It begins once no response is active and no other turn is under way: a caller who goes on
speaking gets one answer to both turns. If the client asks first, that answers it too.

What does an answer know? The words of a turn come later than the turn: they must be recognised. So
a client that commits and asks in one breath (most do) gets ``response.created`` at once, and the
brain is asked when the words are there. A response with an ``input`` of its own waits for nothing.

::

    commit ─▶ item added, words awaited ──────── words known ─▶ transcription.completed ┐
    response.create ─▶ response.created ─▶ waits for the words ─────────────────────────┴▶ Respond

Turn detection goes the same way, but begins its response only with the words, and only if there are
some: a cough needs no answer.

A response beside the conversation (``conversation`` is ``none``) leaves no items in it and may run
while another is active; a barge-in does not end it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import attrs

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import base64_text
from voxpy.wire.realtime.events.formats import (
    BYTES_PER_SAMPLE,
    DEFAULT_HZ,
    AudioLength,
    WholeSamples,
)
from voxpy.wire.realtime.events.session import DEFAULT_STT_MODEL, default_session
from voxpy.wire.realtime.events.types import Error, ServerEvent, nulls
from voxpy.wire.realtime.server.conversation import Conversation, Entry
from voxpy.wire.realtime.server.effects import Effect, OutputCleared, Respond, Stop
from voxpy.wire.realtime.server.output import Outbox, OutputBuffer
from voxpy.wire.realtime.server.quirks import Quirks
from voxpy.wire.realtime.server.response_writer import ResponseWriter


class ServerState:
    """Everything a session holds; its parts say what they mean. ``now`` is that of the last call.

    ``features`` are told what happens and act by themselves.
    """

    def __init__(
        self, *, session_id: str, new_id: Callable[[str], str], quirks: Quirks | None = None
    ) -> None:
        self.quirks = quirks or Quirks()
        self.now = 0.0
        self.session: dict[str, Any] = default_session(
            session_id, openai=self.quirks.openai_session
        )
        if self.quirks.transcribes_unasked:
            self.session["audio"]["input"]["transcription"] = {"model": DEFAULT_STT_MODEL}
        self.outbox = Outbox(new_id, legacy_names=self.quirks.legacy_names)
        self.output = OutputBuffer(self.outbox, with_response_id=self.quirks.buffer_response_id)
        self.conversation = Conversation(new_id)
        self.conversation_id = new_id("conv")
        self.turns = InputTurns()
        self.response: ResponseWriter | None = None
        self.asides: dict[str, ResponseWriter] = {}  # beside the conversation, by id
        self._unheard: dict[str, set[str]] = {}  # by response: turns whose words it waits for
        self._recognised = 0
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
    def answers(self) -> bool:
        """Whether the session is for talking, not only for writing down what is heard."""
        return self.session["type"] != "transcription"  # type: ignore[no-any-return]

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

    def retrieved(self, entry: Entry) -> dict[str, Any]:
        """Return an item as ``conversation.item.retrieve`` shows it: with its audio, if kept."""
        item = self.shown(entry.item)
        if entry.sound and isinstance(item.get("content"), list):
            for number, part in enumerate(item["content"]):
                if part.get("type") in ("input_audio", "output_audio"):
                    item["content"][number] = {**part, "audio": base64_text(bytes(entry.sound))}
                    break
        return item

    def writer(self, response_id: str | None) -> ResponseWriter | None:
        """Return the response under way of this id; None is the one in the conversation."""
        if self.response is not None and response_id in (None, self.response.id):
            return self.response
        return self.asides.get(response_id or "")

    def respond(self, overrides: Mapping[str, Any], unheard: Iterable[str] = ()) -> None:
        """Begin a response; there must be no active one, unless it stands beside the conversation.

        The brain is asked when the words of all turns so far are known; of a response with an input
        of its own, those of its items that are ``unheard``.
        """
        beside = overrides.get("conversation") == "none"
        if not beside:
            self._turn_due = self._tools_due = False
            self._open_calls.clear()
        self._responses += 1
        if self._responses == self.quirks.exhausted_at_response:
            self.outbox.emit_bare({"errorType": "SESSION_RESOURCES_EXHAUSTED"})
        writer = ResponseWriter(
            id=self.new_id("resp"),
            session=self.session,
            overrides=overrides,
            conversation_id=None if beside else self.conversation_id,
            conversation=Conversation(self.new_id) if beside else self.conversation,
            outbox=self.outbox,
            output_buffer=OutputBuffer() if beside else self.output,
            new_id=self.new_id,
            quirks=self.quirks,
        )
        if beside:
            self.asides[writer.id] = writer
        else:
            self.response = writer
        writer.open()
        if not beside:
            for feature in self.features:
                feature.response_began()
        if "input" not in overrides:
            unheard = (each.item_id for each in self.turns.awaited if not each.beside)
        waits_for = set(unheard)
        if waits_for:
            self._unheard[writer.id] = waits_for
        else:
            self._ask_brain(writer)

    def _ask_brain(self, writer: ResponseWriter) -> None:
        self.effects.append(
            Respond(
                response_id=writer.id,
                session=writer.session,
                items=self.conversation.items,
                overrides=writer.overrides,
            )
        )

    def end_response(
        self,
        status: str,
        *,
        response_id: str | None = None,
        details: Mapping[str, Any] | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> None:
        """End a response, the one in the conversation unless named, and begin one that is due."""
        writer = self.writer(response_id)
        if writer is None:
            return
        self._unheard.pop(writer.id, None)
        if self.asides.pop(writer.id, None) is not None:
            writer.close(status, now=self.now, details=details, usage=usage)
            return
        self.response = None
        writer.close(status, now=self.now, details=details, usage=usage)
        if status != "completed":
            self._open_calls.clear()  # nobody may run the tools of such a response
        late, self._late = self._late, []
        for tell in late:
            tell()
        for feature in self.features:
            feature.response_ended(status)
        self.respond_if_due()

    def cancel_response(self, reason: str, response_id: str | None = None) -> None:
        """End a response as cancelled, for ``turn_detected`` or ``client_cancelled``."""
        writer = self.writer(response_id)
        if writer is None:
            return
        if writer.id not in self._unheard:  # else nobody was asked yet
            self.effects.append(Stop(writer.id, reason))
        details = {"type": "cancelled", "reason": reason}
        self.end_response("cancelled", response_id=writer.id, details=details)

    def interrupt(self, now: float) -> None:
        """The caller speaks over the agent: end its response and what is left of its audio."""
        was_playing = self.output.is_playing(now)
        self.cancel_response("turn_detected")
        if was_playing:
            self.output.clear(now)
            self.effects.append(OutputCleared())

    def call(self, writer: ResponseWriter, name: str, arguments: str) -> None:
        call_id = writer.call(name, arguments)
        if writer is self.response:  # the output of any other has no place in the conversation
            self._open_calls.add(call_id)
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

    def commit_turn(self, *, answer: bool, from_ms: float, to_ms: float) -> str:
        """Make a user item of the input audio and return its id; its text is then awaited.

        The audio of the item lies between two positions of the timeline.
        """
        item_id = self.turns.item_id or self.conversation.reserve()
        self.turns.reset()
        awaited = Awaited(item_id, answer=answer, length_s=max(0.0, to_ms - from_ms) / 1000)
        self.turns.awaited.append(awaited)
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
        entry = self.conversation.append(item)
        recent = self.turns.recent
        self.conversation.keep(entry, recent.between(from_ms, to_ms), *recent.format)
        self.outbox.emit(
            se.ConversationItemAdded(item=item, previous_item_id=previous, extra=absent)
        )
        return item_id

    def turn_recognised(
        self, awaited: Awaited, text: str, *, answer_anyway: bool = False, failed: str | None = None
    ) -> None:
        """The text of a turn is known, or why it is not.

        ``answer_anyway`` holds for a turn without words too. What waits for these words goes on.
        """
        self._recognised += 1
        if self._recognised == self.quirks.transcription_fails_at:
            text, failed = "", failed or "the words could not be recognised, on purpose"
        entry = self.conversation.find(awaited.item_id)  # the client may have deleted it meanwhile
        if entry is not None:
            entry.item = _with_transcript(entry.item, text if failed is None else None)
        answered = answer_anyway or (awaited.answer and bool(text.strip()))
        active = self.response.id if self.response is not None else ""
        waited_for = awaited.item_id in self._unheard.get(active, ())
        self._turn_due = self._turn_due or (answered and not waited_for)
        tell = partial(self._tell_words, awaited, text, failed)
        if self.quirks.transcription == "before_response":
            tell()
        self._go_on(awaited.item_id, text)
        self.respond_if_due()
        if self.quirks.transcription == "after_created":
            tell()
        elif self.quirks.transcription == "after_done":
            self._late.append(tell) if self.response else tell()
        if not answered:
            for feature in self.features:
                feature.turn_unanswered()

    def _go_on(self, item_id: str, text: str) -> None:
        """The words of an item are known: ask the brain for what waited for them alone."""
        for response_id, unheard in tuple(self._unheard.items()):
            writer = self.writer(response_id)
            if writer is None or item_id not in unheard:
                continue
            unheard.discard(item_id)
            own = writer.overrides.get("input")
            if own is not None:
                own = [_with_transcript(i, text) if i.get("id") == item_id else i for i in own]
                writer.overrides = {**writer.overrides, "input": own}
            if not unheard:
                del self._unheard[response_id]
                self._ask_brain(writer)

    def _tell_words(self, awaited: Awaited, text: str, failed: str | None) -> None:
        item_id = awaited.item_id
        if awaited.beside:
            return
        if self.shows_transcripts:
            self.outbox.emit(_told_words(awaited, text, failed))
        entry = self.conversation.find(item_id)
        if entry is not None and not awaited.given:
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


def _with_transcript(item: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    """Return a user item with its words: in its first part with audio, none in the others."""
    content, told = [], text
    for part in item.get("content") or ():
        if part.get("type") == "input_audio":
            part, told = {**part, "transcript": told}, "" if text is not None else None
        content.append(part)
    return {**item, "content": content}


def _told_words(awaited: Awaited, text: str, failed: str | None) -> ServerEvent:
    about: dict[str, Any] = {"item_id": awaited.item_id, "content_index": awaited.content_index}
    if failed is not None:
        error = Error(type="server_error", code="transcription_failed", message=failed)
        return se.ConversationItemInputAudioTranscriptionFailed(**about, error=error)
    usage = {"type": "duration", "seconds": round(awaited.length_s, 3)}
    return se.ConversationItemInputAudioTranscriptionCompleted(
        **about, transcript=text, usage=usage
    )


@attrs.frozen(kw_only=True)
class Awaited:
    """A user item whose text is still being recognised, and how long its audio is.

    ``answer`` is whether its text makes the agent respond by itself. ``given``: the client made the
    item, with audio in its part ``content_index``; it was told already that the item is done.
    ``beside``: the item is a response's own input, and in no conversation.
    """

    item_id: str = attrs.field(kw_only=False)
    answer: bool = False
    given: bool = False
    beside: bool = False
    content_index: int = 0
    length_s: float = 0.0


RECENT_S = 20
"""Of a longer turn, ``conversation.item.retrieve`` gives the end."""


class RecentAudio:
    """The last of the caller's audio, to be cut out by positions on its timeline."""

    def __init__(self) -> None:
        self.format = "pcm16", DEFAULT_HZ
        self._data = bytearray()
        self._end_ms = 0.0

    def add(self, data: bytes, encoding: str, rate_hz: int, *, end_ms: float) -> None:
        """Whole samples came, which end at ``end_ms``; those of another format are forgotten."""
        if self.format != (encoding, rate_hz):
            self.format = encoding, rate_hz
            self._data.clear()
        self._data += data
        self._end_ms = end_ms
        most = RECENT_S * rate_hz * BYTES_PER_SAMPLE[encoding]
        if len(self._data) > 1.5 * most:  # seldom, as it moves what is kept
            del self._data[:-most]

    def between(self, from_ms: float, to_ms: float) -> bytes:
        """Return what is left of a stretch of the timeline."""
        encoding, rate_hz = self.format
        size = BYTES_PER_SAMPLE[encoding]
        length = len(self._data) // size
        first, last = (
            max(0, length - round((self._end_ms - at_ms) * rate_hz / 1000))
            for at_ms in (from_ms, to_ms)
        )
        return bytes(self._data[first * size : last * size])


@attrs.define
class InputTurns:
    """Plain state; ``item_id`` is that of the user item the present audio will become.

    ``appended`` is all audio ever received, ``buffered`` what of it is not committed; the speech
    under way began at ``began_ms`` of the former. ``utterances`` counts the turn suggestions made
    in this turn, ``suggested`` is whether the last of them still holds. ``told`` is what the client
    was told of the words of this turn.
    """

    appended: AudioLength = attrs.field(factory=AudioLength)
    buffered: AudioLength = attrs.field(factory=AudioLength)
    recent: RecentAudio = attrs.field(factory=RecentAudio)
    speaking: bool = False
    began_ms: float = 0.0
    item_id: str | None = None
    utterances: int = 0
    suggested: bool = False
    told: str = ""
    awaited: list[Awaited] = attrs.field(factory=list)
    _samples: WholeSamples = attrs.field(factory=WholeSamples)

    def count(self, data: bytes, encoding: str, rate_hz: int) -> None:
        """Count audio of the client's; half a sample counts when its other half has come."""
        whole = self._samples.take(data, encoding)
        n_samples = len(whole) // BYTES_PER_SAMPLE[encoding]
        self.appended.add(n_samples, rate_hz)
        self.buffered.add(n_samples, rate_hz)
        self.recent.add(whole, encoding, rate_hz, end_ms=self.appended.ms)

    def reset(self) -> None:
        """Forget the audio and speech that are not committed."""
        self.buffered.ticks, self.speaking, self.item_id = 0, False, None
        self.utterances, self.suggested, self.told = 0, False, ""

    def take(self, item_id: str | None) -> Awaited | None:
        """Remove and return the awaited item named, or without a name the oldest turn."""
        for awaited in self.awaited:
            if item_id == awaited.item_id or (item_id is None and not awaited.given):
                self.awaited.remove(awaited)
                return awaited
        return None

    @property
    def text_item_id(self) -> str | None:
        """The item that words heard now belong to."""
        turns = (awaited.item_id for awaited in self.awaited if not awaited.given)
        return self.item_id or next(turns, None)

    @property
    def busy(self) -> bool:
        """Whether a turn is under way that will be answered, so that no response should begin."""
        return self.speaking or any(awaited.answer for awaited in self.awaited)
