"""Conversion between formats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import Converter, decode, encode
from voxpy.audio.frame import PCM16_RATES_HZ, PCMA, PCMU, Format, pcm16
from voxpy.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from voxpy.audio.resample import Resampler

FORMATS = [PCMU, PCMA, *map(pcm16, PCM16_RATES_HZ)]
formats = st.sampled_from(FORMATS)


def noise(fmt: Format, frames: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(frames * fmt.frame_bytes)


@given(formats, st.integers(0, 99))
def test_decode_and_encode_are_inverse(fmt: Format, seed: int) -> None:
    data = noise(fmt, 2, seed)
    if fmt == PCMU:
        data = data.replace(b"\x7f", b"\xff")  # one of its two zeros
    samples = decode(data, fmt)
    assert samples.dtype == np.int16
    assert len(samples) == 2 * fmt.frame_samples
    assert encode(samples, fmt) == data


def test_pcm16_is_little_endian() -> None:
    assert decode(b"\x01\x00\x00\x80\xff\x7f", pcm16(8000)).tolist() == [1, -32768, 32767]
    assert encode(np.array([1, -2], np.int16), pcm16(48000)) == b"\x01\x00\xfe\xff"


@given(formats, formats, st.lists(st.integers(0, 2), max_size=4), st.integers(0, 99))
def test_durations_are_kept_and_chunks_do_not_matter(
    source: Format, target: Format, chunks: list[int], seed: int
) -> None:
    data = noise(source, sum(chunks), seed)
    converter, parts, at = Converter(source, target), [], 0
    for n in chunks:
        parts.append(converter.convert(data[at : at + n * source.frame_bytes]))
        assert len(parts[-1]) == n * target.frame_bytes
        at += n * source.frame_bytes
    assert b"".join(parts) == Converter(source, target).convert(data)


@given(formats)
def test_equal_formats_return_the_very_same_object(fmt: Format) -> None:
    converter = Converter(fmt, Format(fmt.encoding, fmt.rate_hz))
    frame = noise(fmt, 1, 7)
    assert converter.identity
    assert converter.convert(frame) is frame
    assert converter.delay_s == 0.0
    converter.reset()


def test_between_the_laws_it_is_decoding_and_encoding() -> None:
    data = noise(PCMU, 1, 1)
    assert Converter(PCMU, PCMA).convert(data) == encode_alaw(decode_ulaw(data))
    assert Converter(PCMA, PCMU).convert(data) == encode_ulaw(decode_alaw(data))
    assert Converter(PCMU, pcm16(8000)).convert(data) == decode_ulaw(data).tobytes()
    assert not Converter(PCMU, PCMA).identity


def test_a_phone_line_to_a_model_and_back() -> None:
    up, down = Converter(PCMU, pcm16(24000)), Converter(pcm16(24000), PCMU)
    assert up.delay_s == down.delay_s == 0.002
    data = noise(PCMU, 3, 2)
    wide = up.convert(data)
    assert wide == Resampler(8000, 24000).process(decode_ulaw(data)).tobytes()
    samples = np.frombuffer(wide, np.int16)
    assert down.convert(wide) == encode_ulaw(Resampler(24000, 8000).process(samples))


@pytest.mark.parametrize("target", [PCMA, pcm16(8000), pcm16(24000), PCMU])
def test_silence_stays_silence(target: Format) -> None:
    assert Converter(PCMU, target).convert(PCMU.silence) == target.silence


def test_reset_forgets() -> None:
    converter = Converter(PCMU, pcm16(24000))
    converter.convert(bytes(160))  # full scale
    assert converter.convert(PCMU.silence) != pcm16(24000).silence
    converter.convert(bytes(160))
    converter.reset()
    assert converter.convert(PCMU.silence) == pcm16(24000).silence


@pytest.mark.parametrize("target", FORMATS)
def test_parts_of_a_frame_are_refused(target: Format) -> None:
    with pytest.raises(ValueError, match="150 bytes of pcmu/8000 are not whole frames"):
        Converter(PCMU, target).convert(bytes(150))
