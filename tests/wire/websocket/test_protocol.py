"""An open WebSocket case by case: RFC 6455 sections 5 to 7, in the order of Autobahn's test suite."""

# ruff: noqa: E501  tables read better in whole lines

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from voxpy.errors import LocalProtocolError
from voxpy.wire.websocket.protocol import (
    Closed,
    Event,
    Failed,
    Ping,
    Pong,
    Role,
    WebSocketProtocol,
    apply_mask,
)

KEY = b"\x37\xfa\x21\x3d"  # the RFC's own, section 5.7
LIMIT = 70_000
FINAL = 0x80
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ROLES: list[Role] = ["client", "server"]


def protocol(role: Role, limit_bytes: int = LIMIT) -> WebSocketProtocol:
    return WebSocketProtocol(role, new_mask=lambda: KEY, max_message_bytes=limit_bytes)


def frame(role: Role, first: int, payload: bytes = b"", *, size: bytes | None = None) -> bytes:
    """Return a frame as the far side of ``role`` sends it; ``size`` overrides the length field."""
    masked = 0x80 if role == "server" else 0
    if size is None:
        n = len(payload)
        size = (
            bytes([n])
            if n < 126
            else b"\x7e" + n.to_bytes(2, "big")
            if n < 65536
            else b"\x7f" + n.to_bytes(8, "big")
        )
    head = bytes([first, size[0] | masked]) + size[1:]
    return head + (KEY + apply_mask(payload, KEY) if masked else payload)


Feed = Callable[[WebSocketProtocol, bytes], list[Event]]


def at_once(side: WebSocketProtocol, data: bytes) -> list[Event]:
    return side.receive(data)


def byte_by_byte(side: WebSocketProtocol, data: bytes) -> list[Event]:
    return [event for n in range(len(data)) for event in side.receive(data[n : n + 1])]


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> Role:
    chosen: Role = request.param
    return chosen


@pytest.fixture(params=[at_once, byte_by_byte])
def feed(request: pytest.FixtureRequest) -> Feed:
    chosen: Feed = request.param
    return chosen


def failed(role: Role, feed: Feed, *frames: bytes) -> tuple[int, list[Event]]:
    """Feed what must fail; return the code, and the events before. The far side is told as much."""
    side = protocol(role)
    *events, last = feed(side, b"".join(frames))
    assert isinstance(last, Failed)
    told = read(role, side.outgoing())[-1]
    assert isinstance(told, Closed)
    assert (told.code, told.reason) == (last.code, last.reason)
    assert side.over
    assert side.receive(frame(role, FINAL | TEXT, b"more")) == []
    assert side.close() == b""
    return last.code, events


def read(role: Role, data: bytes) -> list[Event]:
    """Read what a side in this role wrote, as its far side does."""
    return protocol("server" if role == "client" else "client").receive(data)


# -- the RFC's own examples, section 5.7 ------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "wire", "expected"),
    [
        ("client", "810548656c6c6f", ["Hello"]),
        ("server", "818537fa213d7f9f4d5158", ["Hello"]),
        ("client", "010348656c80026c6f", ["Hello"]),
        ("client", "890548656c6c6f", [Ping(b"Hello")]),
        ("server", "8a8537fa213d7f9f4d5158", [Pong(b"Hello")]),
        ("client", "827e0100" + "61" * 256, [b"a" * 256]),
        ("client", "827f0000000000010000" + "61" * 65536, [b"a" * 65536]),
    ],
)
def test_the_examples_of_the_rfc(to: Role, wire: str, expected: list[Event], feed: Feed) -> None:
    assert feed(protocol(to), bytes.fromhex(wire)) == expected


# -- 1 and 2: messages of every size, pings and pongs -----------------------------------------------

SIZES = [0, 1, 2, 3, 4, 5, 7, 125, 126, 127, 128, 699, 700, 701, 702, 703, 65535, 65536, 65537]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_arrives_as_it_was(role: Role, size: int) -> None:
    sender = protocol("server" if role == "client" else "client")
    text, data = "x" * size, bytes(n % 251 for n in range(size))
    wire = sender.message(text) + sender.message(data) + sender.message(text.encode(), as_text=True)
    assert protocol(role).receive(wire) == [text, data, text]
    cut = len(wire) // 2
    side = protocol(role)
    assert side.receive(wire[:cut]) + side.receive(wire[cut:]) == [text, data, text]


def test_masking_is_its_own_inverse_at_every_length() -> None:
    for size in itertools.chain(range(20), range(690, 720)):
        payload = bytes((n * 7) % 256 for n in range(size))
        naive = bytes(b ^ KEY[n % 4] for n, b in enumerate(payload))
        assert apply_mask(payload, KEY) == naive
        assert apply_mask(naive, KEY) == payload


@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe", b"x" * 125])
def test_a_ping_is_answered_with_its_payload(role: Role, feed: Feed, payload: bytes) -> None:
    side = protocol(role)
    assert feed(side, frame(role, FINAL | PING, payload)) == [Ping(payload)]
    assert read(role, side.outgoing()) == [Pong(payload)]
    assert side.outgoing() == b""


def test_ten_pings_are_answered_in_order(role: Role, feed: Feed) -> None:
    side = protocol(role)
    pings = [b"ping %d" % n for n in range(10)]
    feed(side, b"".join(frame(role, FINAL | PING, p) for p in pings))
    assert read(role, side.outgoing()) == [Pong(p) for p in pings]


def test_a_pong_nobody_asked_for_is_reported_and_not_answered(role: Role, feed: Feed) -> None:
    side = protocol(role)
    assert feed(side, frame(role, FINAL | PONG, b"hm")) == [Pong(b"hm")]
    assert side.outgoing() == b""


def test_a_ping_of_ours_carries_its_payload(role: Role) -> None:
    assert read(role, protocol(role).ping(b"p")) == [Ping(b"p")]
    with pytest.raises(LocalProtocolError, match="125 bytes, not 126"):
        protocol(role).ping(b"x" * 126)


# -- 3 and 4: reserved bits and opcodes -------------------------------------------------------------


@pytest.mark.parametrize("bits", [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING])
def test_a_reserved_bit_is_an_error(role: Role, feed: Feed, bits: int, opcode: int) -> None:
    good = frame(role, FINAL | TEXT, b"before")
    assert failed(role, feed, good, frame(role, FINAL | opcode | bits)) == (1002, ["before"])


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_a_reserved_opcode_is_an_error(role: Role, feed: Feed, opcode: int) -> None:
    assert failed(role, feed, frame(role, FINAL | opcode, b"x")) == (1002, [])


def test_a_frame_masked_the_wrong_way_is_an_error(role: Role, feed: Feed) -> None:
    other: Role = "client" if role == "server" else "server"
    assert failed(role, feed, frame(other, FINAL | TEXT, b"x")) == (1002, [])


# -- 5: fragments -----------------------------------------------------------------------------------


def test_a_message_in_fragments_with_control_frames_between(role: Role, feed: Feed) -> None:
    side = protocol(role)
    wire = (
        frame(role, TEXT, b"one, ") + frame(role, FINAL | PING, b"p1") + frame(role, 0, b"")
        + frame(role, 0, b"two, ") + frame(role, FINAL | PONG, b"p2") + frame(role, FINAL, b"three")
        + frame(role, BINARY, b"\x00") + frame(role, FINAL, b"\xff") + frame(role, FINAL | TEXT, b"four")
    )  # fmt: skip
    assert feed(side, wire) == [Ping(b"p1"), Pong(b"p2"), "one, two, three", b"\x00\xff", "four"]
    assert read(role, side.outgoing()) == [Pong(b"p1")]


@pytest.mark.parametrize(
    "firsts",
    [[FINAL], [0], [FINAL | TEXT, FINAL], [TEXT, FINAL, FINAL], [TEXT, TEXT], [TEXT, FINAL | BINARY], [BINARY, FINAL | TEXT]],
)  # fmt: skip
def test_fragments_out_of_order(role: Role, feed: Feed, firsts: list[int]) -> None:
    assert failed(role, feed, *(frame(role, first, b"x") for first in firsts))[0] == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_whole_and_small(role: Role, feed: Feed, opcode: int) -> None:
    assert failed(role, feed, frame(role, opcode)) == (1002, [])
    assert failed(role, feed, frame(role, FINAL | opcode, b"x" * 126)) == (1002, [])


# -- 6: UTF-8 ---------------------------------------------------------------------------------------

GOOD_TEXTS = ["κόσμε", "\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "Hello-µ@ßöäüàá-UTF-8!!"]  # fmt: skip
BAD_TEXTS = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",  # a surrogate
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
    b"\x80", b"\xbf", b"\xfe", b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xce\xba\xe1",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD_TEXTS)
def test_text_arrives_however_it_is_cut_into_fragments(role: Role, feed: Feed, text: str) -> None:
    raw = text.encode()
    assert feed(protocol(role), frame(role, FINAL | TEXT, raw)) == [text]
    parts = [frame(role, TEXT)] + [frame(role, 0, raw[n : n + 1]) for n in range(len(raw))]
    assert feed(protocol(role), b"".join([*parts, frame(role, FINAL)])) == [text]


@pytest.mark.parametrize("raw", BAD_TEXTS)
def test_text_that_is_no_utf_8(role: Role, feed: Feed, raw: bytes) -> None:
    assert failed(role, feed, frame(role, FINAL | TEXT, raw)) == (1007, [])
    assert failed(role, feed, frame(role, TEXT, raw), frame(role, FINAL)) == (1007, [])
    assert protocol(role).receive(frame(role, FINAL | BINARY, raw)) == [raw]


def test_bad_text_is_told_with_its_fragment_not_at_the_end(role: Role, feed: Feed) -> None:
    assert failed(role, feed, frame(role, TEXT, b"good"), frame(role, 0, b"\xff")) == (1007, [])


# -- 7: closing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])  # fmt: skip
def test_a_close_is_answered_with_its_code(role: Role, feed: Feed, code: int) -> None:
    side = protocol(role)
    body = code.to_bytes(2, "big") + "schön".encode()
    after = frame(role, FINAL | TEXT, b"late") + frame(role, FINAL | PING)
    assert feed(side, frame(role, FINAL | CLOSE, body) + after) == [Closed(code, "schön")]
    assert read(role, side.outgoing()) == [Closed(code, "")]
    assert side.over
    assert side.close_sent


def test_a_close_without_a_code(role: Role, feed: Feed) -> None:
    side = protocol(role)
    assert feed(side, frame(role, FINAL | CLOSE)) == [Closed(1005, "")]
    assert read(role, side.outgoing()) == [Closed(1005, "")]


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_a_close_code_that_must_not_be_sent(role: Role, feed: Feed, code: int) -> None:
    assert failed(role, feed, frame(role, FINAL | CLOSE, code.to_bytes(2, "big"))) == (1002, [])
    if code != 1005:  # the empty close frame
        with pytest.raises(LocalProtocolError, match=f"close code {code} cannot be sent"):
            protocol(role).close(code)


def test_a_close_of_one_byte_and_one_with_a_bad_reason(role: Role, feed: Feed) -> None:
    assert failed(role, feed, frame(role, FINAL | CLOSE, b"\x03")) == (1002, [])
    assert failed(role, feed, frame(role, FINAL | CLOSE, b"\x03\xe8\xff")) == (1007, [])
    assert feed(protocol(role), frame(role, FINAL | CLOSE, b"\x03\xe8" + b"r" * 123)) == [
        Closed(1000, "r" * 123)
    ]


def test_a_close_inside_fragments_ends_the_message(role: Role, feed: Feed) -> None:
    wire = frame(role, TEXT, b"half") + frame(role, FINAL | CLOSE, b"\x03\xe8")
    assert feed(protocol(role), wire) == [Closed(1000, "")]


def test_after_our_close_messages_still_come_and_nothing_is_sent(role: Role) -> None:
    side = protocol(role)
    assert read(role, side.close(1001, "bye")) == [Closed(1001, "bye")]
    with pytest.raises(LocalProtocolError, match="after the close frame"):
        side.message("late")
    assert side.receive(frame(role, FINAL | TEXT, b"still")) == ["still"]
    assert side.receive(frame(role, FINAL | PING, b"p")) == [Ping(b"p")]
    assert side.receive(frame(role, FINAL | CLOSE, b"\x03\xe9")) == [Closed(1001, "")]
    assert side.outgoing() == b""  # neither a pong nor a second close


def test_a_long_reason_is_cut_at_a_character(role: Role) -> None:
    (closed,) = read(role, protocol(role).close(1000, "ä" * 100))
    assert closed == Closed(1000, "ä" * 61)


# -- 9: limits --------------------------------------------------------------------------------------


def test_a_message_over_the_limit_is_refused_by_its_header(role: Role) -> None:
    side = protocol(role, limit_bytes=1000)
    assert side.receive(frame(role, FINAL | BINARY, b"x" * 1000)) == [b"x" * 1000]
    header = frame(role, FINAL | BINARY, b"x" * 1001)[:4]
    assert side.receive(header) == [Failed(1009, "a message of more than 1000 bytes")]


def test_fragments_count_together_and_control_frames_do_not(role: Role, feed: Feed) -> None:
    side = protocol(role, limit_bytes=10)
    part = (
        frame(role, BINARY, b"12345"),
        frame(role, FINAL | PING, b"x" * 100),
        frame(role, 0, b"67890"),
    )
    assert feed(side, b"".join(part)) == [Ping(b"x" * 100)]
    assert feed(side, frame(role, FINAL)) == [b"1234567890"]
    assert feed(side, frame(role, FINAL | TEXT, b"1234567890")) == ["1234567890"]
    assert feed(side, b"".join(part) + frame(role, FINAL, b"!"))[-1] == Failed(
        1009, "a message of more than 10 bytes"
    )


@pytest.mark.parametrize("size", [b"\x7e\x00\x7d", b"\x7e\x00\x00", b"\x7f" + (65535).to_bytes(8, "big"), b"\x7f" + (1 << 63).to_bytes(8, "big")])  # fmt: skip
def test_a_length_written_too_long(role: Role, feed: Feed, size: bytes) -> None:
    assert failed(role, feed, frame(role, FINAL | BINARY, b"", size=size)) == (1002, [])


def test_a_large_message_in_small_reads_is_kept_once() -> None:
    side = protocol("client", limit_bytes=1 << 20)
    wire = frame("client", FINAL | BINARY, bytes(1 << 20))
    events = [e for n in range(0, len(wire), 16) for e in side.receive(wire[n : n + 16])]
    assert events == [bytes(1 << 20)]


def test_a_client_asks_for_a_new_mask_for_every_frame_and_a_server_for_none() -> None:
    masks = iter([b"\x01\x00\x00\x00", b"\x02\x00\x00\x00"])
    client = WebSocketProtocol("client", new_mask=masks.__next__, max_message_bytes=LIMIT)
    assert client.message(b"\x00") == b"\x82\x81\x01\x00\x00\x00\x01"
    assert client.ping(b"\x00") == b"\x89\x81\x02\x00\x00\x00\x02"
    server = WebSocketProtocol("server", new_mask=masks.__next__, max_message_bytes=LIMIT)
    assert server.message(b"\x00") == b"\x82\x01\x00"
