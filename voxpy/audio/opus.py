"""Opus, mono, as telephones send it (RFC 6716, RFC 7587).

The RTP clock of Opus counts 48,000 a second whatever is inside. Encoder and decoder run at any of
`RATES_HZ`; at 24 kHz speech keeps everything it has, and services of speech take it as it is.

The codec is libopus (BSD), an extra: ``pip install 'voxpy[opus]'`` and Debian's libopus0.
"""

from __future__ import annotations

import importlib
from typing import Any

from voxpy.errors import EngineMissing, install_command

CLOCK_HZ = 48000
RATES_HZ = (8000, 12000, 16000, 24000, 48000)
BITRATE = 32000
"""Bits per second: enough for all of a voice, music included (RFC 7587 section 3.1.1)."""
APPLICATION = "audio"
"""Keeps the wave. ``voip`` shapes voices for small loudspeakers: a hum that goes through it twice
correlates with itself by 0.6 where it does by 0.997 here; and it takes twice the time.
"""
COMPLEXITY = 5
"""Of 10: half the time of the best, and a difference that is measured, not heard."""
MOST_PACKET_MS = 120

_SILK_MS, _HYBRID_MS, _CELT_MS = (10, 20, 40, 60), (10, 20), (2.5, 5, 10, 20)


def _library() -> Any:
    try:
        return importlib.import_module("opuslib_next")
    except Exception as error:  # a bare one where there is no libopus
        raise EngineMissing(
            f"Opus needs opuslib-next and libopus ({error}); "
            f"install them: {install_command('opus')}, and libopus0 from your system"
        ) from error


def is_installed() -> bool:
    """Return whether there is a library for it."""
    try:
        _library()
    except EngineMissing:
        return False
    return True


def packet_ms(packet: bytes) -> float:
    """Return how much audio a packet holds, by its first bytes; 0 for what is none (RFC 6716 3.1).

    At most 120 ms are allowed.
    """
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame_ms: float = _SILK_MS[config % 4]
    elif config < 16:
        frame_ms = _HYBRID_MS[config % 2]
    else:
        frame_ms = _CELT_MS[config % 4]
    counted = packet[1] & 0x3F if len(packet) > 1 else 0
    whole_ms = (1, 2, 2, counted)[code] * frame_ms
    return whole_ms if whole_ms <= MOST_PACKET_MS else 0


class OpusEncoder:
    """Encodes one stream of pcm16 at ``rate_hz``. Raises EngineMissing if a library is absent."""

    def __init__(self, rate_hz: int) -> None:
        self._codec = _library().Encoder(rate_hz, 1, APPLICATION)
        self._codec.bitrate = BITRATE
        self._codec.complexity = COMPLEXITY

    def encode(self, data: bytes) -> bytes:
        """Return one packet of 10, 20, 40 or 60 ms. Raises ValueError for another length."""
        try:
            return bytes(self._codec.encode(data, len(data) // 2))
        except _library().OpusError as error:
            raise ValueError(f"{len(data)} bytes are no packet of Opus: {error}") from error


class OpusDecoder:
    """Decodes one stream into pcm16 at ``rate_hz``. Raises EngineMissing."""

    def __init__(self, rate_hz: int) -> None:
        library = _library()
        self._error = library.OpusError
        self._decode = library.api.decoder.decode
        self._codec = library.Decoder(rate_hz, 1)
        self._most_samples = rate_hz * MOST_PACKET_MS // 1000
        self._last_samples = rate_hz // 50

    def decode(self, packet: bytes) -> bytes | None:
        """Return its audio, or None if it is no packet of Opus."""
        if not packet:
            return None  # libopus would take it for a lost one
        samples = self._most_samples
        try:
            data = self._decode(
                self._codec.decoder_state, packet, len(packet), samples, False, channels=1
            )
        except self._error:
            return None
        self._last_samples = len(data) // 2
        return bytes(data)

    def conceal(self) -> bytes | None:
        """Return what stands in for a packet that was lost, as long as the one before."""
        try:
            return bytes(
                self._decode(
                    self._codec.decoder_state, None, 0, self._last_samples, False, channels=1
                )
            )
        except self._error:
            return None
