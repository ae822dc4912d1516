"""One call of a world."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from voxpy.engine.trace import Entry
from voxpy.errors import VoxpyError
from voxpy.host.sessions import HostedSession
from voxpy.localagent.responder import Turn
from voxpy.simulation.localcall import LocalCallResult, SimulatedCall
from voxpy.testing.story import CallStory, Happened


class WorldCall(CallStory):
    """One call of a world, while it lasts and afterwards."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = turns
        """What the scripted agent was asked, in all calls of the world."""
        self.over = trio.Event()
        """Set when the session is over and its files are complete."""
        self.simulated: SimulatedCall
        self._entries: list[Entry] = []
        self._written = trio.Event()

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

    async def _until(self, met: Callable[[], bool], within_s: float, wanted: str) -> None:
        with trio.move_on_after(within_s):
            while not met():
                if self.over.is_set():
                    raise AssertionError(f"{wanted}: did not come; the session is over")
                self._written = trio.Event()
                await self._written.wait()
            return
        raise AssertionError(f"{wanted}: did not come within {within_s:g} s")
