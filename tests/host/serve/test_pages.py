"""The pages of a host, and calls from the phone in one of them, without a browser."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
import trio

from tests.host.serve.conftest import ENVIRON, Hosting, Running
from voxpy.audio.convert import encode
from voxpy.audio.frame import PCMU, pcm16
from voxpy.audio.tones import dtmf
from voxpy.channels.browser.protocol import BROWSER
from voxpy.errors import HandshakeRefused
from voxpy.sockets import FrameSocket, connect
from voxpy.testing.carrier import CarrierPhone

HERE = {"host": "localhost"}
TOKENS = {**ENVIRON, "API_TOKEN": "open-sesame-1"}
START = {"event": "start", "from": "anna", "to": "+15552222", "rate_hz": 24000}
RINGS = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.ring()
    event.call.answer()
    event.call.send_message(f"{event.call.client_type()} {event.display_name}")
    event.call.handle_tones(True)
    digit = await event.call.wait_event(CallEvents.ToneReceived)
    event.call.hangup()
"""


async def dial(running: Running, path: str, **headers: str) -> FrameSocket:
    return await connect(
        running.sockets.open_stream, f"ws://localhost{path}", headers=headers.items()
    )


class Page:
    """A page's socket: the messages in order, audio as its length."""

    def __init__(self, socket: FrameSocket) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.audio = b""
        socket.on_message = self._take

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.audio += message
        else:
            self.texts.append(message)
            if message.startswith("{") and "\n" not in message:
                self.events.append(orjson.loads(message))

    def say(self, **event: Any) -> None:
        self.socket.send(orjson.dumps(event).decode())


async def page(running: Running, path: str = "/phone/media", **headers: str) -> Page:
    found = Page(await dial(running, path, **headers))
    running.nursery.start_soon(found.socket.run)
    return found


# -- what is served --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/calls", "/calls/whatever"])
async def test_pages_load_from_their_host_alone(
    hosting: Hosting, path: str, autojump_clock: object
) -> None:
    async with hosting() as running:
        answer = await running.ask("GET", path, headers=HERE)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script>|<style|\son\w+=|javascript:", answer.text)
        wanted = re.findall(r'(?:src|href)="(/assets/[^"]+)"', answer.text)
        assert len(wanted) >= 4
        for asset in wanted:
            found = await running.ask("GET", asset, headers=HERE)
            assert (found.status_code, found.headers["x-content-type-options"]) == (200, "nosniff")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/..%2fpages%2f__init__.py",
        "/assets/__init__.py",
        "/assets/%2e%2e",
        "/calls/..%2f..%2fetc/peaks",
        "/calls/x/peaks?name=../../routing.yaml",
        "/api/sessions/..%2f..%2fsecrets/trace",
    ],
)
async def test_no_path_leads_out(hosting: Hosting, path: str, autojump_clock: object) -> None:
    async with hosting() as running:
        answer = await running.ask("GET", path, headers=HERE)
    assert answer.status_code == 404


async def test_elsewhere_a_page_asks_for_the_token_first(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(environ=TOKENS) as running:
        asked = await running.ask("GET", "/calls/abc")
        wrong = await running.ask("POST", "/login", data={"token": "guess", "back": "/calls/abc"})
        right = await running.ask(
            "POST", "/login", data={"token": "open-sesame-1", "back": "/calls/abc"}
        )
        away = await running.ask(
            "POST", "/login", data={"token": "open-sesame-1", "back": "//evil.example"}
        )
        cookie = right.headers["set-cookie"]
        seen = await running.ask("GET", "/calls", headers={"cookie": cookie.partition(";")[0]})
        foreign = {"origin": "https://evil.example"}
        crossed = await running.ask(
            "POST", "/login", data={"token": "open-sesame-1"}, headers=foreign
        )
    assert (asked.status_code, 'action="/login"' in asked.text) == (401, True)
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    assert (right.status_code, right.headers["location"]) == (303, "/calls/abc")
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert away.headers["location"] == "/"
    assert (seen.status_code, "<h1>Calls</h1>" in seen.text) == (200, True)
    assert (crossed.status_code, "set-cookie" in crossed.headers) == (403, False)


# -- the phone -------------------------------------------------------------------------------------


async def test_the_phone_offers_a_destination_of_each_rule(
    hosting: Hosting, autojump_clock: object
) -> None:
    routing = """
rules:
  - {name: numbers, pattern: '\\+?[1-9]\\d{6,14}', scenarios: [echo.py]}
  - {name: again, pattern: '\\+?[1-9]\\d+', scenarios: [echo.py]}
  - {name: help, pattern: '(?:help|support)', scenarios: [echo.py]}
  - {name: rest, pattern: '.*', scenarios: [echo.py]}
channels:
  browser:
    to: help
    ice_servers: ['stun:stun.example.org', {urls: 'turn:t.example', username: v, secret: TURN}]
"""
    async with hosting(routing=routing, environ={**ENVIRON, "TURN": "s3"}) as running:
        told = (await running.ask("GET", "/phone.json", headers=HERE)).json()
    assert told["destinations"] == [
        {"to": "+1555555", "rule": "numbers"},
        {"to": "+15", "rule": "again"},
        {"to": "help", "rule": "help"},
    ]
    assert told["to"] == "help"
    assert told["ice_servers"] == [
        {"urls": "stun:stun.example.org"},
        {"urls": "turn:t.example", "username": "v", "credential": "s3"},
    ]


async def test_a_page_calls_and_is_told_what_becomes_of_it(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(scenario=RINGS) as running:
        caller = await page(running)
        caller.say(**START, name="Anna <b>B</b>", headers={"X-Ticket": "4711", "Via": "no"})
        await running.until(lambda: len(caller.events) == 4)
        caller.say(event="dtmf", digit="5")
        await running.until(lambda: caller.socket.closed)
        session_id = caller.events[0]["id"]
        trace = (await running.ask("GET", f"/api/sessions/{session_id}/trace", headers=HERE)).text
    assert [event["event"] for event in caller.events] == [
        "session", "ringing", "answered", "words", "ended",
    ]  # fmt: skip
    assert caller.events[3]["text"] == "user Anna <b>B</b>"
    assert caller.events[4] == {"event": "ended", "code": 200, "reason": "Hung up by the scenario"}
    assert '"X-Ticket":"4711"' in trace
    assert "Via" not in trace


async def test_a_page_hears_itself_and_is_cleared(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running:
        phone = CarrierPhone(
            await dial(running, "/phone/media"),
            parameters={"from": "anna", "to": "+15552222"},
            provider=BROWSER,
        )
        running.nursery.start_soon(phone.run)
        await running.until(lambda: running.calls == 1)
        phone.mouth.write(encode(dtmf("5", rate_hz=8000, tone_ms=1000), PCMU))
        await trio.sleep(2)
        record = next(iter(running.host.router.running.values())).record
        answer = await running.ask("GET", f"/calls/{record.session_id}/peaks", headers=HERE)
        loud = [n for n, value in enumerate(answer.content[::2]) if value > 100]
        phone.cut()
        await running.until(lambda: running.calls == 0)
    assert len(phone.played) >= 45
    assert (record.channel, record.personal["callerid"]) == ("browser", "anna")
    assert 20 <= len(loud) <= 30


@pytest.mark.parametrize(
    ("to", "code"), [("+49", 404), ("", 404)], ids=["no rule takes it", "no destination"]
)
async def test_a_call_that_gets_none_is_told_why(
    hosting: Hosting, to: str, code: int, autojump_clock: object
) -> None:
    async with hosting() as running:
        caller = await page(running)
        caller.say(**{**START, "to": to})
        await running.until(lambda: caller.socket.closed)
    assert caller.events == [{"event": "ended", "code": code, "reason": "Rejected"}]


@pytest.mark.parametrize("path", ["/phone/media", "/calls/live", "/calls/x/live"])
async def test_pages_of_others_open_no_socket(
    hosting: Hosting, path: str, autojump_clock: object
) -> None:
    async with hosting() as running:
        with pytest.raises(HandshakeRefused) as foreign:
            await dial(running, path, origin="https://evil.example")
        with pytest.raises(HandshakeRefused) as rebound:
            await running.connect(path)  # a name that only resolves to this computer
        assert running.logged("connection refused")
    assert foreign.value.status == 403
    assert rebound.value.status in (401, 403)


@pytest.mark.parametrize(
    "message",
    ["{", "[]", '{"event":"start","rate_hz":"loud"}', '{"event":"dtmf","digit":"5"}', b"\x00\x01"],
    ids=["no JSON", "a list", "no such rate", "a digit first", "audio first"],
)
async def test_what_is_no_call_ends_alone(
    hosting: Hosting, message: str | bytes, autojump_clock: object
) -> None:
    async with hosting() as running:
        good = await page(running)
        good.say(**START)
        await running.until(lambda: running.calls == 1)
        bad = await page(running)
        bad.socket.send(message)
        await running.until(lambda: bad.socket.closed)
        assert running.calls == 1
        before = len(good.audio)
        good.socket.send(b"\x01\x00" * pcm16(24000).frame_samples)
        await running.until(lambda: len(good.audio) > before)


# -- calls as they happen --------------------------------------------------------------------------


async def test_a_call_is_told_line_by_line_until_it_is_over(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        caller = await page(running)
        caller.say(**START)
        await running.until(lambda: running.calls == 1)
        session_id = caller.events[0]["id"]
        changes = await page(running, "/calls/live")
        live = await page(running, f"/calls/{session_id}/live")
        await running.until(lambda: any("Call.Connected" in text for text in live.texts))
        behind = await page(running, f"/calls/{session_id}/live?from={len(live.texts[0])}")
        caller.say(event="stop")
        await running.until(lambda: live.socket.closed)
        await running.until(lambda: behind.socket.closed)
        whole = (await running.ask("GET", f"/api/sessions/{session_id}/trace", headers=HERE)).text
        await running.until(lambda: changes.texts)
        again = await page(running, f"/calls/{session_id}/live")
        await running.until(lambda: again.socket.closed)
    assert "".join(live.texts) == "".join(again.texts) == whole
    assert live.texts[0] + "".join(behind.texts) == whole
    assert all(text.endswith("\n") for text in live.texts)


async def test_one_file_has_the_whole_call(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running:
        caller = await page(running)
        caller.say(**START)
        await running.until(lambda: running.calls == 1)
        await trio.sleep(1)
        caller.say(event="stop")
        await running.until(lambda: running.calls == 0)
        where = f"/calls/{caller.events[0]['id']}"
        answer = await running.ask("GET", f"{where}/file.html", headers=HERE)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.text.count('type="application/octet-stream"') == 3


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "text/plain"}, "v=0", 415),
        ({"content-type": "application/sdp"}, "x" * 40_000, 413),
        ({"content-type": "application/sdp", "origin": "https://evil.example"}, "v=0", 403),
    ],
    ids=["no description", "too long", "a page of others"],
)
async def test_offers_that_are_none(
    hosting: Hosting, headers: dict[str, str], content: str, status: int, autojump_clock: object
) -> None:
    pytest.importorskip("aiortc", reason="voxpy[webrtc] carries the audio")
    async with hosting() as running:
        answer = await running.ask(
            "POST", "/whip/echo", headers={**HERE, **headers}, content=content
        )
        gone = await running.ask("DELETE", "/whip/echo/nobody", headers=HERE)
    assert (answer.status_code, gone.status_code) == (status, 404)


async def test_a_token_of_one_rule_calls_by_that_rule_alone(
    hosting: Hosting, autojump_clock: object
) -> None:
    routing = """
rules:
  - {name: echo, pattern: 'echo', scenarios: [echo.py]}
  - {name: secret, pattern: 'secret', scenarios: [echo.py]}
api:
  tokens:
    guest: {secret: API_TOKEN, rules: [echo]}
"""
    bears = {"authorization": "Bearer open-sesame-1"}
    async with hosting(routing=routing, environ=TOKENS) as running:
        told = (await running.ask("GET", "/phone.json", headers=bears)).json()
        refused, taken = await page(running, **bears), await page(running, **bears)
        refused.say(**{**START, "to": "secret"})
        taken.say(**{**START, "to": "echo"})
        await running.until(lambda: refused.socket.closed)
        await running.until(lambda: running.calls == 1)
    assert [each["rule"] for each in told["destinations"]] == ["echo"]
    assert refused.events == [{"event": "ended", "code": 404, "reason": "Rejected"}]
