"""Every connection to a host: counted, its request read once, then media or HTTP.

A WebSocket on a channel's path gets voxpy's own codec, straight on the kernel's socket; everything
else is HTTP. An error of one connection is logged and ends nothing else.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio

from voxpy.channels.mediastream.line import ByteLine, Line
from voxpy.channels.mediastream.serving import LIMITS, accept, serve_line
from voxpy.channels.providers.http import Request
from voxpy.channels.providers.provider import MediaStream
from voxpy.engine.faults import contained, explain
from voxpy.engine.trace import Trace
from voxpy.errors import RemoteProtocolError
from voxpy.host.connections import ConnectionLimits, Connections
from voxpy.host.guard import Guard, called_url
from voxpy.host.metrics import Metrics
from voxpy.host.reception import Reception
from voxpy.host.release import LineRelease, Released
from voxpy.host.requesthead import BadHead, Head, ReplayStream, read_head, refuse_plainly
from voxpy.host.web import Web
from voxpy.project.channels import Channel
from voxpy.sockets.accepting import Upgrade, receive_upgrade

__all__ = ["Door"]

LOG_FIRST = 20
LOG_EVERY = 100
"""Of refusals for one cause the first are logged and then each hundredth: a flood fills no disk."""

_How = Callable[[trio.SocketStream, str], Awaitable[None]]


@attrs.define
class Door:
    """Serves connections, each by ``http`` or ``tcp`` in a task of its own."""

    reception: Reception
    web: Web
    channels: Sequence[Channel]
    limits: ConnectionLimits
    metrics: Metrics
    log: Trace
    guard: Guard
    tls: ssl.SSLContext | None = None
    fetch: Any = None
    connections: Connections = attrs.field(init=False)
    _refusals: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to count."""
        self.connections = Connections(self.limits)

    async def http(self, stream: trio.SocketStream) -> None:
        """Serve one connection to the HTTP port."""
        await self._serve(stream, self._http)

    async def tcp(self, channel: Channel, stream: trio.SocketStream) -> None:
        """Serve one connection to the port of a channel on TCP."""
        await self._serve(stream, partial(self._tcp, channel))

    async def _serve(self, stream: trio.SocketStream, how: _How) -> None:
        address = _address(stream)
        with self.connections.one(address) as refusal, contained(partial(self._failed, address)):
            try:
                if refusal:
                    self._refused("too many", refusal, address)
                else:
                    await how(stream, address)
            finally:
                with trio.CancelScope(shield=True):  # closing by force does not wait
                    await trio.aclose_forcefully(stream)

    async def _http(self, plain: trio.SocketStream, address: str) -> None:
        stream: trio.abc.Stream = plain
        try:
            if self.tls is not None:
                stream = await self._secure(plain)
            limits = self.limits
            head = await read_head(stream, most_bytes=limits.head_bytes, within_s=limits.head_s)
        except BadHead as error:
            if error.problem:
                self._refused("no request", error.problem, address)
            await refuse_plainly(stream, error.status, error.problem)
            return
        if head.is_upgrade:
            await self._media(stream, head, address)
        else:
            await self.web.serve(ReplayStream(stream, head.raw, plain.socket))

    async def _secure(self, plain: trio.SocketStream) -> trio.abc.Stream:
        assert self.tls is not None
        secure = trio.SSLStream(plain, self.tls, server_side=True, https_compatible=True)
        try:
            with trio.move_on_after(self.limits.head_s):
                await secure.do_handshake()
                return secure
        except trio.BrokenResourceError as error:
            raise BadHead(0, f"no TLS handshake: {error.__cause__ or error}") from error
        raise BadHead(0, f"no TLS handshake within {self.limits.head_s:g} s")

    async def _media(self, stream: trio.abc.Stream, head: Head, address: str) -> None:
        try:
            upgrade = await receive_upgrade(stream, limits=LIMITS, first=head.raw)
        except RemoteProtocolError as error:
            self._refused("no handshake", str(error), address)
            return
        url = urlsplit(upgrade.path)
        channel = next((c for c in self.channels if c.path and c.path == url.path), None)
        if channel is None:
            self._refused("no channel", f"no channel at {url.path[:100]!r}", address)
            known = ", ".join(c.path for c in self.channels if c.path)
            await upgrade.refuse(404, body=f"no channel here; there are {known}".encode())
            return
        problem = self.guard.refuse_stream(channel.provider, self._as_called(upgrade))
        if problem:
            self._refused("not proven", problem, address, channel=channel.name)
            await upgrade.refuse(403, body=f"{channel.provider.name}: {problem}".encode())
            return
        refusal = self.reception.admission.refusal()
        if refusal is not None:
            self.metrics.add("voxpy_calls_refused", refusal.cause.value)
            self.log.warning(
                "call refused",
                cause=refusal.cause.value,
                channel=channel.name,
                detail=refusal.detail,
            )
            await upgrade.refuse(503, body=refusal.detail.encode(), headers=[("Retry-After", "5")])
            return
        await self._line(*await accept(upgrade, channel.provider), channel, address)

    def _as_called(self, upgrade: Upgrade) -> Request:
        headers = dict(upgrade.headers)
        url = called_url(
            upgrade.path,
            headers,
            public_url=self.web.public_url,
            tls=self.tls is not None,
            websocket=True,
        )
        return Request(url=url, headers=headers)

    async def _tcp(self, channel: Channel, stream: trio.SocketStream, address: str) -> None:
        await self._line(ByteLine(stream), channel.provider.open_stream(), channel, address)

    async def _line(self, line: Line, stream: MediaStream, channel: Channel, address: str) -> None:
        try:
            await serve_line(
                line,
                stream,
                partial(self.reception.receive, channel=channel),
                release=LineRelease(
                    channel.provider, self.guard.secrets, self._released, fetch=self.fetch
                ),
                start_s=self.limits.start_s,
            )
        except* RemoteProtocolError as group:
            self._refused("no call", str(group.exceptions[0]), address, channel=channel.name)

    def _released(self, outcome: Released) -> None:
        told: dict[str, Any] = {
            "call": outcome.call_id,
            "status": outcome.status,
            "tries": outcome.tries,
        }
        if outcome.problem:
            self.metrics.add("voxpy_lines_not_released", outcome.provider)
            problem = f"{outcome.provider}: {outcome.problem}"
            self.log.warning("the line may still be up", problem=problem, **told)
        else:
            self.log.step("line released", channel=outcome.provider, **told)

    def _refused(self, cause: str, problem: str, address: str, **fields: object) -> None:
        self.metrics.add("voxpy_connections_refused", cause)
        seen = self._refusals.get(cause, 0)
        self._refusals[cause] = seen + 1
        if seen < LOG_FIRST or seen % LOG_EVERY == 0:
            fields = {**fields, "so_far": seen + 1} if seen >= LOG_FIRST else fields
            self.log.warning("connection refused", problem=problem, address=address, **fields)

    def _failed(self, address: str, error: BaseException) -> None:
        if not _only_lost(error):
            told = explain(error)
            self.log.write(
                "error", "connection failed", address=address, error=told.message, at=told.where
            )


def _address(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except (OSError, IndexError):
        return ""  # it has left already


def _only_lost(error: BaseException) -> bool:
    """Whether an error says no more than that the far side has left."""
    if isinstance(error, BaseExceptionGroup):
        return all(_only_lost(e) for e in error.exceptions)
    return isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError)
