"""Files that change while calls run: new calls get the new state, a bad one changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from voxpy.engine.clock import off_loop
from voxpy.engine.trace import Trace
from voxpy.project.loading import Project, load_project, signature
from voxpy.project.problem import Problem
from voxpy.project.secrets import Secrets

__all__ = ["ProjectFiles"]

LOOK_EVERY_S = 1.0
"""A look is some ``stat`` calls; whoever saves a file waits as long to see it work."""


class ProjectFiles:
    """The newest good state of the files, and a task that watches them.

    ``reloaded`` is told whether each new state was good.
    """

    def __init__(
        self,
        routing_path: Path,
        secrets: Secrets,
        project: Project,
        *,
        log: Trace,
        reloaded: Callable[[bool], None],
    ) -> None:
        self.project = project
        self.secrets = secrets
        self._routing_path = routing_path
        self._log = log
        self._reloaded = reloaded
        self._seen = signature(routing_path, project, secrets)

    async def watch(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Take over what has changed, if anything has and it is good; say so either way."""
        now = signature(self._routing_path, self.project, self.secrets)
        if now == self._seen:
            return
        self._seen = now
        loaded = await off_loop(load_project, self._routing_path, self.secrets.path)
        good = isinstance(loaded, Project)
        if isinstance(loaded, Project):
            before, self.project = self.project, loaded
            self._seen = signature(self._routing_path, loaded, self.secrets)
            self._log.step("reloaded", file=str(self._routing_path))
            self._say_what_needs_a_restart(before)
        else:
            self._log.warning("the files have errors; new calls go on as before")
            for problem in loaded:
                self._tell(problem)
        self._reloaded(good)

    def _tell(self, problem: Problem) -> None:
        self._log.write(problem.level, str(problem))

    def _say_what_needs_a_restart(self, before: Project) -> None:
        if before.routing.channels != self.project.routing.channels:
            self._log.warning("channels have changed: that takes effect at the next start")
