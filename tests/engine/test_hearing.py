"""Audio of any format, cut anywhere, gives the same turns; the last minute of it is remembered."""

from __future__ import annotations

import numpy as np
import pytest

from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, Format, pcm16
from voxpy.engine.hearing import MEMORY_S, Hearing
from voxpy.localagent.vad import EnergyGate
from voxpy.media.turns import Pause, SpeechStarted, SpeechStopped, TurnEvent


def loud(ms: int, fmt: Format) -> bytes:
    """Return a tone of 400 Hz in ``fmt``, in whole frames."""
    at = np.arange(fmt.rate_hz * ms // 1000)
    return encode((8000 * np.sin(2 * np.pi * 400 * at / fmt.rate_hz)).astype(np.int16), fmt)


@pytest.mark.parametrize("fmt", [PCMU, pcm16(8000), pcm16(16000), pcm16(24000), pcm16(48000)])
@pytest.mark.parametrize("piece_bytes", [100, 640, 100_000])
def test_turns_do_not_depend_on_the_format_or_the_pieces(fmt: Format, piece_bytes: int) -> None:
    hearing = Hearing(EnergyGate())
    data = fmt.silence * 25 + loud(1000, fmt) + fmt.silence * 50
    events: list[TurnEvent] = []
    for at in range(0, len(data), piece_bytes):
        events += hearing.feed(data[at : at + piece_bytes], fmt)
    kinds = [type(e) for e in events]
    assert kinds == [SpeechStarted, Pause, SpeechStopped]
    started, stopped = events[0], events[-1]
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert started.start_ms == pytest.approx(200, abs=70)  # 500 ms less the padding
    assert stopped.end_ms - 600 == pytest.approx(1500, abs=100)
    assert hearing.position_ms == pytest.approx(2500, abs=21)
    part = hearing.segment(600, 1400)
    assert len(part) == 800 * 16
    assert np.abs(part.astype(int)).max() == pytest.approx(8000, rel=0.1)


def test_only_the_last_minute_is_remembered() -> None:
    hearing = Hearing(EnergyGate())
    fmt = pcm16(16000)
    for _ in range(MEMORY_S + 15):
        hearing.feed(bytes(fmt.bytes_for(1.0)), fmt)
    assert hearing.position_ms == (MEMORY_S + 15) * 1000
    assert len(hearing.segment(0, hearing.position_ms)) == MEMORY_S * 16000
    assert len(hearing.segment(hearing.position_ms - 5000, hearing.position_ms)) == 5 * 16000
    assert len(hearing.segment(5000, 4000)) == 0
