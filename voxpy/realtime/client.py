"""``RealtimeAPIClient``: what a scenario holds of a service that speaks the Realtime protocol."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import trio

from voxpy.engine.session import Session
from voxpy.errors import ScenarioError
from voxpy.realtime.configuration import Configuration
from voxpy.realtime.options import ClientOptions
from voxpy.realtime.protocol import RealtimeWire
from voxpy.realtime.renewal import Candidate, Renewal
from voxpy.realtime.service import Access, Service
from voxpy.realtime.session import SessionParameters, misspelt
from voxpy.realtime.speech import SpeechClient
from voxpy.realtime.tools import Tools
from voxpy.realtime.wire import Happening, Told

Fields = Mapping[str, Any]


class RealtimeAPIClient(SpeechClient[RealtimeWire]):
    """A connection to a Realtime API (VoxEngine: Inworld.RealtimeAPIClient).

    Made by ``Inworld.create_realtime_api_client``. Every method that sends takes the provider's own
    object, forwards it unchanged, and returns at once; the answer comes as an event.
    """

    def __init__(
        self,
        service: Service,
        session: Session,
        client_id: str,
        access: Access,
        options: ClientOptions,
    ) -> None:
        self._service = service
        self._make_wire = partial(RealtimeWire, service.habits, warn=self._warn)
        self._configuration = Configuration(options.audio_format, service.formats)
        self._renewal: Renewal | None = None
        self._renewing = trio.CancelScope()
        super().__init__(
            session,
            service=service,
            access=access,
            client_id=client_id,
            options=options,
            make_wire=partial(self._make_wire, queue=options.queue),
        )

    def session_update(self, parameters: SessionParameters | Fields) -> None:
        """Send ``session.update``; ``parameters`` is ``{"session": {...}}``.

        It goes out as it is; a name that looks misspelt is a warning in the trace.
        """
        self._send("session.update", parameters)  # it refuses what is no object
        for problem in misspelt(parameters):
            self._warn(f"session_update: {problem}")

    def conversation_item_create(self, parameters: Fields) -> None:
        """Send ``conversation.item.create``; ``{"item": {...}}``."""
        self._send("conversation.item.create", parameters)

    def conversation_item_truncate(self, parameters: Fields) -> None:
        """Send ``conversation.item.truncate``; item_id, content_index, audio_end_ms."""
        self._send("conversation.item.truncate", parameters)

    def conversation_item_delete(self, parameters: Fields) -> None:
        """Send ``conversation.item.delete``; ``{"item_id": ...}``."""
        self._send("conversation.item.delete", parameters)

    def conversation_item_retrieve(self, parameters: Fields) -> None:
        """Send ``conversation.item.retrieve``; ``{"item_id": ...}``."""
        self._send("conversation.item.retrieve", parameters)

    def response_create(self, parameters: Fields) -> None:
        """Send ``response.create``; ``{"response": {...}}`` or ``{}``."""
        self._send("response.create", parameters)

    def response_cancel(self, parameters: Fields) -> None:
        """Send ``response.cancel``; ``{}`` or ``{"response_id": ...}``."""
        self._send("response.cancel", parameters)

    def input_audio_buffer_append(self, parameters: Fields) -> None:
        """Send ``input_audio_buffer.append``; ``{"audio": base64}`` in the input format."""
        self._send("input_audio_buffer.append", parameters)

    def input_audio_buffer_commit(self, parameters: Fields) -> None:
        """Send ``input_audio_buffer.commit``; ``{}``."""
        self._send("input_audio_buffer.commit", parameters)

    def input_audio_buffer_clear(self, parameters: Fields) -> None:
        """Send ``input_audio_buffer.clear``; ``{}``."""
        self._send("input_audio_buffer.clear", parameters)

    def output_audio_buffer_clear(self, parameters: Fields) -> None:
        """Stop the agent: send ``output_audio_buffer.clear`` and drop what waits on our side.

        The listener hears silence within the running 20 ms frame; audio that was on the wire when
        the service got the request is dropped as it arrives.
        """
        self._send("output_audio_buffer.clear", parameters)

    # -- the inside ------------------------------------------------------------------------------

    def _send(self, event_type: str, fields: Fields) -> None:
        given: Any = fields  # scenarios are not always type checked
        if not isinstance(given, Mapping):
            raise ScenarioError(f"{event_type} takes a dict, not {type(given).__name__}")
        if instead := self._service.refuses.get(event_type):
            raise ScenarioError(f"{self._service.name} takes no {event_type}: {instead}")
        protocol = self._link.wire.client
        if event_type == "session.update":
            legs = {p.source.format.encoding for p in self._session.graph.attached if p.source}
            self._never.clear()
            fields = self._configuration.complete(fields, legs=legs, ready=protocol.ready)
        event = {**fields, "type": event_type}
        if self._options.queue:
            protocol.submit(event)
            frames = protocol.outgoing()
        else:
            frames = [protocol.send(event)]
        self._announce.command(event_type, dict(fields))
        if event_type == "output_audio_buffer.clear":
            protocol.mute_until_cleared()
            self._clear_playout()
        for frame in frames:
            self._link.send(frame)

    def _offer(self, tools: Tools) -> None:
        self._configuration.use_tools(tools.schemas())
        if self._configuration.sent:
            typed = {"type": "realtime"} if self._service.habits.typed_sessions else {}
            self._send("session.update", {"session": typed})

    def _warn(self, problem: str) -> None:
        self._session.trace.warning(problem, unit=self._id)

    # -- renewal ---------------------------------------------------------------------------------

    async def _open(self) -> None:
        await super()._open()
        after_s = self._options.renew_after_s
        if after_s is not None:
            self._renewal = Renewal(
                self._id,
                dial=self._dial_again,
                configuration=lambda: self._configuration.anew(self._link.wire.client.session),
                is_quiet=self._is_quiet,
                adopt=self._adopt,
                after_s=after_s,
                trace=self._session.trace,
            )
            self._session.spawn(f"{self._id} renewal", self._renew, self._renewal)

    async def _renew(self, renewal: Renewal) -> None:
        with self._renewing:
            await renewal.run()

    def _dial_again(self, number: int) -> Candidate:
        candidate = Candidate()
        candidate.link = self._dial(number, self._make_wire(), candidate.reports)
        self._session.spawn(f"{self._id} connection {number}", candidate.link.connection.run)
        return candidate

    def _is_quiet(self) -> bool:
        tools = self._tools is not None and self._tools.running
        return self._link.wire.idle and not tools and not self._voice.sounding

    def _adopt(self, candidate: Candidate) -> None:
        """Use this connection from now on, and close the old one; its end is told to nobody."""
        old, self._link = self._link, candidate.link
        candidate.link.reports, old.reports = self._reports, candidate.reports
        old.connection.close()
        self._adopt_formats()
        # Of a caller who begins to speak just now, the first sounds went to the old session only.
        if recent := self._ear.recent():
            self._send_audio(recent)

    def _take(self, what: Happening) -> None:
        if self._renewal is not None and isinstance(what, Told):
            self._renewal.follow(what.event)
        super()._take(what)

    def _item_over(self, item_id: str, text: str, played_ms: float) -> None:
        if self._renewal is not None:
            self._renewal.history.heard(item_id, text)
        super()._item_over(item_id, text, played_ms)

    def _close(self) -> None:
        self._renewing.cancel()
        super()._close()

    def _closed(self, code: int, reason: str, was_clean: bool) -> None:
        self._renewing.cancel()
        super()._closed(code, reason, was_clean)
