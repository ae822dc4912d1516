"""From a Python type to what a model is told of it (JSON schema) and how its values are read.

Schema and reader are made together, by one walk over the type, so that nothing the schema allows
is refused and nothing it forbids gets through. Reading is strict on purpose: a general converter
turns ``3.7`` into 3, ``"no"`` into True and ``"abc"`` into three letters, and the tool then does
the wrong thing in silence; here the model is told and tries again. Pure.
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs
import orjson

SUPPORTED = (
    "str, int, float, bool, Any, list[T], dict[str, T], Literal, Enum, T | None and attrs classes"
)
QUOTED_CHARACTERS = 60


class BadArgument(ValueError):
    """A value does not have the shape it must have; the message starts with where it stands."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)


@attrs.frozen
class Shape:
    """One type: its JSON schema, and ``read(value, path)``, which raises BadArgument."""

    schema: dict[str, Any]
    read: Callable[[Any, str], Any]


def shape_of(kind: Any, *, within: tuple[Any, ...] = ()) -> Shape:
    """Return the shape of a type annotation, already resolved.

    ``within`` is for the recursion: the attrs classes around this type. Raises TypeError, with the
    types that are supported, for any other.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is typing.Annotated:
        return _annotated(args, within)
    if origin is Literal:
        return _one_of({value: value for value in args})
    if origin in (typing.Union, types.UnionType):
        return _optional(kind, args, within)
    if kind is list or origin is list:
        return _list(shape_of(args[0], within=within) if args else _ANYTHING)
    if kind is dict or origin is dict:
        return _dict(kind, args, within)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _one_of({member.value: member for member in kind})
    if isinstance(kind, type) and attrs.has(kind):
        return _attrs_class(kind, within)
    raise TypeError(f"{_name(kind)} is not supported; use {SUPPORTED}")


def fields_shape(
    fields: Mapping[str, Shape], *, defaults: Mapping[str, Any], texts: Mapping[str, str]
) -> Shape:
    """Return the shape of an object with these fields; reading it gives a dict.

    ``defaults`` has a value for every field that may be left out (it goes into the schema if it is
    JSON, and is not put into what is read); ``texts`` describes fields to the model.
    """
    properties = {}
    for name, shape in fields.items():
        known = dict(shape.schema)
        if name in texts:
            known["description"] = texts[name]
        default = defaults.get(name)
        if isinstance(default, enum.Enum):
            default = default.value
        if isinstance(default, str | int | float):
            known["default"] = default
        properties[name] = known
    required = [name for name in fields if name not in defaults]

    def read(value: Any, path: str) -> dict[str, Any]:
        _expect(isinstance(value, Mapping), "an object", value, path)
        unknown = [str(name) for name in value if name not in fields]
        if unknown:
            known = ", ".join(fields) or "none"
            raise BadArgument(_join(path, unknown[0]), f"is no argument here (known: {known})")
        missing = [name for name in required if name not in value]
        if missing:
            raise BadArgument(_join(path, missing[0]), "is missing and needed")
        return {
            name: _read_field(fields[name], given, _join(path, name), optional=name in defaults)
            for name, given in value.items()
            if not (given is None and name in defaults and defaults[name] is None)
        }

    schema = {"type": "object", "properties": properties, "required": required}
    return Shape({**schema, "additionalProperties": False}, read)


def _read_field(shape: Shape, value: Any, path: str, *, optional: bool) -> Any:
    try:
        return shape.read(value, path)
    except BadArgument as problem:
        if optional and value is None:  # models write null for what they leave out
            raise BadArgument(path, "cannot be null; leave it out") from problem
        raise


def documentation(doc: str, names: typing.Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the description in a docstring (cleaned, as by inspect.getdoc) and the texts of names.

    The description is the first paragraph, on one line. A name's text is what follows ``name:`` or
    ``name (type):`` at the start of a line, in Google's ``Args:`` section or not, with the lines
    indented deeper below it.
    """
    description: list[str] = []
    texts: dict[str, list[str]] = {}
    first, entry, depth = True, "", 0
    for line in doc.splitlines():
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        name, _, text = bare.partition(":")
        word = name.split("(")[0].strip().lstrip("*")
        if word in names and name != bare and word not in texts:
            first, entry, depth = False, word, indent
            texts[word] = [text.strip()]
        elif bare and entry and indent > depth:
            texts[entry].append(bare)
        elif first and bare and bare not in _HEADINGS:
            description.append(bare)
        else:
            entry = ""
            first = first and not description and not bare
    return " ".join(description), {n: " ".join(t).strip() for n, t in texts.items() if any(t)}


_HEADINGS = ("Args:", "Arguments:", "Parameters:", "Returns:", "Raises:")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _quote(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()  # as the model wrote it
    return text if len(text) <= QUOTED_CHARACTERS else text[: QUOTED_CHARACTERS - 1] + "…"


def _listed(values: Mapping[Any, Any]) -> str:
    return ", ".join(orjson.dumps(value).decode() for value in values)


def _expect(is_right: bool, wanted: str, value: Any, path: str) -> None:
    if not is_right:
        raise BadArgument(path, f"must be {wanted}, not {_quote(value)}")


def _text(value: Any, path: str) -> str:
    _expect(isinstance(value, str), "text", value, path)
    return str(value)


def _whole(value: Any, path: str) -> int:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # A model that counts in floats means the same number: 5.0 is five.
    _expect(number and value == value // 1, "a whole number", value, path)
    return int(value)


def _number(value: Any, path: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(number, "a number", value, path)
    return float(value)


def _boolean(value: Any, path: str) -> bool:
    _expect(isinstance(value, bool), "true or false", value, path)
    return bool(value)


_ANYTHING = Shape({}, lambda value, _path: value)
_SIMPLE: Mapping[Any, Shape] = {
    str: Shape({"type": "string"}, _text),
    int: Shape({"type": "integer"}, _whole),
    float: Shape({"type": "number"}, _number),
    bool: Shape({"type": "boolean"}, _boolean),
    Any: _ANYTHING,
}
_TYPE_NAMES: Mapping[type, str] = {str: "string", int: "integer", bool: "boolean"}


def _annotated(args: tuple[Any, ...], within: tuple[Any, ...]) -> Shape:
    shape = shape_of(args[0], within=within)
    text = next((extra for extra in args[1:] if isinstance(extra, str)), None)
    return shape if text is None else Shape({**shape.schema, "description": text}, shape.read)


def _one_of(values: Mapping[Any, Any]) -> Shape:
    kinds = {type(value) for value in values}
    if not kinds <= _TYPE_NAMES.keys():
        raise TypeError("the values of a Literal or Enum must be text, whole numbers or booleans")
    schema: dict[str, Any] = {"enum": list(values)}
    if len(kinds) == 1:
        schema = {"type": _TYPE_NAMES[kinds.pop()], **schema}

    def read(value: Any, path: str) -> Any:
        for known, result in values.items():
            if type(known) is type(value) and known == value:  # 1 is not True
                return result
        raise BadArgument(path, f"must be one of {_listed(values)}, not {_quote(value)}")

    return Shape(schema, read)


def _optional(kind: Any, args: tuple[Any, ...], within: tuple[Any, ...]) -> Shape:
    others = [arg for arg in args if arg is not types.NoneType]
    if len(others) != 1 or len(others) == len(args):
        raise TypeError(f"{kind} is not supported: only one type, or that type or None")
    inner = shape_of(others[0], within=within)
    plain = isinstance(inner.schema.get("type"), str) and "enum" not in inner.schema
    schema = (
        {**inner.schema, "type": [inner.schema["type"], "null"]}
        if plain
        else {"anyOf": [inner.schema, {"type": "null"}]}
    )
    return Shape(schema, lambda value, path: None if value is None else inner.read(value, path))


def _list(inner: Shape) -> Shape:
    def read(value: Any, path: str) -> list[Any]:
        _expect(isinstance(value, list), "a list", value, path)
        return [inner.read(each, f"{path}[{n}]") for n, each in enumerate(value)]

    schema = {"type": "array", "items": inner.schema}  # some services insist on "items"
    return Shape(schema, read)


def _dict(kind: Any, args: tuple[Any, ...], within: tuple[Any, ...]) -> Shape:
    if args and args[0] is not str:
        raise TypeError(f"{kind} is not supported: the keys of JSON objects are text")
    inner = shape_of(args[1], within=within) if args else _ANYTHING

    def read(value: Any, path: str) -> dict[str, Any]:
        _expect(isinstance(value, dict), "an object", value, path)
        return {name: inner.read(each, _join(path, name)) for name, each in value.items()}

    schema: dict[str, Any] = {"type": "object"}
    return Shape({**schema, "additionalProperties": inner.schema or True}, read)


def _attrs_class(kind: Any, within: tuple[Any, ...]) -> Shape:
    if kind in within:
        raise TypeError(f"{kind.__name__} contains itself, which a schema here cannot say")
    attrs.resolve_types(kind, include_extras=True)
    own = {field.name: field for field in attrs.fields(kind) if field.init}
    _, texts = documentation(inspect.cleandoc(kind.__doc__ or ""), own)
    shape = fields_shape(
        {name: shape_of(field.type, within=(*within, kind)) for name, field in own.items()},
        defaults={n: f.default for n, f in own.items() if f.default is not attrs.NOTHING},
        texts=texts,
    )

    def read(value: Any, path: str) -> Any:
        given = {own[name].alias: each for name, each in shape.read(value, path).items()}
        try:
            return kind(**given)
        except (TypeError, ValueError) as error:  # its validators and converters
            raise BadArgument(path, str(error)) from error

    return Shape(shape.schema, read)
