"""What a server does with each event of its client.

A handler changes the state and queues events; it raises Rejected to refuse, before it has changed
anything. ``HANDLERS`` is the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import decode_audio
from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE, WholeSamples, audio_format
from voxpy.wire.realtime.events.problems import InvalidValue, Rejected, excerpt
from voxpy.wire.realtime.events.session import (
    flat_voice,
    from_beta,
    ignored,
    merge,
    response_overrides,
)
from voxpy.wire.realtime.events.types import ClientEvent, nulls
from voxpy.wire.realtime.server.effects import (
    AudioReceived,
    Ignored,
    InputCleared,
    InputCommitted,
    ItemAudio,
    OutputCleared,
    SessionChanged,
)
from voxpy.wire.realtime.server.state import Awaited, ServerState

MAX_APPEND_BYTES = 15 * 1024 * 1024
"""OpenAI's limit for the audio of one append; no number of Inworld's is known."""

MOST_ASIDES = 8
"""Responses beside the conversation at once: our own bound, the services name none."""

MIN_COMMIT_S = 0.1
"""OpenAI refuses to commit less."""

Handler = Callable[[ServerState, Any, float], None]

_ROLES: Mapping[str, tuple[str, ...]] = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio", "text", "audio"),
}


def _session_update(state: ServerState, event: ce.SessionUpdate, _now: float) -> None:
    update = from_beta(event.session) if state.quirks.beta_fields else event.session
    state.session = merge(state.session, update, openai_stt=state.quirks.openai_stt_models)
    _tell_ignored(state, event, ignored(update, state.session, "session"))
    state.outbox.emit(se.SessionUpdated(session=state.session))
    state.effects.append(SessionChanged(state.session))


def _append(state: ServerState, event: ce.InputAudioBufferAppend, _now: float) -> None:
    data = _decoded(event.audio, "audio")
    encoding, rate_hz = audio_format(state.session, "input")
    state.turns.count(data, encoding, rate_hz)
    state.effects.append(AudioReceived(data))


def _commit(state: ServerState, _event: ce.InputAudioBufferCommit, _now: float) -> None:
    buffered_s = state.turns.buffered.s
    if buffered_s < MIN_COMMIT_S:
        raise Rejected(
            "input_audio_buffer_commit_empty",
            "Error committing input audio buffer: buffer too small. Expected at least "
            f"{MIN_COMMIT_S * 1000:.0f}ms of audio, but buffer only has {buffered_s * 1000:.2f}ms.",
        )
    state.end_speech()
    end_ms = state.turns.appended.ms
    from_ms = end_ms - state.turns.buffered.ms
    item_id = state.commit_turn(answer=False, from_ms=from_ms, to_ms=end_ms)
    state.effects.append(InputCommitted(item_id))


def _clear(state: ServerState, _event: ce.InputAudioBufferClear, _now: float) -> None:
    state.end_speech()
    state.turns.reset()
    state.outbox.emit(se.InputAudioBufferCleared())
    state.effects.append(InputCleared())
    state.respond_if_due()


def _create_item(state: ServerState, event: ce.ConversationItemCreate, _now: float) -> None:
    _check_item(state, event.item)
    item, heard = _split(event.item, "item")
    entry, previous = state.conversation.insert(item, after=event.previous_item_id)
    told: dict[str, Any] = {
        "item": state.shown(entry.item),
        "previous_item_id": previous,
        "extra": nulls(previous_item_id=previous),
    }
    state.outbox.emit(se.ConversationItemAdded(**told))
    state.outbox.emit(se.ConversationItemDone(**told))
    if item["type"] == "function_call_output":
        state.tool_answered(item["call_id"])
    if heard:
        encoding, rate_hz = audio_format(state.session, "input")
        state.conversation.keep(entry, _whole(heard, encoding), encoding, rate_hz)
        _listen_to(state, entry.id, heard)


def _split(item: Mapping[str, Any], place: str) -> tuple[Mapping[str, Any], dict[int, bytes]]:
    """Return an item without its audio, and the audio of the parts whose words are not known.

    A base64 text of megabytes has no place in what the brain is shown.
    """
    if item.get("type") != "message" or not isinstance(item.get("content"), list):
        return item, {}
    parts = [{n: v for n, v in part.items() if n != "audio"} for part in item["content"]]
    heard = {
        index: _decoded(part["audio"], f"{place}.content[{index}].audio")
        for index, part in enumerate(item["content"])
        if part.get("type") == "input_audio" and part.get("audio") and not part.get("transcript")
    }
    return {**item, "content": parts}, heard


def _whole(heard: Mapping[int, bytes], encoding: str) -> bytes:
    return WholeSamples().take(b"".join(heard.values()), encoding)


def _listen_to(
    state: ServerState, item_id: str, heard: Mapping[int, bytes], *, beside: bool = False
) -> None:
    """Have an item's audio transcribed; several parts of it are heard as one."""
    encoding, rate_hz = audio_format(state.session, "input")
    data = _whole(heard, encoding)
    state.turns.awaited.append(
        Awaited(
            item_id,
            given=True,
            beside=beside,
            content_index=next(iter(heard)),
            length_s=len(data) / (BYTES_PER_SAMPLE[encoding] * rate_hz),
        )
    )
    state.effects.append(ItemAudio(item_id=item_id, data=data, encoding=encoding, rate_hz=rate_hz))


def _decoded(text: str, place: str) -> bytes:
    data = decode_audio(text, f"$.{place}")
    if len(data) > MAX_APPEND_BYTES:
        raise InvalidValue(place, f"{len(data)} bytes at once; at most {MAX_APPEND_BYTES}")
    return data


def _check_item(state: ServerState, item: Mapping[str, Any]) -> None:
    match item.get("type"):
        case "message":
            _check_message(item)
        case "function_call":
            _require(item, "name", "call_id", "arguments")
        case "function_call_output":
            _require(item, "call_id", "output")
            if not state.conversation.has_call(item["call_id"]):
                message = f"there is no function call {excerpt(item['call_id'])}"
                raise InvalidValue("item.call_id", message)
        case "mcp_approval_response":
            _require(item, "approval_request_id")
        case other:
            known = "message, function_call, function_call_output, mcp_approval_response"
            raise InvalidValue("item.type", f"expected one of {known}, not {excerpt(other)}")


def _require(item: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(item.get(name), str):
            raise InvalidValue(f"item.{name}", f"expected a string, not {excerpt(item.get(name))}")


def _check_message(item: Mapping[str, Any]) -> None:
    role = str(item.get("role"))
    if role not in _ROLES:
        raise InvalidValue("item.role", f"expected one of {', '.join(_ROLES)}, not {role!r:.70}")
    if not isinstance(item.get("content"), list):
        raise InvalidValue("item.content", "expected an array of content parts")
    for index, part in enumerate(item["content"]):
        if part.get("type") not in _ROLES[role]:
            allowed = ", ".join(_ROLES[role])
            raise InvalidValue(
                f"item.content[{index}].type",
                f"expected one of {allowed} for the role {role}, not {excerpt(part.get('type'))}",
            )


def _truncate(state: ServerState, event: ce.ConversationItemTruncate, _now: float) -> None:
    content_index = event.content_index or 0
    state.conversation.truncate(
        event.item_id, content_index=content_index, audio_end_ms=event.audio_end_ms
    )
    state.outbox.emit(
        se.ConversationItemTruncated(
            item_id=event.item_id, content_index=content_index, audio_end_ms=event.audio_end_ms
        )
    )


def _delete(state: ServerState, event: ce.ConversationItemDelete, _now: float) -> None:
    state.conversation.delete(event.item_id)
    state.outbox.emit(se.ConversationItemDeleted(item_id=event.item_id))


def _retrieve(state: ServerState, event: ce.ConversationItemRetrieve, _now: float) -> None:
    entry = state.conversation.get(event.item_id, verb="retrieve")
    state.outbox.emit(se.ConversationItemRetrieved(item=state.retrieved(entry)))


def _respond(state: ServerState, event: ce.ResponseCreate, _now: float) -> None:
    asked: Mapping[str, Any] = event.response or {}
    if state.quirks.beta_fields:
        asked = from_beta(asked, response=True)
    elif state.quirks.openai_session:
        asked = flat_voice(asked)
    overrides = response_overrides(asked)
    if overrides.get("conversation") == "none":
        if len(state.asides) >= MOST_ASIDES:
            message = f"{MOST_ASIDES} responses run beside the conversation: wait for one of them."
            raise Rejected("too_many_responses", message)
    elif state.response is not None:
        raise Rejected(
            "conversation_already_has_active_response",
            f"Conversation already has an active response in progress: {state.response.id}. "
            "Wait until it is finished before creating another.",
        )
    sounds: dict[str, dict[int, bytes]] = {}
    if "input" in overrides:
        overrides["input"] = [
            _own_input(state, item, f"response.input[{n}]", sounds)
            for n, item in enumerate(overrides["input"])
        ]
    _tell_ignored(state, event, ignored(asked, overrides, "response"))
    state.respond(overrides, unheard=sounds)
    for item_id, heard in sounds.items():
        _listen_to(state, item_id, heard, beside=True)


def _own_input(
    state: ServerState, item: Mapping[str, Any], place: str, sounds: dict[str, dict[int, bytes]]
) -> Mapping[str, Any]:
    """Return an item of a response's own input, which may be one of the conversation's.

    Its audio goes to ``sounds``, under an id by which its words will find it.
    """
    if item.get("type") != "item_reference":
        item, heard = _split(item, place)
        if heard:
            item = {**item, "id": state.conversation.reserve()}
            sounds[item["id"]] = heard
        return item
    entry = state.conversation.find(str(item.get("id")))
    if entry is None:
        raise InvalidValue(f"{place}.id", f"there is no item {excerpt(item.get('id'))}")
    return entry.item


def _tell_ignored(state: ServerState, event: ClientEvent, places: Iterable[str]) -> None:
    known = (*places, *(name for name, value in event.extra.items() if value is not None))
    if known:
        state.effects.append(Ignored(event.type, known))


def _cancel(state: ServerState, event: ce.ResponseCancel, _now: float) -> None:
    active = state.writer(event.response_id)
    if active is None:
        message = "Cancellation failed: no active response found"
        raise Rejected("response_cancel_not_active", message)
    state.cancel_response("client_cancelled", active.id)


def _clear_output(state: ServerState, _event: ce.OutputAudioBufferClear, now: float) -> None:
    state.output.clear(now)
    state.effects.append(OutputCleared())


HANDLERS: Mapping[type[ClientEvent], Handler] = {
    ce.SessionUpdate: _session_update,
    ce.InputAudioBufferAppend: _append,
    ce.InputAudioBufferCommit: _commit,
    ce.InputAudioBufferClear: _clear,
    ce.ConversationItemCreate: _create_item,
    ce.ConversationItemTruncate: _truncate,
    ce.ConversationItemDelete: _delete,
    ce.ConversationItemRetrieve: _retrieve,
    ce.ResponseCreate: _respond,
    ce.ResponseCancel: _cancel,
    ce.OutputAudioBufferClear: _clear_output,
}
"""What is done with each event, by its class."""
