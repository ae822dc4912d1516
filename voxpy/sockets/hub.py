"""One wake-up for every TCP socket that has something to read.

An epoll object is itself a file descriptor that becomes readable when one of its sockets does. So
one task waits for that, and then drains all ready sockets by plain calls: no task is woken per
packet, and nothing waits for a tick. The task is trio's own kind of system task, one per run, since
sockets of all sessions share it and no session may own it.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable

import trio

from voxpy.engine import clock

ROUNDS = 4
"""How often we look again before others get their turn: under load more has come meanwhile, and to
be woken costs ten times a look."""
ROUND_S = 0.002
"""What all sockets together may have before others get their turn; who was not served is the first
of the next round."""
LOOK_EVERY = 4
"""Callbacks, between two looks at the clock."""
STRANGERS = 4
"""How many of those that have proven nothing have their turn in a round. What one of them sends may
cost a whole handshake or the end of a connection, a millisecond in tasks that are not counted here.
"""

EPOLLIN, EPOLLOUT = 0x1, 0x4
"""As Linux numbers them; the module is imported on other systems too."""

Ready = Callable[[int], None]
"""Called with epoll's mask of what is the matter; must neither block nor raise."""


class Hub:
    """Calls back sockets that can be read, or written if they want to be, level-triggered."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._strangers: set[int] = set()
        self._turns: dict[int, int] = {}  # whose turn is next, and what is the matter with them
        self._serving = False

    def add(self, fd: int, ready: Ready, *, stranger: bool = False) -> None:
        """Call ``ready`` whenever ``fd`` is readable, until ``remove``."""
        self._epoll.register(fd, EPOLLIN)
        self._ready[fd] = ready
        if stranger:
            self._strangers.add(fd)

    def want(self, fd: int, *, read: bool, write: bool) -> None:
        """Call back for a readable ``fd``, for a writable one, for either or for neither."""
        self._epoll.modify(fd, EPOLLIN * read | EPOLLOUT * write)

    def again(self, fd: int) -> None:
        """Call back in the next round, readable or not: what was read is not all dealt with."""
        self._turns[fd] = self._turns.get(fd, 0) | EPOLLIN
        if not self._serving:  # we sleep, and are woken by anything that is ready, as a way out is
            self.want(fd, read=True, write=True)

    def remove(self, fd: int) -> None:
        """Forget ``fd``, which must still be open."""
        del self._ready[fd]
        self._strangers.discard(fd)
        self._turns.pop(fd, None)
        self._epoll.unregister(fd)

    async def run(self) -> None:
        """Serve until cancelled."""
        with self._epoll:
            while True:
                if self._turns:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                self._serving = True
                until_s = clock.busy_s() + ROUND_S
                for _ in range(ROUNDS):
                    if not self._serve(until_s) or self._turns:
                        break
                self._serving = False

    def _serve(self, until_s: float) -> bool:
        """Call back those whose turn it is; return whether there was anybody."""
        turns = self._turns
        for fd, mask in self._epoll.poll(0):
            turns[fd] = turns.get(fd, 0) | mask
        self._turns = {}
        later: dict[int, int] = {}
        strangers, late = 0, False
        for n, (fd, mask) in enumerate(turns.items(), 1):
            if late:
                later[fd] = mask
                continue
            if fd in self._strangers:
                strangers += 1
                if strangers > STRANGERS:
                    later[fd] = mask
                    continue
            ready = self._ready.get(fd)  # an earlier call may have removed it
            if ready is not None:
                ready(mask)
            late = n % LOOK_EVERY == 0 and clock.busy_s() > until_s
        if later:
            self._turns = {**later, **self._turns}
        return bool(turns)


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
