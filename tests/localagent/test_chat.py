"""Against a small HTTP server of our own on the loopback interface."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import attrs
import h11
import pytest
import trio

from voxpy.errors import ConnectFailed
from voxpy.localagent.chat import ChatResponder, chat_messages, chat_tools
from voxpy.localagent.responder import Act, CallTool, Say, Turn


def spoken(role: str, text: str) -> dict[str, Any]:
    kind = "output_audio" if role == "assistant" else "input_audio"
    return {"type": "message", "role": role, "content": [{"type": kind, "transcript": text}]}


def delta(**fields: Any) -> bytes:
    event = {"choices": [{"index": 0, "delta": fields}]}
    return f"data: {json.dumps(event)}\n\n".encode()


def call(index: int, **function: str) -> dict[str, Any]:
    return {"index": index, "function": function}


DONE = b"data: [DONE]\n\n"


@attrs.define
class Server:
    """Answers every request with ``chunks``; keeps what was asked and waits at a None."""

    chunks: list[bytes | None]
    status: int = 200
    breaks_off: bool = False
    url: str = ""
    requests: list[dict[str, Any]] = attrs.field(factory=list)
    headers: list[dict[str, str]] = attrs.field(factory=list)
    go_on: trio.Event = attrs.field(factory=trio.Event)
    hung_up: trio.Event = attrs.field(factory=trio.Event)

    async def handle(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            await self._answer(stream, connection)
        except trio.BrokenResourceError:
            self.hung_up.set()
        await stream.aclose()

    async def _answer(self, stream: trio.SocketStream, connection: h11.Connection) -> None:
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                self.headers.append({k.decode(): v.decode() for k, v in event.headers})
                self.requests.append({"path": event.target.decode()})
            elif isinstance(event, h11.Data):
                body += event.data
        self.requests[-1]["body"] = json.loads(body)
        head = h11.Response(status_code=self.status, headers=[("transfer-encoding", "chunked")])
        await stream.send_all(connection.send(head) or b"")
        for chunk in self.chunks:
            if chunk is None:
                await self._wait(stream)
            else:
                await stream.send_all(connection.send(h11.Data(chunk)) or b"")
        if not self.breaks_off:
            await stream.send_all(connection.send(h11.EndOfMessage()) or b"")

    async def _wait(self, stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                if not await stream.receive_some(1):
                    self.hung_up.set()
                    self.go_on.set()

            nursery.start_soon(watch)
            await self.go_on.wait()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.handle, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def acts_of(server: Server, turn: Turn | None = None, **options: Any) -> list[Act]:
    try:
        async with serving(server), ChatResponder(server.url, model="m", **options) as chat:
            return [act async for act in chat.respond(turn or Turn())]
    except* ConnectFailed as group:  # the server's nursery wraps it
        failed = group
    (only,) = failed.exceptions
    while isinstance(only, ExceptionGroup):
        (only,) = only.exceptions
    raise only


async def test_sentences_come_as_they_complete_and_calls_at_the_end() -> None:
    server = Server(
        [
            delta(role="assistant", content=""),
            delta(content="Hello th"),
            delta(content="ere. How "),
            delta(content="are you"),
            delta(content="? Dr. "),
            delta(content="Who"),
            delta(tool_calls=[call(0, name="look_up", arguments='{"a"')]),
            delta(tool_calls=[call(1, name="transfer", arguments="")]),
            delta(tool_calls=[call(0, arguments=": [1]}")]),
            b'data: {"choices": [], "usage": {"total_tokens": 5}}\n\n',
            DONE,
        ]
    )
    assert await acts_of(server) == [
        Say("Hello there."),
        Say("How are you?"),
        Say("Dr. Who"),
        CallTool("look_up", {"a": [1]}),
        CallTool("transfer", {}),
    ]


async def test_the_first_sentence_does_not_wait_for_the_second() -> None:
    server = Server([delta(content="One moment. I"), None, delta(content=" looked."), DONE])
    with trio.fail_after(5):
        async with serving(server), ChatResponder(server.url, model="m") as chat:
            answer = chat.respond(Turn())
            assert await anext(answer) == Say("One moment.")
            server.go_on.set()
            assert [act async for act in answer] == [Say("I looked.")]


async def test_leaving_early_ends_the_request() -> None:
    server = Server([delta(content="One moment. I"), None])
    with trio.fail_after(5):
        async with serving(server), ChatResponder(server.url, model="m") as chat:
            async with aclosing(chat.respond(Turn())) as answer:  # type: ignore[type-var]
                await anext(answer)
            await server.hung_up.wait()


async def test_events_may_be_cut_anywhere() -> None:
    stream = delta(content="Grüß dich. Bye.") + b": a comment\n\n" + DONE
    server = Server([bytes([byte]) for byte in stream])
    assert await acts_of(server) == [Say("Grüß dich."), Say("Bye.")]


async def test_the_conversation_is_translated() -> None:
    tool = {"type": "function", "name": "look_up", "description": "d", "parameters": {}}
    turn = Turn(
        instructions="Be kind.",
        items=[
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Say hi."}],
            },
            spoken("assistant", "Hi!"),
            spoken("user", ""),
            spoken("user", "Look it up."),
            {"type": "function_call", "call_id": "a", "name": "look_up", "arguments": '{"x":1}'},
            {"type": "function_call", "call_id": "b", "name": "look_up", "arguments": ""},
            {"type": "function_call", "call_id": "never", "name": "look_up", "arguments": ""},
            {"type": "function_call_output", "call_id": "a", "output": "7"},
            {"type": "function_call_output", "call_id": "b", "output": "8"},
        ],
        tools=[tool],
        tool_choice={"type": "function", "name": "look_up"},
        response_instructions="Be brief.",
    )
    server = Server([DONE])
    assert await acts_of(server, turn, api_key="secret") == []
    assert server.headers[0]["authorization"] == "Bearer secret"
    (request,) = server.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["body"] == {
        "model": "m",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Say hi."},
            {"role": "assistant", "content": "Hi!"},
            {"role": "user", "content": "Look it up."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "look_up", "arguments": '{"x":1}'},
                    },
                    {
                        "id": "b",
                        "type": "function",
                        "function": {"name": "look_up", "arguments": "{}"},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "7"},
            {"role": "tool", "tool_call_id": "b", "content": "8"},
            {"role": "system", "content": "Be brief."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "look_up", "description": "d", "parameters": {}},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "look_up"}},
    }


def test_nothing_is_asked_for_that_was_not_declared() -> None:
    assert chat_messages(Turn()) == []
    assert chat_tools([{"type": "mcp", "server_label": "x"}]) == []


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
async def test_the_url_may_stop_anywhere(suffix: str) -> None:
    async with serving(Server([DONE])) as server:
        async with ChatResponder(server.url + suffix, model="m") as chat:
            assert [act async for act in chat.respond(Turn())] == []
        assert server.requests[0]["path"] == "/v1/chat/completions"
        assert "authorization" not in server.headers[0]


async def test_a_refusal_is_reported_with_status_and_body() -> None:
    server = Server([b'{"error": {"message": "no such\n model"}}', b"x" * 100_000], status=404)
    with pytest.raises(ConnectFailed, match=r"answered 404:.*no such model") as caught:
        await acts_of(server)
    assert caught.value.status == 404
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (Server([delta(content="He"), b"data: {oops\n\n"]), "no JSON: {oops"),
        (Server([delta(content="He"), b'data: {"error": "overloaded"}\n\n']), "broke off.*overl"),
        (Server([delta(content="He")], breaks_off=True), "peer closed connection"),
        (Server([delta(tool_calls=[call(0, name="f", arguments="{")])]), "arguments of f"),
    ],
)
async def test_broken_answers_are_reported(server: Server, problem: str) -> None:
    with pytest.raises(ConnectFailed, match=problem):
        await acts_of(server)


@pytest.mark.parametrize("event", ["[]", '"x"', "7"])
async def test_events_of_a_wrong_shape_are_reported(event: str) -> None:
    with pytest.raises(ConnectFailed, match="broke off"):
        await acts_of(Server([f"data: {event}\n\n".encode()]))


async def test_nobody_there() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    await listener.aclose()
    for wrong in (url, "nonsense://x", "http://exa mple:99x"):
        async with ChatResponder(wrong, model="m") as chat:
            with pytest.raises(ConnectFailed):
                async for _ in chat.respond(Turn()):
                    pass
