"""Makes the calls of scripts, on virtual time or in real time, and reports how they were."""

from __future__ import annotations

import functools
import multiprocessing
import shutil
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import attrs
import trio

from voxpy.engine import clock
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.trace import Entry
from voxpy.errors import VoxpyError
from voxpy.host.sessions import HostedSession
from voxpy.lab.evaluation.judge import Judge, Verdict
from voxpy.lab.evaluation.measures import evaluate
from voxpy.lab.suite.casefile import CallCase, read_case
from voxpy.lab.suite.expectations import judgements, problems
from voxpy.lab.suite.report import CallReport, Outcome
from voxpy.localagent.engines import Engines, local_engines
from voxpy.localagent.rules import RuleResponder
from voxpy.localagent.topics import load_topics
from voxpy.project.secrets import Secrets
from voxpy.simulation.localcall import LocalCall, run_local_call
from voxpy.simulation.script import CallerScript
from voxpy.simulation.tones import scripted_engines
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.httpstub import HttpStub
from voxpy.testing.story import CallStory
from voxpy.testing.world import World, readable

TIMELINE = "timeline.txt"


@attrs.frozen(kw_only=True)
class RunOptions:
    """How the calls of a run are made.

    ``real_time``: on the real clock, with real speech. ``real_speech``: with real speech, on
    virtual time. ``out`` is where the folders of calls go; those of calls that passed are kept only
    with ``keep``.
    """

    out: Path
    real_time: bool = False
    real_speech: bool = False
    keep: bool = False
    judge: Judge | None = None


def run_case(path: Path, options: RunOptions, seed: int) -> CallReport:
    """Make one call of a script, and say what of it was not as expected. Never raises VoxpyError:
    what makes a call impossible is reported.
    """
    began_s = clock.busy_s()
    report = CallReport(name=path.stem, file=str(path), seed=seed, outcome="error")
    try:
        case = read_case(path)
        folder = _fresh(_place(path, options, seed))
        call, troubles = _make_call(case, options, seed, folder)
    except VoxpyError as error:
        return attrs.evolve(report, problems=(str(error),), real_s=clock.busy_s() - began_s)
    real_s = clock.busy_s() - began_s
    if call is None:
        return attrs.evolve(report, problems=tuple(troubles), real_s=real_s)
    return _judged(attrs.evolve(report, real_s=real_s), case, call, troubles, options)


def update_case(path: Path, options: RunOptions) -> CallStory:
    """Make one call of a script as it is written, and return it. Raises VoxpyError."""
    case = read_case(path)
    call, troubles = _make_call(case, options, 0, _fresh(_place(path, options, 0)))
    if call is None:
        raise VoxpyError(f"{path}: {'; '.join(troubles)}")
    return call


def _judged(
    report: CallReport,
    case: CallCase,
    call: CallStory,
    troubles: list[str],
    options: RunOptions,
) -> CallReport:
    measured = evaluate(call)
    found = [*troubles, *problems(call, measured, case.expect)]
    verdicts: list[Verdict] = []
    if options.judge is not None:
        verdicts, judged = judgements(call, case.expect, options.judge)
        found += judged
    outcome: Outcome = "failed" if found else "passed"
    keep = options.keep or outcome == "failed"
    if not keep:
        shutil.rmtree(_place(case.path, options, report.seed), ignore_errors=True)
    timeline = call.timeline() if found else ""
    if timeline:
        (call.folder / TIMELINE).write_text(timeline + "\n", encoding="utf-8")
    return attrs.evolve(
        report,
        outcome=outcome,
        problems=tuple(found),
        not_judged=0 if options.judge else len(case.expect.judge),
        timeline=timeline,
        virtual_s=call.record.duration_s,
        evaluation=measured,
        verdicts=tuple(verdicts),
        folder=str(call.folder) if keep else "",
    )


def _place(path: Path, options: RunOptions, seed: int) -> Path:
    """Return the folder of a call: the script's own path again, below ``out``."""
    absolute, here = path.resolve(), Path.cwd()
    known = absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
    return options.out.joinpath(*known.with_suffix("").parts[known.is_absolute() :], str(seed))


def _fresh(folder: Path) -> Path:
    """Return the folder of a call, without what an earlier run left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.absolute()


def _make_call(
    case: CallCase, options: RunOptions, seed: int, folder: Path
) -> tuple[CallStory | None, list[str]]:
    script = case.script.varied(seed)
    if options.real_time:
        try:
            return trio.run(_in_real_time, case, script, folder)
        except ExceptionGroup as error:
            return None, [_told(leaf) for leaf in _leaves(error)]
    return _on_virtual_time(case, script, seed, folder, real_speech=options.real_speech)


# -- virtual time ----------------------------------------------------------------------------------


def _on_virtual_time(
    case: CallCase, script: CallerScript, seed: int, folder: Path, *, real_speech: bool
) -> tuple[CallStory | None, list[str]]:
    service = script.service
    world = World(
        case.scenarios,
        secrets=case.secrets,
        agent=service.says or None,
        http=case.http,
        seed=seed,
        folder=folder,
        behaviour=service.behaviour(seed=seed),
        engines=_speech()
        if real_speech
        else scripted_engines(_brain(), languages=script.languages),
    )
    troubles: list[str] = []
    try:
        run_virtual(partial(_act, world, script), seed=seed)
    except (AssertionError, VoxpyError, ExceptionGroup) as error:
        troubles = [_told(leaf) for leaf in _leaves(error)]
    over = bool(world.calls) and world.calls[0].hosted.finished
    return (world.calls[0] if over else None), troubles


async def _act(world: World, script: CallerScript) -> None:
    async with world:
        await world.act(script)


# -- real time -------------------------------------------------------------------------------------


class _RealCall(CallStory):
    """A call in real time, told by the observer of a local call."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._hosted: HostedSession

    @property
    def entries(self) -> list[Entry]:
        return self._entries

    @property
    def hosted(self) -> HostedSession:
        return self._hosted

    def progress(self, text: str) -> None:
        """Nobody waits at a screen."""

    def entry(self, entry: Entry) -> None:
        self._entries.append(entry)

    def session_began(self, session: HostedSession) -> None:
        self._hosted = session


async def _in_real_time(
    case: CallCase, script: CallerScript, folder: Path
) -> tuple[CallStory, list[str]]:
    web = HttpStub(case.http)
    call = _RealCall()
    await run_local_call(
        LocalCall(
            program=compile_scenarios(case.scenarios),
            script=script,
            agent="local",
            session_id="test-1",
            secrets=Secrets(folder / "secrets.env", environ=case.secrets),
            base=folder / ".voxpy",
            make_engines=_speech,
            fetch=web.fetch,
        ),
        call,
    )
    troubles = [_told(error) for error in [*call.errors, *web.unanswered]]
    return call, list(dict.fromkeys(troubles))


# -- who speaks ------------------------------------------------------------------------------------


def _brain() -> RuleResponder:
    return RuleResponder(load_topics(None))


@functools.cache
def _speech() -> Engines:
    """Return the real speech engines, loaded once in a process."""
    return local_engines(_brain())


# -- what went wrong -------------------------------------------------------------------------------


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _told(error: BaseException) -> str:
    if isinstance(error, VoxpyError | AssertionError):
        return str(error)
    own = readable(error)
    trace = own.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = ""
    if trace is not None:
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}: "
    return f"a handler failed: {where}{type(error).__name__}: {error}"


# -- many calls ------------------------------------------------------------------------------------


def run_cases(
    paths: Sequence[Path],
    options: RunOptions,
    *,
    repeat: int = 1,
    jobs: int = 1,
    stop_at_failure: bool = False,
) -> Iterator[CallReport]:
    """Yield a report of each call as it is over: every script with seeds 0 to ``repeat`` - 1.

    With several ``jobs`` they come in no order. ``stop_at_failure``: no call is begun after one
    that did not pass.
    """
    calls = [(path, seed) for path in paths for seed in range(repeat)]
    if jobs > 1 and len(calls) > 1:
        yield from _in_processes(calls, options, min(jobs, len(calls)), stop_at_failure)
        return
    for path, seed in calls:
        report = run_case(path, options, seed)
        yield report
        if stop_at_failure and report.outcome != "passed":
            return


def _in_processes(
    calls: Sequence[tuple[Path, int]], options: RunOptions, jobs: int, stop_at_failure: bool
) -> Iterator[CallReport]:
    # Spawned, not forked: speech engines have threads, which a fork would lose.
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=spawned, initializer=_leave_ctrl_c_to_the_parent)
    try:
        for done in as_completed([pool.submit(run_case, p, options, s) for p, s in calls]):
            report = done.result()
            yield report
            if stop_at_failure and report.outcome != "passed":
                return
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_ctrl_c_to_the_parent() -> None:
    """Let the calls that are under way end; the parent begins no others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
