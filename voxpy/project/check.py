"""Everything that is wrong with a project's files, found without running any of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voxpy.errors import ConfigError
from voxpy.project.problem import Problem
from voxpy.project.routing import Routing, inspect_routing, missing_scenarios, read_document
from voxpy.project.secrets import Secrets
from voxpy.project.static_check import Reading, examine

__all__ = ["Problem", "check", "check_scenario"]


def check(routing_path: Path, secrets_path: Path) -> list[Problem]:
    """Return the problems of the routing file, the secrets and every scenario a rule names.

    In the order routing, secrets, scenarios; within a file by line. Raises nothing for what the
    files contain. No scenario is executed.
    """
    problems: list[Problem] = []
    routing = _check_routing(routing_path, problems)
    secrets = _check_secrets(secrets_path, problems)
    if routing is None:
        return problems
    base = routing_path.parent
    paths = {path: None for rule in routing.rules for path in rule.paths(base) if path.is_file()}
    found = {path: check_scenario(path, secrets) for path in paths}
    problems += _idle_rules(routing, base, found)
    for findings in found.values():
        problems += findings.problems
    files = dict.fromkeys([str(routing_path), str(secrets_path), *map(str, paths)])
    rank = {file: n for n, file in enumerate(files)}
    return sorted(problems, key=lambda p: (rank[p.file], p.line or 0))


def check_scenario(path: Path, secrets: Secrets | None = None) -> Reading:
    """Examine one scenario file; with ``secrets`` also whether it asks for one that is missing."""
    file = str(path)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        return Reading(problems=(Problem(file, None, "error", f"cannot be read: {exc}"),))
    findings = examine(source, file=file)
    if secrets is None:
        return findings
    missing = [
        Problem(file, use.line, "warning", secrets.missing(use.name))
        for use in findings.secrets
        if secrets.get(use.name) is None
    ]
    every = sorted((*findings.problems, *missing), key=lambda p: p.line or 0)
    return Reading(problems=tuple(every), listens=findings.listens, secrets=findings.secrets)


def _check_routing(path: Path, problems: list[Problem]) -> Routing | None:
    try:
        document = read_document(path)
    except ConfigError as exc:
        problems.append(Problem.from_config_error(exc, file=str(path)))
        return None
    routing, found = inspect_routing(document)
    found += missing_scenarios(routing, path.parent)
    problems += found
    return routing


def _check_secrets(path: Path, problems: list[Problem]) -> Secrets | None:
    try:
        secrets = Secrets(path)
    except ConfigError as exc:
        problems.append(Problem.from_config_error(exc, file=str(path)))
        return None
    problems += secrets.warnings
    return secrets


def _idle_rules(routing: Routing, base: Path, found: dict[Path, Reading]) -> Iterable[Problem]:
    """Yield a warning for each rule whose calls nobody would ever answer."""
    for rule in routing.rules:
        files = [found[path] for path in rule.paths(base) if path in found]
        if files and len(files) == len(rule.scenarios) and not any(f.listens for f in files):
            nothing = "none of its scenarios listens to anything: its calls would only ring"
            problem = f"rule {rule.name!r}: {nothing}; add VoxEngine.add_event_listener(...)"
            yield Problem(routing.file, rule.line, "warning", problem)
