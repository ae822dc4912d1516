"""Call scenarios in Python: the vocabulary, re-exported; nothing else.

Names are imported when they are first used, so that ``voxpy --help`` and test collection do not
pay for the media engine; type checkers see ordinary imports.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxpy.amd import AMD
    from voxpy.applicationstorage import ApplicationStorage
    from voxpy.asr import ASR, ASREvents, ASRModelList, ASRProfileList
    from voxpy.call import Call, DTMFType
    from voxpy.calllist import CallList
    from voxpy.cartesia import Cartesia
    from voxpy.conferences import Conference, ConferenceEvents
    from voxpy.constants import (
        ASRDictionary,
        ASRLanguage,
        ASRModel,
        ASRProfile,
        CallAudioQuality,
        Language,
        RecordExpireTime,
        TranscriptionProvider,
        TTSEffectsProfile,
        URLPlayerRequestMethod,
        Voice,
        VoiceList,
    )
    from voxpy.deepgram import Deepgram
    from voxpy.elevenlabs import ElevenLabs
    from voxpy.events import AppEvents, CallEvents, WatchdogEvents
    from voxpy.functions import (
        Crypto,
        base64_decode,
        base64_encode,
        bytes2hex,
        bytes2str,
        get_local_time,
        hex2bytes,
        levenshtein_distance,
        str2bytes,
        trace,
        uuidgen,
    )
    from voxpy.gemini import Gemini
    from voxpy.grok import Grok
    from voxpy.inworld import Inworld
    from voxpy.ivr import IVR, IVRState
    from voxpy.logger import Logger
    from voxpy.mcp import MCP
    from voxpy.modules import Modules, require
    from voxpy.net import Net
    from voxpy.openai import OpenAI
    from voxpy.phonenumber import PhoneNumber
    from voxpy.pipecat import Pipecat
    from voxpy.players.events import PlayerEvents, SequencePlayerEvents
    from voxpy.players.player import (
        BasePlayer,
        Player,
        SequencePlayer,
        TTSPlayerSegment,
        URLPlayerSegment,
    )
    from voxpy.recording import Recorder, RecorderEvents
    from voxpy.silero import Silero
    from voxpy.timers import clear_interval, clear_timeout, set_interval, set_timeout
    from voxpy.ultravox import Ultravox
    from voxpy.voxengine import VoxEngine, send_media_between
    from voxpy.websocket import (
        WebSocket,
        WebSocketAudioEncoding,
        WebSocketCloseCode,
        WebSocketEvents,
        WebSocketReadyState,
    )
    from voxpy.yandex import Yandex

__all__ = [
    "AMD",
    "ASR",
    "IVR",
    "MCP",
    "ASRDictionary",
    "ASREvents",
    "ASRLanguage",
    "ASRModel",
    "ASRModelList",
    "ASRProfile",
    "ASRProfileList",
    "AppEvents",
    "ApplicationStorage",
    "BasePlayer",
    "Call",
    "CallAudioQuality",
    "CallEvents",
    "CallList",
    "Cartesia",
    "Conference",
    "ConferenceEvents",
    "Crypto",
    "DTMFType",
    "Deepgram",
    "ElevenLabs",
    "Gemini",
    "Grok",
    "IVRState",
    "Inworld",
    "Language",
    "Logger",
    "Modules",
    "Net",
    "OpenAI",
    "PhoneNumber",
    "Pipecat",
    "Player",
    "PlayerEvents",
    "RecordExpireTime",
    "Recorder",
    "RecorderEvents",
    "SequencePlayer",
    "SequencePlayerEvents",
    "Silero",
    "TTSEffectsProfile",
    "TTSPlayerSegment",
    "TranscriptionProvider",
    "URLPlayerRequestMethod",
    "URLPlayerSegment",
    "Ultravox",
    "Voice",
    "VoiceList",
    "VoxEngine",
    "WatchdogEvents",
    "WebSocket",
    "WebSocketAudioEncoding",
    "WebSocketCloseCode",
    "WebSocketEvents",
    "WebSocketReadyState",
    "Yandex",
    "base64_decode",
    "base64_encode",
    "bytes2hex",
    "bytes2str",
    "clear_interval",
    "clear_timeout",
    "get_local_time",
    "hex2bytes",
    "levenshtein_distance",
    "require",
    "send_media_between",
    "set_interval",
    "set_timeout",
    "str2bytes",
    "trace",
    "uuidgen",
]

_HOMES = {
    "Pipecat": "pipecat",
    "MCP": "mcp",
    "Cartesia": "cartesia",
    "Ultravox": "ultravox",
    "AMD": "amd",
    "ASR": "asr",
    "IVR": "ivr",
    "ASRDictionary": "constants",
    "ASREvents": "asr",
    "ASRLanguage": "constants",
    "ASRModel": "constants",
    "ASRModelList": "asr",
    "ASRProfile": "constants",
    "ASRProfileList": "asr",
    "AppEvents": "events",
    "ApplicationStorage": "applicationstorage",
    "BasePlayer": "players.player",
    "Call": "call",
    "CallAudioQuality": "constants",
    "CallEvents": "events",
    "CallList": "calllist",
    "Conference": "conferences",
    "ConferenceEvents": "conferences",
    "Crypto": "functions",
    "DTMFType": "call",
    "Deepgram": "deepgram",
    "ElevenLabs": "elevenlabs",
    "Gemini": "gemini",
    "Grok": "grok",
    "IVRState": "ivr",
    "Inworld": "inworld",
    "Language": "constants",
    "Logger": "logger",
    "Modules": "modules",
    "Net": "net",
    "OpenAI": "openai",
    "PhoneNumber": "phonenumber",
    "Player": "players.player",
    "PlayerEvents": "players.events",
    "RecordExpireTime": "constants",
    "Recorder": "recording",
    "RecorderEvents": "recording",
    "SequencePlayer": "players.player",
    "SequencePlayerEvents": "players.events",
    "Silero": "silero",
    "TTSEffectsProfile": "constants",
    "TTSPlayerSegment": "players.player",
    "TranscriptionProvider": "constants",
    "URLPlayerRequestMethod": "constants",
    "URLPlayerSegment": "players.player",
    "Voice": "constants",
    "VoiceList": "constants",
    "VoxEngine": "voxengine",
    "WatchdogEvents": "events",
    "WebSocket": "websocket",
    "WebSocketAudioEncoding": "websocket",
    "WebSocketCloseCode": "websocket",
    "WebSocketEvents": "websocket",
    "WebSocketReadyState": "websocket",
    "Yandex": "yandex",
    "base64_decode": "functions",
    "base64_encode": "functions",
    "bytes2hex": "functions",
    "bytes2str": "functions",
    "clear_interval": "timers",
    "clear_timeout": "timers",
    "get_local_time": "functions",
    "hex2bytes": "functions",
    "levenshtein_distance": "functions",
    "require": "modules",
    "send_media_between": "voxengine",
    "set_interval": "timers",
    "set_timeout": "timers",
    "str2bytes": "functions",
    "trace": "functions",
    "uuidgen": "functions",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        from voxpy.absent import why_absent
        from voxpy.errors import NotSupported, UnknownName, nearest

        if name.startswith("__"):
            raise AttributeError(name)
        absent = why_absent(name)
        if absent is not None:
            raise NotSupported(absent)
        raise UnknownName(f"voxpy has no {name!r}{nearest(name, _HOMES)}")
    value = getattr(importlib.import_module(f"voxpy.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
