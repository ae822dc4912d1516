"""A fleet: hosts of ``voxpy serve`` behind the Kamailio that ``voxpy fleet`` sets up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio
from click.testing import CliRunner

from tests.channels.sip.peers.conftest import REPOSITORY, Served
from tests.channels.sip.peers.processes import (
    PATIENCE_S,
    POLL_S,
    WAIT_S,
    free_ports,
    running,
    until,
)
from tests.channels.sip.peers.sipp import SHORT, ready, sipp
from voxpy.cli import main

CARRIER = "127.0.0.2"
"""Where calls come from that are a carrier's; users are at 127.0.0.1."""
RING = '''
"""Ring the user who is dialled."""
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    other = VoxEngine.call_user(username=event.destination, callerid=event.callerid)
    VoxEngine.easy_process(event.call, other)
'''
DIAL = '''
"""Call the number of a row, and hang up when it is answered."""
import json
from voxpy import AppEvents, CallEvents, CallList, VoxEngine

@VoxEngine.on(AppEvents.Started)
def started(event):
    call = VoxEngine.call_pstn(json.loads(event.custom_data)["to"], "+15550000")

    def answered(event):
        CallList.report_result({"answered": True})
        call.hangup()

    call.add_event_listener(CallEvents.Connected, answered)
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.add_event_listener(CallEvents.Failed, lambda e: VoxEngine.terminate())
'''
ROUTING = """
rules:
  - {name: echo, pattern: echo, scenarios: [%(repository)s/scenarios/echo.py]}
  - {name: short, pattern: short, scenarios: [short.py]}
  - {name: dial, pattern: dial, scenarios: [dial.py]}
  - {name: ring, pattern: '.*', scenarios: [ring.py]}
channels:
  sip: {host: 127.0.0.1, port: %(port)d, rtp_ports: %(rtp)s}
trunks:
  carrier: {sip: '127.0.0.2:%(carrier)d', from: [127.0.0.2/32]}
users: {anna: ANNA, bert: BERT}
fleet: {proxy: '127.0.0.1:%(proxy)d'%(fleet)s}
"""
PATIENT = ("--max-late-ms", "10000", "--max-busy", "9")
"""Others may keep this machine busy."""
PASSWORDS = {"ANNA": "a", "BERT": "b"}


@attrs.define
class Load:
    """Calls that are made until it is ``over``: how many went well from end to end."""

    good: int = 0
    bad: int = 0
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define
class Standing:
    """``hosts`` are those that were started, by their SIP port; ``proxy`` is where calls go."""

    folder: Path
    port: int
    ports: Sequence[int]
    redis: str = ""
    hosts: dict[int, Served] = attrs.field(factory=dict)
    failures: list[str] = attrs.field(factory=list)
    """What went wrong in calls."""

    @property
    def proxy(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def carrier(self) -> int:
        """The port of the carrier at CARRIER, for calls out."""
        return self.ports[-1] + 1

    def uri(self, user: str) -> str:
        return f"sip:{user}@{self.proxy}"

    def logged(self, event: str, **data: object) -> list[dict[str, object]]:
        return [entry for host in self.hosts.values() for entry in host.logged(event, **data)]

    def spread(self) -> list[int]:
        """How many calls each host has had."""
        return [len(self.hosts[port].logged("call began")) for port in self.ports]

    async def start(self, port: int) -> Served:
        """Start a host, or start it again."""
        folder = self.folder / str(port)
        folder.mkdir(exist_ok=True)
        for name, text in (("short", SHORT), ("ring", RING), ("dial", DIAL)):
            (folder / f"{name}.py").write_text(text)
        n = self.ports.index(port)
        values = {"port": port, "rtp": f"{20000 + n * 4000}-{23999 + n * 4000}"}
        values |= {"repository": REPOSITORY, "proxy": self.port, "carrier": self.carrier}
        values["fleet"] = ", redis: REDIS_URL" if self.redis else ""
        secrets = {**PASSWORDS, "REDIS_URL": self.redis}
        (folder / "routing.yaml").write_text(ROUTING % values)
        command = [sys.executable, "-m", "voxpy", "serve", "--port", "0", "--json-logs", *PATIENT]
        command += ["--fleet-name", f"host-{n}"]
        with (folder / "printed.txt").open("ab") as printed:
            process = subprocess.Popen(  # noqa: ASYNC220  it is not waited for
                command, cwd=folder, env={**os.environ, **secrets}, stdout=printed, stderr=printed
            )
        host = self.hosts[port] = Served(folder, process)
        before = host.printed.count("sip:NUMBER@")

        def started() -> bool:
            assert process.poll() is None, host.printed
            return host.printed.count("sip:NUMBER@") > before

        await until(started, lambda: f"not started: {host.printed}", within_s=PATIENCE_S)
        return host

    async def calls(
        self, number: int, *, a_second: float, hold_ms: int, user: str = "echo"
    ) -> tuple[int, int]:
        """Make calls as a carrier; return how many went well from end to end, and how many not."""
        many = {"-m": number, "-r": a_second, "-l": number, "-i": CARRIER, "-mi": CARRIER}
        options = [str(word) for pair in many.items() for word in pair]
        # The answer to the first BYE may be lost with its host, and a call may be long in coming.
        transcript = f">INVITE <200 >ACK .{hold_ms} >BYE <200"
        printed = await sipp(transcript, *options, to=f"{user}@{self.proxy}", strict=False)
        good, bad = (
            int(re.findall(rf"{what} call +\|[^|]*\| +(\d+)", printed)[-1])
            for what in ("Successful", "Failed")
        )
        self.failures += re.findall(r"Aborting call on .*", printed)
        return good, bad

    async def keep_calling(
        self,
        *,
        task_status: trio.TaskStatus[Load],
        number: int = 6,
        a_second: float = 6,
        hold_ms: int = 3000,
    ) -> None:
        """Call again and again, until the load is ``over``."""
        load = Load()
        task_status.started(load)
        while not load.over.is_set():
            good, bad = await self.calls(number, a_second=a_second, hold_ms=hold_ms)
            load.good += good
            load.bad += bad

    async def stop(self, port: int, how: signal.Signals) -> None:
        """End a host's process, and wait until it is over."""
        process = self.hosts[port].process
        process.send_signal(how)
        await trio.to_thread.run_sync(process.wait)

    async def knows(self, port: int, answers: bool) -> None:
        """Wait until Kamailio has seen that a host takes calls, or takes none."""
        told = f"sip:127.0.0.1:{port}"

        async def is_so() -> bool:
            found = b""
            for control in self.folder.glob("tmp.*/kamailio_ctl"):  # once it is up
                asked = ["kamcmd", "-s", f"unix:{control}", "dispatcher.list"]
                done = await trio.run_process(
                    asked, capture_stdout=True, capture_stderr=True, check=False
                )
                found = done.stdout
            entry = found.decode().partition(told)[2].partition("FLAGS: ")[2]
            return entry.startswith("A" if answers else ("I", "T", "D"))

        with trio.fail_after(WAIT_S):
            while not await is_so():  # noqa: ASYNC110  Kamailio sets no Event
                await trio.sleep(POLL_S)


@asynccontextmanager
async def standing(
    folder: Path, hosts: int, *options: str, redis: str = ""
) -> AsyncIterator[Standing]:
    """Run a fleet, with what is shared in ``redis``; ``options``: of ``voxpy fleet kamailio``."""
    first = free_ports(hosts + 2)
    made = Standing(folder, first, range(first + 1, first + 1 + hosts), redis)
    try:
        async with trio.open_nursery() as nursery:
            for port in made.ports:
                nursery.start_soon(made.start, port)
        named = [word for port in made.ports for word in ("--host", f"127.0.0.1:{port}")]
        routing = folder / str(made.ports[0]) / "routing.yaml"
        written = CliRunner().invoke(
            main, ["fleet", "kamailio", str(routing), "--out", str(folder), *named, *options]
        )
        assert written.exit_code == 0, written.output
        command = [str(REPOSITORY / "deploy" / "kamailio-follow"), str(folder)]
        place = {**os.environ, "TMPDIR": str(folder)}
        async with running(command, folder / "kamailio.txt", env=place):
            await ready(made.port, "udp", "tcp")
            for port in made.ports:  # until then it says 503
                await made.knows(port, answers=True)
            yield made
    finally:
        for host in made.hosts.values():
            host.process.send_signal(signal.SIGTERM)
            host.process.send_signal(signal.SIGINT)
        for host in made.hosts.values():
            try:
                host.process.wait(PATIENCE_S)
            finally:
                host.process.kill()
                host.process.wait()
