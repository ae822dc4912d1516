"""The frames of an Ultravox call over a WebSocket, without a socket. Pure.

Wire: Ultravox, "WebSocket Integration" and "Protocol & Data Messages". A call is created over HTTP
and joined at the address that the answer has. Audio is binary, 16-bit PCM at the rates of the call;
everything else is JSON with a ``type``. ``playback_clear_buffer`` is the barge-in; the state that
follows ``speaking`` ends a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.audio.frame import pcm16
from voxpy.realtime.turns import Fields, TurnWire
from voxpy.realtime.wire import Binary, Happening

RATE_HZ = 16000
BUFFER_MS = 30_000
"""What may wait on our side: the service then sends ahead of time, and says when to clear it."""


def call_body(body: Fields, tools: Sequence[Fields]) -> dict[str, Any]:
    """Return the request that creates a call: over a WebSocket, with these client tools."""
    medium = body.get("medium") or {
        "serverWebSocket": {
            "inputSampleRate": RATE_HZ,
            "outputSampleRate": RATE_HZ,
            "clientBufferSizeMs": BUFFER_MS,
        }
    }
    whole = {**body, "medium": medium}
    if tools:
        whole["selectedTools"] = [*body.get("selectedTools", ()), *map(_client_tool, tools)]
    return whole


def _client_tool(tool: Fields) -> dict[str, Any]:
    schema = tool.get("parameters") or {}
    required = schema.get("required") or ()
    return {
        "temporaryTool": {
            "modelToolName": tool.get("name"),
            "description": tool.get("description"),
            "dynamicParameters": [
                {
                    "name": name,
                    "location": "PARAMETER_LOCATION_BODY",
                    "schema": value,
                    "required": name in required,
                }
                for name, value in (schema.get("properties") or {}).items()
            ],
            "client": {},
        }
    }


def _rates(body: Fields) -> tuple[int, int]:
    """Return the rates in and out of a call that was created with ``body``."""
    medium = body.get("medium")
    socket = medium.get("serverWebSocket") if isinstance(medium, Mapping) else None
    told = socket if isinstance(socket, Mapping) else {}
    rate_in = int(told.get("inputSampleRate") or RATE_HZ)
    return rate_in, int(told.get("outputSampleRate") or rate_in)


class UltravoxWire(TurnWire):
    """Implements ``Wire``, of a call that was created with ``body``."""

    def __init__(self, body: Fields) -> None:
        super().__init__(*map(pcm16, _rates(body)))
        first = body.get("firstSpeakerSettings") or {}
        self._greets = "user" not in first and body.get("firstSpeaker") != "FIRST_SPEAKER_USER"
        self._tools: dict[str, str] = {}  # which kind of result a call wants

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's."""
        return Binary(audio)

    def receive_binary(self, data: bytes) -> list[Happening]:
        """Take audio of the agent's."""
        self._sound(data)
        return self._found()

    def _output(self, call_id: str, name: str, output: str, silent: bool) -> Fields:
        told = {
            "type": self._tools.pop(call_id, "client_tool_result"),
            "invocationId": call_id,
            "result": output,
        }
        return {**told, "agentReaction": "listens"} if silent else told

    def _read(self, frame: dict[str, Any]) -> None:
        kind = str(frame.get("type", ""))
        if not self.ready:
            self._is_ready()
            if self._greets:
                self.asks()
        match kind:
            case "state" if frame.get("state") != "speaking":
                self._over()
            case "transcript":
                self._transcript(frame)
            case "playback_clear_buffer":
                self._cut()
            case "client_tool_invocation" | "data_connection_tool_invocation":
                call_id = str(frame.get("invocationId"))
                self._tools[call_id] = kind.replace("invocation", "result")
                self._calls_tool(call_id, str(frame.get("toolName")), frame.get("parameters") or {})
        self._tell(kind, frame)

    def _transcript(self, frame: Fields) -> None:
        final = bool(frame.get("final"))
        if frame.get("role") == "user":
            if final and frame.get("medium") != "text":
                self._caller_said(str(frame.get("text") or ""))
        elif frame.get("text"):
            self._words(str(frame["text"]), whole=True)
        elif frame.get("delta"):
            self._words(str(frame["delta"]))
