"""One or more sounds on their way into the media graph: loaded, then written as they are played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import trio

from voxpy.audio.frame import pcm16
from voxpy.engine.session import Session
from voxpy.errors import SoundFailed, VoxpyError
from voxpy.media.player import PlayerReports, PlayerSource
from voxpy.media.unit import MediaPort
from voxpy.players.sounds import Sound
from voxpy.players.speech import VOICE_HZ

LOW_S = 2.0
"""Less than this waiting, and the next second is made: enough for a busy disk or a slow voice."""


def _ignore(*_: object) -> None:
    pass


@attrs.frozen(kw_only=True)
class PlayingReports:
    """Whom to tell how it goes. Nothing follows ``finished``.

    ``ready``: everything is loaded, or the beginning of it. ``started``: the first frame is heard,
    of so many milliseconds in one pass, 0 if that is not known. ``finished``: all was heard, or the
    error that says why not. ``marker``: an offset in ms was reached, in which segment.
    ``starving``: what there was has been played, and more is on its way.
    """

    ready: Callable[[], None] = _ignore
    started: Callable[[float], None] = _ignore
    finished: Callable[[str | None], None] = _ignore
    marker: Callable[[float, int], None] = _ignore
    starving: Callable[[], None] = _ignore


class Playing:
    """Plays ``sounds`` one after another, once or in a loop. Over, it has left the graph.

    Raises ScenarioError if the session has ended.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        sounds: Sequence[Sound],
        *,
        loop: bool,
        paused: bool,
        reports: PlayingReports,
    ) -> None:
        self._session = session
        self._name = name
        self._sounds = tuple(sounds)
        self._loop = loop
        self._reports = reports
        self._scope = trio.CancelScope()
        self._hungry = trio.Event()
        self.source = PlayerSource(
            PlayerReports(
                started=self._started,
                finished=self._finished,
                marker=reports.marker,
                starving=reports.starving,
                hungry=self._feed_on,
                low_s=LOW_S,
            ),
            paused=paused,
        )
        self.port = MediaPort(name=name, source=self.source)
        session.spawn(name, self._run)
        session.graph.keep(self.port)

    @property
    def is_over(self) -> bool:
        """Whether nothing will be heard of it any more."""
        return self.source.state.is_over

    def stop(self) -> bool:
        """End it, and report nothing any more; return False if it was over already."""
        stopped = self.source.stop()
        if stopped:
            self._leave()
        return stopped

    def _leave(self) -> None:
        self._scope.cancel()
        self._session.graph.remove(self.port)

    def _feed_on(self) -> None:
        self._hungry.set()

    def _started(self) -> None:
        lengths = [sound.duration_ms for sound in self._sounds]
        known = sum(length for length in lengths if length is not None)
        self._reports.started(0.0 if None in lengths else known)

    def _finished(self) -> None:
        self._reports.finished(None)
        self._leave()

    async def _run(self) -> None:
        with self._scope:
            try:
                await self._play()
            except VoxpyError as error:
                if self.source.fail():
                    self._session.trace.warning("cannot play", unit=self._name, message=str(error))
                    self._reports.finished(str(error))
                    self._leave()
            finally:
                for sound in self._sounds:
                    sound.close()

    async def _play(self) -> None:
        # Sounds of a sequence must agree on a rate; one alone keeps its own.
        rate_hz = None if len(self._sounds) == 1 else VOICE_HZ
        for sound in self._sounds:
            await sound.open(rate_hz)
        if self.is_over:  # stopped while a thread was at work, which no cancellation interrupts
            return
        self.source.open(pcm16(self._sounds[0].rate_hz))
        self._reports.ready()
        while True:
            for segment, sound in enumerate(self._sounds):
                await self._write(segment, sound)
            if not self._loop:
                break
        self.source.complete()

    async def _write(self, segment: int, sound: Sound) -> None:
        self.source.begin(segment, sound.duration_ms)
        piece = await sound.read()
        if not piece:
            raise SoundFailed("there is no sound in it")
        while piece:
            # Tones are made without waiting; and once stopped, nothing fills up.
            await trio.lowlevel.checkpoint()
            self.source.write(piece)
            while self.source.buffered_s >= LOW_S:
                self._hungry = trio.Event()
                await self._hungry.wait()
            piece = await sound.read()


# -- units that tell their own listeners what is played to them: calls -----------------------------


class Hearer(Protocol):
    """Learns of a player that is heard by its port when something happens."""

    def playback_ready(self) -> None:
        """The sound is loaded."""

    def playback_started(self, duration_ms: float) -> None:
        """It begins; 0 if its length is not known."""

    def playback_finished(self, error: str | None) -> None:
        """It is over, or cannot be played."""


def add_hearer(session: Session, port: MediaPort, hearer: Hearer) -> None:
    """Tell ``hearer`` of every player that ``port`` hears."""
    _hearers(session)[port] = hearer


def remove_hearer(session: Session, port: MediaPort) -> None:
    """Tell nobody any more what ``port`` hears."""
    _hearers(session).pop(port, None)


def hearers_of(session: Session, port: MediaPort) -> list[Hearer]:
    """Return whoever wants to know of the player at ``port``."""
    known = _hearers(session).items()
    return [hearer for target, hearer in known if session.graph.feed_of(target) is port]


def _hearers(session: Session) -> dict[MediaPort, Hearer]:
    hearers: dict[MediaPort, Hearer] = session.parts.setdefault("hearers", {})
    return hearers
