"""What VoxEngine has and voxpy does not mean to have, with the reason: asked for, it says why.

``from voxpy import AI`` raises NotSupported with these words; a name that is nobody's is misspelt.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ABSENT", "MODULES", "why_absent"]

_DIALOGFLOW = (
    "Google's Dialogflow works in Voximplant's cloud alone; a realtime agent (Inworld, OpenAI, "
    "Gemini, …) takes its place, AMD that of detect_voicemail"
)
_QUEUES = (
    "queues of Voximplant's contact centre are no part of voxpy; dial operators with call_user or "
    "call_sip, and bridge who answers"
)
_VIDEO = "voxpy carries audio, no video"
_CLOUD = "it steers Voximplant's own cloud; this host has its own management API (docs/api.md)"

ABSENT: Mapping[str, str] = {
    "ACDEvents": _QUEUES,
    "ACDRequest": _QUEUES,
    "AI": _DIALOGFLOW,
    "CCAI": _DIALOGFLOW,
    "ConferenceDirection": _VIDEO,
    "ConferenceMode": _VIDEO,
    "ConferenceRecorder": _VIDEO,
    "DialogflowLanguage": _DIALOGFLOW,
    "DialogflowModel": _DIALOGFLOW,
    "DialogflowModelVariant": _DIALOGFLOW,
    "DialogflowSsmlVoiceGender": _DIALOGFLOW,
    "Endpoint": _VIDEO,
    "Google": (
        "Google's streaming voices speak gRPC, which voxpy has not; use the realtime TTS player of "
        "ElevenLabs, Cartesia or Inworld (its voice agent is Gemini)"
    ),
    "MeasurementProtocol": "Google has ended it; send to its successor by Net.http_request_async",
    "PushService": "Voximplant's push messages need its own apps",
    "RecorderDirection": _VIDEO,
    "RecorderLabelFont": _VIDEO,
    "RecorderLabelPosition": _VIDEO,
    "RecorderLabelTextAlign": _VIDEO,
    "RecorderLayout": _VIDEO,
    "RecorderObjectFit": _VIDEO,
    "RecorderProfile": _VIDEO,
    "SmartQueueEvents": _QUEUES,
    "SmartQueueOperatorSettingsMode": _QUEUES,
    "SmartQueueTask": _QUEUES,
    "StreamingAgent": _VIDEO,
    "StreamingAgentEvents": _VIDEO,
    "TaskWaitingCode": _QUEUES,
    "TerminationStatus": _QUEUES,
    "XAI": (
        "xAI documents no streaming wire of its voices; use the realtime TTS player of ElevenLabs, "
        "Cartesia or Inworld (its voice agent is Grok)"
    ),
    "VoxTTS": "Voximplant's own voices speak in its cloud alone; use create_tts_player",
    "VoxTTSModelList": "Voximplant's own voices speak in its cloud alone; use create_tts_player",
    "VoxTTSVoiceList": "Voximplant's own voices speak in its cloud alone; use create_tts_player",
    "VoximplantAPI": _CLOUD,
    "VoximplantAvatar": (
        "Voximplant's Avatar works in its cloud alone; a realtime agent takes its place"
    ),
}
"""Names at the root of VoxEngine."""


MODULES: Mapping[str, str] = {
    "acd": "ACDRequest",
    "ai": "AI",
    "avatar": "VoximplantAvatar",
    "pushservice": "PushService",
    "smartqueue": "SmartQueueTask",
    "streamingagent": "StreamingAgent",
    "google": "Google",
    "xai": "XAI",
    "voximplantapi": "VoximplantAPI",
    "voxtts": "VoxTTS",
}
"""What ``require`` is asked for, and the name whose reason holds for it."""


def why_absent(name: str) -> str | None:
    """Return the sentence that says why ``name`` is not here, None for other names."""
    reason = ABSENT.get(name)
    return f"{name} is part of VoxEngine, but not of voxpy: {reason}" if reason else None
