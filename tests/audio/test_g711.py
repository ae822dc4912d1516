"""G.711 against the segment rules written out once more, one value at a time."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_BYTE = bytes(range(256))


def ulaw_of(sample: int) -> int:
    """Return the code with the rules as the classic C code states them."""
    value = sample >> 2
    mask = 0xFF if value >= 0 else 0x7F
    value = abs(value)
    if value > 8159:
        value = 8159
    value += 33
    for segment, end in enumerate((0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF)):
        if value <= end:
            return (segment << 4 | (value >> (segment + 1)) & 0xF) ^ mask
    return 0x7F ^ mask


def alaw_of(sample: int) -> int:
    value = sample >> 3
    mask = 0xD5
    if value < 0:
        mask, value = 0x55, -value - 1
    for segment, end in enumerate((0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF)):
        if value <= end:
            shift = 1 if segment < 2 else segment
            return (segment << 4 | (value >> shift) & 0xF) ^ mask
    raise AssertionError(sample)


def linear_of_ulaw(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 0xF) * 8 + 0x84) << (code >> 4 & 7)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def linear_of_alaw(code: int) -> int:
    code ^= 0x55
    magnitude, segment = (code & 0xF) << 4, code >> 4 & 7
    magnitude += 8 if segment == 0 else 0x108
    if segment > 1:
        magnitude <<= segment - 1
    return magnitude if code & 0x80 else -magnitude


def test_every_sample_encodes_as_the_rules_say() -> None:
    assert encode_ulaw(EVERY_SAMPLE) == bytes(ulaw_of(int(s)) for s in EVERY_SAMPLE)
    assert encode_alaw(EVERY_SAMPLE) == bytes(alaw_of(int(s)) for s in EVERY_SAMPLE)


def g191_ulaw_of(sample: int) -> int:
    """Return the code as the software tool library of ITU-T G.191 states the rules."""
    magnitude = min(((~sample if sample < 0 else sample) >> 2) + 33, 0x1FFF)
    segment = (magnitude >> 6).bit_length() + 1
    code = (8 - segment) << 4 | 0xF - (magnitude >> segment & 0xF)
    return code | (0x80 if sample >= 0 else 0)


def g191_alaw_of(sample: int) -> int:
    magnitude = (~sample if sample < 0 else sample) >> 4
    exponent = 0
    if magnitude > 15:
        exponent = 1
        while magnitude > 31:
            magnitude >>= 1
            exponent += 1
        magnitude -= 16
    return (magnitude + (exponent << 4) | (0x80 if sample >= 0 else 0)) ^ 0x55


def test_the_reference_software_of_the_itu_agrees() -> None:
    assert encode_alaw(EVERY_SAMPLE) == bytes(g191_alaw_of(int(s)) for s in EVERY_SAMPLE)
    ours = zip(EVERY_SAMPLE.tolist(), encode_ulaw(EVERY_SAMPLE), strict=True)
    differing = {sample >> 2 for sample, code in ours if g191_ulaw_of(sample) != code}
    # G.711 has 14 bits of input and leaves open what a value exactly between two codes becomes:
    # of negative ones the classic code takes the larger magnitude, G.191 the smaller. All others
    # agree; the values between codes are the decision values of table 2b, seen here with the bias.
    between = {33 - (step << segment) for segment in range(1, 9) for step in range(17, 33)}
    assert differing == {value for value in between if value > -8159}


def test_the_standard_library_agrees_while_it_had_the_codecs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="audioop left Python with 3.13")
    linear = EVERY_SAMPLE.tobytes()
    assert encode_ulaw(EVERY_SAMPLE) == audioop.lin2ulaw(linear, 2)
    assert encode_alaw(EVERY_SAMPLE) == audioop.lin2alaw(linear, 2)
    assert decode_ulaw(EVERY_BYTE).tobytes() == audioop.ulaw2lin(EVERY_BYTE, 2)
    assert decode_alaw(EVERY_BYTE).tobytes() == audioop.alaw2lin(EVERY_BYTE, 2)


def test_every_byte_decodes_as_the_rules_say() -> None:
    assert decode_ulaw(EVERY_BYTE).tolist() == [linear_of_ulaw(b) for b in EVERY_BYTE]
    assert decode_alaw(EVERY_BYTE).tolist() == [linear_of_alaw(b) for b in EVERY_BYTE]


@pytest.mark.parametrize(
    ("sample", "ulaw", "alaw"),
    [(0, 0xFF, 0xD5), (32767, 0x80, 0xAA), (-32768, 0x00, 0x2A), (1000, 0xCE, 0xFA)],
)
def test_values_known_from_elsewhere(sample: int, ulaw: int, alaw: int) -> None:
    assert encode_ulaw(np.array([sample], np.int16)) == bytes([ulaw])
    assert encode_alaw(np.array([sample], np.int16)) == bytes([alaw])


def test_a_byte_survives_decoding_and_encoding() -> None:
    assert encode_alaw(decode_alaw(EVERY_BYTE)) == EVERY_BYTE
    # Mu-law has two zeros; the negative one comes back as the positive one.
    assert encode_ulaw(decode_ulaw(EVERY_BYTE)) == EVERY_BYTE.replace(b"\x7f", b"\xff")


def test_the_error_is_at_most_half_a_step() -> None:
    clipped = np.clip(EVERY_SAMPLE.astype(int), -32124, 32124)
    for decoded in (
        decode_ulaw(encode_ulaw(EVERY_SAMPLE)).astype(int),
        decode_alaw(encode_alaw(EVERY_SAMPLE)).astype(int),
    ):
        error = np.abs(decoded - clipped)
        assert np.all(error <= 16 + np.abs(clipped) // 30)


@given(st.binary(max_size=400))
def test_arrays_are_int16_and_as_long_as_the_bytes(data: bytes) -> None:
    for decoded in (decode_ulaw(data), decode_alaw(data)):
        assert decoded.dtype == np.int16
        assert len(decoded) == len(data)


def test_strided_samples_encode_like_contiguous_ones() -> None:
    stereo = np.arange(-500, 500).astype(np.int16).reshape(-1, 2)
    assert encode_ulaw(stereo[:, 0]) == encode_ulaw(stereo[:, 0].copy())
