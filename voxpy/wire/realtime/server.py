"""The server's side of a realtime session, as a state machine without a socket.

Three parties call it: the socket (``receive``, ``outgoing``), the ears (``speech_started`` …) and
the brain and voice (``text``, ``audio`` …). What the machine wants done comes back as effects.

Of what the services leave open, this one chooses: an empty transcript gets no response; a turn that
ends while a response goes on (``interrupt_response`` false) is answered after it; a response whose
audio the client cleared goes on; on barge-in the output buffer is told ``cleared``; retrieved items
come without audio, which is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voxpy.wire.realtime import server_events as se
from voxpy.wire.realtime.client_events import CLIENT_EVENTS
from voxpy.wire.realtime.codec import parse_client
from voxpy.wire.realtime.effects import Effect
from voxpy.wire.realtime.problems import MalformedEvent, Rejected, excerpt
from voxpy.wire.realtime.requests import HANDLERS
from voxpy.wire.realtime.response_writer import ResponseWriter
from voxpy.wire.realtime.server_state import ServerState
from voxpy.wire.realtime.types import ClientEvent

__all__ = ["RealtimeServer"]


class RealtimeServer:
    """One session. ``new_id("item")`` must give ids like ``item_…`` that never repeat.

    ``now`` is seconds on any clock that does not go back, the same one in every call. Nothing here
    raises for anything a client sends.
    """

    def __init__(self, *, session_id: str, new_id: Callable[[str], str]) -> None:
        self._state = ServerState(session_id=session_id, new_id=new_id)

    @property
    def session(self) -> Mapping[str, Any]:
        """The effective session; read-only."""
        return self._state.session

    @property
    def items(self) -> tuple[Mapping[str, Any], ...]:
        """The conversation, oldest first; read-only."""
        return self._state.conversation.items

    @property
    def active_response_id(self) -> str | None:
        """Id of the response under way."""
        return self._state.response.id if self._state.response else None

    @property
    def playing_until(self) -> float:
        """When the audio sent so far will have played, as ``now``; minus infinity before any."""
        return self._state.output.playing_until

    def outgoing(self) -> list[bytes]:
        """Return the frames to send, in order, and forget them."""
        return self._state.outbox.drain()

    def effects(self) -> list[Effect]:
        """Return effects that a call of the brain's made due, such as the answer to a waiting turn.

        Every call that returns effects returns these too, so that none is lost if nobody asks.
        """
        return self._state.take_effects()

    # -- the socket ------------------------------------------------------------------------------

    def open(self) -> None:
        """The socket is open: queue ``session.created``."""
        self._state.outbox.emit(se.SessionCreated(session=self._state.session))

    def receive(self, text: str | bytes, now: float) -> list[Effect]:
        """Take one frame of the client's. A bad one is answered with an ``error`` event."""
        state = self._state
        try:
            event = parse_client(text)
        except MalformedEvent as exc:
            param = exc.path.removeprefix("$").removeprefix(".") or None
            state.refuse(exc.code, str(exc), param=param, event_id=exc.event_id)
            return state.take_effects()
        try:
            self._handle(event, now)
        except MalformedEvent as exc:
            param = exc.path.removeprefix("$.")
            state.refuse(exc.code, str(exc), param=param, event_id=event.event_id)
        except Rejected as exc:
            state.refuse(exc.code, exc.message, param=exc.param, event_id=event.event_id)
        return state.take_effects()

    def _handle(self, event: ClientEvent, now: float) -> None:
        handler = HANDLERS.get(type(event))
        if handler is None:
            known = ", ".join(CLIENT_EVENTS)
            message = f"expected one of {known}, not {excerpt(event.type)}"
            raise Rejected("invalid_value", message, param="type")
        handler(self._state, event, now)

    # -- the ears --------------------------------------------------------------------------------

    def speech_started(self, audio_start_ms: float, now: float) -> list[Effect]:
        """The caller began to speak, ``audio_start_ms`` into all audio ever received.

        Interrupts the agent if the session says so. Ignored while speech is under way.
        """
        state = self._state
        turns = state.turns
        if not turns.speaking:
            turns.speaking = True
            turns.item_id = turns.item_id or state.conversation.reserve()
            state.outbox.emit(
                se.InputAudioBufferSpeechStarted(
                    audio_start_ms=audio_start_ms, item_id=turns.item_id
                )
            )
            detection = state.turn_detection
            if detection is not None and detection["interrupt_response"]:
                state.interrupt(now)
        return state.take_effects()

    def transcript_delta(self, text: str) -> None:
        """Some of what the caller says is recognised: the whole text so far, as Inworld sends it.

        It belongs to the speech under way, else to the oldest turn whose text is awaited.
        """
        state = self._state
        if not state.shows_transcripts:
            return
        if state.turns.text_item_id is None:
            state.turns.item_id = state.conversation.reserve()
        item_id = state.turns.text_item_id or ""
        state.outbox.emit(
            se.ConversationItemInputAudioTranscriptionDelta(
                item_id=item_id, content_index=0, delta=text
            )
        )

    def speech_stopped(self, audio_end_ms: float) -> None:
        """The turn is over: the speech becomes a user item whose text is awaited.

        With manual turns only the event is sent, as Inworld does. Ignored without speech.
        """
        state = self._state
        turns = state.turns
        if not turns.speaking or turns.item_id is None:
            return
        turns.speaking = False
        state.outbox.emit(
            se.InputAudioBufferSpeechStopped(audio_end_ms=audio_end_ms, item_id=turns.item_id)
        )
        detection = state.turn_detection
        if detection is None:
            state.respond_if_due()
        else:
            state.commit_turn(answer=detection["create_response"])

    def transcript_completed(
        self, text: str, now: float, *, item_id: str | None = None
    ) -> list[Effect]:
        """The text of a turn is known: of ``item_id``, or the oldest that is awaited.

        Begins the response if the session's turn detection says so and the text is not empty.
        Ignored if no text is awaited.
        """
        awaited = self._state.turns.take(item_id)
        if awaited is not None:
            self._state.turn_recognised(awaited, text)
        return self._state.take_effects()

    # -- the brain and the voice: False means that this response is over -------------------------

    def _active(self, response_id: str) -> ResponseWriter | None:
        response = self._state.response
        return response if response is not None and response.id == response_id else None

    def text(self, response_id: str, delta: str) -> bool:
        """The agent says more: transcript, text or both, as the modalities are."""
        response = self._active(response_id)
        if response is not None:
            response.text(delta)
        return response is not None

    def audio(self, response_id: str, data: bytes, now: float) -> bool:
        """The agent's audio, in the output format of the session in ``Respond``.

        False also if the response is text only.
        """
        response = self._active(response_id)
        return response is not None and response.audio(data, now)

    def call_tool(self, response_id: str, name: str, arguments: str) -> bool:
        """The agent calls a function; ``arguments`` is JSON text."""
        if self._active(response_id) is None:
            return False
        self._state.call(name, arguments)
        return True

    def finish(
        self,
        response_id: str,
        now: float,
        usage: Mapping[str, Any] | None = None,
        *,
        incomplete: str | None = None,
    ) -> bool:
        """The response is whole, or ``incomplete`` says what cut it short.

        ``incomplete`` is ``max_output_tokens`` or ``content_filter``.
        """
        if self._active(response_id) is None:
            return False
        if incomplete is None:
            self._state.end_response("completed", usage=usage)
        else:
            details = {"type": "incomplete", "reason": incomplete}
            self._state.end_response("incomplete", details=details, usage=usage)
        return True

    def fail(self, response_id: str, message: str, code: str | None = None) -> bool:
        """The agent cannot go on: an ``error`` event, then ``response.done`` as failed."""
        if self._active(response_id) is None:
            return False
        self._state.error("server_error", code, message)
        error = {"type": "server_error", "code": code, "message": message}
        self._state.end_response("failed", details={"type": "failed", "error": error})
        return True
