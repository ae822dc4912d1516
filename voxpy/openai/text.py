"""``OpenAI``'s text clients: the brain of a cascade, over chat completions or responses.

Wire: OpenAI's API reference, "Chat completions" and "Responses", both streamed as server-sent
events. Any server of the same API will do, a model of one's own too (``base_url``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import trio

from voxpy.engine.context import current
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, Unit
from voxpy.errors import ConnectFailed, NotSupported, ScenarioError
from voxpy.openai.realtime import OPENAI
from voxpy.openai.text_events import ChatCompletionsAPIEvents, ResponsesAPIEvents
from voxpy.realtime.envelope import EventData, EventNamespace
from voxpy.realtime.speech import choose
from voxpy.sockets.streamhttp import service_client
from voxpy.text import json
from voxpy.text.product import product
from voxpy.wire.realtime.endpoint import refusal_reason

MOST_BODY_BYTES = 8192

Fields = Mapping[str, Any]


class TextClient(Unit):
    """What both have in common: requests of a session's, one after another, told as events."""

    _names: ClassVar[EventNamespace]
    _error: ClassVar[str]
    _path: ClassVar[str]

    def __init__(
        self,
        session: Session,
        base: str,
        headers: Mapping[str, str],
        *,
        store_context: bool,
        privacy: bool,
    ) -> None:
        super().__init__(session, session.new_id("client"))
        self._url = base.rstrip("/") + self._path
        self._headers = dict(headers)
        self._stores = store_context
        self._private = privacy
        self._client = service_client(session, private=privacy)
        self._scopes: set[trio.CancelScope] = set()
        self._turn = trio.Lock()

    def web_socket_id(self) -> str:
        """Raises NotSupported: it talks HTTP, without a WebSocket."""
        raise NotSupported(f"{type(self).__name__}.web_socket_id(): it talks HTTP, no WebSocket")

    def close(self) -> None:
        """Give up what runs, and send nothing more. Idempotent."""
        self._session.trace.command(f"{type(self).__name__}.close", unit=self.id())
        self.cancel()
        self._session.spawn(f"{self.id()} closing", self._client.aclose)

    def cancel(self) -> None:
        """Give up the answers that are being written: the caller has spoken. voxpy's own."""
        for scope in self._scopes:
            scope.cancel()

    # -- the inside ------------------------------------------------------------------------------

    def _begin(self) -> None:
        told = {"applicationVersion": product(), "id": self.id(), "endpoint": self._url}
        self._tell("ConnectorInformation", told)
        self._session.add_closer(self.id(), self._client.aclose)

    def _ask(self, name: str, given: Fields) -> None:
        wrong: Any = given  # scenarios are not always type checked
        if not isinstance(wrong, Mapping):
            raise ScenarioError(f"{name} takes a dict, not {type(wrong).__name__}")
        shown = {} if self._private else {"payload": dict(given)}
        self._session.trace.command(f"OpenAI.{name}", unit=self.id(), **shown)
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self._session.spawn(f"{self.id()} {name}", self._run, dict(given), scope)

    async def _run(self, given: dict[str, Any], scope: trio.CancelScope) -> None:
        try:
            with scope:
                async with self._turn:
                    await self._talk({**self._with_context(given), "stream": True})
                self._session.troubles.agent_works()
        except ConnectFailed as error:
            self._session.troubles.agent_failed(self.id(), str(error))
            self._tell(self._error, {"message": str(error), "status": error.status})
        finally:
            self._scopes.discard(scope)

    async def _talk(self, body: dict[str, Any]) -> None:
        try:
            async with self._client.stream(
                "POST", self._url, headers=self._headers, json=body
            ) as response:
                if not response.is_success:
                    raise await _refused(self._url, response)
                async with aclosing(_events(self._url, response)) as events:  # type: ignore[type-var]
                    async for event in events:
                        self._take(event)
        except httpx.HTTPError as error:
            raise ConnectFailed(f"{self._url}: {str(error) or type(error).__name__}") from error
        self._finish()

    def _tell(self, name: str, payload: dict[str, Any]) -> None:
        self._post_kind(self._names.members()[name], payload)

    def _tell_type(self, wire_type: str, payload: dict[str, Any]) -> None:
        self._post_kind(self._names.of_wire_type(wire_type), payload)

    def _post_kind(self, kind: Any, payload: dict[str, Any]) -> None:
        event = kind(client=self, data=EventData(custom_event=kind.__name__, payload=payload))
        self._session.post(self.listeners, event, private=self._private)

    def _with_context(self, given: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _take(self, event: dict[str, Any]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """The answer is complete."""


async def _refused(url: str, response: httpx.Response) -> ConnectFailed:
    body = (await response.aread())[:MOST_BODY_BYTES]
    why = refusal_reason(response.status_code, body)
    return ConnectFailed(f"{url}: refused: {why}", status=response.status_code)


async def _events(url: str, response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON objects of a stream of server-sent events."""
    async with aclosing(response.aiter_lines()) as lines:  # type: ignore[type-var]
        async for line in lines:
            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
            if not data or data == "[DONE]":
                continue
            try:
                event = json.loads(data)
            except ValueError as error:
                raise ConnectFailed(f"{url} sent no JSON: {data[:200]}") from error
            if not isinstance(event, dict):
                continue
            if event.get("error") and "type" not in event:
                raise ConnectFailed(f"{url} broke off: {data[:200]}")
            yield event


class ChatCompletionsAPIClient(TextClient):
    """Chat completions (VoxEngine: OpenAI.ChatCompletionsAPIClient).

    Made by ``OpenAI.create_chat_completions_api_client``.
    """

    _catalog: ClassVar[Catalog] = {"OpenAI.ChatCompletionsAPIEvents": ChatCompletionsAPIEvents}
    _names = ChatCompletionsAPIEvents
    _error = "ChatCompletionsAPIError"
    _path = "/chat/completions"

    def create_chat_completions(self, parameters: Fields) -> None:
        """Ask for an answer: ``model``, ``messages``, ``tools`` ... It comes piece by piece.

        With ``store_context`` the messages so far, and the answers, stand before those given.
        """
        self._ask("create_chat_completions", parameters)

    def _with_context(self, given: dict[str, Any]) -> dict[str, Any]:
        self._text, self._refusal = "", ""
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: dict[str, list[Any]] = {"content": [], "refusal": []}
        if not self._stores:
            return given
        self._history: list[Any] = [*getattr(self, "_history", ()), *given.get("messages", ())]
        return {**given, "messages": list(self._history)}

    def _take(self, event: dict[str, Any]) -> None:
        self._tell_type("chunk", event)
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("content"):
                self._text += delta["content"]
                told = {"delta": delta["content"], "snapshot": self._text}
                self._tell_type("content.delta", {"type": "content.delta", **told})
            if delta.get("refusal"):
                self._refusal += delta["refusal"]
                told = {"delta": delta["refusal"], "snapshot": self._refusal}
                self._tell_type("refusal.delta", {"type": "refusal.delta", **told})
            for number, part in enumerate(delta.get("tool_calls") or ()):
                self._call(part.get("index", number), part)
            for what, so_far in self._logprobs.items():
                if more := (choice.get("logprobs") or {}).get(what):
                    so_far += more
                    kind = f"logprobs.{what}.delta"
                    self._tell_type(kind, {"type": kind, what: more, "snapshot": [*so_far]})

    def _call(self, index: int, part: Fields) -> None:
        call = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        function = part.get("function") or {}
        call["id"] = part.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        delta = function.get("arguments") or ""
        call["arguments"] += delta
        if delta:
            told = {"index": index, **call, "arguments_delta": delta}
            kind = "tool_calls.function.arguments.delta"
            self._tell_type(kind, {"type": kind, **told})

    def _finish(self) -> None:
        if self._text:
            told = {"type": "content.done", "content": self._text}
            self._tell_type("content.done", told)
            self._tell_type("content", {**told, "type": "content"})
        if self._refusal:
            self._tell_type("refusal.done", {"type": "refusal.done", "refusal": self._refusal})
        kind = "tool_calls.function.arguments.done"
        for index, call in sorted(self._calls.items()):
            self._tell_type(kind, {"type": kind, "index": index, **call})
        for what, found in self._logprobs.items():
            if found:
                kind = f"logprobs.{what}.done"
                self._tell_type(kind, {"type": kind, what: found})
        if self._stores:
            self._history.append(self._answer())

    def _answer(self) -> dict[str, Any]:
        calls = [
            {
                "id": c["id"],
                "type": "function",
                "function": {"name": c["name"], "arguments": c["arguments"]},
            }
            for _, c in sorted(self._calls.items())
        ]
        message = {"role": "assistant", "content": self._text or None}
        return {**message, "tool_calls": calls} if calls else message


class ResponsesAPIClient(TextClient):
    """Responses (VoxEngine: OpenAI.ResponsesAPIClient).

    Made by ``OpenAI.create_responses_api_client``.
    """

    _catalog: ClassVar[Catalog] = {"OpenAI.ResponsesAPIEvents": ResponsesAPIEvents}
    _names = ResponsesAPIEvents
    _error = "ResponsesAPIError"
    _path = "/responses"
    _previous = ""

    def create_responses(self, parameters: Fields) -> None:
        """Ask for an answer: ``model``, ``input``, ``instructions``, ``tools`` ...

        With ``store_context`` it follows on the one before (``previous_response_id``).
        """
        self._ask("create_responses", parameters)

    def _with_context(self, given: dict[str, Any]) -> dict[str, Any]:
        if not (self._stores and self._previous) or "previous_response_id" in given:
            return given
        return {**given, "previous_response_id": self._previous}

    def _take(self, event: dict[str, Any]) -> None:
        kind = str(event.get("type", ""))
        if kind == "response.completed":
            self._previous = str((event.get("response") or {}).get("id") or "")
        self._tell_type(kind, event)


def _where(
    function: str, api_key: str | None, base_url: str | None, project: str | None
) -> tuple[Session, str, dict[str, str]]:
    given = base_url if base_url is None else base_url.rstrip("/")
    chosen, key = choose(function, OPENAI, api_key, given)
    there = urlsplit(chosen)
    if given is None:  # the host's choice of a realtime address, or OpenAI's own
        scheme = {"ws": "http", "wss": "https"}.get(there.scheme, there.scheme)
        chosen = urlunsplit((scheme, there.netloc, "/v1", "", ""))
    headers = {"Authorization": f"Bearer {key}"}
    if project:
        headers["OpenAI-Project"] = project
    session = current(function)
    session.trace.command(function, url=chosen)
    return session, chosen, headers


async def create_chat_completions_api_client(
    *,
    api_key: str | None = None,
    store_context: bool = False,
    base_url: str | None = None,
    project: str | None = None,
    summary_model: str | None = None,
    summary_prompt: str | None = None,
    privacy: bool = False,
) -> ChatCompletionsAPIClient:
    """Return a client for chat completions; nothing is sent yet.

    store_context: keep the conversation here, and send it with each request.
    base_url: any server of the same API, ``http://127.0.0.1:8080/v1``.
    privacy: keep what passes out of the session's trace.

    Raises ScenarioError for a missing key, NotSupported for ``summary_model`` and
    ``summary_prompt``: a long conversation is the scenario's to shorten. VoxEngine:
    OpenAI.createChatCompletionsAPIClient.
    """
    if summary_model or summary_prompt:
        raise NotSupported("summaries of a stored context: shorten it in the scenario")
    function = "OpenAI.create_chat_completions_api_client"
    session, base, headers = _where(function, api_key, base_url, project)
    client = ChatCompletionsAPIClient(
        session, base, headers, store_context=store_context, privacy=privacy
    )
    client._begin()
    await trio.lowlevel.checkpoint()
    return client


async def create_responses_api_client(
    *,
    api_key: str | None = None,
    store_context: bool = False,
    base_url: str | None = None,
    project: str | None = None,
    privacy: bool = False,
) -> ResponsesAPIClient:
    """Return a client for responses; nothing is sent yet.

    store_context: let each request follow on the answer before it, which the service keeps.
    The rest is as of ``create_chat_completions_api_client``. VoxEngine:
    OpenAI.createResponsesAPIClient.
    """
    function = "OpenAI.create_responses_api_client"
    session, base, headers = _where(function, api_key, base_url, project)
    client = ResponsesAPIClient(
        session, base, headers, store_context=store_context, privacy=privacy
    )
    client._begin()
    await trio.lowlevel.checkpoint()
    return client
