"""Every connector in a whole call over real sockets and real time, its fake behind the port.

All calls are made at once and then looked at one by one: together they take as long as one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from tests.services.talks import TALKS
from voxpy.engine.ending import EndReason
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.trace import Entry
from voxpy.host.sessions import HostedSession
from voxpy.localagent.connection import Behaviour
from voxpy.localagent.responder import CallTool
from voxpy.localagent.server import serve_tcp
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.localcall import LocalCall, LocalCallResult, run_local_call
from voxpy.simulation.service import ScriptedResponder, TurnScript
from voxpy.simulation.tones import scripted_engines
from voxpy.wire.realtime.server.faults import Faults

pytestmark = pytest.mark.slow
STORY = "Once upon a time there was a very long story about a telephone that nobody answered"
CALLER = """
steps:
- wait: answered
- expect: {heard: good morning, within_s: 60}
- say: What is the price of tea?
- expect: {heard: it costs three dollars, within_s: 60}
- say: Tell me a story
- interrupt: {after_s: 1, say: Stop it please, within_s: 60}
- expect: {heard: good bye, within_s: 60}
- hang_up
"""
STAYS = "steps: [{wait: answered}, {wait: {for: hung_up, within_s: 60}}]"
BREAKS = Faults(close_at_event="response.done", close_code=1011, close_reason="gone wrong")


@attrs.define
class Made:
    """A call that was made: how it ended, what its trace has, what its agent was asked."""

    brain: ScriptedResponder
    entries: list[Entry] = attrs.field(factory=list)
    results: list[LocalCallResult] = attrs.field(factory=list)

    def progress(self, text: str) -> None: ...

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def session_began(self, session: HostedSession) -> None: ...

    def logged(self) -> list[str]:
        return [str(e.personal["text"]) for e in self.entries if e.name == "Logger.write"]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Made]:
    made = {
        (name, what): Made(ScriptedResponder(_turns(name)))
        for name in TALKS
        for what in ("whole", "broken")
    }

    async def make_all() -> None:
        async with trio.open_nursery() as nursery:
            for (name, what), call in made.items():
                folder = tmp_path_factory.mktemp(f"{name}-{what}")
                nursery.start_soon(_make, name, what == "broken", call, folder)

    trio.run(make_all)
    return made


def _turns(name: str) -> list[TurnScript]:
    tool = CallTool("get_price", {"item": "tea"})
    answers: list[TurnScript] = ["It costs three dollars", STORY, "Good bye"]
    return ["Good morning", *([tool] if TALKS[name].has_tools else []), *answers]


async def _make(name: str, breaks: bool, made: Made, folder: Path) -> None:
    engines = scripted_engines(made.brain)
    behaviour = Behaviour(like=name, faults=BREAKS if breaks else Faults())
    path = folder / "scenario.py"
    path.write_text(TALKS[name].source, encoding="utf-8")
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, engines, host="127.0.0.1", port=0, behaviour=behaviour)
        port = await nursery.start(serve)
        call = LocalCall(
            program=compile_scenarios([path]),
            script=parse_script(STAYS if breaks else CALLER, file="caller.yaml", folder=folder),
            agent=f"ws://127.0.0.1:{port}",
            session_id=folder.name,
            secrets=Secrets(folder / "secrets.env", environ={}),
            base=folder / ".voxpy",
            make_engines=lambda: engines,
        )
        made.results.append(await run_local_call(call, made))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", TALKS)
def test_a_whole_call(calls: dict[tuple[str, str], Made], name: str) -> None:
    """Greeting, question, tool, answer, barge-in, hang-up."""
    made, talk = calls[name, "whole"], TALKS[name]
    (result,) = made.results
    assert result.failure == ""
    assert result.end.reason is EndReason.TERMINATED
    assert made.brain.script == []  # every turn was asked for
    if talk.has_tools:
        items = [item for turn in made.brain.turns for item in turn.items]
        outputs = [i["output"] for i in items if i["type"] == "function_call_output"]
        assert outputs[0] == '{"dollars":3}'
    assert talk.speech in [e.name for e in made.entries if e.kind == "event"]
    if talk.tells_words:
        assert "agent: It costs three dollars" in made.logged()
        assert "caller: Stop it please" in made.logged()
    heard = " ".join(e.personal["text"] for e in made.entries if e.name == "caller heard")
    assert "Once upon" in heard
    assert STORY not in heard


@pytest.mark.parametrize("name", TALKS)
def test_a_service_that_breaks_down(calls: dict[tuple[str, str], Made], name: str) -> None:
    (result,) = calls[name, "broken"].results
    assert result.failure == ""
    assert result.end.reason is EndReason.AGENT_FAILED
    assert "gone wrong" in result.end.detail
