"""What a provider proves itself with when it opens a stream: the headers that a host checks.

Pure. The other side of ``voxpy.channels.providers.proof``.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable

import orjson

from voxpy.channels.providers.proof import (
    PROOFS,
    TOKEN_SECRET,
    plivo_signature,
    twilio_signature,
)

__all__ = ["stream_headers"]


def stream_headers(
    provider: str, url: str, secret: Callable[[str], str | None], *, now: float, nonce: str
) -> list[tuple[str, str]]:
    """Return the headers of ``provider`` for a stream to ``url``; none if there is no secret.

    ``secret(name)`` gives a secret or None. ``now`` is the date in seconds since 1970, ``nonce`` a
    text never used before.
    """
    proof = PROOFS.get(provider)
    signed = secret(proof.secret) if proof is not None and proof.streams else None
    if signed:
        if provider == "twilio":
            return [("X-Twilio-Signature", twilio_signature(signed, url, {}))]
        if provider == "plivo":
            return [
                ("X-Plivo-Signature-V3", plivo_signature(signed, url, nonce)),
                ("X-Plivo-Signature-V3-Nonce", nonce),
            ]
        return [("Authorization", f"Bearer {_vonage_token(signed, now)}")]
    token = secret(TOKEN_SECRET) if proof is None or proof.token else None
    return [("Authorization", f"Bearer {token}")] if token else []


def _vonage_token(key: str, now: float) -> str:
    head, claims = ({"alg": "HS256", "typ": "JWT"}, {"iat": int(now)})
    text = f"{_unpadded(orjson.dumps(head))}.{_unpadded(orjson.dumps(claims))}"
    return f"{text}.{_unpadded(hmac.digest(key.encode(), text.encode(), 'sha256'))}"


def _unpadded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
