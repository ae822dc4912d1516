"""A disk that takes nothing: calls go on, what is lost is told, and keeping resumes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.history.conftest import sessions_in
from tests.host.serve.conftest import Hosting


def block(folder: Path) -> None:
    """Put a file where folders must be made, and a folder where the history is."""
    (folder / "sessions").write_text("")
    (folder / "history.db").mkdir()


def clear(folder: Path) -> None:
    (folder / "sessions").unlink()
    shutil.rmtree(folder / "history.db")


async def test_a_call_needs_no_disk(
    hosting: Hosting, autojump_clock: object, tmp_path: Path
) -> None:
    block(tmp_path)
    async with hosting() as running:
        for calls in range(1, 4):
            phone = await running.phone()
            await running.until(lambda: phone.received)  # noqa: B023  it is awaited here
            phone.far_end_hangs_up()
            await running.until(lambda: len(running.logged("call ended")) == calls)  # noqa: B023
        reasons = [entry["data"]["reason"] for entry in running.logged("call ended")]
        assert reasons == ["terminated"] * 3
        told = running.logged("not all of a call is kept")[0]["data"]["lost"]
        for part in ("the folder", "the trace", "the log", "the recording", "the record"):
            assert any(line.startswith(f"{part}: ") for line in told)
        health = await running.ask("GET", "/health")
        assert health.status_code == 200
        assert health.json()["status"] == "degraded"
        assert "the recording" in health.json()["detail"]
        assert "voxpy_calls_not_kept_total 3.0" in (await running.ask("GET", "/metrics")).text

        clear(tmp_path)
        phone = await running.phone()
        await running.until(lambda: phone.received)
        phone.far_end_hangs_up()
        await running.until(lambda: len(running.logged("call ended")) == 4)
        assert (await running.ask("GET", "/health")).json()["status"] == "ok"
    rows = sessions_in(tmp_path)
    assert [row.state for row in rows] == ["ended"] * 4, "the ends that found no room too"
    assert (rows[0].folder / "record.json").is_file()


async def test_one_file_that_cannot_be_written_costs_that_file(
    hosting: Hosting, autojump_clock: object, tmp_path: Path
) -> None:
    async with hosting() as running:
        phone = await running.phone()
        await running.until(lambda: phone.received)
        (session,) = (tmp_path / "sessions").iterdir()
        (session / "record.json").mkdir()
        phone.far_end_hangs_up()
        await running.until(lambda: running.logged("call ended"))
        (told,) = running.logged("not all of a call is kept")
    assert [line.partition(":")[0] for line in told["data"]["lost"]] == ["the record"]
    assert (session / "trace.jsonl").stat().st_size > 0
    assert [row.state for row in sessions_in(tmp_path)] == ["ended"]
