"""The call history: what is written, found, settled after a death, and deleted."""

from __future__ import annotations

import datetime
import os
import signal
import sqlite3
import subprocess
import sys
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.errors import ConfigError
from voxpy.history import store
from voxpy.history.history import INTERRUPTED, History, Presence, Pruned, is_gone
from voxpy.history.record import CallRecord
from voxpy.history.search import Filter, SessionRow, find_one, find_sessions

UTC = datetime.UTC


def record(session_id: str = "s-1", **fields: Any) -> CallRecord:
    made = CallRecord(session_id=session_id, rule_name="all", scenarios=["a.py"], started_at="")
    personal = {"callerid": "+1555", "destination": "+1666"}
    made.personal.update(personal, **fields.pop("personal", {}))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def over(session_id: str = "s-1", **fields: Any) -> CallRecord:
    how = {"finish_reason": "Normal termination", "end_reason": "terminated", "duration_s": 4.5}
    return record(session_id, **{**how, **fields})


def folder(base: Path, session_id: str = "s-1") -> Path:
    path = base / "sessions" / session_id
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / ".voxpy"


@pytest.fixture
def history(base: Path) -> Iterator[History]:
    made = History(base)
    yield made
    made.close()


def age(history: History, session_id: str, days: float) -> None:
    """Let a session have begun so many days ago."""
    began = datetime.datetime.now(UTC) - datetime.timedelta(days=days)
    with sqlite3.connect(history.path) as connection:
        connection.execute(
            "UPDATE sessions SET start_date = ? WHERE session_id = ?",
            (began.isoformat(timespec="milliseconds"), session_id),
        )
    connection.close()


def only(base: Path) -> SessionRow:
    (row,) = find_sessions(base)
    return row


# -- what is written -------------------------------------------------------------------------------


def test_a_session_runs_and_then_has_ended(history: History, base: Path) -> None:
    history.write(record(), folder(base))
    running = only(base)
    assert (running.state, running.duration_s, running.finish_reason) == ("running", None, "")
    history.write(over(), folder(base))
    ended = only(base)
    assert (ended.state, ended.duration_s) == ("ended", 4.5)
    assert ended.start_date == running.start_date
    assert (ended.callerid, ended.destination) == ("+1555", "+1666")
    assert not ended.failed


def test_everything_voxengine_keeps_of_a_session_and_its_calls(
    history: History, base: Path
) -> None:
    calls: list[dict[str, Any]] = [
        {
            "call_id": "call-1",
            "at_s": 0.0,
            "incoming": True,
            "remote_number_type": "pstn",
            "audio_quality": "HD",
            "duration_s": 4.5,
            "end_reason": {"code": 16, "description": "Hung up"},
            "successful": True,
        },
        {"call_id": "outgoing-1", "at_s": 2.5, "incoming": False, "remote_number_type": "sip"},
    ]
    numbers = {
        "call-1": {"local_number": "+1666", "remote_number": "+1555", "custom_data": "vip"},
        "outgoing-1": {"local_number": "+1666", "remote_number": "sip:desk"},
    }
    made = over(
        channel="twilio",
        calls=calls,
        recordings=["file:///x/call.wav"],
        transcripts=["file:///x/call.txt"],
        reply_ms=[460, 500],
        barge_in_ms=[120],
        warnings=["slow"],
        errors=["ValueError"],
        personal={"calls": numbers, "custom_data": "order 7", "transaction_id": "CA1"},
    )
    history.write(made, folder(base))
    row = only(base)
    assert (row.rule_name, row.channel, row.scenarios) == ("all", "twilio", ("a.py",))
    assert (row.custom_data, row.transaction_id) == ("order 7", "CA1")
    assert (row.reply_ms, row.barge_in_ms, row.warnings, row.errors) == ((460, 500), (120,), 1, 1)
    assert row.files == (
        ("trace", (folder(base) / "trace.jsonl").as_uri()),
        ("log", (folder(base) / "session.log").as_uri()),
        ("recording", "file:///x/call.wav"),
        ("transcript", "file:///x/call.txt"),
    )
    first, second = row.calls
    assert (first.incoming, first.local_number, first.remote_number) == (True, "+1666", "+1555")
    assert (first.successful, first.end_code, first.end_description) == (True, 16, "Hung up")
    assert (first.audio_quality, first.custom_data, first.duration_s) == ("HD", "vip", 4.5)
    assert first.start_time == row.start_date
    began, dialled = map(datetime.datetime.fromisoformat, (first.start_time, second.start_time))
    assert (dialled - began).total_seconds() == 2.5
    assert (second.successful, second.end_code, second.duration_s) == (None, None, None)
    assert orjson.loads(orjson.dumps(row.to_json()))["calls"][1]["remote_number"] == "sip:desk"


def test_writing_twice_changes_nothing(history: History, base: Path) -> None:
    for _ in range(2):
        history.write(over(recordings=["file:///x"], calls=[{"call_id": "c"}]), folder(base))
    row = only(base)
    assert len(row.calls) == 1
    assert [kind for kind, _ in row.files] == ["trace", "log", "recording"]


def test_the_folder_may_be_moved_with_its_history(history: History, base: Path) -> None:
    history.write(over(), folder(base))
    history.close()
    moved = base.rename(base.parent / "elsewhere")
    assert only(moved).folder == moved / "sessions" / "s-1"


@pytest.mark.parametrize("writers", [4])
def test_several_processes_write_at_once(base: Path, writers: int) -> None:
    """Each with a connection of its own, as workers have."""

    def work(worker: int) -> None:
        history = History(base)
        for n in range(10):
            history.write(record(f"{worker}-{n}"), folder(base, "x"))
            history.write(over(f"{worker}-{n}"), folder(base, "x"))
        history.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(work, range(writers)))
    found = find_sessions(base)
    assert len(found) == 10 * writers
    assert {row.state for row in found} == {"ended"}


texts = st.text(max_size=20).filter(lambda t: t.isprintable())


@given(custom=texts, caller=texts)
@settings(max_examples=25)
def test_any_text_is_kept_and_found(
    tmp_path_factory: pytest.TempPathFactory, custom: str, caller: str
) -> None:
    base = tmp_path_factory.mktemp("history")
    history = History(base)
    history.write(over(personal={"custom_data": custom, "callerid": caller}), base / "s-1")
    history.close()
    (row,) = find_sessions(base, Filter(custom_data=custom, caller=caller))
    assert (row.custom_data, row.callerid) == (custom, caller)


# -- finding ---------------------------------------------------------------------------------------


@pytest.fixture
def many(history: History, base: Path) -> Path:
    history.write(over("aa-1", rule_name="support"), folder(base, "aa-1"))
    history.write(
        over("aa-2", finish_reason="Session error", end_reason="handler error", end_detail="boom"),
        folder(base, "aa-2"),
    )
    history.write(over("bb-1", errors=["x"], personal={"callerid": "+49"}), folder(base, "bb-1"))
    legs = {"outgoing-1": {"remote_number": "sip:100%_desk", "local_number": "+1666"}}
    history.write(
        record(
            "cc-1",
            calls=[{"call_id": "outgoing-1", "incoming": False}],
            personal={"calls": legs, "custom_data": "Order 7"},
        ),
        folder(base, "cc-1"),
    )
    for days, session_id in enumerate(("cc-1", "bb-1", "aa-2", "aa-1")):
        age(history, session_id, days)
    return base


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(), ["cc-1", "bb-1", "aa-2", "aa-1"]),
        (Filter(limit=2), ["cc-1", "bb-1"]),
        (Filter(rule="support"), ["aa-1"]),
        (Filter(caller="49"), ["bb-1"]),
        (Filter(destination="100%_DESK"), ["cc-1"]),
        (Filter(destination="100__desk"), []),
        (Filter(reason="handler"), ["aa-2"]),
        (Filter(reason="boom"), ["aa-2"]),
        (Filter(reason="normal"), ["bb-1", "aa-1"]),
        (Filter(custom_data="order"), ["cc-1"]),
        (Filter(errors=True), ["bb-1", "aa-2"]),
        (Filter(errors=True, caller="1555"), ["aa-2"]),
        (Filter(since=datetime.datetime.now(UTC) - datetime.timedelta(days=1.5)), ["cc-1", "bb-1"]),
    ],
)
def test_filters(many: Path, wanted: Filter, ids: list[str]) -> None:
    assert [row.session_id for row in find_sessions(many, wanted)] == ids


def test_one_is_found_by_the_beginning_of_its_name(many: Path, history: History) -> None:
    assert find_one(many, "b").session_id == "bb-1"
    assert find_one(many, "last").session_id == "cc-1"
    with pytest.raises(ConfigError, match="several sessions begin with 'aa': aa-2, aa-1"):
        find_one(many, "aa")
    with pytest.raises(ConfigError, match="no session begins with '%'; voxpy calls lists them"):
        find_one(many, "%")
    history.write(over("aa"), folder(many, "aa"))
    assert find_one(many, "aa").session_id == "aa", "a whole name counts before a beginning"


def test_where_nothing_was_ever_written(base: Path) -> None:
    assert find_sessions(base) == []
    assert not base.exists()
    with pytest.raises(ConfigError, match="there is no call history yet"):
        find_one(base, "last")


# -- after a death ---------------------------------------------------------------------------------

DIES = """
import os, signal, sys
from pathlib import Path
from voxpy.history.history import History
from voxpy.history.record import CallRecord

base = Path(sys.argv[1])
record = CallRecord(session_id="s-1", rule_name="all", scenarios=["a.py"], started_at="")
record.personal.update(callerid="+1555", destination="+1666")
history = History(base)  # who is forgotten is gone
history.write(record, base / "sessions" / "s-1")
print("written", flush=True)
sys.stdin.read()
"""

TRACE = [
    {"t": 0, "kind": "session", "name": "started", "data": {"rule": "all", "channel": "twilio"}},
    {
        "t": 0,
        "kind": "step",
        "name": "call began",
        "unit": "call-1",
        "data": {"incoming": True, "client_type": "pstn"},
        "personal": {"callerid": "+1555", "destination": "+1666"},
    },
    {
        "t": 0,
        "kind": "event",
        "name": "Application.CallAlerting",
        "unit": "call-1",
        "personal": {"callerid": "+1555", "destination": "+1666"},
    },
    {"t": 7.25, "kind": "step", "name": "agent audible", "data": {"reply_ms": 460}},
]


@pytest.mark.slow
def test_what_a_killed_process_left_running_is_interrupted(base: Path) -> None:
    (folder(base) / "trace.jsonl").write_bytes(
        b"\n".join(orjson.dumps(e) for e in TRACE) + b'\n{"t": 8, "kin'
    )
    with wave.open(str(folder(base) / "call.wav"), "wb") as recording:
        recording.setparams((2, 2, 8000, 0, "NONE", ""))
        recording.writeframes(bytes(4 * 8000 * 9))
    process = subprocess.Popen(
        [sys.executable, "-c", DIES, str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        History.settle_now(base)
        assert only(base).state == "running", "its process lives"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    began = only(base).start_date
    History.settle_now(base)
    row = only(base)
    assert (row.state, row.finish_reason, row.end_reason) == (
        "interrupted",
        INTERRUPTED,
        "interrupted",
    )
    assert (row.duration_s, row.start_date, row.failed) == (9.0, began, True), (
        "by the longer of trace and recording"
    )
    assert (row.channel, row.reply_ms, row.callerid) == ("twilio", (460,), "+1555")
    assert [(c.call_id, c.end_code) for c in row.calls] == [("call-1", None)]
    assert list((base / "hosts").iterdir()) == []


def test_who_could_not_write_its_end_is_settled_from_its_record(base: Path) -> None:
    dead = History(base)
    dead.write(record(), folder(base))
    (folder(base) / "record.json").write_bytes(orjson.dumps(over().to_json()))
    dead.close()  # as if it had died: nobody holds its lock
    History.settle_now(base)
    row = only(base)
    assert (row.state, row.finish_reason, row.duration_s) == ("ended", "Normal termination", 4.5)


def test_ones_own_sessions_are_not_settled(history: History, base: Path) -> None:
    history.write(record(), folder(base))
    assert history.settle() == 0
    assert only(base).state == "running"


def test_presence_is_known_by_a_lock_and_not_by_a_number(base: Path) -> None:
    presence = Presence(base, "h1")
    presence.begin()
    presence.begin()
    assert not is_gone(base, "h1")
    presence.end()
    presence.end()
    assert is_gone(base, "h1")
    (base / "hosts" / "h2").touch()
    assert is_gone(base, "h2"), "a file that nobody holds"
    assert not (base / "hosts" / "h2").exists()


# -- retention -------------------------------------------------------------------------------------


def test_old_calls_are_deleted_with_all_they_left(history: History, base: Path) -> None:
    for session_id in ("old", "new"):
        history.write(over(session_id), folder(base, session_id))
        (folder(base, session_id) / "call.wav").write_bytes(b"RIFF")
    history.write(record("runs"), folder(base, "runs"))
    for session_id in ("old", "runs"):
        age(history, session_id, 31)
    assert history.prune(30) == Pruned(sessions=1, folders=1)
    assert sorted(row.session_id for row in find_sessions(base)) == ["new", "runs"]
    assert sorted(p.name for p in (base / "sessions").iterdir()) == ["new", "runs"]
    assert history.prune(30) == Pruned(sessions=0, folders=0)


def test_folders_nobody_knows_go_when_they_are_old(history: History, base: Path) -> None:
    history.write(over(), folder(base))
    lost, fresh = folder(base, "lost"), folder(base, "fresh")
    long_ago = (datetime.datetime.now(UTC) - datetime.timedelta(days=31)).timestamp()
    os.utime(lost, (long_ago, long_ago))
    assert history.prune(30) == Pruned(sessions=0, folders=1)
    assert not lost.exists()
    assert fresh.exists()


def test_only_a_sessions_folder_is_ever_deleted(history: History, base: Path) -> None:
    precious = base.parent / "precious"
    precious.mkdir()
    history.write(over(), precious)
    age(history, "s-1", 31)
    assert history.prune(30) == Pruned(sessions=1, folders=0)
    assert precious.exists()


# -- what can be wrong with the file ---------------------------------------------------------------


def test_a_file_that_is_no_database_is_named(history: History, base: Path) -> None:
    base.mkdir()
    history.path.write_bytes(b"This is no database at all. " * 100)
    with pytest.raises(ConfigError, match=r"history\.db: the call history cannot be used.*move"):
        history.write(over(), folder(base))
    history.path.unlink()
    history.write(over(), folder(base))
    assert only(base).state == "ended", "it is tried again each time"


def test_a_locked_file_is_named(
    history: History, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.write(over("s-0"), folder(base))
    history.close()
    monkeypatch.setattr(store, "LOCK_S", 0.05)
    holder = sqlite3.connect(history.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match=r"locked by another program for more than 0\.05 s"):
        history.write(over(), folder(base))
    assert len(find_sessions(base)) == 1, "who reads need not wait"
    holder.execute("COMMIT")
    holder.close()
    history.write(over(), folder(base))
    assert len(find_sessions(base)) == 2


def test_a_file_of_a_newer_voxpy_is_left_alone(history: History, base: Path) -> None:
    history.write(over(), folder(base))
    history.close()
    with sqlite3.connect(history.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(ConfigError, match="was written by a newer voxpy"):
        find_sessions(base)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory"):
        History(tmp_path / "file" / "below").write(over(), tmp_path)
