"""Moves a client to a new session before the service ends the old one.

Services bound the length of a session and cannot resume one. So a second connection is made beside
the first, configured and told the conversation; when caller and agent are both silent, the media
is switched to it and the first is closed. Whatever goes wrong before that moment, the old
connection stays, and another attempt is made later.

The new session knows the conversation as messages: of the agent's words those that were heard, of
function calls nothing. Its clock of input audio (``audio_start_ms``) begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import trio

from voxpy.engine import clock
from voxpy.engine.trace import Trace
from voxpy.errors import ConnectFailed, RemoteProtocolError
from voxpy.realtime.connection import ConnectionReports, RealtimeConnection
from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient
from voxpy.wire.realtime.client.renewal import Floor, History
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import ConversationItemCreate, SessionUpdate
from voxpy.wire.realtime.events.types import ServerEvent

__all__ = ["Candidate", "Renewable", "Renewal"]

PREPARE_S = 15.0
REPLAY_S = 5.0
RETRY_S = 15.0
"""After a failed attempt. Each one costs the service a session, so not too often."""
QUIET_S = 0.3
"""How long both sides must have been silent: longer than a pause between two words."""
LOOK_EVERY_S = 0.04


class Candidate(ConnectionReports):
    """A connection that may become the client's: it listens, and tells the scenario nothing."""

    def __init__(self, protocol: RealtimeClient, note_frame: Callable[[str, str], None]) -> None:
        self.protocol = protocol
        self.connection: RealtimeConnection
        self._note_frame = note_frame
        self._failure = ""
        self._unconfirmed: set[str] = set()
        self._changed = trio.Event()

    def received(self, text: str) -> None:
        """Take one frame."""
        self._note_frame("<", text)
        try:
            for event in self.protocol.receive(text):
                self._follow(event)
        except RemoteProtocolError as error:
            self._failure = self._failure or str(error)
        self._changed.set()

    def sent(self, frame: bytes) -> None:
        """See one frame that has been written."""
        self._note_frame(">", frame.decode())

    def closed(self, code: int, reason: str, *, was_clean: bool) -> None:
        """Learn that the connection is over."""
        self._failure = self._failure or f"the new connection was closed with {code} {reason}"
        self._changed.set()

    async def prepare(self, session: dict[str, Any]) -> None:
        """Connect and configure. Raises ConnectFailed."""
        await self.connection.wait_open()
        self.connection.send(self.protocol.send(SessionUpdate(session=session)))
        await self._until(lambda: self.protocol.ready)

    async def replay(self, messages: Sequence[ConversationItemCreate]) -> None:
        """Tell the conversation, and wait until all of it is confirmed. Raises ConnectFailed."""
        self._unconfirmed = {str(message.item["id"]) for message in messages}
        for message in messages:
            self.connection.send(self.protocol.send(message))
        await self._until(lambda: not self._unconfirmed)

    def check(self) -> None:
        """Raise ConnectFailed if the connection has gone or complained."""
        if self._failure:
            raise ConnectFailed(self._failure)

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self.check()
            self._changed = trio.Event()
            await self._changed.wait()
        self.check()

    def _follow(self, event: Audio | ServerEvent) -> None:
        match event:
            case se.ErrorEvent():
                self._failure = self._failure or event.error.message or "an error without a message"
            case se.ConversationItemAdded() | se.ConversationItemDone():
                self._unconfirmed.discard(str(event.item.get("id")))


class Renewable(Protocol):
    """What a renewal needs of the client's controller."""

    client_id: str

    def dial_again(self, number: int) -> Candidate:
        """Begin to open connection ``number`` (2 is the first renewal) with a key of its own."""

    def configuration(self) -> dict[str, Any]:
        """Return the session to ask for."""

    def is_quiet(self) -> bool:
        """Return whether the client itself has nothing under way: audio, responses, tools."""

    def adopt(self, candidate: Candidate) -> None:
        """Use this connection from now on, and close the old one."""


class Renewal:
    """Renews every ``after_s`` seconds. ``run`` goes on until cancelled."""

    def __init__(self, owner: Renewable, *, after_s: float, trace: Trace) -> None:
        self._owner = owner
        self._after_s = after_s
        self._trace = trace
        self._number = 1
        self._floor = Floor()
        self.history = History()

    def follow(self, event: ServerEvent) -> None:
        """Take an event of the connection in use."""
        self.history.follow(event)
        self._floor.follow(event, clock.now())

    async def run(self) -> None:
        """Renew again and again."""
        pause_s = self._after_s
        while True:
            await trio.sleep(pause_s)
            pause_s = self._after_s if await self._attempt() else RETRY_S

    async def _attempt(self) -> bool:
        self._number += 1
        candidate = self._owner.dial_again(self._number)
        adopted = False
        try:
            with trio.fail_after(PREPARE_S):
                await candidate.prepare(self._owner.configuration())
            await self._wait_free(candidate)
            messages = self.history.replay()
            with trio.fail_after(REPLAY_S):
                await candidate.replay(messages)
            if not self._is_free():  # somebody began to speak meanwhile: what was told is old
                raise ConnectFailed("the conversation went on while it was being told")
            self._owner.adopt(candidate)
            adopted = True
            self._note(messages=len(messages))
        except (ConnectFailed, trio.TooSlowError) as error:
            why = str(error) or "the service did not answer in time"
            self._trace.warning(
                "the session was not renewed; the old connection stays",
                unit=self._owner.client_id,
                error=why,
                again_in_s=RETRY_S,
            )
        finally:
            if not adopted:
                candidate.connection.close()
        return adopted

    def _note(self, *, messages: int) -> None:
        self._trace.step(
            "session renewed",
            unit=self._owner.client_id,
            connection=self._number,
            messages=messages,
        )

    def _is_free(self) -> bool:
        return self._owner.is_quiet() and self._floor.is_free(clock.now())

    async def _wait_free(self, candidate: Candidate) -> None:
        quiet_since: float | None = None
        while True:
            candidate.check()
            now = clock.now()
            if not self._is_free():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= QUIET_S:
                return
            await trio.sleep(LOOK_EVERY_S)
