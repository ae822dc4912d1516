from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import LocalProtocolError
from voxpy.wire.realtime.endpoint import (
    authorization,
    check_request,
    refusal_reason,
    requested_model,
    session_url,
)

DEFAULT_URL = "wss://api.inworld.ai/api/v1/realtime/session"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (DEFAULT_URL, f"{DEFAULT_URL}?key=demo-1&protocol=realtime"),
        ("https://h/p", "wss://h/p?key=demo-1&protocol=realtime"),
        ("http://127.0.0.1:8080/p", "ws://127.0.0.1:8080/p?key=demo-1&protocol=realtime"),
        ("ws://h", "ws://h/?key=demo-1&protocol=realtime"),
        ("wss://h/p?key=mine", "wss://h/p?key=mine&protocol=realtime"),
        ("wss://h/p?key=", "wss://h/p?key=demo-1&protocol=realtime"),
        ("wss://h/p?a=1&protocol=x#f", "wss://h/p?key=demo-1&a=1&protocol=realtime"),
        ("wss://[::1]:9/p", "wss://[::1]:9/p?key=demo-1&protocol=realtime"),
    ],
)
def test_session_url(base: str, url: str) -> None:
    assert session_url(base, "demo-1") == url


@given(st.text(min_size=1).filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t)))
def test_any_key_arrives_as_it_was(key: str) -> None:
    url = session_url(DEFAULT_URL, key)
    assert url.isascii()
    assert parse_qs(urlsplit(url).query, keep_blank_values=True)["key"] == [key]
    assert check_request(url, [("Authorization", "Basic k")]) is None


@pytest.mark.parametrize(
    "base", ["", "ftp://h", "wss://", "h/p", "ws://[", "ws://h/\na", "ws:// h"]
)
def test_session_url_refuses(base: str) -> None:
    with pytest.raises(LocalProtocolError, match="URL"):
        session_url(base, "k")


def test_a_session_needs_a_key() -> None:
    with pytest.raises(LocalProtocolError, match="session key"):
        session_url(DEFAULT_URL, "")


@pytest.mark.parametrize(
    ("key", "scheme", "header"),
    [
        ("QUJDOmRlZg==", None, "Basic QUJDOmRlZg=="),
        ("aaa.bbb.ccc", None, "Bearer aaa.bbb.ccc"),
        ("a.b", None, "Basic a.b"),
        ("aaa.bbb.ccc", "basic", "Basic aaa.bbb.ccc"),
        ("QUJD", "bearer", "Bearer QUJD"),
        ("QUJD", "Bearer", "Bearer QUJD"),
    ],
)
def test_authorization(key: str, scheme: str | None, header: str) -> None:
    assert authorization(key, scheme) == header


@pytest.mark.parametrize(
    ("key", "scheme"),
    [("", None), ("a\r\nX: y", None), ("a b", None), ("ü", None), ("k", "digest")],
)
def test_authorization_refuses(key: str, scheme: str | None) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        authorization(key, scheme)
    assert len(key) < 3 or key not in str(caught.value)  # a key is a secret, also a broken one


AUTH = [(b"Host", b"h"), (b"authorization", b"Basic QUJD")]


@pytest.mark.parametrize(
    ("target", "headers", "status", "word"),
    [
        ("/s?key=k&protocol=realtime", AUTH, None, ""),
        (b"/s?protocol=realtime&key=k&x=1", [("Authorization", "bearer t")], None, ""),
        ("/s?protocol=realtime", AUTH, 400, "'key'"),
        ("/s?key=&protocol=realtime", AUTH, 400, "'key'"),
        ("/s?key=k", AUTH, 400, "'protocol'"),
        ("/s?key=k&protocol=webrtc", AUTH, 400, "'protocol'"),
        ("/s?key=k&protocol=realtime", [], 401, "missing"),
        ("/s?key=k&protocol=realtime", [("Authorization", "Basic ")], 401, "Basic <key>"),
        ("/s?key=k&protocol=realtime", [("Authorization", "Digest x")], 401, "Basic <key>"),
        (b"\xff", [(b"\xff", b"\xff")], 400, "'key'"),
    ],
)
def test_check_request(
    target: str | bytes,
    headers: list[tuple[str | bytes, str | bytes]],
    status: int | None,
    word: str,
) -> None:
    refusal = check_request(target, headers)
    assert (refusal and refusal.status) == status
    if refusal is not None:
        assert word in json.loads(refusal.body)["error"]["message"]
        assert word in refusal_reason(refusal.status, refusal.body)


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/v1/realtime?model=gpt-realtime", AUTH, None),
        ("/v1/realtime?model=m", [("api-key", "k")], None),
        ("/openai/realtime?api-version=1&deployment=d", [("API-Key", "k")], None),
        ("/openai/v1/realtime?model=m&api-key=k", [], None),
        (
            "/v1/realtime?model=m",
            [("Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.k")],
            None,
        ),
        ("/v1/realtime?model=m", [("Sec-WebSocket-Protocol", "openai-insecure-api-key.")], 401),
        ("/v1/realtime?model=m", [("Sec-WebSocket-Protocol", "realtime")], 401),
        ("/v1/realtime?model=m", [("api-key", " ")], 401),
        ("/v1/realtime?model=", AUTH, 400),
        ("/s?key=k&protocol=realtime", AUTH, None),
    ],
)
def test_addresses_and_keys_like_openais(
    target: str, headers: list[tuple[str | bytes, str | bytes]], status: int | None
) -> None:
    refusal = check_request(target, headers, openai=True)
    assert (refusal and refusal.status) == status
    if "key=k&protocol" not in target:
        assert check_request(target, headers) is not None


def test_the_model_in_an_address() -> None:
    assert requested_model("/v1/realtime?model=gpt-realtime") == "gpt-realtime"
    assert requested_model(b"/openai/realtime?deployment=mine&api-version=1") == "mine"
    assert requested_model("/s?key=k&protocol=realtime") is None


@given(st.binary() | st.text(), st.lists(st.tuples(st.binary(), st.binary())), st.booleans())
def test_check_request_never_raises(
    target: str | bytes, headers: list[tuple[str | bytes, str | bytes]], openai: bool
) -> None:
    refusal = check_request(target, headers, openai=openai)
    assert refusal is None or refusal.status in (400, 401)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "URL"),
        (401, "key was not accepted"),
        (402, "billing"),
        (403, "permissions"),
        (404, "no realtime endpoint"),
        (418, "refused"),
        (429, "too many"),
        (503, "try again later"),
    ],
)
def test_refusal_reasons_say_what_to_do(status: int, word: str) -> None:
    reason = refusal_reason(status, b"")
    assert str(status) in reason
    assert word in reason


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":{"message":"no credit"}}', "no credit"),
        (b'{"message":"no credit"}', "no credit"),
        (b'{"error":"no credit"}', "no credit"),
        ("no\ncredit\x1b[2J", "no credit [2J"),
        (b"<html>" + b"x" * 900, "…"),
        (b'{"error":{"code":5}}', '{"error":{"code":5}}'),
    ],
)
def test_refusal_reason_repeats_what_the_server_said(body: str | bytes, said: str) -> None:
    reason = refusal_reason(402, body)
    assert said in reason
    assert reason.isprintable()
    assert len(reason) < 350


@given(st.integers(100, 599), st.binary() | st.text())
def test_refusal_reason_never_raises(status: int, body: str | bytes) -> None:
    assert refusal_reason(status, body).startswith(f"HTTP {status}: ")


def test_a_body_nested_without_end_is_only_text() -> None:
    assert "HTTP 500" in refusal_reason(500, "[" * 100_000)
