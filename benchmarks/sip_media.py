"""What a call's RTP costs: ``voxpy serve`` with scenarios/echo.py beside a bare echo on trio.

    python benchmarks/sip_media.py [--calls 10,50] [--seconds 10] [--codecs pcmu,g722] [--srtp]

Both programs are processes of their own, on the same core (CPU 0) one after the other; the phones
are in this process, on another. A phone sends a packet every 20 ms and counts what comes back. The
floor has a task for each call, which waits for a packet and sends it where it came from: no
session, jitter buffer, trace or report. CPU is what the system counts for the process, in seconds
for each minute of each call.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from voxpy.channels.sip.codecs import named_codecs
from voxpy.channels.sip.negotiation import Speech
from voxpy.testing.sipphone import sip_phone

REPOSITORY = Path(__file__).parents[1]
ROUTING = f"""
rules: [{{name: echo, pattern: '.*', scenarios: [{REPOSITORY}/scenarios/echo.py]}}]
channels: {{sip: {{host: 127.0.0.1, port: 0, rtp_ports: 40000-49998, codecs: [opus, g722, pcmu]}}}}
"""
SETTLE_S = 2.0
TICK = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Result:
    calls: int
    cpu_s: float
    seconds: float
    sent: int
    back: int

    @property
    def per_call_minute_s(self) -> float:
        return self.cpu_s / (self.calls * self.seconds / 60)

    def __str__(self) -> str:
        lost = 100 * max(0, self.sent - self.back) / self.sent if self.sent else 0
        core = 100 * self.cpu_s / self.seconds
        return f"{self.per_call_minute_s:6.3f} s  {core:5.1f} % of a core  {lost:4.1f} % not back"


def cpu_s(pid: int) -> float:
    """Return what a process and its children have used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICK


async def echo_floor(ports: int) -> None:
    """Echo on so many ports until ended; print them."""
    async with trio.open_nursery() as nursery:
        found = []
        for _ in range(ports):
            sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            await sock.bind(("127.0.0.1", 0))
            found.append(sock.getsockname()[1])
            nursery.start_soon(_echo, sock)
        print(*found, flush=True)


async def _echo(sock: trio.socket.SocketType) -> None:
    while True:
        data, address = await sock.recvfrom(2048)
        await sock.sendto(data, address)


async def measure_floor(calls: int, seconds: float) -> Result:
    command = ["taskset", "-c", "0", sys.executable, __file__, "--floor", str(calls)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    try:
        assert process.stdout is not None
        line = await trio.to_thread.run_sync(process.stdout.readline)
        phones = [Plain(int(port)) for port in line.split()]
        async with trio.open_nursery() as nursery:
            for phone in phones:
                nursery.start_soon(phone.run)
            found = await _measured(process.pid, calls, seconds, lambda: _sums(phones))
            nursery.cancel_scope.cancel()
            return found
    finally:
        process.kill()
        process.wait()


class Plain:
    """A phone without a protocol: 172 bytes every 20 ms."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self.sent = self.back = 0

    async def run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            due = trio.current_time()
            while True:
                while True:
                    try:
                        sock.recv(2048)
                    except BlockingIOError:
                        break
                    self.back += 1
                sock.sendto(bytes(172), self._to)
                self.sent += 1
                due += 0.02
                await trio.sleep_until(due)


def _sums(phones: list[Plain]) -> tuple[int, int]:
    return sum(p.sent for p in phones), sum(p.back for p in phones)


async def _measured(
    pid: int, calls: int, seconds: float, counted: Callable[[], tuple[int, int]]
) -> Result:
    await trio.sleep(SETTLE_S)
    cpu, (sent, back), began = cpu_s(pid), counted(), trio.current_time()
    await trio.sleep(seconds)
    took = trio.current_time() - began
    now_sent, now_back = counted()
    return Result(calls, cpu_s(pid) - cpu, took, now_sent - sent, now_back - back)


async def measure_voxpy(calls: int, seconds: float, codec: str, srtp: str) -> Result:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "routing.yaml").write_text(ROUTING)
        printed = Path(name) / "printed.txt"
        command = ["taskset", "-c", "0", sys.executable, "-m", "voxpy", "serve", "--port", "0"]
        with printed.open("wb") as file:
            process = subprocess.Popen(  # noqa: ASYNC220
                [*command, "--max-late-ms", "10000"],
                cwd=name,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
        try:
            while not (at := re.search(r"sip:NUMBER@(127\S+)", printed.read_text())):
                assert process.poll() is None, printed.read_text()
                await trio.sleep(0.05)
            async with sip_phone(server=at[1]) as phone:
                phone.speech = Speech(codecs=named_codecs([codec]), srtp=srtp)
                up = [await phone.connect(f"sip:echo@{at[1]}") for _ in range(calls)]

                def counted() -> tuple[int, int]:
                    counts = [call.leg.rtp.counts for call in up]
                    return (
                        sum(c.sent_packets for c in counts),
                        sum(c.received_packets for c in counts),
                    )

                found = await _measured(process.pid, calls, seconds, counted)
                for call in up:
                    call.hang_up()
                await trio.sleep(SETTLE_S)
                return found
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", default="10,50")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--codecs", default="pcmu")
    parser.add_argument("--srtp", action="store_true")
    parser.add_argument("--floor", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.floor:
        trio.run(echo_floor, given.floor)
        return
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
    print("CPU for a minute of a call:")
    for calls in map(int, given.calls.split(",")):
        floor = trio.run(measure_floor, calls, given.seconds)
        print(f"{calls:4} calls  bare echo    {floor}")
        for codec in given.codecs.split(","):
            for srtp in ("off", "require") if given.srtp else ("off",):
                found = trio.run(measure_voxpy, calls, given.seconds, codec, srtp)
                ratio = found.per_call_minute_s / floor.per_call_minute_s
                name = codec + (" SRTP" if srtp == "require" else "")
                print(f"{calls:4} calls  {name:11}  {found}  {ratio:.2f} x", flush=True)


if __name__ == "__main__":
    main()
