"""From a user's files to what runs: read once, checked and compiled together, or not at all.

``load_project`` is all of it: what ``voxpy check`` complains of is what a host would not start
with, and what it has read is what runs. Nothing is executed. ``ProjectFiles`` does it again when a
file changes while calls run: new calls get the new state, a bad one changes nothing but the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import attrs
import trio

from voxpy.channels.sip.listener import SipListener
from voxpy.engine.clock import off_loop
from voxpy.engine.faults import contained, explain
from voxpy.engine.loader import Program
from voxpy.engine.trace import Trace
from voxpy.errors import ConfigError
from voxpy.project.fleet import unshared
from voxpy.project.keeping import lacks
from voxpy.project.problem import Problem
from voxpy.project.routing import Routing, inspect_routing, missing_scenarios, read_document
from voxpy.project.scenario import Reading, read_scenario
from voxpy.project.secrets import Secrets

LOOK_EVERY_S = 1.0
"""A look is some ``stat`` calls; whoever saves a file waits as long to see it work."""


@attrs.frozen(kw_only=True)
class Project:
    """One good state of a user's files. ``programs`` are by rule name."""

    path: Path
    routing: Routing
    programs: Mapping[str, Program]
    secrets: Secrets
    version: str = ""
    """The same on every host with the same routing and scenarios."""

    def reached_at(self, address: str) -> Project:
        """Return the same for a host whose SIP is reached at an address of its own."""
        channels = tuple(
            attrs.evolve(channel, address=address) if isinstance(channel, SipListener) else channel
            for channel in self.routing.channels
        )
        return attrs.evolve(self, routing=attrs.evolve(self.routing, channels=channels))


@attrs.frozen(kw_only=True)
class Loaded:
    """What came of reading a project: None if there is an error among the problems.

    Problems come in the order routing, secrets, scenarios; within a file by line.
    """

    problems: tuple[Problem, ...]
    project: Project | None


def load_project(routing_path: Path, secrets: Secrets | Path) -> Loaded:
    """Read the routing file, every scenario a rule names, and the secrets unless they are known.

    Raises nothing for what the files contain.
    """
    problems: list[Problem] = []
    routing = _routing(routing_path, problems)
    known = _secrets(secrets, problems)
    if routing is None:
        return Loaded(problems=tuple(problems), project=None)
    if known is not None:
        problems += lacks(routing.keeping, known)
    base = routing_path.parent
    paths = {path: None for rule in routing.rules for path in rule.paths(base) if path.is_file()}
    readings = {path: read_scenario(path, known) for path in paths}
    problems += _idle_rules(routing, base, readings)
    problems += _untrunked(routing, readings)
    problems += _uncertified(routing)
    if known is not None:
        problems += unshared(routing.fleet, known, routing.file)
    for reading in readings.values():
        problems += reading.problems
    secrets_path = secrets if isinstance(secrets, Path) else secrets.path
    files = dict.fromkeys([str(routing_path), str(secrets_path), *map(str, paths)])
    rank = {file: n for n, file in enumerate(files)}
    problems.sort(key=lambda p: (rank[p.file], p.line or 0))
    if known is None or any(problem.level == "error" for problem in problems):
        return Loaded(problems=tuple(problems), project=None)
    programs = {
        rule.name: Program(
            tuple(file for path in rule.paths(base) if (file := readings[path].file) is not None)
        )
        for rule in routing.rules
    }
    said = [routing.version, *(f"{path.name}\0{readings[path].text}" for path in sorted(paths))]
    project = Project(
        path=routing_path,
        routing=routing,
        programs=programs,
        secrets=known,
        version=hashlib.sha256("\0".join(said).encode()).hexdigest()[:8],
    )
    return Loaded(problems=tuple(problems), project=project)


def _routing(path: Path, problems: list[Problem]) -> Routing | None:
    try:
        document = read_document(path)
    except ConfigError as exc:
        problems.append(Problem.from_config_error(exc, file=str(path)))
        return None
    routing, found = inspect_routing(document)
    problems += found
    problems += missing_scenarios(routing, path.parent)
    return routing


def _secrets(secrets: Secrets | Path, problems: list[Problem]) -> Secrets | None:
    try:
        known = secrets if isinstance(secrets, Secrets) else Secrets(secrets)
    except ConfigError as exc:
        problems.append(Problem.from_config_error(exc, file=str(secrets)))
        return None
    problems += known.warnings
    if known.problem is not None:
        problems.append(Problem.from_config_error(known.problem, file=str(known.path)))
    return known


def _idle_rules(
    routing: Routing, base: Path, readings: Mapping[Path, Reading]
) -> Iterable[Problem]:
    """Yield a warning for each rule whose calls nobody would ever answer."""
    for rule in routing.rules:
        files = [readings[path] for path in rule.paths(base) if path in readings]
        if files and len(files) == len(rule.scenarios) and not any(f.listens for f in files):
            nothing = "none of its scenarios listens to anything: its calls would only ring"
            problem = f"rule {rule.name!r}: {nothing}; add VoxEngine.add_event_listener(...)"
            yield Problem(routing.file, rule.line, "warning", problem)


BY_NUMBER = ("call_pstn", "call_whatsapp_user", "forward_call_to_pstn")


def _untrunked(routing: Routing, readings: Mapping[Path, Reading]) -> Iterable[Problem]:
    """Yield a warning for each scenario whose own calls nothing would carry."""
    has_sip = any(isinstance(channel, SipListener) for channel in routing.channels)
    for path, reading in readings.items():
        lost = [
            use
            for use in reading.dials
            if not (routing.trunks if use.name in BY_NUMBER else has_sip)
        ]
        if lost:
            what = ", ".join(dict.fromkeys(use.name for use in lost))
            by_number = all(use.name in BY_NUMBER for use in lost)
            missing = "no trunk to carry it" if by_number else "no sip: channel to carry it"
            told = f"{what}: routing.yaml has {missing}; on a host such a call fails"
            hint = "with 503 (voxpy run and tests play whoever is called)"
            yield Problem(str(path), lost[0].line, "warning", f"{told} {hint}")


def _uncertified(routing: Routing) -> Iterable[Problem]:
    """Yield a warning for each file of TLS that is not on this machine; others may have it."""
    for channel in routing.channels:
        if not isinstance(channel, SipListener) or channel.tls_port is None:
            continue  # without a port the proxy in front has it, or nobody
        for path in (channel.certificate, channel.key):
            if path is not None and not path.is_file():
                told = f"channels: {channel.name}: there is no file {str(path)!r}; without it"
                yield Problem(routing.file, None, "warning", f"{told} voxpy serve does not start")


# -- while calls run -------------------------------------------------------------------------------

State = Mapping[Path, tuple[int, int, int]]
"""Of every file: when it changed, its size and its inode; zeros for one that is not there."""


class ProjectFiles:
    """The newest good state of the files, and a task that watches them.

    ``reloaded`` is told whether each new state was good; ``told`` are problems that the log has.
    """

    def __init__(self, project: Project, *, log: Trace, told: Iterable[Problem] = ()) -> None:
        self.project = project
        self._told = set(told)
        self.reloaded: Callable[[bool], None] = lambda good: None
        self._log = log
        self._seen = self._state()

    async def watch(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Take over what has changed, if anything has and it is good; say so either way."""
        now = self._state()
        if now == self._seen:
            return
        self._seen = now
        loaded = Loaded(problems=(), project=None)
        with contained(self._unread):  # whatever a file may be, the host goes on as before
            loaded = await off_loop(load_project, self.project.path, self.project.secrets)
        if loaded.project is None:
            self._log.warning("the files have errors; new calls go on as before")
        else:
            before, self.project = self.project, loaded.project
            self._seen = self._state()
            self._log.step("reloaded", file=str(self.project.path))
            for what, at_start in _AT_START.items():
                if at_start(before) != at_start(self.project):
                    told = "that takes effect at the next start"
                    self._log.warning(f"{what} in routing.yaml changed: {told}")
        for problem in loaded.problems:
            if problem.level == "error" or problem not in self._told:  # a warning once is enough
                self._log.write(problem.level, problem.text)
        self._told |= set(loaded.problems)
        self.reloaded(loaded.project is not None)

    def _unread(self, error: BaseException) -> None:
        self._log.write("error", "the files cannot be read", error=explain(error).message)

    def _state(self) -> State:
        project = self.project
        files = {file.path for program in project.programs.values() for file in program.files}
        return {file: _stat(file) for file in (project.path, project.secrets.path, *files)}


_AT_START: Mapping[str, Callable[[Project], object]] = {
    "channels": lambda project: project.routing.channels,
    "fleet": lambda project: project.routing.fleet,
    "where history goes": lambda project: project.routing.keeping.history.postgres,
    "where recordings go": lambda project: project.routing.keeping.recordings,
}
"""What is not read again while a host runs."""


def _stat(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)
