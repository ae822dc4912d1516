"""What a host runs: routing, compiled scenarios and secrets, loaded together or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from voxpy.engine.loader import Program, compile_scenarios
from voxpy.errors import ScenarioError
from voxpy.project.check import check
from voxpy.project.problem import Problem
from voxpy.project.routing import Routing, read_routing
from voxpy.project.secrets import Secrets

__all__ = ["Project", "Signature", "load_project", "signature"]

Signature = Mapping[Path, tuple[int, int, int]]
"""Of every file: when it changed, its size and its inode; zeros for one that is not there."""


@attrs.frozen(kw_only=True)
class Project:
    """One good state of a user's files. ``programs`` are by rule name."""

    routing: Routing
    programs: Mapping[str, Program]
    warnings: tuple[Problem, ...] = ()


def load_project(routing_path: Path, secrets_path: Path) -> Project | list[Problem]:
    """Read everything afresh; return the problems instead if there is an error among them.

    Nothing is run. What comes back as problems has the warnings in it as well.
    """
    problems = check(routing_path, secrets_path)
    if any(problem.level == "error" for problem in problems):
        return problems
    routing = read_routing(routing_path)
    base = routing_path.parent
    try:
        programs = {rule.name: compile_scenarios(rule.paths(base)) for rule in routing.rules}
    except ScenarioError as error:  # it changed after the check
        return [*problems, Problem(str(routing_path), None, "error", str(error))]
    return Project(routing=routing, programs=programs, warnings=tuple(problems))


def signature(routing_path: Path, project: Project | None, secrets: Secrets) -> Signature:
    """Return what tells whether any file of the project has changed."""
    files = {routing_path, secrets.path}
    if project is not None:
        files |= {file.path for program in project.programs.values() for file in program.files}
    return {file: _state(file) for file in files}


def _state(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
