"""What counts once: signatures for a while, a call's stream while the call is up."""

from __future__ import annotations

import attrs

from voxpy.channels.once import MOST_SEEN, Once


@attrs.define(eq=False)
class Leg:
    state: str = "connected"


def test_a_signature_is_good_for_a_minute() -> None:
    once = Once()
    assert not once.is_replay("s", 0)
    assert not once.is_replay("s", 59), "our answer was lost on its way"
    assert once.is_replay("s", 61)
    assert not once.is_replay("another", 61)


def test_only_so_many_are_remembered() -> None:
    once = Once()
    for n in range(2 * MOST_SEEN):
        once.is_replay(f"signature {n}", n)
    assert len(once._first_s) == MOST_SEEN
    assert len(once.news()) == MOST_SEEN
    assert once.is_replay(f"signature {2 * MOST_SEEN - 1}", 1e6)


def test_another_worker_learns_of_it() -> None:
    here, there = Once(), Once()
    here.is_replay("s", 100)
    there.learn(here.news(), here.calls(), 5)
    assert here.news() == [], "told once"
    assert there.news() == [], "what is learned is not told again"
    assert there.is_replay("s", 5 + 61)


def test_a_call_is_up_once_wherever_it_is() -> None:
    here, there = Once(), Once()
    first, second = Leg(), Leg()
    assert not here.is_up("twilio CA1", first)
    assert here.is_up("twilio CA1", second)
    assert here.calls() == ["twilio CA1"]
    there.learn([], here.calls(), 0)
    assert there.is_up("twilio CA1", second)
    assert there.calls() == []
    first.state = "ended"
    there.learn([], here.calls(), 0)
    assert not there.is_up("twilio CA1", second)
