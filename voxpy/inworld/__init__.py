"""``Inworld``: speech-to-speech agents over Inworld's Realtime API (VoxEngine: Inworld module)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from voxpy.engine.context import current
from voxpy.engine.emitter import describe
from voxpy.engine.events import Namespace
from voxpy.errors import ConnectFailed, ScenarioError
from voxpy.inworld import client as client_module
from voxpy.inworld import events
from voxpy.realtime.control import ClientController, ClientOptions, CloseEvent
from voxpy.realtime.formats import AUDIO_FORMATS, AudioChoice
from voxpy.realtime.link import Access
from voxpy.wire.realtime.endpoint import authorization, session_url

if TYPE_CHECKING:
    from voxpy.inworld import voice
    from voxpy.realtime import tools

__all__ = ["CloseEvent", "Inworld"]

SECRET = "INWORLD_API_KEY"  # noqa: S105  its name, not its value
FAILED = "no connection to the realtime service"


_ON_DEMAND = {"RealtimeVoice": "voxpy.inworld.voice", "ToolSet": "voxpy.realtime.tools"}
"""Parts that most scenarios do without: imported when they are first named."""


class _Names(Namespace):
    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:  # noqa: N805  the class is its instance
            home = _ON_DEMAND.get(name)
            if home is None:
                return super().__getattr__(name)
            value = getattr(importlib.import_module(home), name)
            setattr(cls, name, value)
            return value


class Inworld(metaclass=_Names):
    """The Inworld module; also what ``require(Modules.Inworld)`` returns."""

    RealtimeAPIClient: TypeAlias = client_module.RealtimeAPIClient
    RealtimeAPIEvents: TypeAlias = events.RealtimeAPIEvents
    Events: TypeAlias = events.Events
    if TYPE_CHECKING:
        RealtimeVoice: TypeAlias = voice.RealtimeVoice
        ToolSet: TypeAlias = tools.ToolSet

    @staticmethod
    async def create_realtime_api_client(
        *,
        api_key: str | None = None,
        session_key: str,
        auth_scheme: Literal["basic", "bearer"] | None = None,
        on_web_socket_close: Callable[[CloseEvent], Any] | None = None,
        statistics: bool = False,
        trace: bool = False,
        privacy: bool = False,
        url: str | None = None,
        playout_limit_s: float = 120.0,
        auto_truncate: bool = False,
        audio_format: AudioChoice | None = "auto",
        queue: bool = False,
        renew_after_s: float | None = None,
        mulaw_thirds: bool = True,
    ) -> client_module.RealtimeAPIClient:
        """Open a connection and return its client as soon as the socket is open.

        The provider's session is not ready then: wait for ``SessionCreated``, send the
        configuration, and bridge media at the first ``SessionUpdated``.

        api_key: a portal key (already Base64, sent verbatim as Basic) or a JWT (sent as Bearer).
        session_key: any unique string; identifies the session at the service.
        auth_scheme: overrides what the key's form suggests.
        on_web_socket_close: called once with a CloseEvent when the connection is over.
        statistics: write counts to ``<client id>-statistics.json`` in the session's folder.
        trace: write every frame to ``<client id>-frames.txt`` there.
        privacy: keep everything that passes this connection out of the session's trace.
        url: another endpoint of the same protocol; default: the host's choice.
        playout_limit_s: seconds of agent audio that may wait on our side. VoxEngine keeps 10; the
            service sends faster than real time, so answers longer than that would be cut.

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
            (``session_key`` with ``-2`` added) is given the configuration and the conversation
            without function calls, and replaces the first. No event tells of it, SessionCreated
            and SessionUpdated come once; the trace has a step. If it fails, the old one stays.
        mulaw_thirds: the service reckons 8 kHz mu-law in thirds of the real milliseconds, and so
            must a truncation. True for Inworld, False for OpenAI. Used by ``auto_truncate`` alone.

        Raises ConnectFailed (refused, unreachable, no answer in 10 s), ScenarioError for a missing
        key or wrong argument. VoxEngine: Inworld.createRealtimeAPIClient.
        """
        session = current("Inworld.create_realtime_api_client")
        endpoint = session.context.realtime
        given: Any = session_key  # scenarios are not always type checked
        if not isinstance(given, str) or not given:
            raise ScenarioError(f"session_key must be a unique string, not {given!r}")
        if on_web_socket_close is not None and not callable(on_web_socket_close):
            raise ScenarioError(
                f"on_web_socket_close must be a function, not {on_web_socket_close!r}"
            )
        if audio_format not in (None, *AUDIO_FORMATS):
            known = ", ".join(map(repr, AUDIO_FORMATS))
            raise ScenarioError(
                f"audio_format must be one of {known} or None, not {audio_format!r}"
            )
        if renew_after_s is not None and not renew_after_s > 0:
            raise ScenarioError(f"renew_after_s must be above 0 seconds, not {renew_after_s!r}")
        key = api_key or (endpoint.api_key if url is None else None)
        if not key:
            why = session.context.secrets.missing(SECRET)
            problem = f"Inworld.create_realtime_api_client: api_key is {api_key!r}; {why}"
            session.trace.warning(FAILED, message=problem)
            raise ScenarioError(problem)
        client_id = session.new_id("client")
        session.trace.command(
            "Inworld.create_realtime_api_client",
            unit=client_id,
            url=session_url(url or endpoint.url, session_key),
            on_web_socket_close=describe(on_web_socket_close) if on_web_socket_close else None,
        )
        controller = ClientController(
            session,
            client_id,
            Access(
                url=url or endpoint.url,
                session_key=session_key,
                authorization=authorization(key, auth_scheme),
                mulaw_thirds=mulaw_thirds,
            ),
            ClientOptions(
                on_web_socket_close=on_web_socket_close,
                statistics=statistics,
                trace=trace,
                privacy=privacy,
                playout_limit_s=playout_limit_s,
                auto_truncate=auto_truncate,
                audio_format=audio_format,
                renew_after_s=renew_after_s,
                queue=queue,
            ),
        )
        try:
            await controller.open()
        except ConnectFailed as error:  # scenarios often catch it, and then nobody would see it
            session.trace.warning(FAILED, unit=client_id, message=str(error))
            raise
        return controller.client
