"""The official client of OpenAI's text APIs, unchanged, against the local agent's brain."""

from __future__ import annotations

import json

import pytest

from tests.conformance.conftest import Agent

openai = pytest.importorskip("openai", reason="voxpy[conformance] is not installed")

pytestmark = pytest.mark.slow
WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}
HELLO = [{"role": "user", "content": "hello"}]
QUESTION = [{"role": "user", "content": "how is the weather"}]


def test_chat_completions(openai_agent: Agent) -> None:
    with openai.OpenAI(
        api_key="any", base_url=f"http://127.0.0.1:{openai_agent.port}/v1"
    ) as client:
        whole = client.chat.completions.create(model="m", messages=HELLO)
        assert whole.choices[0].message.content == "You said hello"
        with client.chat.completions.stream(
            model="m", messages=QUESTION, tools=[{"type": "function", "function": WEATHER}]
        ) as stream:
            final = stream.get_final_completion()
        (call,) = final.choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == (
            "get_weather",
            {"city": "Oslo"},
        )


def test_responses(openai_agent: Agent) -> None:
    with openai.OpenAI(
        api_key="any", base_url=f"http://127.0.0.1:{openai_agent.port}/v1"
    ) as client:
        assert client.responses.create(model="m", input="hello").output_text == "You said hello"
        with client.responses.stream(
            model="m", input="how is the weather", tools=[{"type": "function", **WEATHER}]
        ) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        (call,) = final.output
        assert (call.type, call.name) == ("function_call", "get_weather")
