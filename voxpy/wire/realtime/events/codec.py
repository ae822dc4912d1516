"""JSON text to events and back.

Parsing raises RemoteProtocolError (its subclass MalformedEvent) and nothing else, whatever comes.
The way of a frame::

    text ──load──▶ dict ──server_event──▶ an event of its class, or Unknown
                    └──▶ logs, payloads of listeners: the same object, never read again

How a class stands on the wire (``_Shape``) is worked out once, from the types of its attrs fields:
each type is a rule (``rules.py``), "or None" makes the field optional, a default makes it one that
may be missing. What a class has no field for goes into ``extra`` and out again, so that an event
that is passed on loses nothing; so does an explicit null of an optional field, because null and
absent differ on this wire (``previous_item_id: null`` is the head, absent the end).

Tolerant where services are known to be sloppy: an ``error`` whose message stands beside the error
object or in place of it, the names of the beta, ``2.0`` for 2, base64 of any kind. Strict where a
wrong guess would hide a fault: a missing field that somebody needs, a field of another kind.

Only audio has a path of its own, without rules or loops: it is nearly all of the traffic.
"""

from __future__ import annotations

import binascii
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from voxpy.errors import LocalProtocolError
from voxpy.text import json
from voxpy.wire.realtime.events import rules
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import CLIENT_EVENTS, InputAudioBufferAppend
from voxpy.wire.realtime.events.problems import InvalidValue, MalformedEvent, excerpt
from voxpy.wire.realtime.events.types import ClientEvent, Error, ServerEvent, Unknown, WireEvent

LEGACY_NAMES: Mapping[str, type[ServerEvent]] = {
    "response.audio.delta": se.ResponseOutputAudioDelta,
    "response.audio.done": se.ResponseOutputAudioDone,
    "response.audio_transcript.delta": se.ResponseOutputAudioTranscriptDelta,
    "response.audio_transcript.done": se.ResponseOutputAudioTranscriptDone,
    "response.text.delta": se.ResponseOutputTextDelta,
    "response.text.done": se.ResponseOutputTextDone,
    "conversation.item.created": se.ConversationItemAdded,
}
"""Beta spellings: understood, never sent. Inworld has shipped both."""

_SERVER: dict[str, type[WireEvent]] = {**se.SERVER_EVENTS, **LEGACY_NAMES}
_CLIENT: dict[str, type[WireEvent]] = {**CLIENT_EVENTS}
AUDIO_DELTAS = ("response.output_audio.delta", "response.audio.delta")
"""Names of the event that carries agent audio. A tuple: ``in`` must bear a type that is a list."""

_AUDIO_DELTA_FIELDS = 7  # type, event_id, response_id, item_id, both indices, delta
_NO_EXTRA: Mapping[str, Any] = types.MappingProxyType({})


def parse_server(text: str | bytes) -> ServerEvent:
    """Return the event in a frame a server sent; an unknown type gives ``Unknown``.

    Raises RemoteProtocolError if the frame is not a JSON object with a ``type``, or a field of a
    known event is missing or of the wrong kind. The message carries the JSON path.
    """
    return server_event(load(text))


def server_event(raw: dict[str, Any]) -> ServerEvent:
    """Return the event in a frame that ``load`` has read; as parse_server."""
    if len(raw) == _AUDIO_DELTA_FIELDS and raw.get("type") in AUDIO_DELTAS:
        delta = _audio_delta(raw)
        if delta is not None:
            return delta
    return typing.cast("ServerEvent", _parse(raw, _SERVER))


def parse_client(text: str | bytes) -> ClientEvent:
    """Return the event in a frame a client sent; as parse_server in every other way."""
    raw = load(text)
    if len(raw) == 2 and raw.get("type") == "input_audio_buffer.append":
        audio = raw.get("audio")
        if type(audio) is str:
            return InputAudioBufferAppend(audio=audio)
    return typing.cast("ClientEvent", _parse(raw, _CLIENT))


def _audio_delta(raw: dict[str, Any]) -> se.ResponseOutputAudioDelta | None:
    """Build the commonest event of all without a loop; None for anything out of the ordinary."""
    event_id, response_id = raw.get("event_id"), raw.get("response_id")
    item_id, delta = raw.get("item_id"), raw.get("delta")
    output_index, content_index = raw.get("output_index"), raw.get("content_index")
    if (
        type(delta) is str
        and type(event_id) is str
        and type(response_id) is str
        and type(item_id) is str
        and type(output_index) is int
        and type(content_index) is int
    ):
        return se.ResponseOutputAudioDelta(
            event_id=event_id,
            response_id=response_id,
            item_id=item_id,
            output_index=output_index,
            content_index=content_index,
            delta=delta,
        )
    return None


def load(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a frame, nothing in it checked; raises RemoteProtocolError.

    The one place where a frame is parsed: what this returns is handed on, to ``server_event``, to
    logs and to whoever listens, and must not be changed.
    """
    try:
        raw = json.loads(text)
    except json.TooDeep as exc:
        raise MalformedEvent("$", str(exc), code="invalid_value") from exc
    except ValueError as exc:
        problem = f"not JSON ({exc}): {excerpt(text)}"
        raise MalformedEvent("$", problem, code="invalid_json") from exc
    if not isinstance(raw, dict):
        raise MalformedEvent("$", f"expected an object, not {excerpt(raw)}")
    return raw


def _parse(raw: dict[str, Any], classes: Mapping[str, type[WireEvent]]) -> WireEvent:
    try:
        name = _name(raw)
        cls: Any = classes.get(name)
        if cls is not None:
            told = _with_error(raw) if name == "error" else raw
            return typing.cast("WireEvent", _shape(cls).build(told))
    except InvalidValue as exc:
        malformed = MalformedEvent(exc.param or "$", exc.problem)
        malformed.event_id = _event_id(raw)
        raise malformed from exc
    except MalformedEvent as exc:
        exc.event_id = _event_id(raw)
        raise
    return Unknown(raw, event_id=_event_id(raw))  # type: ignore[call-arg]  # from wire_event


def _with_error(raw: dict[str, Any]) -> dict[str, Any]:
    """Give an ``error`` frame its error object where Inworld put the message at the top level."""
    error = raw.get("error")
    message = raw.get("message")
    if not isinstance(message, str) or (isinstance(error, dict) and error.get("message")):
        return raw
    if error is None or isinstance(error, dict):
        return {**raw, "error": {**(error or {}), "message": message}}
    return raw


def _event_id(raw: Mapping[str, Any]) -> str | None:
    event_id = raw.get("event_id")
    return event_id if isinstance(event_id, str) else None


def _name(raw: dict[str, Any]) -> str:
    if "type" not in raw:
        fields = excerpt(", ".join(raw))
        problem = f"The 'type' field is missing. The frame has {fields}"
        raise MalformedEvent("$", problem, code="invalid_event")
    return rules.string(None, raw["type"], "$.type")


@attrs.frozen(kw_only=True)
class _Field:
    name: str
    wire: str
    rule: rules.Rule
    required: bool
    optional: bool


@attrs.frozen
class _Shape:
    """How the fields of one class stand on the wire."""

    cls: Any
    fields: Mapping[str, _Field]
    required: tuple[_Field, ...]

    def build(self, raw: Mapping[str, Any], path: str = "$") -> Any:
        """Return an instance made of a JSON object; raises MalformedEvent."""
        known: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in raw.items():
            field = self.fields.get(key)
            if field is None or (value is None and field.optional):
                extra[key] = value
            else:
                known[field.name] = field.rule(None, value, f"{path}.{key}")
        self._check_complete(known, path)
        if "type" not in self.fields:  # an event: its class says its type
            extra.pop("type", None)
        return self.cls(**known, extra=extra or _NO_EXTRA)

    def _check_complete(self, known: dict[str, Any], path: str) -> None:
        for field in self.required:
            if field.name not in known:
                where, problem = f"{path}.{field.wire}", "missing, and needed"
                raise MalformedEvent(where, problem, code="missing_required_parameter")


@functools.cache
def _shape(cls: Any) -> _Shape:
    fields = {f.wire: f for f in (_field(a) for a in attrs.fields(cls) if a.name != "extra")}
    return _Shape(cls, fields, tuple(f for f in fields.values() if f.required))


def _field(attribute: Any) -> _Field:
    kinds = [attribute.type]
    if typing.get_origin(attribute.type) in (types.UnionType, typing.Union):
        kinds = list(typing.get_args(attribute.type))
    return _Field(
        name=attribute.name,
        wire=attribute.metadata.get("wire", attribute.name),
        rule=_rule_for(kinds[0]),
        required=attribute.default is attrs.NOTHING,
        optional=types.NoneType in kinds,
    )


def _rule_for(kind: Any) -> rules.Rule:
    if typing.get_origin(kind) is typing.Annotated:
        return typing.cast("rules.Rule", kind.__metadata__[0])
    return _RULES[kind]


def _error(_current: Any, value: Any, path: str) -> Error:
    """Read an ``error`` object; one that is mere text is taken for its message."""
    fields = {"message": value} if isinstance(value, str) else rules.json_object(None, value, path)
    if not isinstance(fields.get("message"), str):
        fields = {**fields, "message": str(fields.get("code") or fields.get("type") or "")}
    return typing.cast("Error", _shape(Error).build(fields, path))


_RULES: Mapping[Any, rules.Rule] = {
    str: rules.string,
    int: rules.any_integer,
    float: rules.any_number,
    Error: _error,
}


def encode(event: WireEvent, *, event_id: str | None = None) -> bytes:
    """Return the frame for an event, ``event_id`` put in place of its own if given.

    Raises LocalProtocolError if a value in it is not JSON.
    """
    fields = dict(event.raw) if isinstance(event, Unknown) else _as_json(event)
    if event_id is not None:
        fields["event_id"] = event_id
    try:
        return orjson.dumps(fields, default=_plain)
    except TypeError as exc:
        raise LocalProtocolError(f"{event.type} cannot be written as JSON: {exc}") from exc


def _as_json(event: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": event.type} if isinstance(event, WireEvent) else {}
    cls: Any = type(event)
    for wire, field in _shape(cls).fields.items():
        value = getattr(event, field.name)
        if value is not None:
            fields[wire] = _as_json(value) if isinstance(value, Error) else value
    for name, value in event.extra.items():
        fields.setdefault(name, value)
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is not JSON")


def encode_append(audio: bytes) -> bytes:
    """Return the frame that appends ``audio``, which is in the session's input format."""
    return b'{"type":"input_audio_buffer.append","audio":"%b"}' % binascii.b2a_base64(
        audio, newline=False
    )


def encode_audio_delta(audio: bytes, *, event_id: str, part: bytes) -> bytes:
    """Return a ``response.output_audio.delta`` frame.

    ``part`` is JSON text without its braces: the ids and indices, the same for every delta.
    """
    return b'{"type":"response.output_audio.delta","event_id":%b,%b,"delta":"%b"}' % (
        orjson.dumps(event_id),
        part,
        binascii.b2a_base64(audio, newline=False),
    )


def base64_text(audio: bytes) -> str:
    """Return audio as it stands in a JSON field."""
    return binascii.b2a_base64(audio, newline=False).decode("ascii")


def decode_audio(text: str, path: str) -> bytes:
    """Return the bytes of a base64 field; raises MalformedEvent naming ``path``.

    Padding may be missing, lines may be wrapped, and the alphabet may be that of URLs: what is
    meant is plain, and a caller who hears nothing has no use for a lesson.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one, and non-ASCII text gives a plain one
        compact = "".join(text.split()).translate(_FROM_URL_ALPHABET).rstrip("=")
    padding = "=" * (-len(compact) % 4)
    try:
        return binascii.a2b_base64(compact + padding or text, strict_mode=True)
    except ValueError as exc:
        problem = f"not base64 ({exc}): {excerpt(text)}"
        raise MalformedEvent(path, problem, code="invalid_value") from exc


_FROM_URL_ALPHABET = str.maketrans("-_", "+/")
