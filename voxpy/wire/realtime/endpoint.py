"""The address of a realtime session, who may open one, and why a server said no.

Inworld's handshake: an HTTP upgrade of ``…/session?key=<session id>&protocol=realtime`` with an
``Authorization`` header (its WebSocket page). ``key`` is any id the client makes up for the
session; it is not the API key.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs
import orjson

from voxpy.errors import LocalProtocolError
from voxpy.text import json

EXCERPT_CHARS = 200
"""How much of a refusal's body is shown when it is not the JSON we know."""

_SOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_AUTH_SCHEMES = {"basic": "Basic", "bearer": "Bearer"}
_JWT_DOTS = 2
_KEY_PROTOCOL = "openai-insecure-api-key."


def session_url(base: str, key: str) -> str:
    """Return ``base`` with the query of a session of Inworld's: ``key`` and ``protocol=realtime``.

    A key that ``base`` already has is kept. Raises LocalProtocolError as ``socket_url``, and
    without a key.
    """
    parts = urlsplit(socket_url(base))
    given = [(n, v) for n, v in parse_qsl(parts.query, keep_blank_values=True) if n != "protocol"]
    if not any(name == "key" and value for name, value in given):
        if not key:
            raise LocalProtocolError("a realtime session needs a session key: any unique text")
        given = [("key", key), *((n, v) for n, v in given if n != "key")]
    return urlunsplit(parts._replace(query=_encoded([*given, ("protocol", "realtime")])))


def socket_url(base: str, **query: str) -> str:
    """Return the address of a WebSocket: ``base`` with those of ``query`` that it does not have.

    http and https become ws and wss. Raises LocalProtocolError for another scheme, no host, or
    blanks and control characters in ``base``.
    """
    if any(c.isspace() or not c.isprintable() for c in base):
        raise LocalProtocolError(f"the realtime URL {base!r} has blanks or control characters")
    try:
        parts = urlsplit(base)
        scheme, host = _SOCKET_SCHEMES.get(parts.scheme), parts.hostname
    except ValueError as exc:
        raise LocalProtocolError(f"the realtime URL {base!r} cannot be read: {exc}") from exc
    if scheme is None or not host:
        raise LocalProtocolError(f"the realtime URL {base!r} must be ws(s)://host/path")
    given = parse_qsl(parts.query, keep_blank_values=True)
    added = [(n, v) for n, v in query.items() if n not in dict(given)]
    return urlunsplit((scheme, parts.netloc, parts.path or "/", _encoded([*given, *added]), ""))


def _encoded(query: list[tuple[str, str]]) -> str:
    return urlencode(query, errors="replace")  # lone surrogates cannot be written otherwise


def authorization(api_key: str, scheme: str | None = None) -> str:
    """Return the value of the ``Authorization`` header for a key.

    ``scheme`` is ``basic`` or ``bearer``; without it a JWT (two dots) goes as Bearer and anything
    else as Basic. Keys from Inworld's portal are base64 already and are sent as they are.
    Raises LocalProtocolError for another scheme, an empty key, or one that no header may carry.
    """
    if not api_key:
        raise LocalProtocolError("the API key is empty; the service wants one")
    if any(not "!" <= c <= "~" for c in api_key):
        raise LocalProtocolError(
            "the API key has blanks, control or non-ASCII characters; was a line break copied too?"
        )
    if scheme is None:
        scheme = "bearer" if api_key.count(".") == _JWT_DOTS else "basic"
    word = _AUTH_SCHEMES.get(scheme.lower())
    if word is None:
        raise LocalProtocolError(f"auth scheme {scheme!r} is neither 'basic' nor 'bearer'")
    return f"{word} {api_key}"


@attrs.frozen
class Refusal:
    """The HTTP answer to a session that cannot be: status and JSON body."""

    status: int
    body: bytes


def check_request(
    target: str | bytes,
    headers: Iterable[tuple[str | bytes, str | bytes]],
    *,
    openai: bool = False,
) -> Refusal | None:
    """Return why an upgrade request cannot open a session, or None if it can.

    ``target`` is the request target (path and query). 400 without ``key`` or
    ``protocol=realtime``, 401 without a Basic or Bearer ``Authorization``. With ``openai`` a
    ``model`` will do, or an ``intent``, or Azure's ``deployment``; and so will a key in the
    ``api-key`` header or query, or in the subprotocol that browsers must use. Never raises.
    """
    query = _query(target)
    if not (openai and (requested_model(target) or query.get("intent"))):
        if not query.get("key"):
            other = ", or 'model'" if openai else ""
            return _refuse(400, f"the query parameter 'key' is missing: any unique text{other}")
        if query.get("protocol") != "realtime":
            return _refuse(400, "the query parameter 'protocol' must be 'realtime'")
    given = [(_decoded(name).lower(), _decoded(value).strip()) for name, value in headers]
    if openai and (query.get("api-key") or any(_is_openai_key(n, v) for n, v in given)):
        return None
    for name, value in given:
        if name == "authorization":
            scheme, _, credentials = value.partition(" ")
            if scheme.lower() in _AUTH_SCHEMES and credentials.strip():
                return None
            return _refuse(401, "Authorization must be 'Basic <key>' or 'Bearer <token>'")
    return _refuse(401, "the Authorization header is missing")


def _is_openai_key(name: str, value: str) -> bool:
    if name == "sec-websocket-protocol":
        offered = (word.strip() for word in value.split(","))
        return any(word.startswith(_KEY_PROTOCOL) and word != _KEY_PROTOCOL for word in offered)
    return name == "api-key" and bool(value)


def requested_model(target: str | bytes) -> str | None:
    """Return the model that an address asks for, as OpenAI's and Azure's do; Inworld's names none.

    ``target`` is the request target (path and query).
    """
    query = _query(target)
    return query.get("model") or query.get("deployment")


def _query(target: str | bytes) -> dict[str, str]:
    return dict(parse_qsl(_decoded(target).partition("?")[2].partition("#")[0]))


def _decoded(raw: str | bytes) -> str:
    return raw if isinstance(raw, str) else raw.decode("latin-1")


def _refuse(status: int, message: str) -> Refusal:
    code = {400: "invalid_request", 401: "unauthorized"}[status]
    error = {"type": "invalid_request_error", "code": code, "message": message}
    return Refusal(status, orjson.dumps({"error": error}))


_ADVICE = {
    400: "the service did not like the request; check the realtime URL",
    401: "the API key was not accepted; check that it is whole, and basic or bearer as issued",
    402: "the account cannot run realtime sessions; the key is good, see to billing",
    403: "the key may not do this; check its permissions and workspace",
    404: "there is no realtime endpoint at this address; check the URL",
    429: "too many sessions or requests; wait, or raise the account's limit",
}


def refusal_reason(status: int, body: str | bytes = b"", *, location: str = "") -> str:
    """Return one sentence for a person: the status, what it usually means and what the server said.

    Meant for the answer to an upgrade request. ``location`` is that header, which a redirection
    has. Never raises, whatever the body.
    """
    if 300 <= status < 400:
        there = (
            f"it is at {_line(location)}: use that as the URL" if location else "it says not where"
        )
        return f"HTTP {status}: the service has moved; {there}"
    usual = "the service has a fault of its own; try again later"
    advice = _ADVICE.get(status, usual if status >= 500 else "the service refused the session")
    said = _message(body)
    return f"HTTP {status}: {advice}" + (f" (it said: {said})" if said else "")


def _message(body: str | bytes) -> str:
    text = body if isinstance(body, str) else body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    if isinstance(found, dict):
        error = found.get("error")
        found = error if isinstance(error, str) else (error or found)
    if isinstance(found, dict):
        found = found.get("message")
    words = found if isinstance(found, str) else text
    return _line(words)


def _line(words: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line[:EXCERPT_CHARS] + ("…" if len(line) > EXCERPT_CHARS else "")


_CLOSINGS = {
    1000: "the service has ended the session",
    1001: "the service goes away",
    1006: "the connection was lost",
    1008: "the service found a breach of its rules",
    1011: "the service has a fault of its own",
    1012: "the service restarts; a new connection may be made",
    1013: "the service is overloaded; try again later",
}


def closing_reason(code: int, reason: str) -> str:
    """Return the code a connection was closed with, what it means and what the server said."""
    words = _CLOSINGS.get(code, "")
    said = _line(reason)
    told = f"{words} ({said})" if words and said and said != words else words or said
    return f"{code} {told}".strip()
