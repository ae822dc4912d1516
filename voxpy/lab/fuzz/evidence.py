"""What a call left behind for its judges: its trace and files, and the audio that was stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from voxpy.engine import clock
from voxpy.engine.trace import Entry
from voxpy.media.playout import Playout
from voxpy.realtime.media import Voice
from voxpy.simulation.script import CallerScript
from voxpy.testing.httpstub import Asked
from voxpy.testing.worldcall import WorldCall

CLEAR_WITHIN_S = 0.02
"""From ``speech_started`` to the last stale frame, as design and service want it: one frame."""
SPEECH_STARTED = "InputAudioBufferSpeechStarted"
INTERRUPTS = "caller interrupts"
"""A step: of services that decide by themselves whether that is an interruption."""
SESSION_UPDATED = "SessionUpdated"


@attrs.frozen(kw_only=True)
class StaleAudio:
    """The caller heard ``ms`` of old words after the service said, at ``at_s``, that it speaks."""

    at_s: float
    ms: float


@attrs.frozen(kw_only=True)
class Evidence:
    """One call, over. ``left`` is what the world found running or open after it.

    ``cut_off``: the session had to be cancelled because nothing ended it. ``files`` are the texts
    of the session's folder by name, ``recording_s`` and ``call_s`` how long the recording and the
    call's leg lasted.
    """

    plan: CallerScript
    call: WorldCall
    entries: Sequence[Entry]
    stale: Sequence[StaleAudio]
    requests: Sequence[Asked]
    files: Mapping[str, str]
    secrets: Mapping[str, str]
    recording_s: float | None
    call_s: float
    left: str = ""
    cut_off: bool = False
    alone: Sequence[tuple[float, float]] = ()
    """When the caller was left alone, and for how many seconds."""
    cut: Sequence[tuple[float, float]] = ()
    """When the scenario hung up into its agent's words, and how many milliseconds were left."""


@attrs.define
class _Barge:
    """Words that were waiting when the caller began to speak."""

    playout: Playout
    at_s: float
    """trio's time."""
    told_s: float
    """The trace's time."""
    old_bytes: int
    """All that had been written by then."""
    played_bytes: int
    stale_bytes: int = 0


class StaleWatch:
    """Watches, tick by tick, what the caller hears after each ``speech_started``.

    Audio that the client had read before that event is old. The service must have been asked to
    let itself be interrupted (``interrupt_response``), or nothing is old: then the scenario wants
    the agent to be heard out.
    """

    def __init__(self, call: WorldCall) -> None:
        self._call = call
        self._interruptible: dict[str, bool] = {}
        self._open: list[_Barge] = []
        self.found: list[StaleAudio] = []
        call.hosted.trace.add_sink(self._see)
        hosted = call.hosted  # its leg is attached, and can be tapped, only when it begins
        hosted.taps.append(self._hear)

    def _see(self, entry: Entry) -> None:
        name = entry.name.rpartition(".")[2]
        told = entry.kind == "event"
        if told and name == SESSION_UPDATED:
            self._interruptible[entry.unit] = _lets_interrupt(entry.personal.get("payload"))
        elif name == INTERRUPTS or (
            told and name == SPEECH_STARTED and self._interruptible.get(entry.unit)
        ):
            playout = words_on_their_way(self._call)
            if playout is not None and playout.buffered_bytes:
                self._open.append(
                    _Barge(
                        playout=playout,
                        at_s=clock.now(),
                        told_s=entry.t,
                        old_bytes=_gone(playout) + playout.buffered_bytes,
                        played_bytes=playout.played_bytes,
                    )
                )

    def _hear(self, said: bytes, heard: bytes) -> None:
        """Take a tick of the call: a media tap."""
        for barge in tuple(self._open):
            played = barge.playout.played_bytes - barge.played_bytes
            barge.played_bytes += played
            over = _gone(barge.playout) >= barge.old_bytes
            if played and clock.now() - barge.at_s > CLEAR_WITHIN_S + 1e-6:
                newer = max(0, _gone(barge.playout) - barge.old_bytes)
                barge.stale_bytes += max(0, played - newer)
            if over:
                self._open.remove(barge)
                self._close(barge)

    def finish(self) -> list[StaleAudio]:
        """Return what was found, now that the call is over."""
        for barge in self._open:
            self._close(barge)
        self._open.clear()
        return self.found

    def _close(self, barge: _Barge) -> None:
        if barge.stale_bytes:
            stale_ms = 1000 * barge.playout.format.duration_s(barge.stale_bytes)
            self.found.append(StaleAudio(at_s=barge.told_s, ms=round(stale_ms)))


def words_on_their_way(call: WorldCall) -> Playout | None:
    """Return the agent's words on their way to the caller, if it hears an agent directly."""
    graph, media = call.hosted.session.graph, call.simulated.leg.media
    feed = graph.feed_of(media) if media in graph.attached else None
    source = feed.source if feed is not None else None
    return source.speech if isinstance(source, Voice) else None


def _gone(playout: Playout) -> int:
    """Return how many bytes were played or thrown away."""
    return playout.played_bytes + playout.cleared_bytes


def _lets_interrupt(payload: Any) -> bool:
    value = payload
    for key in ("session", "audio", "input", "turn_detection"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return isinstance(value, Mapping) and value.get("interrupt_response") is True
