"""``Player`` and ``SequencePlayer``: something that plays (VoxEngine: Player, SequencePlayer).

They are made by ``VoxEngine.create_url_player``, ``create_tts_player``,
``create_tone_script_player`` and ``create_sequence_player``, begin by themselves as soon as they
can, and are heard by whatever they are sent to at that time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, MediaSource, MediaUnit
from voxpy.errors import LimitExceeded, ScenarioError
from voxpy.players.events import PlayerEvents, SequencePlayerEvents
from voxpy.players.playing import Playing, PlayingReports, hearers_of
from voxpy.players.sounds import Sound


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


def check_limit(session: Session) -> None:
    """Raise LimitExceeded if the session has as many players as it may have."""
    limit = session.context.settings.limits.players
    if len(_playing(session)) >= limit:
        raise LimitExceeded(
            f"a session has at most {limit} players; stop() one first (a player that has finished "
            "does not count)"
        )


def _playing(session: Session) -> set[BasePlayer]:
    playing: set[BasePlayer] = session.parts.setdefault("players", set())
    return playing


class BasePlayer(MediaSource):
    """What both kinds of player have (VoxEngine: BasePlayer).

    A player that has finished, failed or been stopped is over: commands to it are ignored.
    """

    def __init__(
        self, session: Session, sounds: Sequence[Sound], *, loop: bool = False, paused: bool = False
    ) -> None:
        super().__init__(session, session.new_id("player"))
        reports = PlayingReports(
            ready=self._ready,
            started=self._started,
            finished=self._finished,
            marker=self._marker_reached,
            starving=self._starving,
        )
        self._playing = Playing(
            session, self.id(), sounds, loop=loop, paused=paused, reports=reports
        )
        self.media = self._playing.port
        _playing(session).add(self)
        self._tell("Created")

    def pause(self) -> None:
        """Fall silent and hold the position."""
        if self._allowed("pause"):
            self._playing.source.pause()

    def resume(self) -> None:
        """Go on from where it was paused, or begin, if it was made with ``on_pause``."""
        if self._allowed("resume"):
            self._playing.source.resume()

    def stop(self) -> None:
        """End it for good within the running 20 ms frame; ``Stopped`` follows and nothing else."""
        if self._allowed("stop") and self._playing.stop():
            _playing(self._session).discard(self)
            self._tell("Stopped")

    def send_media_to(
        self,
        unit: MediaUnit,
        *,
        encoding: str | None = None,
        tag: str | None = None,
        custom_parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Let ``unit`` hear it, in place of what that heard before; see ``Call.send_media_to``."""
        if self._playing.is_over:  # it would only silence what the unit hears
            self._allowed("send_media_to")
        else:
            super().send_media_to(unit)

    def _mark(self, offset: float, segments: Sequence[int]) -> None:
        given: Any = offset  # scenarios are not always type checked
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not math.isfinite(given):
            raise ScenarioError(f"add_marker takes a number of milliseconds, not {offset!r}")
        if self._allowed("add_marker", offset=float(offset)):
            for segment in segments:
                self._playing.source.add_marker(float(offset), segment)

    def _allowed(self, command: str, **fields: object) -> bool:
        state = self._playing.source.state
        note = {"ignored_in_state": state.value} if state.is_over else {}
        self._session.trace.command(f"Player.{command}", unit=self.id(), **fields, **note)
        return not state.is_over

    # -- what becomes of it ------------------------------------------------------------------------

    def _ready(self) -> None:
        self._tell("PlaybackReady")

    def _started(self, duration_ms: float) -> None:
        self._tell("Started", duration=round(duration_ms, 3))
        for hearer in hearers_of(
            self._session, self.media
        ):  # both after the player's, as in VoxEngine
            hearer.playback_ready()
            hearer.playback_started(duration_ms)

    def _finished(self, error: str | None) -> None:
        _playing(self._session).discard(self)
        # The call first: whoever waits for this player's end, has the call say something and waits
        # for the end of that, must not get the call's event of this player.
        for hearer in hearers_of(self._session, self.media):
            hearer.playback_finished(error)
        if error is not None:
            self._tell("Error", error=error)
        self._tell("PlaybackFinished", error=error)

    def _marker_reached(self, offset_ms: float, _segment: int) -> None:
        self._tell("PlaybackMarkerReached", offset=offset_ms)

    def _starving(self) -> None:
        self._tell("PlaybackBuffering")

    def _tell(self, name: str, **fields: Any) -> None:
        raise NotImplementedError


class Player(BasePlayer):
    """Plays one sound. Listen with ``PlayerEvents``."""

    _catalog: ClassVar[Catalog] = {"PlayerEvents": PlayerEvents}

    def add_marker(self, offset: float) -> None:
        """Tell ``PlaybackMarkerReached`` at ``offset`` milliseconds, negative ones from the end.

        It comes within a frame (20 ms) of its place; in a loop, in every pass. An offset behind the
        end is never reached, one that was passed before only in the next pass. Where the length is
        not known beforehand (progressive playback), a negative offset may come late, when the end
        is found. Raises ScenarioError if ``offset`` is no number. VoxEngine: Player.addMarker.
        """
        self._mark(offset, (0,))

    def _tell(self, name: str, **fields: Any) -> None:
        self._post(getattr(PlayerEvents, name)(player=self, **fields))


class SequencePlayer(BasePlayer):
    """Plays texts and files one after another, without a gap. Listen with ``SequencePlayerEvents``.

    ``segments`` are the objects it was made of.
    """

    _catalog: ClassVar[Catalog] = {"SequencePlayerEvents": SequencePlayerEvents}

    def __init__(self, session: Session, sounds: Sequence[Sound], segments: Sequence[Any]) -> None:
        super().__init__(session, sounds)
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
        self._mark(offset, places)

    def _starving(self) -> None:  # VoxEngine has no such event for a sequence
        self._session.trace.step("buffering", unit=self.id())

    def _tell(self, name: str, **fields: Any) -> None:
        self._post(getattr(SequencePlayerEvents, name)(sequence_player=self, **fields))
