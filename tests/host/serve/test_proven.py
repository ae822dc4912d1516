"""Streams and webhooks that do not come from the provider, at a host on a real port."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from voxpy.channels.providers.twilio import twilio_signature
from voxpy.errors import HandshakeRefused
from voxpy.history.search import find_sessions
from voxpy.testing.carrier import CarrierPhone

Hosting = Callable[..., AbstractAsyncContextManager[Any]]
PUBLIC = "https://calls.example"
KEY = "twilio-auth-token"


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text(f"TWILIO_AUTH_TOKEN={KEY}\nMEDIA_TOKEN=open-sesame\n")


async def open_stream(host: Any, path: str, *headers: tuple[str, str]) -> Any:
    return await host.connect(path, headers=headers)


async def test_a_stream_with_a_wrong_signature_is_refused_and_others_are_served(
    hosting: Hosting, autojump_clock: object, tmp_path: Path
) -> None:
    good = twilio_signature(KEY, "wss://calls.example/media/twilio", {})
    parameters = {"from": "+15550001111", "to": "+15550002222"}
    async with hosting(public_url=PUBLIC) as host:
        socket = await open_stream(host, "/media/twilio", ("X-Twilio-Signature", good))
        phone = CarrierPhone(socket, parameters=parameters)
        host.nursery.start_soon(phone.run)
        await host.until(lambda: host.calls == 1)
        for headers in ([], [("X-Twilio-Signature", "AAAA" + good[4:])]):
            with pytest.raises(HandshakeRefused) as refused:
                await open_stream(host, "/media/twilio", *headers)
            assert refused.value.status == 403
            assert b"X-Twilio-Signature" in refused.value.body
        with pytest.raises(HandshakeRefused):
            await open_stream(host, "/media/telnyx")
        bearing = await open_stream(host, "/media/telnyx?token=open-sesame")
        host.nursery.start_soon(bearing.run)
        await bearing.aclose()
        assert host.calls == 1
        assert not host.logged("connection refused")[0]["data"]["problem"].endswith(good)
        phone.far_end_hangs_up()
        await host.until(lambda: host.calls == 0)
    assert "open-sesame" not in host.output.getvalue()
    assert [row.channel for row in find_sessions(tmp_path)] == ["twilio"]


async def test_a_webhook_is_answered_only_to_the_provider(
    hosting: Hosting, autojump_clock: object
) -> None:
    form = {"From": "+15550001111", "To": "+15550002222", "CallSid": "CA1"}
    good = twilio_signature(KEY, f"{PUBLIC}/twilio/voice", form)
    async with hosting(public_url=PUBLIC) as host:
        forged = await host.ask("POST", "/twilio/voice", data={**form, "To": "+15559999999"},
                                headers={"X-Twilio-Signature": good})  # fmt: skip
        assert forged.status_code == 403
        answer = await host.ask(
            "POST", "/twilio/voice", data=form, headers={"X-Twilio-Signature": good}
        )
        assert answer.status_code == 200
        assert "wss://calls.example/media/twilio" in answer.text
        (told,) = host.logged("webhook refused")
        assert "X-Twilio-Signature does not fit" in told["data"]["problem"]
        assert good not in host.output.getvalue()


async def test_the_markup_gives_the_token_to_whoever_must_bear_it(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting(public_url=PUBLIC) as host:
        answer = await host.ask("POST", "/jambonz/voice", json={"from": "+1", "to": "+15550002222"})
    assert "wss://calls.example/media/jambonz?token=open-sesame" in answer.text
