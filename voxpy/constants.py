"""Constants that scenarios pass along: how long to keep, who transcribes, how to fetch.

Most of them concern VoxEngine's cloud and change nothing here; the functions that take them say so.
"""

from __future__ import annotations

from voxpy.engine.events import Namespace, OpenNames

__all__ = [
    "CallAudioQuality",
    "RecordExpireTime",
    "TTSEffectsProfile",
    "TranscriptionProvider",
    "URLPlayerRequestMethod",
]


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
