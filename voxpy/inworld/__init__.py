"""``Inworld``: speech-to-speech agents over Inworld's Realtime API (VoxEngine: Inworld module)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from voxpy.engine.context import current
from voxpy.engine.emitter import describe
from voxpy.engine.events import Namespace
from voxpy.errors import ConnectFailed, ScenarioError
from voxpy.inworld import client as client_module
from voxpy.inworld import events
from voxpy.inworld.control import ClientController, ClientOptions, CloseEvent
from voxpy.wire.realtime.endpoint import authorization, session_url

__all__ = ["CloseEvent", "Inworld"]

SECRET = "INWORLD_API_KEY"  # noqa: S105  its name, not its value
FAILED = "no connection to the realtime service"


class Inworld(metaclass=Namespace):
    """The Inworld module; also what ``require(Modules.Inworld)`` returns."""

    RealtimeAPIClient: TypeAlias = client_module.RealtimeAPIClient
    RealtimeAPIEvents: TypeAlias = events.RealtimeAPIEvents
    Events: TypeAlias = events.Events

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

        Raises ConnectFailed (refused, unreachable, no answer in 10 s), ScenarioError for a missing
        key or wrong argument. VoxEngine: Inworld.createRealtimeAPIClient.
        """
        session = current("Inworld.create_realtime_api_client")
        endpoint = session.around.realtime
        given: Any = session_key  # scenarios are not always type checked
        if not isinstance(given, str) or not given:
            raise ScenarioError(f"session_key must be a unique string, not {given!r}")
        if on_web_socket_close is not None and not callable(on_web_socket_close):
            raise ScenarioError(
                f"on_web_socket_close must be a function, not {on_web_socket_close!r}"
            )
        key = api_key or (endpoint.api_key if url is None else None)
        if not key:
            why = session.around.secrets.missing(SECRET)
            problem = f"Inworld.create_realtime_api_client: api_key is {api_key!r}; {why}"
            session.trace.warning(FAILED, message=problem)
            raise ScenarioError(problem)
        client_id = session.new_id("client")
        full_url = session_url(url or endpoint.url, session_key)
        session.trace.command(
            "Inworld.create_realtime_api_client",
            unit=client_id,
            url=full_url,
            on_web_socket_close=describe(on_web_socket_close) if on_web_socket_close else None,
        )
        controller = ClientController(
            session,
            client_id,
            full_url,
            authorization(key, auth_scheme),
            ClientOptions(
                on_web_socket_close=on_web_socket_close,
                statistics=statistics,
                trace=trace,
                privacy=privacy,
                playout_limit_s=playout_limit_s,
            ),
        )
        try:
            await controller.open()
        except ConnectFailed as error:  # scenarios often catch it, and then nobody would see it
            session.trace.warning(FAILED, unit=client_id, message=str(error))
            raise
        return controller.client
