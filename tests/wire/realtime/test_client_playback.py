from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.wire.realtime.client.playback import AudioRate, Playback
from voxpy.wire.realtime.events.client_events import (
    ConversationItemDelete,
    ConversationItemTruncate,
)
from voxpy.wire.realtime.events.types import ClientEvent

PCM = AudioRate("pcm16", 24000)
MULAW = AudioRate("pcmu", 8000)
ALAW = AudioRate("pcma", 8000)


def cut(item_id: str, end_ms: int) -> ConversationItemTruncate:
    return ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=end_ms)


def one_second(rate: AudioRate = PCM, *, thirds: bool = False) -> Playback:
    playback = Playback(mulaw_thirds=thirds)
    playback.produced("i", "r", round(1000 / rate.ms(1)), rate)
    return playback


@pytest.mark.parametrize(
    ("played_ms", "expected"),
    [
        (400.0, cut("i", 400)),
        (400.99, cut("i", 400)),
        (1500.0, cut("i", 1000)),  # never behind the end of what came
        (1000.0, cut("i", 1000)),  # all that came, but more is to come
        (0.0, ConversationItemDelete(item_id="i")),
        (0.9, ConversationItemDelete(item_id="i")),
    ],
)
def test_the_server_is_told_the_lesser_of_played_and_produced(
    played_ms: float, expected: ClientEvent
) -> None:
    assert one_second().truncation("i", played_ms) == expected


def test_nothing_is_told_of_what_was_heard_to_its_end() -> None:
    playback = one_second()
    playback.item_done("i")
    assert playback.truncation("i", 1000.0) is None
    assert playback.truncation("i", 999.0) == cut("i", 999)


def test_a_response_that_is_done_ends_its_items() -> None:
    playback = one_second()
    playback.produced("other", "r2", 4800, PCM)
    playback.response_done("r")
    assert playback.truncation("i", 1000.0) is None
    assert playback.truncation("other", 100.0) == cut("other", 100)


def test_audio_that_was_withheld_was_not_heard_although_all_that_was_let_through_was() -> None:
    playback = one_second()
    playback.withheld("i", "r", 4800, PCM)
    playback.item_done("i")
    assert playback.truncation("i", 1000.0) == cut("i", 1000)
    assert playback.whole_ms("i") == 1100
    playback.withheld("never", "r", 4800, PCM)
    assert playback.truncation("never", 0.0) == ConversationItemDelete(item_id="never")


def test_an_item_is_settled_once() -> None:
    playback = one_second()
    playback.settle("i")
    assert playback.truncation("i", 400.0) is None


def test_nothing_is_known_of_other_items() -> None:
    playback = Playback()
    assert playback.truncation("x", 10.0) is None
    assert (playback.produced_ms("x"), playback.whole_ms("x")) == (0, 0)
    assert not playback.fully_played("x", 10.0)
    assert playback.is_done("x")
    playback.settle("x")
    playback.item_done("x")
    assert playback.item_ids == ()


@pytest.mark.parametrize(
    ("rate", "thirds", "end_ms"),
    [(MULAW, True, 133), (MULAW, False, 400), (ALAW, True, 400), (PCM, True, 400)],
)
def test_only_mu_law_is_told_in_thirds_and_only_if_asked(
    rate: AudioRate, thirds: bool, end_ms: int
) -> None:
    assert one_second(rate, thirds=thirds).truncation("i", 400.0) == cut("i", end_ms)


def test_a_third_of_two_milliseconds_is_nothing() -> None:
    told = one_second(MULAW, thirds=True).truncation("i", 2.0)
    assert told == ConversationItemDelete(item_id="i")


# Bytes of 8 kHz mu-law and the milliseconds a live service reckoned for them.
@pytest.mark.parametrize(
    ("n_bytes", "bound_ms"), [(89344, 3722), (99652, 4152), (227159, 9464), (207863, 8660)]
)
def test_thirds_stay_within_what_a_live_service_accepts(n_bytes: int, bound_ms: int) -> None:
    playback = Playback(mulaw_thirds=True)
    playback.produced("i", "r", n_bytes, MULAW)
    assert playback.truncation("i", 1e9) == cut("i", bound_ms)


def test_only_the_last_items_are_remembered() -> None:
    playback = Playback()
    for n in range(1000):
        playback.produced(f"i{n}", "r", 480, PCM)
    assert len(list(playback.item_ids)) == 64
    assert playback.produced_ms("i999") == 10
    assert playback.produced_ms("i0") == 0


@given(st.lists(st.tuples(st.integers(0, 5000), st.sampled_from([PCM, MULAW])), max_size=60))
def test_no_cutting_of_the_audio_changes_its_length(pieces: list[tuple[int, AudioRate]]) -> None:
    playback = Playback()
    for n_bytes, rate in pieces:
        playback.produced("i", "r", n_bytes, rate)
    exact = sum(n * (1 if rate is PCM else 6) for n, rate in pieces)  # in 48ths of a millisecond
    assert playback.produced_ms("i") == pytest.approx(exact / 48, abs=1e-6)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=200))
def test_whole_milliseconds_stay_whole(cuts: list[int]) -> None:
    playback = Playback()
    for n_bytes in cuts:
        playback.produced("i", "r", n_bytes, MULAW)
    whole_ms = sum(cuts) // 8
    expected = cut("i", whole_ms) if whole_ms else ConversationItemDelete(item_id="i")
    assert playback.truncation("i", 1e9) == expected
