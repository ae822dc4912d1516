"""The test kit for scenario authors: whole calls on virtual time. See docs/testing.md."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxpy.lab.evaluation.judge import Judge, Verdict
    from voxpy.lab.evaluation.measures import Evaluation, evaluate
    from voxpy.lab.fuzz.callers import fuzz_callers
    from voxpy.localagent.connection import Behaviour
    from voxpy.localagent.responder import CallTool, Say, Turn
    from voxpy.simulation.caller import CallOver, StepFailed
    from voxpy.simulation.script import LineOptions
    from voxpy.simulation.virtual import run_virtual
    from voxpy.testing.agent import ScriptedAgent
    from voxpy.testing.caller import Caller
    from voxpy.testing.calls import CallKit
    from voxpy.testing.conformance import (
        LegBench,
        Nonconforming,
        check_leg,
        check_realtime_server,
        check_sink,
        check_source,
    )
    from voxpy.testing.httpstub import Reply
    from voxpy.testing.service import Refusing, Service, Talk
    from voxpy.testing.socketpeer import SocketPeer
    from voxpy.testing.story import Happened, Latency, Said, ToolCalled, Truncated
    from voxpy.testing.sweeping import sweep
    from voxpy.testing.transcript.asserting import assert_transcript, transcript_text
    from voxpy.testing.world import World
    from voxpy.testing.worldcall import WorldCall
    from voxpy.wire.realtime.server.faults import Faults
    from voxpy.wire.realtime.server.quirks import Quirks

__all__ = [
    "Behaviour",
    "CallKit",
    "CallOver",
    "CallTool",
    "Caller",
    "Evaluation",
    "Faults",
    "Happened",
    "Judge",
    "Latency",
    "LegBench",
    "LineOptions",
    "Nonconforming",
    "Quirks",
    "Refusing",
    "Reply",
    "Said",
    "Say",
    "ScriptedAgent",
    "Service",
    "SocketPeer",
    "StepFailed",
    "Talk",
    "ToolCalled",
    "Truncated",
    "Turn",
    "Verdict",
    "World",
    "WorldCall",
    "assert_transcript",
    "check_leg",
    "check_realtime_server",
    "check_sink",
    "check_source",
    "evaluate",
    "fuzz_callers",
    "run_virtual",
    "sweep",
    "transcript_text",
]

_HOMES = {
    "Behaviour": "localagent.connection",
    "CallKit": "testing.calls",
    "CallOver": "simulation.caller",
    "CallTool": "localagent.responder",
    "Caller": "testing.caller",
    "Evaluation": "lab.evaluation.measures",
    "Faults": "wire.realtime.server.faults",
    "Happened": "testing.story",
    "Judge": "lab.evaluation.judge",
    "Latency": "testing.story",
    "LegBench": "testing.conformance",
    "LineOptions": "simulation.script",
    "Nonconforming": "testing.conformance",
    "Quirks": "wire.realtime.server.quirks",
    "Refusing": "testing.service",
    "Reply": "testing.httpstub",
    "Said": "testing.story",
    "Say": "localagent.responder",
    "ScriptedAgent": "testing.agent",
    "Service": "testing.service",
    "SocketPeer": "testing.socketpeer",
    "StepFailed": "simulation.caller",
    "Talk": "testing.service",
    "ToolCalled": "testing.story",
    "Truncated": "testing.story",
    "Turn": "localagent.responder",
    "Verdict": "lab.evaluation.judge",
    "World": "testing.world",
    "WorldCall": "testing.worldcall",
    "assert_transcript": "testing.transcript.asserting",
    "check_leg": "testing.conformance",
    "check_realtime_server": "testing.conformance",
    "check_sink": "testing.conformance",
    "check_source": "testing.conformance",
    "evaluate": "lab.evaluation.measures",
    "fuzz_callers": "lab.fuzz.callers",
    "run_virtual": "simulation.virtual",
    "sweep": "testing.sweeping",
    "transcript_text": "testing.transcript.asserting",
}


def __getattr__(name: str) -> Any:
    # The pytest plugin lives in this package: only tests that use the kit pay for its imports.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"voxpy.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
