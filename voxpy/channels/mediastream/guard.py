"""Whether a request that comes in is a provider's, and what cannot be checked, said beforehand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlencode

import attrs

from voxpy.channels.providers.http import (
    TOKEN_SECRET,
    Request,
    Signature,
    bears_token,
    derived_token,
)
from voxpy.channels.providers.provider import Provider
from voxpy.engine import clock
from voxpy.engine.ports import Secrets

__all__ = ["Guard", "SeenRequests"]

RETRY_S = 60.0
"""Within which a provider may ask again because our answer was lost on its way."""
MOST_SEEN = 20_000
"""Requests remembered: some hours of a busy host."""


class SeenRequests:
    """The signatures that have been accepted, so that whoever has read one cannot use it later."""

    def __init__(self) -> None:
        self._first_s: OrderedDict[str, float] = OrderedDict()

    def is_replay(self, signature: str, now_s: float) -> bool:
        """Remember a signature; return whether it first came longer ago than a retry."""
        first_s = self._first_s.setdefault(signature, now_s)
        if len(self._first_s) > MOST_SEEN:
            self._first_s.popitem(last=False)
        return now_s - first_s > RETRY_S


@attrs.frozen
class Guard:
    """Checks requests with what the secrets give, asked each time: they may change.

    A provider's own signature counts where its secret is there; else a token that is derived from
    MEDIA_TOKEN for this provider alone, if there is one, and that the webhook must bear as well:
    its answer gives the token away. Else nothing is checked, which ``notes`` says.
    """

    secrets: Secrets
    seen: SeenRequests = attrs.field(factory=SeenRequests)

    def refuse_stream(self, provider: Provider, request: Request) -> str:
        """Return why a media stream must not be opened, or nothing."""
        signature = provider.signature
        if signature is not None and signature.streams and (key := self._key(provider)):
            return signature.problem(request, key, _now_s())
        return self._without_token(provider, request)

    def refuse_webhook(self, provider: Provider, request: Request) -> str:
        """Return why a webhook must not be answered, or nothing."""
        signature = provider.signature
        if signature is None or not signature.webhooks or not (key := self._key(provider)):
            return self._without_token(provider, request)
        problem = signature.problem(request, key, _now_s())
        if not problem and self.seen.is_replay(signature.of(request), clock.now()):
            return f"its {signature.header} was used before"
        return problem

    def _without_token(self, provider: Provider, request: Request) -> str:
        token = self.token(provider)
        if token and not bears_token(request, token):
            return f"it does not bear the token of {provider.name}, made from {TOKEN_SECRET}"
        return ""

    def notes(self, provider: Provider) -> Iterator[str]:
        """Yield what is not checked of a provider, and what to do about it."""
        name, signature, key = provider.name, provider.signature, self._key(provider)
        if provider.transport == "tcp":
            yield f"{name}: connections cannot be checked; let it listen on a private address only"
            return
        signs_streams = signature is not None and signature.streams
        if not (key and signs_streams) and not self.token(provider):
            ways = [signature.secret] if signature is not None and signs_streams else []
            ways += [TOKEN_SECRET] if provider.takes_token else []
            named = " or ".join(ways)
            yield f"{name}: anybody may open a stream; to check it give the secret {named}"
        if signature is not None and not signs_streams and not key and not self.token(provider):
            missing = "" if _is_installed(signature) else " and pip install 'voxpy[providers]'"
            yield f"{name}: webhooks are not checked; give the secret {signature.secret}{missing}"

    def stream_query(self, provider: Provider) -> str:
        """Return what a stream's address needs behind it to be let in: ``?token=…`` or nothing."""
        signature = provider.signature
        signs = signature is not None and signature.streams and self._key(provider)
        return "" if signs else self._query(provider)

    def webhook_query(self, provider: Provider) -> str:
        """Return what a webhook's address needs behind it to be answered, or nothing."""
        signature = provider.signature
        signs = signature is not None and signature.webhooks and self._key(provider)
        return "" if signs else self._query(provider)

    def _query(self, provider: Provider) -> str:
        token = self.token(provider)
        return f"?{urlencode({'token': token})}" if token else ""

    def token(self, provider: Provider) -> str:
        """Return the token of a provider, or nothing if there is none or it cannot bear one."""
        master = (self.secrets.get(TOKEN_SECRET) or "") if provider.takes_token else ""
        return derived_token(master, provider.name) if master else ""

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
