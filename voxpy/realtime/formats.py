"""Which audio format a session has: what to ask for, and what we carry. Pure.

The best format is the leg's own. A G.711 leg then has its bytes passed through, neither decoded nor
resampled on the way; a wideband leg is served best by 24 kHz PCM, the default of the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16

__all__ = ["AUDIO_FORMATS", "AudioChoice", "carried", "with_formats"]

AudioChoice = Literal["auto", "pcm16", "pcmu", "pcma"]

AUDIO_FORMATS: tuple[AudioChoice, ...] = ("auto", "pcm16", "pcmu", "pcma")

_SIDES = ("input", "output")
_WIRE: Mapping[str, Mapping[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "pcmu": {"type": "audio/pcmu"},
    "pcma": {"type": "audio/pcma"},
}


def with_formats(
    fields: Mapping[str, Any], choice: AudioChoice | None, *, legs: Iterable[str]
) -> Mapping[str, Any]:
    """Return the fields of a ``session.update`` with the chosen format on both sides.

    ``legs`` are the encodings of the session's legs. ``auto`` is their G.711 if all agree on one;
    otherwise, and for None, nothing is added. Nor is it where the update names a format itself.
    """
    wire = _common_g711(legs) if choice == "auto" else _WIRE.get(choice or "")
    session = fields.get("session")
    if wire is None or not isinstance(session, Mapping):
        return fields
    audio = session.get("audio") or {}
    sides = [audio.get(side) or {} for side in _SIDES] if isinstance(audio, Mapping) else [None]
    if any(not isinstance(side, Mapping) or "format" in side for side in sides):
        return fields  # named, or nothing that we understand: the service will say so
    wanted = {s: {**(audio.get(s) or {}), "format": dict(wire)} for s in _SIDES}
    return {**fields, "session": {**session, "audio": {**audio, **wanted}}}


def _common_g711(legs: Iterable[str]) -> Mapping[str, Any] | None:
    encodings = set(legs)
    only = encodings.pop() if len(encodings) == 1 else ""
    return None if only == "pcm16" else _WIRE.get(only)


def carried(encoding: str, rate_hz: int) -> Format:
    """Return the Format of what ``audio_format`` found. Raises ValueError if we carry none such."""
    if encoding == "pcm16":
        return pcm16(rate_hz)
    known = {"pcmu": PCMU, "pcma": PCMA}
    if encoding not in known:
        raise ValueError(f"{encoding} at {rate_hz} Hz")
    return known[encoding]
