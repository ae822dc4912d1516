"""Health, metrics and the webhooks of providers."""

from __future__ import annotations

import re
import ssl
from xml.etree import ElementTree

import trio
import trustme

from tests.host.serve.conftest import Hosting


async def test_health_tells_how_many_calls_run(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running:
        quiet = await running.ask("GET", "/health")
        await running.phone()
        await running.until(lambda: running.calls == 1)
        busy = await running.ask("GET", "/health")
    assert (quiet.status_code, quiet.json()) == (200, {"status": "ok", "calls": 0})
    assert busy.json() == {"status": "ok", "calls": 1}


async def test_metrics_count_calls_refusals_and_the_clock(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(most_calls=1) as running:
        phone = await running.phone()
        await running.until(lambda: len(phone.received) > 3)
        await running.ask("POST", "/twilio/voice", data={"To": "+15550002222"})
        text = (await running.ask("GET", "/metrics")).text
    figures = dict(re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE))
    assert figures["voxpy_calls_running"] == "1.0"
    assert figures['voxpy_calls_total{provider="twilio"}'] == "1.0"
    assert figures['voxpy_calls_refused_total{cause="full"}'] == "1.0"
    assert float(figures['voxpy_media_ticks_total{worker="0"}']) > 3
    assert 'voxpy_media_late_seconds{quantile="0.99",worker="0"}' in figures
    assert "# TYPE voxpy_calls_running gauge" in text


async def test_twilio_is_told_to_open_the_stream(hosting: Hosting, autojump_clock: object) -> None:
    form = {"From": "+15550001111", "To": "+15550002222"}
    async with hosting() as running:
        answer = await running.ask("POST", "/twilio/voice", data=form)
        proxied = {"x-forwarded-proto": "https", "x-forwarded-host": "calls.example.org"}
        behind = await running.ask("POST", "/twilio/voice", data=form, headers=proxied)
        unknown = await running.ask("POST", "/twilio/voice", data={"To": "+49"})
    assert answer.headers["content-type"].startswith("text/xml")
    stream = ElementTree.fromstring(answer.text).find("Connect/Stream")
    assert stream is not None
    assert stream.get("url") == "ws://host.test/media/twilio"
    assert {p.get("name"): p.get("value") for p in stream} == {
        "from": "+15550001111",
        "to": "+15550002222",
    }
    assert 'url="wss://calls.example.org/media/twilio"' in behind.text
    assert '<Reject reason="rejected"/>' in unknown.text


async def test_the_public_address_is_what_was_configured(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(public_url="https://calls.example.org/") as running:
        told = await running.ask("GET", "/vonage/voice", params={"from": "1", "to": "+1555"})
    (connect,) = told.json()
    (endpoint,) = connect["endpoint"]
    assert endpoint["uri"] == "wss://calls.example.org/media/vonage"
    assert endpoint["headers"] == {"from": "1", "to": "+1555"}


async def test_a_json_webhook(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running:
        told = await running.ask("POST", "/jambonz/voice", json={"from": "1", "to": "+1555"})
        wrong = await running.ask(
            "POST", "/jambonz/voice", content=b"{", headers={"content-type": "application/json"}
        )
    assert told.json()[1]["metadata"] == {"from": "1", "to": "+1555"}
    assert wrong.json() == [{"verb": "sip:decline", "status": 404}]


async def test_tls(hosting: Hosting, autojump_clock: object) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with hosting(tls=server) as running:
        plain = await running.raw()
        stream = trio.SSLStream(plain, client, server_hostname="localhost", https_compatible=True)
        await stream.send_all(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = bytes(await stream.receive_some())
        await stream.aclose()
        garbage = await running.raw()
        await garbage.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await running.until(lambda: running.logged("connection refused"))
        await garbage.aclose()
    assert answer.startswith(b"HTTP/1.1 200")
