"""What one says of a client when it is opened: parameters, their defaults and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import attrs

from voxpy.errors import ScenarioError, UnknownName, nearest
from voxpy.realtime.configuration import AUDIO_FORMATS, AudioChoice


@attrs.frozen(kw_only=True)
class CloseEvent:
    """Why a WebSocket closed (VoxEngine: WebSocketEvents.CLOSE). ``code``: RFC 6455 section 7.4."""

    code: int
    reason: str
    was_clean: bool
    web_socket_id: str


class ClientParameters(TypedDict, total=False):
    """What every function that opens a client takes besides its service's own parameters.

    on_web_socket_close: called once with a CloseEvent when the connection is over.
    statistics: write counts to ``<client id>-statistics.json`` in the session's folder.
    trace: write every frame to ``<client id>-frames.txt`` there.
    privacy: keep everything that passes this connection out of the session's trace.
    playout_limit_s: seconds of agent audio that may wait on our side, 120 by default. VoxEngine
        keeps 10; services send faster than real time, so answers longer than that would be cut.

    The rest is voxpy's own, and off where it would change what a scenario has to do itself:

    auto_truncate: when the caller speaks over the agent, drop what waits and tell the service,
        once, how much of each item was heard (``conversation.item.truncate``, or ``delete`` for
        one that was not heard at all). Not if the session's ``interrupt_response`` is false.
        Back-channels go on. With manual turns the response is cancelled too.
    audio_format: what to ask for where the first ``session_update`` names no format. ``auto``:
        the leg's own G.711, which then passes through untouched, else the service's default;
        ``pcm16`` (24 kHz), ``pcmu``, ``pcma``; None: leave the update as it is.
    queue: hold back what is sent until it makes sense: all but ``session_update`` until the
        session is ready, ``response_create`` until no response is under way, in place of having
        it refused (equal ones that wait become one).
    renew_after_s: seconds after which to move to a new session of the service, and again after
        as many: set it below the service's limit. In a pause of both sides a second connection
        is given the configuration and the conversation without function calls, and replaces the
        first. No event tells of it, SessionCreated and SessionUpdated come once; the trace has a
        step. If it fails, the old one stays.
    """

    on_web_socket_close: Callable[[CloseEvent], Any] | None
    statistics: bool
    trace: bool
    privacy: bool
    playout_limit_s: float
    auto_truncate: bool
    audio_format: AudioChoice | None
    queue: bool
    renew_after_s: float | None


@attrs.frozen(kw_only=True)
class ClientOptions:
    """ClientParameters with their defaults. ``of`` raises ScenarioError for a wrong one."""

    on_web_socket_close: Callable[[CloseEvent], Any] | None = None
    statistics: bool = False
    trace: bool = False
    privacy: bool = False
    playout_limit_s: float = 120.0
    auto_truncate: bool = False
    audio_format: AudioChoice | None = "auto"
    queue: bool = False
    renew_after_s: float | None = None

    @classmethod
    def of(cls, given: ClientParameters) -> ClientOptions:
        """Return the options of these parameters."""
        known = [field.name for field in attrs.fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownName(f"there is no parameter {name!r}{nearest(name, known)}")
        options = cls(**given)
        handler, choice, after_s = (
            options.on_web_socket_close, options.audio_format, options.renew_after_s
        )  # fmt: skip
        if handler is not None and not callable(handler):
            raise ScenarioError(f"on_web_socket_close must be a function, not {handler!r}")
        if choice not in (None, *AUDIO_FORMATS):
            formats = ", ".join(map(repr, AUDIO_FORMATS))
            raise ScenarioError(f"audio_format must be one of {formats} or None, not {choice!r}")
        if after_s is not None and not after_s > 0:
            raise ScenarioError(f"renew_after_s must be above 0 seconds, not {after_s!r}")
        return options
