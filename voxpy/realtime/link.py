"""The connection a client uses and the protocol on it; both are replaced when it is renewed."""

from __future__ import annotations

import attrs

from voxpy.engine.session import Session
from voxpy.realtime.connection import ConnectionReports, ConnectionStatistics, RealtimeConnection
from voxpy.realtime.frame_log import FrameLog
from voxpy.realtime.renewal import Candidate
from voxpy.wire.realtime.client.protocol import RealtimeClient
from voxpy.wire.realtime.endpoint import session_url

__all__ = ["Access", "Link"]


@attrs.frozen(kw_only=True)
class Access:
    """Where the service is, who we are to it, and what it is like.

    ``mulaw_thirds``: its milliseconds of mu-law audio are a third of the real ones.
    """

    url: str
    session_key: str
    authorization: str
    mulaw_thirds: bool = True


class Link:
    """Sends over the connection in use. ``reports`` is told of it, and of its successors.

    ``queue`` holds what is submitted back until the session is ready. What passes a ``private``
    one is kept nowhere.
    """

    def __init__(
        self,
        session: Session,
        client_id: str,
        access: Access,
        *,
        frames: FrameLog,
        reports: ConnectionReports,
        queue: bool = False,
        private: bool = False,
    ) -> None:
        self.client_id = client_id
        self._session = session
        self._access = access
        self._frames = frames
        self._reports = reports
        self._private = private
        self.protocol = RealtimeClient(queue_until_ready=queue, mulaw_thirds=access.mulaw_thirds)
        self.connection = self._connection(access.session_key, reports)
        self.counted: list[ConnectionStatistics] = [self.connection.statistics]

    async def open(self) -> None:
        """Connect. Raises ConnectFailed."""
        self._session.spawn(f"{self.client_id} connection", self.connection.run)
        await self.connection.wait_open()

    def flush(self) -> None:
        """Send what the protocol has due."""
        for frame in self.protocol.outgoing():
            self.connection.send(frame)

    def awaits_output(self, call_id: str) -> bool:
        """Return whether the model waits for the output of this call."""
        return self.protocol.responses.awaits(call_id)

    def tool_output(self, call_id: str, output: str) -> None:
        """Send the output of a call; with the last of a response, ask for the next one."""
        self.protocol.tool_output(call_id, output)
        self.flush()

    def dial_again(self, number: int) -> Candidate:
        """Begin to open another connection, with a session key of its own."""
        protocol = RealtimeClient(mulaw_thirds=self._access.mulaw_thirds)
        candidate = Candidate(protocol, self._frames.note)
        candidate.connection = self._connection(f"{self._access.session_key}-{number}", candidate)
        self.counted.append(candidate.connection.statistics)
        self._session.spawn(f"{self.client_id} connection {number}", candidate.connection.run)
        return candidate

    def adopt(self, candidate: Candidate) -> None:
        """Use this connection from now on, and close the old one; its end is told to nobody."""
        old, self.connection = self.connection, candidate.connection
        self.protocol = candidate.protocol
        old.reports = ConnectionReports()
        self.connection.reports = self._reports
        old.close()

    def _connection(self, key: str, reports: ConnectionReports) -> RealtimeConnection:
        url = session_url(self._access.url, key)
        inputs = self._session.context.inputs
        if self._private:
            inputs.note("socket", "private")
        return RealtimeConnection(
            url,
            self._access.authorization,
            open_stream=self._session.context.open_stream,
            reports=reports,
            inputs=None if self._private else inputs.socket(url),
        )
