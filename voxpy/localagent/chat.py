"""A brain behind any OpenAI-compatible ``/v1/chat/completions``: a model of yours, or a service.

The only part of the local agent that uses the network. Answers are streamed, and each sentence is
handed on as soon as it is complete, so that it is being spoken while the next one is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import attrs
import httpx
import trio

from voxpy.errors import ConnectFailed
from voxpy.localagent.responder import Act, CallTool, Item, Say, Turn, text_of
from voxpy.localagent.voice import sentences
from voxpy.text import json

_CONNECT_TIMEOUT_S = 5.0
_SILENCE_TIMEOUT_S = 30.0  # between two pieces; a model that is loading may take this long
_QUOTED_BODY_CHARS = 300
_LONGEST_BODY_BYTES = 4096


class ChatResponder:
    """Asks a chat model. One instance serves every call, over one pool of connections.

    ``url`` is the base ("http://127.0.0.1:8080"), the same with ``/v1``, or the whole endpoint.
    ``api_key`` goes into ``Authorization: Bearer``. Close it with ``aclose`` or ``async with``.
    """

    def __init__(self, url: str, *, model: str, api_key: str | None = None) -> None:
        self._url = _endpoint(url)
        self._model = model
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(_SILENCE_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout)

    async def __aenter__(self) -> ChatResponder:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. A checkpoint."""
        await self._client.aclose()

    async def respond(self, turn: Turn) -> AsyncIterator[Act]:
        """Yield a Say per sentence as it completes, then a CallTool per call the model makes.

        Raises ConnectFailed when the server cannot be reached, answers with an error (``status``
        and the beginning of its body are in the message), or breaks off.

        Close the iterator (``contextlib.aclosing``) when leaving it early: that ends the request.
        """
        answer = _Answer()
        try:
            async with self._client.stream("POST", self._url, json=self._request(turn)) as response:
                if response.status_code != httpx.codes.OK:
                    raise await _refused(self._url, response)
                lines = response.aiter_lines()
                try:
                    async for line in lines:
                        for text in answer.take(_delta(self._url, line)):
                            yield Say(text)
                finally:
                    await _leave(lines)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            problem = str(exc) or type(exc).__name__
            raise ConnectFailed(f"{self._url}: {problem}") from exc
        for act in answer.rest(self._url):
            yield act

    def _request(self, turn: Turn) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "stream": True,
            "messages": chat_messages(turn),
        }
        if turn.tools:
            request["tools"] = chat_tools(turn.tools)
            request["tool_choice"] = _tool_choice(turn.tool_choice)
        return request


def _endpoint(url: str) -> str:
    url = url.rstrip("/")
    if url.endswith("/chat/completions"):
        return url
    return url + ("/chat/completions" if url.endswith("/v1") else "/v1/chat/completions")


def chat_messages(turn: Turn) -> list[dict[str, Any]]:
    """Return the conversation of ``turn`` as chat messages, the instructions first.

    Consecutive function calls become one assistant message, as the chat API wants it; calls without
    a result are left out, because it refuses them.
    """
    messages: list[dict[str, Any]] = []
    if turn.instructions:
        messages.append({"role": "system", "content": turn.instructions})
    answered = {i.get("call_id") for i in turn.items if i.get("type") == "function_call_output"}
    for item in turn.items:
        _append(messages, item, answered)
    if turn.response_instructions:
        messages.append({"role": "system", "content": turn.response_instructions})
    return messages


def _append(messages: list[dict[str, Any]], item: Item, answered: set[Any]) -> None:
    kind = item.get("type")
    if kind == "message" and text_of(item):
        messages.append({"role": item.get("role", "user"), "content": text_of(item)})
    elif kind == "function_call" and item.get("call_id") in answered:
        call = {
            "id": item.get("call_id"),
            "type": "function",
            "function": {"name": item.get("name"), "arguments": item.get("arguments") or "{}"},
        }
        if messages and "tool_calls" in messages[-1]:
            messages[-1]["tool_calls"].append(call)
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif kind == "function_call_output":
        output = str(item.get("output") or "")
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})


def chat_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return Realtime tools in the shape of the chat API, where they lie one level deeper."""
    return [
        {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}
        for tool in tools
        if tool.get("type", "function") == "function" and tool.get("name")
    ]


def _tool_choice(choice: str | Mapping[str, Any]) -> Any:
    if isinstance(choice, str):
        return choice
    return {"type": "function", "function": {"name": choice.get("name")}}


async def _leave(stream: AsyncIterator[Any]) -> None:
    """End the reading of ``stream``, at once.

    httpx reads through half a dozen generators inside each other and closes only the outermost, so
    that trio finds the others abandoned. Running into a cancellation ends all of them, in order.
    """
    with trio.CancelScope() as scope:
        scope.cancel()
        async for _ in stream:
            pass  # what had been received already


async def _refused(url: str, response: httpx.Response) -> ConnectFailed:
    body = b""
    chunks = response.aiter_bytes()
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > _LONGEST_BODY_BYTES:
                break
    finally:
        await _leave(chunks)
    start = " ".join(body.decode("utf-8", "replace").split())[:_QUOTED_BODY_CHARS]
    status = response.status_code
    return ConnectFailed(f"{url} answered {status}: {start or 'nothing'}", status=status)


def _delta(url: str, line: str) -> Mapping[str, Any]:
    """Return what one line of the event stream adds to the message; most lines add nothing."""
    if not line.startswith("data:"):
        return {}
    data = line.removeprefix("data:").strip()
    if not data or data == "[DONE]":
        return {}
    try:
        event = json.loads(data)
    except ValueError as exc:
        raise ConnectFailed(f"{url} sent no JSON: {data[:_QUOTED_BODY_CHARS]}") from exc
    if not isinstance(event, dict) or event.get("error"):
        raise ConnectFailed(f"{url} broke off: {data[:_QUOTED_BODY_CHARS]}")
    match event:
        case {"choices": [{"delta": dict(delta)}, *_]}:
            return delta
        case _:
            return {}  # the usage at the end, and whatever else a server adds


@attrs.define
class _Call:
    name: str = ""
    arguments: str = ""


@attrs.define
class _Answer:
    """The message as it arrives."""

    text: str = ""
    calls: dict[int, _Call] = attrs.field(factory=dict)

    def take(self, delta: Mapping[str, Any]) -> list[str]:
        """Add ``delta``; return the sentences it completed."""
        for number, part in enumerate(delta.get("tool_calls") or ()):
            call = self.calls.setdefault(part.get("index", number), _Call())
            function = part.get("function") or {}
            call.name += function.get("name") or ""
            call.arguments += function.get("arguments") or ""
        self.text += delta.get("content") or ""
        *complete, last = sentences(self.text) or [""]
        if complete:
            # White space at the end belongs to the sentence in progress: "Hi. " + "there".
            self.text = last + self.text[len(self.text.rstrip()) :]
        return complete

    def rest(self, url: str) -> list[Act]:
        """Return what is left when the stream is over: the last sentence and the calls."""
        acts: list[Act] = [Say(text) for text in sentences(self.text)]
        return acts + [CallTool(c.name, _arguments(url, c)) for _, c in sorted(self.calls.items())]


def _arguments(url: str, call: _Call) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError as exc:
        raise ConnectFailed(
            f"{url}: arguments of {call.name} are no JSON: {call.arguments}"
        ) from exc
    return arguments if isinstance(arguments, dict) else {}
