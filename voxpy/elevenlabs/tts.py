"""ElevenLabs' voices for text as it comes (VoxEngine: ElevenLabs.RealtimeTTSPlayer).

Wire: ElevenLabs, "Text to Speech WebSocket" (``/v1/text-to-speech/{voice_id}/stream-input``): the
first message has one blank as its text and the settings, an empty text ends the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from voxpy.elevenlabs.agents import ELEVENLABS, audio_format
from voxpy.errors import ScenarioError
from voxpy.realtime.tts import RealtimeTTSPlayer as Base
from voxpy.wire.realtime.endpoint import socket_url

DEFAULT_VOICE = "21m00Tcm4TlvDq8ikWAM"
Fields = Mapping[str, Any]


class RealtimeTTSPlayer(Base):
    """Made by ``ElevenLabs.create_realtime_tts_player``."""

    def __init__(
        self,
        text: str,
        path: Fields,
        query: Fields,
        opening: Fields,
        *,
        api_key: str | None,
        keep_alive: bool,
    ) -> None:
        self._voice_id = str(path.get("voice_id") or DEFAULT_VOICE)
        self._query = {"output_format": "pcm_16000", **{n: str(v) for n, v in query.items()}}
        fmt = audio_format(self._query["output_format"])
        if fmt is None:
            raise ScenarioError(f"output_format {self._query['output_format']!r} is not carried")
        super().__init__(
            "ElevenLabs.create_realtime_tts_player", ELEVENLABS, api_key=api_key, fmt=fmt
        )
        self._send({"text": " ", **opening})
        if text:
            self.append(text, end_of_turn=not keep_alive)

    def append(self, text: str, end_of_turn: bool = False) -> None:
        """Speak this too; ``end_of_turn``: and now, whatever follows."""
        self._send({"text": f"{text} ", "flush": True} if end_of_turn else {"text": f"{text} "})

    def send_text(self, parameters: Fields) -> None:
        """Send the service's own message: ``text``, ``flush``, ``voice_settings`` ..."""
        self._send(parameters)

    def _url(self, base: str) -> str:
        there = urlsplit(socket_url(base))
        voice = quote(self._voice_id, safe="")
        path = f"/v1/text-to-speech/{voice}/stream-input"
        return socket_url(urlunsplit(there._replace(path=path)), **self._query)

    def _read(self, frame: Fields) -> None:
        self._sound(frame.get("audio"))
        if frame.get("isFinal"):
            self._no_more()
        elif frame.get("error"):
            self._failed(str(frame.get("message") or frame["error"]))


def create_realtime_tts_player(
    text: str = "",
    *,
    path_parameters: Fields | None = None,
    query_parameters: Fields | None = None,
    headers: Fields | None = None,
    keep_alive: bool = False,
    initialize_connection_parameters: Fields | None = None,
) -> RealtimeTTSPlayer:
    """Return a player that speaks ``text``, and what ``append`` gives it later.

    path_parameters: ``voice_id``. query_parameters: ``model_id``, ``output_format`` (``pcm_16000``
        unless given; ``ulaw_8000`` passes through a phone line) ...
    headers: ``xi-api-key``.
    keep_alive: more will follow: do not speak the rest of a sentence before it does.
    initialize_connection_parameters: ``voice_settings``, ``generation_config`` ...

    Raises ScenarioError for a missing key. VoxEngine: ElevenLabs.createRealtimeTTSPlayer.
    """
    named = {name.lower(): str(value) for name, value in (headers or {}).items()}
    return RealtimeTTSPlayer(
        text,
        path_parameters or {},
        query_parameters or {},
        initialize_connection_parameters or {},
        api_key=named.get("xi-api-key"),
        keep_alive=keep_alive,
    )
