"""G.711 mu-law and A-law by table lookup, bit-exact.

The tables are computed once, at import, from the segment rules of ITU-T G.711 (tables 1 and 2) on
16-bit input: mu-law drops the two lowest bits, A-law the three lowest. Where the recommendation
leaves a choice (an input exactly between two values) they take the one that the classic Sun code,
and with it the ``audioop`` module of Python before 3.13, took: phones and gateways contain it. The
reference software of ITU-T G.191 decides 127 of those the other way, all negative, all mu-law.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxpy.audio.frame import Samples

_Bytes = npt.NDArray[np.uint8]

_ULAW_BIAS = 33  # shifts the segment edges to powers of two
_ULAW_CLIP = 8158  # in 14 bits: with the bias on top this is the last value of segment 8
_POSITIVE = 0x80  # the sign bit is set for positive values, in both laws
_ALAW_EVEN_BITS = 0x55  # G.711: A-law transmits with its even bits inverted


def _segment(magnitude: npt.NDArray[np.int64], first_bits: int) -> npt.NDArray[np.int64]:
    """Return 0 for magnitudes below ``2**first_bits``, then one more per doubling, up to 7."""
    edges = 2 ** np.arange(first_bits, first_bits + 7)
    return np.asarray(np.searchsorted(edges, magnitude, side="right"), np.int64)


def _signed(bits: int) -> npt.NDArray[np.int64]:
    """Return every value of ``bits`` in two's complement, in the order of its bit pattern."""
    half = 1 << (bits - 1)
    return (np.arange(2 * half) ^ half) - half


def _ulaw_encode_table() -> _Bytes:
    linear = _signed(14)
    biased = np.minimum(np.abs(linear), _ULAW_CLIP) + _ULAW_BIAS
    segment = _segment(biased, 6)
    magnitude = segment << 4 | (biased >> (segment + 1)) & 0xF
    sign = np.where(linear >= 0, _POSITIVE, 0)
    codes = np.asarray((~magnitude & 0x7F) | sign, np.uint8)  # all bits are sent inverted
    return codes.repeat(4)


def _ulaw_decode_table() -> Samples:
    code = ~np.arange(256) & 0xFF
    segment = code >> 4 & 7
    magnitude = (((code & 0xF) << 1 | 0x21) << segment) - _ULAW_BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) << 2).astype(np.int16)


def _alaw_encode_table() -> _Bytes:
    linear = _signed(13)
    level = np.where(linear >= 0, linear, ~linear)  # one's complement: A-law has no zero
    segment = _segment(level, 5)
    magnitude = segment << 4 | (level >> np.maximum(segment, 1)) & 0xF
    sign = np.where(linear >= 0, _POSITIVE, 0)
    codes = np.asarray((magnitude | sign) ^ _ALAW_EVEN_BITS, np.uint8)
    return codes.repeat(8)


def _alaw_decode_table() -> Samples:
    code = np.arange(256) ^ _ALAW_EVEN_BITS
    segment = code >> 4 & 7
    middle = (code & 0xF) << 1 | 1  # decode to the middle of the step
    magnitude = np.where(segment == 0, middle, (middle | 0x20) << np.maximum(segment - 1, 0))
    return (np.where(code & _POSITIVE, magnitude, -magnitude) << 3).astype(np.int16)


_ULAW_ENCODE = _ulaw_encode_table()
_ULAW_DECODE = _ulaw_decode_table()
_ALAW_ENCODE = _alaw_encode_table()
_ALAW_DECODE = _alaw_decode_table()


def encode_ulaw(samples: Samples) -> bytes:
    """Return one mu-law byte per sample."""
    return _ULAW_ENCODE.take(samples.view(np.uint16)).tobytes()


def decode_ulaw(data: bytes) -> Samples:
    """Return one sample per mu-law byte, within ±32124."""
    return _ULAW_DECODE.take(np.frombuffer(data, np.uint8))


def encode_alaw(samples: Samples) -> bytes:
    """Return one A-law byte per sample."""
    return _ALAW_ENCODE.take(samples.view(np.uint16)).tobytes()


def decode_alaw(data: bytes) -> Samples:
    """Return one sample per A-law byte, within ±32256; A-law has no zero, silence is ±8."""
    return _ALAW_DECODE.take(np.frombuffer(data, np.uint8))
