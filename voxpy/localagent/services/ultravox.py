"""Ultravox's calls, as the local agent speaks them: see ``voxpy.ultravox.wire``.

What a call was created with travels in the address that is joined, so that nothing is kept between
the request and the socket.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import orjson

from voxpy.localagent.services.dialect import Dialect, Fake, Request, decoded
from voxpy.text import json
from voxpy.wire.realtime.endpoint import Refusal

CREATES = re.compile(r"/api(/agents/[^/]+)?/calls/?")
JOINS = "/calls/{number}/server_web_socket"


def created(body: Mapping[str, Any], host: str, number: int, *, secure: bool) -> dict[str, Any]:
    """Return what the service answers to the request that creates a call."""
    kept = base64.urlsafe_b64encode(orjson.dumps(body)).decode()
    where = f"ws{'s' if secure else ''}://{host}{JOINS.format(number=number)}"
    return {"callId": f"call-{number}", "joinUrl": f"{where}?call={kept}", **body}


class UltravoxDialect(Dialect):
    """One call."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._body = _object(request.query.get("call", ""))
        self._set_up = False
        self._ordinal = 0
        self._calls: set[str] = set()
        self._state = ""

    def opened(self) -> None:
        self.tell({"type": "call_started", "callId": self.new_id("call")})
        socket = (self._body.get("medium") or {}).get("serverWebSocket") or {}
        rate_in = socket.get("inputSampleRate") or 48000
        rate_out = socket.get("outputSampleRate") or rate_in
        self.ask_session(
            instructions=str(self._body.get("systemPrompt") or ""),
            output_modalities=["audio"],
            tools=[_function(tool) for tool in self._body.get("selectedTools") or ()],
            audio={
                "input": {
                    "format": {"type": "audio/pcm", "rate": rate_in},
                    "transcription": {"model": "gpt-4o-transcribe"},
                    "turn_detection": {"type": "server_vad"},
                },
                "output": {"format": {"type": "audio/pcm", "rate": rate_out}},
            },
        )

    def heard(self, audio: bytes) -> None:
        """Take the caller's audio."""
        self.append(base64.b64encode(audio).decode())

    def asked(self, frame: Mapping[str, Any]) -> None:
        match frame.get("type"):
            case "input_text_message" | "user_text_message":
                self.ask_message(str(frame.get("text") or ""))
                if not frame.get("deferResponse") and frame.get("urgency") != "later":
                    self.ask("response.create")
            case "client_tool_result" | "data_connection_tool_result":
                call_id = str(frame.get("invocationId"))
                self._calls.discard(call_id)
                self.ask_output(call_id, frame.get("result"))
                if not self._calls and frame.get("agentReaction") != "listens":
                    self.ask("response.create")
            case "forced_agent_message":
                self.ask_verbatim(str(frame.get("content") or ""))
            case "set_output_medium":
                kind = "audio" if frame.get("medium") == "voice" else "text"
                self.ask_session(output_modalities=[kind])
            case "hang_up":
                self.close(1000, "call ended")
            case "ping":
                self.tell({"type": "pong", "timestamp": frame.get("timestamp")})

    def told(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "session.updated" if not self._set_up:
                self._set_up = True
                self._is("listening")
                self._greet()
            case "response.created":
                self._is("thinking")
            case "response.output_audio_transcript.delta":
                self._transcript("agent", "voice", delta=event["delta"], final=False)
            case "response.output_audio_transcript.done":
                self._transcript("agent", "voice", text=event["transcript"], final=True)
                self._ordinal += 1
            case "response.output_text.done":
                self._transcript("agent", "text", text=event["text"], final=True)
                self._ordinal += 1
            case "conversation.item.input_audio_transcription.completed":
                self._transcript("user", "voice", text=event["transcript"], final=True)
                self._ordinal += 1
            case "response.output_audio.delta":
                self._is("speaking")
                self.tell(decoded(event["delta"]))
            case "output_audio_buffer.cleared":
                self.tell({"type": "playback_clear_buffer"})
            case "response.done":
                self._done(event["response"])

    def _done(self, response: Mapping[str, Any]) -> None:
        for item in response.get("output") or ():
            if item.get("type") == "function_call" and response["status"] == "completed":
                self._calls.add(item["call_id"])
                self.tell(
                    {
                        "type": "client_tool_invocation",
                        "toolName": item["name"],
                        "invocationId": item["call_id"],
                        "parameters": _object(item["arguments"]),
                    }
                )
        self._is("listening")

    def _greet(self) -> None:
        first = self._body.get("firstSpeakerSettings") or {}
        if "user" in first or self._body.get("firstSpeaker") == "FIRST_SPEAKER_USER":
            return
        if text := (first.get("agent") or {}).get("text"):
            self.ask_verbatim(str(text))
        else:
            self.ask("response.create")

    def _is(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self.tell({"type": "state", "state": state})

    def _transcript(self, role: str, medium: str, **fields: Any) -> None:
        told = {"type": "transcript", "role": role, "medium": medium, "ordinal": self._ordinal}
        self.tell({**told, **fields})


def _function(selected: Mapping[str, Any]) -> dict[str, Any]:
    tool = selected.get("temporaryTool") or {}
    parameters = tool.get("dynamicParameters") or ()
    return {
        "type": "function",
        "name": tool.get("modelToolName") or selected.get("toolName") or "tool",
        "description": tool.get("description"),
        "parameters": {
            "type": "object",
            "properties": {p["name"]: p.get("schema") or {} for p in parameters if "name" in p},
            "required": [p["name"] for p in parameters if p.get("required")],
        },
    }


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object: as it is, or in base64."""
    raw = text.encode() if text.startswith("{") else base64.urlsafe_b64decode(text + "===")
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _let_in(request: Request) -> Refusal | None:
    return None  # whoever knows the address may join


FAKE = Fake(
    name="ultravox",
    path=re.compile("/calls/[^/]+/server_web_socket"),
    address="/api/calls (POST), which answers with the address to join",
    example="Ultravox.create_web_socket_api_client(url='http://{where}')",
    refuse=_let_in,
    dialect=UltravoxDialect,
)
