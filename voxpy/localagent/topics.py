"""What the rule responder can talk about: topics, read from a YAML file and checked.

The file that comes with voxpy, ``topics.yaml``, documents its own format at the top.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from voxpy.engine.userfile import YamlPath, load
from voxpy.errors import ConfigError


@attrs.frozen(kw_only=True)
class Topic:
    """One thing to talk about: how it is recognised, and what is said or done."""

    name: str
    match: tuple[re.Pattern[str], ...] = attrs.field(validator=attrs.validators.min_len(1))
    """Any of these, searched in the caller's words: lower case, punctuation removed, product names
    repaired."""
    fact: tuple[re.Pattern[str], ...] = ()
    """A sentence of the instructions with one of these in it is the answer, before ``say``."""
    say: tuple[str, ...] = ()
    """Answers, used in turn when the topic comes up again."""
    tool: tuple[str, ...] = ()
    """Functions that do it; the first one the session declares is called instead of answering."""
    arguments: dict[str, str] = attrs.field(factory=dict)
    """Arguments of the function, with named groups of ``match`` in braces."""
    reply: str = ""
    """What is said to the function's result, its fields in braces."""


@attrs.frozen(kw_only=True)
class Topics:
    """Everything a topics file says."""

    topics: tuple[Topic, ...]
    names: dict[str, tuple[re.Pattern[str], ...]] = attrs.field(factory=dict)
    """How the recogniser writes names it does not know, by the right name."""
    unknown: tuple[str, ...] = ("I heard: {heard}. I don't know about that, I'm afraid.",)
    """Answers when nothing matches; ``{heard}`` is what was understood."""
    unheard: tuple[str, ...] = ("Sorry, I didn't catch that. Could you say it again?",)
    """Answers when no words were recognised."""


def load_topics(path: str | Path | None = None) -> Topics:
    """Return the topics in the file ``path``, or those that come with voxpy.

    Raises ConfigError with the file, and the line where one is known, when the file cannot be read
    or is not YAML, for unknown or missing keys, values of the wrong kind and bad regular
    expressions.
    """
    if path is None:
        packaged = resources.files("voxpy.localagent").joinpath("topics.yaml")
        return _parse(packaged.read_text(encoding="utf-8"), "voxpy/localagent/topics.yaml")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the topics cannot be read: {exc}", file=str(path)) from exc
    return _parse(text, str(path))


def _parse(text: str, file: str) -> Topics:
    document = load(text, file=file)
    if not isinstance(document.value, dict):
        problem = "expected the key 'topics' and a list behind it"
        if document.value is None:  # an empty file has no line to point at
            raise ConfigError(problem, file=file)
        raise document.error((), problem)
    try:
        return _converter().structure(document.value, Topics)
    except cattrs.BaseValidationError as exc:
        problem, _, where = cattrs.transform_error(exc, format_exception=_explain)[0].rpartition(
            " @ "
        )
        path = _yaml_path(where)
        raise document.error(path, f"{where[2:] or 'the file'}: {problem}") from exc


def _yaml_path(where: str) -> YamlPath:
    """Return cattrs' ``$.topics[2].match`` as a path of keys and indices."""
    steps = re.findall(r"\.(\w+)|\[(\w+|'[^']*')\]", where)
    return tuple(key or (int(at) if at.isdigit() else at.strip("'")) for key, at in steps)


def _explain(exc: BaseException, wanted: Any) -> str:
    match exc:
        case cattrs.ForbiddenExtraKeysError():
            keys: set[Any] = exc.extra_fields  # as YAML has them, text or not
            told = sorted("null" if key is None else str(key) for key in keys)
            return f"unknown key {', '.join(told)}"
        case KeyError():
            return f"the key {exc.args[0]!r} is missing"
        case re.error():
            return f"{exc.pattern!r} is not a regular expression: {exc}"
        case _:
            return str(exc) or f"expected {wanted}"


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, lambda value, _: _text(value))
    converter.register_structure_hook_func(
        lambda kind: getattr(kind, "__origin__", None) is re.Pattern,
        lambda value, _: re.compile(_text(value), re.IGNORECASE),
    )
    converter.register_structure_hook_func(
        _is_many, lambda value, kind: _many(converter, value, kind)
    )
    for cls in (Topic, Topics):
        hook: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True)
        converter.register_structure_hook(
            cls, lambda value, kind, hook=hook: hook(_mapping(value), kind)
        )
    return converter


def _is_many(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is tuple and kind.__args__[0] is not Topic


def _many(converter: cattrs.Converter, value: Any, kind: Any) -> tuple[Any, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(converter.structure(one, kind.__args__[0]) for one in values)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"expected a text, not {value!r}")


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"expected keys and values, not {value!r}")
