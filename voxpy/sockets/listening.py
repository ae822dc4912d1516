"""Binding a TCP port, with errors that say what to change; and a place for workers to meet."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import tempfile
from pathlib import Path

from voxpy.errors import ConfigError, VoxpyError

BACKLOG = 512
LAST_PORT = 65535
ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """Listen. Raises VoxpyError that names the port and the ``setting`` to change."""
    if not 0 <= port <= LAST_PORT:
        problem = f"a port is a number from 0 to {LAST_PORT}"
        raise VoxpyError(f"cannot listen on {host}:{port} ({setting}): {problem}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
        bound.setblocking(False)
        return bound
    except (OSError, UnicodeError) as error:  # the latter for a host of 70 letters
        told = getattr(error, "strerror", None) or str(error)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise VoxpyError(
                f"port {port} on {host} is taken; choose another with {setting}, or stop the "
                "program that uses it"
            ) from error
        raise VoxpyError(f"cannot listen on {host}:{port} ({setting}): {told}") from error


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


def private_folder(place: str) -> Path:
    """Return the folder of the workers that share a place; nobody else may look into it."""
    named = "".join(sign if sign.isalnum() or sign in ".-" else "_" for sign in place)
    path = Path(tempfile.gettempdir()) / f"voxpy-{os.getuid()}-{named}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{path} is somebody else's, or open to others")
    return path


def own_address(host: str) -> str:
    """Return an address of this machine that others can send to."""
    if host not in ANYWHERE:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: it only asks for the way there
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
