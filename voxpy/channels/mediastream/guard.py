"""Whether a request that comes in is a provider's, and what cannot be checked, said beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlencode

import attrs

from voxpy.channels.providers.http import TOKEN_SECRET, Request, Signature, bears_token
from voxpy.channels.providers.provider import Provider
from voxpy.engine import clock
from voxpy.engine.ports import Secrets

__all__ = ["Guard"]


@attrs.frozen
class Guard:
    """Checks requests with what the secrets give, asked each time: they may change.

    A provider's own signature counts where its secret is there; else the token of MEDIA_TOKEN, if
    there is one; else nothing is checked, which ``notes`` says.
    """

    secrets: Secrets

    def refuse_stream(self, provider: Provider, request: Request) -> str:
        """Return why a media stream must not be opened, or nothing."""
        signature = provider.signature
        if signature is not None and signature.streams and (key := self._key(provider)):
            return signature.check(request, key, _now_s())
        token = self._token(provider)
        if token and not bears_token(request, token):
            return f"it does not bear the {TOKEN_SECRET}"
        return ""

    def refuse_webhook(self, provider: Provider, request: Request) -> str:
        """Return why a webhook must not be answered, or nothing."""
        signature = provider.signature
        if signature is not None and signature.webhooks and (key := self._key(provider)):
            return signature.check(request, key, _now_s())
        return ""

    def notes(self, provider: Provider) -> Iterator[str]:
        """Yield what is not checked of a provider, and what to do about it."""
        name, signature, key = provider.name, provider.signature, self._key(provider)
        if provider.transport == "tcp":
            yield f"{name}: connections cannot be checked; let it listen on a private address only"
            return
        signs_streams = signature is not None and signature.streams
        if not (key and signs_streams) and not self._token(provider):
            ways = [signature.secret] if signature is not None and signs_streams else []
            ways += [TOKEN_SECRET] if provider.takes_token else []
            named = " or ".join(ways)
            yield f"{name}: anybody may open a stream; to check it give the secret {named}"
        if signature is not None and not signs_streams and not key:
            missing = "" if _is_installed(signature) else " and pip install 'voxpy[providers]'"
            yield f"{name}: webhooks are not checked; give the secret {signature.secret}{missing}"

    def stream_query(self, provider: Provider) -> str:
        """Return what a stream's address needs behind it to be let in: ``?token=…`` or nothing.

        For the markup that we answer a provider's webhook with.
        """
        signature = provider.signature
        signs = signature is not None and signature.streams and self._key(provider)
        token = "" if signs else self._token(provider)
        return f"?{urlencode({'token': token})}" if token else ""

    def _token(self, provider: Provider) -> str:
        return (self.secrets.get(TOKEN_SECRET) or "") if provider.takes_token else ""

    def _key(self, provider: Provider) -> str:
        """Return what its signatures are checked with, or nothing."""
        signature = provider.signature
        if signature is None or not _is_installed(signature):
            return ""
        return self.secrets.get(signature.secret) or ""


def _is_installed(signature: Signature) -> bool:
    return not signature.library or find_spec(signature.library) is not None


def _now_s() -> float:
    return clock.calendar().timestamp()
