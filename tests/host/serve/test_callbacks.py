"""Other programs are told of sessions: signed, until they take it, and no call waits for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
import trio

from tests.host.serve.conftest import Hosting
from voxpy.engine.http import HttpRequest, HttpRequestResult, OnPart
from voxpy.errors import ConfigError
from voxpy.host.api.callbacks import ATTEMPTS_AFTER_S, signature
from voxpy.project.routing import parse_routing

ROUTING = """
rules:
  - {name: echo, pattern: '\\+1555.*', scenarios: [echo.py]}
callbacks:
  crm: {url: https://crm.test/calls, secret: CRM_CALLBACKS}
  other: {url: https://other.test/, secret: CRM_CALLBACKS, rules: [nobody]}
"""
SECRET = "whsec_" + base64.b64encode(b"a secret of the crm").decode()


class Crm:
    """Takes callbacks, if need be after some refusals."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked: list[HttpRequest] = []
        self.at: list[float] = []

    async def fetch(self, request: HttpRequest, on_part: OnPart | None) -> HttpRequestResult:
        self.asked.append(request)
        self.at.append(trio.current_time())
        await trio.sleep(1)
        return HttpRequestResult(code=self.codes.pop(0) if self.codes else 204)

    @property
    def told(self) -> list[dict[str, object]]:
        return [json.loads(request.body or b"") for request in self.asked]


async def test_the_end_and_the_recording_are_told_and_signed(
    hosting: Hosting, autojump_clock: object
) -> None:
    crm = Crm()
    environ = {"CRM_CALLBACKS": SECRET}
    async with hosting(routing=ROUTING, environ=environ, fetch=crm.fetch) as running:
        phone = await running.phone()
        await running.until(lambda: running.calls == 1)
        phone.far_end_hangs_up()
        await running.until(lambda: len(crm.asked) == 2)
        session = running.logged("call ended")[0]["data"]["session"]
    ready, ended = sorted(crm.told, key=lambda told: str(told["type"]))
    assert (ended["type"], ready["type"]) == ("session_ended", "recording_ready")
    assert isinstance(ended["data"], dict)
    assert ended["data"]["session_id"] == session
    assert ended["data"]["finish_reason"] == "Normal termination"
    assert ended["data"]["callerid"] == "+15550001111"
    assert isinstance(ready["data"], dict)
    assert ready["data"]["url"].endswith(f"/api/sessions/{session}/recordings/call.wav")
    request = crm.asked[0]
    assert str(request.url) == "https://crm.test/calls"
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    wanted = hmac.new(b"a secret of the crm", signed + (request.body or b""), hashlib.sha256)
    given = request.headers["webhook-signature"]
    assert given == "v1," + base64.b64encode(wanted.digest()).decode()


async def test_what_is_refused_is_tried_again_with_the_same_id(
    hosting: Hosting, autojump_clock: object
) -> None:
    crm = Crm(500, -4)
    routing = ROUTING.replace("secret: CRM_CALLBACKS}", "secret: K, events: [session_ended]}", 1)
    async with hosting(routing=routing, environ={"K": "secret-of-crm"}, fetch=crm.fetch) as running:
        phone = await running.phone()
        await running.until(lambda: running.calls == 1)
        phone.far_end_hangs_up()
        await running.until(lambda: len(crm.asked) == 3)
        await trio.sleep(30)
        assert running.calls == 0
    assert len({request.headers["webhook-id"] for request in crm.asked}) == 1
    waits = [b - a for a, b in zip(crm.at, crm.at[1:], strict=False)]
    assert waits == pytest.approx([1 + s for s in ATTEMPTS_AFTER_S[1:3]], abs=0.1)
    assert not running.logged("a callback is lost")


async def test_without_its_secret_or_a_taker_it_is_lost_and_said(
    hosting: Hosting, autojump_clock: object
) -> None:
    crm = Crm()
    async with hosting(routing=ROUTING, environ={}, fetch=crm.fetch) as running:
        phone = await running.phone()
        await running.until(lambda: running.calls == 1)
        phone.far_end_hangs_up()
        await trio.sleep(2 * sum(ATTEMPTS_AFTER_S))
    assert crm.asked == []
    assert "CRM_CALLBACKS" in running.logged("a callback is lost")[0]["data"]["problem"]


def test_a_plain_secret_signs_too() -> None:
    wanted = hmac.new(b"plain", b"msg_1.7.{}", hashlib.sha256).digest()
    assert signature("plain", "msg_1", 7, b"{}") == "v1," + base64.b64encode(wanted).decode()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{url: crm.test, secret: K}", "callback 'crm': url must be an address"),
        ("{url: 'https://crm.test'}", "callback 'crm': secret is missing"),
        (
            "{url: 'https://crm.test', secret: K, events: [ended]}",
            "item 1 must be session_ended or recording_ready",
        ),
        ("{url: 'https://crm.test', secret: K, event: []}", "did you mean 'events'"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(line: str, told: str) -> None:
    text = f"rules: [{{name: a, pattern: a, scenarios: [a.py]}}]\ncallbacks:\n  crm: {line}\n"
    with pytest.raises(ConfigError, match=told):
        parse_routing(text)
