"""Cartesia's agents, as the local agent speaks them: see ``voxpy.cartesia.agents``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from voxpy.localagent.services.dialect import (
    POLICY_VIOLATION,
    Dialect,
    Fake,
    Request,
    needs_key,
)


class CartesiaDialect(Dialect):
    """One conversation."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._start: Mapping[str, Any] | None = None
        self._stream_id = ""

    def asked(self, frame: Mapping[str, Any]) -> None:
        kind = frame.get("event")
        if self._start is None:
            if kind == "start":
                self._begin(frame)
            else:
                self.close(POLICY_VIOLATION, "the first event must be start")
            return
        match kind:
            case "media_input":
                media = frame.get("media")
                self.append(str(media.get("payload", "")) if isinstance(media, dict) else "")
            case "dtmf":
                self.ask_message(f"(The caller pressed {frame.get('dtmf')}.)")
                self.ask("response.create")
            case "custom":
                self.ask_message(str(frame.get("metadata")), "system")

    def told(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "session.updated":
                assert self._start is not None
                config = {"input_format": self._format}
                self._event("ack", config=config)
                self._introduce()
            case "response.output_audio.delta":
                self._event("media_output", media={"payload": event["delta"]})
            case "output_audio_buffer.cleared":
                self._event("clear")
            case "error":
                self.close(POLICY_VIOLATION, str(event["error"].get("message"))[:120])

    def _begin(self, start: Mapping[str, Any]) -> None:
        self._start = start
        self._stream_id = str(start.get("stream_id") or self.new_id("stream"))
        config = start.get("config") or {}
        self._format = str(config.get("input_format") or "pcm_44100")
        kind, _, rate = self._format.partition("_")
        mulaw = kind == "mulaw"
        wire = {"type": "audio/pcmu"} if mulaw else {"type": "audio/pcm", "rate": _whole(rate)}
        agent = start.get("agent") or {}
        self.ask_session(
            instructions=str(agent.get("system_prompt") or ""),
            output_modalities=["audio"],
            audio={
                "input": {"format": wire, "turn_detection": {"type": "server_vad"}},
                "output": {"format": wire},
            },
        )

    def _introduce(self) -> None:
        agent = (self._start or {}).get("agent") or {}
        if agent.get("introduction"):
            self.ask_verbatim(str(agent["introduction"]))
        else:
            self.ask("response.create")

    def _event(self, kind: str, **fields: Any) -> None:
        self.tell({"event": kind, "stream_id": self._stream_id, **fields})


def _whole(rate: str) -> int:
    return int(rate) if rate.isdecimal() else 0


FAKE = Fake(
    name="cartesia",
    path=re.compile("/agents/stream/[^/]+"),
    address="/agents/stream/<any>",
    example="Cartesia.create_agents_client(agent_id='any', url='ws://{where}')",
    refuse=needs_key("authorization", "access_token", "x-api-key"),
    dialect=CartesiaDialect,
)
