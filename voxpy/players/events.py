"""``PlayerEvents`` and ``SequencePlayerEvents`` (VoxEngine: the same names).

Of both, in this order: Created, PlaybackReady, Started, any number of markers, and at the end one
of PlaybackFinished and Stopped. Durations and offsets are in milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voxpy.engine.events import Event, Namespace, event_class

if TYPE_CHECKING:
    from voxpy.players.player import Player, SequencePlayer


@event_class
class PlayerEvent(Event):
    """Base of every event of a player."""

    player: Player


@event_class
class SequencePlayerEvent(Event):
    """Base of every event of a sequence player."""

    sequence_player: SequencePlayer


class PlayerEvents(metaclass=Namespace):
    """Events of a Player; listen with ``player.add_event_listener``."""

    @event_class
    class Created(PlayerEvent):
        """The player exists."""

        name: ClassVar[str] = "Player.Created"

    @event_class
    class PlaybackReady(PlayerEvent):
        """The sound is loaded or synthesised; with progressive playback, its beginning."""

        name: ClassVar[str] = "Player.PlaybackReady"

    @event_class
    class Started(PlayerEvent):
        """The first frame is played; ``duration`` is the length of one pass, 0 if not known.

        Not before ``resume()`` if the player was made with ``on_pause``. Once, in a loop too.
        """

        name: ClassVar[str] = "Player.Started"
        duration: float = 0.0

    @event_class
    class PlaybackMarkerReached(PlayerEvent):
        """A marker was reached; ``offset`` as it was added."""

        name: ClassVar[str] = "Player.PlaybackMarkerReached"
        offset: float

    @event_class
    class PlaybackBuffering(PlayerEvent):
        """What has been loaded was played, and the rest is not there yet: silence until it is."""

        name: ClassVar[str] = "Player.Buffering"

    @event_class
    class PlaybackFinished(PlayerEvent):
        """All was played, or ``error`` says why not; not after ``stop()``."""

        name: ClassVar[str] = "Player.PlaybackFinished"
        error: str | None = None

    @event_class
    class Error(PlayerEvent):
        """The sound cannot be played; PlaybackFinished with the same ``error`` follows."""

        name: ClassVar[str] = "Player.Error"
        error: str

    @event_class
    class Stopped(PlayerEvent):
        """The scenario has stopped it."""

        name: ClassVar[str] = "Player.Stopped"

    @event_class
    class AudioChunksPlaybackFinished(PlayerEvent):
        """A realtime TTS player has played all it was sent; no player of ours posts it."""

        name: ClassVar[str] = "Player.AudioChunksPlaybackFinished"
        time_to_first_byte: float = 0.0


class SequencePlayerEvents(metaclass=Namespace):
    """Events of a SequencePlayer; listen with ``sequence_player.add_event_listener``."""

    @event_class
    class Created(SequencePlayerEvent):
        """The player exists."""

        name: ClassVar[str] = "SequencePlayer.Created"

    @event_class
    class PlaybackReady(SequencePlayerEvent):
        """All segments are loaded or synthesised."""

        name: ClassVar[str] = "SequencePlayer.PlaybackReady"

    @event_class
    class Started(SequencePlayerEvent):
        """The first segment begins; ``duration`` is the length of all, 0 if not known."""

        name: ClassVar[str] = "SequencePlayer.Started"
        duration: float = 0.0

    @event_class
    class PlaybackMarkerReached(SequencePlayerEvent):
        """A marker was reached; ``offset`` as it was added."""

        name: ClassVar[str] = "SequencePlayer.PlaybackMarkerReached"
        offset: float

    @event_class
    class PlaybackFinished(SequencePlayerEvent):
        """All segments were played, or ``error`` says why not; not after ``stop()``."""

        name: ClassVar[str] = "SequencePlayer.PlaybackFinished"
        error: str | None = None

    @event_class
    class Error(SequencePlayerEvent):
        """A segment cannot be played; PlaybackFinished with the same ``error`` follows."""

        name: ClassVar[str] = "SequencePlayer.Error"
        error: str

    @event_class
    class Stopped(SequencePlayerEvent):
        """The scenario has stopped it."""

        name: ClassVar[str] = "SequencePlayer.Stopped"
