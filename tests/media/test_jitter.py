"""The jitter buffer: packets as networks deliver them, and what is played of them."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxpy.audio.frame import FRAME_S
from voxpy.media.jitter import Frame, Gap, JitterBuffer, JitterSettings, JitterStatistics, Packet

SPEECH, PAUSE = b"\x01" * 160, b"\xff" * 160
CONCEAL, SILENCE = Gap.CONCEAL, Gap.SILENCE


@attrs.define
class Rig:
    """A buffer with a clock: a tick is 20 ms, packets are named by their number."""

    settings: JitterSettings = attrs.field(factory=JitterSettings)
    first_sequence: int = 0
    first_timestamp: int = 0
    now: float = 0.0
    buffer: JitterBuffer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.buffer = JitterBuffer(self.settings, silent=lambda payload: payload == PAUSE)

    def packet(self, number: int, **fields: object) -> Packet:
        given: dict[str, object] = {
            "sequence": (self.first_sequence + number) & 0xFFFF,
            "timestamp": (self.first_timestamp + number * 160) & 0xFFFFFFFF,
            "payload": (number & 0xFFFF).to_bytes(2, "big") * 80,
        }
        return Packet(**{**given, **fields})  # type: ignore[arg-type]

    def put(self, *numbers: int, after_s: float = 0.0, **fields: object) -> None:
        for number in numbers:
            self.buffer.put(self.packet(number, **fields), self.now + after_s)

    def tick(self) -> int | Gap:
        """Return the number in the packet that is played, or what is instead."""
        got = self.buffer.pull(self.now)
        self.now += FRAME_S
        return int.from_bytes(got.payload[:2], "big") if isinstance(got, Frame) else got

    def ticks(self, n: int) -> list[int | Gap]:
        return [self.tick() for _ in range(n)]

    @property
    def counts(self) -> JitterStatistics:
        return self.buffer.statistics


def test_a_punctual_line_has_no_delay() -> None:
    rig = Rig()
    assert rig.tick() is SILENCE
    for number in range(300):
        rig.put(number)
        assert rig.tick() == number
    assert rig.counts.jitter_s == pytest.approx(0, abs=1e-9)
    assert attrs.evolve(rig.counts, jitter_s=0.0) == JitterStatistics(received=300, silent=1)


def test_a_lost_packet_is_concealed_and_counted() -> None:
    rig = Rig()
    played = []
    for number in range(6):
        if number not in (2, 3):
            rig.put(number)
        played.append(rig.tick())
    assert played == [0, 1, CONCEAL, CONCEAL, 4, 5]
    assert rig.counts == JitterStatistics(received=4, lost=2, concealed=2)


def test_packets_that_overtake_each_other_are_put_in_order() -> None:
    rig = Rig()
    rig.put(0, 3, 1, 2)
    assert rig.ticks(4) == [0, 1, 2, 3]
    rig.put(5, 4)
    assert rig.ticks(2) == [4, 5]
    assert rig.counts.late == rig.counts.lost == 0


def test_the_packet_before_the_first_may_still_come() -> None:
    rig = Rig()
    rig.put(1, 0)
    assert rig.ticks(2) == [0, 1]


def test_duplicates_are_played_once() -> None:
    rig = Rig()
    rig.put(0, 0, 1)
    rig.tick()
    rig.put(0, 1, 1)
    assert rig.ticks(2) == [1, CONCEAL]
    assert (rig.counts.duplicate, rig.counts.received) == (4, 6)


def test_a_late_packet_is_played_and_the_delay_has_grown() -> None:
    rig = Rig()
    rig.put(0)
    assert rig.ticks(2) == [0, CONCEAL]
    rig.put(1)  # its turn was the tick before
    assert rig.ticks(1) == [1]
    for number in range(2, 50):  # the others keep coming as late
        rig.put(number)
        assert rig.tick() == number
    assert rig.counts.concealed == 1
    assert rig.counts.late == 0


def test_what_is_overtaken_by_what_was_heard_is_too_late() -> None:
    rig = Rig()
    rig.put(0)
    rig.tick()
    rig.put(2)
    assert rig.ticks(2) == [CONCEAL, 2]
    rig.put(1)
    assert rig.tick() is CONCEAL
    assert (rig.counts.late, rig.counts.lost) == (1, 0)


def test_no_late_packet_makes_the_others_wait_beyond_the_limit() -> None:
    rig = Rig(JitterSettings(max_delay_s=0.1))
    rig.put(0)
    rig.tick()
    rig.put(5)
    assert rig.ticks(3) == [CONCEAL] * 3
    rig.put(1)  # nothing after it was heard, but the fifth has waited for 60 ms already
    assert rig.ticks(2) == [CONCEAL, 5]
    assert rig.counts.late == 1


def test_what_is_hopelessly_late_does_not_make_all_others_wait() -> None:
    rig = Rig()
    hopeless = (30, 31, 45)
    for number in range(300):
        if number not in hopeless:
            rig.put(number)
        if number - 50 in hopeless:
            rig.put(number - 50)
        assert rig.tick() == (CONCEAL if number in hopeless else number)
    assert (rig.counts.late, rig.counts.stretched) == (3, 0)


@pytest.mark.parametrize("jitter_s", [0.02, 0.05, 0.1, 0.3])
def test_on_the_worst_of_lines_nothing_waits_beyond_the_limit(jitter_s: float) -> None:
    rig = Rig()
    delays = np.abs(np.random.default_rng(1).standard_normal(3000)) * jitter_s
    arrivals = np.arange(3000) * FRAME_S + delays
    order = np.argsort(arrivals)
    sent = played = 0
    for tick in range(3000):
        now = tick * FRAME_S
        while sent < 3000 and arrivals[order[sent]] <= now:
            rig.buffer.put(rig.packet(int(order[sent])), float(arrivals[order[sent]]))
            sent += 1
        got = rig.buffer.pull(now)
        if isinstance(got, Frame):
            played += 1
            assert now - got.arrived_at <= 0.2 + FRAME_S + 1e-6
    assert played > 3000 * (0.97 if jitter_s <= 0.05 else 0.5 if jitter_s <= 0.1 else 0.2)


def test_after_60_ms_without_packets_it_is_silence() -> None:
    rig = Rig()
    rig.put(0)
    assert rig.ticks(6) == [0, CONCEAL, CONCEAL, CONCEAL, SILENCE, SILENCE]


def test_a_pause_of_the_sender_is_known_by_its_sequence_numbers() -> None:
    rig = Rig()
    rig.put(0)
    assert rig.tick() == 0
    rig.put(1, timestamp=3 * 160, marker=True)  # 40 ms of it, and no packet is missing
    assert rig.ticks(3) == [SILENCE, SILENCE, 1]
    rig.put(3, timestamp=6 * 160)  # here one is
    assert rig.ticks(3) == [CONCEAL, CONCEAL, 3]
    rig.put(5, timestamp=12 * 160, marker=True)  # one is, but not five
    assert rig.ticks(6) == [SILENCE] * 5 + [5]


def test_after_comfort_noise_a_sender_is_silent() -> None:
    rig = Rig()
    rig.put(0)
    rig.put(1, payload=b"\x40", comfort_noise=True)
    assert rig.ticks(2) == [0, 0x40]
    assert rig.ticks(200) == [SILENCE] * 200
    rig.put(2, timestamp=202 * 160, marker=True)
    assert rig.tick() == 2
    assert rig.counts.concealed == 0


def test_a_burst_is_cut_to_the_longest_delay() -> None:
    rig = Rig()
    rig.put(*range(25))
    assert rig.ticks(11) == [*range(15, 25), CONCEAL]
    assert rig.counts.discarded == 15


def test_the_frame_behind_a_cut_says_so() -> None:
    rig = Rig()
    rig.put(0)
    rig.tick()
    rig.put(*range(1, 13))
    frames = [rig.buffer.pull(rig.now), rig.buffer.pull(rig.now + FRAME_S)]
    assert [f.spliced for f in frames if isinstance(f, Frame)] == [True, False]


def test_after_a_stall_of_the_network_the_newest_is_played() -> None:
    rig = Rig()
    for number in range(10):
        rig.put(number)
        rig.tick()
    rig.ticks(100)  # two seconds of nothing, then all of it at once
    rig.put(*range(10, 110))
    assert rig.ticks(10) == list(range(100, 110))


def test_what_is_buffered_shrinks_again_in_the_pauses() -> None:
    rig = Rig()
    rig.put(0)
    rig.ticks(8)  # a stall
    played: list[int | Gap] = []
    for number in range(1, 1200):
        payload = PAUSE if number % 50 >= 25 else rig.packet(number).payload
        rig.put(number, payload=payload)
        if number == 1:
            rig.put(*range(2, 8))
        if number >= 8:
            played.append(rig.tick())
    speech = {n for n in range(8, 1190) if n % 50 < 25}
    assert speech <= set(played)  # only silence was left out
    assert 5 <= rig.counts.discarded <= 7
    assert rig.counts.delay_s <= 0.0201


def test_without_pauses_a_frame_of_speech_goes_after_two_seconds() -> None:
    rig = Rig()
    rig.put(0)
    rig.ticks(4)
    left_out = []
    for number in range(1, 900):
        rig.put(number)
        rig.put(*range(2, 4)) if number == 1 else None
        if number >= 4:
            before = rig.counts.discarded
            rig.tick()
            if rig.counts.discarded > before:
                left_out.append(number)
    assert 1 <= len(left_out) <= 3
    assert all(b - a >= 100 for a, b in itertools.pairwise(left_out))
    assert rig.counts.delay_s <= 0.0201


def test_the_least_delay_is_kept_also_on_a_perfect_line() -> None:
    rig = Rig(JitterSettings(min_delay_s=0.06))
    rig.put(0)
    assert rig.tick() is SILENCE
    for number in range(1, 600):
        rig.put(number)
        assert rig.tick() == (number - 3 if number >= 3 else SILENCE)
    assert rig.counts.delay_s == pytest.approx(0.06)


def test_a_packet_may_hold_several_frames() -> None:
    rig = Rig()
    parts = [bytes([n]) * 160 for n in range(6)]
    for n in (0, 2, 1):
        payload = parts[2 * n] + parts[2 * n + 1]
        rig.put(n, timestamp=n * 320, payload=payload)
    frames = [rig.buffer.pull(n * FRAME_S) for n in range(6)]
    assert [f.payload for f in frames if isinstance(f, Frame)] == parts
    assert rig.counts.lost == 0


@pytest.mark.parametrize("payload", [b"", b"x", bytes(159), bytes(161)])
def test_what_is_no_whole_frame_is_discarded(payload: bytes) -> None:
    rig = Rig()
    rig.put(0, payload=payload)
    rig.put(1)
    assert rig.tick() == 1
    rig.put(2, payload=payload)
    rig.put(3)
    assert rig.ticks(2) == [CONCEAL, 3]
    assert rig.counts.discarded == 2
    assert rig.counts.lost == 1  # of the first nobody knows


def test_payloads_of_any_size_are_frames_where_the_codec_has_no_fixed_one() -> None:
    rig = Rig(JitterSettings(frame_bytes=None, frame_units=960))
    for number, payload in enumerate((b"abc", b"", b"d" * 300)):
        rig.put(number, timestamp=960 * number, payload=payload)
    frames = [rig.buffer.pull(n * FRAME_S) for n in range(3)]
    assert [len(f.payload) for f in frames if isinstance(f, Frame)] == [3, 0, 300]


@pytest.mark.parametrize("jump", [160 * 10_000, -160 * 10_000, 2**31, -(2**30), 7])
def test_a_sender_that_jumps_in_time_is_followed(jump: int) -> None:
    rig = Rig(first_timestamp=2**32 - 800)
    for number in range(10):
        rig.put(number)
        assert rig.tick() == number
    rig.first_timestamp += jump
    for number in range(10, 80):
        rig.put(number)
        assert rig.tick() == number
    assert rig.counts.concealed == rig.counts.late == 0


def test_another_stream_is_believed_at_its_second_packet() -> None:
    rig = Rig()
    rig.put(0)
    rig.tick()
    rig.first_sequence, rig.first_timestamp = 40_000, 3_000_000
    rig.put(1)
    assert rig.tick() is CONCEAL
    rig.put(2)
    assert rig.tick() == 2
    rig.put(3)
    assert rig.tick() == 3
    assert rig.counts.lost == 0


def test_settings_without_room_are_refused() -> None:
    with pytest.raises(ValueError, match=r"min_delay_s=0\.2, max_delay_s=0\.2"):
        JitterSettings(min_delay_s=0.2)
    with pytest.raises(ValueError, match="expected 0 or more"):
        JitterSettings(min_delay_s=-0.01)


# -- whatever arrives ------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    st.lists(st.integers(0, 60), max_size=120),
    st.sampled_from([0, 65_500]),
    st.sampled_from([0, 2**32 - 4800]),
    st.sampled_from([0.0, 0.04]),
    st.data(),
)
def test_any_order_of_any_subset_comes_out_in_order_and_once(
    arrivals: list[int],
    first_sequence: int,
    first_timestamp: int,
    min_delay_s: float,
    data: st.DataObject,
) -> None:
    rig = Rig(JitterSettings(min_delay_s=min_delay_s), first_sequence, first_timestamp)
    played: list[int | Gap] = []
    for number in arrivals:
        rig.put(number)
        played += rig.ticks(data.draw(st.integers(0, 3)))
    played += rig.ticks(20)
    counts = rig.counts
    numbers = [p for p in played if not isinstance(p, Gap)]
    assert all(b > a for a, b in itertools.pairwise(numbers))
    assert set(numbers) <= set(arrivals)
    assert counts.received == len(arrivals)
    assert counts.duplicate == len(arrivals) - len(set(arrivals))
    assert len(numbers) + counts.duplicate + counts.late + counts.discarded == len(arrivals)
    assert counts.concealed + counts.silent + len(numbers) == len(played)
    if arrivals:
        assert counts.lost == max(arrivals) - min(arrivals) + 1 - len(set(arrivals))


class AnythingArrives(RuleBasedStateMachine):
    """Packets of an honest sender and of a mad one, at any time; ticks every 20 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(JitterSettings(max_delay_s=0.1), 65_530, 2**32 - 1600)
        self.sent = 0
        self.kept: list[int] = []
        self.sequences: list[int] = []
        self.mad = False

    @rule(
        n=st.integers(1, 4),
        payload=st.sampled_from([SPEECH, SPEECH, PAUSE, SPEECH * 2, b"bad"]),
        held_up=st.booleans(),
        phase_s=st.floats(0, 0.0199),
    )
    def send(self, n: int, payload: bytes, held_up: bool, phase_s: float) -> None:
        for _ in range(n):
            self.kept.append(self.sent) if held_up else self._deliver(self.sent, payload, phase_s)
            self.sent += 1

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), again=st.booleans())
    def catch_up(self, data: st.DataObject, again: bool) -> None:
        number = data.draw(st.sampled_from(self.kept))
        if not again:
            self.kept.remove(number)
        self._deliver(number, SPEECH, 0.01)

    @rule(
        sequence=st.integers(0, 65535),
        timestamp=st.integers(0, 2**32 - 1),
        marker=st.booleans(),
        comfort_noise=st.booleans(),
    )
    def stray(self, sequence: int, timestamp: int, marker: bool, comfort_noise: bool) -> None:
        self.mad = True
        packet = Packet(
            sequence=sequence,
            timestamp=timestamp,
            payload=SPEECH,
            marker=marker,
            comfort_noise=comfort_noise,
        )
        self.rig.buffer.put(packet, self.rig.now)

    @rule(n=st.integers(1, 30))
    def tick(self, n: int) -> None:
        for _ in range(n):
            got = self.rig.buffer.pull(self.rig.now)
            if isinstance(got, Frame):
                self.sequences.append(got.sequence)
                assert 0 <= self.rig.now - got.arrived_at <= 0.1 + FRAME_S + 1e-6
            self.rig.now += FRAME_S

    def _deliver(self, number: int, payload: bytes, phase_s: float) -> None:
        packet = self.rig.packet(number, payload=payload)
        # A little before the tick that comes, and after the one that was.
        self.rig.buffer.put(packet, self.rig.now - FRAME_S + phase_s)

    @invariant()
    def in_order(self) -> None:
        # A packet of two frames has one number; nothing else comes twice.
        if not self.mad:
            assert all(b >= a for a, b in itertools.pairwise(self.sequences))
        counts = self.rig.counts
        assert counts.lost >= 0
        assert counts.stretched <= counts.concealed + counts.silent


TestAnythingArrives = AnythingArrives.TestCase
TestAnythingArrives.settings = settings(max_examples=60, stateful_step_count=40)


# -- clocks that differ ----------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [200, -200])
@pytest.mark.parametrize(("hours", "pauses"), [(0.5, True), (0.25, False)])
def test_hours_with_a_clock_that_is_off(ppm: int, hours: float, pauses: bool) -> None:
    """A sender 0.02 % fast or slow neither starves the listener nor runs away from it."""
    rig = Rig()
    n = round(hours * 3600 * 50)
    arrivals = np.arange(n) * FRAME_S * (1 - ppm * 1e-6) + 0.01
    packet, longest_s, played, sent = rig.packet, 0.0, 0, 0
    for tick in range(round(arrivals[-1] / FRAME_S)):
        now = tick * FRAME_S
        while sent < n and arrivals[sent] <= now:
            quiet = pauses and sent % 150 < 50
            rig.buffer.put(packet(sent, payload=PAUSE if quiet else SPEECH), float(arrivals[sent]))
            sent += 1
        got = rig.buffer.pull(now)
        if isinstance(got, Frame):
            played += 1
            longest_s = max(longest_s, now - got.arrived_at)
    counts = rig.counts
    drifted_frames = n * abs(ppm) // 1_000_000
    assert longest_s < 0.05
    assert counts.late == counts.lost == 0
    assert played + counts.discarded + 2 >= sent
    if ppm > 0:
        assert counts.discarded == pytest.approx(drifted_frames, abs=3)
        assert counts.concealed == 0
    else:
        assert counts.concealed + counts.silent == pytest.approx(drifted_frames, abs=6)
        assert counts.discarded == 0
        assert counts.stretched >= (drifted_frames - 3 if pauses else 0)
