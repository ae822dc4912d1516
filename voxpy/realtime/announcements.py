"""What a realtime client tells the scenario and the trace, private or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxpy.engine.events import Event
from voxpy.engine.session import Session
from voxpy.inworld.events import BY_WIRE_TYPE, EventData, Events, MediaInfo, RealtimeAPIEvents

if TYPE_CHECKING:
    from voxpy.inworld.client import RealtimeAPIClient

__all__ = ["Announcements"]


class Announcements:
    """Posts the events of one client. ``private`` keeps their content out of the trace."""

    def __init__(self, session: Session, client: RealtimeAPIClient, *, private: bool) -> None:
        self._session = session
        self._client = client
        self._private = private
        self._warned_of_binary = False

    def service(self, wire_type: str, payload: dict[str, Any]) -> None:
        """Post an event of the service's; one without a constant of its own as Unknown."""
        kind = BY_WIRE_TYPE.get(wire_type, RealtimeAPIEvents.Unknown)
        self.raw(kind, payload)

    def raw(self, kind: type[Any], payload: dict[str, Any]) -> None:
        """Post an event of this class, named after it."""
        data = EventData(custom_event=kind.__name__, payload=payload)
        self._post(kind(client=self._client, data=data))

    def media_started(self, encoding: str) -> None:
        """The agent's audio begins."""
        self._post(Events.WebSocketMediaStarted(client=self._client, encoding=encoding))

    def media_ended(self, duration_s: float) -> None:
        """The agent has been silent for a second after so much audio."""
        info = MediaInfo(duration=round(duration_s, 3))
        self._post(Events.WebSocketMediaEnded(client=self._client, media_info=info))

    def overflowed(self, limit_s: float) -> None:
        """Audio was dropped because too much of it waits."""
        self._session.trace.warning(
            "the agent is too far ahead: audio beyond the limit is dropped",
            unit=self._client.id(),
            limit_s=limit_s,
        )

    def binary(self, size_bytes: int) -> None:
        """Warn, once, of binary frames: every frame of the protocol is text."""
        if not self._warned_of_binary:
            self._warned_of_binary = True
            self._session.trace.warning(
                "the service sends binary frames; they are ignored, the protocol is JSON text",
                unit=self._client.id(),
                first_bytes=size_bytes,
            )

    def command(self, name: str, payload: dict[str, Any]) -> None:
        """Record a command of the scenario's."""
        shown = {} if self._private else {"payload": payload}
        self._session.trace.command(name, unit=self._client.id(), **shown)

    def step(self, name: str, *, text: str | None = None, **fields: Any) -> None:
        """Record what the client did by itself; ``text`` is what somebody said."""
        shown = {} if self._private or text is None else {"text": text}
        self._session.trace.step(name, unit=self._client.id(), **fields, **shown)

    def _post(self, event: Event) -> None:
        if self._private:
            self._session.post_untraced(self._client.listeners, event)
        else:
            self._session.post(self._client.listeners, event)
