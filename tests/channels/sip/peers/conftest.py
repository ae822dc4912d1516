"""A real ``voxpy serve`` that all tests of a module call."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trustme

from tests.channels.sip.peers.processes import PATIENCE_S, POLL_S, until

REPOSITORY = Path(__file__).parents[4]
USERS = ("anna", "bert", "carl", "dora", "emil")
ROUTING = """
rules:
  - {name: echo, pattern: echo, scenarios: [%(repository)s/scenarios/echo.py]}
  - {name: agent, pattern: agent, scenarios: [%(repository)s/scenarios/answer.py]}
  - {name: line, pattern: line, scenarios: [line.py]}
  - {name: send, pattern: '(send|leave)-.*', scenarios: [send.py]}
  - {name: forward, pattern: '.*', scenarios: [forward.py]}
channels:
  sip:
    {host: 127.0.0.1, port: 0, tls_port: 0, certificate: sip.pem, rtp_ports: 20000-29999}
users: {%(users)s}
"""
LINE = '''
"""Send back what is heard and the keys that are pressed; # hangs up."""
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    call = event.call

    def pressed(event):
        Logger.write(f"key {event.tone}")
        call.hangup() if event.tone == "#" else call.send_digits(event.tone)

    call.handle_tones(True)
    call.add_event_listener(CallEvents.ToneReceived, pressed)
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    call.send_media_to(call)
'''
FORWARD = '''
"""Ring whoever is dialled: a user, or sip-NAME-PORT for a phone at that port of this machine."""
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    if event.destination.startswith("sip-"):
        _, name, port = event.destination.split("-")
        other = VoxEngine.call_sip(f"sip:{name}@127.0.0.1:{port}", event.callerid)
    else:
        other = VoxEngine.call_user(username=event.destination, callerid=event.callerid)
    VoxEngine.easy_process(event.call, other)
'''
SEND = '''
"""Answer, and send the caller on to the user named behind send- ; or behind leave- , once we have
spoken to that user."""
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    caller = event.call
    how, _, user = event.destination.partition("-")
    caller.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    caller.answer()
    await caller.wait_event(CallEvents.Connected)
    if how == "send":
        caller.transfer_to(user)
    else:
        other = VoxEngine.call_user(username=user, callerid=event.callerid)
        await other.wait_event(CallEvents.Connected)
        caller.transfer_to("", call=other)
'''


@attrs.define
class Served:
    """A running ``voxpy serve``; ``at`` is where its SIP is, host:port."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def printed(self) -> str:
        return (self.folder / "printed.txt").read_text()

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self._found('sip:NUMBER@127.0.0.1:([0-9]+)')}"

    @property
    def tls_at(self) -> str:
        return f"127.0.0.1:{self._found('TLS ([0-9]+)')}"

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.printed)
        assert found is not None, self.printed
        return found[1]

    def logged(self, event: str, **data: Any) -> list[dict[str, Any]]:
        """Return what the host has logged of an event, with these data."""
        found = []
        for line in self.printed.splitlines():
            entry = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
            known = {**entry.get("data", {}), **entry.get("personal", {})}
            if entry.get("event") == event and known.items() >= data.items():
                found.append({**known, "session": entry.get("session", known.get("session"))})
        return found

    async def began(self, **data: Any) -> Session:
        """Wait for a call, and return its session."""
        await until(lambda: self.logged("call began", **data), lambda: self.printed)
        found = self.logged("call began", **data)[-1]
        return Session(self, found["session"])


@attrs.frozen
class Session:
    """What is known of one session from outside."""

    host: Served
    name: str

    @property
    def folder(self) -> Path:
        return self.host.folder / ".voxpy" / "sessions" / self.name

    @property
    def log(self) -> str:
        """What the scenario has written."""
        found = self.folder / "session.log"
        return found.read_text() if found.exists() else ""

    async def writes(self, words: str, times: int = 1) -> None:
        await until(
            lambda: self.log.count(words) >= times,
            lambda: f"never {words!r} in\n{self.log}\n{self.host.printed}",
        )

    async def ended(self) -> dict[str, Any]:
        """Wait for its end, and return its record."""
        await until(
            lambda: self.host.logged("call ended", session=self.name), lambda: self.host.printed
        )
        record: dict[str, Any] = json.loads((self.folder / "record.json").read_text())
        return record


def served(folder: Path, routing: str, *options: str, **environ: str) -> Iterator[Served]:
    """Run ``voxpy serve`` in a folder, with ``routing``."""
    (folder / "routing.yaml").write_text(routing)
    command = [sys.executable, "-m", "voxpy", "serve", "--port", "0", "--json-logs"]
    patient = ["--max-late-ms", "10000"]  # others may keep this machine busy
    with (folder / "printed.txt").open("wb") as printed:
        process = subprocess.Popen(
            [*command, *patient, *options],
            cwd=folder,
            env={**os.environ, **environ},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
    found = Served(folder, process)
    try:
        for _ in range(round(PATIENCE_S / POLL_S)):
            if "sip:NUMBER@" in found.printed:
                break
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
        assert process.poll() is None, found.printed
        # Said when the ports are bound; what comes by UDP until it serves them is dropped.
        port = re.search(r"listening on http://127.0.0.1:(\d+)", found.printed)
        assert port is not None, found.printed
        httpx.get(f"http://127.0.0.1:{port[1]}/health", trust_env=False, timeout=PATIENCE_S)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)  # the same one twice may arrive as one
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A host with users anna, bert ... whose passwords are ``secret-anna`` ... ."""
    folder = tmp_path_factory.mktemp("host")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "sip.pem"))
    for name, text in (("line", LINE), ("forward", FORWARD), ("send", SEND)):
        (folder / f"{name}.py").write_text(text)
    users = ", ".join(f"{name}: {name.upper()}" for name in USERS)
    routing = ROUTING % {"repository": REPOSITORY, "users": users}
    passwords = {name.upper(): f"secret-{name}" for name in USERS}
    yield from served(folder, routing, "--agent", "local", **passwords)
