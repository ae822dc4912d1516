"""Gemini's Live API, as the local agent speaks it: see ``voxpy.gemini.wire`` for the source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from voxpy.localagent.services.dialect import (
    INVALID_PAYLOAD,
    Dialect,
    Fake,
    Request,
    needs_key,
)

INPUT_HZ = 16000
_RATE = re.compile(r"rate=(\d+)")


class GeminiDialect(Dialect):
    """One session. Keys may be written ``like_this`` or ``likeThis``, as with the service."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._set_up = False
        self._rate_hz = INPUT_HZ
        self._open = False  # a turn that is not complete
        self._calls: dict[str, str] = {}
        self._speaks = False
        self._resumes = False

    def heard(self, audio: bytes) -> None:
        """Take a binary frame: clients may put the JSON into one."""
        self.receive(audio.decode("utf-8", "replace"))

    def asked(self, frame: Mapping[str, Any]) -> None:
        message = _camelled(frame)
        if not self._set_up:
            if isinstance(message.get("setup"), dict):
                self._setup(message["setup"])
            else:
                self.close(INVALID_PAYLOAD, "the first message must be setup")
        elif "realtimeInput" in message:
            self._input(message["realtimeInput"])
        elif "clientContent" in message:
            self._content(message["clientContent"])
        elif "toolResponse" in message:
            for response in message["toolResponse"].get("functionResponses") or ():
                if self._calls.pop(str(response.get("id")), None) is not None:
                    self.ask_output(str(response["id"]), response.get("response"))
            if not self._calls:
                self.ask("response.create")
        else:
            self.close(INVALID_PAYLOAD, f"unknown message: {', '.join(message)}"[:120])

    def told(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "session.updated" if not self._set_up:
                self._set_up = True
                self._tell(setupComplete={})
                if self._resumes:
                    handle = {"newHandle": self.new_id("handle"), "resumable": True}
                    self._tell(sessionResumptionUpdate=handle)
            case "response.output_audio.delta":
                self._speaks = True
                data = {"mimeType": "audio/pcm;rate=24000", "data": event["delta"]}
                self._turn({"inlineData": data})
            case "response.output_text.delta":
                self._speaks = True
                self._turn({"text": event["delta"]})
            case "response.output_audio_transcript.delta":
                self._say(outputTranscription={"text": event["delta"]})
            case "conversation.item.input_audio_transcription.completed":
                self._say(inputTranscription={"text": event["transcript"]})
            case "output_audio_buffer.cleared" if self._speaks:
                self._speaks = False
                self._say(interrupted=True)
                if self._open:
                    self._open = False
                    self._say(turnComplete=True)
            case "response.created":
                self._open = True
            case "response.done":
                self._done(event["response"])
            case "error":
                self.close(INVALID_PAYLOAD, str(event["error"].get("message"))[:120])

    def _done(self, response: Mapping[str, Any]) -> None:
        calls = [i for i in response.get("output") or () if i.get("type") == "function_call"]
        if calls and response["status"] == "completed":
            self._calls.update({call["call_id"]: call["name"] for call in calls})
            asked = [
                {"id": c["call_id"], "name": c["name"], "args": _object(c["arguments"])}
                for c in calls
            ]
            self._tell(toolCall={"functionCalls": asked})
        elif response["status"] != "cancelled":
            self._open = False
            self._say(generationComplete=True)
            self._say(turnComplete=True)

    def _setup(self, setup: Mapping[str, Any]) -> None:
        generation = setup.get("generationConfig") or {}
        wanted = [str(kind).lower() for kind in generation.get("responseModalities") or ["audio"]]
        detection = (setup.get("realtimeInputConfig") or {}).get("automaticActivityDetection") or {}
        manual = bool(detection.get("disabled"))
        silence_ms = detection.get("silenceDurationMs") or 500
        self._resumes = setup.get("sessionResumption") is not None
        self.ask_session(
            instructions=_text(setup.get("systemInstruction")),
            output_modalities=["audio" if "audio" in wanted else "text"],
            tools=_functions(setup.get("tools")),
            audio={
                "input": {
                    "format": {"type": "audio/pcm", "rate": self._rate_hz},
                    "transcription": {"model": "gpt-4o-transcribe"},
                    "turn_detection": None
                    if manual
                    else {"type": "server_vad", "silence_duration_ms": silence_ms},
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}},
            },
        )

    def _input(self, given: Mapping[str, Any]) -> None:
        chunks = [given.get("audio"), given.get("media"), *(given.get("mediaChunks") or ())]
        for chunk in chunks:
            if isinstance(chunk, dict) and str(chunk.get("mimeType", "")).startswith("audio/"):
                self._hear(chunk)
        if given.get("text"):
            self.ask_message(str(given["text"]))
            self.ask("response.create")
        if "activityStart" in given:
            self.ask("response.cancel")
        if "activityEnd" in given:
            self.ask("input_audio_buffer.commit")
            self.ask("response.create")

    def _hear(self, chunk: Mapping[str, Any]) -> None:
        found = _RATE.search(str(chunk["mimeType"]))
        rate_hz = int(found[1]) if found else INPUT_HZ
        if rate_hz != self._rate_hz:
            self._rate_hz = rate_hz
            self.ask_session(audio={"input": {"format": {"type": "audio/pcm", "rate": rate_hz}}})
        self.append(str(chunk.get("data") or ""))

    def _content(self, content: Mapping[str, Any]) -> None:
        for turn in content.get("turns") or ():
            role = "assistant" if turn.get("role") == "model" else "user"
            self.ask_message(_text(turn), role)
        if content.get("turnComplete", True):
            self.ask("response.create")

    def _turn(self, part: Mapping[str, Any]) -> None:
        self._say(modelTurn={"role": "model", "parts": [part]})

    def _say(self, **content: Any) -> None:
        self._tell(serverContent=content)

    def _tell(self, **message: Any) -> None:
        self.tell(orjson.dumps(message))  # binary, as the service sends it


def _camelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_camelled(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    kept = ("args", "response", "properties", "parameters", "parametersJsonSchema")
    return {
        _camel(name): each if _camel(name) in kept else _camelled(each)
        for name, each in value.items()
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _text(content: Any) -> str:
    if not isinstance(content, dict):
        return str(content or "")
    return " ".join(str(p["text"]) for p in content.get("parts") or () if p.get("text"))


def _functions(tools: Any) -> list[dict[str, Any]]:
    declared = [f for tool in tools or () for f in tool.get("functionDeclarations") or ()]
    return [
        {
            "type": "function",
            "name": f.get("name"),
            "description": f.get("description"),
            "parameters": _lower(f.get("parameters") or f.get("parametersJsonSchema")),
        }
        for f in declared
    ]


def _lower(schema: Any) -> Any:
    """Return a schema in JSON schema's spelling: Google's types are ``STRING``, ``OBJECT`` ..."""
    if isinstance(schema, list):
        return [_lower(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    lowered = {name: _lower(value) for name, value in schema.items()}
    if isinstance(lowered.get("type"), str):
        lowered["type"] = lowered["type"].lower()
    return lowered


def _object(arguments: str) -> Any:
    try:
        found = orjson.loads(arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


FAKE = Fake(
    name="gemini",
    path=re.compile(
        r"/+ws/google\.(ai\.generativelanguage\.\w+\.GenerativeService\.BidiGenerateContent"
        r"(Constrained)?|cloud\.aiplatform\.\w+\.LlmBidiService/BidiGenerateContent)"
    ),
    address="/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
    example="voxpy run <scenario> --agent ws://{where} (google-genai speaks TLS alone: --tls-cert)",
    refuse=needs_key("x-goog-api-key", "key", "authorization", "access_token"),
    dialect=GeminiDialect,
)
