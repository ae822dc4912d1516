"""The HTTP beside a provider's stream: who asks us, what we answer, and what we ask of its API.

Before a call a provider may ask what to do with it (a webhook, answered with markup), it may sign
that request and the one that opens the stream, and it may have an API that hangs up. Here is what
these have in common; which provider does what how stands in its file.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit
from xml.sax.saxutils import quoteattr

import attrs
import orjson

from voxpy.channels.providers.events import Start
from voxpy.errors import ConfigError
from voxpy.text import json

TOKEN_SECRET = "MEDIA_TOKEN"  # noqa: S105  the name of a secret
TOLERANCE_S = 300.0
"""How old a signed time may be: what Telnyx and Vonage recommend."""
TOKEN_LENGTH = 32
"""Of 6 bits each: 192 bits."""
MOST_FIELDS = 200
"""A webhook has some thirty."""
FORM = "application/x-www-form-urlencoded"
XML, JSON = "text/xml", "application/json"
DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


# -- how they reach us -----------------------------------------------------------------------------


def public_address(text: str) -> str:
    """Return the address under which providers reach a host, without a slash behind it.

    An empty one is not known. Raises ConfigError for anything but ``http(s)://host``, with a path
    if need be.
    """
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket without another
        parts, whole = urlsplit(""), False
    if text and (not whole or parts.query or parts.fragment):
        raise ConfigError(
            "the public URL must be an address with its scheme, such as https://calls.example.org, "
            f"not {text!r}"
        )
    return text.rstrip("/")


def as_websocket(url: str) -> str:
    """Return ``ws(s)://…`` for ``http(s)://…``."""
    return url.replace("http", "ws", 1)


# -- who asks --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Request:
    """A request as the provider sent it.

    ``url`` is the address it called (scheme, host and query included), not the one behind a proxy.
    Names of ``headers`` are in lower case.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    @property
    def has_too_many_fields(self) -> bool:
        """Whether nobody fills out so long a form: it would be read as an empty one."""
        form = self.body if self.method == "POST" and self._is(FORM) else b""
        return max(self.url.count("&"), form.count(b"&")) >= MOST_FIELDS

    @cached_property
    def form(self) -> Mapping[str, str]:
        """A POST's urlencoded body; empty otherwise, and if it has too many fields."""
        if self.method != "POST" or not self._is(FORM):
            return {}
        return _pairs(self.body.decode("utf-8", "replace"))

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """What it says: in the query, and of a POST in the form or the JSON object behind it.

        The body of any other request says nothing: no signature covers it.
        """
        fields: dict[str, Any] = query_of(self.url)
        if self.method != "POST" or not self._is(JSON):
            return {**fields, **self.form}
        try:
            value = json.loads(self.body)
        except ValueError:
            return fields
        return {**fields, **value} if isinstance(value, dict) else fields

    def _is(self, content_type: str) -> bool:
        return self.headers.get("content-type", "").startswith(content_type)


@attrs.frozen(kw_only=True)
class Signature:
    """How a provider signs its requests, in both roles.

    ``secret`` names the secret it is made and checked with, ``header`` the header it comes in.
    ``check(request, secret, now)`` returns what is wrong with one that has that header, or nothing;
    ``now`` is the date in seconds since 1970. What it does not cover must be refused.
    ``sign(url, secret, now, nonce)`` returns the headers with which the provider opens a stream;
    ``nonce`` is a text never used before. ``webhooks`` says whether its webhooks are signed,
    ``library`` what must be installed to check them.
    """

    secret: str
    header: str
    check: Callable[[Request, str, float], str]
    sign: Callable[[str, str, float, str], list[tuple[str, str]]] | None = None
    webhooks: bool = True
    library: str = ""
    source: str

    @property
    def streams(self) -> bool:
        """Whether the request that opens a stream is signed."""
        return self.sign is not None

    def problem(self, request: Request, key: str, now: float) -> str:
        """Return what is wrong with a request, or nothing; one without a header costs nothing."""
        if not self.of(request):
            return f"there is no {self.header}"
        return self.check(request, key, now)

    def of(self, request: Request) -> str:
        """Return the signature of a request, which no two requests share; or nothing."""
        return request.headers.get(self.header.lower(), "")


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of an address; none if there are too many to be meant."""
    return _pairs(url.partition("?")[2].partition("#")[0])


def _pairs(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, True, max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def derived_token(master: str, provider: str) -> str:
    """Return the token of one provider, from which neither the master nor another's can be told."""
    digest = hmac.digest(master.encode(), f"voxpy media {provider}".encode(), "sha256")
    return urlsafe_b64encode(digest).decode()[:TOKEN_LENGTH]


def bears_token(request: Request, token: str) -> bool:
    """Whether ``token`` is in the address (``?token=``) or the Authorization, in any usual form.

    That is ``Bearer token``, the password (or all) of ``Basic``, or the token alone.
    """
    given = [query_of(request.url).get("token", "")]
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    given += [rest.strip()] if rest else [scheme]
    if scheme.lower() == "basic":
        try:
            pair = b64decode(rest, validate=True).decode()
            given += [pair, pair.partition(":")[2]]
        except ValueError:
            pass
    return any(same(one, token) for one in given)


def same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def spellings(url: str) -> Iterator[str]:
    """Yield the address as it may have been signed: with and without the port, or a last slash.

    Nothing for one that is none: ``Host`` is whatever a client writes.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 443)
    except ValueError:
        return
    host = parts.hostname or ""
    places = dict.fromkeys((parts.netloc, host, f"{host}:{port}"))
    paths = dict.fromkeys((parts.path, parts.path.rstrip("/"), parts.path.rstrip("/") + "/"))
    for place in places:
        for path in paths:
            yield urlunsplit(parts._replace(netloc=place, path=path))


UNSIGNED_BODY = "its body is no form, and nothing else is signed"


def misfit(header: str, url: str) -> str:
    """Return what is wrong with a signature that does not fit."""
    return f"{header} does not fit the address {url.partition('?')[0]}"


# -- what we answer --------------------------------------------------------------------------------

Outcome = Literal["connect", "busy", "not found"]


_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def _printable(text: str) -> str:
    """Return a text without what markup must not contain and no number has.

    That is what is not a character of XML 1.0 (section 2.2), with C1 controls and what turns the
    direction of writing; each becomes a replacement character.
    """
    return _UNPRINTABLE.sub("\ufffd", text)


@attrs.frozen
class Asked:
    """Who calls whom, of a provider's request; empty where it does not say."""

    caller: str = attrs.field(converter=_printable)
    callee: str = attrs.field(converter=_printable)


@attrs.frozen
class Answer:
    """What to answer."""

    content_type: str
    body: bytes
    status: int = 200


_CALLER = ("From", "from", "CallFrom", "caller")
_CALLEE = ("To", "to", "CallTo", "called")


def asked(fields: Mapping[str, Any]) -> Asked:
    """Read the fields of a form, a query or a JSON object, whichever the provider sends."""
    return Asked(caller=_first(fields, _CALLER), callee=_first(fields, _CALLEE))


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((v for n in names if isinstance(v := fields.get(n), str) and v), "")


def xml_answer(inner: str) -> Answer:
    """Return a ``<Response>`` with ``inner``, which is XML already."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Response>{inner}</Response>'
    return Answer(XML, text.encode())


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return a value as JSON."""
    return Answer(JSON, orjson.dumps(value), status)


def twiml_parameters(call: Asked) -> str:
    """Return the ``<Parameter>`` elements that TwiML and TeXML carry into the stream."""
    pairs = (("from", call.caller), ("to", call.callee))
    return "".join(f'<Parameter name="{n}" value={quoteattr(v)}/>' for n, v in pairs if v)


def twiml_reject(outcome: Outcome) -> Answer:
    """Return the refusal of TwiML and TeXML."""
    return xml_answer(f'<Reject reason="{"busy" if outcome == "busy" else "rejected"}"/>')


# -- what we ask of its API ------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class RestRequest:
    """One HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@attrs.frozen(kw_only=True)
class RestContext:
    """What every request of an API is made from.

    ``secrets`` are those the API needs, ``base`` its address without a slash behind it, ``now`` the
    date in seconds since 1970, ``unique`` a text never used before.
    """

    secrets: Mapping[str, str]
    base: str
    now: float
    unique: str


@attrs.frozen(kw_only=True)
class RestApi:
    """A provider's API: functions that make requests; the host sends them.

    ``secrets`` must all be there; ``address_secret`` names the secret that may give another address
    than ``address`` (a region's). ``hang_up(context, start)`` ends the call that ``start`` began
    and raises ConfigError for secrets that cannot be used; ``already_over`` are the statuses that
    say the call is not up any more: what we wanted. It is needed where closing the stream leaves
    the call up, and surer where it does not, whatever stands behind the stream in its markup.

    The request that places a call is one more function here, made from the same context.
    """

    secrets: tuple[str, ...]
    address_secret: str
    address: str
    hang_up: Callable[[RestContext, Start], RestRequest]
    already_over: frozenset[int] = frozenset({404})
    source: str


def segment(text: str) -> str:
    """Return a text as one segment of a path. Raises ConfigError for one that leads elsewhere."""
    if not text.strip("."):
        raise ConfigError(f"{text!r} is no id: a request with it would go elsewhere")
    return quote(text, safe=":")


def basic(user: str, password: str) -> str:
    """Return the Authorization of a user."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
