"""Events a client sends: the eleven that Inworld documents, named as on the wire.

Field types are the wire's: milliseconds are numbers, audio is base64 text. A field that may be
missing defaults to None, and None is not sent. A new event is one class here and nothing else.
"""

# No "from __future__ import annotations" here: the codec reads the field types of these classes.
from typing import ClassVar

from voxpy.wire.realtime.events.types import ClientEvent, Item, JsonObject, events_among, wire_event


@wire_event
class SessionUpdate(ClientEvent):
    """Change part of the session: what is absent stays, null and empty values clear."""

    type: ClassVar[str] = "session.update"
    session: JsonObject


@wire_event
class InputAudioBufferAppend(ClientEvent):
    """Caller audio, base64 in the session's input format. Not acknowledged."""

    type: ClassVar[str] = "input_audio_buffer.append"
    audio: str


@wire_event
class InputAudioBufferCommit(ClientEvent):
    """Make a user item of the audio appended so far. Creates no response."""

    type: ClassVar[str] = "input_audio_buffer.commit"


@wire_event
class InputAudioBufferClear(ClientEvent):
    """Forget the audio that is not committed yet."""

    type: ClassVar[str] = "input_audio_buffer.clear"


@wire_event
class ConversationItemCreate(ClientEvent):
    """Add an item after ``previous_item_id``; ``root`` is the head, absent the end."""

    type: ClassVar[str] = "conversation.item.create"
    item: Item
    previous_item_id: str | None = None


@wire_event
class ConversationItemTruncate(ClientEvent):
    """Cut the audio of an assistant item to what was heard, ``audio_end_ms`` of it."""

    type: ClassVar[str] = "conversation.item.truncate"
    item_id: str
    content_index: int | None = None
    audio_end_ms: float


@wire_event
class ConversationItemDelete(ClientEvent):
    """Remove an item."""

    type: ClassVar[str] = "conversation.item.delete"
    item_id: str


@wire_event
class ConversationItemRetrieve(ClientEvent):
    """Ask for an item as the server has it."""

    type: ClassVar[str] = "conversation.item.retrieve"
    item_id: str


@wire_event
class ResponseCreate(ClientEvent):
    """Ask for one response; ``response`` overrides the session for this response only."""

    type: ClassVar[str] = "response.create"
    response: JsonObject | None = None


@wire_event
class ResponseCancel(ClientEvent):
    """Stop the response named, or the active one."""

    type: ClassVar[str] = "response.cancel"
    response_id: str | None = None


@wire_event
class OutputAudioBufferClear(ClientEvent):
    """Drop the agent's audio that is not out yet, back-channel included."""

    type: ClassVar[str] = "output_audio_buffer.clear"


CLIENT_EVENTS = events_among(globals(), ClientEvent)
"""The class of every client event, by its name on the wire."""
