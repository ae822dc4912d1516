"""``voxpy serve`` as a process: signals, workers, what it refuses to start on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import httpx
import pytest
import trio

from tests.host.serve.conftest import ECHO, PARAMETERS, ROUTING, until
from voxpy.engine.ports import Endpoint
from voxpy.engine.streams import open_tcp
from voxpy.errors import HandshakeRefused
from voxpy.sockets import connect
from voxpy.testing.carrier import CarrierPhone

pytestmark = pytest.mark.slow

PATIENT = ("--max-late-ms", "10000")  # others may keep this machine busy
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

    async def said(self, words: str, *, times: int = 1, within_s: float = 20) -> None:
        try:
            await until(lambda: self.text.count(words) >= times, within_s=within_s)
        except trio.TooSlowError:
            raise AssertionError(f"{words!r} never came:\n{self.text}") from None

    async def phone(self) -> CarrierPhone:
        where = Endpoint(host="127.0.0.1", port=self.port, tls=False)
        url = f"ws://127.0.0.1:{self.port}/media/twilio"
        found = await connect(lambda _: open_tcp(where), url)
        phone = CarrierPhone(found, parameters=PARAMETERS)
        self.nursery.start_soon(phone.run)
        return phone

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            return await client.get(path)

    async def figure(self, name: str) -> float:
        found = re.search(rf"^{name} (\S+)$", (await self.get("/metrics")).text, re.MULTILINE)
        return float(found[1]) if found is not None else 0.0

    async def exit_code(self, within_s: float = 20) -> int:
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
                process.terminate()  # a parent of workers passes it on
                process.terminate()
                with trio.move_on_after(3, shield=True):
                    await process.wait()
                process.kill()
            nursery.cancel_scope.cancel()


async def test_sigterm_lets_twenty_calls_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.said("listening on")
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
        assert await served.exit_code(within_s=15) == 1
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
        assert await served.exit_code(within_s=15) == 0
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
        await served.said(told, within_s=1)
        assert "listening" not in served.text


async def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(tmp_path, "--port", str(port)) as served:
            assert await served.exit_code() == 1
            await served.said(f"port {port} on 127.0.0.1 is taken", within_s=1)
            assert "Traceback" not in served.text


# -- workers ---------------------------------------------------------------------------------------


async def test_workers_share_the_port_and_their_metrics_are_summed(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2", "--max-calls", "3") as served:
        await served.said("listening on")
        phones = [await served.phone() for _ in range(3)]
        await until(lambda: all(p.received for p in phones))

        async def calls() -> float:
            return await served.figure("voxpy_calls_running")

        with trio.fail_after(10):
            while await calls() != 3:
                pass
        assert (await served.get("/health")).json()["calls"] == 3
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
            while await served.figure("voxpy_calls_running") < len(phones):
                pass  # so that each knows of the others' calls
        assert "call refused" not in served.text
        with pytest.raises(HandshakeRefused, match="503"):
            await served.phone()
        for phone in phones:
            phone.far_end_hangs_up()
        served.process.send_signal(signal.SIGTERM)
        assert await served.exit_code() == 0


async def test_a_worker_that_dies_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    async with serving(tmp_path, "--workers", "2") as served:
        await served.said("listening on")
        phones = [await served.phone() for _ in range(6)]
        await until(lambda: all(p.received for p in phones))
        pids = [int(pid) for pid in re.findall(r"worker is ready.* pid=(\d+)", served.text)]
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
        await until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and
                                    Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids),
                    within_s=10)  # fmt: skip


def _has_more(phone: CarrierPhone, frames: int) -> bool:
    return len(phone.received) > frames
