"""Digest in both roles: the RFCs' own examples, staleness, replays, and what is no challenge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip import digest
from voxpy.wire.sip.digest import (
    Challenge,
    Verifier,
    answer,
    best_challenge,
    parse_challenge,
    parse_credentials,
)


def test_the_example_of_rfc_2617() -> None:
    challenge = parse_challenge(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    found = answer(
        challenge,
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle Of Life",
        cnonce="0a4f113b",
    )
    assert found.response == "6629fae49393a05397450978507c4ef1"


def test_the_example_of_rfc_7616() -> None:
    challenge = Challenge(
        realm="http-auth@example.org",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        algorithm="SHA-256",
        qop=("auth",),
    )
    found = answer(
        challenge,
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle of Life",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert found.response == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def proven(
    verifier: Verifier,
    asked: list[Challenge],
    *,
    now_s: float,
    count: int = 1,
    password: str = "secret",
) -> str:
    challenge = best_challenge([str(c) for c in asked])
    assert challenge is not None
    assert challenge.algorithm == "SHA-256", "the stronger one is taken"
    credentials = answer(
        challenge,
        method="REGISTER",
        uri="sip:h",
        username="bob",
        password=password,
        cnonce="c",
        count=count,
    )
    verdict = verifier.check(
        parse_credentials(str(credentials)),
        method="REGISTER",
        passwords={"bob": "secret"},
        now_s=now_s,
    )
    return "good" if verdict.good else "stale" if verdict.stale else "bad"


def test_a_server_believes_once() -> None:
    verifier = Verifier("voxpy", lambda: b"key")
    asked = verifier.challenges(100.0)
    assert proven(verifier, asked, now_s=101) == "good"
    assert proven(verifier, asked, now_s=102) == "stale", "the same count again"
    assert proven(verifier, asked, now_s=103, count=2) == "good"
    assert proven(verifier, asked, now_s=100 + digest.NONCE_S + 1, count=3) == "stale"
    assert proven(verifier, asked, now_s=104, count=4, password="guess") == "bad"
    other = Verifier("other", lambda: b"key")
    assert proven(other, other.challenges(100.0), now_s=101) == "good"


def test_a_nonce_that_is_no_longer_remembered_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "MOST_NONCES", 1)
    verifier = Verifier("voxpy", lambda: b"key")
    asked = verifier.challenges(100.0)
    assert proven(verifier, asked, now_s=101) == "good"
    other = verifier.challenges(101.0)[0]
    later = answer(other, method="M", uri="sip:h", username="bob", password="secret", cnonce="c")
    passwords = {"bob": "secret"}
    assert verifier.check(later, method="M", passwords=passwords, now_s=102).good
    assert proven(verifier, asked, now_s=102) == "stale"


def test_a_nonce_of_somebody_else_is_stale_not_good() -> None:
    theirs = Verifier("voxpy", lambda: b"other key").challenges(100.0)[0]
    found = answer(theirs, method="M", uri="sip:h", username="bob", password="secret", cnonce="c")
    verdict = Verifier("voxpy", lambda: b"key").check(
        found, method="M", passwords={"bob": "secret"}, now_s=100
    )
    assert (verdict.good, verdict.stale) == (False, True)


def test_which_challenge_is_answered() -> None:
    texts = [
        'Digest realm="a", nonce="1", algorithm=SHA-512-256',
        'Digest realm="b", nonce="2"',
        'Basic realm="c"',
        'Digest realm="d", nonce="3", qop="auth-int"',
    ]
    found = best_challenge(texts)
    assert found is not None
    assert found.realm == "b"
    assert best_challenge(texts[2:]) is None


@pytest.mark.parametrize(
    "text",
    ["", "Digest", "Basic x", 'Digest realm="a', "Digest realm", "Digest " + 'a="b", ' * 40],
)
def test_what_is_no_challenge(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_challenge(text)


@given(st.text(alphabet='Digest realm="\\,=nonce ', max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse_challenge, parse_credentials):
        try:
            read("Digest " + text)
        except RemoteProtocolError:
            continue
