"""Sessions over HTTP: started, asked, seen, ended; and who may."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
import trio
from starlette.routing import Route

from tests.host.serve.conftest import Hosting, Running
from voxpy.errors import HandshakeRefused
from voxpy.testing import SocketPeer

OUTBOUND = """
import json
from voxpy import AppEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.Started)
def started(event):
    Logger.write(f"{event.custom_data} {VoxEngine.custom_data()} {event.access_url}")

@VoxEngine.on(AppEvents.HttpRequest)
async def asked(event):
    Logger.write(f"{event.method} {event.path} {event.content} {event.headers}")
    if event.path == "/bye":
        VoxEngine.terminate()
        return "bye"
    if event.path == "/broken":
        raise ValueError("broken")
    if event.path == "/slow":
        import trio
        await trio.sleep(60)
    return {"heard": event.content} if event.content else None
"""
ROUTING = """
rules:
  - name: remind
    pattern: remind
    scenarios: [echo.py]
    on_handler_error: continue
  - name: other
    pattern: other
    scenarios: [echo.py]
api:
  tokens:
    operator: {secret: API_TOKEN}
    crm: {secret: CRM_TOKEN, rules: [remind]}
"""
TOKENS = {"API_TOKEN": "open-sesame-1", "CRM_TOKEN": "open-sesame-2"}
OPERATOR = {"authorization": "Bearer open-sesame-1"}
CRM = {"authorization": "Bearer open-sesame-2"}
SETUP: dict[str, Any] = {"routing": ROUTING, "scenario": OUTBOUND, "environ": TOKENS}


async def start(running: Running, **more: Any) -> dict[str, Any]:
    answer = await running.ask(
        "POST",
        "/platform_api/StartScenarios",
        json={"rule_name": "remind", "script_custom_data": '{"to":"+15550100"}', **more},
        headers=OPERATOR,
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ask(running: Running, url: str, **more: Any) -> httpx.Response:
    path = httpx.URL(url).raw_path.decode()
    return await running.ask(more.pop("method", "POST"), path, timeout=60, **more)


async def log_of(running: Running, session_id: str) -> str:
    answer = await running.ask("GET", f"/api/sessions/{session_id}/log", headers=OPERATOR)
    return answer.text


async def test_a_session_starts_without_a_call_and_is_asked(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(**SETUP) as running:
        begun = await start(running)
        url = begun["media_session_access_secure_url"]
        told = await ask(running, f"{url}/news?n=1", content=b"hello", headers={"X-Who": "me"})
        nothing = await ask(running, url, method="GET")
        log = await log_of(running, begun["call_session_history_id"])
        bye = await ask(running, f"{url}/bye")
        await running.until(lambda: running.calls == 0)
        over = await ask(running, url)
    assert begun["result"] == 1
    assert url.startswith(f"http://host.test/request/{begun['call_session_history_id']}/")
    assert (told.status_code, told.json()) == (200, {"heard": "hello"})
    assert (nothing.status_code, nothing.text) == (200, "")
    assert bye.text == "bye"
    assert over.status_code == 404
    assert '{"to":"+15550100"} {"to":"+15550100"} http://host.test/request/' in log
    assert url.rpartition("/")[2] not in log, "the token is masked"
    assert "POST /news?n=1 hello [{'key': 'x-who', 'value': 'me'}]" in log
    assert "GET / " in log


async def test_what_a_handler_cannot_answer_is_told(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(**SETUP) as running:
        url = (await start(running))["media_session_access_url"]
        broken = await ask(running, f"{url}/broken")
        slow = await ask(running, f"{url}/slow")
        long = await ask(running, url, content=b"x" * 300_000)
        wrong = await ask(running, url[:-3] + "abc")
        odd = await running.ask("GET", "/request/..%2f..%2fetc/passwd")
        answers: list[int] = []

        async def one() -> None:
            answers.append((await ask(running, f"{url}/slow")).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)
    told = [each.status_code for each in (broken, slow, long, wrong, odd)]
    assert told == [500, 504, 413, 404, 404]
    assert sorted(answers) == [429] * 4 + [504] * 16


async def test_sessions_are_listed_shown_and_ended(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(**SETUP) as running:
        one = (await start(running))["call_session_history_id"]
        two = (await start(running, rule_name="other", script_custom_data={"n": 2}))[
            "call_session_history_id"
        ]
        young = await running.ask("GET", f"/api/sessions/{two}", headers=OPERATOR)
        await trio.sleep(1)
        both = await running.ask("GET", "/api/sessions?state=running", headers=OPERATOR)
        crm = await running.ask("GET", "/api/sessions", headers=CRM)
        hidden = await running.ask("GET", f"/api/sessions/{two}", headers=CRM)
        safe = await running.ask("POST", f"/api/sessions/{two}/hangup", headers=CRM)
        gone = await running.ask("POST", f"/api/sessions/{one}/hangup", headers=OPERATOR)
        await running.until(lambda: running.calls == 1)
        await trio.sleep(1)
        shown = (await running.ask("GET", f"/api/sessions/{one}", headers=OPERATOR)).json()
        ended = await running.ask("GET", "/api/sessions?state=ended", headers=OPERATOR)
        data = await running.ask("GET", "/api/sessions?custom_data=n&limit=5", headers=OPERATOR)
        trace = await running.ask("GET", f"/api/sessions/{one}/trace", headers=OPERATOR)
        wrong = await running.ask("GET", "/api/sessions?since=tuesday", headers=OPERATOR)
        misspelt = await running.ask("GET", "/api/sessions?ruel=x", headers=OPERATOR)
    assert young.json()["result"]["custom_data"] == '{"n":2}'
    assert [s["session_id"] for s in both.json()["result"]] == [two, one]
    assert [s["session_id"] for s in crm.json()["result"]] == [one]
    assert (hidden.status_code, safe.status_code, gone.status_code) == (404, 404, 200)
    assert shown["result"]["finish_reason"] == "Terminated administratively"
    assert shown["result"]["end_detail"] == "hung up over the API by operator"
    assert [s["session_id"] for s in ended.json()["result"]] == [one]
    assert [s["session_id"] for s in data.json()["result"]] == [two]
    assert '"name":"Application.Started"' in trace.text
    assert wrong.json()["error"]["msg"].startswith("since must be a date and time")
    assert "'rule'" in misspelt.json()["error"]["msg"]


SOCKETS = """
from voxpy import AppEvents, Logger, VoxEngine, WebSocketEvents
VoxEngine.allow_websocket_connections()

@VoxEngine.on(AppEvents.WebSocket)
def came(event):
    event.websocket.add_event_listener(
        WebSocketEvents.MESSAGE, lambda e: event.websocket.send(f"{event.path} {e.text}"))
    event.websocket.send_media_to(event.websocket, encoding="ULAW")
"""


async def test_a_websocket_comes_in_by_the_access_url(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(**{**SETUP, "scenario": SOCKETS}) as running:
        begun = await start(running)
        place = httpx.URL(begun["media_session_access_url"]).path
        peer = SocketPeer(await running.connect(f"{place}/feed?n=1"))
        running.nursery.start_soon(peer.run)
        peer.send("hello")
        assert await peer.receive() == "/feed?n=1 hello"
        peer.start_media("ULAW")
        peer.play(b"\x10" * 8000)
        heard = await peer.wait_heard(1.1)
        with pytest.raises(HandshakeRefused) as refused:
            await running.connect(place[:-4] + "abcd")
        session = begun["call_session_history_id"]
        await running.ask("POST", f"/api/sessions/{session}/hangup", headers=OPERATOR)
        await peer.wait(lambda: peer.closed is not None)
        with pytest.raises(HandshakeRefused):
            await running.connect(place)
    assert heard.count(0x10) == 8000
    assert refused.value.status == 404
    assert peer.closed is not None
    assert peer.closed.code == 1000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic open-sesame-1"}, 401),
        ({"cookie": "voxpy_token=open-sesame-1"}, 200),
        ({"cookie": "voxpy_token=wrong"}, 401),
        ({"cookie": "a; b=c;;voxpy_token=open%2Dsesame-1; d"}, 200),
        ({**OPERATOR, "origin": "https://evil.example"}, 403),
        ({**OPERATOR, "origin": "http://host.test"}, 200),
        ({**OPERATOR, "origin": "null"}, 403),
        ({**OPERATOR, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        ({"host": "localhost:8080"}, 200),
        ({"host": "localhost:8080", "origin": "https://evil.example"}, 403),
        ({"host": "localhost:8080", "x-forwarded-for": "203.0.113.9"}, 401),
        ({"host": "rebound.example"}, 401),
    ],
    ids=str,
)
async def test_who_may_ask(
    hosting: Hosting, autojump_clock: object, headers: dict[str, str], status: int
) -> None:
    async with hosting(**SETUP) as running:
        answer = await running.ask("GET", "/api/sessions", headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    if status != 200:
        assert running.logged("connection refused")[-1]["data"]["problem"].startswith(
            "GET /api/sessions"
        )


async def test_a_link_on_a_strangers_page_starts_nothing(
    hosting: Hosting, autojump_clock: object
) -> None:
    place = "/platform_api/StartScenarios?rule_name=remind"
    followed = {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    async with hosting(**SETUP) as running:
        link = await running.ask("GET", place, headers=followed)
        form = {**followed, "origin": "https://evil.example"}
        posted = await running.ask("POST", place, headers=form)
        assert running.calls == 0
    assert (link.status_code, posted.status_code) == (405, 403)


async def test_a_public_host_asks_everybody_for_a_token(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(**SETUP, public_url="https://calls.example") as running:
        here = await running.ask("GET", "/api/sessions", headers={"host": "localhost"})
        begun = await start(running)
    assert here.status_code == 401
    assert begun["media_session_access_url"].startswith("https://calls.example/request/")


async def test_what_cannot_start_says_why(hosting: Hosting, autojump_clock: object) -> None:
    place = "/platform_api/StartScenarios"
    async with hosting(**SETUP, most_calls=1) as running:
        none = await running.ask("POST", place, headers=OPERATOR)
        unknown = await running.ask("POST", f"{place}?rule_name=remnid", headers=OPERATOR)
        hidden = await running.ask("POST", f"{place}?rule_name=other", headers=CRM)
        long = {"rule_name": "remind", "script_custom_data": "x" * 3000}
        longer = await running.ask("POST", place, headers=OPERATOR, data=long)
        await start(running)
        full = await running.ask("POST", f"{place}?rule_name=remind", headers=OPERATOR)
    told = [
        (a.status_code, a.json()["error"]["msg"]) for a in (none, unknown, hidden, longer, full)
    ]
    assert told == [
        (400, "rule_name is missing: which rule of routing.yaml is to run"),
        (404, "there is no rule 'remnid'; did you mean 'remind'?"),
        (404, "there is no rule 'other'"),
        (413, "custom data holds 2000 bytes, not 3000"),
        (503, "1 calls run; the limit is 1"),
    ]


# -- the OpenAPI document --------------------------------------------------------------------------


def fits(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether a value is as a schema says; as much of JSON Schema as the document uses."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return fits(value, document["components"]["schemas"][name], document)
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema.get("type", [])
    known: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    known |= {"null": type(None), "object": dict, "array": list}
    wanted = [kinds] if isinstance(kinds, str) else kinds
    if not any(isinstance(value, known[kind]) for kind in wanted):
        return False
    if isinstance(value, list):
        return all(fits(item, schema["items"], document) for item in value if "items" in schema)
    if isinstance(value, dict) and "properties" in schema:
        return set(schema["required"]) <= set(value) and all(
            name in schema["properties"] and fits(item, schema["properties"][name], document)
            for name, item in value.items()
        )
    return True


async def test_the_document_says_what_is_there(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting(**SETUP) as running:
        document = (await running.ask("GET", "/api/openapi.json", headers=OPERATOR)).json()
        routes = {
            (re.sub(r":\w+}", "}", route.path), method.lower())
            for route in running.host.handler.web.application.routes
            if isinstance(route, Route)
            for method in route.methods or ()
            if route.path.startswith(("/api", "/platform_api", "/request")) and method != "HEAD"
        }
        begun = await start(running)
        session = begun["call_session_history_id"]
        await trio.sleep(1)
        terms = "rule_name=remind&at_once=1"
        await running.ask(
            "POST",
            f"/api/lists?{terms}",
            content="to\n1\n",
            headers={**OPERATOR, "content-type": "text/csv"},
        )
        known = {"id": session, "list_id": "1", "kind": "trace"}
        answers = {}
        for place, operations in document["paths"].items():
            if "get" in operations and "/request/" not in place and "{name}" not in place:
                path = re.sub(r"{(\w+)}", lambda found: known[found[1]], place)
                answers[place] = await running.ask("GET", path, headers=OPERATOR)
        refused = await running.ask("GET", "/api/sessions/none", headers=OPERATOR)
    described = {(place, method) for place, found in document["paths"].items() for method in found}
    assert described == routes
    for place, answer in answers.items():
        if place.startswith("/platform_api"):
            continue  # it wants a rule
        assert answer.status_code == 200, place
        content = document["paths"][place]["get"]["responses"]["200"]["content"]
        ((kind, told),) = content.items()
        assert answer.headers["content-type"].partition(";")[0] == kind
        if kind == "application/json":
            assert fits(answer.json(), told["schema"], document), (place, answer.text)
    assert fits(begun, {"$ref": "#/components/schemas/Started"}, document)
    assert fits(refused.json(), {"$ref": "#/components/schemas/Error"}, document)
    assert not fits({"error": 1}, {"$ref": "#/components/schemas/Error"}, document)


@pytest.mark.parametrize(
    "moment", ["nan", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "20261130T25"]
)
async def test_moments_that_are_none(hosting: Hosting, autojump_clock: object, moment: str) -> None:
    async with hosting(**SETUP) as running:
        params = {"since": moment}
        answer = await running.ask("GET", "/api/sessions", params=params, headers=OPERATOR)
    assert answer.status_code == 400
    assert "must be a date and time" in answer.text
