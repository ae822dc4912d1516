"""One thread, one epoll, one heap of what is due: the loop of the harness's processes."""

from __future__ import annotations

import gc
import heapq
import itertools
import json
import os
import select
import socket
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from typing import Any

Handler = Callable[[], None]

now = time.perf_counter
"""CLOCK_MONOTONIC, the same in every process of the machine."""

pause = time.sleep
"""There is no event loop in the process that drives the others."""


class Samples:
    """Rows of numbers. An answer names the file they are in.

    As JSON they would be megabytes, and the time it takes to write those makes all calls late.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._numbers = array("d")

    def add(self, *row: float) -> None:
        """Append a row of ``width`` numbers."""
        self._numbers.extend(row)

    def clear(self) -> None:
        """Forget all rows."""
        self._numbers = array("d")

    def spill(self) -> dict[str, Any]:
        """Write the rows to a new file, which is the reader's to remove."""
        fd, path = tempfile.mkstemp(prefix="voxpy-bench-")
        with open(fd, "wb") as file:
            self._numbers.tofile(file)
        return {"samples": path, "width": self._width}


class Loop:
    """Calls handlers of readable sockets, and others at their time; takes orders on stdin.

    An order is a line of JSON, ``{"do": "open", ...}``; its answer is a line of JSON on stdout.
    ``late_s`` has, for every timed call, when it was due and how late it was.
    """

    def __init__(self) -> None:
        self.late_s = Samples(2)
        self.orders: dict[str, Callable[..., Any]] = {}
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._due: list[tuple[float, int, Handler]] = []
        self._numbers = itertools.count()
        self._orders = b""
        self._over = False

    def watch(self, sock: socket.socket, handler: Handler) -> None:
        """Call ``handler`` whenever ``sock`` is readable."""
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._handlers[sock.fileno()] = handler

    def forget(self, sock: socket.socket) -> None:
        """Watch this socket no more, and close it. Again does nothing."""
        if (fd := sock.fileno()) >= 0:
            self._handlers.pop(fd, None)
            self._epoll.unregister(fd)
            sock.close()

    def at(self, due_s: float, handler: Handler) -> None:
        """Call ``handler`` at this time."""
        heapq.heappush(self._due, (due_s, next(self._numbers), handler))

    def run(self, ready: dict[str, Any]) -> None:
        """Say that we are ready; serve until stdin ends."""
        gc.freeze()
        gc.disable()  # a process of a minute; a collection would be late by milliseconds
        os.set_blocking(0, False)
        self._epoll.register(0, select.EPOLLIN)
        self._handlers[0] = self._read_orders
        answer(ready)
        while not self._over:
            # select, because epoll's own timeout is in whole milliseconds
            wait_s = max(0.0, self._due[0][0] - now()) if self._due else 1.0
            if select.select([self._epoll], [], [], wait_s)[0]:
                for fd, _ in self._epoll.poll(0):
                    if (handler := self._handlers.get(fd)) is not None:
                        handler()
            self._run_due()

    def _run_due(self) -> None:
        began = now()
        while self._due and self._due[0][0] <= began:
            due_s, _, handler = heapq.heappop(self._due)
            self.late_s.add(due_s, now() - due_s)
            handler()

    def _read_orders(self) -> None:
        data = os.read(0, 65536)
        self._over = not data
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            answer(self.orders[order.pop("do")](**order))


def answer(value: Any) -> None:
    """Write one line of JSON to whoever started us."""
    sys.stdout.write(json.dumps(value, default=Samples.spill) + "\n")
    sys.stdout.flush()
