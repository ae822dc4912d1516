"""Digits taken out of a port's audio, and digits put into what is sent: through the real graph."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.audio.convert import decode, encode
from voxpy.audio.dtmf import DigitBegan, DigitEnded, DtmfDetector
from voxpy.audio.frame import PCMA, PCMU, Format, Samples, pcm16
from voxpy.audio.mix import peak, rms_dbfs
from voxpy.audio.tones import dtmf
from voxpy.errors import LimitExceeded
from voxpy.media.digits import DigitFilter, DigitQueue
from voxpy.media.graph import MediaGraph
from voxpy.media.playout import Playout
from voxpy.media.unit import MediaPort

FORMATS = (PCMU, PCMA, pcm16(8000), pcm16(16000), pcm16(24000), pcm16(48000))


@attrs.define
class Ear:
    """A sink that keeps what it hears."""

    format: Format
    frames: list[bytes] = attrs.field(factory=list)

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)

    @property
    def samples(self) -> Samples:
        return decode(b"".join(self.frames), self.format)


class Line:
    """A talker with a digit filter, an agent that hears it, and a tap."""

    def __init__(self, fmt: Format) -> None:
        self.fmt = fmt
        self.graph = MediaGraph()
        self.digits: list[DigitBegan | DigitEnded] = []
        self.taped: list[bytes] = []
        self.mouth = Playout(fmt, limit_s=60.0)
        self.ear = Ear(fmt)
        self.caller = MediaPort(name="caller", source=self.mouth)
        self.graph.attach(self.caller)
        self.graph.tap(self.caller, lambda said, _: self.taped.append(said))
        self.graph.connect(self.caller, MediaPort(name="agent", sink=self.ear))
        self.take_out = self.graph.insert(self.caller, DigitFilter(self.digits.append))

    def run(self, samples: Samples) -> None:
        self.mouth.write(encode(samples, self.fmt))
        for n in range(len(samples) // self.fmt.frame_samples + 5):
            self.graph.tick(n * 0.02)

    @property
    def dialled(self) -> str:
        return "".join(e.digit for e in self.digits if isinstance(e, DigitBegan))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_digits_are_told_and_what_is_left_of_their_sound_is_none(fmt: Format) -> None:
    line = Line(fmt)
    gap = np.zeros(fmt.rate_hz // 7, np.int16)  # so that digits begin anywhere in a frame
    line.run(np.concatenate([gap, dtmf("159*0#", rate_hz=fmt.rate_hz, gap_ms=133)]))
    assert line.dialled == "159*0#"
    assert line.taped == line.ear.frames
    assert Line(fmt).dialled == ""
    again = Line(fmt)
    again.run(line.ear.samples)
    assert again.dialled == ""


def test_at_most_20_ms_of_a_digit_pass() -> None:
    residues = []
    for start in range(0, 160, 4):
        line = Line(pcm16(8000))
        line.run(np.concatenate([np.zeros(800 + start, np.int16), dtmf("5", tone_ms=300)]))
        residues.append(np.count_nonzero(line.ear.samples) / 8)
    assert max(residues) <= 20
    assert np.mean(residues) < 12


def test_what_is_no_digit_passes_unchanged() -> None:
    rng = np.random.default_rng(3)
    line = Line(PCMU)
    noise = (2000 * rng.standard_normal(8000)).astype(np.int16)
    line.run(noise)
    assert b"".join(line.ear.frames[:50]) == encode(noise, PCMU)
    assert line.digits == []


def test_the_voice_is_back_60_ms_after_a_digit() -> None:
    rng = np.random.default_rng(3)
    noise = (2000 * rng.standard_normal(4000)).astype(np.int16)
    line = Line(PCMU)
    line.run(np.concatenate([noise, dtmf("5", tone_ms=200, gap_ms=0), noise]))
    assert b"".join(line.ear.frames[:25]) == encode(noise, PCMU)
    assert line.ear.frames[27:35] == [PCMU.silence] * 8
    assert b"".join(line.ear.frames[38:60]) == encode(noise, PCMU)[480:]


def test_a_port_can_change_its_format_in_the_middle() -> None:
    line = Line(PCMU)
    line.run(dtmf("1"))
    line.mouth.format = line.ear.format = pcm16(16000)
    line.fmt = pcm16(16000)
    line.run(dtmf("2", rate_hz=16000))
    assert line.dialled == "12"


def test_taken_out_it_hears_and_changes_nothing() -> None:
    line = Line(PCMU)
    line.take_out()
    line.take_out()
    line.run(dtmf("5"))
    assert line.digits == []
    assert rms_dbfs(line.ear.samples[:800]) > -20
    line.graph.remove(line.caller)
    line.take_out()


def test_a_filter_goes_with_its_port() -> None:
    line = Line(PCMU)
    line.graph.remove(line.caller)
    line.graph.attach(line.caller)
    line.run(dtmf("5"))
    assert line.digits == []


# -- what is sent ----------------------------------------------------------------------------------


def sent(queue: DigitQueue, frames: int, voice: bytes) -> bytes:
    return b"".join(queue.replace(voice) for _ in range(frames))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_digits_are_sent_one_after_another_with_the_right_timing(fmt: Format) -> None:
    queue = DigitQueue(fmt)
    queue.write("12")
    queue.write("p#")
    sound = decode(sent(queue, 70, fmt.silence), fmt)
    narrow = sound if fmt.rate_hz in (8000, 16000) else sound[:: fmt.rate_hz // 8000]
    events = DtmfDetector(fmt.rate_hz if fmt.rate_hz in (8000, 16000) else 8000).process(narrow)
    began = [(e.digit, e.start_s) for e in events if isinstance(e, DigitBegan)]
    assert [d for d, _ in began] == ["1", "2", "#"]
    assert [s for _, s in began] == pytest.approx([0.0, 0.2, 0.9], abs=0.006)
    lasted = [e.duration_s for e in events if isinstance(e, DigitEnded)]
    assert lasted == pytest.approx([0.1] * 3, abs=0.008)


def test_a_voice_waits_for_a_digit_and_speaks_in_a_pause() -> None:
    rng = np.random.default_rng(2)
    voice = encode((8000 * rng.standard_normal(160)).astype(np.int16), PCMU)
    queue = DigitQueue(PCMU)
    assert queue.replace(voice) == voice
    queue.write("5p")
    digit = [queue.replace(voice) for _ in range(10)]
    assert voice not in digit
    assert all(peak(decode(f, PCMU)) == 0 for f in digit[5:])
    assert [queue.replace(voice) for _ in range(30)] == [voice] * 30


@settings(max_examples=30)
@given(st.lists(st.text("0123456789*#p", max_size=4), max_size=4))
def test_whatever_is_sent_is_heard(parts: list[str]) -> None:
    queue = DigitQueue(PCMU)
    for part in parts:
        queue.write(part)
    digits = "".join(parts)
    frames = sum(25 if d == "p" else 10 for d in digits)
    sound = decode(sent(queue, frames + 10, PCMU.silence), PCMU)
    events = DtmfDetector(8000).process(sound)
    began = [e.digit for e in events if isinstance(e, DigitBegan)]
    assert "".join(began) == digits.replace("p", "")


def test_more_than_two_minutes_are_refused_and_leave_nothing_behind() -> None:
    queue = DigitQueue(PCMU)
    queue.write("1" * 600)
    with pytest.raises(LimitExceeded, match="send_digits: with '2' more than 120 s"):
        queue.write("2")
    assert DtmfDetector(8000).process(decode(sent(queue, 6000, PCMU.silence), PCMU))
    assert queue.replace(b"voice") == b"voice"
    queue.write("2")
