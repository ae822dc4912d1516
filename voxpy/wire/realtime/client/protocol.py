"""The client's side of a realtime session, without a socket.

Three kinds of agent audio must not reach the caller: late deltas of a response that was cancelled,
those of responses that we interrupted (there may be several at once), and, after we asked the
server to clear its output, everything it had sent before it did so.

What a server sends may come twice: a frame again, which has the same ``event_id`` and says the
same, or the end of a response that had ended. Neither is passed on, or audio would be heard and
tools would run twice. An id that comes with something else is no id: such a server is believed.

There are two ways to send. ``send`` returns the frame of an event, to be written at once whatever
the state. ``submit`` leaves it to this object when the event goes: ``outgoing`` has the frames that
are due after any call of ``submit``, ``tool_output`` or ``receive``.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs
import orjson

from voxpy.errors import LocalProtocolError, RemoteProtocolError, nearest
from voxpy.wire.realtime.client.owed import Owed
from voxpy.wire.realtime.client.playback import AudioRate, Playback, Transcripts
from voxpy.wire.realtime.client.sequencer import ResponseSequencer, is_active_race, is_outside
from voxpy.wire.realtime.events import client_events as ce
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import CLIENT_EVENTS
from voxpy.wire.realtime.events.codec import (
    AUDIO_DELTAS,
    decode_audio,
    encode,
    load,
    parse_client,
    server_event,
)
from voxpy.wire.realtime.events.formats import audio_format
from voxpy.wire.realtime.events.session import from_beta
from voxpy.wire.realtime.events.types import (
    ClientEvent,
    Error,
    ServerEvent,
    Unknown,
    heard_part,
    item_text,
)

KEPT_RESPONSES = 16
"""Ended responses whose late audio is recognised."""

KEPT_FRAMES = 256
"""Frames that are recognised when they come again: some seconds of audio."""


@attrs.define  # frozen it would cost three times as much, for every frame
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
    """What a client knows of its session from the frames that went by.

    ``queue_until_ready`` holds back what is submitted, ``session.update`` excepted, until the
    session is ready. ``mulaw_thirds`` gives cuts of mu-law audio in Inworld's time base, which is
    a third of the real one; other services want real milliseconds. ``answers_tools``: whether the
    server goes on by itself after tool outputs, where ``providerData.auto_tool_response`` says
    nothing.

    Attributes: ``playback``, how much audio of each item there is; ``transcripts``, its words;
    ``responses``, which response is under way and what waits for it. ``refusal`` is set if the
    event received last was an error in place of the session or of a ``session.updated`` (which
    changes nothing at the server: whoever waits for it must give up), ``trouble`` if it was a
    response that came to nothing, in words. ``repeated`` counts what came twice.
    """

    def __init__(
        self,
        *,
        queue_until_ready: bool = False,
        mulaw_thirds: bool = False,
        answers_tools: bool = True,
    ) -> None:
        self._session: Mapping[str, Any] = {}
        self._ready = False
        self.refusal: Error | None = None
        self.trouble = ""
        self._muted = False
        self._rate = _rate({})
        self._void: dict[str, None] = {}  # ids of responses whose audio is void, oldest first
        self.playback = Playback(mulaw_thirds=mulaw_thirds)
        self.transcripts = Transcripts()
        self.responses = ResponseSequencer()
        self._owed = Owed()
        self._queue_until_ready = queue_until_ready
        self._answers_tools = answers_tools
        self._asked: Any = None  # for auto_tool_response: the session as told may leave it out
        self._open: dict[str, None] = {}  # responses that began and did not end
        self._seen = _Seen()
        self.repeated = 0
        self._held: list[tuple[ClientEvent, bytes]] = []
        self._outbox: list[bytes] = []

    # -- what is known -----------------------------------------------------------------------------

    @property
    def session(self) -> Mapping[str, Any]:
        """The session as the server last told it; read-only. Empty before ``session.created``."""
        return self._session

    @property
    def ready(self) -> bool:
        """Whether the first ``session.updated`` came: from then on audio may be sent."""
        return self._ready

    @property
    def owes(self) -> str:
        """What the server owes us, as the end of "the agent ..."; empty if nothing."""
        return self._owed.words(self.active_response_id)

    @property
    def active_response_id(self) -> str | None:
        """Id of the response under way."""
        return self.responses.active_response_id

    @property
    def idle(self) -> bool:
        """Whether no response is under way or due, and nothing is held back."""
        return self.responses.idle and not self._held

    def produced_ms(self, item_id: str) -> float:
        """Return how much audio of an item came and was not void, in milliseconds."""
        return self.playback.produced_ms(item_id)

    def transcript_heard(self, item_id: str, played_ms: float) -> str:
        """Return about what a listener understood who heard ``played_ms`` of an item.

        Whole words, in proportion to the audio that came: the wire has no word timings.
        """
        said = self.transcripts.said(item_id)
        whole_ms = self.playback.whole_ms(item_id)
        if self.playback.fully_played(item_id, played_ms):
            return said
        return heard_part(said, played_ms / whole_ms) if whole_ms else ""

    def truncation(self, item_id: str, played_ms: float) -> ClientEvent | None:
        """Return the truncate or delete for an item of which ``played_ms`` were heard, or None.

        See Playback.truncation. Once the event went through ``send``, there is no second one.
        """
        return self.playback.truncation(item_id, played_ms)

    # -- sending -----------------------------------------------------------------------------------

    def send(self, event: ClientEvent | Mapping[str, Any]) -> bytes:
        """Return the frame of an event. Nothing is filled in, the server judges the fields.

        A mapping must have the ``type`` of a client event; to send another, wrap it in Unknown.
        Raises LocalProtocolError for other types and for values that are not JSON.
        """
        event = event if isinstance(event, ClientEvent) else _known(event)
        frame = encode(event)
        self._note_sent(event)
        return frame

    def submit(self, event: ClientEvent | Mapping[str, Any]) -> None:
        """Send an event when its time has come; see ``outgoing``.

        Before the session is ready everything but ``session.update`` is held back, if that was
        asked for. A ``response.create`` waits until no response is under way. Raises
        LocalProtocolError as ``send`` does, and for fields of the wrong kind.
        """
        event = event if isinstance(event, ClientEvent) else _known(event)
        frame = encode(event)  # what cannot be written is refused here, not when its turn comes
        if isinstance(event, Unknown) and event.type in CLIENT_EVENTS:
            event = _typed(frame)
        if self._queue_until_ready and not self._ready and not isinstance(event, ce.SessionUpdate):
            self._held.append((event, frame))
        else:
            self._pass_on(event, frame)

    def tool_output(self, call_id: str, output: str, *, silent: bool = False) -> None:
        """Give the output of a function call of a completed response; see ``outgoing``.

        When all calls of that response have theirs, one ``response.create`` follows, unless the
        server begins the next response by itself or all of them were ``silent``. Raises
        LocalProtocolError if nothing awaits this output.
        """
        told = _auto_tool_response(self._session)
        asked = self._answers_tools if self._asked is None else self._asked is not False
        automatic = asked if told is None else told is not False
        self._write(self.responses.answer(call_id, output, automatic=automatic, silent=silent))

    def outgoing(self) -> list[bytes]:
        """Return the frames to write, in order, and forget them."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def interrupt(self, played_ms: Callable[[str], float]) -> list[ClientEvent]:
        """The caller spoke over the agent and the playout was cleared: return what to send.

        ``played_ms`` tells how much of an item's audio was heard. All responses under way are void:
        their late audio is dropped. For every item that was not heard to its end there is one
        truncate or delete. Before these comes a ``response.cancel`` if the server does not end the
        responses itself, which it does wherever there is turn detection. Nothing of back-channels.
        """
        events: list[ClientEvent] = []
        by_hand = _turn_detection(self._session) is None  # turns are the client's business
        for response_id in self._open:
            self._make_void(response_id)
            if by_hand:
                events.append(ce.ResponseCancel(response_id=response_id or None))
        if self.active_response_id is not None:
            self._write(self.responses.gave_up(self.active_response_id))
        for item_id in self.playback.item_ids:
            event = self.playback.truncation(item_id, played_ms(item_id))
            if event is not None:
                events.append(event)
        return events

    def may_interrupt(self) -> bool:
        """Return whether the caller may speak over the agent: ``interrupt_response`` not false."""
        detection = _turn_detection(self._session)
        return not detection or detection.get("interrupt_response") is not False

    def mute_until_cleared(self) -> None:
        """Call this when ``output_audio_buffer.clear`` is sent: agent audio is void from now on.

        Until ``output_audio_buffer.cleared`` or the next ``response.created`` arrives: what the
        server sent before it handled the clear is stale. Back-channels are not agent speech and
        stay audible.
        """
        self._muted = True

    # -- receiving ---------------------------------------------------------------------------------

    def receive(self, text: str | bytes) -> list[Audio | ServerEvent]:
        """Take one frame of the server's; return what it means, with void audio left out.

        Raises RemoteProtocolError if it is no event; the session can go on.
        """
        return self.receive_loaded(load(text))

    def receive_loaded(self, raw: dict[str, Any]) -> list[Audio | ServerEvent]:
        """Take a frame that ``codec.load`` has read already, so that nobody reads it twice."""
        if self._seen.again(raw):
            self.repeated += 1
            return []
        if raw.get("type") in AUDIO_DELTAS:
            return self._audio(raw)
        event = server_event(raw)
        if isinstance(event, se.ResponseBackchannelAudioDelta):
            data = decode_audio(event.delta, "$.delta")
            return [Audio("", event.backchannel_id or "", data, backchannel=True)]
        if isinstance(event, se.ResponseDone) and self.responses.has_ended(
            event.response.get("id") or ""
        ):
            self.repeated += 1
            return []
        self._follow(event)
        return [event]

    # -- the inside --------------------------------------------------------------------------------

    def _audio(self, raw: dict[str, Any]) -> list[Audio | ServerEvent]:
        response_id, item_id, delta = raw.get("response_id"), raw.get("item_id"), raw.get("delta")
        if not (type(delta) is str and type(response_id) is str and type(item_id) is str):
            return [server_event(raw)]  # which raises, and says what is wrong
        try:
            data = a2b_base64(delta, strict_mode=True)
        except ValueError:
            data = decode_audio(delta, "$.delta")
        if not data:
            return []
        if self._muted or response_id in self._void:
            self.playback.withheld(item_id, response_id, len(data), self._rate)
            return []
        self.playback.produced(item_id, response_id, len(data), self._rate)
        return [Audio(response_id, item_id, data)]

    def _follow(self, event: ServerEvent) -> None:
        was_active = self.active_response_id
        self.refusal, self.trouble = None, ""
        self._owed.follow(event, answers_turns=_answers_turns(self._session))
        match event:
            case se.SessionCreated() | se.SessionUpdated():
                self._configured(event)
            case se.ResponseCreated():
                if self._muted and was_active is not None:
                    self._make_void(was_active)
                self._muted = False
                self._open[event.response.get("id") or ""] = None
                if len(self._open) > KEPT_RESPONSES:
                    del self._open[next(iter(self._open))]
            case se.ResponseDone():
                response_id = event.response.get("id") or ""
                self._open.pop(response_id, None)
                self.playback.response_done(response_id)
                said = self.playback.sounded(response_id) or any(
                    map(item_text, event.response.get("output") or ())
                )
                self.trouble = self._owed.done(event.response, said=said)
                if response_id and event.response.get("status") == "cancelled":
                    self._make_void(response_id)
            case se.ResponseOutputAudioDone():
                self.playback.item_done(event.item_id)
            case se.OutputAudioBufferCleared():
                self._muted = False
            case se.ErrorEvent() if is_active_race(event.error):
                self._owed.raced()
            case se.ErrorEvent() if not is_benign(event.error):
                self.refusal = event.error if self._owed.refused(event.error) else None
            case _:
                self.transcripts.follow(event)
        self._write(self.responses.follow(event))

    def _configured(self, event: se.SessionCreated | se.SessionUpdated) -> None:
        session = from_beta(event.session)  # which some services never left
        # A format that nobody knows is for whoever plays it to judge: lengths count as before.
        with suppress(RemoteProtocolError):
            self._rate = _rate(session)
        self._session = session
        if isinstance(event, se.SessionUpdated) and not self._ready:
            self._ready = True
            held, self._held = self._held, []
            for each, frame in held:
                self._pass_on(each, frame)

    def _make_void(self, response_id: str) -> None:
        self._void[response_id] = None
        if len(self._void) > KEPT_RESPONSES:
            del self._void[next(iter(self._void))]

    def _pass_on(self, event: ClientEvent, frame: bytes) -> None:
        if isinstance(event, ce.ResponseCreate):
            self._write(self.responses.ask(event))
        else:
            self._outbox.append(frame)
            self._note_sent(event)  # which may let another one go, behind this

    def _write(self, events: list[ClientEvent]) -> None:
        for event in events:
            if isinstance(event, ce.ResponseCreate):
                self._owed.sent(event.type, event.event_id)
            else:
                self._note_sent(event)
            self._outbox.append(encode(event))

    def _note_sent(self, event: ClientEvent) -> None:
        self._owed.sent(event.type, _text(event, "event_id") or None)
        match event.type:
            case "session.update":
                found = _auto_tool_response(_field(event, "session"))
                self._asked = self._asked if found is None else found
            case "response.create":
                outside = is_outside(_field(event, "response"))
                self.responses.passed(_text(event, "event_id") or None, outside=outside)
            case "response.cancel":
                self._write(self.responses.gave_up(_text(event, "response_id")))
            case "conversation.item.create":
                item = _field(event, "item")
                if isinstance(item, Mapping) and item.get("type") == "function_call_output":
                    self.responses.answered(str(item.get("call_id")))
            case "conversation.item.truncate" | "conversation.item.delete":
                self.playback.settle(_text(event, "item_id"))


class _Seen:
    """The last frames of the server, by what identifies them."""

    def __init__(self) -> None:
        self._frames: dict[str, int] = {}
        self._ids_mean_something = True

    def again(self, raw: Mapping[str, Any]) -> bool:
        """Return whether this frame has come before."""
        event_id = raw.get("event_id")
        if not self._ids_mean_something or type(event_id) is not str or not event_id:
            return False
        before = self._frames.get(event_id)
        found = _fingerprint(raw)
        if before is not None:
            self._ids_mean_something = before == found
            return self._ids_mean_something
        self._frames[event_id] = found
        if len(self._frames) > KEPT_FRAMES:
            del self._frames[next(iter(self._frames))]
        return False


def _fingerprint(raw: Mapping[str, Any]) -> int:
    delta = raw.get("delta")  # audio, which is nearly everything, must cost next to nothing
    return hash(delta if type(delta) is str else orjson.dumps(raw))


def _field(event: ClientEvent, name: str) -> Any:
    return event.raw.get(name) if isinstance(event, Unknown) else getattr(event, name, None)


def _text(event: ClientEvent, name: str) -> str:
    value = _field(event, name)
    return value if isinstance(value, str) else ""


def _known(fields: Mapping[str, Any]) -> Unknown:
    kind = fields.get("type")
    if isinstance(kind, str) and kind in CLIENT_EVENTS:
        return Unknown(fields)
    hint = nearest(kind, CLIENT_EVENTS) if isinstance(kind, str) else ""
    raise LocalProtocolError(f"{kind!r} is no event a client sends{hint}")


def _turn_detection(session: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return None only for an explicit null: where nothing is said, the service has its default."""
    found: Any = session
    for name in ("audio", "input", "turn_detection"):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) or found is None else {}


def _auto_tool_response(session: Any) -> Any:
    data = session.get("providerData") if isinstance(session, Mapping) else None
    return data.get("auto_tool_response") if isinstance(data, Mapping) else None


def _answers_turns(session: Mapping[str, Any]) -> bool:
    detection = _turn_detection(session)
    if detection is None or session.get("type") == "transcription":
        return False
    return detection.get("create_response") is not False


def _rate(session: Mapping[str, Any]) -> AudioRate:
    return AudioRate(*audio_format(session, "output"))


def _typed(frame: bytes) -> ClientEvent:
    try:
        return parse_client(frame)
    except RemoteProtocolError as error:
        raise LocalProtocolError(str(error)) from error


_NOT_ACTIVE_CODE = "response_cancel_not_active"
_NOT_ACTIVE_WORDS = "no active response"


def is_benign(error: Error) -> bool:
    """Return whether an error is one of the two races that every client loses now and then.

    Cancelling a response that just ended, and asking for one while another is active. Both leave
    the session as it was. Known by the code; or, as Inworld's own codes are not documented, by the
    message if there is no code.
    """
    if is_active_race(error):
        return True
    if error.code:
        return error.code == _NOT_ACTIVE_CODE
    return _NOT_ACTIVE_WORDS in error.message.lower()
