"""Which service a request means: by its address, and by what it says where several share one."""

from __future__ import annotations

import pytest

from voxpy.localagent.services import FAKES, asked_for
from voxpy.localagent.services.dialect import Request

BETA = {"OpenAI-Beta": "realtime=v1"}


@pytest.mark.parametrize(
    ("target", "headers", "default", "meant"),
    [
        ("/v1/realtime?model=m", {}, "inworld", "openai"),
        ("/v1/realtime?model=m", BETA, "inworld", "openai-beta"),
        ("/v1/realtime?model=grok-voice-latest", {}, "inworld", "grok"),
        ("/v1/realtime?model=grok-voice-latest", BETA, "inworld", "grok"),
        ("/v1/realtime?model=grok-voice-latest", {}, "openai", "openai"),
        ("/v1/realtime?model=m", {}, "grok", "grok"),
        ("/v1/realtime/openai?model=m", {}, "grok", "yandex"),
        ("/agents/stream/a", {}, "openai", "cartesia"),
        ("/elsewhere", {}, "gemini", "gemini"),
    ],
)
def test_a_request_is_for_one_service(
    target: str, headers: dict[str, str], default: str, meant: str
) -> None:
    assert asked_for(Request(target, headers.items()), FAKES[default]).name == meant
