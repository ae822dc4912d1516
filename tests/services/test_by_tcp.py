"""Every connector over real sockets and real time, against the local agent as its service."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from tests.services.talks import TALKS, Talk
from voxpy.engine.ending import EndReason
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.trace import Entry
from voxpy.host.sessions import HostedSession
from voxpy.localagent.server import serve_tcp
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.localcall import LocalCall, run_local_call
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines

pytestmark = pytest.mark.slow
CALLER = """
steps:
- wait: answered
- expect: {heard: good morning, within_s: 60}
- hang_up
"""


@pytest.fixture(params=list(TALKS))
def talk(request: pytest.FixtureRequest) -> Talk:
    return TALKS[request.param]


class Nobody:
    """An observer that looks away."""

    def progress(self, text: str) -> None: ...

    def entry(self, entry: Entry) -> None: ...

    def session_began(self, session: HostedSession) -> None: ...


async def test_a_greeting_over_tcp(tmp_path: Path, talk: Talk) -> None:
    engines = scripted_engines(ScriptedResponder(["Good morning"]))
    path = tmp_path / "scenario.py"
    path.write_text(talk.source, encoding="utf-8")
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, engines, host="127.0.0.1", port=0)
        port = await nursery.start(serve)
        call = LocalCall(
            program=compile_scenarios([path]),
            script=parse_script(CALLER, file="caller.yaml", folder=tmp_path),
            agent=f"ws://127.0.0.1:{port}",
            session_id="by-tcp",
            secrets=Secrets(tmp_path / "secrets.env", environ={}),
            base=tmp_path / ".voxpy",
            make_engines=lambda: engines,
        )
        result = await run_local_call(call, Nobody())
        nursery.cancel_scope.cancel()
    assert result.failure == ""
    assert result.end.reason is EndReason.TERMINATED
