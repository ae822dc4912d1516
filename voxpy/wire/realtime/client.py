"""The client's side of a realtime session, without a socket.

Three kinds of agent audio must not reach the caller: late deltas of a response that was cancelled,
and, after we asked the server to clear its output, everything it had sent before it did so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.errors import LocalProtocolError, nearest
from voxpy.wire.realtime import server_events as se
from voxpy.wire.realtime.client_events import CLIENT_EVENTS
from voxpy.wire.realtime.codec import AUDIO_DELTAS, decode_audio, encode, load, server_event
from voxpy.wire.realtime.session import BYTES_PER_SAMPLE, audio_format
from voxpy.wire.realtime.types import ClientEvent, Error, ServerEvent, Unknown

__all__ = ["Audio", "RealtimeClient", "is_benign"]

KEPT_ITEMS = 64
"""Items whose length is remembered. Only the last few can still be playing."""

KEPT_RESPONSES = 16
"""Ended responses whose late audio is recognised."""


@attrs.frozen
class Audio:
    """Agent audio in the session's output format, decoded.

    A back-channel ("uh-huh") belongs to no response: ``response_id`` is empty then and ``item_id``
    its own id.
    """

    response_id: str
    item_id: str
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    backchannel: bool = False


class RealtimeClient:
    """What a client knows of its session from the frames that went by."""

    def __init__(self) -> None:
        self._session: Mapping[str, Any] = {}
        self._ready = False
        self._active_response_id: str | None = None
        self._muted = False
        self._byte_rate = _byte_rate({})
        self._produced_ms: dict[str, float] = {}
        self._void: dict[str, None] = {}  # ids of responses whose audio is void, oldest first

    @property
    def session(self) -> Mapping[str, Any]:
        """The session as the server last told it; read-only. Empty before ``session.created``."""
        return self._session

    @property
    def ready(self) -> bool:
        """Whether the first ``session.updated`` came: from then on audio may be sent."""
        return self._ready

    @property
    def active_response_id(self) -> str | None:
        """Id of the response under way."""
        return self._active_response_id

    def produced_ms(self, item_id: str) -> float:
        """Return how much audio of an item came and was not void, in milliseconds."""
        return self._produced_ms.get(item_id, 0.0)

    def send(self, event: ClientEvent | Mapping[str, Any]) -> bytes:
        """Return the frame of an event. Nothing is filled in, the server judges the fields.

        A mapping must have the ``type`` of a client event; to send another, wrap it in Unknown.
        Raises LocalProtocolError for other types and for values that are not JSON.
        """
        if isinstance(event, ClientEvent):
            return encode(event)
        kind = event.get("type")
        if not isinstance(kind, str) or kind not in CLIENT_EVENTS:
            hint = nearest(kind, CLIENT_EVENTS) if isinstance(kind, str) else ""
            raise LocalProtocolError(f"{kind!r} is no event a client sends{hint}")
        return encode(Unknown(event))

    def receive(self, text: str | bytes) -> list[Audio | ServerEvent]:
        """Take one frame of the server's; return what it means, with void audio left out.

        Raises RemoteProtocolError if it is no event; the session can go on.
        """
        raw = load(text)
        if raw.get("type") in AUDIO_DELTAS:
            return self._audio(raw, text)
        event = server_event(raw, text)
        if isinstance(event, se.ResponseBackchannelAudioDelta):
            data = decode_audio(event.delta, "$.delta")
            return [Audio("", event.backchannel_id or "", data, backchannel=True)]
        self._follow(event)
        return [event]

    def mute_until_cleared(self) -> None:
        """Call this when ``output_audio_buffer.clear`` is sent: agent audio is void from now on.

        Until ``output_audio_buffer.cleared`` or the next ``response.created`` arrives: what the
        server sent before it handled the clear is stale. Back-channels are not agent speech and
        stay audible.
        """
        self._muted = True

    def _audio(self, raw: dict[str, Any], text: str | bytes) -> list[Audio | ServerEvent]:
        response_id, item_id, delta = raw.get("response_id"), raw.get("item_id"), raw.get("delta")
        if not (type(delta) is str and type(response_id) is str and type(item_id) is str):
            return [server_event(raw, text)]  # which raises, and says what is wrong
        data = decode_audio(delta, "$.delta")
        if self._muted or response_id in self._void or not data:
            return []
        produced_ms = self._produced_ms.get(item_id, 0.0) + len(data) / self._byte_rate * 1000
        _remember(self._produced_ms, item_id, produced_ms, limit=KEPT_ITEMS)
        return [Audio(response_id, item_id, data)]

    def _follow(self, event: ServerEvent) -> None:
        match event:
            case se.SessionCreated() | se.SessionUpdated():
                self._byte_rate = _byte_rate(event.session)
                self._session = event.session
                self._ready = self._ready or isinstance(event, se.SessionUpdated)
            case se.ResponseCreated():
                self._response_created(event.response.get("id"))
            case se.ResponseDone():
                self._response_done(event.response)
            case se.OutputAudioBufferCleared():
                self._muted = False

    def _response_created(self, response_id: str | None) -> None:
        if self._muted and self._active_response_id is not None:
            self._make_void(self._active_response_id)
        self._muted = False
        self._active_response_id = response_id

    def _response_done(self, response: Mapping[str, Any]) -> None:
        response_id = response.get("id")
        if response_id and response.get("status") == "cancelled":
            self._make_void(response_id)
        if response_id in (None, self._active_response_id):
            self._active_response_id = None

    def _make_void(self, response_id: str) -> None:
        _remember(self._void, response_id, None, limit=KEPT_RESPONSES)


def _remember(known: dict[str, Any], key: str, value: Any, *, limit: int) -> None:
    known[key] = value
    if len(known) > limit:
        del known[next(iter(known))]


def _byte_rate(session: Mapping[str, Any]) -> float:
    encoding, rate_hz = audio_format(session, "output")
    return BYTES_PER_SAMPLE[encoding] * rate_hz


_BENIGN = {
    "response_cancel_not_active": "no active response",
    "conversation_already_has_active_response": "already has an active response",
}


def is_benign(error: Error) -> bool:
    """Return whether an error is one of the two races that every client loses now and then.

    Cancelling a response that just ended, and asking for one while another is active. Both leave
    the session as it was. Known by the code; or, as Inworld's own codes are not documented, by the
    message if there is no code.
    """
    if error.code:
        return error.code in _BENIGN
    return any(words in error.message.lower() for words in _BENIGN.values())
