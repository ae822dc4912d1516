"""An hour on the phone in virtual time: 200 turns through the whole stack, and what memory does.

Simulated leg, scenario, production connection code, websocket over memory, local agent with speech
made of tones. Prints resident memory every ten virtual minutes.

Run it:  python benchmarks/long_call.py
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

from voxpy.engine.loader import compile_scenarios
from voxpy.engine.settings import Settings, Watchdogs
from voxpy.engine.trace import Entry
from voxpy.host.sessions import HostedSession
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.localcall import LocalCall, run_local_call
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.simulation.virtual import run_virtual

TURNS = 200
TURN_S = 18
ROOT = Path(__file__).parents[1]


def resident_mb() -> float:
    """Return the resident memory of this process in MB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Meter:
    """An Observer that notes resident memory as virtual time passes, and keeps nothing else."""

    def __init__(self) -> None:
        self.next_at = 0.0
        self.readings: list[tuple[float, float]] = []

    def progress(self, text: str) -> None:
        """Nobody waits."""

    def session_began(self, session: HostedSession) -> None:
        """Nothing to do."""

    def entry(self, entry: Entry) -> None:
        """Look at the clock of the trace."""
        if entry.t >= self.next_at:
            self.readings.append((entry.t, resident_mb()))
            self.next_at = entry.t + 600


def main() -> None:
    """Run the call and print the table."""
    turn = f"""
  - say: this is question number one of very many
  - wait: {{for: agent_finished, within_s: 30}}
  - silence: {TURN_S - 6.4:.1f}"""
    script = (
        "steps:\n  - wait: answered\n  - wait: agent_finished" + turn * TURNS + "\n  - hang_up\n"
    )
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        responder = ScriptedResponder(["this is an answer of some length for you"] * (TURNS + 1))
        local = LocalCall(
            program=compile_scenarios([ROOT / "scenarios" / "answer.py"]),
            script=parse_script(script, file="caller.yaml", folder=base),
            agent="local",
            session_id="long",
            secrets=Secrets(base / "secrets.env", environ={}),
            base=base,
            make_engines=lambda: scripted_engines(responder),
            settings=Settings(watchdogs=Watchdogs(longest_call_s=20_000)),
        )
        began = time.perf_counter()
        result = run_virtual(partial(run_local_call, local, meter))
        took_s = time.perf_counter() - began
    assert not result.failure, result.failure
    record = result.record
    answered = sum(line["who"] == "agent" for line in record.personal["transcript"])
    print(f"{record.duration_s / 60:.1f} virtual minutes, {answered} answers, {took_s:.1f} s real")
    for t, mb in meter.readings:
        print(f"{t / 60:6.1f} min  {mb:7.1f} MB")
    print(f"   end      {resident_mb():7.1f} MB")


if __name__ == "__main__":
    main()
