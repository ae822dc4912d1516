"""Cartesia's voices for text as it comes (VoxEngine: Cartesia.RealtimeTTSPlayer).

Wire: Cartesia, "Text to Speech (WebSocket)" (``/tts/websocket``): every request names its context;
``chunk`` messages have the audio, ``done`` ends a context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.cartesia.agents import CARTESIA, VERSION
from voxpy.errors import ScenarioError
from voxpy.realtime.tts import RealtimeTTSPlayer as Base
from voxpy.wire.realtime.endpoint import socket_url

DEFAULT: Mapping[str, Any] = {
    "model_id": "sonic-3",
    "voice": {"mode": "id", "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02"},
    "language": "en",
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
}
Fields = Mapping[str, Any]


class RealtimeTTSPlayer(Base):
    """Made by ``Cartesia.create_realtime_tts_player``."""

    def __init__(self, text: str, request: Fields, *, api_key: str | None) -> None:
        self._request = {**DEFAULT, **request}
        super().__init__(
            "Cartesia.create_realtime_tts_player",
            CARTESIA,
            api_key=api_key,
            fmt=_format(self._request["output_format"]),
        )
        self._contexts = 0
        if text:
            self.generation_request({"transcript": text})

    def generation_request(self, parameters: Fields) -> None:
        """Speak ``transcript``; what is not named is as the player was made with.

        ``continue``: more of the same ``context_id`` will follow.
        """
        given: Any = parameters
        if isinstance(given, Mapping):
            if "context_id" not in given:
                self._contexts += 1
            context = {"context_id": f"{self.id()}-{self._contexts}"}
            given = {**self._request, **context, **parameters}
        self._send(given)

    def cancel_context_request(self, parameters: Fields) -> None:
        """Give up a context: ``context_id``, the newest unless named."""
        context = {"context_id": f"{self.id()}-{self._contexts}"}
        self._send({**context, **parameters, "cancel": True})

    def _url(self, base: str) -> str:
        there = urlsplit(socket_url(base))
        where = urlunsplit(there._replace(path="/tts/websocket"))
        return socket_url(where, cartesia_version=VERSION)

    def _read(self, frame: Fields) -> None:
        match frame.get("type"):
            case "chunk":
                self._sound(frame.get("data"))
            case "done":
                self._no_more()
            case "error":
                self._failed(str(frame.get("error") or frame.get("message")))


def _format(told: Any) -> Format:
    given = told if isinstance(told, Mapping) else {}
    rate, kind = given.get("sample_rate"), given.get("encoding")
    if kind == "pcm_s16le" and isinstance(rate, int):
        return pcm16(rate)
    g711 = {"pcm_mulaw": PCMU, "pcm_alaw": PCMA}.get(str(kind))
    if g711 is None or rate != 8000:
        raise ScenarioError(f"output_format {told!r} is not carried: pcm_s16le, or G.711 at 8000")
    return g711


def create_realtime_tts_player(
    text: str = "",
    *,
    generation_request_parameters: Fields | None = None,
    api_key: str | None = None,
) -> RealtimeTTSPlayer:
    """Return a player that speaks ``text``, and what ``generation_request`` gives it later.

    generation_request_parameters: ``model_id``, ``voice``, ``language``, ``output_format``
        (``pcm_mulaw`` at 8000 passes through a phone line).

    Raises ScenarioError for a missing key. VoxEngine: Cartesia.createRealtimeTTSPlayer.
    """
    return RealtimeTTSPlayer(text, generation_request_parameters or {}, api_key=api_key)
