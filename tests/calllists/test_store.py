"""Rows and attempts: what may begin when, what becomes of it, and that nothing is begun twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.calllists.store import Claim, ListStore
from voxpy.calllists.terms import Terms, Window
from voxpy.errors import ConfigError


def store_of(rows: int, **terms: Any) -> ListStore:
    store = ListStore(None)
    data = [{"to": f"+{n}", "name": f"N{n}"} for n in range(1, rows + 1)]
    store.add(data, "people.csv", "remind", Terms(**terms), 0.0)
    return store


def claim(store: ListStore, now: float = 0.0, host: str = "a") -> Claim:
    found = store.claim(host, now)
    assert found is not None
    return found


def finish(store: ListStore, what: Claim, now: float = 0.0, failed: str = "") -> None:
    store.finish(what, failed=failed, call_code=None, now=now)


def test_so_many_at_once_and_in_order() -> None:
    store = store_of(5, at_once=2)
    one, two = claim(store), claim(store)
    assert (one.number, two.number, one.attempt, one.data) == (1, 2, 1, '{"to":"+1","name":"N1"}')
    assert store.claim("a", 0.0) is None
    finish(store, one)
    assert claim(store).number == 3


def test_no_more_in_a_minute_than_wanted() -> None:
    store = store_of(5, at_once=5, per_minute=30.0)
    assert claim(store, 0.0).number == 1
    assert store.claim("a", 1.9) is None
    assert claim(store, 2.0).number == 2


def test_only_while_the_window_is_open() -> None:
    store = store_of(1, window=Window.parse("09:00-18:00 UTC"))
    assert store.claim("a", 3600 * 8.9) is None
    assert claim(store, 3600 * 9.0).number == 1


def test_a_failure_is_tried_again_later_and_not_for_ever() -> None:
    store = store_of(1, retry=1, retry_after_s=60.0)
    one = claim(store)
    store.report(one, "error", {"code": 486}, 1.0)
    finish(store, one, 2.0)
    assert store.claim("a", 61.0) is None
    two = claim(store, 62.0)
    assert two.attempt == 2
    finish(store, two, 63.0, failed="no calls")
    (told,) = store.lists()
    assert (told.state, told.counts["failed"], told.attempts) == ("done", 1, 2)
    assert store.results(1)[0]["error"] == '{"code":486}'


def test_a_result_that_was_reported_counts_whatever_ended_the_session() -> None:
    store = store_of(1, retry=3)
    one = claim(store)
    store.report(one, "progress", {"at": "menu"}, 1.0)
    store.report(one, "result", {"answer": "yes"}, 1.0)
    finish(store, one, 2.0, failed="interrupted: the process died")
    assert [(r["state"], r["result"]) for r in store.results(1)] == [("done", '{"answer":"yes"}')]


def test_nothing_reported_is_a_success_unless_the_session_failed() -> None:
    store = store_of(2)
    finish(store, claim(store))
    finish(store, claim(store), failed="handler error: oops")
    assert [(r["state"], r["error"]) for r in store.results(1)] == [
        ("done", ""), ("failed", "handler error: oops"),
    ]  # fmt: skip


def test_the_scenario_says_when_it_wants_another_attempt() -> None:
    store = store_of(1, retry=2, retry_after_s=9e9)
    one = claim(store)
    wanted = {"start_at": "1970-01-01T01:00:00", "name": "Bob", "other": 1}
    store.report(one, "next attempt", wanted, 1.0)
    finish(store, one, 2.0)
    assert store.claim("a", 3599.0) is None
    assert claim(store, 3600.0).data == '{"to":"+1","name":"Bob"}'


def test_what_a_dead_process_left_is_found_once_and_by_others_only() -> None:
    store = store_of(2, retry=1)
    one = claim(store, host="dead")
    store.note_session(one, "s-1")
    claim(store, host="alive")
    left = store.open_attempts(lambda host: host == "dead")
    assert left == [(one, "s-1")]
    finish(store, one, failed="interrupted")
    finish(store, one, failed="interrupted")
    assert store.open_attempts(lambda host: host == "dead") == []
    assert store.lists()[0].counts == {"waiting": 1, "calling": 1, "done": 0, "failed": 0}


def test_a_claim_that_is_given_back_was_no_attempt() -> None:
    store = store_of(1)
    store.give_back(claim(store))
    assert claim(store).attempt == 1


def test_a_stopped_list_begins_nothing() -> None:
    store = store_of(2)
    one = claim(store)
    store.set_state(1, "stopped")
    assert store.claim("a", 0.0) is None
    finish(store, one)
    store.set_state(1, "running")
    finish(store, claim(store))
    store.set_state(1, "stopped")
    assert store.lists()[0].state == "done"


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    one, two = ListStore(tmp_path), ListStore(tmp_path)
    one.add([{"to": str(n)} for n in range(20)], "p", "r", Terms(at_once=20), 0.0)
    claims = [claim(store) for _ in range(10) for store in (one, two)]
    assert sorted(c.number for c in claims) == list(range(1, 21))
    assert one.claim("a", 0.0) is None
    one.close()
    two.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "lists.db").write_text("not a database" * 100)
    with pytest.raises(ConfigError, match=r"lists\.db.*the call lists"):
        ListStore(tmp_path).lists()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("cfrekdg"), st.integers(0, 9)), max_size=60))
def test_whatever_happens_no_attempt_is_made_twice(happens: list[tuple[str, int]]) -> None:
    store = store_of(4, at_once=3, retry=2, retry_after_s=5.0)
    open_claims: list[Claim] = []
    made: Counter[tuple[int, int]] = Counter()
    now = 0.0
    for what, which in happens:
        now += 1.0
        picked = open_claims[which % len(open_claims)] if open_claims else None
        if what == "c":
            found = store.claim(f"host-{which % 2}", now)
            if found is not None:
                open_claims.append(found)
                made[found.number, found.attempt] += 1
        elif picked is None:
            continue
        elif what == "f":
            finish(store, picked, now)
            open_claims.remove(picked)
        elif what == "k":
            finish(store, picked, now, failed="died")
            open_claims.remove(picked)
        elif what == "g":
            store.give_back(picked)
            made[picked.number, picked.attempt] -= 1
            open_claims.remove(picked)
        else:
            kind = {"r": "result", "e": "error", "d": "next attempt"}[what]
            store.report(picked, kind, {"n": which}, now)  # type: ignore[arg-type]
        assert len(open_claims) <= 3
    assert all(times in (0, 1) for times in made.values())
    assert all(attempt <= 3 for (_, attempt), times in made.items() if times)
    for found in open_claims:
        finish(store, found, now)
    (told,) = store.lists()
    assert told.counts["calling"] == 0
    assert sum(told.counts.values()) == 4
    assert told.attempts == sum(made.values())
