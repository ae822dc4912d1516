from __future__ import annotations

import pytest

from voxpy.asr.profiles import ASRModelList, ASRProfileList, language_of
from voxpy.errors import UnknownName


@pytest.mark.parametrize(
    ("profile", "language"),
    [
        ("en", "en"),
        ("en-US", "en-US"),
        ("en_us", "en-US"),
        ("es-419", "es-419"),
        ("deepgram/nova-en-gb", "en-GB"),
        (ASRProfileList.Google.en_US, "en-US"),
        (ASRProfileList.YandexV3.ru_RU, "ru-RU"),
        ("Google", None),
        ("english", None),
        ("", None),
    ],
)
def test_the_language_is_at_the_end(profile: str, language: str | None) -> None:
    assert language_of(profile) == language


def test_any_language_and_model_of_the_providers_can_be_named() -> None:
    assert ASRProfileList.Microsoft.de_AT == "Microsoft:de_AT"
    assert ASRModelList.Google.phone_call == "Google:phone_call"
    with pytest.raises(UnknownName, match="did you mean 'Google'"):
        ASRProfileList.Gogle  # type: ignore[attr-defined]  # noqa: B018
