"""Whether a request that comes in is a provider's, and what cannot be checked, said beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from urllib.parse import urlencode

import attrs

from voxpy.channels.providers.proof import PROOFS, TOKEN_SECRET, Request, bears_token
from voxpy.channels.providers.provider import Provider
from voxpy.engine import clock
from voxpy.engine.ports import Secrets

__all__ = ["Guard", "called_url"]


@attrs.frozen
class Guard:
    """Checks requests with what the secrets give, asked each time: they may change.

    A provider's own signature counts where its secret is there; else the token of MEDIA_TOKEN, if
    there is one; else nothing is checked, which ``notes`` says.
    """

    secrets: Secrets

    def refuse_stream(self, provider: Provider, request: Request) -> str:
        """Return why a media stream must not be opened, or nothing."""
        signed = self._signs(provider, "streams")
        if signed:
            return PROOFS[provider.name].check(request, signed, _now_s())
        token = self._token(provider)
        if token and not bears_token(request, token):
            return f"it does not bear the {TOKEN_SECRET}"
        return ""

    def refuse_webhook(self, provider: Provider, request: Request) -> str:
        """Return why a webhook must not be answered, or nothing."""
        signed = self._signs(provider, "webhooks")
        return PROOFS[provider.name].check(request, signed, _now_s()) if signed else ""

    def notes(self, provider: Provider) -> Iterator[str]:
        """Yield what is not checked of a provider, and what to do about it."""
        name, proof = provider.name, PROOFS.get(provider.name)
        if provider.transport == "tcp":
            yield f"{name}: connections cannot be checked; let it listen on a private address only"
            return
        if not self._signs(provider, "streams") and not self._token(provider):
            ways = [proof.secret] if proof is not None and proof.streams else []
            ways += [TOKEN_SECRET] if proof is None or proof.token else []
            named = " or ".join(ways)
            yield f"{name}: anybody may open a stream; to check it give the secret {named}"
        if proof is not None and not proof.streams and not self._signs(provider, "webhooks"):
            library = " and pip install 'voxpy[providers]'" if not _can_verify_ed25519() else ""
            yield f"{name}: webhooks are not checked; give the secret {proof.secret}{library}"

    def stream_query(self, provider: Provider) -> str:
        """Return what a stream's address needs behind it to be let in: ``?token=…`` or nothing.

        For the markup that we answer a provider's webhook with.
        """
        token = "" if self._signs(provider, "streams") else self._token(provider)
        return f"?{urlencode({'token': token})}" if token else ""

    def _token(self, provider: Provider) -> str:
        proof = PROOFS.get(provider.name)
        return (self.secrets.get(TOKEN_SECRET) or "") if proof is None or proof.token else ""

    def _signs(self, provider: Provider, what: str) -> str:
        """Return the secret that requests of this kind are checked with, or nothing."""
        proof = PROOFS.get(provider.name)
        if proof is None or not getattr(proof, what):
            return ""
        if provider.name == "telnyx" and not _can_verify_ed25519():
            return ""
        return self.secrets.get(proof.secret) or ""


def called_url(
    target: str, headers: Mapping[str, str], *, public_url: str, tls: bool, websocket: bool
) -> str:
    """Return the address a provider called to get at ``target`` (path and query).

    That is below ``public_url`` if there is one, else what the request and a proxy say; names of
    ``headers`` are in lower case.
    """
    if public_url:
        base = public_url.rstrip("/")
    else:
        scheme = headers.get("x-forwarded-proto", "https" if tls else "http")
        host = headers.get("x-forwarded-host") or headers.get("host", "")
        base = f"{'https' if scheme.startswith('https') else 'http'}://{host}"
    return (base.replace("http", "ws", 1) if websocket else base) + target


def _can_verify_ed25519() -> bool:
    return find_spec("cryptography") is not None


def _now_s() -> float:
    return clock.calendar().timestamp()
