"""Whose wire the local agent speaks: that of the service whose address was asked for."""

from __future__ import annotations

from voxpy.localagent.services import cartesia, deepgram, elevenlabs, gemini, realtime, ultravox
from voxpy.localagent.services.dialect import Fake, Request

__all__ = ["FAKES", "asked_for"]

_ALL = (
    realtime.INWORLD,
    realtime.OPENAI,
    realtime.BETA,
    realtime.GROK,
    realtime.YANDEX,
    gemini.FAKE,
    elevenlabs.FAKE,
    deepgram.FAKE,
    ultravox.FAKE,
    cartesia.FAKE,
)
FAKES = {fake.name: fake for fake in _ALL}


def asked_for(request: Request, default: Fake) -> Fake:
    """Return the service that a request means; ``default`` where its address says nothing.

    ``default`` also decides between services of one address.
    """
    if default.path.fullmatch(request.path):
        return default
    found = next((f for f in _ALL if f.path.fullmatch(request.path)), default)
    return realtime.openai_like(request) if found is realtime.OPENAI else found
