"""One call on this machine: a simulated caller, a session for it, and whom the session calls.

``SimulatedCall`` is that, the same for ``voxpy run`` and for the test kit; they differ in who acts
for the caller. ``run_local_call`` is all of it from a script: voices, agent, media clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock
from voxpy.engine.ending import End, EndReason
from voxpy.engine.loader import Program
from voxpy.engine.ports import OpenStream, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.storage import FILE_NAME, Storage
from voxpy.engine.trace import Entry
from voxpy.history.history import History
from voxpy.history.record import CallRecord
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.localagent.connection import AgentConnection
from voxpy.localagent.engines import Engines
from voxpy.localagent.server import serve_stream, serve_tcp
from voxpy.project.secrets import Secrets
from voxpy.simulation.acting import act, line_ears, needs_ears, needs_voice, prepare_sounds
from voxpy.simulation.callees import Callees, Voices
from voxpy.simulation.caller import SimulatedCaller, StepFailed
from voxpy.simulation.moments import Moments, Stage
from voxpy.simulation.script import CallerScript, Script
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.soundcard import SoundCard
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets.memory import MemoryDialer
from voxpy.sockets.streams import open_tcp

if TYPE_CHECKING:
    from voxpy.engine.http import Fetch

LOCAL_KEY = "local-agent-needs-no-key"
SETTLE_S = 10.0
"""After the end of a call, for the caller's recogniser to understand what it heard last."""

Act = Callable[[SimulatedCaller], Awaitable[None]]


@attrs.frozen(kw_only=True)
class LocalCallResult:
    """How the call went. ``failure`` is why the caller's script was not met, if it was not."""

    end: End
    record: CallRecord
    folder: Path
    failure: str = ""
    interrupted: bool = False


def result_of(hosted: HostedSession, end: End) -> LocalCallResult:
    """Return how the call of a session went."""
    return LocalCallResult(
        end=end,
        record=hosted.record,
        folder=hosted.folder.root,
        failure=hosted.record.personal["caller_failed"],
        interrupted=end.reason is EndReason.HOST_SHUTDOWN,
    )


class SimulatedCall:
    """A call that is about to come in. ``run`` is its life, once.

    Of ``script`` only the people and the moments count here: who calls whom over which line, who
    may be called, what happens when; or the custom data with which the session is started instead,
    in which case the caller does nothing. The context's dialer is these people. ``connections``
    are those to the local agent, as they come.
    """

    def __init__(
        self,
        context: SessionContext,
        keeping: Keeping,
        script: CallerScript,
        voices: Voices,
        *,
        sound: SoundCard | None = None,
        connections: Sequence[AgentConnection] = (),
    ) -> None:
        self.script = script
        self.leg = _make_leg(script)
        self.callees = Callees(
            script.callees, voices, note=self._note, failed=lambda *told: self._failed(*told)
        )
        self.leg.transfers.calls_elsewhere = self.callees.put_through
        if sound is not None:
            keeping = attrs.evolve(keeping, taps=[*keeping.taps, sound.of_line(self.leg.mouth)])
        context = attrs.evolve(context, dialer=self.callees, custom_data=script.custom_data or "")
        self.calls = script.custom_data is None
        self.hosted = HostedSession(context, self.leg if self.calls else None, keeping)
        self.caller = SimulatedCaller(
            self.leg, ears=voices.ears(script), note=partial(self._note, self.leg.leg_id)
        )
        session = self.hosted.session
        stage = Stage(
            hang_up=self.caller.hang_up,
            drain=lambda: session.end(EndReason.HOST_SHUTDOWN, "drained by the script"),
            connections=connections,
        )
        self._moments = Moments(script.moments, stage)
        self.hosted.trace.add_sink(self._moments.take)

    async def run(self, act: Act) -> LocalCallResult:
        """Let the call come in and ``act(caller)`` be what the caller does, until the session ends.

        A StepFailed of ``act`` makes the caller hang up and is told in the result.
        """
        performed = trio.Event()

        async def perform() -> None:
            try:
                if self.calls:
                    await act(self.caller)
            except StepFailed as error:
                self._failed("caller", error)
                self.caller.hang_up()
            finally:
                performed.set()

        async def settle() -> None:
            with trio.move_on_after(SETTLE_S):
                await performed.wait()
                await self.callees.settle()

        async with trio.open_nursery() as nursery:
            self.callees.start = nursery.start_soon
            if self.calls:
                nursery.start_soon(self.caller.run)
            nursery.start_soon(perform)
            nursery.start_soon(self._moments.run)
            end = await self.hosted.run(afterwards=settle)
            nursery.cancel_scope.cancel()
        return self.result(end)

    def result(self, end: End) -> LocalCallResult:
        """Return how the call went, now that it is over."""
        return result_of(self.hosted, end)

    def _note(self, unit: str, name: str, **fields: object) -> None:
        if not self.hosted.finished:  # a recogniser in its thread may outlive a cut off session
            self.hosted.trace.step(name, unit=unit, **fields)

    def _failed(self, who: str, error: StepFailed) -> None:
        """Note that a script was not met, unless that is only because the session itself failed."""
        hosted = self.hosted
        end = hosted.session.ended
        broken = end is not None and (end.reason.is_error or end.reason is EndReason.HOST_SHUTDOWN)
        if not broken and not hosted.finished:
            text = str(error) if who == "caller" else f"{who}: {error}"
            hosted.record.personal["caller_failed"] = (
                hosted.record.personal["caller_failed"] or text
            )
            role = who.split()[0]
            hosted.trace.write("error", role, message=f"the {role}'s script was not met", text=text)


def _make_leg(script: CallerScript) -> SimulatedLeg:
    to_session, to_far_end = script.line.lines()
    return SimulatedLeg(
        leg_id="call-1",
        callerid=script.callerid,
        destination=script.destination,
        display_name=script.display_name,
        headers=script.headers,
        to_session=to_session,
        to_far_end=to_far_end,
    )


# -- from a script --------------------------------------------------------------------------------


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
    instead: Callable[[SessionContext, Keeping, Observer], Awaitable[LocalCallResult]] | None = None
    """Runs the session in place of a simulated caller."""


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
    speech = cache(partial(_engines, call))
    scripts: list[Script] = [call.script, *call.script.callees]
    voices = Voices(speech, ears=partial(line_ears, speech=speech))
    if call.agent == "local" or any(needs_voice(script) for script in scripts):
        speech()  # what is missing is told before anything happens
    async with trio.open_nursery() as nursery:
        if any(step.is_audible for script in scripts for step in script.all_steps):
            people = "the caller's voice" if len(scripts) == 1 else "the voices"
            observer.progress(f"preparing {people}")
        sounds = await prepare_sounds(call.script, speech)
        await voices.make_ready(call.script.callees)
        listens = call.agent == "local" or any(needs_ears(script) for script in scripts)
        if listens and not clock.is_virtual():
            # While the phone rings and the agent greets; nobody needs to be heard before that.
            nursery.start_soon(speech().run, speech().ears.warm_up)
        connections: list[AgentConnection] = []
        open_stream, endpoint = await _agent(call, speech, nursery, connections)
        media_clock = clock.MediaClock()
        nursery.start_soon(media_clock.run)
        storage = Storage(call.base / FILE_NAME)
        context = SessionContext(
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
            storage=storage,
        )
        keeping = Keeping(base=call.base, history=call.history, sinks=[observer.entry])
        if call.instead is not None:
            result = await call.instead(context, keeping, observer)
        else:
            simulated = SimulatedCall(
                context,
                keeping,
                call.script,
                voices,
                sound=call.sound,
                connections=connections,
            )
            observer.session_began(simulated.hosted)
            result = await simulated.run(partial(act, script=call.script, sounds=sounds))
        storage.close()
        nursery.cancel_scope.cancel()
    return result


def _engines(call: LocalCall) -> Engines:
    """Return the engines of a call: its script may play the agent, and let all sound tones."""
    says = call.script.service.says
    if call.script.speech == "tones":
        return scripted_engines(ScriptedResponder(says), languages=call.script.languages)
    engines = call.make_engines()
    return attrs.evolve(engines, responder=ScriptedResponder(says)) if says else engines


async def _agent(
    call: LocalCall,
    speech: Callable[[], Engines],
    nursery: trio.Nursery,
    connections: list[AgentConnection],
) -> tuple[OpenStream, RealtimeEndpoint]:
    dial: OpenStream = open_tcp if call.dialer is None else call.dialer(nursery)
    if call.agent == "inworld":
        return dial, RealtimeEndpoint()
    if call.agent != "local":
        return dial, RealtimeEndpoint(url=call.agent, api_key=LOCAL_KEY)
    engines = speech()
    behaviour = call.script.service.behaviour()
    began = connections.append
    if clock.is_virtual():
        serve = partial(serve_stream, engines=engines, behaviour=behaviour, began=began)
        agent = MemoryDialer(nursery, serve)
        return agent, RealtimeEndpoint(url="ws://local-agent", api_key=LOCAL_KEY)
    listen = partial(serve_tcp, engines, host="127.0.0.1", port=0, behaviour=behaviour, began=began)
    port = await nursery.start(listen)
    return open_tcp, RealtimeEndpoint(url=f"ws://127.0.0.1:{port}", api_key=LOCAL_KEY)
