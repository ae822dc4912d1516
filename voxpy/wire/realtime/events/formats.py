"""Audio formats of a session, and exact lengths of audio in them.

Seconds as floats drift, and samples mean nothing once the rate changes in mid-session. Here a
length is a whole number of *ticks*, a unit that every rate of the protocol divides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from voxpy.wire.realtime.events.problems import InvalidValue, excerpt
from voxpy.wire.realtime.events.rules import json_object

PCM_RATES_HZ = (8000, 16000, 24000, 32000, 44100, 48000)
"""Rates Inworld takes for PCM; OpenAI takes 24000 only."""

BYTES_PER_SAMPLE = {"pcm16": 2, "pcmu": 1, "pcma": 1, "float32": 4}
"""Size of one sample by the names ``audio_format`` gives."""

_FORMATS = {
    "audio/pcm": "pcm16",
    "audio/pcmu": "pcmu",
    "audio/pcma": "pcma",
    "audio/float32": "float32",
}
_ALIASES = {
    "pcm16": "audio/pcm",
    "g711_ulaw": "audio/pcmu",
    "g711_alaw": "audio/pcma",
    "float32": "audio/float32",
    **{name: name for name in _FORMATS},
}
_G711_HZ = 8000
DEFAULT_HZ = 24000


def audio_format(
    session: Mapping[str, Any], direction: Literal["input", "output"]
) -> tuple[str, int]:
    """Return ``(encoding, rate_hz)`` of one direction; encodings as in BYTES_PER_SAMPLE.

    What the session leaves out is PCM at 24 kHz, the default of both services. Raises InvalidValue
    if it names a format that is neither service's.
    """
    found: Any = session
    for name in ("audio", direction, "format"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is None:
        return "pcm16", DEFAULT_HZ
    known = format_rule(None, dict(found) if isinstance(found, Mapping) else found, f"{direction}")
    return _FORMATS[known["type"]], known.get("rate", _G711_HZ)


def format_rule(current: Any, value: Any, param: str) -> dict[str, Any]:
    if isinstance(value, str):
        value = {"type": value}
    asked = json_object(None, value, param)
    name = asked.get("type") or (current or {}).get("type") or "audio/pcm"
    kind = _ALIASES.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(_ALIASES)
        raise InvalidValue(f"{param}.type", f"expected one of {known}, not {excerpt(name)}")
    rate = asked.get("rate")
    allowed = (_G711_HZ,) if kind in ("audio/pcmu", "audio/pcma") else PCM_RATES_HZ
    if rate is not None and (isinstance(rate, bool) or rate not in allowed):
        rates = ", ".join(map(str, allowed))
        raise InvalidValue(f"{param}.rate", f"expected one of {rates}, not {excerpt(rate)}")
    if allowed is not PCM_RATES_HZ:
        return {"type": kind}
    return {"type": kind, "rate": DEFAULT_HZ if rate is None else int(rate)}


TICKS_PER_S = 14_112_000
"""The least common multiple of PCM_RATES_HZ."""


@attrs.define
class AudioLength:
    """An amount of audio, exact to the sample at any rate and across changes of rate."""

    ticks: int = 0

    def add(self, n_samples: int, rate_hz: int) -> None:
        """Count ``n_samples`` more at ``rate_hz``, one of PCM_RATES_HZ."""
        self.ticks += n_samples * (TICKS_PER_S // rate_hz)

    @property
    def s(self) -> float:
        return self.ticks / TICKS_PER_S

    @property
    def ms(self) -> float:
        return self.ticks * 1000 / TICKS_PER_S

    def samples(self, rate_hz: int) -> int:
        return self.ticks * rate_hz // TICKS_PER_S


@attrs.define
class WholeSamples:
    """Cuts a byte stream at samples: what is left of one waits for the rest of it."""

    _left: bytes = b""
    _size: int = 1

    def take(self, data: bytes, encoding: str) -> bytes:
        """Return the whole samples there are, ``data`` being next; a change of format drops half.

        ``encoding`` is a name of BYTES_PER_SAMPLE.
        """
        size = BYTES_PER_SAMPLE[encoding]
        if size != self._size:
            self._left, self._size = b"", size
        if not self._left and len(data) % size == 0:
            return data
        joined = self._left + data
        end = len(joined) // size * size
        self._left = joined[end:]
        return joined[:end]

    def clear(self) -> None:
        """Forget the part of a sample that waits."""
        self._left = b""
