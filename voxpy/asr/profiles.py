"""``ASRProfileList`` and ``ASRModelList``: names that scenarios pass to ``create_asr``.

VoxEngine has some hundreds of each, one for every language of every provider. Here the engines of
the host recognise, whatever the provider is called, so the lists are open: any language and any
model of the providers can be named, and the language is what counts.
"""

from __future__ import annotations

import re

from voxpy.engine.events import Namespace, OpenName

_TAG = re.compile(r"(?<![A-Za-z])([a-z]{2,3})(?:[-_]([A-Za-z]{2}|\d{3}))?$")


class ASRProfileList(metaclass=Namespace):
    """``ASRProfileList.Google.en_US`` and so on (VoxEngine: ASRProfileList)."""

    Amazon = OpenName("Amazon")
    Deepgram = OpenName("Deepgram")
    Google = OpenName("Google")
    Microsoft = OpenName("Microsoft")
    SaluteSpeech = OpenName("SaluteSpeech")
    TBank = OpenName("TBank")
    Yandex = OpenName("Yandex")
    YandexV3 = OpenName("YandexV3")


class ASRModelList(metaclass=Namespace):
    """``ASRModelList.Google.phone_call`` and so on (VoxEngine: ASRModelList)."""

    Amazon = OpenName("Amazon")
    Deepgram = OpenName("Deepgram")
    Google = OpenName("Google")
    Microsoft = OpenName("Microsoft")
    SaluteSpeech = OpenName("SaluteSpeech")
    TBank = OpenName("TBank")
    Yandex = OpenName("Yandex")
    YandexV3 = OpenName("YandexV3")


def language_of(profile: str) -> str | None:
    """Return the language at the end of a profile as a BCP 47 tag, or None if there is none.

    ``"en"``, ``"en-US"``, ``"Google:en_US"`` and ``"deepgram/en-us"`` all have one.
    """
    found = _TAG.search(profile)
    if found is None:
        return None
    language, region = found.groups()
    return f"{language}-{region.upper()}" if region else language
