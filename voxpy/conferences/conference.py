"""``Conference``: a room of calls, as scenarios hold it (VoxEngine: Conference)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from voxpy.engine.emitter import Emitter
from voxpy.engine.session import Session
from voxpy.errors import NotSupported, UnknownName, nearest
from voxpy.media.unit import MediaPort

__all__ = ["Conference", "ConferenceControl"]


class ConferenceControl(Protocol):
    """What a conference delegates to."""

    conference_id: str

    def members(self) -> list[Any]:
        """Return the units in it."""

    def media_for(self, peer: Any) -> MediaPort | None:
        """Return the place of a unit, or None when the conference has stopped."""

    def stop(self) -> None:
        """End it."""


class Conference(Emitter):
    """Hears many and gives each of them the sum of all the others (VoxEngine: Conference).

    Join a call with ``VoxEngine.send_media_between(call, conference)``. A player or an AI client
    that only sends is heard by all; a call or a recorder that is only sent to hears all. Who hangs
    up is gone. Listen with ``ConferenceEvents``.
    """

    def __init__(self, session: Session, control: ConferenceControl) -> None:
        super().__init__(session, catalog="ConferenceEvents")
        self._session: Session = session
        self._control = control

    def id(self) -> str:
        """Return the id of the conference, unique in the session (VoxEngine: Conference.id)."""
        return self._control.conference_id

    def get_list(self) -> list[Any]:
        """Return the units that send to it or hear it, in the order they joined.

        In VoxEngine these are the endpoints of video conferences. VoxEngine: Conference.getList.
        """
        return self._control.members()

    def get(self, unit_id: str) -> Any:
        """Return the member with this id, or None. VoxEngine: Conference.get."""
        return next((m for m in self._control.members() if m.id() == unit_id), None)

    def add(self, *_: Any, **__: Any) -> NoReturn:
        """Add a video endpoint. Raises NotSupported: voxpy carries audio. VoxEngine: add."""
        raise NotSupported(
            "conference.add() is for the endpoints of a video conference, which voxpy has not; "
            "join a call with VoxEngine.send_media_between(call, conference)"
        )

    def stop(self) -> None:
        """End the conference; its members stay connected to nothing. Idempotent.

        VoxEngine: Conference.stop.
        """
        self._session.trace.command("Conference.stop", unit=self.id())
        self._control.stop()

    def send_media_to(
        self,
        unit: Any,
        *,
        encoding: str | None = None,
        tag: str | None = None,
        custom_parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Let ``unit`` hear the conference; replaces what it heard before.

        The keyword arguments concern WebSocket targets only. Raises ScenarioError if ``unit`` takes
        no media. VoxEngine: Conference.sendMediaTo.
        """
        self._session.connect_media(self, unit)

    def stop_media_to(self, unit: Any) -> None:
        """Let ``unit`` hear the conference no longer. VoxEngine: Conference.stopMediaTo."""
        self._session.disconnect_media(self, unit)

    def media_for(self, peer: Any) -> MediaPort | None:
        """Return the place of ``peer``; for ``send_media_to``, not for scenarios."""
        return self._control.media_for(peer)

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"Conference has no {name!r}{nearest(name, known)}")
