"""The frames of Gemini's Live API, a session of it without a socket. Pure.

Wire: Google, "Live API - WebSockets API reference" (BidiGenerateContent), and the types of its
client google-genai. JSON in either kind of frame; the service sends binary ones. Every message has
one field that says what it is: ``setupComplete``, ``serverContent``, ``toolCall``,
``toolCallCancellation``, ``goAway``, ``sessionResumptionUpdate``. Audio is 16-bit PCM, any rate in,
24 kHz out; there is no G.711. The model stops by itself when the caller speaks, and says so
(``interrupted``); it goes on by itself after the responses of tools.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from voxpy.audio.frame import pcm16
from voxpy.errors import RemoteProtocolError
from voxpy.realtime.turns import Fields, TurnWire
from voxpy.realtime.wire import Happening
from voxpy.text import json

INPUT = pcm16(16000)
OUTPUT = pcm16(24000)
_MIME = f"audio/pcm;rate={INPUT.rate_hz}"

_GENERATION = frozenset(
    "responseModalities temperature topP topK maxOutputTokens mediaResolution seed speechConfig "
    "enableAffectiveDialog thinkingConfig".split()
)
"""Fields of a connect config that stand below ``generationConfig`` in the setup message."""


def setup_message(model: str, config: Fields, tools: Sequence[Fields] = ()) -> dict[str, Any]:
    """Return the first message: a connect config, as Google's clients take it, in wire shape.

    ``tools`` are functions as Realtime sessions declare them. Audio is asked for and transcripts of
    both sides, unless the config says otherwise.
    """
    generation: dict[str, Any] = {"responseModalities": ["AUDIO"]}
    setup: dict[str, Any] = {"inputAudioTranscription": {}, "outputAudioTranscription": {}}
    for given, value in config.items():
        name = camel(given)
        if name == "generationConfig":
            generation.update(value)
        elif name in _GENERATION:
            generation[name] = value
        elif name == "systemInstruction" and isinstance(value, str):
            setup[name] = {"parts": [{"text": value}]}
        elif name != "httpOptions":
            setup[name] = value
    if tools:
        declared = [{n: v for n, v in tool.items() if n != "type"} for tool in tools]
        setup["tools"] = [*setup.get("tools", ()), {"functionDeclarations": declared}]
    present = {n: v for n, v in setup.items() if v is not None}
    return {"setup": {"model": model, "generationConfig": generation, **present}}


def camel(name: str) -> str:
    """Return ``turn_complete`` as ``turnComplete``: the service takes both."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


class GeminiWire(TurnWire):
    """Implements ``Wire``. ``handle`` resumes the session elsewhere; ``leaving``: it must."""

    def __init__(self) -> None:
        super().__init__(INPUT, OUTPUT)
        self.handle = ""
        self.leaving = False
        self._caller = ""

    def receive_binary(self, data: bytes) -> list[Happening]:
        """Take a frame: the service's are binary, and JSON all the same."""
        return self.receive(data.decode("utf-8", "replace"))

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's."""
        data = base64.b64encode(audio).decode()
        return orjson.dumps({"realtimeInput": {"audio": {"data": data, "mimeType": _MIME}}})

    def sends_content(self, content: Fields) -> None:
        """Note a ``clientContent``: one that ends a turn is answered."""
        if content.get("turnComplete", content.get("turn_complete", True)) is not False:
            self.asks()

    def sends_input(self, given: Fields) -> None:
        """Note a ``realtimeInput``: a text is answered like speech."""
        if given.get("text"):
            self.asks()

    def answers(self, given: Fields) -> None:
        """Note responses of tools that the scenario gave by itself."""
        for response in _objects(given.get("functionResponses", given.get("function_responses"))):
            self.answered(str(response.get("id")))

    def _output(self, call_id: str, name: str, output: str, silent: bool) -> Fields:
        response = json.loads(output)
        if not isinstance(response, dict):
            response = {"result": response}
        told: dict[str, Any] = {"id": call_id, "name": name, "response": response}
        if silent:
            told["scheduling"] = "SILENT"
        return {"toolResponse": {"functionResponses": [told]}}

    def _read(self, frame: dict[str, Any]) -> None:
        for name, value in frame.items():
            if not isinstance(value, dict):
                value = {}
            match name:
                case "setupComplete":
                    self._is_ready()
                case "serverContent":
                    value = self._content(value)
                    if not value:
                        continue  # audio alone is no event
                case "toolCall":
                    for call in _objects(value.get("functionCalls")):
                        self._calls_tool(
                            str(call.get("id")), str(call.get("name")), call.get("args") or {}
                        )
                case "toolCallCancellation":
                    for call_id in value.get("ids") or ():
                        self._calls.pop(str(call_id), None)
                case "goAway":
                    self.leaving = True
                case "sessionResumptionUpdate":
                    self.handle = str(value.get("newHandle") or "") or self.handle
            self._tell(name, value)

    def _content(self, content: dict[str, Any]) -> dict[str, Any]:
        """Take what the model says; return the content as scenarios see it, without audio."""
        told = dict(content)
        if isinstance(heard := content.get("inputTranscription"), dict):
            self._caller += str(heard.get("text") or "")
        spoken = content.get("outputTranscription")
        if isinstance(spoken, dict):
            self._words(str(spoken.get("text") or ""))
        turn = content.get("modelTurn")
        if isinstance(turn, dict):
            if self._caller.strip():
                self._caller_said(self._caller, answered=False)
                self._caller = ""
            parts = [part for part in _objects(turn.get("parts")) if not self._audio_of(part)]
            if parts:
                told["modelTurn"] = {**turn, "parts": parts}
            else:
                del told["modelTurn"]
        if content.get("interrupted"):
            self._cut()
        if content.get("turnComplete"):
            self._over()
        return told

    def _audio_of(self, part: Mapping[str, Any]) -> bool:
        data = part.get("inlineData")
        if not isinstance(data, dict) or not str(data.get("mimeType", "")).startswith("audio/"):
            return False
        try:
            self._sound(binascii.a2b_base64(str(data.get("data") or "")))
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError(f"audio is no base64: {error}") from error
        return True


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
