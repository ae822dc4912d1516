"""The call history: what is written, found, settled after a death, and deleted."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.history.conftest import MakeStore
from voxpy.errors import ConfigError
from voxpy.history.history import INTERRUPTED, History, Presence, Pruned, is_gone
from voxpy.history.record import CallRecord
from voxpy.history.search import Filter, SessionRow, find_one, find_sessions
from voxpy.history.store import SqliteStore, Store

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


def age(history: History, session_id: str, days: float) -> None:
    """Let a session have begun so many days ago."""
    began = datetime.datetime.now(UTC) - datetime.timedelta(days=days)
    told = {"began": began.isoformat(timespec="milliseconds"), "id": session_id}
    older = "UPDATE sessions SET start_date = :began WHERE session_id = :id"
    history.store.do(lambda rows: rows.write(older, told))


def only(store: Store) -> SessionRow:
    (row,) = find_sessions(store)
    return row


# -- what is written -------------------------------------------------------------------------------


def test_a_session_runs_and_then_has_ended(history: History, store: Store, base: Path) -> None:
    history.write(record(), folder(base))
    running = only(store)
    assert (running.state, running.duration_s, running.finish_reason) == ("running", None, "")
    history.write(over(), folder(base))
    ended = only(store)
    assert (ended.state, ended.duration_s) == ("ended", 4.5)
    assert ended.start_date == running.start_date
    assert (ended.callerid, ended.destination) == ("+1555", "+1666")
    assert not ended.failed


def test_everything_voxengine_keeps_of_a_session_and_its_calls(
    history: History, store: Store, base: Path
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
    row = only(store)
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


def test_writing_twice_changes_nothing(history: History, store: Store, base: Path) -> None:
    for _ in range(2):
        history.write(over(recordings=["file:///x"], calls=[{"call_id": "c"}]), folder(base))
    row = only(store)
    assert len(row.calls) == 1
    assert [kind for kind, _ in row.files] == ["trace", "log", "recording"]


def test_the_folder_may_be_moved_with_its_history(base: Path) -> None:
    with closing(History(base)) as history:
        history.write(over(), folder(base))
    moved = base.rename(base.parent / "elsewhere")
    with closing(SqliteStore(moved)) as store:
        assert only(store).folder == moved / "sessions" / "s-1"


@pytest.mark.parametrize("writers", [4])
def test_several_processes_write_at_once(
    make_store: MakeStore, store: Store, base: Path, writers: int
) -> None:
    """Each with a connection of its own, as workers have; the tables are begun by one of them."""

    def work(worker: int) -> None:
        history = History(base, make_store(base))
        for n in range(10):
            history.write(record(f"{worker}-{n}"), folder(base, "x"))
            history.write(over(f"{worker}-{n}"), folder(base, "x"))
        history.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(work, range(writers)))
    found = find_sessions(store)
    assert len(found) == 10 * writers
    assert {row.state for row in found} == {"ended"}


texts = st.text(max_size=20).filter(lambda t: t.isprintable())


@given(custom=texts, caller=texts)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_kept_and_found(
    history: History, store: Store, base: Path, custom: str, caller: str
) -> None:
    history.prune(-1)
    history.write(over(personal={"custom_data": custom, "callerid": caller}), base / "s-1")
    (row,) = find_sessions(store, Filter(custom_data=custom, caller=caller))
    assert (row.custom_data, row.callerid) == (custom, caller)


# -- finding ---------------------------------------------------------------------------------------


@pytest.fixture
def many(history: History, store: Store, base: Path) -> Store:
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
    return store


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
def test_filters(many: Store, wanted: Filter, ids: list[str]) -> None:
    assert [row.session_id for row in find_sessions(many, wanted)] == ids


def test_one_is_found_by_the_beginning_of_its_name(
    many: Store, history: History, base: Path
) -> None:
    assert find_one(many, "b").session_id == "bb-1"
    assert find_one(many, "last").session_id == "cc-1"
    with pytest.raises(ConfigError, match="several sessions begin with 'aa': aa-2, aa-1"):
        find_one(many, "aa")
    with pytest.raises(ConfigError, match="no session begins with '%'; voxpy calls lists them"):
        find_one(many, "%")
    history.write(over("aa"), folder(base, "aa"))
    assert find_one(many, "aa").session_id == "aa", "a whole name counts before a beginning"


def test_where_nothing_was_ever_written(store: Store, base: Path) -> None:
    assert find_sessions(store) == []
    assert not base.exists()
    with pytest.raises(ConfigError, match="there is no call"):
        find_one(store, "last")


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
    store = SqliteStore(base)
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
        History.settle_now(store)
        assert only(store).state == "running", "its process lives"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    began = only(store).start_date
    History.settle_now(store)
    row = only(store)
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
    store.close()


def test_who_could_not_write_its_end_is_settled_from_its_record(
    make_store: MakeStore, store: Store, base: Path
) -> None:
    dead = History(base, make_store(base))
    dead.write(record(), folder(base))
    (folder(base) / "record.json").write_bytes(orjson.dumps(over().to_json()))
    dead.close()  # as if it had died: nobody holds its lock
    History.settle_now(store)
    row = only(store)
    assert (row.state, row.finish_reason, row.duration_s) == ("ended", "Normal termination", 4.5)


def test_ones_own_sessions_are_not_settled(history: History, store: Store, base: Path) -> None:
    history.write(record(), folder(base))
    assert history.settle() == 0
    assert only(store).state == "running"


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


def test_old_calls_are_deleted_with_all_they_left(
    history: History, store: Store, base: Path
) -> None:
    for session_id in ("old", "new"):
        history.write(over(session_id), folder(base, session_id))
        (folder(base, session_id) / "call.wav").write_bytes(b"RIFF")
    history.write(record("runs"), folder(base, "runs"))
    for session_id in ("old", "runs"):
        age(history, session_id, 31)
    assert history.prune(30) == Pruned(sessions=1, folders=1)
    assert sorted(row.session_id for row in find_sessions(store)) == ["new", "runs"]
    assert sorted(p.name for p in (base / "sessions").iterdir()) == ["new", "runs"]
    assert history.prune(30) == Pruned(sessions=0, folders=0)


def test_folders_nobody_knows_go_when_they_are_old(
    history: History, store: Store, base: Path
) -> None:
    history.write(over(), folder(base))
    lost, fresh = folder(base, "lost"), folder(base, "fresh")
    long_ago = (datetime.datetime.now(UTC) - datetime.timedelta(days=31)).timestamp()
    os.utime(lost, (long_ago, long_ago))
    assert history.prune(30) == Pruned(sessions=0, folders=1)
    assert not lost.exists()
    assert fresh.exists()


def test_only_a_sessions_folder_is_ever_deleted(history: History, store: Store, base: Path) -> None:
    precious = base.parent / "precious"
    precious.mkdir()
    history.write(over(), precious)
    age(history, "s-1", 31)
    assert history.prune(30) == Pruned(sessions=1, folders=0)
    assert precious.exists()
