"""What is spoken on the wire, and what the graph hears of it.

G.711 passes as it is. G.722 and Opus are adaptive: their bytes can be neither mixed nor cut, so a
leg decodes them at its edge and offers 16 and 24 kHz to the graph. Each has an extra of its own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
import numpy as np

from voxpy.audio import g722, opus
from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.media.receiver import Decoder
from voxpy.wire.sdp import MediaFormat

OPUS_HZ = 24000
"""All that a voice has, and what speech services take: nothing is resampled on the way there."""


class Encoder(Protocol):
    """Makes the payloads of one stream."""

    def encode(self, data: bytes) -> bytes:
        """Return the payload of 10 to 60 ms."""


@attrs.frozen(kw_only=True)
class Codec:
    """One way to speak. ``wire`` is how we offer it, ``format`` what the graph gives and gets.

    ``frame_bytes`` and ``frame_units`` are 20 ms of payload (None: it varies) and of timestamp.
    """

    wire: MediaFormat
    format: Format
    frame_bytes: int | None
    frame_units: int
    encoder: Callable[[], Encoder] | None = None
    decoder: Callable[[], Decoder] | None = None

    @property
    def name(self) -> str:
        return self.wire.name

    def payload_ms(self, payload: bytes) -> float:
        """Return how much audio a payload holds; 0 for none."""
        if self.frame_bytes is None:
            return opus.packet_ms(payload)
        return 20 * len(payload) / self.frame_bytes


class _G722Encoder:
    def __init__(self) -> None:
        self._encoder = g722.G722Encoder()

    def encode(self, data: bytes) -> bytes:
        return self._encoder.encode(np.frombuffer(data, np.int16))


class _G722Decoder:
    def __init__(self) -> None:
        self._decoder = g722.G722Decoder()

    def decode(self, payload: bytes) -> bytes | None:
        return self._decoder.decode(payload).tobytes()

    def conceal(self) -> bytes | None:
        return None


def _g711(payload_type: int, name: str, fmt: Format) -> Codec:
    wire = MediaFormat(payload_type=payload_type, name=name, clock_hz=8000)
    return Codec(wire=wire, format=fmt, frame_bytes=fmt.frame_bytes, frame_units=fmt.frame_samples)


CODECS: dict[str, Codec] = {
    "PCMU": _g711(0, "PCMU", PCMU),
    "PCMA": _g711(8, "PCMA", PCMA),
    "G722": Codec(
        wire=MediaFormat(payload_type=9, name="G722", clock_hz=8000),
        format=pcm16(g722.RATE_HZ),
        frame_bytes=g722.FRAME_BYTES,
        frame_units=g722.FRAME_UNITS,
        encoder=_G722Encoder,
        decoder=_G722Decoder,
    ),
    "OPUS": Codec(
        wire=MediaFormat(payload_type=96, name="OPUS", clock_hz=opus.CLOCK_HZ, channels=2),
        format=pcm16(OPUS_HZ),
        frame_bytes=None,
        frame_units=opus.CLOCK_HZ // 50,
        encoder=lambda: opus.OpusEncoder(OPUS_HZ),
        decoder=lambda: opus.OpusDecoder(OPUS_HZ),
    ),
}
"""By name in SDP."""
G711 = (CODECS["PCMU"], CODECS["PCMA"])
DIGITS = MediaFormat(payload_type=101, name="TELEPHONE-EVENT", clock_hz=8000, fmtp="0-16")
OPUS_DIGITS = attrs.evolve(DIGITS, payload_type=102, clock_hz=opus.CLOCK_HZ)


def usual_codecs() -> tuple[Codec, ...]:
    """Return what is spoken where nothing was set: G.722 before G.711 if its extra is there."""
    wide = (CODECS["G722"],) if importlib.util.find_spec("G722") is not None else ()
    return (*wide, *G711)


def named_codecs(names: Iterable[str]) -> tuple[Codec, ...]:
    """Return codecs in that order. Raises KeyError for a name, EngineMissing for its library."""
    found = tuple(CODECS[name.upper()] for name in names)
    for codec in found:
        if codec.encoder is not None:
            codec.encoder()
    return found


def offered_formats(codecs: Iterable[Codec]) -> tuple[MediaFormat, ...]:
    """Return what an offer says: the codecs, and digits at the clock of each."""
    formats = [codec.wire for codec in codecs]
    has_opus = any(wire.clock_hz == opus.CLOCK_HZ for wire in formats)
    return (*formats, DIGITS, *([OPUS_DIGITS] if has_opus else []))


def named_codec(formats: Iterable[MediaFormat]) -> tuple[Codec, MediaFormat] | None:
    """Return the first of some formats that is spoken here, and as what; None if there is none."""
    for found in formats:
        codec = CODECS.get(found.name)
        if codec is not None and found.is_same(codec.wire):
            return codec, found
    return None
