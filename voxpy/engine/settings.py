"""The bounds of a session and what to do at them: plain values, defaults included.

The defaults are VoxEngine's where it has the bound (VoxEngine: platform/voxengine/limits); the
others say why. ``routing.yaml`` overrides them for all rules (``settings:``) or for one.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import attrs

from voxpy.audio.frame import FRAME_MS

OnHandlerError = Literal["terminate", "continue"]


def may_be_off(field: attrs.Attribute[Any]) -> bool:
    """Return whether a field of Limits or Watchdogs accepts ``math.inf``, that is: no bound."""
    return bool(field.metadata.get("off", False))


def _check_number(_instance: object, field: attrs.Attribute[Any], value: Any) -> None:
    kind = "a whole number" if field.metadata["whole"] else "a number"
    accepted = int if field.metadata["whole"] else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise TypeError(f"{field.name} must be {kind}, not {value!r}")
    if not value > 0:  # NaN included
        raise ValueError(f"{field.name} must be above 0, not {value!r}")
    if value == math.inf and not may_be_off(field):
        raise ValueError(f"{field.name} cannot be switched off: it must be finite")


def _check_batch(_instance: object, field: attrs.Attribute[Any], value: int) -> None:
    if value % FRAME_MS:  # the uplink carries whole media frames
        raise ValueError(f"{field.name} must be a multiple of {FRAME_MS}, not {value!r}")


def _seconds(default: float, *, off: bool = False) -> Any:
    return attrs.field(
        default=default, validator=_check_number, metadata={"whole": False, "off": off}
    )


def _count(default: int, *more: Any) -> Any:
    return attrs.field(
        default=default,
        validator=[_check_number, *more],
        metadata={"whole": True, "off": False},
    )


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds of one session. Every value is above 0; TypeError or ValueError names the field.

    Attributes:
        session_without_calls_s: A session with no call ends after this; ``math.inf``: never.
        unanswered_call_s: An incoming call nobody answered is dropped, an outgoing one fails with
            408; ``math.inf``: never.
        early_media_s: Longest early media before the answer; ``math.inf``: no bound.
        call_attempts: Calls a session may make in its life; one more fails with 403.
        ringing_calls: Outgoing calls without an answer at once; one more fails with 403.
        players: Players of a session that are neither stopped nor finished.
        timers: Active timers of a session.
        event_queue: Events that wait for a session's dispatcher. VoxEngine names no number; this
            is 20 s of a realtime service at its usual 50 events/s.
        live_handlers: Async handlers suspended at once. Ours: more than any scenario we know
            needs, less than what a handler that never returns piles up in one long call.
        slow_handler_s: A handler that computes longer without awaiting is named in the log:
            one 20 ms media frame, because it delays the audio of every call in the process.
            ``math.inf``: never named. (VoxEngine stops a callback at 1 s.)
        terminating_grace_s: How long listeners of Terminating may run.
        close_s: How long each leg and socket may take to say goodbye.
        custom_data_bytes: Longest ``custom_data``, in UTF-8. VoxEngine's pages say 200 bytes and
            2,000 characters; real calls carried 600.
        log_characters: Longest ``Logger.write`` text; longer ones are cut.
        uplink_batch_ms: Audio sent to a realtime service per message; a multiple of 20. Ours:
            at 20 ms the 50 messages/s would sit on the service's rate limit.
    """

    session_without_calls_s: float = _seconds(60.0, off=True)
    unanswered_call_s: float = _seconds(60.0, off=True)
    early_media_s: float = _seconds(60.0, off=True)
    call_attempts: int = _count(50)
    ringing_calls: int = _count(10)
    players: int = _count(10)
    timers: int = _count(100)
    event_queue: int = _count(1024)
    live_handlers: int = _count(256)
    slow_handler_s: float = _seconds(0.02, off=True)
    terminating_grace_s: float = _seconds(5.0)
    close_s: float = _seconds(2.0)
    custom_data_bytes: int = _count(2000)
    log_characters: int = _count(15_000)
    uplink_batch_ms: int = _count(40, _check_batch)


@attrs.frozen(kw_only=True)
class Watchdogs:
    """What ends a call that has gone wrong without anybody noticing. voxpy's own.

    Each posts its event first (``WatchdogEvents``) and ends the session ``grace_s`` later.

    Attributes:
        no_inbound_media_s: No audio packet from the caller; ``math.inf`` switches it off.
        dead_air_s: Nobody was audible in either direction; ``math.inf`` switches it off.
        longest_call_s: Age of the oldest connected call; ``math.inf`` switches it off.
        agent_silent_s: The agent owes something (an answer, the end of a response, a confirmed
            session) and has not made a sound; what the caller says does not count. ``math.inf``
            switches it off.
        grace_s: Time between the event and the end.
    """

    no_inbound_media_s: float = _seconds(30.0, off=True)
    dead_air_s: float = _seconds(120.0, off=True)
    longest_call_s: float = _seconds(7200.0, off=True)
    agent_silent_s: float = _seconds(20.0, off=True)
    grace_s: float = _seconds(5.0)


@attrs.frozen(kw_only=True)
class Settings:
    """Everything about a session that its owner may tune.

    ``on_handler_error`` is what an exception in a scenario's handler leads to: the end of the
    session (``"terminate"``, VoxEngine's way) or only a trace of it (``"continue"``).
    ``replayable`` keeps what came from outside in ``inputs.jsonl``, for ``voxpy replay``.
    """

    limits: Limits = attrs.field(factory=Limits)
    watchdogs: Watchdogs = attrs.field(factory=Watchdogs)
    on_handler_error: OnHandlerError = attrs.field(
        default="terminate", validator=attrs.validators.in_(("terminate", "continue"))
    )
    replayable: bool = True
