"""What it costs to keep calls: their rows in SQLite and Postgres, their recordings in an S3 store.

    python benchmarks/keeping.py [--calls 1000] [--megabytes 200]

Starts Debian's Postgres (fsync on) and rclone's S3 server, both beside it. Needs voxpy[fleet,test].
"""

from __future__ import annotations

import resource
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from statistics import median

import click

from tests.history.conftest import SERVERS, running
from tests.s3server import emptied, s3_server
from voxpy.engine.clock import percentile
from voxpy.history.history import History
from voxpy.history.objects import AT_ONCE
from voxpy.history.postgres import PostgresStore
from voxpy.history.record import CallRecord
from voxpy.history.search import Filter, find_sessions
from voxpy.history.store import SqliteStore, Store

MINUTE_BYTES = 1_920_000


def record(n: int, *, over: bool) -> CallRecord:
    made = CallRecord(
        session_id=f"s-{n:06}", rule_name="answer", scenarios=["answer.py"], started_at=""
    )
    made.personal.update(callerid="+15550100", destination="+15550199")
    made.recordings.append(f"file:///calls/s-{n:06}/call.wav")
    made.calls.append({"call_id": "call-1", "at_s": 0.0, "duration_s": 30.0})
    if over:
        made.finish_reason, made.end_reason, made.duration_s = (
            "Normal termination",
            "terminated",
            30,
        )
        made.reply_ms.extend([480] * 6)
    return made


def rows(name: str, store: Store, base: Path, calls: int) -> None:
    """Print what both rows of a call cost its thread, and what a page of calls does."""
    took: list[float] = []
    with closing(History(base, store)) as history:
        history.write(record(0, over=False), base)
        cpu = time.thread_time()
        for n in range(1, calls + 1):
            began = time.perf_counter()
            history.write(record(n, over=False), base)
            history.write(record(n, over=True), base)
            took.append((time.perf_counter() - began) * 1000)
        cpu = (time.thread_time() - cpu) / calls * 1000
        began = time.perf_counter()
        found = find_sessions(store, Filter(limit=100))
        listed = (time.perf_counter() - began) * 1000
    assert len(found) == min(100, calls + 1)
    told = f"p50 {median(took):.2f} ms, p99 {percentile(took, 0.99):.2f} ms"
    print(f"{name:9} both rows of a call: {told}, CPU {cpu:.2f} ms; 100 calls read {listed:.1f} ms")


def uploads(megabytes: int) -> None:
    """Print how fast recordings go and what they need meanwhile."""
    with tempfile.TemporaryDirectory() as name, s3_server() as server, emptied(server) as s3:
        path = Path(name) / "call.wav"
        store = s3.store()
        for what, size, count in (
            ("a minute each", MINUTE_BYTES, megabytes * 10**6 // MINUTE_BYTES),
            (
                "an hour each",
                60 * MINUTE_BYTES,
                max(AT_ONCE, megabytes * 10**6 // (60 * MINUTE_BYTES)),
            ),
        ):
            path.write_bytes(bytes(size))
            store.put("warm", "call.wav", path)
            before, cpu, began = _rss(), time.process_time(), time.perf_counter()
            most = [before]
            done = threading.Event()
            watch = threading.Thread(target=_watch, args=(most, done))
            watch.start()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda n: store.put(f"s-{n}", "call.wav", path), range(count)))
            took = time.perf_counter() - began
            done.set()
            watch.join()
            sent = count * size / 1e6
            used = (time.process_time() - cpu) / sent * 1000
            print(
                f"uploads of {what}: {sent / took:.0f} MB/s ({count} files), "
                f"{used:.1f} ms CPU a MB, {most[0] - before:+.0f} MB of memory"
            )


def _watch(most: list[float], done: threading.Event) -> None:
    while not done.wait(0.01):
        most[0] = max(most[0], _rss())


def _rss() -> float:
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    return 0.0


@click.command()
@click.option("--calls", default=1000, show_default=True)
@click.option("--megabytes", default=200, show_default=True)
def main(calls: int, megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        rows("SQLite", SqliteStore(Path(name)), Path(name), calls)
    programs = sorted(SERVERS.glob("*/bin/initdb"))[-1].parent
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as data,
        running(programs, Path(data), fsync=True) as url,
    ):
        rows("Postgres", PostgresStore(Path(name), url), Path(name), calls)
    uploads(megabytes)


if __name__ == "__main__":
    main()
