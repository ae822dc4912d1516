"""``voxpy serve`` as a process: signals, workers, what it refuses to start on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from tests.host.serve.conftest import ECHO, PARAMETERS, POLL_S, ROUTING, until
from voxpy.engine.ports import Endpoint
from voxpy.errors import HandshakeRefused
from voxpy.sockets import connect
from voxpy.sockets.streams import open_tcp
from voxpy.testing import SocketPeer
from voxpy.testing.carrier import CarrierPhone

pytestmark = pytest.mark.slow

PATIENT = ("--max-late-ms", "10000", "--max-busy", "100")  # others may keep this machine busy
PATIENCE_S = 60
READY = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


@attrs.define
class Served:
    """A running ``voxpy serve`` and what it has printed."""

    process: trio.Process
    nursery: trio.Nursery
    folder: Path
    text: str = ""
    until: Callable[..., object] = until

    @property
    def port(self) -> int:
        found = READY.search(self.text)
        assert found is not None, self.text
        return int(found[1])

    async def said(self, words: str, *, times: int = 1, within_s: float = PATIENCE_S) -> None:
        try:
            await until(lambda: self.text.count(words) >= times, within_s=within_s)
        except trio.TooSlowError:
            raise AssertionError(f"{words!r} never came:\n{self.text}") from None

    async def phone(self, *, call_id: str = "", **parameters: str) -> CarrierPhone:
        where = Endpoint(host="127.0.0.1", port=self.port, tls=False)
        url = f"ws://127.0.0.1:{self.port}/media/twilio"
        found = await connect(lambda _: open_tcp(where), url)
        phone = CarrierPhone(found, parameters={**PARAMETERS, **parameters}, call_id=call_id)
        self.nursery.start_soon(phone.run)
        return phone

    async def get(self, path: str) -> httpx.Response:
        at = f"http://127.0.0.1:{self.port}"
        async with httpx.AsyncClient(base_url=at, verify=False, timeout=PATIENCE_S) as client:
            return await client.get(path)

    async def post(self, path: str, **more: Any) -> httpx.Response:
        at = f"http://127.0.0.1:{self.port}"
        async with httpx.AsyncClient(base_url=at, timeout=PATIENCE_S) as client:
            return await client.post(path, **more)

    async def calls(self, number: int) -> None:
        """Wait until the worker that answers has learned that so many calls run in all."""
        told = f"\nvoxpy_calls_running {number:.1f}\n"
        with trio.fail_after(PATIENCE_S):
            while told not in (await self.get("/metrics")).text:  # noqa: ASYNC110
                await trio.sleep(POLL_S)
            while (await self.get("/health")).json()["calls"] != number:  # noqa: ASYNC110
                await trio.sleep(POLL_S)

    async def exit_code(self, within_s: float = PATIENCE_S) -> int:
        with trio.fail_after(within_s):
            return await self.process.wait()

    def sessions(self) -> list[Path]:
        return sorted((self.folder / ".voxpy" / "sessions").iterdir())


@asynccontextmanager
async def serving(
    folder: Path, *options: str, routing: str = ROUTING, scenario: str = ECHO
) -> AsyncIterator[Served]:
    (folder / "routing.yaml").write_text(routing)
    (folder / "echo.py").write_text(scenario)
    command = [sys.executable, "-m", "voxpy", "serve", "--port", "0", *PATIENT, *options]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        served = Served(process, nursery, folder)

        async def read() -> None:
            assert process.stdout is not None
            async with process.stdout as output:
                async for part in output:
                    served.text += bytes(part).decode()

        nursery.start_soon(read)
        try:
            yield served
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)  # a parent of workers passes it on
                process.send_signal(signal.SIGINT)  # the same one twice may arrive as one
                with trio.move_on_after(PATIENCE_S, shield=True):
                    await process.wait()
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
            nursery.cancel_scope.cancel()


async def test_sigterm_lets_twenty_calls_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.said("listening on")
        await served.said("1 rule (echo); agent: ")
        phones = [await served.phone() for _ in range(20)]
        await until(lambda: all(p.received for p in phones))
        served.process.send_signal(signal.SIGTERM)
        await served.said("draining")
        with pytest.raises(HandshakeRefused, match="503"):
            await served.phone()
        assert (await served.get("/health")).status_code == 503
        before = [len(p.received) for p in phones]
        await until(
            lambda: all(len(p.received) > n + 5 for p, n in zip(phones, before, strict=True))
        )
        assert [p.info for p in phones] == [None] * 20
        for phone in phones:
            phone.far_end_hangs_up()
        assert await served.exit_code() == 0
    records = [json.loads((s / "record.json").read_text()) for s in served.sessions()]
    assert {r["finish_reason"] for r in records} == {"Normal termination"}


async def test_a_second_signal_ends_now(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.said("listening on")
        phone = await served.phone()
        await until(lambda: phone.received)
        served.process.send_signal(signal.SIGINT)
        await served.said("draining")
        served.process.send_signal(signal.SIGINT)
        assert await served.exit_code() == 1
        await until(lambda: phone.info)
        assert phone.info is not None
        assert phone.info.clean
    (session,) = served.sessions()
    record = json.loads((session / "record.json").read_text())
    assert record["finish_reason"] == "Terminated administratively"


async def test_the_drain_limit(tmp_path: Path) -> None:
    async with serving(tmp_path, "--drain-s", "0.3", "--json-logs") as served:
        await served.said("listening on")
        phone = await served.phone()
        await until(lambda: phone.received)
        served.process.send_signal(signal.SIGTERM)
        assert await served.exit_code() == 0
        events = [json.loads(line)["event"] for line in served.text.splitlines()]
        await until(lambda: phone.info)
    assert events[-4:] == ["draining", "drained too long; ending what still runs", "call ended",
                           "stopped"]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"routing": ROUTING.replace("echo.py", "eco.py")}, "routing.yaml:5: error"),
        ({"scenario": "def ("}, "echo.py:1: error"),
        ({"routing": "channels: {twilo: {}}\n" + ROUTING}, "did you mean 'twilio'"),
    ],
)
async def test_it_does_not_start_on_what_check_would_name(
    tmp_path: Path, broken: dict[str, str], told: str
) -> None:
    async with serving(tmp_path, **broken) as served:
        assert await served.exit_code() == 2
        await served.said(told)
        assert "listening" not in served.text


async def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(tmp_path, "--port", str(port)) as served:
            assert await served.exit_code() == 1
            await served.said(f"port {port} on 127.0.0.1 is taken")
            assert "Traceback" not in served.text


STUCK = ECHO.replace(
    "    event.call.answer()",
    "    while event.destination.endswith('9'):\n        time.sleep(9)\n    event.call.answer()",
).replace("from voxpy import", "import time\n\nfrom voxpy import", 1)


NEVER = ECHO.replace(
    "    event.call.answer()",
    "    event.call.answer()\n    VoxEngine.add_event_listener(AppEvents.Terminating, hold)",
).replace(
    "from voxpy import",
    """import threading
import trio

async def hold(event):
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(threading.Event().wait)

from voxpy import""",
)


async def test_the_process_ends_although_a_call_does_not(tmp_path: Path) -> None:
    async with serving(tmp_path, "--drain-s", "0", scenario=NEVER) as served:
        await served.said("listening on")
        phone = await served.phone()
        await until(lambda: phone.received)
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGINT)
        assert await served.exit_code() == 1
        await served.said("calls that do not end are left behind")


async def test_a_third_signal_kills_a_loop_that_is_stuck(tmp_path: Path) -> None:
    async with serving(tmp_path, scenario=STUCK) as served:
        await served.said("listening on")
        await served.phone(to="+15550009")
        await served.said("call began")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            served.process.send_signal(number)
        assert await served.exit_code() < 0


# -- workers ---------------------------------------------------------------------------------------


async def test_workers_share_the_port_and_their_metrics_are_summed(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2", "--max-calls", "3") as served:
        await served.said("listening on")
        phones = [await served.phone() for _ in range(3)]
        await until(lambda: all(p.received for p in phones))
        await served.calls(3)
        served.process.send_signal(signal.SIGTERM)
        await served.said("draining", times=2)
        assert [p.info for p in phones] == [None] * 3
        for phone in phones:
            phone.far_end_hangs_up()
        assert await served.exit_code() == 0
    assert len(served.sessions()) == 3


async def test_a_full_worker_leaves_calls_to_one_that_has_room(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2", "--max-calls", "2") as served:
        await served.said("listening on")
        phones = []
        for _ in range(4):
            phones.append(await served.phone())
            await until(lambda: all(p.received for p in phones))
            await served.calls(len(phones))  # so that each knows of the others' calls
        assert "call refused" not in served.text
        with pytest.raises(HandshakeRefused, match="503"):
            await served.phone()
        for phone in phones:
            phone.far_end_hangs_up()
        # A terminal that was closed drains too.
        served.process.send_signal(signal.SIGHUP)
        assert await served.exit_code() == 0


def _in_history(folder: Path) -> int:
    with closing(sqlite3.connect(folder / ".voxpy" / "history.db")) as history:
        try:
            (count,) = history.execute("SELECT count(*) FROM sessions").fetchone()
        except sqlite3.OperationalError:  # it has no tables yet, or is being written
            return 0
        return int(count)


async def test_a_worker_that_dies_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2") as served:
        await served.said("listening on")
        phones = [await served.phone() for _ in range(6)]
        await until(lambda: all(p.received for p in phones))
        pids = [int(pid) for pid in re.findall(r"worker is ready.* pid=(\d+)", served.text)]
        # A call is in the history a moment after it began, and that may be what a kill takes.
        await until(lambda: _in_history(tmp_path) == len(phones))
        os.kill(pids[0], signal.SIGKILL)
        await served.said("worker died")
        await served.said("worker is ready", times=3)
        cut = [p for p in phones if p.info]
        for phone in phones:
            if phone not in cut:
                before = len(phone.received)
                await until(partial(_has_more, phone, before))
        again = await served.phone()
        await until(lambda: again.received)
        served.process.send_signal(signal.SIGTERM)
        served.process.send_signal(signal.SIGINT)
        await served.exit_code()
    listing = [sys.executable, "-m", "voxpy", "calls", "--json"]
    shown = await trio.run_process(listing, cwd=tmp_path, capture_stdout=True)
    assert shown.stdout.count(b"Interrupted") >= len(cut)


async def test_a_worker_that_is_stuck_is_replaced_and_its_calls_recorded(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2", scenario=STUCK) as served:
        await served.said("listening on")
        good = await served.phone()
        await until(lambda: good.received)
        await until(lambda: _in_history(tmp_path) == 1)
        await served.phone(to="+15550009")
        await served.said("worker is stuck")
        await served.said("worker is ready", times=3)
        assert re.search(r'echo\.py", line \d+ in alerting', served.text), "where it is stuck"
        again = await served.phone()
        await until(lambda: again.received)
        assert (await served.get("/metrics")).text.count('reason="interrupted"') == 1
    told = await trio.run_process(
        [sys.executable, "-m", "voxpy", "calls", "--json"], cwd=tmp_path, capture_stdout=True
    )
    assert b"its worker was stuck: not heard of for 5 s" in told.stdout


async def test_one_call_has_one_stream_whichever_worker_takes_it(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "3") as served:
        await served.said("listening on")
        first = await served.phone(call_id="CA1")
        await until(lambda: first.received)
        others = [await served.phone(call_id="CA1") for _ in range(12)]
        await until(lambda: all(each.info for each in others))
        assert {each.info.code for each in others if each.info} == {1008}
        await served.calls(1)
        assert first.info is None


async def test_workers_whose_parent_is_killed_drain_by_themselves(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2") as served:
        await served.said("listening on")
        phone = await served.phone()
        await until(lambda: phone.received)
        pids = [int(pid) for pid in re.findall(r"worker is ready.* pid=(\d+)", served.text)]
        served.process.kill()
        await served.said("draining", times=2)
        assert phone.info is None
        phone.far_end_hangs_up()
        await until(lambda: not any(map(_runs, pids)))


def _runs(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and command.read_bytes() != b""  # a zombie's is empty


def _has_more(phone: CarrierPhone, frames: int) -> bool:
    return len(phone.received) > frames


ASKED = """
from voxpy import AppEvents, VoxEngine, WebSocketEvents
VoxEngine.allow_websocket_connections()

@VoxEngine.on(AppEvents.HttpRequest)
def asked(event):
    return event.content.upper()

@VoxEngine.on(AppEvents.WebSocket)
def came(event):
    event.websocket.add_event_listener(
        WebSocketEvents.MESSAGE, lambda e: event.websocket.send(e.text.upper()))
"""


async def test_whoever_asks_for_a_session_reaches_its_worker(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2", scenario=ASKED) as served:
        await served.said("listening on")
        place = "/platform_api/StartScenarios?rule_name=echo"
        begun: list[dict[str, str]] = []
        with trio.fail_after(PATIENCE_S):
            while len({each["call_session_history_id"][16:18] for each in begun}) < 2:
                begun.append((await served.post(place)).json())
        for each in begun * 4:  # the kernel gives each of these to any of the two
            path = httpx.URL(each["media_session_access_url"]).path
            told = await served.post(path, content="hello")
            assert (told.status_code, told.text) == (200, "HELLO")
        for each in (begun[0], begun[-1]):
            for _ in range(4):
                path = httpx.URL(each["media_session_access_url"]).path
                where = Endpoint(host="127.0.0.1", port=served.port, tls=False)
                open_stream = partial(_opened, where)
                peer = SocketPeer(await connect(open_stream, f"ws://127.0.0.1{path}"))
                served.nursery.start_soon(peer.run)
                peer.send("hi")
                assert await peer.receive(within_s=PATIENCE_S) == "HI"
                peer.close()
                await peer.wait_closed()
        for each in begun:
            session = each["call_session_history_id"]
            gone = await served.post(f"/api/sessions/{session}/hangup")
            assert gone.status_code == 200, gone.text
        assert (await served.post("/api/drain")).status_code == 202
        assert await served.exit_code() == 0


async def _opened(where: Endpoint, _: Endpoint) -> trio.abc.Stream:
    return await open_tcp(where)
