"""The UDP ports of calls: a pair each, read together.

One look at the kernel finds which of all sockets have something, and only those are read. So a tick
with fifty calls costs one system call and one for each packet, not two for every socket. Whoever
asks for the second time since the last look is in a new tick, and looks again.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections import deque
from typing import Protocol

import attrs

from voxpy.errors import ConnectFailed

Address = tuple[str, int]
Datagrams = deque[tuple[bytes, Address]]

MOST_PACKETS_A_TICK = 32
"""1,600 a second: a flood of one port costs its own call, and the rest of it is dropped."""
MOST_WAITING = 64
MOST_PACKET_BYTES = 2048


class RtpLine(Protocol):
    """Where the packets of one call come from and go to."""

    @property
    def port(self) -> int:
        """The port of RTP; RTCP's is the next."""

    def read(self) -> tuple[Datagrams, Datagrams]:
        """Return what has come on either port; whoever takes it empties them."""

    def send(self, data: bytes, to: Address) -> bool:
        """Send from the port of RTP; return whether it went out."""

    def send_rtcp(self, data: bytes, to: Address) -> bool:
        """Send from the port of RTCP; return whether it went out."""

    def close(self) -> None:
        """Free both. Again does nothing."""


@attrs.define
class PortRange:
    """UDP ports for RTP, even ones; the odd ones above are RTCP's. Used in turn."""

    lowest: int
    highest: int
    _next: int = 0
    _watch: _Watch = attrs.field(factory=lambda: _Watch())

    def bind(self, host: str) -> UdpLine:
        """Return a line of two ports. Raises ConnectFailed if none are free."""
        pairs = max(1, (self.highest - self.lowest + 1) // 2)
        for _ in range(pairs):
            port = self.lowest + 2 * (self._next % pairs)
            self._next += 1
            with contextlib.suppress(OSError):
                return UdpLine(_pair(host, port), self._watch)
        raise ConnectFailed(f"no RTP port is free from {self.lowest} to {self.highest}")


def _pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    rtp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        rtp.bind((host, port))
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            rtcp.bind((host, port + 1))
        except OSError:
            rtcp.close()
            raise
    except OSError:
        rtp.close()
        raise
    rtp.setblocking(False)
    rtcp.setblocking(False)
    return rtp, rtcp


class _Watch:
    """Looks at all lines at once."""

    def __init__(self) -> None:
        self.looks = 0
        self._poll = select.poll()
        self._lines: dict[int, tuple[socket.socket, Datagrams]] = {}

    def add(self, sock: socket.socket, into: Datagrams) -> None:
        self._poll.register(sock, select.POLLIN)
        self._lines[sock.fileno()] = sock, into

    def remove(self, sock: socket.socket) -> None:
        self._poll.unregister(sock)
        del self._lines[sock.fileno()]

    def look(self) -> None:
        """Read what there is into the lines, one packet of each at a time."""
        self.looks += 1
        for _ in range(MOST_PACKETS_A_TICK):
            ready = self._poll.poll(0)
            if not ready:
                return
            for number, _ in ready:
                sock, into = self._lines[number]
                try:
                    data, address = sock.recvfrom(MOST_PACKET_BYTES)
                except OSError:  # what we sent before was not wanted there; it may be soon
                    continue
                into.append((data, address[:2] if len(address) > 2 else address))


class UdpLine:
    """Implements ``RtpLine`` by two sockets that do not block."""

    def __init__(self, sockets: tuple[socket.socket, socket.socket], watch: _Watch) -> None:
        self._rtp, self._rtcp = sockets
        self._watch = watch
        self._looked = watch.looks
        self._packets: Datagrams = deque(maxlen=MOST_WAITING)
        self._reports: Datagrams = deque(maxlen=MOST_WAITING)
        self.port: int = self._rtp.getsockname()[1]
        watch.add(self._rtp, self._packets)
        watch.add(self._rtcp, self._reports)

    def read(self) -> tuple[Datagrams, Datagrams]:
        """Return what has come."""
        watch = self._watch
        if self._looked == watch.looks:
            watch.look()
        self._looked = watch.looks
        return self._packets, self._reports

    def send(self, data: bytes, to: Address) -> bool:
        """Send from the port of RTP."""
        try:
            self._rtp.sendto(data, to)
        except OSError:  # full, or the network is away: the next one will do
            return False
        return True

    def send_rtcp(self, data: bytes, to: Address) -> bool:
        """Send from the port of RTCP."""
        with contextlib.suppress(OSError):
            self._rtcp.sendto(data, to)
            return True
        return False

    def close(self) -> None:
        """Free both. Again does nothing."""
        if self._rtp.fileno() >= 0:
            for sock in (self._rtp, self._rtcp):
                self._watch.remove(sock)
                sock.close()
            self._packets.clear()
            self._reports.clear()
