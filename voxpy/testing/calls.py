"""One whole call in virtual time: a scenario, a caller's script, a scripted agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

from voxpy.engine.loader import compile_scenarios
from voxpy.engine.ports import Endpoint, OpenStream
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry
from voxpy.errors import ConnectFailed
from voxpy.host.callerfile import parse_script
from voxpy.host.localcall import LocalCall, LocalCallResult, run_local_call
from voxpy.host.secrets import Secrets
from voxpy.host.sessions import HostedSession
from voxpy.host.streams import MemoryDialer
from voxpy.localagent.engines import Engines
from voxpy.localagent.responder import Act, Turn
from voxpy.testing.engines import ScriptedResponder, scripted_engines
from voxpy.testing.virtual import run_virtual

__all__ = ["CallKit", "FinishedCall", "Serve"]

Serve = Callable[[trio.abc.Stream], Awaitable[None]]
"""The far side of one connection: speaks over the stream, and closes it in the end."""


@attrs.frozen(kw_only=True)
class FinishedCall:
    """A call that is over, with everything it left. ``turns`` is what the agent was asked."""

    result: LocalCallResult
    entries: Sequence[Entry]
    hosted: HostedSession
    turns: Sequence[Turn]

    def names(self, kind: str) -> list[str]:
        """Return the names of the trace's entries of one kind, in order."""
        return [e.name for e in self.entries if e.kind == kind]

    def find(self, name: str) -> list[Entry]:
        """Return the entries of a name, in order."""
        return [e for e in self.entries if e.name == name]

    @property
    def log(self) -> list[str]:
        """The scenario's own log lines."""
        return [str(e.personal.get("text", "")) for e in self.entries if e.kind == "log"]

    @property
    def errors(self) -> list[BaseException]:
        """What went wrong in handlers and tasks of the session."""
        return self.hosted.session.errors


class _Watch:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.hosted: HostedSession | None = None

    def progress(self, text: str) -> None:
        """Nobody waits on virtual time."""

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def session_began(self, session: HostedSession) -> None:
        self.hosted = session


class CallKit:
    """Runs calls in a folder of its own. The ``voxpy`` fixture of the pytest plugin is one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = 0

    def call(
        self,
        scenario: str | Path | Sequence[Path],
        caller: str,
        *,
        agent: Sequence[str | Act] | Callable[[Turn], Sequence[Act]] = (),
        secrets: Mapping[str, str] | None = None,
        settings: Settings | None = None,
        engines: Engines | None = None,
        endpoint: str = "local",
        serve: Serve | None = None,
        open_stream: OpenStream | None = None,
        check_errors: bool = True,
    ) -> FinishedCall:
        """Run one call on virtual time and return it.

        ``scenario`` is a path, several, or Python source; ``caller`` the YAML of a caller's script,
        or only its steps; ``agent`` what the agent says, turn by turn, or a function of the Turn.
        ``serve`` takes the place of the local agent at the far side of every stream a scenario
        opens; ``open_stream`` that of the network altogether. ``endpoint`` is then any ws:// URL,
        or ``inworld``. Errors of the scenario's handlers are raised at the end unless
        ``check_errors`` is False.
        Raises what makes a call impossible (ConfigError, ScenarioError).
        """
        self._calls += 1
        responder = ScriptedResponder(agent)
        watch = _Watch()
        script = caller if "steps:" in caller else "steps:\n" + caller
        local = LocalCall(
            program=compile_scenarios(self._paths(scenario)),
            script=parse_script(script, file="caller.yaml", folder=self._folder),
            agent=_agent_for(endpoint, serve, open_stream),
            dialer=_dialer_for(serve, open_stream),
            session_id=f"test-{self._calls}",
            secrets=Secrets(self._folder / "secrets.env", environ=dict(secrets or {})),
            base=self._folder / ".voxpy",
            make_engines=lambda: engines or scripted_engines(responder),
            settings=settings or Settings(),
        )
        result = run_virtual(partial(run_local_call, local, watch))
        assert watch.hosted is not None
        finished = FinishedCall(
            result=result, entries=watch.entries, hosted=watch.hosted, turns=responder.turns
        )
        if check_errors and finished.errors:
            raise ExceptionGroup("the scenario's handlers failed", _exceptions(finished.errors))
        return finished

    def _paths(self, scenario: str | Path | Sequence[Path]) -> tuple[Path, ...]:
        if isinstance(scenario, Path):
            return (scenario,)
        if isinstance(scenario, str):
            path = self._folder / f"scenario{self._calls}.py"
            path.write_text(scenario, encoding="utf-8")
            return (path,)
        return tuple(scenario)


def _agent_for(endpoint: str, serve: Serve | None, open_stream: OpenStream | None) -> str:
    other = serve is not None or open_stream is not None
    return "ws://service.test/session" if other and endpoint == "local" else endpoint


def _dialer_for(
    serve: Serve | None, open_stream: OpenStream | None
) -> Callable[[trio.Nursery], OpenStream]:
    if open_stream is not None:
        return lambda _: open_stream
    if serve is not None:
        return lambda nursery: MemoryDialer(nursery, serve)
    return lambda _: _no_network


async def _no_network(endpoint: Endpoint) -> trio.abc.Stream:
    """Refuse: virtual time jumps over whatever a socket would take."""
    await trio.lowlevel.checkpoint()
    raise ConnectFailed(
        f"{endpoint.host}:{endpoint.port}: a call on virtual time has no network; "
        "give the kit serve= or open_stream="
    )


def _exceptions(errors: Sequence[BaseException]) -> list[Exception]:
    return [e if isinstance(e, Exception) else RuntimeError(repr(e)) for e in errors]
