"""The marks on disk: which files of which sessions go to the store, and which have arrived."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voxpy.history.outbox import BACK, FOLDER, Mark, Outbox, is_recording

NOW = 1_800_000_000.0
NAMES = ("call.wav", "record.mp3", "record.transcript.json", "trace.jsonl", "record.json")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path, "h1", traces=False)


def leave(outbox: Outbox, session_id: str = "s-1", names: tuple[str, ...] = NAMES) -> Path:
    folder = outbox.folder(session_id)
    folder.mkdir(parents=True)
    for n, name in enumerate(names, 1):
        (folder / name).write_bytes(bytes(n))
    return folder


def lacking(outbox: Outbox, mark: Mark, session_id: str = "s-1") -> list[str]:
    return [path.name for path in outbox.lacking(session_id, mark)]


def test_recordings_and_transcripts_are_stored_and_traces_if_wanted(outbox: Outbox) -> None:
    folder = leave(outbox)
    (folder / "call.html").write_text("made of the rest")
    (folder / ".call.wav.1a2b").write_text("on its way back")
    sounds = ["call.wav", "record.mp3", "record.transcript.json"]
    assert lacking(outbox, Mark()) == sounds
    everything = Outbox(outbox.base, "h1", traces=True)
    assert lacking(everything, Mark()) == sorted(NAMES)
    assert lacking(outbox, Mark(), "of nobody") == []


def test_what_has_grown_since_is_stored_again(outbox: Outbox) -> None:
    folder = leave(outbox, names=("call.wav",))
    mark = Mark(stored={"call.wav": 1})
    assert lacking(outbox, mark) == []
    (folder / "call.wav").write_bytes(b"more")
    assert lacking(outbox, mark) == ["call.wav"]


def test_a_mark_is_kept_and_one_that_is_damaged_only_costs_work(outbox: Outbox) -> None:
    assert outbox.read("s-1") == Mark()
    outbox.begin("s-1", Mark(stored={"call.wav": 5}, at=NOW))
    assert outbox.read("s-1") == Mark(stored={"call.wav": 5}, at=NOW)
    path = outbox.base / FOLDER / "h1" / "s-1"
    for damage in (b"", b"{", b"[]", b'{"stored": 5, "at": 1}', b'{"stored": {"a": "x"}}'):
        path.write_bytes(damage)
        assert outbox.read("s-1") == Mark()
    outbox.end("s-1")
    outbox.end("s-1")
    assert not path.exists()


def test_recordings_go_when_they_are_stored_and_the_rest_stays(outbox: Outbox) -> None:
    folder = leave(outbox)
    outbox.begin("s-1")
    outbox.delete("s-1", Mark(stored={"call.wav": 1, "record.mp3": 7, "trace.jsonl": 4}))
    left = {path.name for path in folder.iterdir()}
    assert left == {*NAMES} - {"call.wav"}, "record.mp3 is not what was stored; traces stay"
    assert outbox.adopt(lambda host: True, NOW) == []


def test_what_came_back_goes_again_with_its_folder(outbox: Outbox) -> None:
    folder = leave(outbox, "of-another", ("call.wav", "trace.jsonl"))
    mine = leave(outbox, "of-mine", ("trace.jsonl", "call.wav"))
    both = Mark(stored={"call.wav": 1, "trace.jsonl": 2})
    assert outbox.lacking("of-another" + BACK, both) == []
    outbox.delete("of-another" + BACK, both)
    assert not folder.exists()
    outbox.delete("of-mine" + BACK, Mark(stored={"call.wav": 2}))
    assert [path.name for path in mine.iterdir()] == ["trace.jsonl"]


def test_the_sessions_of_the_dead_are_taken_over_by_one(outbox: Outbox) -> None:
    dead = Outbox(outbox.base, "dead", traces=False)
    alive = Outbox(outbox.base, "alive", traces=False)
    for box, session_id in ((dead, "s-1"), (dead, "s-2"), (alive, "s-3")):
        box.begin(session_id, Mark(stored={session_id: 1}))
        os.utime(outbox.base / FOLDER / box.host_id / session_id, (NOW - 100, NOW - 100))
    dead.begin("young")
    os.utime(outbox.base / FOLDER / "dead" / "young", (NOW - 1, NOW - 1))
    (outbox.base / FOLDER / "dead" / ".half.1a2b").write_bytes(b"written when it died")

    def is_gone(host: str) -> bool:
        return host == "dead"

    assert sorted(outbox.adopt(is_gone, NOW)) == ["s-1", "s-2"]
    assert outbox.read("s-1") == Mark(stored={"s-1": 1})
    other = Outbox(outbox.base, "other", traces=False)
    assert other.adopt(is_gone, NOW) == []
    assert outbox.adopt(is_gone, NOW + 60) == ["young"]
    assert not (outbox.base / FOLDER / "dead").exists()
    assert (outbox.base / FOLDER / "alive" / "s-3").exists()


@pytest.mark.parametrize(
    ("name", "recording"),
    [("call.wav", True), ("a.transcript.json", True), ("record.json", False), (".a.wav", False)],
)
def test_what_a_recording_is(name: str, recording: bool) -> None:
    assert is_recording(name) is recording
