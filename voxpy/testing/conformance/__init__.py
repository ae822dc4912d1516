"""Rules for what plugs into voxpy: legs, sources, sinks, realtime servers. Run on all of ours."""

from __future__ import annotations

from voxpy.testing.conformance.leg import LEG_CHECKS, LegBench, check_leg
from voxpy.testing.conformance.media import SINK_CHECKS, SOURCE_CHECKS, check_sink, check_source
from voxpy.testing.conformance.realtime import REALTIME_SERVER_CHECKS, check_realtime_server
from voxpy.testing.conformance.rules import Check, Nonconforming, RuleBroken

__all__ = [
    "LEG_CHECKS",
    "REALTIME_SERVER_CHECKS",
    "SINK_CHECKS",
    "SOURCE_CHECKS",
    "Check",
    "LegBench",
    "Nonconforming",
    "RuleBroken",
    "check_leg",
    "check_realtime_server",
    "check_sink",
    "check_source",
]
