"""What a scenario asks to be played: an address and how to ask (VoxEngine: URLPlayerRequest)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import attrs

from voxpy.errors import ScenarioError, nearest

METHODS = ("GET", "POST")
_FIELDS = ("url", "method", "headers", "body")


@attrs.frozen(kw_only=True)
class SoundRequest:
    """A request that was checked. ``url`` is any address, or a path; who loads it will see."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    @property
    def shown(self) -> str:
        """The address without what may be secret in it: password, query and fragment."""
        parts = urlsplit(self.url)
        if not parts.netloc:
            return self.url
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))


def read_request(given: Any, what: str) -> SoundRequest:
    """Return the request of a URL, or of VoxEngine's ``{"url", "method", "headers", "body"}``.

    ``headers`` is a mapping or a list of ``{"name", "value"}``; ``body`` is text, bytes,
    ``{"text": ...}`` or ``{"binary": base64}``. Raises ScenarioError, naming ``what`` was called.
    """
    if isinstance(given, str):
        given = {"url": given}
    if not isinstance(given, Mapping):
        raise ScenarioError(f"{what} takes a URL or a dict with 'url', not {given!r}")
    for name in given:
        if name not in _FIELDS:
            raise ScenarioError(f"{what}: a request has no {name!r}{nearest(str(name), _FIELDS)}")
    url, method = given.get("url"), given.get("method", "GET")
    if not isinstance(url, str) or not url.strip():
        raise ScenarioError(f"{what}: the URL must be text, not {url!r}")
    if method not in METHODS:
        raise ScenarioError(f"{what}: method must be GET or POST, not {method!r}")
    return SoundRequest(
        url=_parsable(url.strip(), what),
        method=method,
        headers=_headers(given.get("headers"), what),
        body=_body(given.get("body"), what),
    )


def _parsable(url: str, what: str) -> str:
    try:
        urlsplit(url)
    except ValueError as error:
        raise ScenarioError(f"{what}: {url!r} is no URL: {error}") from error
    return url


def _headers(given: Any, what: str) -> tuple[tuple[str, str], ...]:
    if isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        try:
            pairs = [(header["name"], header["value"]) for header in given or ()]
        except (TypeError, KeyError) as error:
            raise ScenarioError(
                f"{what}: headers are a list of {{'name': ..., 'value': ...}}, not {given!r}"
            ) from error
    for name, value in pairs:
        texts = isinstance(name, str) and isinstance(value, str)
        if not texts or not name.isascii() or not (name + value).isprintable() or not name:
            raise ScenarioError(f"{what}: the header {name!r}: {value!r} cannot be sent")
    return tuple((str(name), str(value)) for name, value in pairs)


def _body(given: Any, what: str) -> bytes | None:
    match given:
        case None | bytes():
            return given
        case str() | {"text": str()}:
            return (given if isinstance(given, str) else given["text"]).encode()
        case {"binary": str(text)}:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise ScenarioError(f"{what}: body.binary is not base64: {error}") from error
    raise ScenarioError(
        f"{what}: body is text, {{'text': ...}} or {{'binary': base64}}, not {type(given).__name__}"
    )
