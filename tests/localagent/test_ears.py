from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.localagent.ears import RATE_HZ, Ears, parse_tokenizer, split_long, without_invented
from voxpy.localagent.voice import Voice

Audio = npt.NDArray[np.int16]


def noise(seconds: float, *, level: float, seed: int) -> Audio:
    samples = np.random.default_rng(seed).normal(0.0, level, int(seconds * RATE_HZ))
    return samples.clip(-32768, 32767).astype(np.int16)


def encoded(pieces: list[bytes]) -> bytes:
    data = b""
    for piece in pieces:
        size = len(piece)
        data += bytes([size]) if size < 128 else bytes([size % 128 + 128, size // 128])
        data += piece
    return data


@given(st.lists(st.binary(max_size=600)))
def test_the_tokenizer_file_is_read_back(pieces: list[bytes]) -> None:
    assert parse_tokenizer(encoded(pieces)) == pieces


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1), st.data())
def test_a_cut_tokenizer_is_refused(pieces: list[bytes], data: st.DataObject) -> None:
    whole = encoded(pieces)
    start = len(encoded(pieces[:-1]))
    cut = data.draw(st.integers(start + 1, len(whole) - 1))
    with pytest.raises(ValueError, match=f"piece {len(pieces) - 1} of the tokenizer is cut short"):
        parse_tokenizer(whole[:cut])


@given(seconds=st.integers(0, 100))
def test_long_audio_is_cut_into_parts_without_losing_a_sample(seconds: int) -> None:
    audio = np.arange(seconds * RATE_HZ, dtype=np.int32).astype(np.int16)
    parts = split_long(audio)
    assert all(len(part) <= 24 * RATE_HZ for part in parts)
    assert np.array_equal(np.concatenate(parts), audio)


def test_the_cut_is_made_where_it_is_quiet() -> None:
    audio = noise(30, level=3000.0, seed=0)
    audio[20 * RATE_HZ : 20 * RATE_HZ + 3200] = 0
    assert 20 * RATE_HZ < len(split_long(audio)[0]) <= 20 * RATE_HZ + 3200


@pytest.mark.parametrize("text", ["", "You", " you.", "You!", "♪ ♪♪", "..."])
def test_invented_text_is_dropped(text: str) -> None:
    assert without_invented(text) == ""


@pytest.mark.parametrize("text", ["Thank you.", "No.", "Bye.", "5"])
def test_real_text_is_kept(text: str) -> None:
    assert without_invented(text) == text


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.5, 3.0])
def test_silence_has_no_words(ears: Ears, seconds: float) -> None:
    assert ears.transcribe(np.zeros(int(seconds * RATE_HZ), np.int16)) == ""


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("level", [30.0, 300.0, 3000.0])
def test_noise_has_no_words(ears: Ears, seconds: float, level: float) -> None:
    for seed in range(2):
        assert ears.transcribe(noise(seconds, level=level, seed=seed)) == ""


def test_ringback_has_no_words(ears: Ears) -> None:
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    tone = 3000 * (np.sin(2 * np.pi * 440 * t) + np.sin(2 * np.pi * 480 * t))
    assert ears.transcribe(tone.astype(np.int16)) == ""


def test_threads_share_one_recogniser(ears: Ears, voice: Voice, phone_line: Any) -> None:
    ears.warm_up()
    texts = ["Please transfer me to sales.", "How much does it cost?", "My number is 555-0199."]
    lines = [phone_line.carry(np.concatenate(list(voice.speak(text)))) for text in texts]
    alone = [ears.transcribe(line) for line in lines]
    assert len(set(alone)) == 3
    together: dict[int, str] = {}

    def hear(n: int) -> None:
        together[n] = ears.transcribe(lines[n])

    threads = [threading.Thread(target=hear, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[n] for n in range(3)] == alone
