"""The opening handshake, both roles: RFC 6455 section 4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.wire.websocket.handshake import (
    Accepted,
    ClientHandshake,
    Refused,
    ServerHandshake,
    UpgradeRequest,
)

NONCE = b"the sample nonce"  # section 1.3: key dGhlIHNhbXBsZSBub25jZQ==
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ASK = (
    b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)


def client(**options: object) -> ClientHandshake:
    fields = {"host": "a.test:8080", "target": "/p?q=1", "nonce": NONCE, **options}
    return ClientHandshake(**fields)  # type: ignore[arg-type]


def test_both_roles_agree() -> None:
    ours = client(headers=[("Authorization", "Basic a2V5")], subprotocols=["a", "b"])
    theirs = ServerHandshake()
    request = theirs.receive(ours.request())
    assert request is not None
    assert request.target == "/p?q=1"
    assert request.subprotocols == ("a", "b")
    assert request.header("Authorization") == "Basic a2V5"
    assert request.header("host") == "a.test:8080"
    assert request.header("cookie") is None
    answer = theirs.accept("b", [("X-More", "yes")])
    assert ACCEPT in answer
    accepted = ours.receive(answer + b"\x81\x00")
    assert isinstance(accepted, Accepted)
    assert (accepted.subprotocol, accepted.rest) == ("b", b"\x81\x00")
    assert ("x-more", "yes") in accepted.headers


@given(st.data())
def test_however_both_sides_bytes_are_cut(data: st.DataObject) -> None:
    ours, theirs = client(), ServerHandshake()

    def cut(wire: bytes) -> list[bytes]:
        at = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=9)))
        return [wire[a:b] for a, b in zip([0, *at], [*at, len(wire)], strict=True)]

    requests = [theirs.receive(part) for part in cut(ours.request())]
    assert requests[:-1] == [None] * (len(requests) - 1)
    assert isinstance(requests[-1], UpgradeRequest)
    outcomes = [ours.receive(part) for part in cut(theirs.accept())]
    assert outcomes[:-1] == [None] * (len(outcomes) - 1)
    assert isinstance(outcomes[-1], Accepted)


@pytest.mark.parametrize("role", [client, ServerHandshake])
@given(data=st.lists(st.binary(max_size=80), max_size=4))
def test_any_bytes_give_an_outcome_or_one_error(role: type, data: list[bytes]) -> None:
    side = role()
    try:
        for part in [b"HTTP/1.1 ", *data, b""]:
            if side.receive(part) is not None:
                return
    except RemoteProtocolError:
        pass


# -- the client judges the answer ------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH + b"\r\n",
        SWITCH + b"Sec-WebSocket-Accept: bm9uc2Vuc2U=\r\n\r\n",
        SWITCH.replace(b"websocket", b"h2c") + b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n",
        SWITCH.replace(b"n: Upgrade", b"n: close")
        + b"Sec-WebSocket-Accept: "
        + ACCEPT
        + b"\r\n\r\n",
        SWITCH + b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nSec-WebSocket-Protocol: x\r\n\r\n",
        SWITCH
        + b"Sec-WebSocket-Accept: "
        + ACCEPT
        + b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x0a",
    ],
)
def test_an_answer_that_is_no_handshake(answer: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="no WebSocket handshake; it had answered '"):
        client().receive(answer)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Swi"])
def test_an_answer_that_breaks_off(answer: bytes) -> None:
    ours = client()
    assert not answer or ours.receive(answer) is None
    with pytest.raises(
        RemoteProtocolError, match="closed the connection during the handshake"
    ) as e:
        ours.receive(b"")
    assert answer.decode() in str(e.value)


def test_a_refusal_with_headers_and_body() -> None:
    theirs = ServerHandshake()
    assert theirs.receive(client().request())
    ours = client()
    refused = ours.receive(theirs.refuse(403, body=b'{"no":1}', headers=[("X-Why", "because")]))
    assert isinstance(refused, Refused)
    assert (refused.status, refused.body) == (403, b'{"no":1}')
    assert ("x-why", "because") in refused.headers


def test_a_refusal_whose_body_has_not_ended_is_known() -> None:
    ours = client()
    assert ours.receive(b"HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\npart") is None
    assert ours.refused == Refused(status=401, headers=(("content-length", "100"),), body=b"part")
    assert ours.receive(b"") == ours.refused  # broken off: its status counts


def test_a_refusals_body_is_cut() -> None:
    refused = client().receive(b"HTTP/1.1 500 No\r\n\r\n" + b"x" * 100_000)
    assert isinstance(refused, Refused)
    assert refused.body == b"x" * 65536


def test_an_interim_answer_is_skipped() -> None:
    ours = client()
    assert ours.receive(b"HTTP/1.1 100 Continue\r\n\r\n") is None
    good = SWITCH + b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    assert isinstance(ours.receive(good), Accepted)


@pytest.mark.parametrize(
    "options",
    [{"headers": [("X", "a\r\nY: b")]}, {"target": "/a b"}, {"headers": [("X", "ключ")]}],
)
def test_what_no_request_can_carry(options: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        client(**options)


# -- the server judges the request -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "why"),
    [
        (ASK.replace(b"GET", b"POST"), 400, "GET of HTTP/1.1"),
        (ASK.replace(b"HTTP/1.1", b"HTTP/1.0"), 400, "GET of HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 426, "not a WebSocket upgrade"),
        (ASK.replace(b"keep-alive, Upgrade", b"close"), 426, "not a WebSocket upgrade"),
        (ASK.replace(b"n: 13", b"n: 8"), 426, "another WebSocket version"),
        (ASK.replace(b"dGhl", b""), 400, "Sec-WebSocket-Key"),
        (ASK.replace(b"Sec-WebSocket-Key", b"X-Key"), 400, "Sec-WebSocket-Key"),
        (ASK + b"Content-Length: 5\r\n", 400, "a body follows"),
        (b"nonsense\r\n", 400, "no HTTP request"),
        (ASK + b"X-Long: " + b"x" * 70_000, 431, "no HTTP request"),
    ],
)
def test_a_request_that_is_no_upgrade_is_answered(request_: bytes, status: int, why: str) -> None:
    theirs = ServerHandshake()
    with pytest.raises(RemoteProtocolError, match=why):
        theirs.receive(request_ + b"\r\n")
    assert theirs.answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in theirs.answer


@pytest.mark.parametrize("said", [b"", b"GET / HT"])
def test_a_client_that_leaves_before_its_request(said: bytes) -> None:
    theirs = ServerHandshake()
    assert not said or theirs.receive(said) is None
    with pytest.raises(RemoteProtocolError, match="left before a request"):
        theirs.receive(b"")


def test_frames_behind_the_request_are_kept() -> None:
    theirs = ServerHandshake()
    assert theirs.receive(ASK + b"\r\n\x81\x80abcd") is not None
    assert theirs.rest == b"\x81\x80abcd"
    assert ACCEPT in theirs.accept()


def test_an_answer_that_cannot_be_given() -> None:
    theirs = ServerHandshake()
    assert theirs.receive(ASK + b"\r\n") is not None
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        theirs.refuse(99)
    with pytest.raises(LocalProtocolError, match="cannot be sent"):
        theirs.accept(headers=[("bad name", "x")])
