"""Workers that share the HTTP port: a connection about a session goes to the worker that has it.

The kernel gives a connection to any of them. A session's id says which worker runs it, and so do
its access URL and every place of it in the API and on the pages; the address of a call that a
provider's API places for us says it too. Whoever gets the connection of
another's session passes all of it on, by a socket in the file system that only this user can open:
first a line that says who the client is, then every byte, both ways.
"""

from __future__ import annotations

import re
import socket
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import orjson
import trio

from voxpy.channels.providers.placing import OURS
from voxpy.sockets.listening import BACKLOG, private_folder

OWNED = re.compile(
    r"/(?:request|api/sessions|calls)/\d{8}-\d{6}-([0-9a-f]{2})[0-9a-f]{8}(?=[/?]|$)"
    rf"|[^?]*/{OURS.pattern}(?=\?|$)"
)
"""Paths about one session or one call of ours: both names have the worker in them."""
PREFACE_BYTES = 1024
READ_BYTES = 64 * 1024
HERE_WITHIN_S = 5.0


@attrs.frozen(kw_only=True)
class Relay:
    """One worker's end. ``serve`` gets what others pass on, with the client's address."""

    worker: int
    workers: int
    folder: Path

    @classmethod
    def of(cls, worker: int, workers: int, http: socket.socket) -> Relay | None:
        """Return a worker's end, if there are several; ``http`` is what they share."""
        if workers < 2:
            return None
        # One place for all who share this port, and for nobody else.
        place = zlib.crc32(repr(http.getsockname()).encode())
        return cls(worker=worker, workers=workers, folder=private_folder(f"http-{place:08x}"))

    def owner(self, target: str) -> int | None:
        """Return the worker a request is for, None if any can answer it."""
        found = OWNED.match(target)
        owner = int(found[1] or found[2], 16) if found is not None else self.worker
        return owner if owner != self.worker and owner < self.workers else None

    @contextmanager
    def listening(self) -> Iterator[socket.socket]:
        """Give the socket at which the others reach this worker, for as long as the block."""
        place = self.folder / str(self.worker)
        place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as mine:
            mine.bind(str(place))
            mine.listen(BACKLOG)
            try:
                yield mine
            finally:
                place.unlink(missing_ok=True)

    async def pass_on(
        self,
        owner: int,
        stream: trio.abc.Stream,
        first: bytes,
        address: str,
        *,
        worth: Callable[[], None],
    ) -> bool:
        """Let another worker serve a connection to its end; False if it is not there.

        ``worth`` is called if it does not refuse the request.
        """
        try:
            with trio.fail_after(HERE_WITHIN_S):
                there = await trio.open_unix_socket(str(self.folder / str(owner)))
        except (OSError, trio.TooSlowError):
            return False
        async with there:
            preface = orjson.dumps({"address": address}) + b"\n"
            await there.send_all(preface + first)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_copy, stream, there)
                await _copy(there, stream, lambda data: worth() if data[9:10] in b"12" else None)
                nursery.cancel_scope.cancel()
        return True

    async def serve(
        self,
        stream: trio.SocketStream,
        answer: Callable[[trio.abc.Stream, str, bytes], Awaitable[None]],
    ) -> None:
        """Read who the client is, and let ``answer`` have the rest."""
        data = b""
        while b"\n" not in data and len(data) < PREFACE_BYTES:
            part = await stream.receive_some(READ_BYTES)
            if not part:
                return
            data += bytes(part)
        preface, _, rest = data.partition(b"\n")
        await answer(stream, str(orjson.loads(preface)["address"]), rest)


async def _copy(
    source: trio.abc.Stream,
    target: trio.abc.Stream,
    begins: Callable[[bytes], None] = lambda _: None,
) -> None:
    """Pass bytes on until there are no more, and say so; ``begins`` sees the first of them."""
    seen = False
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := bytes(await source.receive_some(READ_BYTES)):
            if not seen:
                seen = True
                begins(data)
            await target.send_all(data)
        if isinstance(target, trio.abc.HalfCloseableStream):
            await target.send_eof()
