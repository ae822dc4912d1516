"""Every connector over real sockets and real time, against the local agent as its service."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from tests.services.talks import TALKS, Talk
from voxpy.engine.ending import EndReason
from voxpy.localagent.server import serve_tcp
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.sockets.streams import open_tcp
from voxpy.testing import CallKit

pytestmark = pytest.mark.slow
GREETING = "Good morning"
PATIENCE_S = 60.0


@pytest.fixture(params=list(TALKS))
def talk(request: pytest.FixtureRequest) -> Talk:
    return TALKS[request.param]


async def test_a_greeting_over_tcp(voxpy: CallKit, talk: Talk) -> None:
    engines = scripted_engines(ScriptedResponder([GREETING]))
    async with trio.open_nursery() as nursery:
        serve = partial(serve_tcp, engines, host="127.0.0.1", port=0)
        port = await nursery.start(serve)
        where = f"ws://127.0.0.1:{port}"
        async with voxpy.world(
            talk.source, engines=engines, endpoint=where, open_stream=open_tcp
        ) as world:
            caller = await world.dial()
            await caller.wait_hears(GREETING, within_s=PATIENCE_S)
            caller.hang_up()
            await world.wait_ended(within_s=PATIENCE_S)
        assert world.call.result.end.reason is EndReason.TERMINATED
        nursery.cancel_scope.cancel()
