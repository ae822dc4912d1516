"""Reading the first words of strangers: whoever says them byte by byte wakes nobody."""

from __future__ import annotations

import os
from collections.abc import Callable

import trio

from voxpy.sockets.hub import current_hub, strangers_turn

READ_BYTES = 16 * 1024


async def read_until(
    stream: trio.abc.Stream, received: bytearray, enough: Callable[[], bool]
) -> bool:
    """Add what comes to ``received`` until that is ``enough``; return False at the end of it.

    On the kernel's own sockets the hub reads, and this task is woken once, at the end: hundreds of
    sockets that trickle cost a look each, in a round of their own share.
    """
    hub = current_hub()
    if type(stream) is not trio.SocketStream or hub is None:
        while not enough():
            if not (data := await _some(stream)):
                return False
            received += data
            await strangers_turn()
        return True
    fd = stream.socket.fileno()
    done = trio.Event()
    whole = False

    def read(mask: int) -> None:
        nonlocal whole
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        received.extend(data)
        whole = bool(data) and enough()
        if whole or not data:
            hub.remove(fd)
            done.set()

    await trio.lowlevel.checkpoint()
    if enough():
        return True
    hub.add(fd, read, stranger=True)
    try:
        await done.wait()
    finally:
        if not done.is_set():
            hub.remove(fd)
    return whole


async def _some(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some(READ_BYTES))
    except trio.BrokenResourceError:
        return b""
