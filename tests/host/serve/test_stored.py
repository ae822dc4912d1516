"""Recordings go to a real S3-compatible store: from the end of a call to who listens to it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from tests.history.conftest import sessions_in
from tests.host.serve.conftest import ENVIRON, ROUTING, Hosting, Running, hosted, until
from tests.host.serve.test_processes import serving
from tests.s3server import ACCESS_KEY, SECRET_KEY, Server
from voxpy.cli import main
from voxpy.history.outbox import FOLDER
from voxpy.history.postgres import PostgresStore
from voxpy.history.search import find_sessions
from voxpy.history.uploads import Uploads

KEYS = {**ENVIRON, "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "API_TOKEN": "open"}
BEARER = {"authorization": "Bearer open"}
Clock = trio.testing.MockClock


def routing_of(s3: Server, *more: str) -> str:
    told = "access_key: S3_ACCESS_KEY, secret_key: S3_SECRET_KEY"
    where = f"{{endpoint: '{s3.endpoint}', bucket: {s3.bucket}, {told}}}"
    return "\n".join((ROUTING, "recordings:", f"  s3: {where}", *more, ""))


@pytest.fixture
def storing(hosting: Hosting, s3: Server) -> Hosting:
    return partial(hosting, routing=routing_of(s3), environ=KEYS)


async def call(running: Running) -> str:
    """Make a call that lasts a while; return its session."""
    before = len(running.logged("call ended"))
    phone = await running.phone()
    await running.until(lambda: len(phone.received) > 10)
    phone.far_end_hangs_up()
    await running.until(lambda: len(running.logged("call ended")) > before)
    return str(running.logged("call ended")[-1]["data"]["session"])


def uploads(running: Running) -> Uploads:
    assert running.host.uploads is not None
    return running.host.uploads


def marks(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / FOLDER).glob("*/*"))


async def test_a_recording_is_stored_then_deleted_here_and_comes_back_for_who_listens(
    storing: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    async with storing() as running:
        session_id = await call(running)
        key = f"sessions/{session_id}/call.wav"
        await running.until(lambda: not uploads(running).waiting)
        recording = tmp_path / "sessions" / session_id / "call.wav"
        sound = recording.read_bytes()
        assert s3.stored() == {key: len(sound)}
        (row,) = sessions_in(tmp_path)
        assert ("recording", f"{s3.endpoint}/{s3.bucket}/{key}") in row.files
        assert marks(tmp_path) == [session_id]

        await trio.sleep(3700)
        await running.until(lambda: not recording.exists())
        assert (recording.parent / "trace.jsonl").exists(), "traces stay"
        assert marks(tmp_path) == []

        path = f"/api/sessions/{session_id}/recordings/call.wav"
        part = await running.ask("GET", path, headers={**BEARER, "range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, sound[4:8])
        whole = await running.ask("GET", path, headers=BEARER)
        assert (whole.status_code, whole.content) == (200, sound)
        page = await running.ask("GET", f"/calls/{session_id}/peaks", headers=BEARER)
        assert page.status_code == 200
        assert marks(tmp_path) == [session_id + "~"]
        await trio.sleep(3700)
        await running.until(lambda: not recording.exists())
        assert marks(tmp_path) == []
        figures = (await running.ask("GET", "/metrics")).text
        assert 'voxpy_uploads_total{result="stored"} 1.0' in figures
        assert "voxpy_uploads_waiting 0.0" in figures
        shutil.rmtree(recording.parent)
        recording.parent.write_text("a disk that takes nothing")
        full = await running.ask("GET", path, headers=BEARER)
        assert (full.status_code, full.json()["error"]["msg"][:20]) == (507, "no room for call.wav")


async def test_a_store_that_is_away_costs_no_call_and_gets_all_when_it_is_back(
    storing: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    async with storing() as running:
        s3.line.down()
        sessions = {await call(running) for _ in range(3)}
        await trio.sleep(300)
        (told,) = running.logged("recordings are not stored")
        assert f"bucket {s3.bucket}" in told["data"]["error"]
        health = (await running.ask("GET", "/health")).json()
        assert health["status"] == "degraded"
        assert health["detail"].startswith("recordings are not stored: ")
        figures = (await running.ask("GET", "/metrics")).text
        assert "voxpy_uploads_waiting 3.0" in figures
        failed = next(li for li in figures.splitlines() if 'voxpy_uploads_total{result="f' in li)
        assert 15 < float(failed.split()[-1]) < 60, "each again and again, not without end"
        s3.line.up()
        await trio.sleep(65)
        assert set(s3.stored()) == {f"sessions/{s}/call.wav" for s in sessions}
        assert len(running.logged("recordings are stored again")) == 1
        assert (await running.ask("GET", "/health")).json()["status"] == "ok"


async def test_wrong_keys_lose_nothing(
    hosting: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    wrong = {**KEYS, "S3_SECRET_KEY": "guessed-wrong"}
    async with hosting(routing=routing_of(s3), environ=wrong) as running:
        session_id = await call(running)
        await running.until(lambda: uploads(running).failing)
        (told,) = running.logged("recordings are not stored")
        assert "SignatureDoesNotMatch" in told["data"]["error"]
        assert "guessed-wrong" not in running.output.getvalue()
        assert (tmp_path / "sessions" / session_id / "call.wav").exists()


async def test_a_drain_waits_for_the_store_within_its_limit_and_the_next_start_goes_on(
    storing: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    async with storing(drain_s=30) as running:
        await call(running)
        await running.until(lambda: not uploads(running).waiting)
        s3.line.down()
        session_id = await call(running)
        began = trio.current_time()
        running.host.drain()
        await running.stopped.wait()
        assert 29 < trio.current_time() - began < 35
        assert running.logged("storing recordings")[0]["data"] == {"sessions": 1}
        (left,) = running.logged("what is not stored is taken up by the next start")
        assert left["data"] == {"sessions": 1}
    for path in (tmp_path / FOLDER).glob("*/*"):
        os.utime(path, (time.time() - 100, time.time() - 100))
    s3.line.up()
    async with storing() as running:
        await running.until(lambda: len(s3.stored()) == 2)
        assert f"sessions/{session_id}/call.wav" in s3.stored()
        await running.until(lambda: not uploads(running).waiting)
        running.host.drain()
        await running.stopped.wait()
        assert not running.logged("what is not stored is taken up by the next start")


async def test_a_drain_ends_as_soon_as_all_is_stored(
    storing: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    async with storing(drain_s=600) as running:
        s3.line.down()
        await call(running)
        began = trio.current_time()
        running.host.drain()
        await trio.sleep(20)
        assert not running.stopped.is_set()
        s3.line.up()
        await running.stopped.wait()
        assert trio.current_time() - began < 120
        assert len(s3.stored()) == 1


RECORDS = """
from voxpy import AppEvents, CallEvents, Logger, PlayerEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call
    def started(event):
        Logger.write("will be at " + event.url)
    def stopped(event):
        player = VoxEngine.create_url_player(event.url)
        player.add_event_listener(PlayerEvents.PlaybackFinished, finished)
        player.send_media_to(call)
    def finished(event):
        Logger.write("played" if not event.error else "not played: " + event.error)
        call.hangup()
    call.add_event_listener(CallEvents.RecordStarted, started)
    call.add_event_listener(CallEvents.RecordStopped, stopped)
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    call.record(record_name_prefix="voicemail")
    VoxEngine.create_recorder(name="both")
    from voxpy import set_timeout
    set_timeout(lambda: call.record(), 500)
"""


async def test_a_scenario_hears_where_its_recording_will_be_and_can_play_it_at_once(
    hosting: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    async with hosting(routing=routing_of(s3), environ=KEYS, scenario=RECORDS) as running:
        phone = await running.phone()
        await running.until(lambda: phone.info)
        await running.until(lambda: running.logged("call ended"))
        session_id = running.logged("call ended")[0]["data"]["session"]
        await running.until(lambda: not uploads(running).waiting)
        log = (tmp_path / "sessions" / session_id / "session.log").read_text()
        where = f"{s3.endpoint}/{s3.bucket}/sessions/{session_id}"
        assert f"will be at {where}/voicemail-record.wav" in log
        assert "played" in log
        assert "not played" not in log
    names = {"voicemail-record.wav", "record.wav", "both.wav", "call.wav"}
    assert {key.rpartition("/")[2] for key in s3.stored()} == names


async def test_any_host_shows_the_call_of_another(
    s3: Server, emptied: str, autojump_clock: Clock, tmp_path: Path
) -> None:
    """History in Postgres, traces and recordings in the store; the host of the call is gone."""
    routing = routing_of(s3, "  traces: true", "  keep_local_s: 0", "history: {postgres: URL}")
    environ: Mapping[str, str] = {**KEYS, "URL": emptied}
    make: Callable[..., Any] = partial(hosted, routing=routing, environ=environ)
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    async with make(one) as running:
        session_id = await call(running)
        await running.until(lambda: not uploads(running).waiting)
        here = one / "sessions" / session_id
        await running.until(lambda: not (here / "call.wav").exists())
        trace = (here / "trace.jsonl").read_bytes()
    async with make(two) as running:
        listed = (await running.ask("GET", "/api/sessions", headers=BEARER)).json()
        assert [row["session_id"] for row in listed["result"]] == [session_id]
        base = f"/api/sessions/{session_id}"
        told = await running.ask("GET", f"{base}/trace", headers=BEARER)
        assert (told.status_code, told.content) == (200, trace)
        sound = await running.ask("GET", f"{base}/recordings/call.wav", headers=BEARER)
        assert sound.content[:4] == b"RIFF"
        file = await running.ask("GET", f"/calls/{session_id}/file.html", headers=BEARER)
        assert 'id="voxpy-audio"' in file.text
        await trio.sleep(1)
        await running.until(lambda: not (two / "sessions" / session_id).exists())
        s3.line.down()
        gone = await running.ask("GET", f"{base}/recordings/call.wav", headers=BEARER)
        assert gone.status_code == 502


async def test_a_history_that_is_away_is_seen_in_health_and_metrics_and_calls_are_shown(
    hosting: Hosting, emptied: str, autojump_clock: Clock, tmp_path: Path
) -> None:
    nowhere = emptied.replace("?host=", "?host=%2Fnowhere")
    routing = ROUTING + "history: {postgres: URL}\n"
    async with hosting(routing=routing, environ={**KEYS, "URL": nowhere}) as running:
        phone = await running.phone()
        await running.until(lambda: len(phone.received) > 10)
        health = (await running.ask("GET", "/health")).json()
        assert health["status"] == "degraded"
        assert health["detail"].startswith("the call history cannot be reached: ")
        assert "no-secret-at-all" not in health["detail"]
        figures = (await running.ask("GET", "/metrics")).text
        assert "voxpy_history_away 1.0" in figures
        assert "voxpy_history_spooled_total 1.0" in figures
        (session_id,) = running.host.router.running
        shown = await running.ask("GET", f"/api/sessions/{session_id}", headers=BEARER)
        assert shown.json()["result"]["state"] == "running"
        listed = await running.ask("GET", "/api/sessions", headers=BEARER)
        assert listed.status_code == 503


async def test_old_calls_are_deleted_in_the_store_too(
    hosting: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    async with hosting(routing=routing_of(s3), environ=KEYS) as running:
        session_id = await call(running)
        await running.until(lambda: not uploads(running).waiting)
        history = running.host._history
        s3.line.down()
        assert history.prune(-1).sessions == 0, "while it is away nothing is forgotten"
        s3.line.up()
        assert history.prune(-1).sessions == 1
        assert s3.stored() == {}
        assert not (tmp_path / "sessions" / session_id).exists()


async def test_a_disk_without_room_for_marks_still_gives_its_recordings(
    storing: Hosting, s3: Server, autojump_clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / FOLDER).write_text("a file where a folder must be made")
    async with storing() as running:
        session_id = await call(running)
        await running.until(lambda: not uploads(running).waiting)
        assert set(s3.stored()) == {f"sessions/{session_id}/call.wav"}
        assert running.logged("what is stored cannot be noted")


@pytest.mark.slow
async def test_a_killed_process_loses_neither_its_calls_nor_their_recordings(
    s3: Server, emptied: str, tmp_path: Path
) -> None:
    """In threads, with workers' real sockets: Postgres, the store and a kill in the middle."""
    secrets = {**KEYS, "URL": emptied}
    (tmp_path / "secrets.env").write_text("".join(f"{k}={v}\n" for k, v in secrets.items()))
    routing = routing_of(s3, "  keep_local_s: 0", "history: {postgres: URL}")
    with closing(PostgresStore(tmp_path / ".voxpy", emptied)) as history:

        def states() -> list[tuple[str, str]]:
            return sorted((row.state, row.rule_name) for row in find_sessions(history))

        async with serving(tmp_path, routing=routing) as served:
            await served.said("listening on")
            over, cut = await served.phone(), await served.phone()
            await until(lambda: len(over.received) > 50 and len(cut.received) > 50)
            over.far_end_hangs_up()
            await until(lambda: len(s3.stored()) == 1 and ("ended", "echo") in states())
            served.process.kill()
            await served.process.wait()
        assert states() == [("ended", "echo"), ("running", "echo")]
        for path in (tmp_path / ".voxpy" / FOLDER).glob("*/*"):
            os.utime(path, (time.time() - 100, time.time() - 100))
        async with serving(tmp_path, routing=routing) as served:
            await served.said("listening on")
            await until(lambda: len(s3.stored()) == 2)
            await until(lambda: states() == [("ended", "echo"), ("interrupted", "echo")])
            await until(lambda: not list((tmp_path / ".voxpy" / FOLDER).glob("*/*")))
            served.process.send_signal(signal.SIGTERM)
            assert await served.exit_code() == 0
        assert not list((tmp_path / ".voxpy" / "sessions").glob("*/call.wav"))
        for row in find_sessions(history):
            (url,) = [url for kind, url in row.files if kind == "recording"]
            assert url == f"{s3.endpoint}/{s3.bucket}/sessions/{row.session_id}/call.wav"
            assert s3.stored()[f"sessions/{row.session_id}/call.wav"] > 16_000


async def test_who_looks_at_a_call_on_the_command_line_gets_what_is_no_longer_here(
    s3: Server, autojump_clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    routing = routing_of(s3, "  keep_local_s: 0", "  traces: true")
    (tmp_path / "secrets.env").write_text("".join(f"{k}={v}\n" for k, v in KEYS.items()))
    (tmp_path / ".voxpy").mkdir()
    async with hosted(tmp_path / ".voxpy", routing=routing, environ=KEYS) as running:
        session_id = await call(running)
        await running.until(lambda: not uploads(running).waiting)
    (tmp_path / "routing.yaml").write_text(routing)
    left = tmp_path / ".voxpy" / "sessions" / session_id
    assert not (left / "call.wav").exists()
    shutil.rmtree(left)

    def show(*more: str) -> Result:
        return CliRunner().invoke(main, ["show", session_id, *more])

    assert "call-1" in show().output
    assert "+15550001111 calls +15550002222" in show().output
    assert (left / "call.wav").read_bytes()[:4] == b"RIFF"
    page = show("--html", "call.html")
    assert page.exit_code == 0
    assert 'id="voxpy-audio"' in (tmp_path / "call.html").read_text()
    shutil.rmtree(left)
    s3.line.down()
    gone = show()
    assert gone.exit_code == 0
    assert "note: not brought back from the store: " in gone.output
    prune = ["calls", "--prune", "--keep-days", "0"]
    told = CliRunner().invoke(main, prune).output
    assert "deleted 0 calls" in told
    assert f"others stay until their recordings can be deleted: {s3.endpoint}" in told
    s3.line.up()
    assert "deleted 1 call " in CliRunner().invoke(main, prune).output
    assert s3.stored() == {}
