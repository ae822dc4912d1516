"""What drives a player: commands go to the sound, what happens to it becomes events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxpy.engine.session import Session
from voxpy.errors import LimitExceeded
from voxpy.players.events import PlayerEvents, SequencePlayerEvents
from voxpy.players.hearers import hearers_of
from voxpy.players.player import Player, SequencePlayer
from voxpy.players.playing import Playing
from voxpy.players.sounds import Sound

__all__ = ["PlayerController", "check_limit"]


def check_limit(session: Session) -> None:
    """Raise LimitExceeded if the session has as many players as it may have."""
    limit = session.context.settings.limits.players
    if len(_playing(session)) >= limit:
        raise LimitExceeded(
            f"a session has at most {limit} players; stop() one first (a player that has finished "
            "does not count)"
        )


def _playing(session: Session) -> set[PlayerController]:
    playing: set[PlayerController] = session.parts.setdefault("players", set())
    return playing


class PlayerController:
    """Implements ``voxpy.players.player.PlayerControl``, and the reports of a Playing."""

    def __init__(
        self,
        session: Session,
        sounds: Sequence[Sound],
        *,
        segments: tuple[Any, ...] | None = None,
        loop: bool = False,
        paused: bool = False,
    ) -> None:
        """Begin to load ``sounds``; with ``segments`` this is a sequence player.

        Raises ScenarioError if the session has ended.
        """
        self._session = session
        self.player_id = session.new_id("player")
        self._events: Any = PlayerEvents
        self.face: Any = None
        if segments is None:
            self.face = Player(session, self)
            self._unit = {"player": self.face}
        else:
            self._events = SequencePlayerEvents
            self.face = SequencePlayer(session, self, segments)
            self._unit = {"sequence_player": self.face}
        self._playing = Playing(
            session, self.player_id, sounds, loop=loop, paused=paused, reports=self
        )
        self.media = self._playing.port
        _playing(session).add(self)
        self._post("Created")

    # -- commands --------------------------------------------------------------------------------

    def pause(self) -> None:
        """Hold the position."""
        if self._allowed("pause"):
            self._playing.source.pause()

    def resume(self) -> None:
        """Go on."""
        if self._allowed("resume"):
            self._playing.source.resume()

    def stop(self) -> None:
        """End it for good."""
        if self._allowed("stop") and self._playing.stop():
            self._leave()
            self._post("Stopped")

    def add_marker(self, offset_ms: float, segments: tuple[int, ...]) -> None:
        """Report when the offset is reached in each of these segments."""
        if self._allowed("add_marker", offset=offset_ms):
            for segment in segments:
                self._playing.source.add_marker(offset_ms, segment)

    def send_media_to(self, unit: Any) -> None:
        """Let ``unit`` hear it; a player that is over would only silence what it hears."""
        if self._playing.is_over:
            self._allowed("send_media_to")
        else:
            self._session.connect_media(self.face, unit)

    def stop_media_to(self, unit: Any) -> None:
        """Let ``unit`` not hear it any more."""
        self._session.disconnect_media(self.face, unit)

    def _allowed(self, command: str, **fields: object) -> bool:
        state = self._playing.source.state
        note = {"ignored_in_state": state.value} if state.is_over else {}
        self._session.trace.command(f"Player.{command}", unit=self.player_id, **fields, **note)
        return not state.is_over

    # -- reports ---------------------------------------------------------------------------------

    def ready(self) -> None:
        """Tell that everything is loaded."""
        self._post("PlaybackReady")
        for hearer in hearers_of(self._session, self.media):
            hearer.playback_ready()

    def started(self, duration_ms: float) -> None:
        """Tell that it is heard."""
        self._post("Started", duration=round(duration_ms, 3))
        for hearer in hearers_of(self._session, self.media):
            hearer.playback_started(duration_ms)

    def finished(self, error: str | None) -> None:
        """Tell that it is over."""
        self._leave()
        # The call first: whoever waits for this player's end, has the call say something and waits
        # for the end of that, must not get the call's event of this player.
        for hearer in hearers_of(self._session, self.media):
            hearer.playback_finished(error)
        if error is not None:
            self._post("Error", error=error)
        self._post("PlaybackFinished", error=error)

    def marker(self, offset_ms: float, segment: int) -> None:
        """Tell that a marker was reached."""
        self._post("PlaybackMarkerReached", offset=offset_ms)

    def starving(self) -> None:
        """Tell that it waits for more of its sound."""
        if self._events is PlayerEvents:  # VoxEngine has no such event for a sequence
            self._post("PlaybackBuffering")
        else:
            self._session.trace.step("buffering", unit=self.player_id)

    # -- the inside ------------------------------------------------------------------------------

    def _post(self, name: str, **fields: Any) -> None:
        event = getattr(self._events, name)(**self._unit, **fields)
        self._session.post(self.face.listeners, event)

    def _leave(self) -> None:
        _playing(self._session).discard(self)
