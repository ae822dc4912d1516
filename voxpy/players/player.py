"""``Player`` and ``SequencePlayer``: what a scenario holds of something that plays.

VoxEngine: Player, SequencePlayer. They are made by ``VoxEngine.create_url_player``,
``create_tts_player``, ``create_tone_script_player`` and ``create_sequence_player``, begin by
themselves as soon as they can, and are heard by whatever they are sent to at that time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from voxpy.engine.emitter import Emitter
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError, UnknownName, nearest
from voxpy.media.unit import MediaPort

__all__ = [
    "BasePlayer",
    "Player",
    "PlayerControl",
    "SequencePlayer",
    "TTSPlayerSegment",
    "URLPlayerSegment",
]


@attrs.frozen(kw_only=True)
class TTSPlayerSegment:
    """A text in a sequence; the fields are those of ``create_tts_player``."""

    text: str
    voice: str | None = None
    api_key: str | None = attrs.field(default=None, repr=False)
    progressive_playback: bool = False
    tts_options: Mapping[str, Any] | None = None
    request: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True)
class URLPlayerSegment:
    """A file in a sequence; the fields are those of ``create_url_player``."""

    url: str | Mapping[str, Any]
    progressive_playback: bool = False
    hide_headers: bool = False
    hide_body: bool = False


class PlayerControl(Protocol):
    """What a player delegates to; ``voxpy.players.control`` implements it."""

    player_id: str
    media: MediaPort

    def pause(self) -> None:
        """Hold the position."""

    def resume(self) -> None:
        """Go on."""

    def stop(self) -> None:
        """End it for good."""

    def add_marker(self, offset_ms: float, segments: tuple[int, ...]) -> None:
        """Report when the offset is reached in each of these segments."""

    def send_media_to(self, unit: Any) -> None:
        """Let ``unit`` hear it."""

    def stop_media_to(self, unit: Any) -> None:
        """Let ``unit`` not hear it any more."""


class BasePlayer(Emitter):
    """What both kinds of player have (VoxEngine: BasePlayer).

    A player that has finished, failed or been stopped is over: commands to it are ignored.
    """

    def __init__(self, session: Session, control: PlayerControl, catalog: str) -> None:
        super().__init__(session, catalog=catalog)
        self._control = control

    def id(self) -> str:
        """Return the id of the player, unique in the session."""
        return self._control.player_id

    @property
    def media(self) -> MediaPort:
        """The media side: a voice, no ear."""
        return self._control.media

    def pause(self) -> None:
        """Fall silent and hold the position."""
        self._control.pause()

    def resume(self) -> None:
        """Go on from where it was paused, or begin, if it was made with ``on_pause``."""
        self._control.resume()

    def stop(self) -> None:
        """End it for good within the running 20 ms frame; ``Stopped`` follows and nothing else."""
        self._control.stop()

    def send_media_to(
        self,
        unit: Any,
        *,
        encoding: str | None = None,
        tag: str | None = None,
        custom_parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Let ``unit`` hear it, in place of what that heard before.

        The keyword arguments exist in VoxEngine for WebSocket targets and change nothing here.
        Raises ScenarioError if ``unit`` takes no media.
        """
        self._control.send_media_to(unit)

    def stop_media_to(self, unit: Any) -> None:
        """Let ``unit`` not hear it any more; the player plays on."""
        self._control.stop_media_to(unit)

    if not TYPE_CHECKING:  # a type checker must keep rejecting unknown members by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [n for n in dir(type(self)) if not n.startswith("_")]
            raise UnknownName(f"{type(self).__name__} has no {name!r}{nearest(name, known)}")


class Player(BasePlayer):
    """Plays one sound. Listen with ``PlayerEvents``."""

    def __init__(self, session: Session, control: PlayerControl) -> None:
        super().__init__(session, control, "PlayerEvents")

    def add_marker(self, offset: float) -> None:
        """Tell ``PlaybackMarkerReached`` at ``offset`` milliseconds, negative ones from the end.

        It comes within a frame (20 ms) of its place; in a loop, in every pass. An offset behind the
        end is never reached, one that was passed before only in the next pass. Where the length is
        not known beforehand (progressive playback), a negative offset may come late, when the end
        is found. Raises ScenarioError if ``offset`` is no number. VoxEngine: Player.addMarker.
        """
        self._control.add_marker(_offset(offset), (0,))


class SequencePlayer(BasePlayer):
    """Plays texts and files one after another, without a gap. Listen with ``SequencePlayerEvents``.

    ``segments`` are the objects it was made of.
    """

    def __init__(self, session: Session, control: PlayerControl, segments: tuple[Any, ...]) -> None:
        super().__init__(session, control, "SequencePlayerEvents")
        self._segments = segments

    def add_marker(self, offset: float, segment: Any) -> None:
        """Tell ``PlaybackMarkerReached`` at ``offset`` milliseconds of one of its segments.

        ``segment`` is the object given to ``create_sequence_player``; if it stands there twice, the
        marker is reached twice. Otherwise as ``Player.add_marker``. Raises ScenarioError for what
        is no segment. VoxEngine: SequencePlayer.addMarker.
        """
        places = [n for n, known in enumerate(self._segments) if known is segment]
        places = places or [n for n, known in enumerate(self._segments) if known == segment]
        if not places:
            raise ScenarioError(f"add_marker: {segment!r} is no segment of {self.id()}")
        self._control.add_marker(_offset(offset), tuple(places))


def _offset(offset: Any) -> float:
    number = isinstance(offset, int | float) and not isinstance(offset, bool)
    if not number or not math.isfinite(offset):
        raise ScenarioError(f"add_marker takes a number of milliseconds, not {offset!r}")
    return float(offset)
