"""Messages: RFC 4475's torture, folding, compact forms, framing of streams, mutations."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.message import (
    MOST_BODY_BYTES,
    MOST_HEAD_BYTES,
    BadMessage,
    Headers,
    Request,
    Response,
    StreamReader,
    parse_message,
)
from voxpy.wire.sip.values import (
    Uri,
    parse_address,
    parse_params,
    parse_uri,
    parse_via,
    split_list,
)

TORTURE = next(
    (p / "shared/data/rfc4475" for p in Path(__file__).parents if (p / "shared/data").is_dir()),
    Path("nowhere"),
)
INVALID = set(
    "badinv01 clerr ncl scalar02 scalarlg quotbal ltgtruri lwsruri lwsstart trws escruri baddate "
    "regbadct badaspec baddn badvers mismatch01 mismatch02 bigcode "
    # section 3.3: no message that makes sense, which the transport can see as well as anybody
    "insuf multi01 mcl01".split()
)
OPTIONS = (
    b"OPTIONS sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n"
    b"Call-ID: 1@example.com\r\nCSeq: 7 OPTIONS\r\n"
)


@pytest.mark.skipif(not TORTURE.is_dir(), reason="RFC 4475's messages are not beside the project")
def test_torture_messages() -> None:
    refused = set()
    for path in TORTURE.glob("*.dat"):
        try:
            parse_message(path.read_bytes())
        except BadMessage:
            refused.add(path.stem)
    assert refused == INVALID


def message(*lines: bytes, body: bytes = b"") -> Request:
    found = parse_message(OPTIONS + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)
    assert isinstance(found, Request)
    return found


def test_names_in_any_case_folded_or_compact() -> None:
    found = message(b"s: one", b"sUBJECT :two", b"Supported: a,", b"\t b")
    assert found.headers.all("Subject") == ["one", "two"]
    assert found.headers.elements("k") == ["a", "b"]


def test_what_is_written_is_read_again() -> None:
    request = message(b'Contact: "A, B" <sip:a@h;lr>;q=0.5', body=b"hello")
    request.headers.add("X-Odd", "one\r\nTwo: three")
    again = parse_message(request.to_bytes())
    assert isinstance(again, Request)
    assert again.headers.get("X-Odd") == "one Two: three", "no header of its own making"
    assert again.headers.get("Two") is None
    assert again.body == b"hello"
    assert str(again.contact) == '"A, B" <sip:a@h;lr>;q=0.5'


def test_a_response_goes_back_the_way_the_request_came() -> None:
    request = message()
    request.headers.insert("Via", "SIP/2.0/UDP proxy;branch=z9hG4bK2")
    request.headers.add("Record-Route", "<sip:proxy;lr>")
    response = parse_message(request.response(200, to_tag="9").to_bytes())
    assert isinstance(response, Response)
    assert [v.host for v in response.vias] == ["proxy", "10.0.0.1"]
    assert response.to.tag == "9"
    assert response.headers.get("Record-Route") == "<sip:proxy;lr>"
    assert request.response(100, to_tag="9").to.tag == ""
    assert request.response(486, to_tag="9").headers.get("Record-Route") is None


@pytest.mark.parametrize(
    ("data", "status", "answered"),
    [
        (OPTIONS.replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia") + b"\r\n", 505, True),
        (OPTIONS + b"Content-Length: 10\r\n\r\nshort", 400, True),
        (OPTIONS + b"no header\r\n\r\n", 400, True),
        (OPTIONS.replace(b"OPTIONS sip", b"INVITE sip") + b"\r\n", 400, True),
        (OPTIONS.replace(b"Via: SIP/2.0/UDP 10", b"Via: nothing 10") + b"\r\n", 400, False),
        (OPTIONS, 400, False),
        (b"SIP/2.0 99 Low\r\n\r\n", 400, False),
        (OPTIONS + b"X: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n", 513, False),
        (OPTIONS + b"X: 1\r\n" * 2000 + b"\r\n", 513, False),
    ],
)
def test_what_is_no_message(data: bytes, status: int, answered: bool) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_message(data)
    assert (caught.value.status, caught.value.request is not None) == (status, answered)


@pytest.mark.parametrize(
    "text",
    [
        "sip:", "bob", "sip:@h", "sip:a b@h", "sip:a@h:99999", "sip:a@h:12x", "sip:a@b@c",
        "sip:<a>@h", "sip:a@h;=x", "sip:a@h;a=", ":x",
    ],
)  # fmt: skip
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_uri(text)


def test_uris() -> None:
    found = parse_uri("sips:+1%2055;x=1:pw@[2001:db8::1]:5061;transport=TCP;lr?Subject=a")
    assert found == Uri(
        scheme="sips",
        user="+1%2055;x=1:pw",
        host="[2001:db8::1]",
        port=5061,
        params={"transport": "TCP", "lr": None},
        headers="Subject=a",
    )
    assert (found.user_text, found.transport) == ("+1 55;x=1", "tcp")
    assert str(parse_uri("tel:+1555")) == "tel:+1555"


def test_addresses_and_lists() -> None:
    texts = list(split_list('"A, \\"B\\"" <sip:a@h?x=1,2>, sip:c@h;tag=3 ,<tel:5>'))
    addresses = [parse_address(text) for text in texts]
    assert [a.display_name for a in addresses] == ['A, "B"', "", ""]
    assert addresses[1].tag == "3"
    assert addresses[1].uri.params == {}, "behind a URI without brackets they are the header's"
    assert parse_params(';a ; b = "x;y" ;a=2') == {"a": None, "b": '"x;y"'}
    via = parse_via("SIP / 2.0 / tcp h : 5061 ;branch=z9hG4bK1;rport")
    assert (via.transport, via.sent_by, via.params["rport"]) == ("TCP", "h:5061", None)


@pytest.mark.parametrize("text", ['"a', "<sip:a@h", '"a" sip:b@h', "A, B <sip:a@h>", "<sip:a@h>x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_address(text)


def test_headers_change_in_place() -> None:
    headers = Headers([("Via", "1"), ("To", "a"), ("v", "2")])
    headers.set("Via", "3")
    assert list(headers) == [("Via", "3"), ("To", "a")]
    headers.insert("Via", "0")
    assert headers.all("via") == ["0", "3"]
    headers.remove("VIA")
    assert "Via" not in headers


# -- streams ---------------------------------------------------------------------------------------

BODIED = OPTIONS + b"l: 5\r\n\r\nhello"
EMPTY = OPTIONS + b"Content-Length: 0\r\n\r\n"


@given(st.lists(st.integers(1, 400), max_size=12), st.lists(st.sampled_from([BODIED, EMPTY])))
def test_a_stream_may_be_cut_anywhere(cuts: list[int], messages: list[bytes]) -> None:
    reader, data, got = StreamReader(), b"\r\n\r\n".join(messages), []
    for size in [*cuts, len(data)]:
        got += list(reader.feed(data[:size]))
        data = data[size:]
    assert [m.body for m in got if isinstance(m, Request)] == [
        b"hello" if m is BODIED else b"" for m in messages
    ]
    assert reader.keepalives == max(0, len(messages) - 1)


def test_a_stream_goes_on_behind_a_bad_message_and_is_lost_without_a_length() -> None:
    bad = BODIED.replace(b"From", b"Fr\x00m")
    first, second = StreamReader().feed(bad + BODIED)
    assert isinstance(first, BadMessage)
    assert isinstance(second, Request)
    for data in (
        OPTIONS + b"\r\n",
        OPTIONS + b"l: 1\r\nl: 2\r\n\r\n",
        b"x" * (MOST_HEAD_BYTES + 1),
    ):
        with pytest.raises(BadMessage):
            list(StreamReader().feed(data))
    huge = OPTIONS + f"l: {MOST_BODY_BYTES + 1}\r\n\r\n".encode()
    with pytest.raises(BadMessage, match="too large"):
        list(StreamReader().feed(huge))


# -- anything --------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    found = [path.read_bytes() for path in sorted(TORTURE.glob("*.dat"))]
    return found or [BODIED, EMPTY]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 200))]
            case 3:
                data[at:at] = draw(
                    st.sampled_from([b'"', b"<", b"\r\n ", b";=", b",", b"\\", b"\x00"])
                )
    return bytes(data)


@given(mutated())
def test_nothing_but_its_own_error_for_anything(data: bytes) -> None:
    try:
        found = parse_message(data)
    except BadMessage as bad:
        if bad.request is not None:
            bad.request.response(bad.status, to_tag="t").to_bytes()
        return
    again = parse_message(found.to_bytes())
    assert again.body == found.body


@pytest.mark.parametrize(
    "name", ["a" * 5000 + "(", "a " * 3000 + "(", "a.b" * 2000 + "\x01", "-" * 8000 + "="]
)
def test_a_display_name_is_read_in_one_walk(name: str) -> None:
    """This took for ever once: every letter doubled the ways to read the ones before."""
    with pytest.raises(RemoteProtocolError):
        parse_address(f"{name} <sip:a@b>")
