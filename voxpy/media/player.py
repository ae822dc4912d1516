"""The source inside a player: audio comes in as it is made, frames go out as they are heard.

::

    LOADING ──open──▶ PLAYING ◀─resume─ pause─▶ PAUSED          (also paused before it is open)
       every state ──stop──▶ STOPPED,  ──fail──▶ FAILED,  PLAYING ──all was heard──▶ FINISHED

What is played is a row of passes: the segments of a sequence one after another, or the same segment
again and again in a loop. Audio is written ahead, pass by pass; positions and markers belong to
what has been pulled. Nothing is reported after the three last states.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

import attrs

from voxpy.audio.frame import Format, pcm16

TAIL_S = 0.002
"""Silence behind the last sample: what a change of rate on the way to the listener holds back."""


class PlayerState(enum.Enum):
    """Where a player is in its life."""

    LOADING = "loading"
    PLAYING = "playing"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing will be heard of it any more."""
        return self in (PlayerState.FINISHED, PlayerState.STOPPED, PlayerState.FAILED)


@attrs.frozen(kw_only=True)
class PlayerReports:
    """Whom the source tells, from within ``pull``: that the first frame is heard, that all was,
    that a marker was reached (offset_ms and segment, as it was added), that it has run dry, and, in
    every tick while less than ``low_s`` of audio waits, that it could take more.
    """

    started: Callable[[], None]
    finished: Callable[[], None]
    marker: Callable[[float, int], None]
    starving: Callable[[], None]
    hungry: Callable[[], None]
    low_s: float = 2.0


@attrs.define(eq=False)
class _Marker:
    offset_ms: float
    segment: int
    due: bool = True  # in the pass being played; every pass has all markers before it


@attrs.define(eq=False)
class _Pass:
    """One segment, played once. ``expected_ms`` is its length as far as known beforehand."""

    segment: int
    expected_ms: float | None
    written_bytes: int = 0
    pulled_bytes: int = 0
    complete: bool = False
    chunks: deque[memoryview] = attrs.field(factory=deque)


class PlayerSource:
    """A media Source. The audio written is in ``format``."""

    def __init__(self, reports: PlayerReports, *, paused: bool = False) -> None:
        self._reports = reports
        self._open = False
        self._paused = paused
        self._over: PlayerState | None = None
        self._started = False
        self._starving = False
        self._all_written = False
        self._tail_bytes = 0
        self._passes: deque[_Pass] = deque()
        self._markers: list[_Marker] = []
        self._format = pcm16(8000)
        self._buffered_bytes = 0
        self._played_bytes = 0

    @property
    def format(self) -> Format:
        """The format of what is written and pulled; final once the player is open."""
        return self._format

    @property
    def state(self) -> PlayerState:
        """Where it is in its life."""
        if self._over is not None:
            return self._over
        if self._paused:
            return PlayerState.PAUSED
        return PlayerState.PLAYING if self._open else PlayerState.LOADING

    @property
    def buffered_s(self) -> float:
        """Seconds of audio that wait to be played."""
        return self._format.duration_s(self._buffered_bytes)

    @property
    def position_ms(self) -> float:
        """Milliseconds played so far, all passes together."""
        return self._format.duration_s(self._played_bytes) * 1000

    # -- what is to be played --------------------------------------------------------------------

    def open(self, fmt: Format) -> None:
        """Be ready to play audio of ``fmt``."""
        self._format = fmt
        self._open = True

    def begin(self, segment: int, expected_ms: float | None) -> None:
        """Write a pass of ``segment`` from now on; the one before is complete."""
        self._complete_pass()
        self._passes.append(_Pass(segment, expected_ms))
        if len(self._passes) == 1:
            self._arm()

    def write(self, data: bytes) -> None:
        """Append audio, whole samples, to the pass begun last. After the end it is dropped."""
        if self._over is None and data:
            last = self._passes[-1]
            last.chunks.append(memoryview(data))
            last.written_bytes += len(data)
            self._buffered_bytes += len(data)

    def complete(self) -> None:
        """Play what was written to its end; no more will come."""
        self._complete_pass()
        self._all_written = True
        self._tail_bytes = self._format.bytes_for(TAIL_S)

    def _complete_pass(self) -> None:
        if self._passes:
            self._passes[-1].complete = True

    # -- commands --------------------------------------------------------------------------------

    def pause(self) -> None:
        """Hold the position."""
        self._paused = True

    def resume(self) -> None:
        """Go on from where it was paused."""
        self._paused = False

    def stop(self) -> bool:
        """End for good; return False if it was over already."""
        return self._end(PlayerState.STOPPED)

    def fail(self) -> bool:
        """End because the sound cannot be had; return False if it was over already."""
        return self._end(PlayerState.FAILED)

    def _end(self, state: PlayerState) -> bool:
        if self._over is not None:
            return False
        self._over = state
        self._passes.clear()
        self._markers.clear()
        self._buffered_bytes = 0
        return True

    def add_marker(self, offset_ms: float, segment: int = 0) -> None:
        """Report when ``offset_ms`` of ``segment`` is reached, in every pass of it.

        A negative offset counts from the end, and one before the beginning means the beginning. An
        offset that the running pass is past already is reached in the next one, if there is any.
        """
        if self._over is not None:
            return
        marker = _Marker(offset_ms, segment)
        current = self._passes[0] if self._passes else None
        if current is not None and current.segment == segment and self._started:
            place = self._place_bytes(marker, current)
            marker.due = place is None or place >= current.pulled_bytes
        self._markers.append(marker)

    # -- the tick --------------------------------------------------------------------------------

    def pull(self) -> bytes | None:
        """Return the next 20 ms, or None while paused, not loaded, run dry or over."""
        if self._over is not None or self._paused or not self._open:
            return None
        wanted = self._format.frame_bytes
        if self.buffered_s < self._reports.low_s and not self._all_written:
            self._reports.hungry()
        if self._buffered_bytes < wanted and not self._all_written:
            self._run_dry()
            return None
        if not self._buffered_bytes and self._tail_bytes <= 0:
            self._end(PlayerState.FINISHED)
            self._reports.finished()
            return None
        self._starving = False
        if not self._started:
            self._started = True
            self._reports.started()
        taken = self._take(wanted)
        self._tail_bytes -= wanted - len(taken)
        return taken + self._format.silence[len(taken) :]

    def _run_dry(self) -> None:
        if self._started and not self._starving:
            self._starving = True
            self._reports.starving()

    def _take(self, wanted: int) -> bytes:
        parts: list[bytes] = []
        while wanted and self._passes:
            current = self._passes[0]
            while wanted and current.chunks:
                part = current.chunks[0][:wanted]
                parts.append(bytes(part))
                current.chunks[0] = current.chunks[0][len(part) :]
                if not current.chunks[0]:
                    current.chunks.popleft()
                wanted -= len(part)
                current.pulled_bytes += len(part)
                self._buffered_bytes -= len(part)
                self._played_bytes += len(part)
            over = current.complete and not current.chunks
            self._reach_markers(current, over=over)
            if not over:
                break
            self._passes.popleft()
            self._arm()
        return b"".join(parts)

    # -- markers ---------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Make all markers due for the pass that is next to be played."""
        for marker in self._markers:
            marker.due = True

    def _reach_markers(self, current: _Pass, *, over: bool) -> None:
        reached: list[tuple[int, int, _Marker]] = []
        for n, marker in enumerate(self._markers):
            place = self._place_bytes(marker, current)
            if not marker.due or marker.segment != current.segment or place is None:
                continue
            if place < current.pulled_bytes or (over and place == current.pulled_bytes):
                reached.append((place, n, marker))
        for _, _, marker in sorted(reached, key=lambda found: found[:2]):
            marker.due = False
            self._reports.marker(marker.offset_ms, marker.segment)

    def _place_bytes(self, marker: _Marker, within: _Pass) -> int | None:
        """Return where the marker stands in the pass, or None while its end is not known."""
        if marker.offset_ms >= 0:
            return self._format.bytes_for(marker.offset_ms / 1000)
        if within.complete:
            end = within.written_bytes
        elif within.expected_ms is not None:
            end = self._format.bytes_for(within.expected_ms / 1000)
        else:
            return None
        return max(0, end - self._format.bytes_for(-marker.offset_ms / 1000))
