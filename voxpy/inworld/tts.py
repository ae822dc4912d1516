"""Inworld's voices for text as it comes (VoxEngine: Inworld.RealtimeTTSPlayer).

Wire: Inworld, "Synthesize speech over WebSocket" (``/tts/v1/voice:streamBidirectional``): a context
is created, given text, flushed and closed; what comes back stands below ``result``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.errors import ScenarioError
from voxpy.realtime.tts import RealtimeTTSPlayer as Base
from voxpy.wire.realtime.endpoint import socket_url

if TYPE_CHECKING:
    from voxpy.realtime.service import Service

CREATE: Mapping[str, Any] = {"modelId": "inworld-tts-1.5-max", "voiceId": "Ashley"}
AUDIO = {"audioEncoding": "LINEAR16", "sampleRateHertz": 24000}
CONTEXT = "context-1"
Fields = Mapping[str, Any]


class RealtimeTTSPlayer(Base):
    """Made by ``Inworld.create_realtime_tts_player``."""

    def __init__(self, service: Service, context: Fields, *, api_key: str | None) -> None:
        create = {**CREATE, **context.get("create", {})}
        audio = create.get("audioConfig") or create.get("audio_config") or AUDIO
        fmt = _format(audio)
        super().__init__("Inworld.create_realtime_tts_player", service, api_key=api_key, fmt=fmt)
        self._context = str(context.get("contextId") or context.get("context_id") or CONTEXT)
        self.send({**context, "create": {**create, "audioConfig": audio}})

    def send(self, parameters: Fields) -> None:
        """Send the service's own message: ``{"send_text": {"text": …, "flush_context": {}}}``."""
        given: Any = parameters
        if isinstance(given, Mapping) and not {"context_id", "contextId"} & set(given):
            given = {"contextId": self._context, **parameters}
        self._send(given)

    def _url(self, base: str) -> str:
        there = urlsplit(socket_url(base))
        return urlunsplit(there._replace(path="/tts/v1/voice:streamBidirectional", query=""))

    def _read(self, frame: Fields) -> None:
        result = frame.get("result")
        told = result if isinstance(result, Mapping) else frame
        chunk = told.get("audioChunk")
        if isinstance(chunk, Mapping):
            self._sound(chunk.get("audioContent"))
        if "flushCompleted" in told or "contextClosed" in told:
            self._no_more()
        status = told.get("status") or frame.get("error")
        if isinstance(status, Mapping) and status.get("code"):
            self._failed(str(status.get("message") or status["code"]))


def _format(audio: Any) -> Format:
    given = audio if isinstance(audio, Mapping) else {}
    kind = str(given.get("audioEncoding") or given.get("audio_encoding") or "LINEAR16")
    rate = given.get("sampleRateHertz") or given.get("sample_rate_hertz") or 24000
    if kind in ("MULAW", "ALAW"):
        return PCMU if kind == "MULAW" else PCMA
    if kind not in ("LINEAR16", "PCM"):
        raise ScenarioError(f"audioEncoding {kind!r} is not carried: LINEAR16, MULAW or ALAW")
    return pcm16(int(rate))
