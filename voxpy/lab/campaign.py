"""A call list tried on virtual time: the rule's scenarios, simulated callees, nobody's telephone.

The list is worked through by what works through it on a host, on a store in memory; each session is
one of the simulator. Callees are those that are given, and otherwise drawn by lot, as a morning's
calls go: most answer, some are busy, some do not, some are answering machines.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import trio

from voxpy.calllists.store import Lists, Progress
from voxpy.calllists.terms import Terms
from voxpy.calllists.working import ListWork
from voxpy.engine import clock
from voxpy.engine.http import HttpRequest, HttpRequestResult, OnPart
from voxpy.engine.loader import Program
from voxpy.engine.masking import Masker
from voxpy.engine.ports import CallListTask, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry, Trace
from voxpy.fleet.local import LocalStore
from voxpy.history.record import CallRecord
from voxpy.host.sessions import Keeping
from voxpy.localagent.rules import RuleResponder
from voxpy.localagent.server import serve_stream
from voxpy.localagent.topics import load_topics
from voxpy.project.secrets import Secrets
from voxpy.simulation.callees import Voices
from voxpy.simulation.localcall import LOCAL_KEY, SimulatedCall
from voxpy.simulation.script import CalleeScript, CallerScript
from voxpy.simulation.sounds import engine_ears
from voxpy.simulation.steps import Beep, Say, StayOn, Step, Wait
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets.memory import MemoryDialer

ANYBODY = re.compile(r"(?s).*")
NO_WEB = 503
VOICEMAIL = "You have reached my mailbox. Please leave a message after the tone."
POLITE: tuple[Step, ...] = (
    Say(text="Hello?"),
    Wait(what="agent_finished", within_s=20),
    Say(text="Yes, thank you."),
    StayOn(),
)
LOTS = {"answer": 0.6, "busy": 0.15, "no answer": 0.15, "mailbox": 0.1}
"""How calls of a morning go, more or less; who is called twice may be luckier the second time."""


@attrs.frozen(kw_only=True)
class Campaign:
    """What to try. ``callees`` are asked first; whoever they do not name is drawn by ``seed``."""

    rule_name: str
    program: Program
    settings: Settings
    secrets: Secrets
    rows: Sequence[Mapping[str, Any]]
    terms: Terms
    callees: Sequence[CalleeScript] = ()
    seed: int = 0


@attrs.frozen(kw_only=True)
class Tried:
    """What came of it. ``took_s`` is virtual: how long the campaign would have lasted."""

    progress: Progress
    results: list[dict[str, Any]]
    took_s: float
    warnings: Mapping[str, int]


def drawn(lots: random.Random) -> CalleeScript:
    """Return somebody who is called, by lot."""
    (kind,) = lots.choices(list(LOTS), list(LOTS.values()))
    rings_s = lots.uniform(1.0, 8.0)
    if kind == "busy":
        return CalleeScript(destination=ANYBODY, rings_s=0.5, refuses_with=486)
    if kind == "no answer":
        return CalleeScript(destination=ANYBODY, rings_s=rings_s, never_answers=True)
    if kind == "mailbox":
        steps = (Say(text=VOICEMAIL), Beep(), StayOn())
        return CalleeScript(destination=ANYBODY, rings_s=rings_s, steps=steps)
    return CalleeScript(destination=ANYBODY, rings_s=rings_s, steps=POLITE)


async def try_campaign(campaign: Campaign, note: Callable[[Progress], None]) -> Tried:
    """Work through a list with simulated people; on virtual time. ``note`` sees how far it is."""
    engines = scripted_engines(RuleResponder(load_topics(None)))
    lots = random.Random(campaign.seed)
    numbers = count(1)
    warnings: dict[str, int] = {}
    lists = Lists(LocalStore())
    began_s = clock.now()
    with tempfile.TemporaryDirectory(prefix="voxpy-campaign-") as folder:
        async with trio.open_nursery() as nursery:
            media_clock = clock.MediaClock()
            nursery.start_soon(media_clock.run)
            context = SessionContext(
                rule_name=campaign.rule_name,
                program=campaign.program,
                settings=attrs.evolve(campaign.settings, replayable=False),
                secrets=campaign.secrets,
                media_clock=media_clock,
                open_stream=MemoryDialer(nursery, partial(serve_stream, engines=engines)),
                realtime=RealtimeEndpoint(url="ws://local-agent", api_key=LOCAL_KEY),
                speech=lambda: engines,
                fetch=_no_web,
            )

            def see(entry: Entry) -> None:
                # A callee to whom the scenario is in a hurry to say goodbye is no trouble.
                if entry.kind in ("warning", "error") and entry.name != "callee":
                    told = str(entry.data.get("message", entry.name))
                    warnings[told] = warnings.get(told, 0) + 1

            async def begin(
                rule: str, data: str, task: CallListTask
            ) -> tuple[str, Callable[[], Awaitable[CallRecord]]]:
                session_id = f"trial-{next(numbers)}"
                script = CallerScript(
                    custom_data=data, callees=(*campaign.callees, drawn(lots)), speech="tones"
                )
                voices = Voices(lambda: engines, ears=lambda _: engine_ears(engines))
                simulated = SimulatedCall(
                    attrs.evolve(context, session_id=session_id, call_list=task),
                    Keeping(base=Path(folder), sinks=[see]),
                    script,
                    voices,
                )

                async def ended() -> CallRecord:
                    return (await simulated.run(_nobody)).record

                return session_id, ended

            work = ListWork(
                lists=lists,
                begin=begin,
                log=Trace(now=clock.now, masking=Masker()),
                now=clock.wall,
            )
            list_id = await lists.add(
                campaign.rows, "trial", campaign.rule_name, campaign.terms, work.now().timestamp()
            )
            nursery.start_soon(_watch, lists, list_id, note)
            await work.finish()
            nursery.cancel_scope.cancel()
        (progress,) = await lists.lists(list_id)
        results = await lists.results(list_id)
    return Tried(
        progress=progress, results=results, took_s=clock.now() - began_s, warnings=warnings
    )


async def _watch(lists: Lists, list_id: int, note: Callable[[Progress], None]) -> None:
    while True:
        (progress,) = await lists.lists(list_id)
        note(progress)
        await trio.sleep(30)


async def _nobody(caller: Any) -> None:
    """Nobody calls."""


async def _no_web(request: HttpRequest, on_part: OnPart | None) -> HttpRequestResult:
    await trio.lowlevel.checkpoint()
    return HttpRequestResult(code=NO_WEB, text="a trial on virtual time has no web")
