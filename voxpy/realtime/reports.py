"""What a speech client tells: the scenario and the trace, and files in the session's folder."""

from __future__ import annotations

from typing import Any, BinaryIO

import attrs
import orjson

from voxpy.engine import clock
from voxpy.engine.events import Event
from voxpy.engine.session import Session
from voxpy.realtime.connection import ConnectionStatistics
from voxpy.realtime.envelope import EventData, MediaInfo
from voxpy.realtime.service import Service


class Announcements:
    """Posts the events of one client. ``private`` keeps their content out of the trace."""

    def __init__(self, session: Session, client: Any, service: Service, *, private: bool) -> None:
        self._session = session
        self._client = client
        self._events = service.events
        self._media_events = service.media_events.members()
        self._private = private
        self._warned_of_binary = False

    def service(self, wire_type: str, payload: dict[str, Any]) -> None:
        """Post an event of the service's; one without a constant of its own as Unknown."""
        self._raw(self.kind_of(wire_type), payload)

    def kind_of(self, wire_type: str) -> type[Any]:
        """Return the event that scenarios know this one as."""
        return self._events.of_wire_type(wire_type)

    def own(self, name: str, payload: dict[str, Any]) -> None:
        """Post one of the events that are ours; as Unknown where the service has no such name."""
        known = self._events.members()
        self._raw(known.get(name, known["Unknown"]), payload)

    def _raw(self, kind: type[Any], payload: dict[str, Any]) -> None:
        data = EventData(custom_event=kind.__name__, payload=payload)
        self._post(kind(client=self._client, data=data))

    def media_started(self, encoding: str) -> None:
        """The agent's audio begins."""
        kind = self._media_events["WebSocketMediaStarted"]
        self._post(kind(client=self._client, encoding=encoding))

    def media_ended(self, duration_s: float) -> None:
        """The agent has been silent for a second after so much audio."""
        info = MediaInfo(duration=round(duration_s, 3))
        kind = self._media_events["WebSocketMediaEnded"]
        self._post(kind(client=self._client, media_info=info))

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
        self._session.post(self._client.listeners, event, private=self._private)


class FrameLog:
    """The files of a client's connections: every frame, and the counts.

    Writes ``<client id>-frames.txt`` if frames are noted, and ``<client id>-statistics.json`` if
    wanted. Frames are written as they are, but for secret values, which are masked.
    """

    def __init__(self, session: Session, client_id: str, *, statistics: bool) -> None:
        self._files = session.context.files
        self._masked = session.trace.masked
        self._client_id = client_id
        self._wants_statistics = statistics
        self._file: BinaryIO | None = None
        self._finished = False

    def note(self, direction: str, frame: str | bytes) -> None:
        """Write one frame, ``<`` from the service or ``>`` to it."""
        if self._finished:
            return
        text = frame if isinstance(frame, str) else _readable(frame)
        if self._file is None:
            self._file = self._files.path(f"{self._client_id}-frames.txt").open("wb")
        line = f"{clock.wall():%H:%M:%S.%f} {direction} {self._masked(text)}\n"
        self._file.write(line.encode())
        self._file.flush()

    def finish(self, counted: list[ConnectionStatistics]) -> None:
        """Close the file and write the sums over all connections."""
        self._finished = True
        if self._file is not None:
            self._file.close()
        if self._wants_statistics:
            path = self._files.path(f"{self._client_id}-statistics.json")
            path.write_bytes(orjson.dumps(_sum(counted)))


def _readable(frame: bytes) -> str:
    """Return a frame as text: some services put JSON into binary frames, others audio."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return f"<{len(frame)} bytes>"


def _sum(counted: list[ConnectionStatistics]) -> dict[str, int]:
    names = [field.name for field in attrs.fields(ConnectionStatistics)]
    return {name: sum(getattr(each, name) for each in counted) for name in names}
