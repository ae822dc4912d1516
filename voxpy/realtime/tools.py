"""Functions a model may call: ``ToolSet``, and what runs them when it does.

A tool is an ordinary Python function, sync or async. What the model is told of it comes from its
signature and docstring; what the model sends is checked against the same signature; what goes back
is JSON, an error included, because a model that is told what went wrong can put it right.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Protocol, TypeVar, overload

import attrs
import orjson
import trio

from voxpy.engine.units import describe
from voxpy.errors import ScenarioError, ToolError, nearest
from voxpy.realtime.tool_shapes import BadArgument, Shape, documentation, fields_shape, shape_of
from voxpy.text.json import loads
from voxpy.wire.realtime.events.types import FunctionCall

F = TypeVar("F", bound=Callable[..., Any])

DESCRIPTION_CHARACTERS = 1024
"""OpenAI refuses a session.update with a longer description of a function."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@attrs.frozen(kw_only=True)
class ToolOutcome:
    """How a call went. ``output`` is the JSON for the model.

    ``error`` is what the function raised, a ToolError aside. A ``silent`` outcome asks for no
    answer.
    """

    output: str
    error: Exception | None = None
    silent: bool = False


@attrs.frozen
class Silent:
    """What a tool returns to give the model its ``result`` without making it speak.

    No ``response.create`` follows if all calls of the response are answered so. A service that goes
    on by itself (``providerData.auto_tool_response``) does so all the same.
    """

    result: Any = None


class Tools(Protocol):
    """What ``use_tools`` takes; ``ToolSet`` is one."""

    def schemas(self) -> list[dict[str, Any]]:
        """Return the functions as they stand in ``session.tools``."""

    async def run(self, name: str, arguments_json: str) -> ToolOutcome:
        """Call one; its error is in the outcome. Raises nothing but Cancelled."""


class ToolRunner:
    """Calls the functions of one response one after another; responses run side by side.

    ``spawn`` starts a task that ends with whoever owns the tools; ``began`` sees a call before it
    runs, ``answer`` takes what came of it.
    """

    def __init__(
        self,
        tools: Tools,
        *,
        spawn: Callable[..., object],
        began: Callable[[FunctionCall], None],
        answer: Callable[[FunctionCall, ToolOutcome], None],
    ) -> None:
        self._tools = tools
        self._spawn = spawn
        self._began = began
        self._answer = answer
        self._scopes: set[trio.CancelScope] = set()

    @property
    def running(self) -> bool:
        """Whether a function is at work."""
        return bool(self._scopes)

    def start(self, calls: Sequence[FunctionCall]) -> None:
        """Run these calls in a task of their own."""
        scope = trio.CancelScope()
        self._scopes.add(scope)
        names = ", ".join(call.name for call in calls)
        self._spawn(f"tools {names}", self._run, calls, scope)

    def cancel(self) -> None:
        """Give up what runs: nobody could be told the outputs any more."""
        for scope in self._scopes:
            scope.cancel()

    async def _run(self, calls: Sequence[FunctionCall], scope: trio.CancelScope) -> None:
        try:
            with scope:
                for call in calls:
                    self._began(call)
                    outcome = await self._tools.run(call.name, call.arguments or "{}")
                    self._answer(call, outcome)
        finally:
            self._scopes.discard(scope)


@attrs.frozen(kw_only=True, eq=False)
class Tool:
    """One function as the model sees it."""

    name: str
    description: str
    function: Callable[..., Any]
    arguments: Shape

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as it stands in ``session.tools``."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.arguments.schema,
        }


class ToolSet:
    """The functions a model may call, by name.

    ::

        tools = ToolSet()

        @tools.add
        async def get_weather(city: str, days: int = 1) -> dict[str, object]:
            '''Return the weather forecast.

            city: the city, as the caller named it
            '''

    Parameters may be str, int, float, bool, Any, ``list[T]``, ``dict[str, T]``, Literal, Enum,
    ``T | None`` and attrs classes of these; ``Annotated[T, "text"]`` describes one as well. Sync
    functions run on the event loop: one that waits for something must be async.

    What a tool returns goes to the model as JSON: what JSON has, attrs classes and dataclasses,
    dates, UUIDs, sets, and numbers of any size; a Decimal as its text, a timedelta as ISO 8601. A
    ToolError is told to the model in its own words. Any other exception is a fault of the tool: the
    model gets a sentence, and log, record and test get the traceback. ``Silent(result)`` gives a
    result without making the model speak.
    """

    def __init__(self, *functions: Callable[..., Any] | ToolSet) -> None:
        """Take functions, and the tools of other sets. Raises ScenarioError as ``add``."""
        self._tools: dict[str, Tool] = {}
        self.update(*functions)

    @overload
    def add(self, function: F, *, name: str | None = None, description: str | None = None) -> F: ...

    @overload
    def add(
        self, function: None = None, *, name: str | None = None, description: str | None = None
    ) -> Callable[[F], F]: ...

    def add(
        self, function: Any = None, *, name: str | None = None, description: str | None = None
    ) -> Any:
        """Add ``function`` and return it; also a decorator, with or without arguments.

        Raises ScenarioError, naming the function and its file:line, for what is no function, a
        name that is taken or no name of a tool, ``*args``, ``**kwargs`` and positional-only
        parameters, types that are missing or not supported, and a description above 1,024
        characters.
        """
        if function is None:
            return lambda given: self.add(given, name=name, description=description)
        self._put(_tool(function, name, description))
        return function

    def update(self, *functions: Callable[..., Any] | ToolSet) -> None:
        """Add functions, and the tools of other sets. Raises ScenarioError as ``add``."""
        for each in functions:
            if isinstance(each, ToolSet):
                for tool in each:
                    self._put(tool)
            else:
                self.add(each)

    def _put(self, tool: Tool) -> None:
        known = self._tools.get(tool.name)
        if known is not None and known.function is not tool.function:
            raise ScenarioError(
                f"{describe(tool.function)}: there is a tool {tool.name!r} already, "
                f"{describe(known.function)}; rename one or pass name="
            )
        self._tools[tool.name] = tool

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def schemas(self) -> list[dict[str, Any]]:
        """Return the tools as they stand in ``session.tools``, in the order added."""
        return [tool.schema for tool in self]

    async def call(self, name: str, arguments_json: str) -> str:
        """Call a tool and return the JSON for the model: its result, or ``{"error": "..."}``.

        Raises nothing but cancellation; ``run`` tells errors apart. A result is encoded once: the
        text ``abc`` comes back as ``"abc"``, quotes included.
        """
        return (await self.run(name, arguments_json)).output

    async def run(self, name: str, arguments_json: str) -> ToolOutcome:
        """Call a tool and return how it went; as ``call`` otherwise."""
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            hint = nearest(name, self._tools)
            return _refused(f"there is no function {name!r}{hint} (known: {known})")
        try:
            arguments = tool.arguments.read(_loaded(arguments_json), "")
        except BadArgument as problem:
            return _refused(f"{name}: {problem}")
        return await _called(tool, arguments)


def _refused(problem: str, error: Exception | None = None) -> ToolOutcome:
    return ToolOutcome(output=orjson.dumps({"error": problem}).decode(), error=error)


def _loaded(arguments_json: str) -> Any:
    if not arguments_json.strip():
        return {}  # what some models send when a function takes no arguments
    try:
        arguments = loads(arguments_json)
    except ValueError as error:
        raise BadArgument("", f"the arguments are not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise BadArgument("", "the arguments must be a JSON object")
    return arguments


async def _called(tool: Tool, arguments: Mapping[str, Any]) -> ToolOutcome:
    try:
        result = tool.function(**arguments)
        if inspect.isawaitable(result):
            result = await result
        silent = isinstance(result, Silent)
        return ToolOutcome(output=_json(result.result if silent else result), silent=silent)
    except ToolError as told:
        return _refused(str(told) or f"{tool.name} failed")
    except Exception as error:  # a tool may raise anything, and the model must learn of it
        message = str(error)
        if " " not in message:  # no sentence: KeyError gives a key and nothing else
            message = f"{tool.name} failed: {type(error).__name__} {message}".strip()
        return _refused(message, error)


def _json(result: Any) -> str:
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(result, default=_plain, option=options).decode()
    except TypeError:
        return json.dumps(_wide(result), ensure_ascii=False)  # orjson has no integer above 64 bit


def _wide(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {k if isinstance(k, int | str) else str(k): _wide(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_wide(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _wide(dataclasses.asdict(value))
    try:
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
    except TypeError:
        return _wide(_plain(value))


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return attrs.asdict(value, recurse=False)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | deque | range):
        return list(value)
    if isinstance(value, Decimal | PurePath):
        return str(value)  # of a number, every digit counts
    if isinstance(value, timedelta):
        return _iso_8601(value)
    raise TypeError(f"the result holds a {type(value).__name__}, which is not JSON")


def _iso_8601(duration: timedelta) -> str:
    sign, duration = ("-", -duration) if duration < timedelta() else ("", duration)
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f"{duration.microseconds / 1e6:.6f}".rstrip("0").lstrip("0").rstrip(".")
    days = f"{duration.days}D" if duration.days else ""
    parts = [(hours, "H"), (minutes, "M")]
    clock = "".join(f"{n}{unit}" for n, unit in parts if n)
    clock += f"{seconds}{fraction}S" if seconds or fraction or not (clock or days) else ""
    return f"{sign}P{days}" + (f"T{clock}" if clock else "")


def _tool(function: Any, name: str | None, description: str | None) -> Tool:
    if not callable(function) or isinstance(function, type):
        raise ScenarioError(f"a tool must be a function, not {function!r}")
    where = describe(function)
    name = str(name or getattr(function, "__name__", ""))
    if _NAME.fullmatch(name) is None:
        raise ScenarioError(
            f"{where}: {name!r} is no name of a tool: 1 to 64 letters, digits, _ and -; pass name="
        )
    parameters = _parameters(function, where)
    told, texts = documentation(inspect.getdoc(function) or "", parameters)
    told = description or told or f"Tool: {name}"
    if len(told) > DESCRIPTION_CHARACTERS:
        raise ScenarioError(
            f"{where}: the description has {len(told)} characters; services take "
            f"{DESCRIPTION_CHARACTERS}. It is the first paragraph of the docstring"
        )
    return Tool(
        name=name,
        description=told,
        function=function,
        arguments=_arguments(function, parameters, texts, where),
    )


def _parameters(function: Any, where: str) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(function).parameters)
    for parameter in parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ScenarioError(
                f"{where}: parameter {str(parameter)!r} cannot be a tool's: a model passes "
                "arguments by name"
            )
        if parameter.annotation is parameter.empty:
            raise ScenarioError(f"{where}: parameter {parameter.name!r} has no type")
    return parameters


def _arguments(
    function: Any,
    parameters: Mapping[str, inspect.Parameter],
    texts: Mapping[str, str],
    where: str,
) -> Shape:
    plain = inspect.unwrap(getattr(function, "func", function))
    try:
        kinds = typing.get_type_hints(plain, include_extras=True)
    except (NameError, TypeError) as error:
        raise ScenarioError(f"{where}: the type of a parameter cannot be read: {error}") from error
    shapes = {}
    for name in parameters:
        try:
            shapes[name] = shape_of(kinds[name])
        except TypeError as error:
            raise ScenarioError(f"{where}: parameter {name!r}: {error}") from error
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    return fields_shape(shapes, defaults=defaults, texts=texts)
