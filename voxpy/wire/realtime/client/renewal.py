"""What a client must know to move a session to another connection: whose turn it is, what was said.

Two small followers of the server's events. ``Floor`` says when nobody would notice the move: the
caller is silent, the agent owes no answer. ``History`` keeps the conversation as messages, to be
told to the session that takes over. Messages only: function calls and their outputs belong to the
session that made them. Audio becomes its transcript. What of the agent's words was not heard is
left out, if somebody says so with ``heard``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import ConversationItemCreate
from voxpy.wire.realtime.events.types import ServerEvent, item_text

ANSWER_WITHIN_S = 8.0
"""A turn that got no response by then gets none (``create_response`` false, or a manual commit)."""


class Floor:
    """Follows a session; ``now`` is seconds on any clock that does not go back."""

    def __init__(self) -> None:
        self._speaking = False
        self._responding = False
        self._answer_due_until = float("-inf")

    def is_free(self, now: float) -> bool:
        """Return whether nobody speaks, no response is under way and none is owed."""
        return not self._speaking and not self._responding and now >= self._answer_due_until

    def follow(self, event: ServerEvent, now: float) -> None:
        match event:
            case se.InputAudioBufferSpeechStarted():
                self._speaking = True
            case se.InputAudioBufferSpeechStopped() | se.InputAudioBufferCommitted():
                self._speaking = False
                self._answer_due_until = now + ANSWER_WITHIN_S
            case se.InputAudioBufferCleared():
                self._speaking = False
            case se.ResponseCreated():
                self._responding = True
                self._answer_due_until = float("-inf")
            case se.ResponseDone():
                self._responding = False
            case se.ConversationItemInputAudioTranscriptionFailed():
                self._answer_due_until = float("-inf")
            case se.ConversationItemInputAudioTranscriptionCompleted():
                if not event.transcript.strip():
                    self._answer_due_until = float("-inf")


KEPT_MESSAGES = 200
"""A hundred turns: more than a phone call has. The oldest are forgotten first."""

KEPT_EARLY = 16
"""Transcripts that came before their item."""


@attrs.define(eq=False)
class _Message:
    item: Mapping[str, Any]
    transcript: str | None = None
    heard: str | None = None


class History:
    """The messages of a session, oldest first."""

    def __init__(self) -> None:
        self._messages: dict[str, _Message] = {}
        self._early: dict[str, str] = {}

    def follow(self, event: ServerEvent) -> None:
        match event:
            case se.ConversationItemAdded() | se.ConversationItemDone():
                self._put(event.item, event.previous_item_id)
            case se.ConversationItemInputAudioTranscriptionCompleted():
                self._transcribed(event.item_id, event.transcript)
            case se.ConversationItemDeleted():
                self._messages.pop(event.item_id, None)

    def heard(self, item_id: str, text: str) -> None:
        """Of this item, the listener heard ``text`` and no more."""
        if item_id in self._messages:
            self._messages[item_id].heard = text

    def replay(self) -> list[ConversationItemCreate]:
        """Return the events that make these messages anew, under their old ids, in order."""
        events = []
        for item_id, message in self._messages.items():
            content = _content(message)
            if content:
                role = message.item["role"]
                item = {"id": item_id, "type": "message", "role": role, "content": content}
                events.append(ConversationItemCreate(item=item))
        return events

    def _put(self, item: Mapping[str, Any], previous_item_id: str | None) -> None:
        item_id = item.get("id")
        if item.get("type") != "message" or not item_id:
            return
        known = self._messages.get(item_id)
        if known is not None:
            known.item = item
            return
        message = _Message(item, transcript=self._early.pop(item_id, None))
        self._insert(item_id, message, after=previous_item_id)

    def _insert(self, item_id: str, message: _Message, *, after: str | None) -> None:
        # Null means the head in OpenAI's protocol, but Inworld sends it where it does not: the end
        # is the likelier place.
        ids = list(self._messages)
        self._messages[item_id] = message
        if after in self._messages and after != ids[-1]:
            following = ids[ids.index(after) + 1 :]
            for each in following:
                self._messages[each] = self._messages.pop(each)
        if len(self._messages) > KEPT_MESSAGES:
            del self._messages[next(iter(self._messages))]

    def _transcribed(self, item_id: str, text: str) -> None:
        if item_id in self._messages:
            self._messages[item_id].transcript = text
            return
        self._early[item_id] = text
        if len(self._early) > KEPT_EARLY:
            del self._early[next(iter(self._early))]


def _content(message: _Message) -> list[dict[str, Any]]:
    if message.item.get("role") == "assistant":
        text = item_text(message.item) if message.heard is None else message.heard
        return [{"type": "output_text", "text": text}] if text.strip() else []
    parts = (_input(part, message.transcript) for part in message.item.get("content") or ())
    return [part for part in parts if part is not None]


def _input(part: Mapping[str, Any], transcript: str | None) -> dict[str, Any] | None:
    if part.get("type") == "input_image":
        return dict(part)
    text = part.get("text") or transcript or part.get("transcript") or ""
    return {"type": "input_text", "text": text} if text.strip() else None
