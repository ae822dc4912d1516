"""Settings out of YAML: every wrong key and value is a finding with its line. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs

from voxpy.engine.settings import Limits, OnHandlerError, Settings, Watchdogs, may_be_off
from voxpy.engine.yaml_lines import Document, YamlPath
from voxpy.errors import nearest
from voxpy.project.problem import Problem

__all__ = ["SETTINGS_KEYS", "Findings", "structure_settings"]

SETTINGS_KEYS = ("limits", "watchdogs", "on_handler_error", "replayable")

_ON_HANDLER_ERROR: Mapping[str, OnHandlerError] = {"terminate": "terminate", "continue": "continue"}

Bounds = TypeVar("Bounds", Limits, Watchdogs)


class Findings:
    """Collects what is wrong with a document, so that one check reports everything at once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def error(self, path: YamlPath, message: str) -> None:
        """Note that what stands at ``path`` cannot work."""
        self._note(path, Problem(self.document.file, None, "error", message))

    def warning(self, path: YamlPath, message: str) -> None:
        """Note that what stands at ``path`` is very likely not what was meant."""
        self._note(path, Problem(self.document.file, None, "warning", message))

    def _note(self, path: YamlPath, problem: Problem) -> None:
        self.problems.append(attrs.evolve(problem, line=self.document.line(path)))

    def mapping(self, value: Any, path: YamlPath, *, what: str) -> Mapping[str, Any]:
        """Return ``value`` if it is a mapping, else an empty one; all but null are errors."""
        if isinstance(value, Mapping):
            return value
        if value is not None:
            self.error(path, f"{what} must be a mapping (key: value), not {value!r}")
        return {}

    def unknown_keys(
        self, value: Mapping[Any, Any], path: YamlPath, *, known: Iterable[str], what: str
    ) -> None:
        """Note every key of ``value`` that ``known`` does not have, with the nearest it has."""
        known = tuple(known)
        for key in value:
            if key not in known:
                hint = nearest(str(key), known) or f"; known are {', '.join(known)}"
                self.error((*path, str(key)), f"{what} has no {str(key)!r}{hint}")


def structure_settings(
    value: Mapping[str, Any], path: YamlPath, *, base: Settings, findings: Findings, what: str
) -> Settings:
    """Return ``base`` with what the SETTINGS_KEYS of ``value`` override; other keys are ignored.

    What is wrong goes into ``findings`` and keeps the base's value. ``what`` starts the messages:
    ``"rule 'support'"``.
    """
    limits = _bounds(value, "limits", path, base=base.limits, findings=findings, what=what)
    watchdogs = _bounds(value, "watchdogs", path, base=base.watchdogs, findings=findings, what=what)
    on_handler_error = base.on_handler_error
    if value.get("on_handler_error") is not None:
        chosen = value["on_handler_error"]
        if isinstance(chosen, str) and chosen in _ON_HANDLER_ERROR:
            on_handler_error = _ON_HANDLER_ERROR[chosen]
        else:
            problem = f"on_handler_error must be terminate or continue, not {chosen!r}"
            findings.error((*path, "on_handler_error"), f"{what}: {problem}")
    replayable = base.replayable
    if value.get("replayable") is not None:
        if isinstance(value["replayable"], bool):
            replayable = value["replayable"]
        else:
            problem = f"replayable must be true or false, not {value['replayable']!r}"
            findings.error((*path, "replayable"), f"{what}: {problem}")
    return Settings(
        limits=limits,
        watchdogs=watchdogs,
        on_handler_error=on_handler_error,
        replayable=replayable,
    )


def _bounds(
    owner: Mapping[str, Any],
    key: str,
    path: YamlPath,
    *,
    base: Bounds,
    findings: Findings,
    what: str,
) -> Bounds:
    path, what = (*path, key), f"{what}: {key}"
    given = findings.mapping(owner.get(key), path, what=what)
    fields = attrs.fields_dict(type(base))
    findings.unknown_keys(given, path, known=fields, what=what)
    for name, number in given.items():
        if name not in fields:
            continue
        # YAML 1.1 reads the word off as false; .inf is its way to write infinity.
        if number is False and may_be_off(fields[name]):
            number = math.inf
        try:
            base = attrs.evolve(base, **{name: number})
        except (TypeError, ValueError) as exc:
            off = ", or off" if may_be_off(fields[name]) else ""
            findings.error((*path, name), f"{what}: {exc}{off}")
    return base
