"""The first lines of an HTTP request, read and judged once."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs
import h11
import trio

from voxpy.sockets.reading import read_until
from voxpy.wire.websocket.handshake import ServerHandshake

END = b"\r\n\r\n"
MOST_LINES = 128
"""Each costs as much as a hundred bytes of one; browsers and providers send thirty."""
LAST_WORDS_S = 1.0
VERSIONS = (b"1.1", b"1.0")
NOT_HERE = "HTTP/1.1 is spoken here"


class BadHead(Exception):
    """No request came of it; ``status`` is what to answer, 0 for nothing."""

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        self.problem = problem
        super().__init__(problem)


@attrs.frozen
class Head:
    """``http`` has read the request; what came behind it is still in there."""

    http: h11.Connection
    request: h11.Request
    is_upgrade: bool
    raw: bytes
    """All that was read, perhaps more than the head."""


async def read_head(
    stream: trio.abc.Stream, *, most_bytes: int, until: float, first: bytes = b""
) -> Head:
    """Read until the head of a request is whole; ``first`` was read before. Raises BadHead."""
    raw = bytearray(first)
    end = -1
    looked_at = 0

    def enough() -> bool:
        nonlocal end, looked_at
        end = raw.find(END, looked_at)
        looked_at = max(0, len(raw) - len(END))
        return end >= 0 or len(raw) > most_bytes

    with trio.move_on_at(until):
        if not await read_until(stream, raw, enough):
            raise BadHead(0, "left in the middle of its request" if raw else "")
        if not 0 <= end <= most_bytes or raw.count(b"\n", 0, end) > MOST_LINES:
            raise BadHead(431, f"a request head of over {most_bytes} bytes or {MOST_LINES} lines")
        return _parsed(bytes(raw), most_bytes)
    raise BadHead(408 if raw else 0, "no request in time")


def _parsed(raw: bytes, most_bytes: int) -> Head:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=most_bytes)
    try:
        http.receive_data(raw)
        event = http.next_event()
    except h11.RemoteProtocolError as error:
        raise BadHead(error.error_status_hint, f"no HTTP request: {error}") from error
    if not isinstance(event, h11.Request):
        raise BadHead(400, "no HTTP request")
    if event.http_version not in VERSIONS:
        raise BadHead(505, NOT_HERE)
    wanted = b",".join(value.lower() for name, value in event.headers if name == b"upgrade")
    upgrades = [each.strip() for each in wanted.split(b",")]
    if b"h2c" in upgrades:
        raise BadHead(505, NOT_HERE)
    return Head(http, event, b"websocket" in upgrades, raw)


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
