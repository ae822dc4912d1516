"""Whose wire the local agent speaks: that of the service whose address was asked for."""

from __future__ import annotations

from voxpy.localagent.services import cartesia, deepgram, elevenlabs, gemini, realtime, ultravox
from voxpy.localagent.services.dialect import Fake, Request

__all__ = ["FAKES", "asked_for"]

_ALL = (
    *realtime.FAKES,
    gemini.FAKE,
    elevenlabs.FAKE,
    deepgram.FAKE,
    ultravox.FAKE,
    cartesia.FAKE,
)
"""Of services that share an address, the later ones are asked first whether a request is theirs."""
FAKES = {fake.name: fake for fake in _ALL}


def asked_for(request: Request, default: Fake) -> Fake:
    """Return the service that a request means; ``default`` where its address says nothing.

    ``default`` also decides between services of one address.
    """
    if default.path.fullmatch(request.path):
        return default
    return next((fake for fake in reversed(_ALL) if fake.is_meant(request)), default)
