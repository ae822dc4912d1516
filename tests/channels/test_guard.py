"""Who is let in, and what a host says beforehand that it cannot check."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from voxpy.channels.mediastream.guard import Guard
from voxpy.channels.providers.http import Request
from voxpy.channels.providers.table import PROVIDERS
from voxpy.channels.providers.twilio import twilio_signature

URL = "wss://calls.example/media/x"


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


def guard(**secrets: str) -> Guard:
    return Guard(Known(secrets))


def refusal(provider: str, request: Request, **secrets: str) -> str:
    return guard(**secrets).refuse_stream(PROVIDERS[provider], request)


def notes(provider: str, **secrets: str) -> list[str]:
    return list(guard(**secrets).notes(PROVIDERS[provider]))


def test_a_signature_counts_where_its_secret_is_there() -> None:
    signed = {"x-twilio-signature": twilio_signature("t0ken", URL, {})}
    good = Request(url=URL, headers=signed)
    assert refusal("twilio", good, TWILIO_AUTH_TOKEN="t0ken") == ""
    assert refusal("twilio", Request(url=URL), TWILIO_AUTH_TOKEN="t0ken") == (
        "there is no X-Twilio-Signature"
    )
    bearing = Request(url=URL + "?token=ours")
    assert refusal("plivo", bearing, PLIVO_AUTH_TOKEN="x", MEDIA_TOKEN="ours"), "not instead"


def test_else_a_token_of_ours() -> None:
    for provider in ("telnyx", "exotel", "jambonz", "asterisk", "voximplant", "vonage", "plivo"):
        assert refusal(provider, Request(url=URL + "?token=ours"), MEDIA_TOKEN="ours") == ""
        assert refusal(provider, Request(url=URL), MEDIA_TOKEN="ours") == (
            "it does not bear the MEDIA_TOKEN"
        )
    assert refusal("twilio", Request(url=URL), MEDIA_TOKEN="ours") == "", "it could not bear one"


def test_without_secrets_nothing_is_checked_and_that_is_said() -> None:
    for name, kind in PROVIDERS.items():
        assert refusal(name, Request(url=URL)) == ""
        assert guard().refuse_webhook(kind, Request(url=URL)) == ""
        assert notes(name)
    assert notes("twilio") == [
        "twilio: anybody may open a stream; to check it give the secret TWILIO_AUTH_TOKEN"
    ]
    assert notes("plivo")[0].endswith("give the secret PLIVO_AUTH_TOKEN or MEDIA_TOKEN")
    assert notes("telnyx") == [
        "telnyx: anybody may open a stream; to check it give the secret MEDIA_TOKEN",
        "telnyx: webhooks are not checked; give the secret TELNYX_PUBLIC_KEY",
    ]
    assert "private address" in notes("audiosocket", MEDIA_TOKEN="x")[0]


@pytest.mark.parametrize("provider", sorted(set(PROVIDERS) - {"audiosocket"}))
def test_with_them_there_is_nothing_to_say(provider: str) -> None:
    assert notes(provider, TWILIO_AUTH_TOKEN="x", TELNYX_PUBLIC_KEY="x", MEDIA_TOKEN="x") == []


def test_webhooks_are_checked_by_signature_only() -> None:
    telnyx = PROVIDERS["telnyx"]
    keyed = guard(TELNYX_PUBLIC_KEY="x", MEDIA_TOKEN="ours")
    assert "telnyx-signature-ed25519" in keyed.refuse_webhook(telnyx, Request(url=URL))
    assert guard(MEDIA_TOKEN="ours").refuse_webhook(telnyx, Request(url=URL)) == ""


def test_our_markup_gives_the_token_to_whoever_must_bear_it() -> None:
    ours = guard(MEDIA_TOKEN="a b", TWILIO_AUTH_TOKEN="x", PLIVO_AUTH_TOKEN="x")
    query = {name: ours.stream_query(kind) for name, kind in PROVIDERS.items()}
    assert query["telnyx"] == query["jambonz"] == "?token=a+b"
    assert query["twilio"] == query["plivo"] == ""
    assert guard().stream_query(PROVIDERS["telnyx"]) == ""
