"""Voices for text as it comes, as the local agent has them: ElevenLabs, Cartesia, Inworld. Pure.

Each reads its client's messages into things to say, and writes audio as that service does; see
``voxpy.elevenlabs.tts``, ``voxpy.cartesia.tts`` and ``voxpy.inworld.tts`` for the sources.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from voxpy.localagent.services.dialect import Request


@attrs.frozen
class Speak:
    """Say this in that context; ``closes``: and be done with it."""

    text: str
    context: str = ""
    closes: bool = False


class SpeechFake:
    """Base: ``asked`` reads, ``audio`` and ``said`` write. The format is told in our names."""

    encoding, rate_hz = "pcm16", 24000

    def __init__(self, request: Request) -> None:
        self.request = request

    def asked(self, frame: Mapping[str, Any]) -> list[Speak]:
        raise NotImplementedError

    def audio(self, context: str, data: bytes) -> dict[str, Any]:
        raise NotImplementedError

    def said(self, speak: Speak) -> dict[str, Any] | None:
        """Return what ends a thing that was said, if anything does."""
        raise NotImplementedError


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class ElevenLabsSpeech(SpeechFake):
    """Text gathers until a sentence ends, or it is flushed."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        kind, _, rate = request.query.get("output_format", "pcm_16000").partition("_")
        self.encoding = "pcmu" if kind == "ulaw" else "pcm16"
        self.rate_hz = int(rate) if rate.isdecimal() else 16000
        self._text = ""

    def asked(self, frame: Mapping[str, Any]) -> list[Speak]:
        text = str(frame.get("text") or "")
        self._text += text
        ends = text == "" or frame.get("flush") or re.search(r"[.!?]\s*$", self._text)
        if not ends:
            return []
        said, self._text = self._text.strip(), ""
        found = [Speak(said)] if said else []
        return [*found, Speak("", closes=True)] if text == "" or frame.get("flush") else found

    def audio(self, context: str, data: bytes) -> dict[str, Any]:
        return {"audio": _base64(data), "isFinal": None, "alignment": None}

    def said(self, speak: Speak) -> dict[str, Any] | None:
        return {"audio": None, "isFinal": True} if speak.closes else None


class CartesiaSpeech(SpeechFake):
    """One request, one thing to say; ``continue`` keeps its context open."""

    def asked(self, frame: Mapping[str, Any]) -> list[Speak]:
        told = frame.get("output_format") or {}
        kind = told.get("encoding")
        self.encoding = {"pcm_mulaw": "pcmu", "pcm_alaw": "pcma"}.get(str(kind), "pcm16")
        self.rate_hz = told.get("sample_rate") or 24000
        if frame.get("cancel"):
            return []
        text = str(frame.get("transcript") or "")
        return [Speak(text, str(frame.get("context_id")), closes=not frame.get("continue"))]

    def audio(self, context: str, data: bytes) -> dict[str, Any]:
        told = {"type": "chunk", "data": _base64(data), "done": False, "status_code": 206}
        return {**told, "context_id": context}

    def said(self, speak: Speak) -> dict[str, Any] | None:
        done = {"type": "done", "done": True, "status_code": 200, "context_id": speak.context}
        return done if speak.closes else None


class InworldSpeech(SpeechFake):
    """A context is created, then given text."""

    def asked(self, frame: Mapping[str, Any]) -> list[Speak]:
        create = frame.get("create")
        if isinstance(create, dict):
            audio = create.get("audioConfig") or create.get("audio_config") or {}
            kind = audio.get("audioEncoding") or audio.get("audio_encoding")
            self.encoding = {"MULAW": "pcmu", "ALAW": "pcma"}.get(str(kind), "pcm16")
            self.rate_hz = audio.get("sampleRateHertz") or audio.get("sample_rate_hertz") or 24000
        context = str(frame.get("contextId") or frame.get("context_id") or "")
        send = frame.get("send_text") or frame.get("sendText")
        if isinstance(send, dict):
            flush = "flush_context" in send or "flushContext" in send
            return [Speak(str(send.get("text") or ""), context, closes=flush)]
        closes = any(n in frame for n in ("flush_context", "flushContext", "close_context"))
        return [Speak("", context, closes=True)] if closes else []

    def audio(self, context: str, data: bytes) -> dict[str, Any]:
        return {"result": {"contextId": context, "audioChunk": {"audioContent": _base64(data)}}}

    def said(self, speak: Speak) -> dict[str, Any] | None:
        told = {"result": {"contextId": speak.context, "flushCompleted": {}}}
        return told if speak.closes else None


SPEECH: Mapping[re.Pattern[str], Callable[[Request], SpeechFake]] = {
    re.compile("/v1/text-to-speech/[^/]+/stream-input"): ElevenLabsSpeech,
    re.compile("/tts/websocket"): CartesiaSpeech,
    re.compile("/tts/v1/voice:streamBidirectional"): InworldSpeech,
}


def speech_fake(request: Request) -> SpeechFake | None:
    """Return the voice that a request means, if it means one."""
    made = next((make for path, make in SPEECH.items() if path.fullmatch(request.path)), None)
    return None if made is None else made(request)
