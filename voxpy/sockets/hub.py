"""One wake-up for every TCP socket that has something to read, and a share for strangers.

An epoll object is itself a file descriptor that becomes readable when one of its sockets does. So
one task waits for that, and then drains all ready sockets by plain calls: no task is woken per
packet, and nothing waits for a tick. The task is trio's own kind of system task, one per run, since
sockets of all sessions share it and no session may own it.

Who has proven nothing yet is served apart, by an epoll object inside of the first: a few at a time,
and then not again for twice as long as it took until all that came of it was done, tasks that were
woken and connections that had to make room included. So strangers have a third of the loop at the
most, in pieces that a tick hardly notices, however many they are and whatever they cost. Whatever
else is done for strangers (a connection taken, a datagram, a step of a TLS handshake) asks for its
``turn`` of the same share.
"""

from __future__ import annotations

import math
import os
import select
import sys
from collections import deque
from collections.abc import Callable

import trio

from voxpy.engine import clock

ROUNDS = 4
"""How often we look again before others get their turn: under load more has come meanwhile, and to
be woken costs ten times a look."""
ROUND_S = 0.002
"""What all known sockets together may have before others get their turn; who was not served is the
first of the next round."""
LOOK_EVERY = 4
"""Callbacks, between two looks at the clock."""
FEWEST, MOST = 1, 16
"""Strangers that have their turn at once: more of them as long as that takes no time."""
NEWCOMERS = 4
"""Every so manyth turn at least is a newcomer's. Those that are here are served first: were as many
let in, they would stand in each other's way, and be shown out before anybody has listened."""
SHORT_S, LONG_S = 0.00025, 0.0005
"""What is little and what is much for all that comes of the turns of strangers."""
STEPS = 4
"""Rounds of the loop until all that came of a turn is done, as a rule."""
REST = 2.0
"""How long strangers wait for their next turns, against what the last ones took."""

EPOLLIN, EPOLLOUT = 0x1, 0x4
"""As Linux numbers them; the module is imported on other systems too."""

Ready = Callable[[int], None]
"""Called with epoll's mask of what is the matter; must neither block nor raise."""


class Hub:
    """Calls back sockets that can be read, or written if they want to be, level-triggered."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._outside = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, EPOLLIN)
        self._epoll.register(self._outside.fileno(), EPOLLIN)
        self._ready: dict[int, Ready] = {}
        self._strangers: set[int] = set()
        self._in: dict[int, select.epoll] = {}
        self._turns: dict[int, int] = {}  # whose turn is next, and what is the matter with them
        self._outside_turns: dict[int, int] = {}
        self._tasks: deque[trio.Event] = deque()
        self._newcomers: deque[trio.Event] = deque()
        self._count = 0
        self._most = FEWEST
        self._open_at = 0.0
        self._asleep = False
        self._shut = False

    def add(self, fd: int, ready: Ready, *, stranger: bool = False) -> None:
        """Call ``ready`` whenever ``fd`` is readable, until ``remove``."""
        self._in[fd] = self._outside if stranger else self._epoll
        self._in[fd].register(fd, EPOLLIN)
        self._ready[fd] = ready
        if stranger:
            self._strangers.add(fd)

    def want(self, fd: int, *, read: bool, write: bool) -> None:
        """Call back for a readable ``fd``, for a writable one, for either or for neither.

        A stranger of whom nothing is read is none: what waits for it was made for a call.
        """
        mask = EPOLLIN * read | EPOLLOUT * write
        place = self._outside if read and fd in self._strangers else self._epoll
        if place is self._in[fd]:
            place.modify(fd, mask)
        else:
            self._in[fd].unregister(fd)
            place.register(fd, mask)
            self._in[fd] = place

    def again(self, fd: int) -> None:
        """Call back in the next round, readable or not: what was read is not all dealt with."""
        turns = self._turns if self._in[fd] is self._epoll else self._outside_turns
        turns[fd] = turns.get(fd, 0) | EPOLLIN
        self._ring()

    def remove(self, fd: int) -> None:
        """Forget ``fd``, which must still be open."""
        del self._ready[fd]
        self._in.pop(fd).unregister(fd)
        self._strangers.discard(fd)
        self._turns.pop(fd, None)
        self._outside_turns.pop(fd, None)

    async def turn(self, *, newcomer: bool = False) -> None:
        """Wait until a stranger may have something done for it. Always a checkpoint."""
        event = trio.Event()
        queue = self._newcomers if newcomer else self._tasks
        queue.append(event)
        self._ring()
        try:
            await event.wait()
        finally:
            if not event.is_set():
                queue.remove(event)

    def _ring(self) -> None:
        if self._asleep:
            self._asleep = False
            os.eventfd_write(self._bell, 1)

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                await self._sleep()
                until_s = clock.busy_s() + ROUND_S
                for _ in range(ROUNDS):
                    if not self.serve(until_s) or self._turns:
                        break
                if not self._shut:
                    began_s = _busy_s()
                    if self.serve_strangers():
                        for _ in range(STEPS):
                            await trio.lowlevel.checkpoint()
                        self._rest(_busy_s() - began_s)
        finally:
            self.close()

    def close(self) -> None:
        """Free everything."""
        self._epoll.close()
        self._outside.close()
        os.close(self._bell)

    async def _sleep(self) -> None:
        """Wait for somebody to serve."""
        if self._turns or (
            not self._shut and (self._tasks or self._newcomers or self._outside_turns)
        ):
            await trio.lowlevel.checkpoint()
        else:
            self._asleep = True
            with trio.move_on_at(self._open_at if self._shut else math.inf):
                await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._asleep = False
        if self._shut and clock.now() >= self._open_at:
            self._shut = False
            self._epoll.modify(self._outside.fileno(), EPOLLIN)

    def serve(self, until_s: float) -> bool:
        """Call back those known whose turn it is; return whether there was anybody."""
        turns = self._turns
        for fd, mask in self._epoll.poll(0):
            if fd in self._ready:
                turns[fd] = turns.get(fd, 0) | mask
            elif fd == self._bell:
                os.eventfd_read(fd)
        self._turns = {}
        later: dict[int, int] = {}
        late = False
        for n, (fd, mask) in enumerate(turns.items(), 1):
            if late:
                later[fd] = mask
                continue
            ready = self._ready.get(fd)  # an earlier call may have removed it
            if ready is not None:
                ready(mask)
            late = n % LOOK_EVERY == 0 and clock.busy_s() > until_s
        if later:
            self._turns = {**later, **self._turns}
        return bool(turns)

    def serve_strangers(self) -> bool:
        """Give some strangers their turn, sockets and tasks alike; return if there were any."""
        turns = self._outside_turns
        for fd, mask in self._outside.poll(0, self._most):  # others first next time
            turns[fd] = turns.get(fd, 0) | mask
        for n in range(self._most):
            self._count += 1
            inside = turns or self._tasks
            if self._newcomers and (not inside or self._count % NEWCOMERS == 0):
                self._newcomers.popleft().set()
            elif self._tasks and (not turns or self._count % 2):
                self._tasks.popleft().set()
            elif turns:
                fd = next(iter(turns))
                self._ready[fd](turns.pop(fd))
            else:
                return n > 0
        return True

    def _rest(self, took_s: float) -> None:
        """Let strangers wait, and say how many have their turn next."""
        if clock.is_virtual():  # how long something takes must make no difference
            return
        if took_s > LONG_S:
            self._most = max(FEWEST, self._most // 2)
        elif took_s < SHORT_S:
            self._most = min(MOST, self._most + 1)
        self._open_at = clock.now() + REST * took_s
        self._shut = True
        self._epoll.modify(self._outside.fileno(), 0)


def _busy_s() -> float:
    """Return a stopwatch that stands still while calls have their tick."""
    return clock.busy_s() - clock.MediaClock.ticking_s


_hub: trio.lowlevel.RunVar[Hub] = trio.lowlevel.RunVar("voxpy.sockets.hub")


def current_hub() -> Hub | None:
    """Return the hub of the running loop, started when first asked for; None without epoll."""
    if sys.platform != "linux":
        return None
    try:
        return _hub.get()
    except LookupError:
        hub = Hub()
        _hub.set(hub)
        trio.lowlevel.spawn_system_task(hub.run, name="sockets hub")
        return hub


async def strangers_turn(*, newcomer: bool = False) -> None:
    """Wait until something may be done for somebody who has proven nothing. A checkpoint.

    A ``newcomer`` is not here yet, and comes behind those who are.
    """
    if (hub := current_hub()) is not None:
        await hub.turn(newcomer=newcomer)
    else:
        await trio.lowlevel.checkpoint()
