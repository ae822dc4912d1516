"""Hanging up by a provider's API: the request each gets, what is tried again, and how long."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

import attrs
import orjson
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from voxpy.audio.frame import PCMU
from voxpy.channels.mediastream.credentials import LineRelease, Released
from voxpy.channels.providers.events import Start
from voxpy.channels.providers.table import PROVIDERS
from voxpy.testing.httpstub import Asked, HttpStub, Reply, Web

START = Start(
    call_id="v3:call/1",
    stream_id="s",
    caller="+1",
    callee="+2",
    parameters={},
    inbound=PCMU,
    outbound=PCMU,
)
SECRETS = {
    "TWILIO_ACCOUNT_SID": "AC0",
    "TWILIO_AUTH_TOKEN": "t0ken",
    "TELNYX_API_KEY": "key",
    "PLIVO_AUTH_ID": "MA0",
    "PLIVO_AUTH_TOKEN": "t0ken",
    "VONAGE_APPLICATION_ID": "app",
}


@attrs.frozen
class Known:
    """Secrets that are these."""

    given: Mapping[str, str]

    def get(self, name: str) -> str | None:
        return self.given.get(name)

    def missing(self, name: str) -> str:
        return f"{name} is missing"

    def values(self) -> tuple[str, ...]:
        return ()


def pem(key: Any) -> str:
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return text.decode()


async def release(
    provider: str, web: Web, secrets: Mapping[str, str] = SECRETS
) -> tuple[list[Asked], list[Released]]:
    stub, told = HttpStub(web), list[Released]()
    kind = PROVIDERS[provider]
    await LineRelease(kind, Known(secrets), told.append, fetch=stub.fetch)(START)
    return stub.asked, told


@pytest.mark.parametrize(
    ("provider", "method", "url", "authorization", "body"),
    [
        (
            "twilio",
            "POST",
            "https://api.twilio.com/2010-04-01/Accounts/AC0/Calls/v3:call%2F1.json",
            "Basic " + b64encode(b"AC0:t0ken").decode(),
            b"Status=completed",
        ),
        (
            "telnyx",
            "POST",
            "https://api.telnyx.com/v2/calls/v3:call%2F1/actions/hangup",
            "Bearer key",
            None,
        ),
        (
            "plivo",
            "DELETE",
            "https://api.plivo.com/v1/Account/MA0/Call/v3:call%2F1/",
            "Basic " + b64encode(b"MA0:t0ken").decode(),
            b"",
        ),
    ],
)
async def test_what_each_is_asked(
    provider: str,
    method: str,
    url: str,
    authorization: str,
    body: bytes | None,
    autojump_clock: object,
) -> None:
    (asked,), told = await release(provider, lambda asked: 200)
    assert (asked.method, asked.url) == (method, url)
    assert asked.headers["authorization"] == authorization
    if body is None:
        assert len(asked.json()["command_id"]) == 32
    else:
        assert asked.body == body
    assert told == [Released(provider=provider, call_id="v3:call/1", tries=1, status=200)]


async def test_vonage_is_asked_with_a_token_signed_for_a_minute(autojump_clock: object) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secrets = {**SECRETS, "VONAGE_PRIVATE_KEY": pem(key).replace("\n", "\\n")}
    (asked,), told = await release("vonage", lambda asked: 204, secrets)
    assert (asked.method, asked.url) == ("PUT", "https://api.nexmo.com/v1/calls/v3:call%2F1")
    assert asked.json() == {"action": "hangup"}
    scheme, token = asked.headers["authorization"].split()
    signed, _, signature = token.rpartition(".")
    key.public_key().verify(unpadded(signature), signed.encode(), PKCS1v15(), SHA256())
    head, claims = (orjson.loads(unpadded(part)) for part in signed.split("."))
    assert (scheme, head) == ("Bearer", {"alg": "RS256", "typ": "JWT"})
    assert claims["application_id"] == "app"
    assert claims["exp"] - claims["iat"] == 60
    assert told[0].problem == ""


def unpadded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


NO_RSA = "VONAGE_PRIVATE_KEY is no RSA private key in PEM"


@pytest.mark.parametrize(
    ("key", "problem"),
    [("no key", NO_RSA), (pem(ec.generate_private_key(ec.SECP256R1())), NO_RSA)],
    ids=["no key", "another kind of key"],
)
async def test_a_key_that_is_none_is_named(key: str, problem: str, autojump_clock: object) -> None:
    asked, told = await release("vonage", {}, {**SECRETS, "VONAGE_PRIVATE_KEY": key})
    assert asked == []
    assert told[0].problem.startswith(problem)


async def test_a_region_has_its_own_address(autojump_clock: object) -> None:
    secrets = {**SECRETS, "TWILIO_API_URL": "https://api.dublin.ie1.twilio.com/"}
    (asked,), _ = await release("twilio", lambda asked: 200, secrets)
    assert asked.url.startswith("https://api.dublin.ie1.twilio.com/2010-04-01/")


@pytest.mark.parametrize(
    ("provider", "status"),
    [("twilio", 404), ("twilio", 400), ("telnyx", 422), ("plivo", 404)],
)
async def test_a_call_that_is_over_already_is_fine(
    provider: str, status: int, autojump_clock: object
) -> None:
    asked, told = await release(provider, lambda asked: status)
    assert len(asked) == 1
    assert (told[0].problem, told[0].status) == ("", status)


@pytest.mark.parametrize("first", [503, 429, Reply(fails=-6), Reply(after_s=60)])
async def test_what_may_help_is_tried_again(first: Any, autojump_clock: object) -> None:
    asked, told = await release("telnyx", lambda asked: first if asked.number == 1 else 200)
    assert len(asked) == 2
    assert asked[0].json() == asked[1].json(), "the same command, so that it counts once"
    assert (told[0].problem, told[0].tries) == ("", 2)


@pytest.mark.parametrize(
    ("answer", "tries", "problem"), [(401, 1, "HTTP 401"), (503, 3, "HTTP 503")]
)
async def test_in_vain_is_said(
    answer: int, tries: int, problem: str, autojump_clock: object
) -> None:
    asked, told = await release("plivo", lambda asked: answer)
    assert len(asked) == tries
    assert (told[0].tries, told[0].problem) == (tries, problem)


async def test_it_takes_no_longer_than_ten_seconds_even_for_who_is_cancelled(
    autojump_clock: object,
) -> None:
    began_at = trio.current_time()
    with trio.CancelScope() as scope:
        scope.cancel()
        _, told = await release("plivo", lambda asked: Reply(after_s=60))
    assert trio.current_time() - began_at == pytest.approx(10, abs=0.1)
    assert told[0].problem == "no answer within 10 s"


async def test_without_secrets_it_is_impossible_and_said(autojump_clock: object) -> None:
    asked, told = await release("telnyx", {}, {})
    assert (asked, told) == ([], [])

    def notes(provider: str, **secrets: str) -> list[str]:
        kind = PROVIDERS[provider]
        return list(LineRelease(kind, Known(secrets), lambda outcome: None).notes())

    assert notes("plivo") == [
        "plivo: our hang-up only closes the stream, and the caller may stay on the line; give the "
        "secret PLIVO_AUTH_ID and PLIVO_AUTH_TOKEN"
    ]
    assert notes("telnyx", TELNYX_API_KEY="x") == []
    assert [name for name in PROVIDERS if notes(name)] == [
        name for name, kind in PROVIDERS.items() if kind.hang_up == "rest"
    ]
