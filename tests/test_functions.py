"""VoxEngine's global functions, Crypto, PhoneNumber, languages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxpy
from voxpy import Crypto, PhoneNumber, VoiceList
from voxpy.constants import spoken_language
from voxpy.errors import ScenarioError, UnknownName


def test_uuids_differ() -> None:
    assert len(voxpy.uuidgen()) == 36
    assert voxpy.uuidgen() != voxpy.uuidgen()


@given(st.binary())
def test_bytes_and_texts_there_and_back(data: bytes) -> None:
    numbers = list(data)
    assert voxpy.base64_decode(voxpy.base64_encode(numbers)) == numbers
    assert voxpy.hex2bytes(voxpy.bytes2hex(numbers)) == numbers
    assert voxpy.str2bytes(voxpy.bytes2str(numbers, "latin-1"), "latin-1") == numbers


def test_texts_are_utf_8() -> None:
    assert voxpy.base64_encode("é") == "w6k="
    assert voxpy.base64_decode("w6k") == [0xC3, 0xA9]
    assert voxpy.bytes2hex([171, 5], True) == "AB05"


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (voxpy.base64_decode, "*"),
        (voxpy.hex2bytes, "0g"),
        (voxpy.base64_encode, [256]),
        (voxpy.bytes2str, [0xFF]),
        (voxpy.bytes2hex, 3.5),
    ],
)
def test_what_is_none_is_an_error_that_names_the_function(function: Any, wrong: Any) -> None:
    with pytest.raises(ScenarioError, match=function.__name__):
        function(wrong)


def test_the_clocks_of_a_zone() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC).replace(tzinfo=None)
    assert voxpy.get_local_time("Europe/Berlin", noon).hour == 14
    assert voxpy.get_local_time("Europe/Berlin", noon.replace(month=1, tzinfo=UTC)).hour == 13
    with pytest.raises(ScenarioError, match="Europe/Berlin"):
        voxpy.get_local_time("Berlin", noon)


@pytest.mark.parametrize(
    ("a", "b", "distance"), [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("a", "a", 0)]
)
def test_distances_of_words(a: str, b: str, distance: int) -> None:
    assert voxpy.levenshtein_distance(a, b) == distance
    assert voxpy.levenshtein_distance(b, a) == distance


def test_digests() -> None:
    # RFC 1321 A.5, RFC 3174 7.3, RFC 6234 8.5, RFC 4231 4.3
    assert Crypto.md5("abc") == "900150983cd24fb0d6963f7d28e17f72"
    assert Crypto.sha1("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert Crypto.sha256(["a", "bc"]).startswith("ba7816bf8f01cfea")
    assert Crypto.hmac_sha256("Jefe", "what do ya want for nothing?").startswith("5bdcc146bf60754e")
    with pytest.raises(UnknownName, match="sha256"):
        Crypto.sha255("a")  # type: ignore[attr-defined]


def test_what_a_number_says() -> None:
    info = PhoneNumber.get_info("4930123456")
    assert (info.number, info.region, info.is_valid_number) == ("+4930123456", "DE", True)
    assert (info.number_type, info.location) == ("FIXED_LINE", "Berlin")
    national = PhoneNumber.get_info("030 123456", "de")
    assert national.number == "+4930123456"
    assert national.is_valid_number_for_region
    assert PhoneNumber.get_info("abc").error


@pytest.mark.parametrize(
    ("name", "language"),
    [
        (VoiceList.Amazon.en_US_Joanna, "en-US"),
        (VoiceList.Microsoft.Neural.de_DE_Katja, "de-DE"),
        (voxpy.Language.US_ENGLISH_FEMALE, "en-US"),
        (voxpy.Language.RU_RUSSIAN_FEMALE, "ru"),
        (voxpy.ASRLanguage.ENGLISH_UK, "en-GB"),
        ("Joanna", None),
    ],
)
def test_languages_that_names_tell(name: str, language: str | None) -> None:
    assert spoken_language(name) == language
