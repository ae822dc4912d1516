"""``VAD``: a voice activity detector that hears one stream, as scenarios hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from voxpy.engine.emitter import Emitter
from voxpy.engine.session import Session
from voxpy.errors import UnknownName, nearest
from voxpy.media.unit import MediaPort

__all__ = ["VAD", "VADControl"]


class VADControl(Protocol):
    """What a VAD delegates to; ``voxpy.silero.control`` implements it."""

    vad_id: str
    media: MediaPort

    def reset(self) -> None:
        """Forget what was heard."""

    def close(self) -> None:
        """Stop listening."""


class VAD(Emitter):
    """Tells when speech starts and ends (VoxEngine: Silero.VAD). Made by ``Silero.create_vad``.

    It only hears: send it a call with ``call.send_media_to(vad)``. Listen with
    ``Silero.VADEvents``. It runs in this process: there is no WebSocket, hence no
    ``web_socket_id``.
    """

    def __init__(self, session: Session, control: VADControl) -> None:
        super().__init__(session, catalog="Silero.VADEvents")
        self._control = control

    def id(self) -> str:
        """Return the id of the detector, unique in the session."""
        return self._control.vad_id

    def reset(self) -> None:
        """Forget the speech in progress and what was heard; ``VADEvents.Reset`` follows.

        Seconds go on being counted from the first audio.
        """
        self._control.reset()

    def close(self) -> None:
        """Stop listening; no event follows. Idempotent."""
        self._control.close()

    @property
    def media(self) -> MediaPort:
        """The media side: an ear, no voice."""
        return self._control.media

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"VAD has no {name!r}{nearest(name, known)}")
