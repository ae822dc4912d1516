"""What can be wrong with the file ``history.db``, and what an older voxpy has left in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import voxpy.history.store
from tests.history.test_history import folder, only, over, record
from voxpy.errors import ConfigError
from voxpy.history.history import History
from voxpy.history.search import find_sessions
from voxpy.history.store import STEPS, VERSION, SqliteStore


@pytest.fixture
def store(base: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(base)) as made:
        yield made


@pytest.fixture
def history(base: Path) -> Iterator[History]:
    with closing(History(base)) as made:
        yield made


def test_a_file_that_is_no_database_is_named(
    history: History, store: SqliteStore, base: Path
) -> None:
    base.mkdir()
    store.path.write_bytes(b"This is no database at all. " * 100)
    with pytest.raises(ConfigError, match=r"history\.db: the call history cannot be used.*move"):
        history.write(over(), folder(base))
    store.path.unlink()
    history.write(over(), folder(base))
    assert only(store).state == "ended", "it is tried again each time"


def test_a_locked_file_is_named(
    history: History, store: SqliteStore, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.write(over("s-0"), folder(base))
    history.close()
    monkeypatch.setattr(voxpy.history.store, "LOCK_S", 0.05)
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConfigError, match=r"locked by another program for more than 0\.05 s"):
        history.write(over(), folder(base))
    assert len(find_sessions(store)) == 1, "who reads need not wait"
    holder.execute("COMMIT")
    holder.close()
    history.write(over(), folder(base))
    assert len(find_sessions(store)) == 2


def test_a_file_of_a_newer_voxpy_is_left_alone(
    history: History, store: SqliteStore, base: Path
) -> None:
    history.write(over(), folder(base))
    history.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(ConfigError, match="was written by a newer voxpy"):
        find_sessions(store)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory"):
        History(tmp_path / "file" / "below").write(over(), tmp_path)


def test_an_older_file_is_brought_up_to_date_with_what_it_has(
    history: History, store: SqliteStore, base: Path
) -> None:
    base.mkdir()
    older = sqlite3.connect(store.path)
    older.executescript(STEPS[0].replace("{rowid}", "").replace("DOUBLE PRECISION", "REAL"))
    older.execute("PRAGMA user_version = 1")
    older.close()
    history.write(record(), folder(base))
    assert only(store).state == "running"
    with closing(sqlite3.connect(store.path)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (VERSION,)
        names = {name for (name,) in now.execute("SELECT name FROM sqlite_master")}
    assert "sessions_open" in names
    assert "sessions_by_state" not in names
