"""ElevenLabs' agents, as the local agent speaks them: see ``voxpy.elevenlabs.agents``.

An agent whose id ends with ``ulaw`` has mu-law at both sides, others 16-bit PCM at 16 kHz.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from voxpy.localagent.services.dialect import Dialect, Fake, Request, needs_key

PCM = {"type": "audio/pcm", "rate": 16000}
MULAW = {"type": "audio/pcmu"}
PING_CHARS = 85_000
"""Base64 of two seconds of PCM: pings come by what is heard, for lack of a clock."""


class ElevenLabsDialect(Dialect):
    """One conversation."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._mulaw = request.query.get("agent_id", "").endswith("ulaw")
        self._begun = False
        self._number = 0
        self._heard_chars = 0
        self._said = ""

    def opened(self) -> None:
        wire = MULAW if self._mulaw else PCM
        self.ask_session(
            output_modalities=["audio"],
            audio={
                "input": {
                    "format": wire,
                    "transcription": {"model": "gpt-4o-transcribe"},
                    "turn_detection": {"type": "server_vad"},
                },
                "output": {"format": wire},
            },
        )
        name = "ulaw_8000" if self._mulaw else "pcm_16000"
        self._tell(
            "conversation_initiation_metadata",
            "conversation_initiation_metadata_event",
            conversation_id=self.new_id("conv"),
            agent_output_audio_format=name,
            user_input_audio_format=name,
        )

    def asked(self, frame: Mapping[str, Any]) -> None:
        if "user_audio_chunk" in frame:
            self._begin({})
            self.append(str(frame["user_audio_chunk"]))
            self._heard_chars += len(str(frame["user_audio_chunk"]))
            if self._heard_chars > (PING_CHARS if not self._mulaw else PING_CHARS // 4):
                self._ping()
            return
        match frame.get("type"):
            case "conversation_initiation_client_data":
                self._begin(frame.get("conversation_config_override") or {})
            case "user_message":
                self.ask_message(str(frame.get("text") or ""))
                self.ask("response.create")
            case "contextual_update":
                self.ask_message(str(frame.get("text") or ""), "system")
            case "client_tool_result":
                self.ask_output(str(frame.get("tool_call_id")), frame.get("result"))
                self.ask("response.create")

    def told(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "response.output_audio.delta":
                self._number += 1
                audio = {"audio_base_64": event["delta"], "event_id": self._number}
                self._tell("audio", "audio_event", **audio)
            case "response.output_audio_transcript.done":
                self._said = event["transcript"]
                self._tell("agent_response", "agent_response_event", agent_response=self._said)
            case "conversation.item.input_audio_transcription.completed":
                words = {"user_transcript": event["transcript"]}
                self._tell("user_transcript", "user_transcription_event", **words)
            case "output_audio_buffer.cleared":
                number = {"event_id": self._number}
                self._tell("interruption", "interruption_event", **number)
            case "response.done":
                self._done(event["response"])

    def _done(self, response: Mapping[str, Any]) -> None:
        for item in response.get("output") or ():
            if item.get("type") == "function_call" and response["status"] == "completed":
                self._tell(
                    "client_tool_call",
                    "client_tool_call",
                    tool_name=item["name"],
                    tool_call_id=item["call_id"],
                    parameters=_object(item["arguments"]),
                )
        self._ping()
        self._ping()  # the second one has no audio before it: the turn is over

    def _begin(self, override: Mapping[str, Any]) -> None:
        if self._begun:
            return
        self._begun = True
        agent = override.get("agent") or {}
        prompt = (agent.get("prompt") or {}).get("prompt")
        if prompt:
            self.ask_session(instructions=str(prompt))
        if agent.get("first_message"):
            self.ask_verbatim(str(agent["first_message"]))
        else:
            self.ask("response.create")

    def _ping(self) -> None:
        self._heard_chars = 0
        self._tell("ping", "ping_event", event_id=int(self.new_id("ping")[5:]), ping_ms=20)

    def _tell(self, kind: str, inside: str, **fields: Any) -> None:
        self.tell({"type": kind, inside: fields})


def _object(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except ValueError:
        return {}


FAKE = Fake(
    name="elevenlabs",
    path=re.compile("/v1/convai/conversation"),
    address="/v1/convai/conversation?agent_id=<any>",
    example="ElevenLabs.create_agents_client(agent_id='any', base_url='ws://{where}')",
    refuse=needs_key("xi-api-key", "agent_id", "token", "conversation_signature"),
    dialect=ElevenLabsDialect,
)
