"""One client of the local agent: its socket, the protocol, and everything that acts on it.

The protocol (``RealtimeServer``) is a pure object, and everything here calls it synchronously: the
socket's callback with each message, the ears and the voice from their tasks, the timer when it asks
to be called. What it returns are effects, which are carried out at once, and frames, which go to
the writer's queue in the order the protocol made them; nobody else writes to the socket.

Messages are taken in the order they came, and at once, but for one thing. Audio is heard in a task
of its own, and takes its time; what the client says *about* its audio (commit, clear, another
format) would overtake it. While the ears are behind, such a message is held back, and so is
everything behind it, or a ``response.create`` would overtake the commit it is about. In a live call
the ears are behind for moments only, so a cancel is hardly ever held.

Faults are between the protocol and the socket: the writer asks the filter what to do with each
frame.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import numpy as np
import orjson
import trio

from voxpy.engine import clock
from voxpy.localagent.engines import Engines
from voxpy.localagent.listening import Listening
from voxpy.localagent.services.dialect import Dialect
from voxpy.localagent.speaking import Speaking
from voxpy.sockets import FrameSocket
from voxpy.wire.realtime.server.effects import (
    AudioReceived,
    ConsiderBackchannel,
    Effect,
    Fill,
    Ignored,
    InputCleared,
    InputCommitted,
    ItemAudio,
    Respond,
    SessionChanged,
    Stop,
    Summarise,
)
from voxpy.wire.realtime.server.faults import Close, Deliver, FaultFilter, Faults, Outcome, Stall
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import Quirks

Report = Callable[[str], None]

MOST_HELD_BYTES = 64 * 1024 * 1024
"""Messages that may wait for the ears to catch up; beyond it the client is sent away."""
POLICY_VIOLATION = 1008
LONGEST_WARNING = 500

_ABOUT_AUDIO = ("input_audio_buffer.commit", "input_audio_buffer.clear", "session.update")


def _is_about_audio(message: str | bytes) -> bool:
    """Return whether a message may say how audio is heard that was sent before it.

    Looked for in the text: one that only mentions it waits a moment longer, and nothing is lost.
    """
    text = message if isinstance(message, str) else message.decode("utf-8", "replace")
    return any(name in text for name in _ABOUT_AUDIO)


@attrs.frozen(kw_only=True)
class Behaviour:
    """Where the agent differs from a plain server: its quirks, its faults, and its luck.

    ``like``: the service it is where the address that a client asks for does not say. ``quirks``
    take the place of those of the service. The same ``seed`` brings the same faults and
    back-channels again.
    """

    like: str = "inworld"
    quirks: Quirks | None = None
    faults: Faults = attrs.field(factory=Faults)
    seed: int = 0


@attrs.frozen
class _Ready:
    """A frame in the client's own wire."""

    frame: str | bytes


class AgentConnection:
    """One client: a writer, a listener, a timer, and a task for each thing to say."""

    def __init__(
        self,
        socket: FrameSocket,
        engines: Engines,
        *,
        report: Report = lambda _: None,
        behaviour: Behaviour | None = None,
        quirks: Quirks | None = None,
        dialect: Dialect | None = None,
        model: str | None = None,
    ) -> None:
        self._socket = socket
        self._dialect = dialect
        self._report = report
        self._engines = engines
        self._number = next(engines.connections)
        self._ids: dict[str, int] = {}
        behaviour = behaviour or Behaviour()
        dice = np.random.default_rng(behaviour.seed)
        self._faults = FaultFilter(behaviour.faults, draw=dice.random)
        self._protocol = RealtimeServer(
            session_id=self._new_id("sess"),
            new_id=self._new_id,
            quirks=quirks,
            draw=dice.random,
            model=model,
            unix_at_zero_s=clock.wall().timestamp() - clock.now(),
        )
        self._listening = Listening(
            self._protocol, engines, apply=self._apply, report=report, caught_up=self._go_on
        )
        self._held: deque[str | bytes] = deque()
        self._held_bytes = 0
        self._warned: set[str] = set()
        self._to_send, self._send = trio.open_memory_channel[bytes | Outcome | _Ready](math.inf)
        self._nap = trio.CancelScope()

    async def run(self) -> None:
        """Talk until the client leaves."""
        async with trio.open_nursery() as nursery:
            self._speaking = Speaking(
                self._protocol,
                self._engines,
                nursery,
                told=self._settle,
                report=self._report,
                caller_talks=lambda: self._listening.caller_talks,
            )
            if self._dialect is not None:
                self._dialect.opened()
                self._translated(self._dialect)
            self._protocol.open(clock.now())
            self._flush()
            nursery.start_soon(self._write)
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._listening.run)
            self._socket.on_message = self._receive
            await self._socket.run()
            nursery.cancel_scope.cancel()

    # -- for whoever plays the service: a test ---------------------------------------------------

    def put(self, outcome: Outcome | Mapping[str, Any]) -> None:
        """Do this behind all that is to be sent: a raw event, or what a fault may do."""
        sent = outcome if not isinstance(outcome, Mapping) else Deliver(orjson.dumps(outcome))
        self._to_send.send_nowait(sent)

    def drop(self) -> None:
        """Break the connection without a word, as a lost network does."""
        self._socket.abort()

    def repeat_session(self) -> None:
        """Send session.updated once more, as the service does when it changed something itself."""
        session = dict(self._protocol.session)
        self.put({"type": "session.updated", "event_id": self._new_id("event"), "session": session})

    def take_turn(self) -> None:
        """Answer although nobody asked: as if the client had sent ``response.create``."""
        self._ask('{"type":"response.create"}')

    # -- the inside ------------------------------------------------------------------------------

    def _receive(self, message: str | bytes) -> None:
        """Take a message of the client's, in its own wire."""
        if self._dialect is None:
            self._ask(message)
        else:
            self._dialect.receive(message)
            self._translated(self._dialect)

    def _translated(self, dialect: Dialect) -> None:
        events, frames = dialect.take()
        for frame in frames:
            self._to_send.send_nowait(frame if isinstance(frame, Close) else _Ready(frame))
        for event in events:
            self._ask(orjson.dumps(event))

    def _ask(self, message: str | bytes) -> None:
        """Take a message, or hold it back: see Listening on what a commit means."""
        if self._held or (self._listening.behind and _is_about_audio(message)):
            self._hold(message)
        else:
            self._apply(self._protocol.receive(message, clock.now()))

    def _hold(self, message: str | bytes) -> None:
        self._held_bytes += len(message)
        if self._held_bytes > MOST_HELD_BYTES:
            self._socket.close(POLICY_VIOLATION, "sends more than can be heard")
        else:
            self._held.append(message)

    def _go_on(self) -> None:
        """The ears have caught up: what was held back goes on, until they are behind again."""
        while self._held and not (self._listening.behind and _is_about_audio(self._held[0])):
            message = self._held.popleft()
            self._held_bytes -= len(message)
            self._apply(self._protocol.receive(message, clock.now()))

    def _new_id(self, kind: str) -> str:
        self._ids[kind] = self._ids.get(kind, 0) + 1
        return f"{kind}_{self._number}_{self._ids[kind]:05d}"

    async def _keep_time(self) -> None:
        """Call the protocol when it wants to be called; ``_flush`` moves the alarm."""
        while True:
            self._nap = trio.CancelScope()
            self._set_alarm()
            with self._nap:
                await trio.sleep_forever()
            self._apply(self._protocol.tick(clock.now()))

    def _set_alarm(self) -> None:
        deadline = self._protocol.next_deadline()
        self._nap.deadline = math.inf if deadline is None else deadline

    # -- effects of the protocol ----------------------------------------------------------------

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._carry_out(effect)
        self._flush()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case AudioReceived(data):
                self._listening.hear(data)
            case SessionChanged() | InputCommitted() | InputCleared() | ItemAudio():
                self._listening.note(effect)
            case Ignored(event, places):
                self._warn(event, places)
            case Respond():
                self._speaking.respond(effect)
            case Stop(response_id):
                self._speaking.stop(response_id)
            case ConsiderBackchannel():
                self._speaking.consider(effect)
            case Fill():
                self._speaking.fill(effect)
            case Summarise():
                self._speaking.summarise(effect)

    def _warn(self, event: str, places: Iterable[str]) -> None:
        """Say once of each field that it means nothing: no answer of the protocol does."""
        new = [place for place in places if place not in self._warned]
        self._warned.update(new)
        if new:
            told = f"{event}: {', '.join(new)} means nothing here and is ignored"
            self._report("".join(c if c.isprintable() else "?" for c in told)[:LONGEST_WARNING])

    def _settle(self) -> None:
        """Do what a call to the protocol made due."""
        self._apply(self._protocol.effects())

    def _flush(self) -> None:
        for frame in self._protocol.outgoing():
            self._to_send.send_nowait(frame)
        self._set_alarm()

    async def _write(self) -> None:
        async for frame in self._send:
            if isinstance(frame, _Ready):
                self._socket.send(frame.frame)
                continue
            if not isinstance(frame, bytes):
                await self._put(frame)
                continue
            outcomes = self._faults.feed(frame)
            if not self._send.statistics().current_buffer_used:
                outcomes += self._faults.flush()
            for outcome in outcomes:
                await self._put(outcome)

    async def _put(self, outcome: Outcome) -> None:
        match outcome:
            case Deliver(frame, delay_s):
                if delay_s:
                    await trio.sleep(delay_s)
                if self._dialect is None:
                    self._socket.send(frame.decode("utf-8", "replace"))
                    return
                self._dialect.send(frame)
                events, frames = self._dialect.take()
                for each in frames:
                    if isinstance(each, Close):
                        self._socket.close(each.code, each.reason)
                    else:
                        self._socket.send(each)
                for event in events:
                    self._ask(orjson.dumps(event))
            case Stall(seconds):
                await trio.sleep(seconds)
            case Close(code, reason):
                self._socket.close(code, reason)
