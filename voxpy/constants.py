"""Constants that scenarios pass along: voices, languages, how long to keep, how to fetch.

``Language``, ``VoiceList`` and ``ASRLanguage`` name some three thousand voices of other companies.
Here the host's own voice speaks and its own recogniser hears, whatever the provider is called, so
these lists are open: any name of them is accepted, and what counts is the language that it tells.
Most of the others concern VoxEngine's cloud and change nothing here.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from voxpy.engine.events import Namespace, OpenName, OpenNames

__all__ = [
    "ASRDictionary",
    "ASRLanguage",
    "ASRModel",
    "ASRProfile",
    "CallAudioQuality",
    "Language",
    "RecordExpireTime",
    "TTSEffectsProfile",
    "TranscriptionProvider",
    "URLPlayerRequestMethod",
    "Voice",
    "VoiceList",
    "spoken_language",
]

ASRModel: TypeAlias = OpenName
ASRProfile: TypeAlias = OpenName
Voice: TypeAlias = OpenName
"""What members of ``ASRModelList``, ``ASRProfileList`` and ``VoiceList`` are, for annotations."""


class VoiceList(metaclass=Namespace):
    """``VoiceList.Amazon.en_US_Joanna`` and so on (VoxEngine: VoiceList)."""

    Amazon = OpenName("Amazon")
    Default = OpenName("Default")
    ElevenLabs = OpenName("ElevenLabs")
    Google = OpenName("Google")
    IBM = OpenName("IBM")
    Microsoft = OpenName("Microsoft")
    SaluteSpeech = OpenName("SaluteSpeech")
    TBank = OpenName("TBank")
    Yandex = OpenName("Yandex")
    YandexV3 = OpenName("YandexV3")


class Language(metaclass=OpenNames):
    """``Language.US_ENGLISH_FEMALE`` and so on: the voices of older scenarios."""


class ASRLanguage(metaclass=OpenNames):
    """``ASRLanguage.ENGLISH_US`` and so on (VoxEngine: ASRLanguage): for ``create_asr(lang=)``."""


class ASRDictionary(metaclass=OpenNames):
    """``ASRDictionary.NUMBER`` and so on (VoxEngine: ASRDictionary)."""


_TAG = re.compile(r"(?<![A-Za-z])([a-z]{2,3})[-_]([A-Z]{2})(?![A-Za-z])")
_WORDS = {
    "ENGLISH": "en", "SPANISH": "es", "GERMAN": "de", "FRENCH": "fr", "ITALIAN": "it",
    "RUSSIAN": "ru", "PORTUGUESE": "pt", "PORTUGUES": "pt", "POLISH": "pl", "DUTCH": "nl",
    "CHINESE": "zh", "JAPANESE": "ja", "KOREAN": "ko", "TURKISH": "tr", "SWEDISH": "sv",
    "NORWEGIAN": "no", "DANISH": "da", "FINNISH": "fi", "CZECH": "cs", "CATALAN": "ca",
    "ARABIC": "ar", "HEBREW": "he", "HINDI": "hi", "GREEK": "el", "HUNGARIAN": "hu",
    "INDONESIAN": "id", "MALAYSIA": "ms", "AFRIKAANS": "af", "UKRAINIAN": "uk", "KAZAKH": "kk",
    "ROMANIAN": "ro", "BULGARIAN": "bg", "CROATIAN": "hr", "SLOVAK": "sk", "VIETNAMESE": "vi",
    "THAI": "th", "TAMIL": "ta", "URDU": "ur", "PERSIAN": "fa", "ICELANDIC": "is", "SERBIAN": "sr",
    "LITHUANIAN": "lt", "LATVIAN": "lv", "FILIPINO": "fil", "GALICIAN": "gl", "BASQUE": "eu",
    "WELSH": "cy", "UZBEK": "uz", "GEORGIAN": "ka", "ARMENIAN": "hy", "ZULU": "zu",
}  # fmt: skip
_REGIONS = frozenset({"US", "UK", "GB", "CA", "AU", "IN", "NZ", "ZA", "MX", "BR", "TW", "HK"})


def spoken_language(name: str) -> str | None:
    """Return the language that a constant's name tells, as a BCP 47 tag; None if it tells none.

    ``"Amazon:en_US_Joanna"`` is en-US, ``"Language:RU_RUSSIAN_FEMALE"`` ru, ``"ENGLISH_UK"`` en-GB.
    """
    tag = _TAG.search(name)
    if tag is not None:
        return f"{tag[1]}-{tag[2]}"
    words = name.rsplit(":", 1)[-1].upper().split("_")
    language = next((_WORDS[word] for word in words if word in _WORDS), None)
    region = next((word for word in words if word in _REGIONS), None)
    if language is None or region is None:
        return language
    return f"{language}-{'GB' if region == 'UK' else region}"


class RecordExpireTime(metaclass=OpenNames):
    """How long VoxEngine's storage keeps a recording (VoxEngine: RecordExpireTime).

    Recordings of voxpy stay until ``voxpy calls`` or ``history:`` in routing.yaml deletes them.
    """


class TTSEffectsProfile(metaclass=OpenNames):
    """The loudspeaker a voice is made for (VoxEngine: TTSEffectsProfile); changes nothing."""


class TranscriptionProvider(metaclass=Namespace):
    """Who turns a recording into text (VoxEngine: TranscriptionProvider): here the host itself."""

    GOOGLE = "google"
    YANDEX = "yandex"
    TBANK = "tbank"


class URLPlayerRequestMethod(metaclass=Namespace):
    """How ``create_url_player`` asks for a file (VoxEngine: URLPlayerRequestMethod)."""

    GET = "GET"
    POST = "POST"


class CallAudioQuality(metaclass=Namespace):
    """What the history says of a call's audio (VoxEngine: CallAudioQuality)."""

    HD = "HD"
    STANDARD = "Standard"
