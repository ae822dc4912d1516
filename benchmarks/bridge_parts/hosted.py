"""voxpy hosting calls of ``scenarios/answer.py``, with everything on: the program under test.

Its legs come from a provider's media stream, or are simulated ones in this process.
"""

from __future__ import annotations

import cProfile
import itertools
import json
import os
import pstats
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import trio

from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.serving import serve_media_stream
from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine import clock
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.ports import Leg, RealtimeEndpoint
from voxpy.engine.session import SessionContext
from voxpy.engine.settings import Settings
from voxpy.host.running import warm_up
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.lab.bench.framing import FRAME_BYTES
from voxpy.lab.bench.pacing import answer
from voxpy.project.secrets import Secrets
from voxpy.sockets.streams import open_tcp

SCENARIO = Path(__file__).parents[2] / "scenarios" / "answer.py"
SPEECH = bytes(0x55 + n % 7 for n in range(FRAME_BYTES)) * 50 * 300


class Host:
    """What a process that serves calls consists of."""

    def __init__(self, model_port: int, base: Path) -> None:
        self._numbers = itertools.count(1)
        self._base = base
        self._program = compile_scenarios([SCENARIO])
        self._secrets = Secrets(base / "secrets.env", environ={"INWORLD_API_KEY": "bench-key"})
        self._realtime = RealtimeEndpoint(url=f"ws://127.0.0.1:{model_port}/session")
        self.clock = clock.MediaClock()
        self.late_s: list[float] = []
        self.began = self.clock.statistics()
        self.clock.add(self._note)
        self._legs: list[SimulatedLeg] = []

    def _note(self, due_s: float) -> None:
        self.late_s.append(clock.now() - due_s)

    def session(self, leg: Leg) -> HostedSession:
        """Return the session of one call."""
        context = SessionContext(
            session_id=f"s-{next(self._numbers)}",
            rule_name="bench",
            program=self._program,
            settings=Settings(),
            secrets=self._secrets,
            media_clock=self.clock,
            open_stream=open_tcp,
            realtime=self._realtime,
        )
        return HostedSession(context, leg, Keeping(base=self._base))

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection of a provider."""
        await serve_media_stream(stream, "twilio", self._of_stream)

    def _of_stream(self, leg: MediaStreamLeg) -> HostedSession:
        return self.session(leg)

    async def simulate(self) -> None:
        """Run one call without a provider; its caller speaks for five minutes."""
        leg = SimulatedLeg(leg_id="call-1", callerid="1", destination="2")
        leg.mouth.write(SPEECH)
        self._legs.append(leg)
        await self.session(leg).run()

    def end_simulated(self) -> None:
        """Let all simulated callers hang up."""
        for leg in self._legs:
            leg.far_end_hangs_up()
        self._legs.clear()

    def order(self, order: dict[str, Any], nursery: trio.Nursery) -> dict[str, Any]:
        """Do what the driver asks."""
        match order["do"]:
            case "begin":
                self.late_s.clear()
                self.began = self.clock.statistics()
            case "report":
                skipped = self.clock.statistics().skipped - self.began.skipped
                return {"ticks_late": self.late_s, "skipped": skipped}
            case "simulate":
                for _ in range(order["calls"]):
                    nursery.start_soon(self.simulate)
            case "end":
                self.end_simulated()
        return {}


async def main(model_port: int, base: Path) -> None:
    """Serve until stdin ends."""
    host = Host(model_port, base)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.clock.run)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=512)
        nursery.start_soon(partial(trio.serve_listeners, host.serve, listeners))
        answer({"port": listeners[0].socket.getsockname()[1]})
        warm_up()
        rest = b""
        async for data in trio.lowlevel.FdStream(os.dup(0)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                answer(host.order(json.loads(line), nursery))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run = partial(trio.run, main, int(sys.argv[1]), Path(folder))
        if (profile := os.environ.get("BRIDGE_PROFILE")) is None:
            run()
        else:
            profiler = cProfile.Profile()
            profiler.runcall(run)
            pstats.Stats(profiler).dump_stats(profile)
