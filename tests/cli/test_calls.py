"""``voxpy calls`` and ``voxpy show``, on a history of real calls."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from voxpy.cli import main
from voxpy.cli.calls import parse_since
from voxpy.history.history import History
from voxpy.history.record import CallRecord
from voxpy.history.store import FILE_NAME
from voxpy.history.tracefile import read_trace, record_of

TRACE = [
    ("session", "started", {"rule": "support", "channel": "twilio"}, {}),
    ("event", "Application.CallAlerting", {}, {"callerid": "+1555", "destination": "+1666"}),
    ("step", "call began", {"incoming": True, "client_type": "pstn"}, {"callerid": "+1555"}),
    ("event", "Call.Connected", {}, {}),
    ("log", "Logger.write", {}, {"text": "a line of the log"}),
    (
        "event",
        "Inworld.RealtimeAPI.ResponseOutputAudioTranscriptDone",
        {},
        {"payload": {"transcript": "Hello, how can I help?"}},
    ),
    ("step", "agent audible", {"reply_ms": 460}, {}),
    (
        "event",
        "Inworld.RealtimeAPI.ConversationItemInputAudioTranscriptionCompleted",
        {},
        {"payload": {"transcript": "Where is my order?"}},
    ),
    ("step", "tool called", {"tool": "order_status"}, {"arguments": '{"id": 7}'}),
    ("step", "agent fell silent", {"after_ms": 120}, {}),
]


def voxpy(*arguments: str, columns: int = 160) -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns)})
    result = runner.invoke(main, list(arguments), prog_name="voxpy")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    monkeypatch.chdir(tmp_path)
    history = History(tmp_path / ".voxpy")
    yield history
    history.close()


def keep(history: History, session_id: str, finish: str = "Normal termination") -> CallRecord:
    """Write a session with a trace; it runs if ``finish`` is empty."""
    folder = history.base / "sessions" / session_id
    folder.mkdir(parents=True)
    lines = [
        orjson.dumps({"t": n, "kind": kind, "name": name, "unit": "call-1", "data": data,
                      "personal": personal})
        for n, (kind, name, data, personal) in enumerate(TRACE)
    ]  # fmt: skip
    (folder / "trace.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    record = record_of(read_trace(folder / "trace.jsonl"), session_id=session_id)
    if finish:
        record.finish_reason, record.end_reason, record.end_detail = finish, "terminated", "done"
    history.write(record, folder)
    return record


def test_nothing_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert voxpy("calls").output == "no calls yet\n"
    assert voxpy("calls", "--json").output == "[]\n"
    shown = voxpy("show", "last")
    assert shown.exit_code == 2
    assert "there is no call history yet" in shown.output
    assert not (tmp_path / ".voxpy").exists(), "looking makes nothing"


def test_the_table(history: History) -> None:
    keep(history, "20261121-1")
    keep(history, "20261121-2", finish="")
    lines = voxpy("calls").output.splitlines()
    heads = "ID STARTED LASTED CALLER DESTINATION RULE REPLIES ENDED"
    assert lines[0].split() == heads.split()
    assert [line.split()[0] for line in lines[1:]] == ["20261121-2", "20261121-1"]
    assert lines[1].split()[-1] == "running"
    assert "9.0 s" in lines[2]
    assert "460 ms" in lines[2]
    assert lines[2].rstrip().endswith("Normal termination: done")


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ([], 2),
        (["--rule", "support"], 2),
        (["--rule", "sales"], 0),
        (["--caller", "555"], 2),
        (["--to", "1666"], 2),
        (["--to", "999"], 0),
        (["--reason", "session error"], 1),
        (["--since", "1h"], 2),
        (["--since", "2999-01-01"], 0),
        (["--limit", "1"], 1),
        (["--limit", "1", "--all"], 2),
        (["--errors"], 0),
        (["--custom-data", "x"], 0),
    ],
)
def test_filters(history: History, options: list[str], count: int) -> None:
    keep(history, "a")
    keep(history, "b", finish="Session error")
    assert len(orjson.loads(voxpy("calls", "--json", *options).output)) == count
    if not count:
        assert voxpy("calls", *options).output == "no such calls\n"


def test_when_since_is() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    now = datetime.datetime(2026, 11, 21, 8, 30, tzinfo=zone)
    assert parse_since("90m", now=now) == datetime.datetime(2026, 11, 21, 7, 0, tzinfo=zone)
    assert parse_since("2w", now=now) == datetime.datetime(2026, 11, 7, 8, 30, tzinfo=zone)
    assert parse_since("today", now=now) == datetime.datetime(2026, 11, 21, tzinfo=zone)
    assert parse_since("2026-11-20T10:00", now=now).tzinfo == zone
    assert parse_since("2026-11-20T10:00Z", now=now).utcoffset() == datetime.timedelta(0)
    wrong = voxpy("calls", "--since", "yesterday")
    assert wrong.exit_code == 2
    assert "'yesterday' is no moment: write 2026-11-21" in wrong.output


def test_a_call_as_a_timeline(history: History) -> None:
    keep(history, "20261121-1")
    shown = voxpy("show", "2026").output
    assert shown.startswith("+1555 calls +1666\n")
    for words in (
        "20261121-1 · twilio · rule support",
        "lasted 9.0 s",
        "Normal termination: done",
        "from +1555 (pstn)",
        "after 460 ms",
        "5.00 s  agent     says: Hello, how can I help?",
        "7.00 s  agent     understands: Where is my order?",
        '8.00 s  tool      calls order_status({"id": 7})',
        "9.00 s  agent     silent 120 ms after the caller broke in",
        "trace        .voxpy/sessions/20261121-1/trace.jsonl\n",
        "session.log (it is gone)",
    ):
        assert words in shown
    assert "a line of the log" not in shown
    assert "(1 more with --verbose)" in shown
    assert "a line of the log" in voxpy("show", "last", "-v").output


def test_a_call_for_a_script(history: History) -> None:
    keep(history, "s-1")
    shown = orjson.loads(voxpy("show", "s-1", "--json").output)
    assert shown["calls"][0]["remote_number"] == "+1555"
    assert shown["timeline"][0] == {"at_s": 1.0, "who": "caller", "text": "+1555 calls +1666"}
    assert shown["files"][0]["kind"] == "trace"


def test_a_call_that_still_runs(history: History) -> None:
    keep(history, "s-1", finish="")
    with (history.base / "sessions" / "s-1" / "trace.jsonl").open("ab") as trace:
        trace.write(b'{"t": 11, "kind": "ev')
    shown = voxpy("show", "last").output
    assert "not yet: it is running" in shown
    assert "lasted 9.0 s" in shown


def test_a_call_whose_process_died(history: History) -> None:
    keep(history, "s-1", finish="")
    history.close()  # its lock is gone with it
    assert "Interrupted: the process died" in voxpy("calls").output
    assert "Interrupted: the process died" in voxpy("show", "s-1").output


def test_deleting_what_is_old(history: History, tmp_path: Path) -> None:
    keep(history, "old")
    keep(history, "new")
    with sqlite3.connect(history.base / FILE_NAME) as connection:
        connection.execute("UPDATE sessions SET start_date = '2020' WHERE session_id = 'old'")
    connection.close()
    asked = voxpy("calls", "--prune")
    assert asked.exit_code == 2
    assert "--prune needs --keep-days, or `history: {keep_days: 30}`" in asked.output
    rules = "rules:\n- {name: all, pattern: '.*', scenarios: [a.py]}\nhistory: {keep_days: 30}\n"
    (tmp_path / "routing.yaml").write_text(rules)
    assert voxpy("calls", "--prune").output == (
        "deleted 1 call older than 30 days, 1 of them with recording, trace and log\n"
    )
    assert [p.name for p in (history.base / "sessions").iterdir()] == ["new"]
    assert "old" not in voxpy("calls").output


def test_a_history_that_is_none(history: History) -> None:
    history.base.mkdir()
    (history.base / FILE_NAME).write_bytes(b"This is no database at all. " * 100)
    told = voxpy("calls")
    assert told.exit_code == 2
    assert "history.db: the call history cannot be used" in told.output


# -- narrow terminals and what others wrote --------------------------------------------------------

LONG = "20261121-083001-e7d8dd57"


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120, 200])
def test_the_id_is_never_cut_and_no_line_is_too_long(history: History, columns: int) -> None:
    record = keep(history, LONG)
    record.end_detail = "a reason that goes on and on " * 10
    history.write(record, history.base / "sessions" / LONG)
    heads, line = voxpy("calls", columns=columns).output.splitlines()
    assert line.startswith(LONG)
    assert max(len(heads), len(line)) <= columns
    assert "ENDED" in heads
    assert line.endswith("…")
    assert ("CALLER" in heads) == (columns >= 60)
    assert ("REPLIES" in heads) == (columns >= 120)


def test_at_80_columns_there_is_who_called_when_and_how_it_ended(history: History) -> None:
    keep(history, LONG)
    heads, line = voxpy("calls", columns=80).output.splitlines()
    assert heads.split() == ["ID", "STARTED", "LASTED", "CALLER", "ENDED"]
    assert "+1555" in line
    assert "Normal termina" in line


def test_full_shortens_nothing(history: History) -> None:
    keep(history, "s-1")
    long = "x" * 300
    trace = history.base / "sessions" / "s-1" / "trace.jsonl"
    with trace.open("ab") as file:
        file.write(orjson.dumps({"t": 11, "kind": "log", "name": "Logger.write",
                                 "personal": {"text": long}}) + b"\n")  # fmt: skip
    assert long not in voxpy("show", "last", "--verbose").output
    shown = voxpy("show", "last", "--full").output
    assert long in shown.replace("\n", "").replace(" ", "")


@pytest.mark.parametrize("command", [["calls"], ["show", "last", "--full"], ["show", "last"]])
def test_what_others_wrote_moves_no_cursor(history: History, command: list[str]) -> None:
    evil = "\x1b]0;title\x07\x9b31m\u202eabc\r+1"
    record = keep(history, "s-1")
    record.personal["callerid"] = evil
    record.end_detail = evil
    history.write(record, history.base / "sessions" / "s-1")
    trace = history.base / "sessions" / "s-1" / "trace.jsonl"
    with trace.open("ab") as file:
        file.write(orjson.dumps({"t": 11, "kind": "step", "name": "caller heard",
                                 "personal": {"text": evil}}) + b"\n")  # fmt: skip
    for arguments in (command, [*command, "--json"]):
        output = voxpy(*arguments).output
        assert not {c for c in output if not c.isprintable()} - {"\n"}
