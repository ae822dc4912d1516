"""The codec against another implementation: the sans-IO layer of the websockets library."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.wire.websocket.protocol import Closed, Ping, Pong, Role, WebSocketProtocol

library: Any = pytest.importorskip("websockets.protocol", reason="the conformance extra has it")

LIMIT = 5000
ROLES = st.sampled_from(["client", "server"])

messages = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=300),
    st.builds(Ping, st.binary(max_size=125)),
)


def protocol(role: Role) -> WebSocketProtocol:
    return WebSocketProtocol(role, new_mask=lambda: b"\x9c\x01\xff\x00", max_message_bytes=LIMIT)


def far_side(role: Role) -> Any:
    side = library.Side.SERVER if role == "client" else library.Side.CLIENT
    return library.Protocol(side, max_size=LIMIT)


def heard(protocol: Any) -> list[tuple[str, bytes]]:
    return [(f.opcode.name, bytes(f.data)) for f in protocol.events_received()]


@given(ROLES, st.lists(messages, max_size=6))
def test_the_websockets_library_reads_what_we_write(
    role: Role, sent: list[str | bytes | Ping]
) -> None:
    ours, theirs, expected = protocol(role), far_side(role), []
    for message in sent:
        if isinstance(message, Ping):
            theirs.receive_data(ours.ping(message.payload))
            expected.append(("PING", message.payload))
        else:
            theirs.receive_data(ours.message(message))
            name = "TEXT" if isinstance(message, str) else "BINARY"
            raw = message.encode() if isinstance(message, str) else message
            expected.append((name, raw))
    assert heard(theirs) == expected
    pongs = ours.receive(b"".join(theirs.data_to_send()))
    assert pongs == [Pong(m.payload) for m in sent if isinstance(m, Ping)]
    theirs.receive_data(ours.close(4001, "enough"))
    assert (theirs.close_rcvd.code, theirs.close_rcvd.reason) == (4001, "enough")
    assert ours.receive(b"".join(theirs.data_to_send())) == [Closed(4001, "enough")]


@given(ROLES, st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=6))
def test_we_read_what_the_websockets_library_writes(role: Role, sent: list[str | bytes]) -> None:
    ours, theirs = protocol(role), far_side(role)
    for message in sent:
        if isinstance(message, str):
            half = len(message) // 2  # in two fragments
            theirs.send_text(message[:half].encode(), fin=False)
            theirs.send_continuation(message[half:].encode(), fin=True)
        else:
            theirs.send_binary(message)
    theirs.send_close(1001, "going")
    received = ours.receive(b"".join(theirs.data_to_send()))
    assert received == [*sent, Closed(1001, "going")]
    theirs.receive_data(ours.outgoing())
    assert theirs.close_rcvd.code == 1001
