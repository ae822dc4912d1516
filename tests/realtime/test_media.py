"""The agent's voice and ear: tracks, events, batches."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCMU, pcm16
from voxpy.realtime.media import Ear, Voice, VoiceReports

PCM = pcm16(24000)


@attrs.define
class Told:
    """What a Voice has reported."""

    events: list[tuple[str, float]] = attrs.field(factory=list)

    def reports(self) -> VoiceReports:
        return VoiceReports(
            started=lambda: self.events.append(("started", 0.0)),
            ended=lambda seconds: self.events.append(("ended", seconds)),
            overflowed=lambda limit_s: self.events.append(("overflowed", limit_s)),
        )


def voice(limit_s: float = 10.0) -> tuple[Voice, Told]:
    told = Told()
    return Voice(PCM, limit_s=limit_s, reports=told.reports()), told


def level(value: int, frames: int = 1) -> bytes:
    return encode(np.full(PCM.frame_samples * frames, value, np.int16), PCM)


def test_speech_and_murmur_are_mixed() -> None:
    made, _ = voice()
    made.write(level(1000, 2), item_id="a", backchannel=False)
    made.write(level(300), item_id="b", backchannel=True)
    first, second = made.pull(), made.pull()
    assert first is not None
    assert set(decode(first, PCM).tolist()) == {1300}
    assert second == level(1000)
    assert made.pull() is None


def test_a_murmur_alone_is_heard_and_counts_as_no_speech() -> None:
    made, _ = voice()
    made.write(level(300), item_id="b", backchannel=True)
    assert made.pull() == level(300)
    assert made.speech.played_ms("b") == 0


def test_clear_drops_both_and_reports_only_speech() -> None:
    made, _ = voice()
    made.write(level(1000, 5), item_id="a", backchannel=False)
    made.write(level(300, 5), item_id="b", backchannel=True)
    made.pull()
    (lost,) = made.clear()
    assert (lost.item_id, lost.played_ms, lost.dropped_ms) == ("a", 20, 80)
    assert made.pull() is None


def test_a_stream_starts_once_and_ends_after_a_second_of_silence() -> None:
    made, told = voice()
    for _ in range(3):
        made.write(level(1, 2), item_id="a", backchannel=False)
    for _ in range(6 + 49):
        made.pull()
    assert told.events == [("started", 0.0)]
    made.pull()
    assert told.events == [("started", 0.0), ("ended", pytest.approx(0.12))]
    for _ in range(100):
        made.pull()
    assert len(told.events) == 2
    made.write(level(1), item_id="b", backchannel=False)
    assert told.events[2] == ("started", 0.0)


def test_a_pause_shorter_than_a_second_does_not_end_the_stream() -> None:
    made, told = voice()
    made.write(level(1), item_id="a", backchannel=False)
    for _ in range(40):
        made.pull()
    made.write(level(1), item_id="a", backchannel=False)
    for _ in range(51):
        made.pull()
    assert told.events == [("started", 0.0), ("ended", pytest.approx(0.04))]


def test_too_much_audio_is_reported_once_with_the_limit() -> None:
    made, told = voice(limit_s=0.1)
    for _ in range(3):
        made.write(level(1, 5), item_id="a", backchannel=False)
    assert told.events.count(("overflowed", 0.1)) == 1


def test_the_format_of_both_tracks_changes_together() -> None:
    made, _ = voice()
    made.adopt(PCMU)
    assert made.format == made.speech.format == made.backchannel.format == PCMU
    made.write(bytes(160), item_id="a", backchannel=False)
    made.write(bytes(160), item_id="b", backchannel=True)
    frame = made.pull()
    assert frame is not None
    assert len(frame) == 160


@given(frames=st.lists(st.binary(min_size=160, max_size=160), max_size=30), batch=st.sampled_from([20, 40, 60, 100]))  # fmt: skip
def test_the_ear_sends_every_frame_once_in_whole_batches(frames: list[bytes], batch: int) -> None:
    sent: list[bytes] = []
    ear = Ear(PCMU, batch_ms=batch, send=sent.append)
    for frame in frames:
        ear.push(frame)
    per_batch = batch // 20
    assert {len(s) for s in sent} <= {160 * per_batch}
    assert b"".join(sent) == b"".join(frames[: len(frames) // per_batch * per_batch])


def test_a_change_of_format_never_mixes_two_formats_in_a_batch() -> None:
    sent: list[bytes] = []
    ear = Ear(PCM, batch_ms=40, send=sent.append)
    ear.push(bytes(960))
    ear.adopt(PCMU)
    ear.push(bytes(160))
    ear.push(bytes(160))
    assert [len(s) for s in sent] == [320]
