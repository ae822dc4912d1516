"""Two hosts behind the Kamailio of docs/kamailio.cfg: one drains, and no call is lost."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.channels.sip.peers.conftest import REPOSITORY, served
from tests.channels.sip.peers.processes import free_ports, needs, running, until
from tests.channels.sip.peers.sipp import ready, sipp
from tests.channels.sip.peers.test_sipp import SHORT

pytestmark = [
    pytest.mark.slow,
    needs("kamailio", "kamailio"),
    needs("sipp", "sip-tester"),
]

ROUTING = """
rules:
  - {name: echo, pattern: echo, scenarios: [%(repository)s/scenarios/echo.py]}
  - {name: short, pattern: short, scenarios: [short.py]}
channels:
  sip: {host: 127.0.0.1, port: 0, rtp_ports: 20000-29999}
trunks:
  kamailio: {sip: 127.0.0.1, from: [127.0.0.1/32]}
"""
CALLS, A_SECOND = 12, 6


async def test_a_host_that_drains_loses_no_call(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "short.py").write_text(SHORT)
    routing = ROUTING % {"repository": REPOSITORY}
    port = free_ports()
    with hosting(folders[0], routing) as one, hosting(folders[1], routing) as two:
        (tmp_path / "hosts.list").write_text(f"1 sip:{one.at}\n1 sip:{two.at}\n")
        command = [
            *("kamailio", "-DD", "-E", "-f", str(REPOSITORY / "docs" / "kamailio.cfg")),
            *("-A", f"LISTEN=udp:127.0.0.1:{port}", "-A", f'HOSTS="{tmp_path}/hosts.list"'),
            *("-Y", str(tmp_path), "-P", str(tmp_path / "pid")),
        ]
        async with running(command, tmp_path / "kamailio.txt"):
            await ready(port)
            proxy = f"127.0.0.1:{port}"
            load = ("-m", str(CALLS), "-r", str(A_SECOND), "-l", str(CALLS))
            async with trio.open_nursery() as nursery:
                for user, transcript in (
                    ("echo", ">INVITE <200 >ACK .1500 >BYE <200"),
                    ("short", ">INVITE <200 >ACK <BYE >200"),  # the host's own requests go back too
                ):
                    nursery.start_soon(
                        lambda u, t: sipp(t, *load, to=f"{u}@{proxy}"), user, transcript
                    )
                await until(lambda: one.logged("call began"), lambda: one.printed)
                one.process.send_signal(signal.SIGTERM)
                await until(lambda: one.logged("draining"), lambda: one.printed)
                begun = len(one.logged("call began"))
            assert one.process.wait(30) == 0
    ended = [[e["reason"] for e in host.logged("call ended")] for host in (one, two)]
    assert len(ended[0]) == begun  # none came to it while it drained, and those it had went on
    assert ended[0] + ended[1] == ["terminated"] * CALLS * 2


hosting = contextmanager(served)
