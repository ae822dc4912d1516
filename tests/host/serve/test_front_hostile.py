"""What strangers try at the front door: refused, logged; the call that runs hears nothing of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio

from tests.host.serve.conftest import Hosting, Running
from tests.host.serve.test_api import OPERATOR, SETUP, SOCKETS, start
from voxpy.errors import HandshakeRefused
from voxpy.sockets import FrameSocket
from voxpy.testing import SocketPeer
from voxpy.testing.carrier import CarrierPhone

ECHO_RULE = "  - {name: echo, pattern: '\\+1555.*', scenarios: [call.py]}\n"
BOTH: dict[str, Any] = {
    **SETUP,
    "routing": SETUP["routing"].replace("  - name: other", ECHO_RULE + "  - name: other"),
    "scenario": SOCKETS,
}
CALL = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    event.call.send_media_to(event.call)
"""


async def a_call(running: Running, **parameters: str) -> CarrierPhone:
    phone = await running.phone(**parameters)
    await running.until(lambda: len(phone.received) > 5)
    return phone


async def unharmed(phone: CarrierPhone, running: Running) -> None:
    """The call still gets its frames, fifty a second."""
    before = len(phone.received)
    await trio.sleep(2)
    assert len(phone.received) - before >= 95
    assert running.calls >= 1


async def socket_to(running: Running) -> tuple[FrameSocket, str]:
    begun = await start(running)
    place = httpx.URL(begun["media_session_access_url"]).path
    return await running.connect(place), begun["call_session_history_id"]


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (b"\xff" * 64, 1002),  # reserved bits, a frame that is none
        (b"\x81\x05hello", 1002),  # a client that does not mask
        (b"\x81\xff" + (2**62).to_bytes(8, "big") + bytes(4), 1009),  # four exabytes are to come
        (b"\x81\x82" + bytes(4) + b"\xc3\x28", 1007),  # no UTF-8
    ],
    ids=["garbage", "unmasked", "oversized", "no-text"],
)
async def test_malformed_and_oversized_frames(
    hosting: Hosting, autojump_clock: object, what: bytes, code: int
) -> None:
    async with hosting(**BOTH, folder_files={"call.py": CALL}) as running:
        phone = await a_call(running)
        socket, session = await socket_to(running)
        peer = SocketPeer(socket)
        running.nursery.start_soon(peer.run)
        socket._pipe.write(what)
        closed = await peer.wait_closed()
        await unharmed(phone, running)
        shown = await running.ask("GET", f"/api/sessions/{session}/trace", headers=OPERATOR)
    assert closed.code == code
    assert '"name":"WebSocket.Close"' in shown.text


async def test_a_thousand_idle_sockets(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting(**BOTH, folder_files={"call.py": CALL}) as running:
        phone = await a_call(running)
        idle = [await running.raw() for _ in range(1000)]
        await unharmed(phone, running)
        assert (await running.ask("GET", "/api/sessions", headers=OPERATOR)).status_code == 200
        await trio.sleep(20)
        begun = await start(running)
        await unharmed(phone, running)
        for stream in idle:
            await stream.aclose()
    assert begun["result"] == 1
    told = running.logged("connection refused")
    assert told, "it is logged"
    assert len(told) < 100, "and no disk is filled with it"


async def test_a_thousand_guesses_at_an_access_url(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(**BOTH, folder_files={"call.py": CALL}) as running:
        phone = await a_call(running)
        session = (await start(running))["call_session_history_id"]
        refused = 0
        for n in range(200):
            with pytest.raises(HandshakeRefused):
                await running.connect(f"/request/{session}/guess-{n}")
            answer = await running.ask("POST", f"/request/{session}/guess-{n}")
            refused += answer.status_code == 404
        await unharmed(phone, running)
    assert refused == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/sessions/..%2f..%2f..%2fetc%2fpasswd",
        "/api/sessions/%2e%2e/log",
        "/api/sessions/x/recordings/..%2f..%2fhistory.db",
        "/api/sessions/{id}/recordings/..%2ftrace.jsonl",
        "/api/sessions/{id}/recordings/trace.jsonl",
        "/api/sessions/{id}/..%2f..%2fhistory.db",
        "/api/sessions/{id}%00/log",
        "/api/lists/..%2f1",
        "/api/lists/99999999999999999999",
    ],
)
async def test_tricks_with_paths(hosting: Hosting, autojump_clock: object, path: str) -> None:
    async with hosting(**BOTH, folder_files={"call.py": CALL}) as running:
        session = (await start(running))["call_session_history_id"]
        await trio.sleep(1)
        answer = await running.ask("GET", path.replace("{id}", session), headers=OPERATOR)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert "SQLite" not in answer.text


async def test_a_script_in_a_callers_name_is_data(hosting: Hosting, autojump_clock: object) -> None:
    name = "<script>alert(1)</script>"
    async with hosting(**BOTH, folder_files={"call.py": CALL}) as running:
        await a_call(running, **{"from": name})
        await trio.sleep(1)
        answer = await running.ask("GET", "/api/sessions", headers=OPERATOR)
    assert answer.json()["result"][0]["callerid"] == name
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
