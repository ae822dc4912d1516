"""A file that several processes begin at once, and one that another thread ends."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from voxpy.engine.storage import Storage, alone, write_ahead


def test_only_one_at_a_time_begins_a_file(tmp_path: Path) -> None:
    path = tmp_path / "storage.db"
    order: list[str] = []
    here = threading.Event()

    def begin() -> None:
        connection = sqlite3.connect(path)
        here.set()
        write_ahead(connection, path)
        order.append("begun")
        connection.close()

    other = threading.Thread(target=begin)
    with alone(path):
        other.start()
        here.wait()
        other.join(0.05)  # as long as it would take
        order.append("let go")
    other.join()
    assert order == ["let go", "begun"]


def test_a_file_that_has_its_log_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "storage.db"
    first, second = sqlite3.connect(path), sqlite3.connect(path)
    write_ahead(first, path)
    with alone(path):
        write_ahead(second, path)
    assert second.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    first.close()
    second.close()


async def test_a_storage_may_end_in_another_thread() -> None:
    """Where the collector happens to run; pytest fails a test for what ``__del__`` raises."""
    held = [Storage()]
    await held[0].put("key", "value", 60)
    last = threading.Thread(target=held.clear)
    last.start()
    last.join()
