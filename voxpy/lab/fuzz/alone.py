"""Watches over a caller while a call runs: who is left alone, and whose goodbye is cut.

A caller is *alone* from when its last agent has failed, was closed by the other side or fell
silent, until it hears something, somebody else is there, or the call is over. What was on its way
to its ear at that moment still is company. A caller of the fuzzer stays on the line for as long as
it is alone, up to the bound, whatever else it had planned: who hangs up finds nothing.
"""

from __future__ import annotations

from contextlib import suppress

from voxpy.engine.trace import Entry
from voxpy.lab.fuzz.evidence import StaleWatch, words_on_their_way
from voxpy.simulation.caller import CallOver, SimulatedCaller
from voxpy.testing.worldcall import WorldCall

ALONE_S = 10.0
"""How long a caller may hear nothing once its agent is gone."""
MOVES_ON = ("VoxEngine.call_", "VoxEngine.forward_call_", "VoxEngine.easy_process")
LOOK_S = 0.5
CUT_MS = 300
"""Less than this is no word."""


class LonelyWatch:
    """Notes in ``found`` when a caller was alone for longer than ``alone_s``, and how long."""

    def __init__(self, call: WorldCall, *, alone_s: float) -> None:
        self.alone_s = alone_s
        self.found: list[tuple[float, float]] = []
        self._call = call
        self._leg = call.simulated.leg
        self._here: set[str] = set()
        self._dismissed: set[str] = set()
        self._audible = False
        self._is_gone = False
        self._since_s: float | None = None
        call.hosted.trace.add_sink(self._see)

    @property
    def agent_is_gone(self) -> bool:
        """Whether the caller's last agent is gone and nothing has come in its place."""
        return self._is_gone

    async def stay(self, caller: SimulatedCaller) -> None:
        """Keep the caller on the line while it is alone, up to the bound."""
        with suppress(CallOver):
            while self._waits():
                await caller.pause(LOOK_S)

    def finish(self) -> None:
        """Judge how it was in the end."""
        self._comforted(self._call.entries[-1].t if self._call.entries else 0.0)

    def _waits(self) -> bool:
        if self._since_s is None:
            return self._is_gone and self._audible
        return self._call.hosted.trace.elapsed_s() - self._since_s <= self.alone_s + LOOK_S

    def _see(self, entry: Entry) -> None:
        match entry.kind:
            case "event":
                self._event(entry)
            case "command":
                if entry.name.endswith(".close"):
                    self._dismissed.add(entry.unit)
                    self._here.discard(entry.unit)
                elif entry.name.startswith(MOVES_ON):
                    self._comforted(entry.t)
            case "error" if entry.name == "agent failed":
                self._went(entry)
            case "step":
                self._step(entry)

    def _event(self, entry: Entry) -> None:
        short = entry.name.rpartition(".")[2]
        if short == "SessionUpdated":
            self._here.add(entry.unit)
            self._comforted(entry.t)
        elif short == "AgentSilent":
            self._went(entry)
        elif entry.name == "Call.Connected" and entry.unit == self._leg.leg_id:
            self._wait_from(entry.t)

    def _step(self, entry: Entry) -> None:
        mine = entry.unit == self._leg.leg_id
        if entry.name == "agent ready":
            self._here.add(entry.unit)
            self._comforted(entry.t)
        if entry.name == "websocket closed" and entry.unit in self._here:
            self._went(entry)
        elif entry.name == "agent audible" and mine:
            self._audible = True
            self._comforted(entry.t)
        elif entry.name == "agent silent" and mine:
            self._audible = False
            self._wait_from(entry.t)
        elif entry.name == "call over" and mine:
            self._comforted(entry.t)

    def _went(self, entry: Entry) -> None:
        self._here.discard(entry.unit)
        if entry.unit not in self._dismissed and not self._here and self._leg.state != "ended":
            self._is_gone = True
            self._wait_from(entry.t)

    def _wait_from(self, at_s: float) -> None:
        if self._is_gone and self._since_s is None and not self._audible:
            self._since_s = at_s if self._leg.state == "connected" else None

    def _comforted(self, at_s: float) -> None:
        since_s, self._since_s, self._is_gone = self._since_s, None, False
        if since_s is not None and at_s - since_s > self.alone_s:
            self.found.append((since_s, at_s - since_s))


class CutWatch:
    """Notes in ``found`` when a scenario hung up in the middle of its agent's words, and of how
    many milliseconds.

    Not while the caller speaks, who may have broken in, and not when the agent is gone.
    """

    def __init__(self, call: WorldCall, lonely: LonelyWatch) -> None:
        self.found: list[tuple[float, float]] = []
        self._call = call
        self._lonely = lonely
        call.hosted.trace.add_sink(self._see)

    def _see(self, entry: Entry) -> None:
        leg, caller = self._call.simulated.leg, self._call.simulated.caller
        leaves = entry.name == "VoxEngine.terminate" or (
            entry.name == "Call.hangup" and entry.unit == leg.leg_id
        )
        if entry.kind != "command" or not leaves or leg.state != "connected":
            return
        if caller.over is not None or caller.ear.talking or self._lonely.agent_is_gone:
            return
        playout = words_on_their_way(self._call)
        if playout is None:
            return
        left_ms = 1000 * playout.format.duration_s(playout.buffered_bytes)
        if left_ms > CUT_MS:
            self.found.append((entry.t, left_ms))


class Watches:
    """Everybody who watches one call."""

    def __init__(self, call: WorldCall, *, alone_s: float) -> None:
        self.stale = StaleWatch(call)
        self.lonely = LonelyWatch(call, alone_s=alone_s)
        self.cut = CutWatch(call, self.lonely)
