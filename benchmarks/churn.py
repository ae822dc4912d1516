"""500 calls to ``voxpy serve``, ten at a time: what is left of them, and when the model is let go.

    python benchmarks/churn.py [calls]

The host is a process of its own. Half of the callers hang up, half drop the connection; measured is
the time until the model's socket is closed, and descriptors, threads and memory of the host.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import trio

from voxpy.engine.ports import Endpoint
from voxpy.sockets import connect, receive_upgrade
from voxpy.sockets.streams import open_tcp
from voxpy.testing.carrier import CarrierPhone

AT_ONCE = 10
WARM_UP = 30
TALK_S = 2.0
ROUTING = "rules:\n  - {name: all, pattern: '.*', scenarios: [bridge.py]}\n"
BRIDGE = """
from voxpy import AppEvents, CallEvents, Inworld, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    agent = await Inworld.create_realtime_api_client(api_key="x", session_key=event.callerid)
    VoxEngine.send_media_between(call, agent)
"""


class Model:
    """A realtime service that says hello and notes when each connection ends."""

    def __init__(self) -> None:
        self.opened: dict[str, trio.Event] = {}
        self.closed: dict[str, trio.Event] = {}
        self.closed_at: dict[str, float] = {}

    def expect(self, key: str) -> None:
        self.opened[key], self.closed[key] = trio.Event(), trio.Event()

    async def __call__(self, stream: trio.SocketStream) -> None:
        upgrade = await receive_upgrade(stream)
        (key,) = parse_qs(urlsplit(upgrade.path).query)["key"]
        socket = await upgrade.accept()
        socket.send('{"type":"session.created","event_id":"e","session":{"id":"s"}}')
        self.opened[key].set()
        await socket.run()
        self.closed_at[key] = trio.current_time()
        self.closed[key].set()


def state(pid: int) -> tuple[int, int, int]:
    """Descriptors, threads and KiB of resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = {k: int(re.search(rf"{k}:\s+(\d+)", status)[1]) for k in ("Threads", "VmRSS")}  # type: ignore[index]
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), found["Threads"], found["VmRSS"]


async def main(calls: int) -> None:
    model = Model()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    agent = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/realtime"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "routing.yaml").write_text(ROUTING)
        (folder / "bridge.py").write_text(BRIDGE)
        command = [sys.executable, "-m", "voxpy", "serve", "--port=0", f"--agent={agent}"]
        command.append("--max-late-ms=10000")  # others may use this machine, too
        process = await trio.lowlevel.open_process(command, cwd=folder, stdout=subprocess.PIPE)
        assert process.stdout is not None
        text = ""
        while not (found := re.search(r"listening on http://127.0.0.1:(\d+)", text)):
            text += bytes(await process.stdout.receive_some()).decode()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drain_output, process.stdout)
            nursery.start_soon(trio.serve_listeners, model, [listener])
            try:
                await _measure(model, int(found[1]), process.pid, calls)
            finally:
                process.terminate()
                with trio.move_on_after(10, shield=True):
                    await process.wait()
                nursery.cancel_scope.cancel()


async def _measure(model: Model, port: int, pid: int, calls: int) -> None:
    await _many(model, port, "w", WARM_UP)  # loads what is loaded once
    before = await _settled(pid)
    took = await _many(model, port, "c", calls)
    after = await _settled(pid)
    for how, values in (("hang-up", took[0::2]), ("TCP drop", took[1::2])):
        values.sort()
        p99 = values[max(0, math.ceil(0.99 * len(values)) - 1)]
        middle = values[len(values) // 2]
        print(
            f"model's socket closed after {how}: p50 {middle * 1000:.1f}, p99 {p99 * 1000:.1f}, "
            f"max {values[-1] * 1000:.1f} ms ({len(values)} calls)"
        )
    for what, one, two in zip(
        ("descriptors", "threads", "KiB resident"), before, after, strict=True
    ):
        print(f"{what}: {one} before, {two} after {calls} calls")
    print(f"kept per call: {(after[2] - before[2]) / calls:.1f} KiB")


async def _settled(pid: int) -> tuple[int, int, int]:
    await trio.sleep(12)  # idle threads of trio's cache leave after ten seconds
    return state(pid)


async def _many(model: Model, port: int, prefix: str, calls: int) -> list[float]:
    took: list[float] = [0.0] * calls
    numbers = iter(range(calls))

    async def caller() -> None:
        for n in numbers:
            took[n] = await _call(model, port, f"{prefix}{n}", drop=bool(n % 2))

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(caller)
    return took


async def _call(model: Model, port: int, key: str, *, drop: bool) -> float:
    model.expect(key)
    where = Endpoint(host="127.0.0.1", port=port, tls=False)
    url = f"ws://127.0.0.1:{port}/media/twilio"
    socket = await connect(lambda _: open_tcp(where), url)
    phone = CarrierPhone(socket, parameters={"from": key, "to": "1"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(phone.run)
        with trio.fail_after(20):
            await model.opened[key].wait()
            await trio.sleep(TALK_S)
            began = trio.current_time()
            if drop:
                phone.cut()
            else:
                phone.far_end_hangs_up()
            await model.closed[key].wait()
        nursery.cancel_scope.cancel()
    return model.closed_at[key] - began


async def _drain_output(output: trio.abc.ReceiveStream) -> None:
    async for _ in output:
        pass


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 500)
