"""Tools: what a model is told of a function, what it may send, what it gets back."""

from __future__ import annotations

import enum
import functools
import math
import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import numpy as np
import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import ScenarioError, ToolError
from voxpy.realtime.tool_shapes import BadArgument, Shape, documentation, shape_of
from voxpy.realtime.tools import DESCRIPTION_CHARACTERS, Silent, ToolOutcome, ToolSet


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


@attrs.frozen(kw_only=True)
class Place:
    """Where.

    city: the city's name
    """

    city: str
    country: str | None = None
    size: int = attrs.field(default=1, validator=attrs.validators.gt(0))


async def get_weather(
    city: str,
    days: int = 1,
    unit: Unit = Unit.CELSIUS,
    *,
    detail: Literal["short", "long"] = "short",
    tags: list[str] | None = None,
    exact: bool = False,
    scale: float = 1.0,
) -> str:
    """Return the weather forecast
    for a city.

    Not the climate.

    city: the city, as the caller
        named it
    days (int): how many
    unknown: is no parameter
    """
    await trio.lowlevel.checkpoint()
    return f"{city} {days} {unit.name} {detail} {tags} {exact} {scale}"


async def call(function: Any, arguments: str) -> Any:
    return orjson.loads(await ToolSet(function).call(function.__name__, arguments))


# -- the schema -----------------------------------------------------------------------------------


def test_the_schema_of_a_function() -> None:
    (schema,) = ToolSet(get_weather).schemas()
    assert schema == {
        "type": "function",
        "name": "get_weather",
        "description": "Return the weather forecast for a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "the city, as the caller named it"},
                "days": {"type": "integer", "description": "how many", "default": 1},
                "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
                "detail": {"type": "string", "enum": ["short", "long"], "default": "short"},
                "tags": {"type": ["array", "null"], "items": {"type": "string"}},
                "exact": {"type": "boolean", "default": False},
                "scale": {"type": "number", "default": 1.0},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


def test_schemas_can_be_sent() -> None:
    assert orjson.loads(orjson.dumps(ToolSet(get_weather).schemas()))


def test_an_attrs_class() -> None:
    def visit(place: Place) -> None:
        """Go there."""

    (schema,) = ToolSet(visit).schemas()
    assert schema["parameters"]["properties"]["place"] == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "the city's name"},
            "country": {"type": ["string", "null"]},
            "size": {"type": "integer", "default": 1},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


SCHEMAS: list[tuple[Any, Any]] = [
    (Any, {}),
    (list, {"type": "array", "items": {}}),
    (dict, {"type": "object", "additionalProperties": True}),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    (Unit | None, {"anyOf": [{"type": "string", "enum": ["c", "f"]}, {"type": "null"}]}),
    (Literal[1, "a"], {"enum": [1, "a"]}),
    (Annotated[str, "a name"], {"type": "string", "description": "a name"}),
    (list[list[bool]], {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}}),
]


@pytest.mark.parametrize(("kind", "schema"), SCHEMAS)
def test_schemas_of_types(kind: Any, schema: Any) -> None:
    assert shape_of(kind).schema == schema


def test_google_style_documentation() -> None:
    text = """Do it.

    Args:
        one: first
        two (str, optional): second
            with more
    Returns:
        one: not this
    """
    texts = {"one": "first", "two": "second with more"}
    assert documentation(text, ["one", "two"]) == ("Do it.", texts)


def test_documentation_without_a_blank_line() -> None:
    assert documentation("Do it.\none: first", ["one"]) == ("Do it.", {"one": "first"})
    assert documentation("", ["one"]) == ("", {})


def test_a_function_without_documentation_has_its_name() -> None:
    def silent() -> None: ...

    assert ToolSet(silent).schemas()[0]["description"] == "Tool: silent"


# -- calls ----------------------------------------------------------------------------------------


async def test_a_call() -> None:
    arguments = '{"city":"Oslo","days":2.0,"unit":"f","tags":["a"],"exact":true,"scale":2}'
    assert await call(get_weather, arguments) == "Oslo 2 FAHRENHEIT short ['a'] True 2.0"
    arguments = '{"city":"Oslo","tags":null}'
    assert await call(get_weather, arguments) == "Oslo 1 CELSIUS short None False 1.0"


WRONG = [
    ("{}", "city: is missing and needed"),
    ('{"city":5}', "city: must be text, not 5"),
    ('{"city":"O","towns":1}', "towns: is no argument here (known: city, days,"),
    ('{"city":"O","days":"2"}', 'days: must be a whole number, not "2"'),
    ('{"city":"O","days":2.5}', "days: must be a whole number, not 2.5"),
    ('{"city":"O","days":true}', "days: must be a whole number, not true"),
    ('{"city":"O","days":null}', "days: cannot be null; leave it out"),
    ('{"city":"O","unit":"k"}', 'unit: must be one of "c", "f", not "k"'),
    ('{"city":"O","tags":"a"}', 'tags: must be a list, not "a"'),
    ('{"city":"O","tags":["a",1]}', "tags[1]: must be text, not 1"),
    ('{"city":"O","exact":"yes"}', 'exact: must be true or false, not "yes"'),
    ('{"city":"O","scale":"1"}', 'scale: must be a number, not "1"'),
    ("[]", "the arguments must be a JSON object"),
    ("nonsense", "the arguments are not JSON"),
]


@pytest.mark.parametrize(("arguments", "problem"), WRONG)
async def test_wrong_arguments_are_named_to_the_model(arguments: str, problem: str) -> None:
    result = await call(get_weather, arguments)
    assert result.keys() == {"error"}
    assert f"get_weather: {problem}" in result["error"]


async def test_attrs_arguments_are_built_and_checked() -> None:
    def visit(place: Place) -> str:
        return repr(place)

    assert await call(visit, '{"place":{"city":"Ulm"}}') == repr(Place(city="Ulm"))
    for arguments, problem in [
        ('{"place":{}}', "visit: place.city: is missing"),
        ('{"place":{"city":"U","size":0}}', "visit: place: 'size' must be > 0"),
        ('{"place":"U"}', 'visit: place: must be an object, not "U"'),
    ]:
        assert problem in (await call(visit, arguments))["error"]


async def test_empty_arguments_are_none_at_all() -> None:
    def ping() -> str:
        return "pong"

    assert await ToolSet(ping).call("ping", "") == '"pong"'


async def test_an_unknown_tool_names_the_known_ones() -> None:
    result = orjson.loads(await ToolSet(get_weather).call("get_wether", "{}"))
    assert "did you mean 'get_weather'" in result["error"]
    assert "(known: get_weather)" in result["error"]


async def test_what_a_tool_raises_is_told_to_the_model_and_kept_for_the_program() -> None:
    def fails(why: str) -> None:
        raise LookupError(why)

    tools = ToolSet(fails)
    outcome = await tools.run("fails", '{"why":"no such city"}')
    assert outcome.output == '{"error":"no such city"}'
    assert isinstance(outcome.error, LookupError)
    bare = (await tools.run("fails", '{"why":"Ulm"}')).output
    assert bare == '{"error":"fails failed: LookupError Ulm"}'


async def test_a_tool_may_tell_the_model_why_not() -> None:
    def closed() -> None:
        raise ToolError("the shop is closed today")

    outcome = await ToolSet(closed).run("closed", "{}")
    assert outcome == ToolOutcome(output='{"error":"the shop is closed today"}')


async def test_a_tool_may_answer_silently() -> None:
    def note(what: str) -> Silent:
        return Silent({"noted": what})

    outcome = await ToolSet(note).run("note", '{"what": "tea"}')
    assert outcome == ToolOutcome(output='{"noted":"tea"}', silent=True)


async def test_cancellation_passes() -> None:
    async def forever() -> None:
        await trio.sleep_forever()

    with trio.move_on_after(0) as scope:
        await ToolSet(forever).call("forever", "{}")
    assert scope.cancelled_caught


@dataclass
class Receipt:
    total: int
    paid: bool


RESULTS = [
    ("text", '"text"'),
    (None, "null"),
    ({"a": [1, 2.5, True]}, '{"a":[1,2.5,true]}'),
    (Place(city="Ulm"), '{"city":"Ulm","country":null,"size":1}'),
    (Unit.CELSIUS, '"c"'),
    ({1: {"x"}}, '{"1":["x"]}'),
    (Decimal("12.50"), '"12.50"'),
    ({"wait": timedelta(minutes=90)}, '{"wait":"PT1H30M"}'),
    (timedelta(days=2, seconds=5, microseconds=250000), '"P2DT5.25S"'),
    (timedelta(seconds=-61), '"-PT1M1S"'),
    (timedelta(), '"PT0S"'),
    (2**64, "18446744073709551616"),
    ({"iban": [10**30, -(10**30)]}, f'{{"iban": [{10**30}, {-(10**30)}]}}'),
    ({"n": 2**70, "on": date(2026, 11, 30), "at": Place(city="Ulm")},
     f'{{"n": {2**70}, "on": "2026-11-30", "at": {{"city": "Ulm", "country": null, "size": 1}}}}'),
    ({"n": 2**70, "price": Decimal("0.10"), Unit.CELSIUS: math.nan},
     f'{{"n": {2**70}, "price": "0.10", "Unit.CELSIUS": null}}'),
    (Receipt(total=2**80, paid=True), f'{{"total": {2**80}, "paid": true}}'),
    (np.float32(0.5), "0.5"),
    (Path("menu.txt"), '"menu.txt"'),
    (range(3), "[0,1,2]"),
]  # fmt: skip


@pytest.mark.parametrize(("result", "output"), RESULTS, ids=[str(r[1]) for r in RESULTS])
async def test_results_are_encoded_once(result: Any, output: str) -> None:
    tools = ToolSet()
    tools.add(lambda: result, name="f")
    assert await tools.call("f", "{}") == output


async def test_a_result_that_is_no_json() -> None:
    tools = ToolSet()
    tools.add(lambda: object(), name="f")
    outcome = await tools.run("f", "{}")
    assert "error" in orjson.loads(outcome.output)
    assert isinstance(outcome.error, TypeError)


# -- sets -----------------------------------------------------------------------------------------


def test_adding_in_every_way() -> None:
    tools = ToolSet(get_weather)

    @tools.add
    def one() -> None: ...

    @tools.add(name="second", description="Do it.")
    def two() -> None: ...

    def three(a: int, b: int) -> None: ...

    tools.add(functools.partial(three, b=1), name="three")
    assert [tool.name for tool in tools] == ["get_weather", "one", "second", "three"]
    assert tools.schemas()[2]["description"] == "Do it."
    assert "one" in tools
    assert len(ToolSet(tools, one)) == 4


def test_methods_are_tools() -> None:
    class Desk:
        def ask(self, what: str) -> str:
            """Ask the desk."""
            return what

    (schema,) = ToolSet(Desk().ask).schemas()
    assert schema["parameters"]["required"] == ["what"]


def stars(*cities: str) -> None: ...
def keywords(**options: str) -> None: ...
def positional(city: str, /) -> None: ...
def untyped(city) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def complex_type(city: complex) -> None: ...
def union(city: str | int) -> None: ...
def keys(city: dict[int, str]) -> None: ...
def unresolved(city: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@attrs.frozen
class Node:
    child: Node | None = None


def recursive(node: Node) -> None: ...


def wordy() -> None: ...


wordy.__doc__ = "x" * (DESCRIPTION_CHARACTERS + 1)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (stars, "by name"),
        (keywords, "by name"),
        (positional, "by name"),
        (untyped, "'city' has no type"),
        (complex_type, "'city': complex is not supported; use str, int"),
        (union, "'city'.*only one type"),
        (keys, "keys of JSON objects are text"),
        (unresolved, "Nowhere"),
        (recursive, "Node contains itself"),
        (wordy, "1025 characters"),
    ],
)
def test_what_cannot_be_a_tool(function: Any, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem) as caught:
        ToolSet(function)
    assert re.search(rf"{function.__name__} \(.*test_tools\.py:\d+\)", str(caught.value))


def test_names() -> None:
    with pytest.raises(ScenarioError, match="'<lambda>' is no name"):
        ToolSet(lambda: None)
    with pytest.raises(ScenarioError, match="must be a function"):
        ToolSet("get_weather")  # type: ignore[arg-type]
    tools = ToolSet(get_weather)
    tools.add(get_weather)  # the same again is no conflict
    with pytest.raises(ScenarioError, match=r"already.*test_tools\.py"):
        tools.add(lambda: None, name="get_weather")


# -- schema and reader agree ----------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
KINDS = st.sampled_from(
    [str, int, float, bool, list[int], dict[str, bool], Literal["a", 1], Unit, int | None, Place]
)


@given(KINDS, JSON_VALUES)
def test_the_reader_takes_what_the_schema_allows(kind: Any, value: Any) -> None:
    shape = shape_of(kind)
    problem = _refusal(shape, value)
    allowed = _allowed(shape.schema, value)
    if kind is Place and allowed:
        allowed = value.get("size", 1) > 0  # its validator; the schema does not say it
    assert (problem is None) == allowed
    assert problem is None or problem.startswith("x")


def _refusal(shape: Shape, value: Any) -> str | None:
    try:
        shape.read(value, "x")
    except BadArgument as problem:
        return str(problem)
    return None


def _allowed(schema: Any, value: Any) -> bool:
    """Judge a value by the schema alone, as a service would."""
    if "anyOf" in schema:
        return any(_allowed(each, value) for each in schema["anyOf"])
    if "enum" in schema and not any(type(v) is type(value) and v == value for v in schema["enum"]):
        return False
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(kind, value) for kind in kinds):
        return False
    if isinstance(value, list):
        return all(_allowed(schema.get("items", {}), each) for each in value)
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
        if not set(schema.get("required", [])) <= value.keys():
            return False
        rules = [(known.get(name, rest), each) for name, each in value.items()]
        return all(rule is True or (rule and _allowed(rule, each)) for rule, each in rules)
    return True


def _is(kind: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "string": isinstance(value, str),
        "integer": number and value == int(value),
        "number": number,
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
        "null": value is None,
    }[kind]
