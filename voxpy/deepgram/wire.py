"""The frames of Deepgram's Voice Agent API, a session of it without a socket. Pure.

Wire: Deepgram, "Voice Agent" WebSocket reference (``/v1/agent/converse``), and the message types of
its client for Python. The first thing the service says is ``Welcome``, the first thing it must hear
``Settings``; audio in both directions is binary, in the encodings that the settings name, mu-law
and A-law among them. ``UserStartedSpeaking`` is the barge-in, ``AgentAudioDone`` the end of a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.audio.frame import PCMA, PCMU, Format, pcm16
from voxpy.realtime.turns import Fields, TurnWire
from voxpy.realtime.wire import Binary, Failed, Happening

_FORMATS = {"mulaw": PCMU, "alaw": PCMA}
_G711 = {"pcmu": "mulaw", "pcma": "alaw"}
INPUT_HZ, OUTPUT_HZ = 16000, 24000


def settings_message(options: Fields, tools: Sequence[Fields], g711: str) -> dict[str, Any]:
    """Return the ``Settings``: audio is as the scenario wants it, else G.711 as ``g711``, else PCM.

    ``tools`` are functions as Realtime sessions declare them.
    """
    audio: dict[str, Any] = dict(options.get("audio") or {})
    name = _G711.get(g711)
    for side, rate in (("input", INPUT_HZ), ("output", OUTPUT_HZ)):
        wanted = {"encoding": name, "sample_rate": 8000} if name else None
        audio.setdefault(side, wanted or {"encoding": "linear16", "sample_rate": rate})
    audio["output"] = {"container": "none", **audio["output"]}
    agent: Any = options.get("agent") or {}
    if tools and isinstance(agent, Mapping):
        think = dict(agent.get("think") or {})
        declared = [{n: v for n, v in tool.items() if n != "type"} for tool in tools]
        think["functions"] = [*think.get("functions", ()), *declared]
        agent = {**agent, "think": think}
    return {"type": "Settings", **options, "audio": audio, "agent": agent}


class DeepgramWire(TurnWire):
    """Implements ``Wire``. ``settings`` answer the welcome."""

    def __init__(self) -> None:
        super().__init__(pcm16(INPUT_HZ), pcm16(OUTPUT_HZ))
        self.settings: Fields = {}

    def append(self, audio: bytes) -> bytes:
        """Return the frame with this audio of the caller's; none before the settings are taken."""
        return Binary(audio) if self.ready else b""

    def receive_binary(self, data: bytes) -> list[Happening]:
        """Take audio of the agent's."""
        self._sound(data)
        return self._found()

    def _output(self, call_id: str, name: str, output: str, silent: bool) -> Fields:
        return {"type": "FunctionCallResponse", "id": call_id, "name": name, "content": output}

    def _read(self, frame: dict[str, Any]) -> None:
        kind = str(frame.get("type", ""))
        match kind:
            case "Welcome":
                self._send(self.settings)
            case "SettingsApplied":
                self._adopt(self.settings.get("audio"))
            case "ConversationText":
                content = str(frame.get("content") or "")
                if frame.get("role") == "user":
                    self._caller_said(content)
                else:
                    said = self._texts.get(self._item)
                    self._words(f" {content}" if said else content)
            case "UserStartedSpeaking":
                self._cut()
            case "AgentAudioDone":
                self._over()
            case "FunctionCallRequest":
                for call in _functions(frame):
                    if call.get("client_side", True):
                        given = call.get("arguments") or "{}"
                        self._calls_tool(str(call.get("id")), str(call.get("name")), given)
            case "FunctionCallCancelled":
                for call in _functions(frame):
                    self._calls.pop(str(call.get("id")), None)
            case "Error":
                said = frame.get("description") or frame.get("message") or frame.get("code")
                self._means.append(Failed(f"reports an error: {said}"))
        self._tell(kind, frame)

    def _adopt(self, audio: Any) -> None:
        heard, said = _format(audio, "input"), _format(audio, "output")
        if heard is None or said is None:
            self._means.append(Failed(f"has audio that is not carried here: {audio}"))
            return
        self.input_format, self.output_format = heard, said
        self._is_ready()
        agent = self.settings.get("agent")
        if isinstance(agent, Mapping) and agent.get("greeting"):
            self.asks()


def _format(audio: Any, side: str) -> Format | None:
    told = audio.get(side) if isinstance(audio, Mapping) else None
    if not isinstance(told, Mapping):
        return None
    if told.get("encoding") == "linear16" and isinstance(told.get("sample_rate"), int):
        return pcm16(told["sample_rate"])
    return _FORMATS.get(str(told.get("encoding")))


def _functions(frame: Fields) -> list[Fields]:
    given = frame.get("functions")
    return [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []
