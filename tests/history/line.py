"""A line to a real server that is cut, hangs or is not there: a server's bad days."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TypeAlias

Address: TypeAlias = str | tuple[str, int]
PIECE_BYTES = 65536


class Line:
    """Listens like a server and passes on what comes. ``where`` and ``to`` are addresses."""

    def __init__(self, family: socket.AddressFamily, where: Address, to: Address) -> None:
        self._family = family
        self._to = to
        self._flows = threading.Event()
        self._flows.set()
        self._up = True
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self.cut_after_bytes: int | None = None
        """How much of what is sent to the server passes before the line is cut."""
        self.answer = b""
        """What is answered in place of the server: a proxy's word before it hangs up."""
        self._listening = socket.socket(family)
        self._listening.bind(where)
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def down(self) -> None:
        """Cut what there is and refuse more."""
        self._up = False
        self.cut()

    def up(self) -> None:
        self._up = True
        self.cut_after_bytes, self.answer = None, b""

    def hang(self, hangs: bool) -> None:
        """Pass nothing on, with all connections open."""
        (self._flows.clear if hangs else self._flows.set)()

    def cut(self) -> None:
        """Reset all connections: nobody waits for what is under way."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._flows.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if not self._up:
                near.close()
                continue
            far = socket.socket(self._family)
            far.connect(self._to)
            with self._lock:
                self._ends += [near, far]
            for one, other, counts in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pump, args=(one, other, counts), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket, counts: bool) -> None:
        passed, answered = 0, False
        with suppress(OSError):
            while data := one.recv(PIECE_BYTES):
                self._flows.wait()
                if counts and self.answer and not answered:
                    one.sendall(self.answer)
                    answered = True
                if answered:
                    continue  # it reads what there is, and hangs up
                passed += len(data)
                if counts and self.cut_after_bytes is not None and passed > self.cut_after_bytes:
                    self.cut()
                    return
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
