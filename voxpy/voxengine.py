"""``VoxEngine``: the session as scenarios see it (VoxEngine: VoxEngine namespace).

A stateless face: every call looks up the session that is running, so the same imported object is
right in every session at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from voxpy.engine.context import current
from voxpy.engine.emitter import Handler, check_handler, check_kind
from voxpy.engine.ending import EndReason
from voxpy.engine.events import Event
from voxpy.errors import LimitExceeded, NotSupported, ScenarioError, UnknownName, nearest

__all__ = ["VoxEngine", "VoxEngineNamespace", "send_media_between"]

E = TypeVar("E", bound=Event)
H = TypeVar("H", bound=Callable[..., Any])

CATALOG = "AppEvents or WatchdogEvents"

NOT_YET = frozenset(
    """allow_websocket_connections enable_trace_for_incoming_websockets
    disable_trace_for_incoming_websockets enable_statistics_for_incoming_websockets
    disable_statistics_for_incoming_websockets call_pstn call_sip call_user call_user_direct
    call_whatsapp_user call_conference create_asr create_tts_player create_url_player
    create_tone_script_player create_sequence_player create_recorder create_conference
    destroy_conference create_streaming_agent create_websocket easy_process forward_call_to_pstn
    forward_call_to_user forward_call_to_user_direct forward_call_to_sip enqueue_acd_request
    enqueue_task play_sound_and_hangup""".split()
)
"""Functions of VoxEngine that voxpy does not have yet: named honestly instead of as misspelt."""


class VoxEngineNamespace:
    """The functions of the VoxEngine namespace that voxpy has; made once, as ``VoxEngine``."""

    __slots__ = ()  # what a scenario stored here would be seen by every other session

    def add_event_listener(self, kind: type[E], handler: Handler[E]) -> None:
        """Call ``handler(event)`` for every event of class ``kind`` in this session.

        ``handler`` may be sync or async. Raises ScenarioError if ``kind`` is no event or
        ``handler`` is not callable. VoxEngine: VoxEngine.addEventListener.
        """
        session = current("VoxEngine.add_event_listener")
        session.listeners.add(check_kind(kind, CATALOG), check_handler(kind, handler))

    def remove_event_listener(self, kind: type[E], handler: Handler[E] | None = None) -> None:
        """Remove ``handler``, or without it every handler of ``kind``."""
        current("VoxEngine.remove_event_listener").listeners.remove(
            check_kind(kind, CATALOG), handler
        )

    def on(self, kind: type[Event]) -> Callable[[H], H]:
        """Return a decorator that subscribes a function: ``@VoxEngine.on(AppEvents.Started)``."""

        def subscribe(handler: H) -> H:
            self.add_event_listener(kind, handler)
            return handler

        return subscribe

    async def wait_event(self, kind: type[E], *, timeout_s: float = float("inf")) -> E:
        """Wait for the next event of class ``kind``. Raises trio.TooSlowError after the timeout."""
        session = current("VoxEngine.wait_event")
        check_kind(kind, CATALOG)
        return await session.wait_event(session.listeners, kind, timeout_s)

    def terminate(self) -> None:
        """End the session; afterwards only Terminating and Terminated reach the scenario.

        Does not stop the current function. Idempotent. VoxEngine: VoxEngine.terminate.
        """
        session = current("VoxEngine.terminate")
        session.trace.command("VoxEngine.terminate")
        session.end(EndReason.TERMINATED, "VoxEngine.terminate")

    def send_media_between(self, unit1: Any, unit2: Any) -> None:
        """Send the media of each unit to the other; replaces what they heard before.

        Raises ScenarioError if one is no media unit. VoxEngine: VoxEngine.sendMediaBetween.
        """
        session = current("VoxEngine.send_media_between")
        session.connect_media(unit1, unit2)
        session.connect_media(unit2, unit1)

    def stop_media_between(self, unit1: Any, unit2: Any) -> None:
        """Undo ``send_media_between``. VoxEngine: VoxEngine.stopMediaBetween."""
        session = current("VoxEngine.stop_media_between")
        session.disconnect_media(unit1, unit2)
        session.disconnect_media(unit2, unit1)

    def get_secret_value(self, name: str) -> str | None:
        """Return a secret, or None if there is none. VoxEngine: VoxEngine.getSecretValue."""
        session = current("VoxEngine.get_secret_value")
        value = session.around.secrets.get(name) if name else None
        # Not under "secret": everything that stands there is masked, and the name is wanted.
        session.trace.command("VoxEngine.get_secret_value", key=name, found=value is not None)
        return value

    def custom_data(self, value: str | None = None) -> str:
        """Set the session's string if ``value`` is given, and return it.

        Raises LimitExceeded above ``limits.custom_data_bytes`` of UTF-8. VoxEngine:
        VoxEngine.customData.
        """
        session = current("VoxEngine.custom_data")
        if value is not None:
            if not isinstance(value, str):
                raise ScenarioError(f"custom_data must be a string, not {type(value).__name__}")
            limit = session.around.settings.limits.custom_data_bytes
            if len(value.encode()) > limit:
                raise LimitExceeded(f"custom_data holds {limit} bytes, not {len(value.encode())}")
            session.custom_data = value
        return session.custom_data

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown functions by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            if name in NOT_YET:
                raise NotSupported(
                    f"VoxEngine.{name}() is part of VoxEngine, but voxpy has no {name} yet"
                )
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"VoxEngine has no {name!r}{nearest(name, [*known, *NOT_YET])}")


VoxEngine = VoxEngineNamespace()


def send_media_between(unit1: Any, unit2: Any) -> None:
    """Do what ``VoxEngine.send_media_between`` does; importable by itself."""
    VoxEngine.send_media_between(unit1, unit2)
