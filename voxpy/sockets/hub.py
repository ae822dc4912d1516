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

ROUNDS = 4
"""How often we look again before others get their turn: under load more has come meanwhile, and to
be woken costs ten times a look."""

EPOLLIN, EPOLLOUT = 0x1, 0x4
"""As Linux numbers them; the module is imported on other systems too."""

Ready = Callable[[int], None]
"""Called with epoll's mask of what is the matter; must neither block nor raise."""


class Hub:
    """Calls back sockets that can be read, or written if they want to be, level-triggered."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}

    def add(self, fd: int, ready: Ready) -> None:
        """Call ``ready`` whenever ``fd`` is readable, until ``remove``."""
        self._epoll.register(fd, EPOLLIN)
        self._ready[fd] = ready

    def want(self, fd: int, *, read: bool, write: bool) -> None:
        """Call back for a readable ``fd``, for a writable one, for either or for neither."""
        self._epoll.modify(fd, EPOLLIN * read | EPOLLOUT * write)

    def remove(self, fd: int) -> None:
        """Forget ``fd``, which must still be open."""
        del self._ready[fd]
        self._epoll.unregister(fd)

    async def run(self) -> None:
        """Serve until cancelled."""
        with self._epoll:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for _ in range(ROUNDS):
                    if not self._serve():
                        break

    def _serve(self) -> bool:
        """Call back everybody who is ready now; return whether anybody was."""
        ready_now = self._epoll.poll(0)
        for fd, mask in ready_now:
            ready = self._ready.get(fd)  # an earlier call may have removed it
            if ready is not None:
                ready(mask)
        return bool(ready_now)


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
