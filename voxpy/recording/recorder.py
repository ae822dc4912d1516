"""``Recorder``: writes down what is sent to it, as scenarios hold it (VoxEngine: Recorder)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from voxpy.engine.emitter import Emitter
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError, UnknownName, nearest
from voxpy.media.unit import MediaPort

__all__ = ["Recorder", "RecorderControl"]


class RecorderControl(Protocol):
    """What a recorder delegates to."""

    recorder_id: str

    def media_for(self, peer_id: str) -> MediaPort | None:
        """Return where that unit's media goes, or None when the recorder has stopped."""

    def mute(self, muted: bool) -> None:
        """Record silence, or sound again."""

    def stop(self) -> None:
        """Finish the file."""


class Recorder(Emitter):
    """One file of everything that is sent to it (VoxEngine: Recorder).

    Any number of units may send to it, as ``call.send_media_to(recorder)``: they are mixed, unlike
    at a call, which hears one stream only. It sends nothing. Listen with ``RecorderEvents``.
    """

    def __init__(self, session: Session, control: RecorderControl) -> None:
        super().__init__(session, catalog="RecorderEvents")
        self._session: Session = session
        self._control = control

    def id(self) -> str:
        """Return the id of the recorder, unique in the session (VoxEngine: Recorder.id)."""
        return self._control.recorder_id

    def mute(self, muted: bool) -> None:
        """Record silence while ``muted``; the time goes on. VoxEngine: Recorder.mute.

        Raises ScenarioError for what is no bool.
        """
        given: Any = muted  # scenarios are not always type checked
        if not isinstance(given, bool):
            raise ScenarioError(f"mute takes True or False, not {given!r}")
        self._session.trace.command("Recorder.mute", unit=self.id(), muted=muted)
        self._control.mute(muted)

    def stop(self) -> None:
        """Finish the file; ``RecorderEvents.Stopped`` follows when it is complete. Idempotent.

        VoxEngine: Recorder.stop.
        """
        self._session.trace.command("Recorder.stop", unit=self.id())
        self._control.stop()

    def media_for(self, peer: Any) -> MediaPort | None:
        """Return where the media of ``peer`` goes; for ``send_media_to``, not for scenarios."""
        return self._control.media_for(peer.id())

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            if name == "send_media_to":
                raise UnknownName(
                    "Recorder has no 'send_media_to': it only receives; use unit.send_media_to"
                    "(recorder)"
                )
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"Recorder has no {name!r}{nearest(name, known)}")
