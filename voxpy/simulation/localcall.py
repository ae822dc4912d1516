"""One call on this machine: a simulated caller, a scenario, an agent, and whom it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.loader import Program
from voxpy.engine.ports import OpenStream, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.streams import open_tcp
from voxpy.engine.trace import Entry
from voxpy.history.history import History
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.localagent.connection import AgentConnection, Behaviour
from voxpy.localagent.engines import Engines, Samples
from voxpy.localagent.server import LOCAL_PATH, serve_stream, serve_tcp
from voxpy.project.secrets import Secrets
from voxpy.simulation.acting import act, spoken_steps
from voxpy.simulation.callees import Voices
from voxpy.simulation.script import CalleeScript, CallerScript, Step
from voxpy.simulation.service import ServiceScript
from voxpy.simulation.simulatedcall import LocalCallResult, SimulatedCall
from voxpy.simulation.soundcard import SoundCard
from voxpy.simulation.sounds import Script, line_ears, needs_ears, needs_voice, prepare_sounds
from voxpy.sockets.memory import MemoryDialer

if TYPE_CHECKING:
    from voxpy.engine.http import Fetch

__all__ = ["LOCAL_KEY", "LocalCall", "Observer", "run_local_call"]

LOCAL_KEY = "local-agent-needs-no-key"


@attrs.frozen(kw_only=True)
class LocalCall:
    """What to run. ``agent`` is ``local``, ``inworld`` or a ws:// or wss:// URL.

    ``make_engines`` is called only if something must be heard or spoken. ``sound`` plays the call;
    if it has a microphone, the person at it is the caller and the script is only waited through.
    ``dialer`` makes what opens streams to an agent that is not local, in place of TCP: for virtual
    time. ``fetch`` answers HTTP requests in place of the web.
    """

    program: Program
    script: CallerScript
    agent: str
    session_id: str
    secrets: Secrets
    base: Path
    make_engines: Callable[[], Engines]
    settings: Settings = attrs.field(factory=Settings)
    sound: SoundCard | None = None
    dialer: Callable[[trio.Nursery], OpenStream] | None = None
    history: History | None = None
    fetch: Fetch | None = None


class Observer(Protocol):
    """Whoever watches a local call: the terminal, or a test."""

    def progress(self, text: str) -> None:
        """Learn that something long has begun."""

    def entry(self, entry: Entry) -> None:
        """See an entry of the trace as it is written."""

    def session_began(self, session: HostedSession) -> None:
        """Get the session; ``session.session.end`` ends it."""


async def run_local_call(call: LocalCall, observer: Observer) -> LocalCallResult:
    """Run one call to its end. Raises what makes the call impossible: ConfigError, ScenarioError,
    EngineMissing; everything later is in the result.
    """
    speech = cache(call.make_engines)
    scripts: list[Script] = [call.script, *call.script.callees]
    spoken = call.agent == "local" or any(needs_voice(script) for script in scripts)
    engines = speech() if spoken else None
    async with trio.open_nursery() as nursery:
        if any(spoken_steps(script) for script in scripts):
            people = "the caller's voice" if len(scripts) == 1 else "the voices"
            observer.progress(f"preparing {people}")
        sounds = await prepare_sounds(call.script, engines)
        ready = {c: await prepare_sounds(c, engines) for c in call.script.callees}
        if engines is not None and _needs_ears(call) and not clock.is_virtual():
            # While the phone rings and the agent greets; nobody needs to be heard before that.
            nursery.start_soon(engines.run, engines.ears.warm_up)
        connections: list[AgentConnection] = []
        open_stream, endpoint = await _agent(call, engines, nursery, connections)
        media_clock = clock.MediaClock()
        nursery.start_soon(media_clock.run)
        simulated = SimulatedCall(
            SessionContext(
                session_id=call.session_id,
                rule_name="local",
                program=call.program,
                settings=call.settings,
                secrets=call.secrets,
                media_clock=media_clock,
                open_stream=open_stream,
                realtime=endpoint,
                speech=speech,
                fetch=call.fetch,
            ),
            Keeping(base=call.base, history=call.history, sinks=[observer.entry]),
            call.script,
            _voices(engines, speech, ready),
            sound=call.sound,
            connections=connections,
        )
        observer.session_began(simulated.hosted)
        result = await simulated.run(partial(act, script=call.script, sounds=sounds))
        nursery.cancel_scope.cancel()
    return result


def _voices(
    engines: Engines | None,
    speech: Callable[[], Engines],
    ready: Mapping[CalleeScript, Mapping[Step, Samples]],
) -> Voices:
    async def prepare(script: CalleeScript) -> Mapping[Step, Samples]:
        # Only whoever answers for a destination without a callee is not prepared for.
        return ready[script] if script in ready else await prepare_sounds(script, speech())

    return Voices(prepare=prepare, ears=lambda script: line_ears(script, engines))


async def _agent(
    call: LocalCall,
    engines: Engines | None,
    nursery: trio.Nursery,
    connections: list[AgentConnection],
) -> tuple[OpenStream, RealtimeEndpoint]:
    dial: OpenStream = open_tcp if call.dialer is None else call.dialer(nursery)
    if call.agent == "inworld":
        return dial, RealtimeEndpoint()
    if call.agent != "local":
        return dial, RealtimeEndpoint(url=call.agent, api_key=LOCAL_KEY)
    assert engines is not None
    service = call.script.service or ServiceScript()
    behaviour = Behaviour(faults=service.faults, seed=service.seed)
    began = connections.append
    if clock.is_virtual():
        serve = partial(serve_stream, engines=engines, behaviour=behaviour, began=began)
        agent = MemoryDialer(nursery, serve)
        return agent, RealtimeEndpoint(url=f"ws://local-agent{LOCAL_PATH}", api_key=LOCAL_KEY)
    listen = partial(serve_tcp, engines, host="127.0.0.1", port=0, behaviour=behaviour, began=began)
    port = await nursery.start(listen)
    return open_tcp, RealtimeEndpoint(url=f"ws://127.0.0.1:{port}{LOCAL_PATH}", api_key=LOCAL_KEY)


def _needs_ears(call: LocalCall) -> bool:
    scripts: list[Script] = [call.script, *call.script.callees]
    return call.agent == "local" or any(needs_ears(script) for script in scripts)
