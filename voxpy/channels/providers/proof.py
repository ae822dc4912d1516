"""What proves that a request comes from a provider: signatures over its address, and shared tokens.

Pure. Of each provider this checks what it signs: Twilio HMAC-SHA1 over address and form, Plivo its
version 3 (HMAC-SHA256 with a nonce), Vonage a JWT, Telnyx Ed25519 over the body of its webhooks.
The others can send a token of ours, in the address or as Authorization.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import attrs
import orjson

__all__ = [
    "PROOFS",
    "TOKEN_SECRET",
    "Proof",
    "Request",
    "bears_token",
    "plivo_signature",
    "twilio_signature",
]

TOKEN_SECRET = "MEDIA_TOKEN"  # noqa: S105  the name of a secret
TOLERANCE_S = 300.0
"""How old a signed time may be: what Telnyx and Vonage recommend."""
DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


@attrs.frozen(kw_only=True)
class Request:
    """A request as the provider sent it.

    ``url`` is the address it called (scheme, host and query included), not the one behind a proxy.
    Names of ``headers`` are in lower case. ``form`` is a POST's urlencoded body, empty otherwise.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    form: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""


@attrs.frozen(kw_only=True)
class Proof:
    """How a provider proves itself.

    ``secret`` names what it is checked with. ``check(request, secret, now)`` returns what is wrong,
    or nothing; ``now`` is the date in seconds since 1970. ``streams`` and ``webhooks`` say which
    of its requests carry the proof, ``token`` whether its streams can bear a token instead.
    """

    secret: str
    header: str
    check: Callable[[Request, str, float], str]
    streams: bool = True
    webhooks: bool = True
    token: bool = True
    source: str


def twilio_signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """Return X-Twilio-Signature: the address, then the form's names and values by name."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()


def plivo_signature(token: str, url: str, nonce: str, form: Mapping[str, str] | None = None) -> str:
    """Return X-Plivo-Signature-V3: the address with its query sorted, the form, and the nonce."""
    parts = urlsplit(url)
    query = "&".join(f"{k}={v}" for k, v in sorted(parse_qsl(parts.query, True)))
    text = urlunsplit(parts._replace(query="", fragment=""))
    if query or form:
        text += "?" + query
    if form:
        text += ("." if query else "") + "".join(k + form[k] for k in sorted(form))
    return b64encode(hmac.digest(token.encode(), f"{text}.{nonce}".encode(), "sha256")).decode()


def bears_token(request: Request, token: str) -> bool:
    """Whether ``token`` is in the address (``?token=``) or the Authorization, in any usual form.

    That is ``Bearer token``, the password (or all) of ``Basic``, or the token alone.
    """
    given = [value for name, value in parse_qsl(urlsplit(request.url).query) if name == "token"]
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    given += [rest.strip()] if rest else [scheme]
    if scheme.lower() == "basic":
        try:
            pair = b64decode(rest, validate=True).decode()
            given += [pair, pair.partition(":")[2]]
        except ValueError:
            pass
    return any(_same(one, token) for one in given)


def _check_twilio(request: Request, token: str, now: float) -> str:
    given = request.headers.get("x-twilio-signature", "")
    good = any(_same(given, twilio_signature(token, u, request.form)) for u in _urls(request.url))
    return _verdict(given, good, "X-Twilio-Signature", request.url)


def _check_plivo(request: Request, token: str, now: float) -> str:
    given = request.headers.get("x-plivo-signature-v3", "")
    nonce = request.headers.get("x-plivo-signature-v3-nonce", "")
    wanted = [plivo_signature(token, u, nonce, request.form) for u in _urls(request.url)]
    good = any(_same(one.strip(), w) for one in given.split(",") for w in wanted)
    return _verdict(given, good, "X-Plivo-Signature-V3", request.url)


def _check_vonage(request: Request, secret: str, now: float) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return "there is no JWT in Authorization"
    try:
        head, claims, signature = (_unpadded(part) for part in token.strip().split("."))
        algorithm = orjson.loads(head)["alg"]
        told: dict[str, Any] = orjson.loads(claims)
        issued_at = float(told["iat"])
    except (ValueError, KeyError, TypeError):
        return "the JWT in Authorization is malformed"
    signed = token.strip().rpartition(".")[0].encode()
    if algorithm != "HS256" or not hmac.compare_digest(
        signature, hmac.digest(secret.encode(), signed, "sha256")
    ):
        return "the JWT in Authorization is not signed with our secret (HS256)"
    if abs(now - issued_at) > TOLERANCE_S:
        return f"the JWT in Authorization was issued {now - issued_at:.0f} s ago"
    wanted = told.get("payload_hash")
    if not request.body or wanted is None:
        return ""
    fits = _same(str(wanted), hashlib.sha256(request.body).hexdigest())
    return "" if fits else "the JWT in Authorization is of another body"


def _check_telnyx(request: Request, key: str, now: float) -> str:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    given = request.headers.get("telnyx-signature-ed25519", "")
    at = request.headers.get("telnyx-timestamp", "")
    if not given or not at.isdecimal():
        return "there is no telnyx-signature-ed25519 with its telnyx-timestamp"
    if abs(now - int(at)) > TOLERANCE_S:
        return f"it was signed {now - int(at):.0f} s ago"
    try:
        public = Ed25519PublicKey.from_public_bytes(b64decode(key))
        public.verify(b64decode(given), at.encode() + b"|" + request.body)
    except (InvalidSignature, ValueError):
        return "telnyx-signature-ed25519 does not fit"
    return ""


PROOFS: Mapping[str, Proof] = {
    "twilio": Proof(
        secret="TWILIO_AUTH_TOKEN",  # noqa: S106  names of secrets, here and below
        header="X-Twilio-Signature",
        check=_check_twilio,
        token=False,  # <Stream> takes no query and no user in its address
        source="https://www.twilio.com/docs/usage/security",
    ),
    "plivo": Proof(
        secret="PLIVO_AUTH_TOKEN",  # noqa: S106
        header="X-Plivo-Signature-V3",
        check=_check_plivo,
        source="https://www.plivo.com/docs/voice/concepts/signature-validation",
    ),
    "vonage": Proof(
        secret="VONAGE_SIGNATURE_SECRET",  # noqa: S106
        header="Authorization",
        check=_check_vonage,
        source="https://developer.vonage.com/en/getting-started/concepts/webhooks",
    ),
    "telnyx": Proof(
        secret="TELNYX_PUBLIC_KEY",  # noqa: S106
        header="telnyx-signature-ed25519",
        check=_check_telnyx,
        streams=False,
        source="https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks",
    ),
}


def _urls(url: str) -> Iterator[str]:
    """Yield the address as it may have been signed: with and without the port, or a last slash."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 443)
    places = dict.fromkeys((parts.netloc, host, f"{host}:{port}"))
    paths = dict.fromkeys((parts.path, parts.path.rstrip("/"), parts.path.rstrip("/") + "/"))
    for place in places:
        for path in paths:
            yield urlunsplit(parts._replace(netloc=place, path=path))


def _verdict(given: str, good: bool, header: str, url: str) -> str:
    if not given:
        return f"there is no {header}"
    return "" if good else f"{header} does not fit the address {url.partition('?')[0]}"


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _unpadded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
