"""The server's side of a realtime session, as a state machine without a socket.

Four parties call it: the socket (``receive``, ``outgoing``), the clock (``next_deadline``,
``tick``), the ears (:mod:`server_ears`) and the brain and voice (:mod:`server_voice`). What the
machine wants done comes back as effects.

Of what the services leave open, this one chooses: an empty transcript gets no response; a turn that
ends while a response goes on (``interrupt_response`` false) is answered after it; a response whose
audio the client cleared goes on; on barge-in the output buffer is told ``cleared``; of the audio of
items only the newest megabyte is kept for who retrieves them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import CLIENT_EVENTS
from voxpy.wire.realtime.events.codec import parse_client
from voxpy.wire.realtime.events.problems import MalformedEvent, Rejected, excerpt
from voxpy.wire.realtime.events.types import ClientEvent
from voxpy.wire.realtime.server.effects import Effect
from voxpy.wire.realtime.server.features import IdleTimeout, Keepalive, Memory
from voxpy.wire.realtime.server.interjections import Backchannel, Filler
from voxpy.wire.realtime.server.quirks import Quirks
from voxpy.wire.realtime.server.reports import ServerEars, ServerVoice
from voxpy.wire.realtime.server.requests import HANDLERS
from voxpy.wire.realtime.server.state import ServerState


class RealtimeServer(ServerEars, ServerVoice):
    """One session. ``new_id("item")`` must give ids like ``item_…`` that never repeat.

    ``now`` is seconds on any clock that does not go back, the same one in every call;
    ``unix_at_zero_s`` is Unix time when it is 0, which only pings tell. ``model`` is what the
    address asked for. ``draw`` gives numbers from 0 to below 1 to what is left to chance: the rule
    decider of the back-channel. Nothing here raises for anything a client sends.
    """

    def __init__(
        self,
        *,
        session_id: str,
        new_id: Callable[[str], str],
        quirks: Quirks | None = None,
        model: str | None = None,
        draw: Callable[[], float] = lambda: 0.0,
        unix_at_zero_s: float = 0.0,
    ) -> None:
        state = self._state = ServerState(session_id=session_id, new_id=new_id, quirks=quirks)
        if model is not None:
            state.session = {**state.session, "model": model}
        self._backchannel = Backchannel(state, draw=draw)
        self._filler = Filler(state)
        self._memory = Memory(state)
        self._keepalive = Keepalive(state, unix_at_zero_s=unix_at_zero_s)
        state.features = self._features = (
            IdleTimeout(state),
            self._backchannel,
            self._filler,
            self._memory,
            self._keepalive,
        )

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
        return self._state.response.id if self._state.response else None

    @property
    def playing_until(self) -> float:
        """When the audio sent so far will have played, as ``now``; minus infinity before any."""
        return self._state.output.playing_until

    def outgoing(self) -> list[bytes]:
        """Return the frames to send, in order, and forget them."""
        return self._state.outbox.drain()

    def effects(self) -> list[Effect]:
        """Return the effects that a call which returns none made due.

        Such as the answer to a waiting turn: ask after each. Every call that returns effects
        returns these too, so that none is lost if nobody does.
        """
        return self._state.take_effects()

    # -- the socket ------------------------------------------------------------------------------

    def open(self, now: float = 0.0) -> None:
        """The socket is open: queue ``session.created``."""
        state = self._state
        state.at(now)
        self._keepalive.begin()
        if state.quirks.session_created:
            state.outbox.emit(se.SessionCreated(session=state.session))
        if state.quirks.conversation_created:
            about = {"id": state.conversation_id, "object": "realtime.conversation"}
            state.outbox.emit(se.ConversationCreated(conversation=about))

    def receive(self, text: str | bytes, now: float) -> list[Effect]:
        """Take one frame of the client's. A bad one is answered with an ``error`` event."""
        state = self._state
        now = state.at(now)
        try:
            event = parse_client(text)
        except MalformedEvent as exc:
            state.refuse(exc.code, exc.message, param=exc.param, event_id=exc.event_id)
            return state.take_effects()
        try:
            self._handle(event, now)
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

    # -- time ------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return when ``tick`` is to be called next, as ``now``; None for never.

        Any other call may change it: ask again after each.
        """
        return min((d for f in self._features if (d := f.deadline()) is not None), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: do what is due by ``now``. Too early or too late does no harm."""
        self._state.at(now)
        for feature in self._features:
            feature.tick()
        return self._state.take_effects()
