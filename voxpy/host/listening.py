"""The sockets a host listens on, opened before anything else so that a taken port costs nothing."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from voxpy.errors import ConfigError, VoxpyError
from voxpy.project.channels import Channel

__all__ = ["BACKLOG", "Sockets", "open_sockets", "tls_context"]

BACKLOG = 512


@attrs.frozen
class Sockets:
    """Listening sockets. ``tcp`` are by channel name, for providers with a port of their own."""

    http: socket.socket
    tcp: Mapping[str, socket.socket]

    @property
    def port(self) -> int:
        """The HTTP port, now that the system has chosen one."""
        return int(self.http.getsockname()[1])

    def all(self) -> tuple[socket.socket, ...]:
        """Return every socket."""
        return (self.http, *self.tcp.values())

    def close(self) -> None:
        """Stop listening."""
        for each in self.all():
            each.close()


def open_sockets(host: str, port: int, channels: Sequence[Channel]) -> Sockets:
    """Listen. Raises VoxpyError that names the port and what to change."""
    opened = [_open(host, port, "--port")]
    try:
        named = {c.name: c for c in channels if not c.path}
        tcp = {}
        for name, channel in named.items():
            tcp[name] = _open(channel.host, channel.port, f"channels: {name}: port")
            opened.append(tcp[name])
    except BaseException:
        for each in opened:
            each.close()
        raise
    return Sockets(opened[0], tcp)


def _open(host: str, port: int, setting: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise VoxpyError(
                f"port {port} on {host} is taken; choose another with {setting}, or stop the "
                "program that uses it"
            ) from error
        raise VoxpyError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what serves TLS, or None without a certificate. Raises ConfigError."""
    if certificate is None:
        if key is not None:
            raise ConfigError("a TLS key needs its certificate: --tls-cert", file=str(key))
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        problem = f"no usable TLS certificate and key: {reason}"
        raise ConfigError(problem, file=str(certificate)) from error
    return context
