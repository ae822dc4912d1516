"""What counts once: signatures for a while, a call's stream while the call is up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    there.learn(here.news(), 5)
    assert here.news() == [], "told once"
    assert there.news() == [], "what is learned is not told again"
    assert there.is_replay("s", 5 + 61)


def test_a_call_is_up_once() -> None:
    once = Once()
    first, second = Leg(), Leg()
    assert not once.is_up("twilio CA1", first)
    assert once.is_up("twilio CA1", second)
    first.state = "ended"
    assert not once.is_up("twilio CA1", second)


ANOTHER = """
import sys, types
from pathlib import Path
from voxpy.channels.once import Once
once = Once()
once.share(Path(sys.argv[1]))
for call_id in sys.stdin:
    up = once.is_up(call_id.rstrip(), types.SimpleNamespace(state="connected"))
    print("up" if up else "ours", flush=True)
"""


def test_a_call_is_up_once_in_all_processes_and_dies_with_its_own(tmp_path: Path) -> None:
    locks = tmp_path / "calls"
    command = [sys.executable, "-c", ANOTHER, str(locks)]
    once = Once()
    once.share(locks)
    first = Leg()
    assert not once.is_up("twilio CA1", first)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def there(call_id: str) -> str:
            print(call_id, file=process.stdin, flush=True)
            assert process.stdout is not None
            return process.stdout.readline().rstrip()

        assert [there(n) for n in ("twilio CA1", "twilio CA2")] == ["up", "ours"]
        assert once.is_up("twilio CA2", Leg())
        first.state = "ended"
        once.let_go()
        assert there("twilio CA1") == "ours"
        process.kill()
    assert not once.is_up("twilio CA1", Leg())
    assert not once.is_up("twilio CA2", Leg())
