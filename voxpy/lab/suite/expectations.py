"""The ``expect:`` section of a caller's script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.engine.ending import EndReason
from voxpy.engine.userfile import Document, YamlPath
from voxpy.errors import nearest
from voxpy.simulation.scriptvalues import check_keys, read_number, read_words
from voxpy.testing.transcript.expected import Expected, parse_transcript

__all__ = ["EXPECT_KEYS", "Expectations", "ExpectedTool", "read_expectations"]

EXPECT_KEYS = (
    "transcript", "events", "tools", "log", "recording_s", "end", "latency_ms", "dead_air_s",
    "talk_over_s", "interrupted_within_ms", "keywords", "word_error_rate", "judge",
)  # fmt: skip
LATENCIES = ("p50", "p95", "max")
SPEAKERS = ("agent", "caller", "callee")
_PATH: YamlPath = ("expect",)


@attrs.frozen(kw_only=True)
class ExpectedTool:
    """A function the model must call; ``arguments`` are those that matter, None for any.

    ``result`` is searched in what was sent back, as JSON.
    """

    name: str
    arguments: Mapping[str, Any] | None = None
    result: re.Pattern[str] | None = None


@attrs.frozen(kw_only=True)
class Expectations:
    """What a call must have been. None and empty: not asked."""

    transcript: Expected | None = None
    events: tuple[str, ...] = ()
    tools: tuple[ExpectedTool, ...] | None = None
    log: tuple[re.Pattern[str], ...] = ()
    recording_s: tuple[float, float] | None = None
    end: EndReason | None = None
    latency_ms: Mapping[str, float] = attrs.field(factory=dict)
    dead_air_s: float | None = None
    talk_over_s: float | None = None
    interrupted_within_ms: float | None = None
    keywords: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    word_error_rate: float | None = None
    judge: tuple[str, ...] = ()


def read_expectations(document: Document, value: Any) -> Expectations:
    """Return the expectations of a document; none if there is no ``expect:``.

    Raises ConfigError with file and line.
    """
    if value is None and "expect" not in document.value:
        return Expectations()
    if not isinstance(value, dict) or not value:
        raise document.error(_PATH, f"`expect:` must be a mapping of {', '.join(EXPECT_KEYS)}")
    check_keys(document, _PATH, value, EXPECT_KEYS)
    read = {key: _READERS[key](document, (*_PATH, key), given) for key, given in value.items()}
    return Expectations(**read)


def _transcript(document: Document, path: YamlPath, value: Any) -> Expected:
    if not isinstance(value, str) or not value.strip():
        problem = "transcript takes lines: `transcript: |`, and below it, indented, `agent: Hello`"
        raise document.error(path, problem)
    return parse_transcript(value, file=document.file, first_line=document.line(path) + 1)


def _texts(document: Document, path: YamlPath, value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    return tuple(read_words(document, (*path, n), text) for n, text in enumerate(given))


def _patterns(document: Document, path: YamlPath, value: Any) -> tuple[re.Pattern[str], ...]:
    return tuple(_pattern(document, path, text) for text in _texts(document, path, value))


def _pattern(document: Document, path: YamlPath, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise document.error(path, f"{text!r} is not a regular expression: {error}") from error


def _tools(document: Document, path: YamlPath, value: Any) -> tuple[ExpectedTool, ...]:
    if not isinstance(value, list):
        raise document.error(path, "tools takes a list of names, or [] for none")
    return tuple(_tool(document, (*path, n), tool) for n, tool in enumerate(value))


def _tool(document: Document, path: YamlPath, value: Any) -> ExpectedTool:
    fields = {"name": value} if isinstance(value, str) else value
    if not isinstance(fields, dict):
        raise document.error(path, "a tool is its name, or {name, arguments, result}")
    check_keys(document, path, fields, ("name", "arguments", "result"))
    arguments, result = fields.get("arguments"), fields.get("result")
    if arguments is not None and not isinstance(arguments, dict):
        raise document.error((*path, "arguments"), "arguments is a mapping of those that matter")
    return ExpectedTool(
        name=read_words(document, path, fields.get("name")),
        arguments=arguments,
        result=None if result is None else _pattern(document, path, str(result)),
    )


def _range(document: Document, path: YamlPath, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise document.error(path, "recording_s takes the shortest and the longest: [5, 60]")
    low, high = (read_number(document, (*path, n), number) for n, number in enumerate(value))
    if high < low:
        raise document.error(path, f"the longest is less than the shortest: [{low:g}, {high:g}]")
    return low, high


def _end(document: Document, path: YamlPath, value: Any) -> EndReason:
    known = [reason.value for reason in EndReason]
    if value not in known:
        problem = f"no session ends with {value!r}{nearest(str(value), known)}"
        raise document.error(path, f"{problem} (known: {', '.join(known)})")
    return EndReason(value)


def _latency(document: Document, path: YamlPath, value: Any) -> Mapping[str, float]:
    limits = value if isinstance(value, dict) else {"max": value}
    check_keys(document, path, limits, LATENCIES)
    return {key: read_number(document, (*path, key), limit) for key, limit in limits.items()}


def _keywords(document: Document, path: YamlPath, value: Any) -> Mapping[str, tuple[str, ...]]:
    words = value if isinstance(value, dict) else {"agent": value}
    check_keys(document, path, words, SPEAKERS)
    found = {who: _texts(document, (*path, who), given) for who, given in words.items()}
    for who, keywords in found.items():
        for keyword in keywords:
            if keyword.startswith("/") and keyword.endswith("/"):
                _pattern(document, (*path, who), keyword[1:-1])
    return found


_READERS: dict[str, Any] = {
    "transcript": _transcript,
    "events": _texts,
    "tools": _tools,
    "log": _patterns,
    "recording_s": _range,
    "end": _end,
    "latency_ms": _latency,
    "dead_air_s": read_number,
    "talk_over_s": read_number,
    "interrupted_within_ms": read_number,
    "keywords": _keywords,
    "word_error_rate": read_number,
    "judge": _texts,
}
