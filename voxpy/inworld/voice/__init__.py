"""``RealtimeVoice``: a voice agent for any Python program, without a call and without a session."""

from __future__ import annotations

from voxpy.inworld.voice.audio import AudioStream
from voxpy.inworld.voice.events import VoiceEvents
from voxpy.inworld.voice.voice import RealtimeVoice

__all__ = ["AudioStream", "RealtimeVoice", "VoiceEvents"]
