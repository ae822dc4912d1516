"""``ASR``: a recogniser that hears one stream, as scenarios hold it. No engines here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from voxpy.engine.emitter import Emitter
from voxpy.engine.session import Session
from voxpy.errors import UnknownName, nearest
from voxpy.media.unit import MediaPort

__all__ = ["ASR", "ASRControl"]


class ASRControl(Protocol):
    """What an ASR delegates to; ``voxpy.asr.control`` implements it."""

    asr_id: str
    media: MediaPort

    @property
    def language(self) -> str:
        """The language of the profile."""

    @property
    def dictionary(self) -> Sequence[str]:
        """The phrase hints."""

    def stop(self) -> None:
        """Stop recognising."""


class ASR(Emitter):
    """Turns speech into text (VoxEngine: ASR). Made by ``VoxEngine.create_asr``.

    It only hears: send it a call with ``call.send_media_to(asr)``. Listen with ``ASREvents``.
    """

    def __init__(self, session: Session, control: ASRControl) -> None:
        super().__init__(session, catalog="ASREvents")
        self._control = control

    def id(self) -> str:
        """Return the id of the recogniser, unique in the session (VoxEngine: ASR.id)."""
        return self._control.asr_id

    def language(self) -> str:
        """Return the language of its profile, such as ``en-US`` (VoxEngine: ASR.language)."""
        return self._control.language

    def dictionary(self) -> list[str]:
        """Return its phrase hints (VoxEngine: ASR.dictionary)."""
        return list(self._control.dictionary)

    def stop(self) -> None:
        """Stop recognising; ``ASREvents.Stopped`` follows and is the last event. Idempotent.

        What was being said, or recognised, is dropped: whoever waits for the result stops then.
        VoxEngine: ASR.stop.
        """
        self._control.stop()

    @property
    def media(self) -> MediaPort:
        """The media side: an ear, no voice."""
        return self._control.media

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"ASR has no {name!r}{nearest(name, known)}")
