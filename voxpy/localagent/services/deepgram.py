"""Deepgram's Voice Agent, as the local agent speaks it: see ``voxpy.deepgram.wire``."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from voxpy.localagent.services.dialect import (
    POLICY_VIOLATION,
    Dialect,
    Fake,
    Request,
    decoded,
    needs_key,
)

_ENCODINGS = {"mulaw": "audio/pcmu", "alaw": "audio/pcma", "linear16": "audio/pcm"}


class DeepgramDialect(Dialect):
    """One conversation."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._applied = False
        self._settings: Mapping[str, Any] = {}
        self._calls: set[str] = set()
        self._prompt = ""

    def opened(self) -> None:
        self.tell({"type": "Welcome", "request_id": self.new_id("request")})

    def heard(self, audio: bytes) -> None:
        """Take the caller's audio."""
        if self._applied:
            self.append(base64.b64encode(audio).decode())

    def malformed(self, why: str) -> None:
        self._error(f"Error parsing client message: {why}", "UNPARSABLE_CLIENT_MESSAGE")

    def asked(self, frame: Mapping[str, Any]) -> None:
        kind = frame.get("type")
        if kind == "KeepAlive":
            return
        if not self._applied and kind != "Settings":
            self._error("the first message must be Settings", "BAD_REQUEST")
            return
        match kind:
            case "Settings" if not self._applied:
                self._apply(frame)
            case "UpdatePrompt":
                self._prompt = f"{self._prompt}\n{frame.get('prompt') or ''}".strip()
                self.ask_session(instructions=self._prompt)
                self.tell({"type": "PromptUpdated"})
            case "UpdateSpeak":
                self.tell({"type": "SpeakUpdated"})
            case "InjectAgentMessage":
                self.ask_verbatim(str(frame.get("message") or ""))
            case "InjectUserMessage":
                self.ask_message(str(frame.get("content") or ""))
                self.ask("response.create")
            case "FunctionCallResponse":
                self._calls.discard(str(frame.get("id")))
                self.ask_output(str(frame.get("id")), frame.get("content"))
                if not self._calls:
                    self.ask("response.create")
            case _:
                self._error(f"unknown message {kind!r}", "UNPARSABLE_CLIENT_MESSAGE")

    def told(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "session.updated" if not self._applied:
                self._applied = True
                self.tell({"type": "SettingsApplied"})
                if greeting := (self._settings.get("agent") or {}).get("greeting"):
                    self.ask_verbatim(str(greeting))
            case "input_audio_buffer.speech_started":
                self.tell({"type": "UserStartedSpeaking"})
            case "conversation.item.input_audio_transcription.completed":
                self._text("user", event["transcript"])
            case "response.output_audio_transcript.delta":
                self._text("assistant", event["delta"])
            case "response.output_audio.delta":
                self.tell(decoded(event["delta"]))
            case "response.done":
                self._done(event["response"])
            case "error":
                description = str(event["error"].get("message"))
                if self._applied:  # what leaves the session open is a Warning here
                    code = str(event["error"].get("code") or "unknown").upper()
                    self.tell({"type": "Warning", "description": description, "code": code})
                else:
                    self._error(description, "INVALID_SETTINGS")

    def _done(self, response: Mapping[str, Any]) -> None:
        calls = [i for i in response.get("output") or () if i.get("type") == "function_call"]
        if calls and response["status"] == "completed":
            self._calls.update(call["call_id"] for call in calls)
            functions = [
                {
                    "id": call["call_id"],
                    "name": call["name"],
                    "arguments": call["arguments"],
                    "client_side": True,
                }
                for call in calls
            ]
            self.tell({"type": "FunctionCallRequest", "functions": functions})
        elif response["status"] != "cancelled":
            self.tell({"type": "AgentAudioDone"})

    def _apply(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        audio = settings.get("audio") or {}
        agent = settings.get("agent") or {}
        if not isinstance(agent, dict):
            agent = {}
        think = agent.get("think") or {}
        self._prompt = str(think.get("prompt") or "")
        self.ask_session(
            instructions=self._prompt,
            output_modalities=["audio"],
            tools=[{"type": "function", **f} for f in think.get("functions") or ()],
            audio={
                "input": {
                    "format": _format(audio.get("input"), 16000),
                    "transcription": {"model": "gpt-4o-transcribe"},
                    "turn_detection": {"type": "server_vad"},
                },
                "output": {"format": _format(audio.get("output"), 24000)},
            },
        )

    def _text(self, role: str, content: str) -> None:
        self.tell({"type": "ConversationText", "role": role, "content": content})
        self.tell({"type": "History", "role": role, "content": content})

    def _error(self, description: str, code: str) -> None:
        """Say what is wrong and leave: an Error of this service's is the end of its session."""
        self.tell({"type": "Error", "description": description, "code": code})
        self.close(POLICY_VIOLATION, code)


def _format(told: Any, rate_hz: int) -> dict[str, Any]:
    given = told if isinstance(told, dict) else {}
    kind = _ENCODINGS.get(str(given.get("encoding", "linear16")), "audio/unknown")
    if kind != "audio/pcm":
        return {"type": kind}
    return {"type": kind, "rate": given.get("sample_rate") or rate_hz}


FAKE = Fake(
    name="deepgram",
    path=re.compile("/v1/agent/converse"),
    address="/v1/agent/converse",
    example="Deepgram.create_voice_agent_client(url='ws://{where}/v1/agent/converse')",
    refuse=needs_key("authorization", "sec-websocket-protocol"),
    dialect=DeepgramDialect,
)
