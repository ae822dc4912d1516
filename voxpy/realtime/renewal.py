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
from typing import Any

import trio

from voxpy.engine import clock
from voxpy.engine.trace import Trace
from voxpy.errors import ConnectFailed, RemoteProtocolError
from voxpy.realtime.protocol import RealtimeWire
from voxpy.realtime.wire import Happening, Link, LinkReports, Told
from voxpy.wire.realtime.client.renewal import Floor, History
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import ConversationItemCreate, SessionUpdate
from voxpy.wire.realtime.events.types import ClientEvent, ServerEvent

PREPARE_S = 15.0
REPLAY_S = 5.0
RETRY_S = 15.0
"""After a failed attempt. Each one costs the service a session, so not too often."""
QUIET_S = 0.3
"""How long both sides must have been silent: longer than a pause between two words."""
LOOK_EVERY_S = 0.04


class Candidate:
    """A connection that may become the client's: it listens, and tells the scenario nothing."""

    def __init__(self) -> None:
        self.link: Link[RealtimeWire]
        self.reports = LinkReports(take=self._take, malformed=self._malformed, closed=self._closed)
        self._failure = ""
        self._unconfirmed: set[str] = set()
        self._changed = trio.Event()

    def _take(self, what: Happening) -> None:
        match what:
            case Told(event=se.ErrorEvent(error=error)):
                self._fail(error.message or "an error without a message")
            case Told(event=se.ConversationItemAdded() | se.ConversationItemDone() as event):
                self._unconfirmed.discard(str(event.item.get("id")))
        self._changed.set()

    def _malformed(self, _: str, error: RemoteProtocolError) -> None:
        self._fail(str(error))

    def _closed(self, code: int, reason: str, _: bool) -> None:
        self._fail(f"the new connection was closed with {code} {reason}")

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._changed.set()

    async def prepare(self, session: dict[str, Any]) -> None:
        """Connect and configure. Raises ConnectFailed."""
        await self.link.connection.wait_open()
        self._send(SessionUpdate(session=session))
        await self._until(lambda: self.link.wire.client.ready)

    async def replay(self, messages: Sequence[ConversationItemCreate]) -> None:
        """Tell the conversation, and wait until all of it is confirmed. Raises ConnectFailed."""
        self._unconfirmed = {str(message.item["id"]) for message in messages}
        for message in messages:
            self._send(message)
        await self._until(lambda: not self._unconfirmed)

    def _send(self, event: ClientEvent) -> None:
        self.link.send(self.link.wire.client.send(event))

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


class Renewal:
    """Renews the client ``client_id`` every ``after_s`` seconds. ``run`` goes on until cancelled.

    dial: begins to open connection ``number`` (2 is the first renewal).
    configuration: gives the session to ask for.
    is_quiet: whether the client has nothing under way: audio, responses, tools.
    adopt: uses this connection from now on, and closes the old one.
    """

    def __init__(
        self,
        client_id: str,
        *,
        dial: Callable[[int], Candidate],
        configuration: Callable[[], dict[str, Any]],
        is_quiet: Callable[[], bool],
        adopt: Callable[[Candidate], None],
        after_s: float,
        trace: Trace,
    ) -> None:
        self._client_id = client_id
        self._dial = dial
        self._configuration = configuration
        self._is_quiet = is_quiet
        self._adopt = adopt
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
        candidate = self._dial(self._number)
        adopted = False
        try:
            with trio.fail_after(PREPARE_S):
                await candidate.prepare(self._configuration())
            await self._wait_free(candidate)
            messages = self.history.replay()
            with trio.fail_after(REPLAY_S):
                await candidate.replay(messages)
            if not self._is_free():  # somebody began to speak meanwhile: what was told is old
                raise ConnectFailed("the conversation went on while it was being told")
            self._adopt(candidate)
            adopted = True
            self._note(messages=len(messages))
        except (ConnectFailed, trio.TooSlowError) as error:
            why = str(error) or "the service did not answer in time"
            self._trace.warning(
                "the session was not renewed; the old connection stays",
                unit=self._client_id,
                error=why,
                again_in_s=RETRY_S,
            )
        finally:
            if not adopted:
                candidate.link.connection.close()
        return adopted

    def _note(self, *, messages: int) -> None:
        self._trace.step(
            "session renewed",
            unit=self._client_id,
            connection=self._number,
            messages=messages,
        )

    def _is_free(self) -> bool:
        return self._is_quiet() and self._floor.is_free(clock.now())

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
