"""The first lines of an HTTP request, read once, and a stream that has them still before it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs
import h11
import trio

from voxpy.wire.websocket.handshake import ServerHandshake

END = b"\r\n\r\n"
READ_BYTES = 4096
LAST_WORDS_S = 1.0


class BadHead(Exception):
    """No request came of it; ``status`` is what to answer, 0 for nothing."""

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        self.problem = problem
        super().__init__(problem)


@attrs.frozen
class Head:
    """``raw`` is everything that was read, perhaps more than the head."""

    raw: bytes
    target: str
    is_upgrade: bool


async def read_head(stream: trio.abc.Stream, *, most_bytes: int, within_s: float) -> Head:
    """Read until the head of a request is whole. Raises BadHead."""
    raw = b""
    with trio.move_on_after(within_s):
        while END not in raw:
            if len(raw) > most_bytes:
                raise BadHead(431, f"a request head of over {most_bytes} bytes")
            raw += await _more(stream, bool(raw))
        return _parsed(raw, most_bytes)
    raise BadHead(408 if raw else 0, f"no request within {within_s:g} s")


async def _more(stream: trio.abc.Stream, begun: bool) -> bytes:
    try:
        data = bytes(await stream.receive_some(READ_BYTES))
    except trio.BrokenResourceError:
        data = b""
    if not data:
        raise BadHead(0, "left in the middle of its request" if begun else "")
    return data


def _parsed(raw: bytes, most_bytes: int) -> Head:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=most_bytes)
    try:
        http.receive_data(raw)
        event = http.next_event()
    except h11.RemoteProtocolError as error:
        raise BadHead(error.error_status_hint, f"no HTTP request: {error}") from error
    if not isinstance(event, h11.Request):
        raise BadHead(400, "no HTTP request")
    upgrades = [v.lower() for name, v in event.headers if name == b"upgrade"]
    return Head(raw, event.target.decode("latin-1"), b"websocket" in upgrades)


def called_base(headers: Mapping[str, str], *, public_url: str, tls: bool) -> str:
    """Return what a provider called us by: ``https://host``, before path and query.

    That is ``public_url`` if there is one, else what the request and a proxy say; names of
    ``headers`` are in lower case.
    """
    if public_url:
        return public_url
    scheme = _first(headers.get("x-forwarded-proto", "")).lower() or ("https" if tls else "http")
    host = _first(headers.get("x-forwarded-host", "")) or headers.get("host", "")
    if not _is_host(host):
        host = "invalid"
    return f"{'https' if scheme in ('https', 'wss') else 'http'}://{host}"


def _is_host(text: str) -> bool:
    """Whether it can be part of an address: not ``x:99999``, a bracket alone, or a path."""
    try:
        parts = urlsplit(f"//{text}")
        _ = parts.port
    except ValueError:
        return False
    return parts.netloc == text


def _first(value: str) -> str:
    """Return what the first of several proxies wrote: ``https, http`` is a way in by https."""
    return value.partition(",")[0].strip()


async def refuse_plainly(stream: trio.abc.Stream, status: int, text: str) -> None:
    """Give an HTTP answer to whatever came, if ``status`` is not 0, and close."""
    try:
        if status:
            with trio.move_on_after(LAST_WORDS_S):
                await stream.send_all(ServerHandshake().refuse(status, body=text.encode()))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # it left
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)


class ReplayStream(trio.abc.Stream):
    """A stream whose first bytes were read already. ``socket`` is that of the connection."""

    def __init__(
        self, stream: trio.abc.Stream, first: bytes, socket: trio.socket.SocketType
    ) -> None:
        self.socket = socket
        self._stream = stream
        self._first = first

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what was read before, then what comes."""
        if self._first:
            await trio.lowlevel.checkpoint()
            data = self._first[:max_bytes]
            self._first = self._first[len(data) :]
            return data
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()
