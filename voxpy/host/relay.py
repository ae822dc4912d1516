"""A connection about a session goes to the process that has it: another worker, or another host.

The kernel gives a connection to any of the workers that share the port, and a balancer to any host.
A session's id says which worker of which host runs it, and so do its access URL and every place of
it in the API and on the pages; the address of a call that a provider's API places for us says it
too. Whoever gets the connection of another's session passes all of it on, both ways: to a worker by
a socket in the file system that only this user can open, after a line that says who the client is;
to a host by its HTTP port, with a header that says it and is signed by the key that the hosts of
the fleet know.
"""

from __future__ import annotations

import hmac
import re
import socket
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import orjson
import trio

from voxpy.channels.providers.placing import OURS
from voxpy.engine.ports import Endpoint, OpenStream
from voxpy.errors import ConnectFailed
from voxpy.fleet.membership import Fleet
from voxpy.host.requesthead import Head, refuse_plainly
from voxpy.sockets.listening import BACKLOG, private_folder

OWNED = re.compile(
    r"/(?:request|api/sessions|calls)/"
    r"\d{8}-\d{6}-(?:([0-9a-f]{8})-)?([0-9a-f]{2})[0-9a-f]{8}(?=[/?]|$)"
    rf"|[^?]*/{OURS.pattern}(?=\?|$)"
)
"""Paths about one session or one call of ours: both names have the worker in them."""
KEPT = ("/api/", "/calls/")
"""Below these any host may know of a session whose host is gone."""
RELAYED = b"voxpy-relayed"
"""A header between hosts: who the client is, and a proof."""
PREFACE_BYTES = 1024
READ_BYTES = 64 * 1024
HERE_WITHIN_S = 5.0
GONE, BAD_GATEWAY, LOOP = 410, 502, 508
GONE_AWAY = (trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.frozen(kw_only=True)
class Relay:
    """One process' end. ``serve`` gets what other workers pass on, with the client's address."""

    worker: int
    workers: int
    folder: Path | None
    """Where workers meet."""
    fleet: Fleet
    open_stream: OpenStream

    @classmethod
    def of(
        cls, worker: int, workers: int, http: socket.socket, fleet: Fleet, open_stream: OpenStream
    ) -> Relay:
        """Return a process' end; ``http`` is what the workers share."""
        # One place for all who share this port, and for nobody else.
        place = zlib.crc32(repr(http.getsockname()).encode())
        return cls(
            worker=worker,
            workers=workers,
            folder=private_folder(f"http-{place:08x}") if workers > 1 else None,
            fleet=fleet,
            open_stream=open_stream,
        )

    def owner(self, target: str) -> tuple[str, int] | None:
        """Return the host, by its mark, and the worker that a request is for; None for any."""
        found = OWNED.match(target)
        if found is None:
            return None
        mark = found[1] or found[3] if self.fleet.host else None
        return mark or self.fleet.mark, int(found[2] or found[4], 16)

    @contextmanager
    def listening(self) -> Iterator[socket.socket]:
        """Give the socket at which the others reach this worker, for as long as the block."""
        assert self.folder is not None
        place = self.folder / str(self.worker)
        place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as mine:
            mine.bind(str(place))
            mine.listen(BACKLOG)
            try:
                yield mine
            finally:
                place.unlink(missing_ok=True)

    def client(self, head: Head, address: str) -> str:
        """Return whose a request is: who is connected, or who is at the host that passes it on."""
        for value in _relayed(head):
            said, _, proof = value.decode("latin-1").rpartition(" ")
            if hmac.compare_digest(proof.encode("latin-1"), self._proof(said, head).encode()):
                return said
        return address

    async def passes_on(
        self, stream: trio.abc.Stream, head: Head, address: str, *, worth: Callable[[], None]
    ) -> bool:
        """Let another process serve a connection to its end; False if it is to be served here.

        ``worth`` is called if the request is not refused there.
        """
        owner = self.owner(head.request.target.decode("latin-1"))
        if owner is None or owner == (self.fleet.mark, self.worker):
            return False
        mark, worker = owner
        if mark != self.fleet.mark:
            there = await self._host(mark, stream, head)
            first = self._signed(head, address)
        else:
            there = await self._worker(worker)
            first = orjson.dumps({"address": address}) + b"\n" + head.raw
        if not isinstance(there, trio.abc.Stream):
            return there
        answer = b""
        async with there, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, first, stream, there)
            with suppress(*GONE_AWAY):
                answer = bytes(await there.receive_some(READ_BYTES))
            if answer[9:10] in (b"1", b"2"):
                worth()
            if answer:
                await _copy(answer, there, stream)
            nursery.cancel_scope.cancel()
        if not answer:
            await refuse_plainly(stream, BAD_GATEWAY, "it ended before it answered")
        return True

    async def _worker(self, worker: int) -> trio.abc.Stream | bool:
        if self.folder is not None and worker < self.workers:
            with suppress(OSError, trio.TooSlowError), trio.fail_after(HERE_WITHIN_S):
                return await trio.open_unix_socket(str(self.folder / str(worker)))
        return False

    async def _host(self, mark: str, stream: trio.abc.Stream, head: Head) -> trio.abc.Stream | bool:
        """Reach another host; or refuse the request, True, or leave it to us, False."""
        member = await self.fleet.find_host(mark)
        if member is None:
            if head.request.target.decode("latin-1").startswith(KEPT):
                return False
            if self.fleet.lease is not None and self.fleet.store.up:
                gone = "the host of this session is gone, and it with it"
                await refuse_plainly(stream, GONE, gone)
            else:
                problem = "what hosts share is away, and with it who has this session"
                await refuse_plainly(stream, BAD_GATEWAY, problem)
            return True
        if _relayed(head):
            wrong = f"host {member.host!r} is not at {member.url}: see its --fleet-url"
            await refuse_plainly(stream, LOOP, wrong)
            return True
        url = urlsplit(member.url)
        tls = url.scheme == "https"
        place = Endpoint(host=url.hostname or "", port=url.port or (443 if tls else 80), tls=tls)
        try:
            with trio.fail_after(HERE_WITHIN_S):
                return await self.open_stream(place)
        except (ConnectFailed, trio.TooSlowError):
            problem = f"host {member.host!r}, which has this session, does not answer"
            await refuse_plainly(stream, BAD_GATEWAY, problem)
            return True

    def _signed(self, head: Head, address: str) -> bytes:
        line, _, rest = head.raw.lstrip(b"\r\n").partition(b"\n")
        said = f"{address} {self._proof(address, head)}".encode("latin-1")
        return line + b"\n" + RELAYED + b": " + said + b"\r\n" + rest

    def _proof(self, address: str, head: Head) -> str:
        asked = b" ".join((address.encode("latin-1"), head.request.method, head.request.target))
        return hmac.digest(self.fleet.key, asked, "sha256").hex()

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


def _relayed(head: Head) -> list[bytes]:
    return [value for name, value in head.request.headers if name == RELAYED]


async def _copy(data: bytes, source: trio.abc.Stream, target: trio.abc.Stream) -> None:
    """Pass bytes on, ``data`` first, until there are no more, and say so."""
    with suppress(*GONE_AWAY):
        while data:
            await target.send_all(data)
            data = bytes(await source.receive_some(READ_BYTES))
        if isinstance(target, trio.abc.HalfCloseableStream):
            await target.send_eof()
