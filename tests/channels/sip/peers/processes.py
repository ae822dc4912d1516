"""Peers are other people's programs, and ``voxpy serve`` is one process more among them."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio

PATIENCE_S = 60
WAIT_S = 30
POLL_S = 0.01
MOST_PORTS = 6
_turns = count(random.randrange(1_500))


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skip tests where a peer is not installed."""
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not here: apt-get install {package}"
    )


def free_ports(number: int = 1) -> int:
    """Return the first of so many ports in a row that nobody had a moment ago.

    Peers have to be told their ports. These are below those that the system hands out by itself,
    and none comes twice soon: its first owner may not have taken it yet.
    """
    while True:
        first = 10_000 + next(_turns) * MOST_PORTS % 9_000
        with ExitStack() as probes:
            try:
                for port in range(first, first + number):
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        probe = probes.enter_context(socket.socket(type=kind))
                        probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return first


async def until(
    condition: Callable[[], Any], otherwise: Callable[[], str], *, within_s: float = WAIT_S
) -> None:
    """Wait; ``otherwise`` says what is wrong if it never is so."""
    try:
        with trio.fail_after(within_s):
            while not condition():  # noqa: ASYNC110  what other processes do sets no Event
                await trio.sleep(POLL_S)
    except trio.TooSlowError:
        raise AssertionError(otherwise()) from None


@asynccontextmanager
async def running(
    command: Sequence[str], printed: Path, **options: Any
) -> AsyncIterator[trio.Process]:
    """Let a program run for as long as the block; what it prints goes into a file."""
    with printed.open("wb") as file:
        process = await trio.lowlevel.open_process(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options
        )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                with trio.move_on_after(PATIENCE_S):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
