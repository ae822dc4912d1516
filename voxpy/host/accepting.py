"""Taking connections from a listening socket that other workers may share.

A worker that is full leaves connections to those that have room: they wait in the kernel until
one of them takes them, instead of being told "busy" here. When nobody has room, everybody takes
them and says so.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable

import trio

from voxpy.engine.trace import Trace
from voxpy.host.listening import BACKLOG

__all__ = ["Acceptor"]

LOOK_AGAIN_S = 0.25
PAUSE_S = 0.1
"""After the system has run out of descriptors: some calls will end."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class Acceptor:
    """Accepts for a host. ``leave_to_others`` says whether a connection is better off elsewhere.

    Call ``look`` whenever the answer may have changed.
    """

    def __init__(self, leave_to_others: Callable[[], bool], *, log: Trace) -> None:
        self._leave_to_others = leave_to_others
        self._log = log
        self._waiting: set[trio.CancelScope] = set()

    def look(self) -> None:
        """Stop waiting for a connection that should be left to others."""
        if self._waiting and self._leave_to_others():
            for scope in self._waiting:
                scope.cancel()

    async def run(
        self,
        bound: socket.socket,
        serve: Callable[[trio.SocketStream], Awaitable[None]],
        nursery: trio.Nursery,
    ) -> None:
        """Serve every connection to ``bound`` in a task of ``nursery``, until cancelled."""
        bound.listen(BACKLOG)
        async with trio.SocketListener(trio.socket.from_stdlib_socket(bound.dup())) as listener:
            while True:
                while self._leave_to_others():  # noqa: ASYNC110  others do not tell us at once
                    await trio.sleep(LOOK_AGAIN_S)
                stream = await self._accept(listener)
                if stream is not None:
                    nursery.start_soon(serve, stream)

    async def _accept(self, listener: trio.SocketListener) -> trio.SocketStream | None:
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                return await listener.accept()
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self._log.write("error", "no connection can be taken", error=str(error))
                await trio.sleep(PAUSE_S)
            finally:
                self._waiting.discard(scope)
        return None
