"""The opening handshake in both roles: RFC 6455 section 4, with h11 as the reader of HTTP."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs
import h11

from voxpy.errors import LocalProtocolError, RemoteProtocolError

Headers = tuple[tuple[str, str], ...]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
NONCE_BYTES = 16
MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024
"""Of a refusal: it is read by people."""
HTTP = b"HTTP/"
SHOWN_BYTES = 80
"""Of an answer that was no handshake."""


@attrs.frozen(kw_only=True)
class Accepted:
    """The server said 101. ``rest`` is what came behind it: frames already."""

    headers: Headers
    subprotocol: str | None
    rest: bytes


@attrs.frozen(kw_only=True)
class Refused:
    """The server gave another HTTP answer; the body is cut at 64 KiB."""

    status: int
    headers: Headers
    body: bytes


@attrs.frozen(kw_only=True)
class UpgradeRequest:
    """What a client asks for. ``target`` is path and query; header names are lower case."""

    target: str
    headers: Headers
    subprotocols: tuple[str, ...]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever the case of ``name``, or None."""
        return _header(self.headers, name.lower())


class ClientHandshake:
    """Asks for the upgrade and judges the answer.

    ``host`` is the authority of the URL, ``nonce`` 16 random bytes. Raises LocalProtocolError for
    what no HTTP request can carry.
    """

    def __init__(
        self,
        *,
        host: str,
        target: str,
        nonce: bytes,
        headers: Iterable[tuple[str, str]] = (),
        subprotocols: Iterable[str] = (),
    ) -> None:
        self._key = base64.b64encode(nonce)
        self._offered = tuple(subprotocols)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)
        self._first = b""
        self.refused: Refused | None = None
        """What is known of a refusal whose body is not complete yet."""
        fields = [
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._key.decode()),
            ("Sec-WebSocket-Version", "13"),
        ]
        if self._offered:
            fields.append(("Sec-WebSocket-Protocol", ", ".join(self._offered)))
        with _sendable("the upgrade request"):
            request = h11.Request(method="GET", target=target, headers=[*fields, *headers])
            self._request = self._http.send(request) or b""
            self._http.send(h11.EndOfMessage())

    def request(self) -> bytes:
        return self._request

    def receive(self, data: bytes) -> Accepted | Refused | None:
        """Take bytes, or ``b""`` at their end; return the outcome once it is known.

        Raises RemoteProtocolError for an answer that is no handshake, or none.
        """
        if len(self._first) < SHOWN_BYTES:
            self._first += data[:SHOWN_BYTES]
            if self._first[: len(HTTP)] != HTTP[: len(self._first)]:
                raise self._no_handshake()  # h11 would wait for an empty line
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                    return self._accepted(event)
                if isinstance(event, h11.Response):
                    self.refused = Refused(
                        status=event.status_code, headers=_decoded(event.headers), body=b""
                    )
                elif isinstance(event, h11.Data) and self.refused is not None:
                    body = self.refused.body + bytes(event.data)
                    self.refused = attrs.evolve(self.refused, body=body[:MAX_BODY_BYTES])
                    if len(body) >= MAX_BODY_BYTES:
                        return self.refused
                elif isinstance(event, h11.EndOfMessage):
                    return self.refused
                elif event is h11.NEED_DATA:
                    return None
                elif isinstance(event, h11.ConnectionClosed):
                    raise self._broken_off()
        except h11.RemoteProtocolError as error:
            if self.refused is not None:  # its status counts, not the manners of its body
                return self.refused
            if not data:
                raise self._broken_off() from error
            raise self._no_handshake() from error

    def _accepted(self, event: h11.InformationalResponse) -> Accepted:
        headers = _decoded(event.headers)
        good = (
            (_header(headers, "upgrade") or "").lower() == "websocket"
            and "upgrade" in _words((_header(headers, "connection") or "").lower())
            and hmac.compare_digest(
                (_header(headers, "sec-websocket-accept") or "").encode(), _accept(self._key)
            )
            and _header(headers, "sec-websocket-extensions") is None  # we offered none
        )
        chosen = _header(headers, "sec-websocket-protocol")
        if not good or (chosen is not None and chosen not in self._offered):
            raise self._no_handshake()
        return Accepted(headers=headers, subprotocol=chosen, rest=self._http.trailing_data[0])

    def _no_handshake(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"the answer was no WebSocket handshake{self._shown()}")

    def _broken_off(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"closed the connection during the handshake{self._shown()}")

    def _shown(self) -> str:
        line = self._first.split(b"\r\n")[0].decode("utf-8", "backslashreplace")
        return f"; it had answered {line!r}" if line else ""


class ServerHandshake:
    """Reads an upgrade request and answers it.

    Where somebody has read the request already, ``http`` is what read it, and ``judge`` takes it.
    """

    def __init__(self, http: h11.Connection | None = None) -> None:
        self._http = http or h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        self._key = b""
        self.answer = b""
        """What to send before closing when ``receive`` has raised; may be empty."""

    def receive(self, data: bytes) -> UpgradeRequest | None:
        """Take bytes, or ``b""`` at their end; return the request once it is whole.

        Raises RemoteProtocolError for anything else; ``answer`` says so in HTTP.
        """
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            why = f"no HTTP request: {error}" if data else "left before a request"
            raise self._bad(error.error_status_hint, why) from error
        if isinstance(event, h11.ConnectionClosed):
            raise RemoteProtocolError("left before a request")
        return self.judge(event) if isinstance(event, h11.Request) else None

    @property
    def rest(self) -> bytes:
        """What came behind the request: frames of a client that did not wait for the answer."""
        return self._http.trailing_data[0]

    def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> bytes:
        """Return the answer that opens the WebSocket. Raises LocalProtocolError for bad headers."""
        fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", _accept(self._key).decode()),
        ]
        if subprotocol is not None:
            fields.append(("Sec-WebSocket-Protocol", subprotocol))
        with _sendable("the answer"):
            answer = h11.InformationalResponse(
                status_code=101, headers=[*fields, *headers], reason="Switching Protocols"
            )
            return self._http.send(answer) or b""

    def refuse(
        self, status: int, *, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()
    ) -> bytes:
        """Return another HTTP answer; the connection is to be closed after it.

        Raises LocalProtocolError for a status outside 200-599 or bad headers.
        """
        fields = [("Content-Length", str(len(body))), ("Connection", "close"), *headers]
        with _sendable("the answer"):
            events = [
                h11.Response(status_code=status, headers=fields),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ]
            return b"".join(self._http.send(event) or b"" for event in events)

    def judge(self, event: h11.Request) -> UpgradeRequest:
        """Return what the request asks for. Raises RemoteProtocolError as ``receive`` does."""
        headers = _decoded(event.headers)
        if event.method != b"GET" or event.http_version < b"1.1":
            raise self._bad(400, "a WebSocket is opened by GET of HTTP/1.1")
        if (_header(headers, "upgrade") or "").lower() != "websocket" or "upgrade" not in _words(
            (_header(headers, "connection") or "").lower()
        ):
            raise self._bad(426, "not a WebSocket upgrade", ("Upgrade", "websocket"))
        if _header(headers, "sec-websocket-version") != "13":
            raise self._bad(426, "another WebSocket version", ("Sec-WebSocket-Version", "13"))
        self._key = (_header(headers, "sec-websocket-key") or "").encode("latin-1")
        if not _is_key(self._key) or _has_body(headers):
            raise self._bad(400, "Sec-WebSocket-Key is not 16 bytes in base64, or a body follows")
        self._http.next_event()  # the end of the request; what follows is ours
        return UpgradeRequest(
            target=event.target.decode("latin-1"),
            headers=headers,
            subprotocols=tuple(_words(",".join(v for n, v in headers if n == _SUBPROTOCOL))),
        )

    def _bad(self, status: int, why: str, *headers: tuple[str, str]) -> RemoteProtocolError:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.answer = self.refuse(status, body=why.encode(), headers=headers)
        return RemoteProtocolError(why)


@contextmanager
def _sendable(what: str) -> Iterator[None]:
    """Turn what h11 thinks of our own headers into our error."""
    try:
        yield
    except (h11.LocalProtocolError, ValueError) as error:
        raise LocalProtocolError(f"{what} cannot be sent: {error}") from error


_SUBPROTOCOL = "sec-websocket-protocol"


def _accept(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def _decoded(headers: h11._headers.Headers) -> Headers:
    return tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in headers)


def _header(headers: Headers, name: str) -> str | None:
    return next((v for n, v in headers if n == name), None)


def _words(value: str) -> list[str]:
    return [word for part in value.split(",") if (word := part.strip())]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == NONCE_BYTES
    except binascii.Error:
        return False


def _has_body(headers: Headers) -> bool:
    return (_header(headers, "content-length") or "0") != "0" or (
        _header(headers, "transfer-encoding") is not None
    )
