"""One call of a world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from voxpy.engine.ports import Endpoint, ListReport
from voxpy.engine.trace import Entry, as_json
from voxpy.errors import VoxpyError
from voxpy.host.api.access import Answered, answer, asked
from voxpy.host.sessions import HostedSession
from voxpy.localagent.responder import Turn
from voxpy.simulation.localcall import LocalCallResult, SimulatedCall
from voxpy.sockets import connect
from voxpy.sockets.accepting import receive_upgrade
from voxpy.sockets.memory import memory_pair
from voxpy.testing.socketpeer import SocketPeer
from voxpy.testing.story import CallStory, Happened
from voxpy.websocket.incoming import receive_websocket

NO_HEADERS: Mapping[str, str] = {}


class WorldCall(CallStory):
    """One call of a world, while it lasts and afterwards."""

    def __init__(self, turns: Sequence[Turn], *, start: Callable[..., Any]) -> None:
        self._start = start
        self.turns = turns
        """What the scripted agent was asked, in all calls of the world."""
        self.over = trio.Event()
        """Set when the session is over and its files are complete."""
        self.reports: list[tuple[str, Mapping[str, Any]]] = []
        """What the scenario told its call list: ``("result", {...})``, error, progress ..."""
        self.simulated: SimulatedCall
        self._entries: list[Entry] = []
        self._written = trio.Event()

    async def report(self, kind: ListReport, data: Mapping[str, Any]) -> None:
        """Be the row of a list that the session was started for."""
        await trio.lowlevel.checkpoint()
        self.reports.append((kind, data))

    def take(self, entry: Entry) -> None:
        """Take an entry of the trace: a sink."""
        self._entries.append(entry)
        self._written.set()

    @property
    def entries(self) -> Sequence[Entry]:
        """The session's trace so far."""
        return self._entries

    @property
    def hosted(self) -> HostedSession:
        """The session and its folder."""
        return self.simulated.hosted

    @property
    def result(self) -> LocalCallResult:
        """How the call went. Raises VoxpyError while it lasts."""
        if not self.hosted.finished or self.end is None:
            raise VoxpyError("the call is not over: await world.wait_ended() first")
        return self.simulated.result(self.end)

    async def wait_event(self, name: str, *, count: int = 1, within_s: float = 30.0) -> Happened:
        """Wait until the scenario has been sent the ``count``-th event of a name; return it.

        name: ``"Call.Connected"``, or only ``"Connected"``.
        Raises AssertionError if it has not come in time.
        """

        def found() -> list[Happened]:
            return [e for e in self.events if e.name == name or e.name.endswith("." + name)]

        await self._until(lambda: len(found()) >= count, within_s, name)
        return found()[count - 1]

    async def wait_logged(self, text: str, *, within_s: float = 30.0) -> str:
        """Wait until a line of the scenario's log contains ``text``; return it.

        Raises AssertionError if none has in time.
        """

        def found() -> list[str]:
            return [line for line in self.log if text in line]

        await self._until(lambda: bool(found()), within_s, f"{text!r} in the log")
        return found()[0]

    async def request(
        self,
        path: str = "",
        content: str | Any = "",
        *,
        method: str = "POST",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Answered:
        """Make a request to the session's access URL; return what its scenario answers.

        ``path`` may have a query; ``content`` is text, or what JSON can hold.
        """
        data = content.encode() if isinstance(content, str) else as_json(content)
        place, _, query = path.lstrip("/").partition("?")
        return await answer(self.hosted.session, data, asked(method, place, query, headers))

    async def connect(
        self, path: str = "", *, headers: Mapping[str, str] = NO_HEADERS
    ) -> SocketPeer:
        """Open a WebSocket to the session's access URL. Raises HandshakeRefused, saying why."""
        ours, theirs = memory_pair()
        place, _, query = path.lstrip("/").partition("?")
        fields = asked("GET", place, query, headers)

        async def serve() -> None:
            await receive_websocket(self.hosted.session, await receive_upgrade(theirs), fields)

        async def opened(endpoint: Endpoint) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return ours

        self._start(serve)
        url = f"ws://voxpy.test/{path.lstrip('/')}"
        peer = SocketPeer(await connect(opened, url, headers=headers.items()))
        self._start(peer.run)
        return peer

    async def _until(self, met: Callable[[], bool], within_s: float, wanted: str) -> None:
        with trio.move_on_after(within_s):
            while not met():
                if self.over.is_set():
                    raise AssertionError(f"{wanted}: did not come; the session is over")
                self._written = trio.Event()
                await self._written.wait()
            return
        raise AssertionError(f"{wanted}: did not come within {within_s:g} s")
