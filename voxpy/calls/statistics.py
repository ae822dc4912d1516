"""What ``call.monitor_media_statistics`` turns on: figures of both streams, every few seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio

from voxpy.audio.convert import decode
from voxpy.audio.frame import Format
from voxpy.audio.mix import SILENCE_DBFS, rms_dbfs
from voxpy.calls.arguments import is_positive
from voxpy.calls.state import CallState
from voxpy.errors import NotSupported, ScenarioError
from voxpy.events import CallEvents, CallMediaStatistics, MediaSample
from voxpy.media.unit import StreamFigures

SHORTEST_S, LONGEST_S = 3, 10
LOOK_EVERY_TICKS = 5


class Statistics:
    """Reports while it is on. Off it costs nothing."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._on: trio.CancelScope | None = None

    def monitor(self, on: bool, interval_s: float) -> None:
        """Report every ``interval_s`` seconds from now on, or no more.

        Raises ScenarioError for another interval than 3 to 10 s, NotSupported where nobody counts.
        """
        if not (is_positive(interval_s) and SHORTEST_S <= interval_s <= LONGEST_S):
            raise ScenarioError(
                f"monitor_media_statistics takes an interval of {SHORTEST_S} to {LONGEST_S} "
                f"seconds, not {interval_s!r}"
            )
        state = self._state
        figures = state.call.media.figures
        if figures is None:
            raise NotSupported(
                f"call.monitor_media_statistics() is not supported on the {state.leg.channel} "
                "channel; it needs a leg that counts packets (SIP, simulated)"
            )
        if not state.takes("monitor_media_statistics", monitor=on, interval=interval_s):
            return
        self.close()
        if on:
            self._on = trio.CancelScope()
            unit = f"the statistics of {state.call.id()}"
            state.session.spawn(unit, self._report, figures, interval_s, self._on)

    def close(self) -> None:
        """Stop. Idempotent."""
        if self._on is not None:
            self._on.cancel()
            self._on = None

    async def _report(
        self,
        figures: Callable[[], tuple[StreamFigures, StreamFigures]],
        interval_s: float,
        scope: trio.CancelScope,
    ) -> None:
        call, graph = self._state.call, self._state.session.graph
        source, sink = call.media.source, call.media.sink
        assert source is not None
        assert sink is not None
        coming, going = _Loudness(), _Loudness()

        def tap(said: bytes, heard: bytes) -> None:
            coming.hear(said, source.format)
            going.hear(heard, sink.format)

        untap = graph.tap(call.media, tap)
        before = figures()
        try:
            with scope:
                while True:
                    await trio.sleep(interval_s)
                    now = figures()
                    samples = [
                        _sample(was, by_now, loud)
                        for was, by_now, loud in zip(before, now, (coming, going), strict=True)
                    ]
                    audio = CallMediaStatistics(in_=[samples[0]], out=[samples[1]])
                    self._state.post(CallEvents.MediaStatisticsReceived(call=call, audio=audio))
                    before = now
        finally:
            untap()


def _sample(before: StreamFigures, now: StreamFigures, loud: _Loudness) -> MediaSample:
    """Return what has happened since; ``lost`` of a stream of ours is told every five seconds."""
    if before.id != now.id:  # another stream, which has begun to count
        before = StreamFigures()
    packets = max(0, now.packets - before.packets)
    lost = max(0, now.lost - before.lost)
    return MediaSample(
        id=now.id,
        jitter=round(now.jitter_s * 1000, 2),
        packet_loss=round(100 * lost / (packets + lost), 2) if lost else 0.0,
        num_packets=packets,
        audio_level=round(loud.take(), 1),
    )


@attrs.define
class _Loudness:
    """The level of one direction since it was asked for last, looked at every 100 ms."""

    _ticks: int = 0
    _power: float = 0.0
    _looks: int = 0

    def hear(self, frame: bytes, fmt: Format) -> None:
        self._ticks += 1
        if self._ticks % LOOK_EVERY_TICKS == 0:
            self._looks += 1
            if frame:
                self._power += 10 ** (rms_dbfs(decode(frame, fmt)) / 10)

    def take(self) -> float:
        """Return it in dBFS."""
        power = self._power / self._looks if self._looks else 0.0
        self._power, self._looks = 0.0, 0
        return max(SILENCE_DBFS, 10 * math.log10(power)) if power else SILENCE_DBFS
