"""Streams and webhooks that do not come from the provider, at a host on a real port."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.history.conftest import sessions_in
from voxpy.audio.frame import PCMU
from voxpy.channels.providers.http import derived_token
from voxpy.channels.providers.provider import PhoneCall
from voxpy.channels.providers.table import PROVIDERS
from voxpy.channels.providers.twilio import twilio_signature
from voxpy.errors import HandshakeRefused
from voxpy.testing.carrier import CarrierPhone

Hosting = Callable[..., AbstractAsyncContextManager[Any]]
PUBLIC = "https://calls.example"
KEY = "twilio-auth-token"


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text(f"TWILIO_AUTH_TOKEN={KEY}\nMEDIA_TOKEN=open-sesame\n")


def token_of(provider: str) -> str:
    return derived_token("open-sesame", provider)


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
        bearing = await open_stream(host, f"/media/telnyx?token={token_of('telnyx')}")
        host.nursery.start_soon(bearing.run)
        await bearing.aclose()
        assert host.calls == 1
        assert not host.logged("connection refused")[0]["data"]["problem"].endswith(good)
        phone.far_end_hangs_up()
        await host.until(lambda: host.calls == 0)
    assert "open-sesame" not in host.output.getvalue()
    assert [row.channel for row in sessions_in(tmp_path)] == ["twilio"]


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


async def test_the_markup_gives_the_token_to_whoever_bears_it_already(hosting: Hosting) -> None:
    asked = {"from": "+1", "to": "+15550002222"}
    async with hosting(public_url=PUBLIC) as host:
        for provider in ("jambonz", "exotel", "telnyx", "vonage"):
            place = f"/{provider}/voice"
            for query in ("", "?token=open-sesame", f"?token={token_of('plivo')}"):
                told = await host.ask("POST", place + query, json=asked)
                assert (told.status_code, "token of" in told.text) == (403, True)
                assert "token=" not in told.text
            token = token_of(provider)
            told = await host.ask("POST", f"{place}?token={token}", json=asked)
            assert f"wss://calls.example/media/{provider}?token={token}" in told.text
        assert "open-sesame" not in host.output.getvalue()


async def test_the_token_goes_no_further_than_the_door(hosting: Hosting) -> None:
    async with hosting(public_url=PUBLIC) as host:
        token = token_of("telnyx")
        stream = PROVIDERS["telnyx"].place(
            PhoneCall(call_id="c", caller="+1", callee="+15550002222", format=PCMU)
        )
        socket = await open_stream(host, f"/media/telnyx?token={token}&region=eu")
        host.nursery.start_soon(socket.run)
        for message in stream.opening():
            socket.send(message)
        await host.until(lambda: host.calls == 1)
        (hosted,) = host.host.router.running.values()
        assert hosted.leg.headers["X-region"] == "eu"
        assert token not in str(hosted.leg.headers)
        await socket.aclose()


async def test_two_streams_of_one_call_are_one_session(hosting: Hosting) -> None:
    signed = ("X-Twilio-Signature", twilio_signature(KEY, "wss://calls.example/media/twilio", {}))
    parameters = {"from": "+15550001111", "to": "+15550002222"}
    async with hosting(public_url=PUBLIC) as host:
        phones = []
        for _ in range(3):
            socket = await open_stream(host, "/media/twilio", signed)
            phones.append(CarrierPhone(socket, parameters=parameters, call_id="CA1"))
            host.nursery.start_soon(phones[-1].run)
            await host.until(lambda: host.calls == 1)
        first, second, third = phones
        await host.until(lambda: second.info and third.info)
        assert second.info is not None
        assert (second.info.code, second.info.reason) == (1008, "this call has a stream already")
        assert (host.calls, first.info) == (1, None)
        assert [e["data"]["problem"] for e in host.logged("connection refused")] == [
            "this call has a stream already"
        ] * 2
        assert host.logged("line released") == [], "the call is the first one's"
        first.far_end_hangs_up()
        await host.until(lambda: host.calls == 0)
        again = CarrierPhone(
            await open_stream(host, "/media/twilio", signed), parameters=parameters, call_id="CA1"
        )
        host.nursery.start_soon(again.run)
        await host.until(lambda: host.calls == 1)
        again.far_end_hangs_up()
        await host.until(lambda: host.calls == 0)
