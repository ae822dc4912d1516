"""A world on virtual time: callers, a scenario, the service at its other end, the web.

::

    async def test_the_agent_answers(voxpy, autojump_clock):
        async with voxpy.world("scenarios/answer.py", agent=["Hello!", "It is sunny."]) as world:
            caller = await world.dial("+15550199")
            await caller.wait_hears("hello")
            await caller.say("How is the weather?")
            await caller.wait_hears("sunny", within_s=3)
            caller.hang_up()
            await world.wait_ended()
        assert [said.text for said in world.transcript if said.who == "agent"] == [...]

Everything between caller and service is what runs in production; only byte streams, the clock, the
speech engines and HTTP are given to it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

import trio

from voxpy.engine.faults import is_machinery
from voxpy.engine.http import Fetch
from voxpy.engine.loader import Program, compile_scenarios
from voxpy.engine.ports import Endpoint, OpenStream, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.speech import ENGLISH
from voxpy.engine.trace import Entry, as_json
from voxpy.errors import ConnectFailed, VoxpyError, nearest
from voxpy.history.timeline import render, timeline
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.localagent.connection import Behaviour
from voxpy.localagent.engines import Engines
from voxpy.project.secrets import Secrets
from voxpy.simulation.acting import Stay, act, line_ears, prepare_sounds
from voxpy.simulation.callees import Voices
from voxpy.simulation.caller import CallOver, SimulatedCaller
from voxpy.simulation.localcall import LOCAL_KEY, SimulatedCall
from voxpy.simulation.script import CalleeScript, CallerScript, LineOptions
from voxpy.simulation.service import AgentScript
from voxpy.simulation.sounds import engine_ears
from voxpy.simulation.virtual import seeded_scheduler
from voxpy.sockets.memory import memory_pair
from voxpy.testing.agent import ScriptedAgent
from voxpy.testing.caller import Caller
from voxpy.testing.grounds import Grounds, Serve
from voxpy.testing.httpstub import Asked, HttpStub, Web
from voxpy.testing.socketpeer import PlayPeer, serve_socket
from voxpy.testing.story import CallStory
from voxpy.testing.worldcall import WorldCall

Scenario = str | Path | Sequence[Path]
"""A path, several of one rule, or Python source; a line that ends with ``.py`` is a path."""

GOODBYE_S = 2.0
"""Virtual seconds for a session to end by itself when the test is over and the caller has left."""
ACCESS_URL, ACCESS_TOKEN = "https://voxpy.test/request", "access-token-of-a-test"
SERVICE_URL = "ws://service.test/session"
NO_LINE = LineOptions()
NO_HEADERS: Mapping[str, str] = {}


class ScenarioOptions(TypedDict, total=False):
    """What calls to a scenario can be given, whoever makes them."""

    secrets: Mapping[str, str] | None
    """What ``VoxEngine.get_secret_value`` finds."""
    settings: Settings | None
    """Limits, watchdogs and the policy for handler errors."""
    http: Web | None
    """What the web answers ``Net`` and URL players: see voxpy.testing.httpstub."""


class WorldOptions(ScenarioOptions, total=False):
    """What a World can be given. All of it may be left out, or None where that is possible."""

    agent: AgentScript | None
    """What the agent says and does, turn by turn: texts, ``CallTool(...)``, lists of these; or a
    function of the Turn. More can be planned later: see ``world.agent``."""
    seed: int
    """Of the scheduler and of everything that draws lots. The same seed, the same trace."""
    folder: Path | None
    """Where ``.voxpy`` is made; without one the files are gone with the world."""
    behaviour: Behaviour | None
    """Quirks and faults of the service."""
    engines: Engines | None
    """Other speech engines than tones."""
    languages: Sequence[str]
    """What the host's voice and recogniser have, where all is tones (``["he"]``); English, as a
    host by itself."""
    endpoint: str
    """``local``, ``inworld`` or any ws:// URL: where the scenario takes the service to be."""
    serve: Serve | None
    """Takes the place of the agent at the far side of every stream the scenario opens."""
    websockets: Mapping[str, PlayPeer] | None
    """Who is there when the scenario opens a WebSocket, by its URL: an async function that is given
    the SocketPeer."""
    open_stream: OpenStream | None
    """Takes the place of the network altogether."""
    fetch: Fetch | None
    """Sends HTTP requests in place of ``http``; voxpy.engine.http.fetch really does, while virtual
    time stands still."""
    check_errors: bool
    """Whether what went wrong in the scenario's handlers is raised in the end; it is."""


class World(CallStory):
    """See the module. Use it once, in ``async with``.

    scenario: a path, several of one rule, or Python source.
    options: see WorldOptions.

    Leaving it hangs up, ends what still runs, and checks that nothing is left: no task, no timer,
    no open stream. Raises AssertionError for leftovers, and an ExceptionGroup of what went wrong in
    handlers; neither if the block itself raised.

    With one call, everything a WorldCall tells the world tells too.
    """

    def __init__(self, scenario: Scenario, **options: Unpack[WorldOptions]) -> None:
        _check_names(options)
        self._scenario = scenario
        self._options = options
        self._seed = options.get("seed", 0)
        self._folder = options.get("folder")
        self._web = HttpStub(options.get("http"))
        self.agent = ScriptedAgent(
            options.get("agent"),
            engines=options.get("engines"),
            behaviour=options.get("behaviour") or Behaviour(seed=self._seed),
            languages=options.get("languages", ENGLISH),
        )
        """Plays the service."""
        self._engines = self.agent.engines
        self.calls: list[WorldCall] = []
        """Every call so far, in the order they came in."""
        self._grounds = Grounds()
        self._program: Program

    # -- what happens in it ----------------------------------------------------------------------

    async def dial(
        self,
        destination: str = "+15550199",
        *,
        callerid: str = "+15550100",
        display_name: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
        line: LineOptions = NO_LINE,
        voice: str = "alto",
        callees: Sequence[CalleeScript] = (),
    ) -> Caller:
        """Call ``destination``; return the caller, in whose hands the call is from now on.

        ``callees`` are the people whom the scenario can call.
        """
        script = CallerScript(
            callerid=callerid,
            destination=destination,
            display_name=display_name,
            headers=headers,
            line=line,
            voice=voice,
            callees=tuple(callees),
        )
        voices = Voices(lambda: self._engines, ears=lambda _: engine_ears(self._engines))
        simulated, call = self._incoming(script, voices)
        self._grounds.sessions.start_soon(self._run, call, partial(simulated.run, _listen))
        await trio.lowlevel.checkpoint()
        return Caller(
            simulated.caller,
            call,
            engines=self._engines,
            voice=voice,
            start=self._grounds.around.start_soon,
        )

    async def start(
        self, custom_data: str | Any = "", *, callees: Sequence[CalleeScript] = ()
    ) -> WorldCall:
        """Start a session without a call, as the API does; return it.

        ``custom_data`` is text, or anything that JSON can hold. Requests and WebSockets to it are
        made with the WorldCall; ``callees`` are the people whom the scenario can call.
        """
        data = custom_data if isinstance(custom_data, str) else as_json(custom_data).decode()
        script = CallerScript(custom_data=data, callees=tuple(callees))
        voices = Voices(lambda: self._engines, ears=lambda _: engine_ears(self._engines))
        await voices.make_ready(script.callees)
        simulated, call = self._incoming(script, voices)
        self._grounds.sessions.start_soon(self._run, call, partial(simulated.run, _listen))
        await trio.lowlevel.checkpoint()
        return call

    async def act(
        self,
        script: CallerScript,
        *,
        watch: Callable[[WorldCall], None] = lambda _: None,
        stay: Stay | None = None,
    ) -> WorldCall:
        """Let a caller do what a script says, to the end of the session; return the call.

        Of its ``service`` and ``speech`` nothing counts here: those are the world's own.
        ``watch`` gets the call before it begins, ``stay`` the caller before it hangs up. A script
        that was not met is told in the call's ``result.failure``. Raises ConfigError for a sound
        that cannot be played.
        """

        def speech() -> Engines:
            return self._engines

        sounds = await prepare_sounds(script, speech)
        voices = Voices(speech, ears=partial(line_ears, speech=speech))
        await voices.make_ready(script.callees)
        simulated, call = self._incoming(script, voices)
        watch(call)
        perform = partial(act, script=script, sounds=sounds, stay=stay)
        await self._run(call, partial(simulated.run, perform))
        return call

    async def wait_ended(self, *, within_s: float = 60.0) -> None:
        """Wait until every session is over. Raises AssertionError, saying what still runs."""
        with trio.move_on_after(within_s):
            for call in self.calls:
                await call.over.wait()
            return
        running = [c for c in self.calls if not c.over.is_set()]
        told = "; ".join(f"{c.hosted.session.session_id}: {_holds(c)}" for c in running)
        raise AssertionError(f"not every session ended within {within_s:g} s: {told}")

    @property
    def requests(self) -> list[Asked]:
        """The HTTP requests the sessions made."""
        return self._web.asked

    @property
    def call(self) -> WorldCall:
        """The only call. Raises VoxpyError if there is none, or more than one."""
        if len(self.calls) != 1:
            raise VoxpyError(
                f"this world has {len(self.calls)} calls; say which: world.calls[0], or caller.call"
            )
        return self.calls[0]

    @property
    def entries(self) -> Sequence[Entry]:
        """The trace of the only call."""
        return self.call.entries

    @property
    def hosted(self) -> HostedSession:
        """The session of the only call."""
        return self.call.hosted

    # -- its life --------------------------------------------------------------------------------

    async def __aenter__(self) -> World:
        with ExitStack() as stack:
            if self._folder is None:
                made = tempfile.TemporaryDirectory(prefix="voxpy-world-")
                self._folder = Path(stack.enter_context(made))
            self._base = self._folder / ".voxpy"
            self._program = compile_scenarios(self._paths(self._folder))
            self._secrets = Secrets(
                self._folder / "secrets.env", environ=dict(self._options.get("secrets") or {})
            )
            stack.enter_context(seeded_scheduler(self._seed))
            await self._grounds.enter(self._options.get("serve") or self.agent.serve)
            self._stack = stack.pop_all()
        self._realtime, self._open_stream = self._service()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is None:
                await self._say_goodbye()
            await self._grounds.leave(error)
        if error is None and self._options.get("check_errors", True):
            self._raise_errors()

    def _paths(self, folder: Path) -> tuple[Path, ...]:
        scenario = self._scenario
        if isinstance(scenario, str) and ("\n" in scenario or not scenario.endswith(".py")):
            path = _free(folder, "scenario").with_suffix(".py")
            path.write_text(scenario, encoding="utf-8")
            return (path,)
        return (Path(scenario),) if isinstance(scenario, str | Path) else tuple(scenario)

    def _incoming(self, script: CallerScript, voices: Voices) -> tuple[SimulatedCall, WorldCall]:
        assert self._folder is not None
        call = WorldCall(self.agent.turns, start=self._grounds.around.start_soon)
        session_id = _free(self._base / "sessions", "test").name
        context = SessionContext(
            session_id=session_id,
            call_list=None if script.custom_data is None else call,
            access_url=f"{ACCESS_URL}/{session_id}/{ACCESS_TOKEN}",
            rule_name="test",
            program=self._program,
            settings=self._options.get("settings") or Settings(),
            secrets=self._secrets,
            media_clock=self._grounds.media_clock,
            open_stream=self._open_stream,
            realtime=self._realtime,
            speech=lambda: self._engines,
            fetch=self._options.get("fetch") or self._web.fetch,
        )
        keeping = Keeping(base=self._base, sinks=[call.take])
        call.simulated = simulated = SimulatedCall(
            context, keeping, script, voices, connections=self.agent.connections
        )
        self.calls.append(call)
        return simulated, call

    async def _run(self, call: WorldCall, run: Callable[[], Any]) -> None:
        try:
            await run()
        finally:
            call.over.set()

    def _service(self) -> tuple[RealtimeEndpoint, OpenStream]:
        """Return where the scenario takes the service to be, and what its dialling leads to."""
        serve, open_stream = self._options.get("serve"), self._options.get("open_stream")
        wanted = self._options.get("endpoint", "local")
        given = serve is not None or open_stream is not None
        if wanted == "inworld":
            endpoint = RealtimeEndpoint()
        elif wanted != "local":
            endpoint = RealtimeEndpoint(url=wanted, api_key=LOCAL_KEY)
        else:
            url = SERVICE_URL if given else "ws://local-agent"
            endpoint = RealtimeEndpoint(url=url, api_key=LOCAL_KEY)
        reachable = serve is not None or wanted == "local"
        usual = open_stream or (self._grounds.wires if reachable else _no_network)
        peers = {urlsplit(url).hostname: play for url, play in self._peers().items()}

        async def opened(endpoint: Endpoint) -> trio.abc.Stream:
            play = peers.get(endpoint.host)
            if play is None:
                return await usual(endpoint)
            ours, theirs = memory_pair()
            self._grounds.around.start_soon(serve_socket, theirs, play)
            return ours

        return endpoint, opened if peers else usual

    def _peers(self) -> Mapping[str, PlayPeer]:
        return self._options.get("websockets") or {}

    # -- leaving it ------------------------------------------------------------------------------

    async def _say_goodbye(self) -> None:
        """Hang up, and let the sessions end by themselves if they do so at once."""
        for call in self.calls:
            if call.simulated.calls:
                call.simulated.caller.hang_up()
        with trio.move_on_after(GOODBYE_S):
            for call in self.calls:
                await call.over.wait()

    def _raise_errors(self) -> None:
        errors = [error for call in self.calls for error in call.errors]
        errors += [e for e in self._web.unanswered if not any(e is known for known in errors)]
        errors += [VoxpyError(f"in the agent's script: {told}") for told in self.agent.troubles]
        if errors:
            raise ExceptionGroup("the scenario's handlers failed", [readable(e) for e in errors])


def _check_names(options: Mapping[str, Any]) -> None:
    known = WorldOptions.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"a world has no option {name!r}{nearest(name, known)}")


async def _listen(caller: SimulatedCaller) -> None:
    """Listen until the call is over and the words of all of it are known."""
    with suppress(CallOver):
        await caller.pause(math.inf)


async def _no_network(endpoint: Endpoint) -> trio.abc.Stream:
    """Refuse: virtual time jumps over whatever a socket would take."""
    await trio.lowlevel.checkpoint()
    raise ConnectFailed(
        f"{endpoint.host}:{endpoint.port}: a call on virtual time has no network; "
        "give the world serve= or open_stream="
    )


def _holds(call: WorldCall) -> str:
    """Say what a session that runs is waiting for, as far as can be told."""
    if call.end is not None:
        return f"is closing ({call.end.reason.value}: {call.end.detail})"
    state = (
        "nobody called"
        if not call.simulated.calls
        else "the caller is still there"
        if call.simulated.caller.over is None
        else "the call is over"
    )
    last = render(timeline(call.entries)[-1:]).strip()
    return f"nobody ended it; {state}; last: {last}"


def _free(folder: Path, name: str) -> Path:
    """Return the first of name-1, name-2 ... that is not taken, whatever its suffix."""
    taken = {path.stem for path in folder.glob(f"{name}-*")} if folder.is_dir() else set()
    return folder / next(n for i in count(1) if (n := f"{name}-{i}") not in taken)


def readable(error: BaseException) -> Exception:
    """Return the error with only its author's frames in the traceback.

    One that is no Exception (``sys.exit()`` in a scenario) comes as a RuntimeError.
    """
    if not isinstance(error, Exception):
        return RuntimeError(repr(error))
    return error.with_traceback(_own(error.__traceback__))


def _own(trace: TracebackType | None) -> TracebackType | None:
    if trace is None:
        return None
    rest = _own(trace.tb_next)
    if is_machinery(trace.tb_frame.f_code.co_filename):
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
