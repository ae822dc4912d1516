"""The brain in writing: OpenAI's chat completions and responses, as the local agent has them. Pure.

Wire: OpenAI's API reference, "Chat completions" (with its chunks) and "Responses" (with its
streaming events). What the brain says comes sentence by sentence, which are the deltas.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import orjson

from voxpy.localagent.responder import Act, CallTool, Say, Turn

_ids = itertools.count(1)


class Writer(Protocol):
    """Makes of what a brain does what a client reads: pieces of a stream, or all at once."""

    def begin(self) -> Iterator[bytes]:
        """Yield what comes before anything is said."""

    def take(self, act: Act) -> list[bytes]:
        """Return the pieces for what the brain did."""

    def end(self) -> Iterator[bytes]:
        """Yield what comes when all is said."""

    def whole(self) -> dict[str, Any]:
        """Return all of it as one object."""


def turn_of(body: Mapping[str, Any], path: str) -> Turn:
    """Return what the brain is asked by a request."""
    chat = path.endswith("/chat/completions")
    given = body.get("messages") if chat else body.get("input")
    told = [{"role": "user", "content": given}] if isinstance(given, str) else given
    messages = [m for m in told or () if isinstance(m, dict)] if isinstance(told, list) else []
    system = [_text(m) for m in messages if m.get("role") in ("system", "developer")]
    instructions = [str(body.get("instructions") or ""), *system]
    items = [item for m in messages for item in _items(m)]
    return Turn(
        instructions="\n".join(filter(None, instructions)),
        items=items,
        tools=[_tool(t) for t in body.get("tools") or () if isinstance(t, dict)],
        tool_choice=body.get("tool_choice") or "auto",
    )


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(str(p.get("text") or "") for p in content or () if isinstance(p, dict))


def _items(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    role, kind = message.get("role"), message.get("type")
    if kind in ("function_call", "function_call_output"):
        yield dict(message)
        return
    if role == "tool":
        call_id = message.get("tool_call_id")
        yield {"type": "function_call_output", "call_id": call_id, "output": _text(message)}
        return
    if role in ("user", "assistant") and _text(message):
        part = {"type": "input_text" if role == "user" else "output_text", "text": _text(message)}
        yield {"type": "message", "role": role, "content": [part]}
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield {
            "type": "function_call",
            "call_id": call.get("id"),
            "name": function.get("name"),
            "arguments": function.get("arguments"),
        }


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    return {"type": "function", **function} if isinstance(function, dict) else dict(tool)


def _arguments(act: CallTool) -> str:
    given = act.arguments
    return given if isinstance(given, str) else orjson.dumps(given).decode()


class ChatWriter:
    """Chat completions."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        number = next(_ids)
        self._head = {"id": f"chatcmpl-{number}", "created": 0, "model": body.get("model") or ""}
        self._text = ""
        self._calls: list[dict[str, Any]] = []

    def begin(self) -> Iterator[bytes]:
        yield self._chunk({"role": "assistant", "content": ""})

    def take(self, act: Act) -> list[bytes]:
        if isinstance(act, Say):
            delta = f" {act.text}" if self._text else act.text
            self._text += delta
            return [self._chunk({"content": delta})]
        number = len(self._calls)
        call = {
            "id": f"{self._head['id']}-call-{number}",
            "type": "function",
            "function": {"name": act.name, "arguments": _arguments(act)},
        }
        self._calls.append(call)
        return [self._chunk({"tool_calls": [{"index": number, **call}]})]

    def end(self) -> Iterator[bytes]:
        yield self._chunk({}, finish=self._reason)
        yield b"data: [DONE]\n\n"

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._text or None}
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "finish_reason": self._reason}
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        whole = {**self._head, "object": "chat.completion", "choices": [choice]}
        return {**whole, "usage": usage}

    @property
    def _reason(self) -> str:
        return "tool_calls" if self._calls else "stop"

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        return b"data: " + orjson.dumps(chunk) + b"\n\n"


class ResponsesWriter:
    """Responses: a message item for what is said, a call item for each call."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._id = f"resp_{next(_ids)}"
        self._model = body.get("model") or ""
        self._output: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._numbers = itertools.count()

    def begin(self) -> Iterator[bytes]:
        yield self._event("response.created", response=self._response("in_progress"))
        yield self._event("response.in_progress", response=self._response("in_progress"))

    def take(self, act: Act) -> list[bytes]:
        if isinstance(act, Say):
            return self._say(act.text)
        events = list(self._close())
        number = len(self._output)
        place = {"item_id": f"{self._id}_fc_{number}", "output_index": number}
        call = {
            "id": place["item_id"],
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{place['item_id']}",
            "name": act.name,
            "arguments": _arguments(act),
        }
        self._output.append(call)
        begun = {**call, "status": "in_progress", "arguments": ""}
        written = call["arguments"]
        return [
            *events,
            self._event("response.output_item.added", item=begun, output_index=number),
            self._event("response.function_call_arguments.delta", delta=written, **place),
            self._event("response.function_call_arguments.done", arguments=written, **place),
            self._event("response.output_item.done", item=call, output_index=number),
        ]

    def end(self) -> Iterator[bytes]:
        yield from self._close()
        yield self._event("response.completed", response=self._response("completed"))

    def whole(self) -> dict[str, Any]:
        list(self._close())
        return self._response("completed")

    def _say(self, said: str) -> list[bytes]:
        events = []
        part = {"type": "output_text", "text": "", "annotations": []}
        if self._open is None:
            item: dict[str, Any] = {
                "id": f"{self._id}_msg_{len(self._output)}",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [dict(part)],
            }
            self._open = item
            self._output.append(item)
            place = self._place(item)
            events += [
                self._event(
                    "response.output_item.added",
                    item={**item, "content": []},
                    output_index=place["output_index"],
                ),
                self._event("response.content_part.added", part=part, content_index=0, **place),
            ]
        text: dict[str, Any] = self._open["content"][0]
        delta = f" {said}" if text["text"] else said
        text["text"] += delta
        place = self._place(self._open)
        events.append(
            self._event("response.output_text.delta", delta=delta, content_index=0, **place)
        )
        return events

    def _close(self) -> Iterator[bytes]:
        item, self._open = self._open, None
        if item is None:
            return
        item["status"] = "completed"
        place, part = self._place(item), item["content"][0]
        yield self._event("response.output_text.done", text=part["text"], content_index=0, **place)
        yield self._event("response.content_part.done", part=part, content_index=0, **place)
        yield self._event(
            "response.output_item.done", item=item, output_index=place["output_index"]
        )

    def _place(self, item: Mapping[str, Any]) -> dict[str, Any]:
        return {"item_id": item["id"], "output_index": len(self._output) - 1}

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": 0,
            "status": status,
            "model": self._model,
            "output": [dict(item) for item in self._output] if status == "completed" else [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def _event(self, kind: str, **fields: Any) -> bytes:
        told = {"type": kind, "sequence_number": next(self._numbers), **fields}
        return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(told) + b"\n\n"


ROUTES: Mapping[str, Callable[[Mapping[str, Any]], Writer]] = {
    "/v1/chat/completions": ChatWriter,
    "/v1/responses": ResponsesWriter,
}
