"""``routing.yaml``: which scenario answers which destination.

Rules are tried from the top; the first whose pattern matches the **whole** destination (the dialled
number or user name, never the caller) wins and no other runs (VoxEngine:
platform/voxengine/routing-rules). Pure, apart from ``read_routing``, which reads the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from voxpy.engine.settings import Settings
from voxpy.engine.yaml_lines import Document, YamlPath, load
from voxpy.errors import ConfigError
from voxpy.project.channels import Channel, default_channels, structure_channels
from voxpy.project.patterns import compile_pattern, matches_everything
from voxpy.project.problem import Problem, first_error
from voxpy.project.settings import SETTINGS_KEYS, Findings, structure_settings

__all__ = [
    "Match",
    "NoMatch",
    "Routing",
    "Rule",
    "Tried",
    "inspect_routing",
    "missing_scenarios",
    "parse_routing",
    "read_document",
    "read_routing",
]

TOP_LEVEL_KEYS = ("rules", "settings", "channels", "history", "trunks", "users")
MOST_KEEP_DAYS = 36500
RULE_KEYS = ("name", "pattern", "exclude", "scenarios", *SETTINGS_KEYS)


@attrs.frozen(kw_only=True)
class Rule:
    """One rule. ``scenarios`` are paths as written, relative to the routing file, run in order."""

    name: str
    pattern: re.Pattern[str]
    exclude: re.Pattern[str] | None = None
    scenarios: tuple[str, ...]
    scenario_lines: tuple[int, ...]
    settings: Settings
    line: int

    def try_on(self, destination: str) -> Tried:
        """Say whether this rule takes ``destination``."""
        matched = self.pattern.fullmatch(destination) is not None
        excluded = matched and bool(self.exclude and self.exclude.fullmatch(destination))
        return Tried(
            rule=self.name, pattern=self.pattern.pattern, matched=matched, excluded=excluded
        )

    def paths(self, base: Path) -> tuple[Path, ...]:
        """Return the scenario files; ``base`` is the folder of the routing file."""
        return tuple(base / scenario for scenario in self.scenarios)


@attrs.frozen(kw_only=True)
class Tried:
    """One pattern that was tried on a destination. ``excluded`` only if ``matched``."""

    rule: str
    pattern: str
    matched: bool
    excluded: bool

    def __str__(self) -> str:
        """``'support' (pattern): no match``, as a log line lists it."""
        outcome = "excluded" if self.excluded else "match" if self.matched else "no match"
        return f"{self.rule!r} ({self.pattern}): {outcome}"


@attrs.frozen(kw_only=True)
class Match:
    """``rule`` takes the call; ``tried`` ends with it."""

    rule: Rule
    tried: tuple[Tried, ...]


@attrs.frozen(kw_only=True)
class NoMatch:
    """No rule takes the call: the caller gets 404. ``tried`` has every rule."""

    tried: tuple[Tried, ...]


@attrs.frozen(kw_only=True)
class Routing:
    """A whole routing file. ``trunks`` and ``users`` are as written.

    ``keep_days`` is how long calls are kept in the history; None is for ever.
    """

    file: str
    rules: tuple[Rule, ...]
    settings: Settings = attrs.field(factory=Settings)
    channels: tuple[Channel, ...] = attrs.field(factory=default_channels)
    keep_days: float | None = None
    trunks: Mapping[str, Any] = attrs.field(factory=dict)
    users: Mapping[str, Any] = attrs.field(factory=dict)

    def match(self, destination: str) -> Match | NoMatch:
        """Return the first rule that takes ``destination``, and what was tried on the way."""
        tried: list[Tried] = []
        for rule in self.rules:
            tried.append(rule.try_on(destination))
            if tried[-1].matched and not tried[-1].excluded:
                return Match(rule=rule, tried=tuple(tried))
        return NoMatch(tried=tuple(tried))


def read_routing(path: Path) -> Routing:
    """Read and parse a routing file. Raises ConfigError (file, line) for the first error."""
    return _without_errors(read_document(path))


def read_document(path: Path) -> Document:
    """Read a routing file as YAML. Raises ConfigError if it is absent, unreadable or no YAML."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        missing = "there is no such file; --routing names another"
        raise ConfigError(missing, file=str(path)) from None
    except OSError as exc:
        raise ConfigError(f"cannot be read: {exc.strerror}", file=str(path)) from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise ConfigError("this line is not UTF-8 text", file=str(path), line=line) from exc
    return load(text, file=str(path))


def parse_routing(text: str, *, file: str = "routing.yaml") -> Routing:
    """Parse a routing file. Raises ConfigError for the first error; warnings are dropped."""
    return _without_errors(load(text, file=file))


def _without_errors(document: Document) -> Routing:
    routing, problems = inspect_routing(document)
    error = first_error(problems)
    if error is not None:
        raise error
    return routing


def inspect_routing(document: Document) -> tuple[Routing, list[Problem]]:
    """Return what is usable of a routing file, and everything that is wrong with it, by line."""
    findings = Findings(document)
    top = findings.mapping(document.value, (), what="the file")
    findings.unknown_keys(top, (), known=TOP_LEVEL_KEYS, what="the file")
    given = findings.mapping(top.get("settings"), ("settings",), what="settings")
    findings.unknown_keys(given, ("settings",), known=SETTINGS_KEYS, what="settings")
    settings = structure_settings(
        given, ("settings",), base=Settings(), findings=findings, what="settings"
    )
    rules = _rules(top.get("rules"), settings=settings, findings=findings)
    plain = {key: findings.mapping(top.get(key), (key,), what=key) for key in ("trunks", "users")}
    channels = structure_channels(top.get("channels"), ("channels",), findings=findings)
    routing = Routing(
        file=document.file,
        rules=rules,
        settings=settings,
        channels=channels,
        keep_days=_keep_days(top.get("history"), ("history",), findings),
        **plain,
    )
    return routing, sorted(findings.problems, key=lambda p: p.line or 0)


def missing_scenarios(routing: Routing, base: Path) -> list[Problem]:
    """Return an error for every scenario that is no file; ``base`` is the routing file's folder."""
    return [
        Problem(
            routing.file,
            line,
            "error",
            f"rule {rule.name!r}: there is no scenario file {str(path)!r}",
        )
        for rule in routing.rules
        for path, line in zip(rule.paths(base), rule.scenario_lines, strict=True)
        if not path.is_file()
    ]


def _keep_days(value: Any, path: YamlPath, findings: Findings) -> float | None:
    given = findings.mapping(value, path, what="history")
    findings.unknown_keys(given, path, known=("keep_days",), what="history")
    days = given.get("keep_days")
    if days is None:
        return None
    if isinstance(days, int | float) and not isinstance(days, bool) and 0 < days <= MOST_KEEP_DAYS:
        return float(days)
    problem = f"keep_days must be a number of days above 0, not {days!r}; without it all is kept"
    findings.error((*path, "keep_days"), f"history: {problem}")
    return None


def _rules(value: Any, *, settings: Settings, findings: Findings) -> tuple[Rule, ...]:
    path: YamlPath = ("rules",)
    if not isinstance(value, list) or not value:
        wrong = "" if value is None or value == [] else f", not {value!r}"
        findings.error(path, f"rules must be a list of at least one rule{wrong}")
        return ()
    rules: list[Rule] = []
    for index, item in enumerate(value):
        rule = _rule(item, (*path, index), settings=settings, findings=findings)
        if rule is not None:
            _compare(rule, rules, (*path, index), findings)
            rules.append(rule)
    return tuple(rules)


def _rule(item: Any, path: YamlPath, *, settings: Settings, findings: Findings) -> Rule | None:
    """Return the rule, or None if it lacks something; an unknown key costs only its finding."""
    if not isinstance(item, Mapping):
        findings.error(
            path, f"a rule must be a mapping (name:, pattern:, scenarios:), not {item!r}"
        )
        return None
    name = _word(item, "name", path, what=f"rule {path[-1] + 1}", findings=findings)
    what = f"rule {name!r}" if name else f"rule {path[-1] + 1}"
    findings.unknown_keys(item, path, known=RULE_KEYS, what=what)
    pattern = _pattern(item, "pattern", path, what=what, findings=findings)
    exclude = None
    if item.get("exclude") is not None:
        exclude = _pattern(item, "exclude", path, what=what, findings=findings)
    scenarios = _scenarios(item.get("scenarios"), (*path, "scenarios"), what, findings)
    settings = structure_settings(item, path, base=settings, findings=findings, what=what)
    if name is None or pattern is None or not scenarios:
        return None
    lines = [findings.document.line((*path, "scenarios", i)) for i in range(len(scenarios))]
    return Rule(
        name=name,
        pattern=pattern,
        exclude=exclude,
        scenarios=scenarios,
        scenario_lines=tuple(lines),
        settings=settings,
        line=findings.document.line(path),
    )


def _word(
    item: Mapping[str, Any], key: str, path: YamlPath, *, what: str, findings: Findings
) -> str | None:
    value = item.get(key)
    if isinstance(value, str) and value:
        return value
    if key not in item or value is None or value == "":
        findings.error((*path, key), f"{what}: {key} is missing")
    else:  # 0123 or +15550100 without quotes: YAML has already turned it into another number
        wrong = f"{key} must be text, but YAML reads {value!r} here"
        findings.error((*path, key), f"{what}: {wrong}; put it in single quotes")
    return None


def _pattern(
    item: Mapping[str, Any], key: str, path: YamlPath, *, what: str, findings: Findings
) -> re.Pattern[str] | None:
    text = _word(item, key, path, what=what, findings=findings)
    if text is None:
        return None
    try:
        return compile_pattern(text)
    except ValueError as exc:
        findings.error((*path, key), f"{what}: {key} {exc}")
        return None


def _scenarios(value: Any, path: YamlPath, what: str, findings: Findings) -> tuple[str, ...]:
    if value is None or value == []:
        findings.error(path, f"{what}: scenarios is missing: list the files the rule runs")
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        hint = f": write [{value}]" if isinstance(value, str) else ""
        findings.error(path, f"{what}: scenarios must be a list of files, not {value!r}{hint}")
        return ()
    good = [item for item in value if isinstance(item, str) and item]
    if len(good) < len(value):
        wrong = next(i for i, item in enumerate(value) if item not in good)
        findings.error((*path, wrong), f"{what}: {value[wrong]!r} is no path of a scenario file")
        return ()
    return tuple(good)


def _compare(rule: Rule, earlier: Sequence[Rule], path: YamlPath, findings: Findings) -> None:
    """Find what is wrong with a rule only because of those above it."""
    for other in earlier:
        if other.name == rule.name:
            problem = f"rule {rule.name!r}: the name is taken by the rule in line {other.line}"
            findings.error((*path, "name"), problem)
            break
    for other in earlier:
        if other.exclude is not None:
            continue
        if matches_everything(other.pattern) or other.pattern == rule.pattern:
            problem = f"is never reached: {other.name!r} (line {other.line}) takes all its calls"
            findings.warning(path, f"rule {rule.name!r} {problem}")
            return
