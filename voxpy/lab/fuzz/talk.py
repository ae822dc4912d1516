"""What a scenario told its realtime clients, read from the trace: greetings, results, goodbyes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from voxpy.engine.trace import Entry, as_json

__all__ = ["repeated_openings", "twice_answered", "unclosed_clients"]

AGAIN_WITHIN_S = 3.0
"""Later than that, without a word of the caller's, it may be meant: somebody fell silent."""
AGAIN = (
    "asked for the greeting again, with the same words; SessionUpdated comes more than once in a "
    "session"
)
FRAMEWORK = frozenset({"SessionCreated", "SessionUpdated"})

Told = Iterator[tuple[float, str]]


@attrs.define
class _Opening:
    """How a client made the agent speak first: the items before its first response.create."""

    items: list[bytes] = attrs.field(factory=list)
    first: tuple[bytes, ...] | None = None
    at_s: float = 0.0
    spoken: bool = False
    """Whether the caller, or a tool, has said anything since."""
    configured_s: float | None = None
    """When the service last told of the session."""

    def asks(self, payload: bytes, at_s: float) -> bool:
        """Take a response.create; return whether it greets once more."""
        trigger, self.items = (*self.items, payload), []
        if self.first is None:
            self.first, self.at_s = trigger, at_s
            return False
        if trigger != self.first:
            self.spoken = True  # the talk has moved on
            return False
        at_once = not self.spoken and at_s - self.at_s < AGAIN_WITHIN_S
        # Opening words again in answer to no more than the service's news of the session.
        return at_once or (self.configured_s == at_s and at_s > self.at_s)


def repeated_openings(entries: Sequence[Entry]) -> Told:
    """Yield where a client asked once more for the very response it had opened the call with.

    The same words are asked for again either at once, before the caller has said anything, or
    in the moment of another SessionCreated or SessionUpdated.
    """
    openings: dict[str, _Opening] = {}
    for entry in entries:
        opening = openings.setdefault(entry.unit, _Opening())
        short = entry.name.rpartition(".")[2]
        if entry.kind == "event" and short in FRAMEWORK:
            opening.configured_s = entry.t
        elif entry.kind == "event" and short == "InputAudioBufferSpeechStarted":
            opening.spoken = True
        elif entry.kind == "command" and entry.name == "conversation.item.create":
            opening.items.append(_content(entry))
            opening.spoken |= _is_output(entry)
        elif (
            entry.kind == "command"
            and entry.name == "response.create"
            and opening.asks(_content(entry), entry.t)
        ):
            yield entry.t, f"{entry.unit} {AGAIN}"


def twice_answered(entries: Sequence[Entry]) -> Told:
    """Yield where the result of a tool call was sent a second time."""
    answered: set[tuple[str, str]] = set()
    for entry in entries:
        call_id = _answers(entry)
        if call_id is None:
            continue
        if (entry.unit, call_id) in answered:
            yield entry.t, f"the result of tool call {call_id} was sent twice"
        answered.add((entry.unit, call_id))


def unclosed_clients(entries: Sequence[Entry]) -> Told:
    """Yield clients that a scenario used and left for the end of the session to close.

    One whose connection was closed or lost before that is no longer there to be closed.
    """
    used: dict[str, float] = {}
    gone: set[str] = set()
    for entry in entries:
        if entry.kind == "session" and entry.name == "ending":
            break
        if entry.kind == "command" and entry.name in ("session.update", "response.create"):
            used.setdefault(entry.unit, entry.t)
        elif entry.name in ("RealtimeAPIClient.close", "websocket closed"):
            gone.add(entry.unit)
    for unit, at_s in used.items():
        if unit not in gone:
            yield at_s, f"{unit} is never closed: call its close() before VoxEngine.terminate()"


def _answers(entry: Entry) -> str | None:
    """Return the id of the tool call that an entry sends the result of."""
    if entry.kind == "step" and entry.name == "tool answered":
        return str(entry.data.get("call_id", ""))
    if entry.kind == "command" and entry.name == "conversation.item.create" and _is_output(entry):
        return str(_item(entry).get("call_id", ""))
    return None


def _is_output(entry: Entry) -> bool:
    return _item(entry).get("type") == "function_call_output"


def _item(entry: Entry) -> Mapping[str, Any]:
    payload = entry.personal.get("payload")
    item = payload.get("item") if isinstance(payload, Mapping) else None
    return item if isinstance(item, Mapping) else {}


def _content(entry: Entry) -> bytes:
    """Return what was sent, without the ids that make any two events differ."""
    payload = dict(entry.personal.get("payload") or {})
    payload.pop("event_id", None)
    item = payload.get("item")
    if isinstance(item, Mapping):
        payload["item"] = {key: value for key, value in item.items() if key != "id"}
    return as_json(payload)
