"""A real redis-server for the session, without a port and without a disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

NEEDED = "redis-server is not installed (Debian: redis-server)"


@attrs.define
class RedisServer:
    """One that can be stopped and started; what it had is gone then."""

    folder: Path
    _process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder / 'redis'}"

    def start(self) -> None:
        path = str(self.folder / "redis")
        told = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", *told, "--dir", str(self.folder)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "eady to accept connections" in line:
                return
        raise AssertionError("redis-server does not start")

    def hang(self, hangs: bool) -> None:
        """Let it answer nothing, with its connections open; or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip(NEEDED)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is too long for an address
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One for all tests that only use it; each takes a name of its own."""
    with redis_server() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """One that a test may stop."""
    with redis_server() as server:
        yield server
