"""The call of a provider's API that releases the line. Pure.

Needed where closing the stream leaves the call up (Telnyx, and Plivo with ``keepCallAlive``); where
closing is enough it still is surer, whatever stands behind the stream in the call's markup.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from urllib.parse import quote

import attrs
import orjson

from voxpy.channels.providers.events import Start
from voxpy.errors import ConfigError

__all__ = ["RELEASES", "ReleaseCall", "Releasing", "vonage_token"]

TOKEN_S = 60

Secrets = Mapping[str, str]


@attrs.frozen(kw_only=True)
class ReleaseCall:
    """One HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@attrs.frozen(kw_only=True)
class Releasing:
    """How one provider is asked to hang up.

    ``secrets`` must all be there; ``api`` names the secret that may give another address than
    ``address`` (a region's). ``make(start, secrets, base, now, unique)`` returns the request;
    ``now`` is the date in seconds since 1970 and ``unique`` a text never used before.
    Raises ConfigError for secrets that cannot be used. ``already_over`` are the statuses that say
    the call is not up any more: what we wanted.
    """

    secrets: tuple[str, ...]
    api: str
    address: str
    make: Callable[[Start, Secrets, str, float, str], ReleaseCall]
    already_over: frozenset[int] = frozenset({404})
    source: str


def _twilio(start: Start, secrets: Secrets, base: str, now: float, unique: str) -> ReleaseCall:
    account = secrets["TWILIO_ACCOUNT_SID"]
    path = f"/2010-04-01/Accounts/{_part(account)}/Calls/{_part(start.call_id)}.json"
    return ReleaseCall(
        method="POST",
        url=base + path,
        headers={
            "Authorization": _basic(account, secrets["TWILIO_AUTH_TOKEN"]),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=b"Status=completed",
    )


def _telnyx(start: Start, secrets: Secrets, base: str, now: float, unique: str) -> ReleaseCall:
    return ReleaseCall(
        method="POST",
        url=f"{base}/v2/calls/{_part(start.call_id)}/actions/hangup",
        headers={
            "Authorization": f"Bearer {secrets['TELNYX_API_KEY']}",
            "Content-Type": "application/json",
        },
        body=orjson.dumps({"command_id": unique}),  # so that a second try is the same command
    )


def _plivo(start: Start, secrets: Secrets, base: str, now: float, unique: str) -> ReleaseCall:
    account = secrets["PLIVO_AUTH_ID"]
    return ReleaseCall(
        method="DELETE",
        url=f"{base}/v1/Account/{_part(account)}/Call/{_part(start.call_id)}/",
        headers={"Authorization": _basic(account, secrets["PLIVO_AUTH_TOKEN"])},
    )


def _vonage(start: Start, secrets: Secrets, base: str, now: float, unique: str) -> ReleaseCall:
    application, key = secrets["VONAGE_APPLICATION_ID"], secrets["VONAGE_PRIVATE_KEY"]
    token = vonage_token(application, key, now=now, unique=unique)
    return ReleaseCall(
        method="PUT",
        url=f"{base}/v1/calls/{_part(start.call_id)}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        body=b'{"action":"hangup"}',
    )


def vonage_token(application_id: str, private_key: str, *, now: float, unique: str) -> str:
    """Return the JWT (RS256) that Vonage's API takes from an application, good for a minute.

    ``private_key`` is the PEM text; its line breaks may be written as ``\\n``.
    Raises ConfigError if it is no RSA key, or if the library for it is not installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        problem = "signing for Vonage needs another library: pip install 'voxpy[providers]'"
        raise ConfigError(problem) from error
    try:
        key = load_pem_private_key(private_key.replace("\\n", "\n").encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"VONAGE_PRIVATE_KEY is no private key in PEM: {error}") from error
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError("VONAGE_PRIVATE_KEY is no RSA key")
    claims = {
        "application_id": application_id,
        "iat": int(now),
        "exp": int(now) + TOKEN_S,
        "jti": unique,
    }
    head = {"alg": "RS256", "typ": "JWT"}
    signed = f"{_unpadded(orjson.dumps(head))}.{_unpadded(orjson.dumps(claims))}"
    signature = key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{_unpadded(signature)}"


RELEASES: Mapping[str, Releasing] = {
    "twilio": Releasing(
        secrets=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
        api="TWILIO_API_URL",
        address="https://api.twilio.com",
        make=_twilio,
        already_over=frozenset({400, 404}),  # error 21220: the call is not in progress
        source="https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource",
    ),
    "telnyx": Releasing(
        secrets=("TELNYX_API_KEY",),
        api="TELNYX_API_URL",
        address="https://api.telnyx.com",
        make=_telnyx,
        already_over=frozenset({404, 422}),  # error 90018: the call has ended
        source="https://developers.telnyx.com/api-reference/call-commands/hangup-call",
    ),
    "plivo": Releasing(
        secrets=("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
        api="PLIVO_API_URL",
        address="https://api.plivo.com",
        make=_plivo,
        source="https://www.plivo.com/docs/voice/api/call/hangup-a-call",
    ),
    "vonage": Releasing(
        secrets=("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY"),
        api="VONAGE_API_URL",
        address="https://api.nexmo.com",
        make=_vonage,
        source="https://developer.vonage.com/en/api/voice#updateCall",
    ),
}


def _part(text: str) -> str:
    return quote(text, safe=":")


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _unpadded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
