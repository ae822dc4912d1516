"""``RealtimeAPIClient``: what a scenario holds of a realtime connection. No sockets here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from voxpy.engine.emitter import Emitter
from voxpy.engine.session import Session
from voxpy.errors import UnknownName, nearest
from voxpy.media.unit import MediaPort
from voxpy.realtime.tooling import Tools

__all__ = ["ClientControl", "RealtimeAPIClient"]

Fields = Mapping[str, Any]


class ClientControl(Protocol):
    """What the client delegates to; ``voxpy.realtime.connection`` implements it."""

    client_id: str
    web_socket_id: str
    media: MediaPort

    def send(self, event_type: str, fields: Fields) -> None:
        """Queue one client event."""

    def clear_playout(self) -> None:
        """Drop the audio that waits on our side."""

    def audio_played_ms(self, item_id: str) -> float:
        """Return what the listener has heard of an item."""

    def transcript_heard(self, item_id: str) -> str:
        """Return about what the listener has heard of an item's words."""

    def use_tools(self, tools: Tools) -> None:
        """Offer functions to the model and run those it calls."""

    def close(self) -> None:
        """Close the connection without waiting."""


class RealtimeAPIClient(Emitter):
    """A connection to Inworld's Realtime API (VoxEngine: Inworld.RealtimeAPIClient).

    Made by ``Inworld.create_realtime_api_client``. Every method that sends takes the provider's own
    object, forwards it unchanged, and returns at once; the answer comes as an event.
    """

    def __init__(self, session: Session, control: ClientControl) -> None:
        super().__init__(session, catalog="Inworld.RealtimeAPIEvents or Inworld.Events")
        self._session: Session = session
        self._control = control

    def id(self) -> str:
        """Return the id of the client, unique in the session."""
        return self._control.client_id

    def web_socket_id(self) -> str:
        """Return the id of its WebSocket."""
        return self._control.web_socket_id

    @property
    def media(self) -> MediaPort:
        """The media side: the agent's voice is its source, the agent's ear its sink."""
        return self._control.media

    def close(self) -> None:
        """Close the connection. Idempotent; ``on_web_socket_close`` is called afterwards."""
        self._session.trace.command("RealtimeAPIClient.close", unit=self.id())
        self._control.close()

    def send_media_to(
        self,
        unit: Any,
        *,
        encoding: str | None = None,
        tag: str | None = None,
        custom_parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Send the agent's voice to ``unit``; replaces what the unit heard before.

        The keyword arguments exist in VoxEngine for WebSocket targets and change nothing here.
        Raises ScenarioError if ``unit`` has no media.
        """
        self._session.connect_media(self, unit)

    def stop_media_to(self, unit: Any) -> None:
        """Stop sending the agent's voice to ``unit``."""
        self._session.disconnect_media(self, unit)

    def clear_media_buffer(self, *, tag: str | None = None) -> None:
        """Drop the agent's audio that waits on our side, within the running 20 ms frame."""
        self._session.trace.command("RealtimeAPIClient.clear_media_buffer", unit=self.id())
        self._control.clear_playout()

    def audio_played_ms(self, item_id: str) -> float:
        """Return how many milliseconds of an item's audio the listener has heard."""
        return self._control.audio_played_ms(item_id)

    def transcript_heard(self, item_id: str) -> str:
        """Return about what the listener has heard of what the agent said in an item.

        The service's transcript (what was *said*), cut in proportion to the audio that was played;
        whole words. Empty for an item that is not known or made no sound. voxpy's own.
        """
        return self._control.transcript_heard(item_id)

    def use_tools(self, tools: Tools) -> None:
        """Let the model call these functions: an ``Inworld.ToolSet``, or alike. voxpy's own.

        They are added to the tools of the next ``session_update``; if one was sent already, another
        is sent at once (and answered with a SessionUpdated). When a response that calls functions
        is complete, they run one after another in a task of the session, every output is sent, and
        one ``response.create`` follows them all, unless the service begins the next response by
        itself (``providerData.auto_tool_response`` not false). A cancelled response runs nothing.
        Once used, all function calls of this client are answered so: one that no tool of the set
        is named for gets the set's error. A second call replaces the set.
        """
        self._session.trace.command("RealtimeAPIClient.use_tools", unit=self.id())
        self._control.use_tools(tools)

    def session_update(self, parameters: Fields) -> None:
        """Send ``session.update``; ``parameters`` is ``{"session": {...}}``."""
        self._control.send("session.update", parameters)

    def conversation_item_create(self, parameters: Fields) -> None:
        """Send ``conversation.item.create``; ``{"item": {...}}``."""
        self._control.send("conversation.item.create", parameters)

    def conversation_item_truncate(self, parameters: Fields) -> None:
        """Send ``conversation.item.truncate``; item_id, content_index, audio_end_ms."""
        self._control.send("conversation.item.truncate", parameters)

    def conversation_item_delete(self, parameters: Fields) -> None:
        """Send ``conversation.item.delete``; ``{"item_id": ...}``."""
        self._control.send("conversation.item.delete", parameters)

    def conversation_item_retrieve(self, parameters: Fields) -> None:
        """Send ``conversation.item.retrieve``; ``{"item_id": ...}``."""
        self._control.send("conversation.item.retrieve", parameters)

    def response_create(self, parameters: Fields) -> None:
        """Send ``response.create``; ``{"response": {...}}`` or ``{}``."""
        self._control.send("response.create", parameters)

    def response_cancel(self, parameters: Fields) -> None:
        """Send ``response.cancel``; ``{}`` or ``{"response_id": ...}``."""
        self._control.send("response.cancel", parameters)

    def input_audio_buffer_append(self, parameters: Fields) -> None:
        """Send ``input_audio_buffer.append``; ``{"audio": base64}`` in the input format."""
        self._control.send("input_audio_buffer.append", parameters)

    def input_audio_buffer_commit(self, parameters: Fields) -> None:
        """Send ``input_audio_buffer.commit``; ``{}``."""
        self._control.send("input_audio_buffer.commit", parameters)

    def input_audio_buffer_clear(self, parameters: Fields) -> None:
        """Send ``input_audio_buffer.clear``; ``{}``."""
        self._control.send("input_audio_buffer.clear", parameters)

    def output_audio_buffer_clear(self, parameters: Fields) -> None:
        """Stop the agent: send ``output_audio_buffer.clear`` and drop what waits on our side.

        The listener hears silence within the running 20 ms frame; audio that was on the wire when
        the service got the request is dropped as it arrives.
        """
        self._control.send("output_audio_buffer.clear", parameters)

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"RealtimeAPIClient has no {name!r}{nearest(name, known)}")
