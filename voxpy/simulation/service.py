"""What a scripted caller's day brings besides the caller: how the service behaves, and when what
goes wrong. Pure data, part of a CallerScript; the format is in voxpy.host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import attrs

from voxpy.wire.realtime.server.faults import Faults

__all__ = ["DEEDS", "CallsTool", "Deed", "Moment", "ServiceScript", "Speech"]

Speech = Literal["real", "tones"]
"""Whether people speak, or sound a tone for each text, which needs no models and no time."""

Deed = Literal[
    "hang_up", "drain", "drop", "close", "stall", "error", "send", "repeat_session"
]  # fmt: skip
DEEDS: tuple[Deed, ...] = get_args(Deed)


@attrs.frozen
class CallsTool:
    """The agent calls a tool. ``arguments``: an object, or text sent as it is, right or wrong."""

    name: str
    arguments: Mapping[str, Any] | str = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ServiceScript:
    """How the realtime service of one call behaves.

    ``says`` is what the agent says and does, turn by turn; empty: whatever it likes. ``seed`` is
    of the faults' luck.
    """

    says: tuple[tuple[str | CallsTool, ...], ...] = ()
    faults: Faults = attrs.field(factory=Faults)
    seed: int = 0


@attrs.frozen(kw_only=True)
class Moment:
    """Something that happens at a time, or as the scenario is sent its ``at_event``-th event.

    Exactly one of ``at_event`` (from 1) and ``at_s`` (seconds after the call came in) is set.
    ``does`` is hang_up (the caller), drain (the host ends the session), or what the service does
    on its newest connection: drop it without a word, close it (``value``: the code), stall
    (``value``: seconds), send an error event (``value``: its code), send any event (``value``), or
    repeat session.updated as it does after each of its memory cycles.
    """

    does: Deed
    at_event: int | None = None
    at_s: float | None = None
    value: Any = None
