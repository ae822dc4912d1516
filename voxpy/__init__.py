"""Call scenarios in Python: the vocabulary, re-exported; nothing else.

Names are imported when they are first used, so that ``voxpy --help`` and test collection do not
pay for the media engine; type checkers see ordinary imports.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxpy.amd import AMD
    from voxpy.asr import ASREvents, ASRModelList, ASRProfileList
    from voxpy.call import Call, DTMFType
    from voxpy.conferences import Conference, ConferenceEvents
    from voxpy.events import AppEvents, CallEvents, WatchdogEvents
    from voxpy.grok import Grok
    from voxpy.inworld import Inworld
    from voxpy.logger import Logger
    from voxpy.modules import Modules, require
    from voxpy.net import Net
    from voxpy.openai import OpenAI
    from voxpy.players.events import PlayerEvents, SequencePlayerEvents
    from voxpy.players.player import Player, SequencePlayer, TTSPlayerSegment, URLPlayerSegment
    from voxpy.recording import Recorder, RecorderEvents
    from voxpy.silero import Silero
    from voxpy.timers import clear_interval, clear_timeout, set_interval, set_timeout
    from voxpy.voxengine import VoxEngine, send_media_between
    from voxpy.websocket import (
        WebSocket,
        WebSocketAudioEncoding,
        WebSocketCloseCode,
        WebSocketEvents,
    )
    from voxpy.yandex import Yandex

__all__ = [
    "AMD",
    "ASREvents",
    "ASRModelList",
    "ASRProfileList",
    "AppEvents",
    "Call",
    "CallEvents",
    "Conference",
    "ConferenceEvents",
    "DTMFType",
    "Grok",
    "Inworld",
    "Logger",
    "Modules",
    "Net",
    "OpenAI",
    "Player",
    "PlayerEvents",
    "Recorder",
    "RecorderEvents",
    "SequencePlayer",
    "SequencePlayerEvents",
    "Silero",
    "TTSPlayerSegment",
    "URLPlayerSegment",
    "VoxEngine",
    "WatchdogEvents",
    "WebSocket",
    "WebSocketAudioEncoding",
    "WebSocketCloseCode",
    "WebSocketEvents",
    "Yandex",
    "clear_interval",
    "clear_timeout",
    "require",
    "send_media_between",
    "set_interval",
    "set_timeout",
]

_HOMES = {
    "AMD": "amd",
    "ASREvents": "asr",
    "ASRModelList": "asr",
    "ASRProfileList": "asr",
    "AppEvents": "events",
    "Call": "call",
    "CallEvents": "events",
    "Conference": "conferences",
    "ConferenceEvents": "conferences",
    "DTMFType": "call",
    "Grok": "grok",
    "Inworld": "inworld",
    "Logger": "logger",
    "Modules": "modules",
    "Net": "net",
    "OpenAI": "openai",
    "Player": "players.player",
    "PlayerEvents": "players.events",
    "Recorder": "recording",
    "RecorderEvents": "recording",
    "SequencePlayer": "players.player",
    "SequencePlayerEvents": "players.events",
    "Silero": "silero",
    "TTSPlayerSegment": "players.player",
    "URLPlayerSegment": "players.player",
    "VoxEngine": "voxengine",
    "WatchdogEvents": "events",
    "WebSocket": "websocket",
    "WebSocketAudioEncoding": "websocket",
    "WebSocketCloseCode": "websocket",
    "WebSocketEvents": "websocket",
    "Yandex": "yandex",
    "clear_interval": "timers",
    "clear_timeout": "timers",
    "require": "modules",
    "send_media_between": "voxengine",
    "set_interval": "timers",
    "set_timeout": "timers",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        from voxpy.errors import UnknownName, nearest

        if name.startswith("__"):
            raise AttributeError(name)
        raise UnknownName(f"voxpy has no {name!r}{nearest(name, _HOMES)}")
    value = getattr(importlib.import_module(f"voxpy.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
