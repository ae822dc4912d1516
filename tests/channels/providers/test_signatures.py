"""Signatures of requests: with the providers' own examples where they publish one."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import urlencode

import attrs
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from voxpy.channels.providers.http import (
    TOLERANCE_S,
    Request,
    Signature,
    bears_token,
    derived_token,
    segment,
)
from voxpy.channels.providers.plivo import plivo_signature
from voxpy.channels.providers.table import PROVIDERS
from voxpy.channels.providers.twilio import twilio_signature
from voxpy.errors import ConfigError

NOW = 1_800_000_000.0
SECRET = "a-secret-of-thirty-two-characters-or-more"
URL = "wss://calls.example/media/x"
SIGNATURES: dict[str, Signature] = {
    name: p.signature for name, p in PROVIDERS.items() if p.signature is not None
}


def check(provider: str, request: Request, secret: str = SECRET, now: float = NOW) -> str:
    return SIGNATURES[provider].problem(request, secret, now)


def test_twilios_own_example() -> None:
    """The form and the result of twilio.com/docs/usage/security, "Validating signatures"."""
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    assert twilio_signature("12345", url, form) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_plivo_signs_the_address_with_its_query_sorted_then_the_form_and_the_nonce() -> None:
    """As its SDKs build it: plivo/utils/signature_v3.py of github.com/plivo/plivo-python."""

    def signed(text: str) -> str:
        return b64encode(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256)).decode()

    base = "https://calls.example/voice/plivo"
    assert plivo_signature(SECRET, base, "77") == signed(f"{base}.77")
    assert plivo_signature(SECRET, f"{base}?b=2&a=1", "77") == signed(f"{base}?a=1&b=2.77")
    form = {"To": "2", "From": "1"}
    assert plivo_signature(SECRET, base, "77", form) == signed(f"{base}?From1To2.77")
    assert plivo_signature(SECRET, base + "?a=1", "77", form) == signed(f"{base}?a=1.From1To2.77")


def request(url: str, form: dict[str, str], headers: dict[str, str]) -> Request:
    if not form:
        return Request(url=url, headers=headers)
    headers = {**headers, "content-type": "application/x-www-form-urlencoded"}
    return Request(url=url, method="POST", body=urlencode(form).encode(), headers=headers)


def twilio(url: str = URL, **form: str) -> Request:
    return request(url, form, {"x-twilio-signature": twilio_signature(SECRET, url, form)})


def plivo(url: str = URL, **form: str) -> Request:
    headers = {
        "x-plivo-signature-v3": "old," + plivo_signature(SECRET, url, "77", form),
        "x-plivo-signature-v3-nonce": "77",
    }
    return request(url, form, headers)


def jwt(head: dict[str, Any], claims: dict[str, Any], secret: bytes = SECRET.encode()) -> str:
    def part(data: bytes) -> str:
        return urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = f"{part(orjson.dumps(head))}.{part(orjson.dumps(claims))}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), 'sha256'))}"


def vonage(body: bytes = b"", alg: str = "HS256", age_s: float = 0, **claims: Any) -> Request:
    token = jwt({"alg": alg, "typ": "JWT"}, {"iat": NOW - age_s, "iss": "Vonage", **claims})
    headers = {"authorization": f"Bearer {token}"}
    return Request(url=URL, method="POST" if body else "GET", headers=headers, body=body)


@pytest.mark.parametrize("make", [twilio, plivo])
def test_a_signature_fits_however_the_port_and_the_last_slash_are_written(make: Any) -> None:
    provider = make.__name__
    signed = make("wss://calls.example/media/x")
    assert check(provider, signed) == ""
    for same in ("wss://calls.example:443/media/x", "wss://calls.example/media/x/"):
        assert check(provider, attrs.evolve(signed, url=same)) == ""
    for other in ("wss://calls.example/media/y", "wss://evil.example/media/x", URL + "?a=1"):
        assert "does not fit the address" in check(provider, attrs.evolve(signed, url=other))


@pytest.mark.parametrize("make", [twilio, plivo])
def test_a_form_is_signed_as_well(make: Any) -> None:
    signed = make("https://calls.example/voice", From="+1", To="+2")
    assert check(make.__name__, signed) == ""
    forged = attrs.evolve(signed, body=b"From=%2B1&To=%2B3")
    assert "does not fit" in check(make.__name__, forged)


@pytest.mark.parametrize(
    ("provider", "problem"),
    [
        ("twilio", "there is no X-Twilio-Signature"),
        ("plivo", "there is no X-Plivo-Signature-V3"),
        ("vonage", "there is no Authorization"),
        ("telnyx", "there is no telnyx-signature-ed25519"),
    ],
)
def test_nothing_signed(provider: str, problem: str) -> None:
    assert check(provider, Request(url=URL)) == problem


def test_a_jwt_of_vonage() -> None:
    body = b'{"from":"1"}'
    fits = hashlib.sha256(body).hexdigest()
    assert check("vonage", vonage()) == ""
    assert check("vonage", vonage(body, payload_hash=fits)) == ""
    assert "of another body" in check("vonage", vonage(b"{}", payload_hash=fits))
    assert "of another body" in check("vonage", vonage(body)), "which it does not cover"
    assert "not signed with our secret" in check("vonage", vonage(), secret=SECRET[::-1])
    assert "not signed with our secret" in check("vonage", vonage(alg="none"))
    assert "was issued 301 s ago" in check("vonage", vonage(age_s=TOLERANCE_S + 1))
    assert "was issued -301 s ago" in check("vonage", vonage(age_s=-TOLERANCE_S - 1))


def test_ed25519_of_telnyx() -> None:
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    key, at, body = b64encode(raw).decode(), str(int(NOW)), b'{"data":{}}'
    signature = b64encode(private.sign(f"{at}|".encode() + body)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": at}
    good = Request(url=URL, headers=headers, body=body)
    assert check("telnyx", good, key) == ""
    assert check("telnyx", attrs.evolve(good, body=b"{}"), key).endswith("does not fit")
    assert check("telnyx", good, key, NOW + 301) == "it was signed 301 s ago"
    assert check("telnyx", good, "no key").endswith("does not fit")


@given(st.sampled_from(sorted(SIGNATURES)), st.text(max_size=80), st.text(max_size=20))
def test_whatever_stands_in_the_headers_is_refused_and_raises_nothing(
    provider: str, text: str, at: str
) -> None:
    headers = dict.fromkeys(
        ("x-twilio-signature", "x-plivo-signature-v3", "telnyx-signature-ed25519"), text
    )
    headers |= {"authorization": f"Bearer {text}", "telnyx-timestamp": at}
    for url in (URL, "wss://x:99999/media/x", "wss://[/x", "//["):
        assert check(provider, Request(url=url, headers=headers))


@pytest.mark.parametrize(
    ("url", "authorization", "bears"),
    [
        (URL + "?token=open-sesame&x=1", "", True),
        (URL, "Bearer open-sesame", True),
        (URL, "Basic " + b64encode(b"voxpy:open-sesame").decode(), True),
        (URL, "open-sesame", True),
        (URL, "", False),
        (URL + "?token=open", "", False),
        (URL, "Bearer open-sesame2", False),
        (URL, "Basic open-sesame!", False),
        (URL, "Basic " + b64encode(b"open-sesame:x").decode(), False),
        (URL + "?token=é", "", False),
    ],
)
def test_a_token_of_ours(url: str, authorization: str, bears: bool) -> None:
    request = Request(url=url, headers={"authorization": authorization})
    assert bears_token(request, "open-sesame") is bears


@pytest.mark.parametrize("name", SIGNATURES)
def test_what_a_provider_signs_it_also_accepts(name: str) -> None:
    signature = SIGNATURES[name]
    assert signature.source.startswith("https://")
    if signature.sign is None:
        assert not signature.streams
        return
    url = URL + "?from=%2B1"
    headers = PROVIDERS[name].stream_headers(
        url, {signature.secret: SECRET}.get, now=NOW, nonce="7"
    )
    signed = Request(url=url, headers={k.lower(): v for k, v in headers})
    assert check(name, signed) == ""
    assert check(name, signed, secret=SECRET[::-1])
    assert PROVIDERS[name].stream_headers(url, lambda name: None, now=NOW, nonce="7") == []


@pytest.mark.parametrize("at", ["9" * 400, "-1", "", "1e9"])
def test_a_timestamp_of_any_length_is_an_answer_not_an_error(at: str) -> None:
    headers = {"telnyx-signature-ed25519": "AAAA", "telnyx-timestamp": at}
    assert "there is no telnyx-timestamp" in check("telnyx", Request(url=URL, headers=headers))


@pytest.mark.parametrize("make", [twilio, plivo])
def test_only_what_is_signed_is_read(make: Any) -> None:
    signed = make("https://calls.example/voice?From=%2B1&To=%2B2")
    with_body = attrs.evolve(
        signed,
        body=b"From=%2B9&To=%2B9",
        headers={**signed.headers, "content-type": "application/x-www-form-urlencoded"},
    )
    assert with_body.method == "GET"
    assert with_body.fields == {"From": "+1", "To": "+2"}
    as_json = attrs.evolve(
        with_body,
        method="POST",
        body=b'{"From":"+9"}',
        headers={**signed.headers, "content-type": "application/json"},
    )
    assert "nothing else is signed" in check(make.__name__, as_json)


def test_a_form_of_a_hundred_thousand_fields_is_none() -> None:
    form = Request(
        url="https://h/voice?" + "a=1&" * 10_000,
        method="POST",
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=b"a=1&" * 16_000,
    )
    assert (form.form, form.fields) == ({}, {})


def test_the_token_of_one_provider_opens_no_other() -> None:
    tokens = {derived_token("master", name) for name in PROVIDERS}
    assert len(tokens) == len(PROVIDERS)
    assert all(len(token) == 32 and "master" not in token for token in tokens)
    assert derived_token("master", "telnyx") != derived_token("other", "telnyx")


@pytest.mark.parametrize("name", SIGNATURES)
def test_without_a_signature_nothing_is_reckoned(name: str) -> None:
    def reckon(request: Request, key: str, now: float) -> str:
        raise AssertionError("65 kB of a form, for nothing")

    signature = attrs.evolve(SIGNATURES[name], check=reckon)
    unsigned = Request(url=URL, method="POST", body=b"a=1&" * 16_000)
    assert signature.problem(unsigned, SECRET, NOW) == f"there is no {signature.header}"


@pytest.mark.parametrize("call_id", ["", ".", "..", "..."])
def test_no_id_leads_a_request_elsewhere(call_id: str) -> None:
    with pytest.raises(ConfigError, match="is no id"):
        segment(call_id)
    assert segment("../x") == "..%2Fx"
