"""Properties of the codec: any cut of any stream, and any bytes at all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from voxpy.wire.websocket.protocol import (
    Closed,
    Event,
    Failed,
    Ping,
    Pong,
    Role,
    WebSocketProtocol,
)

LIMIT = 5000
ROLES = st.sampled_from(["client", "server"])
OPCODES = st.sampled_from([0, 1, 2, 8, 9, 10])


def protocol(role: Role) -> WebSocketProtocol:
    return WebSocketProtocol(role, new_mask=lambda: b"\x9c\x01\xff\x00", max_message_bytes=LIMIT)


def other(role: Role) -> Role:
    return "client" if role == "server" else "server"


messages = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=300),
    st.builds(Ping, st.binary(max_size=125)),
)


@st.composite
def cut(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(wire)), max_size=20)))
    return [wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)]


@st.composite
def fragmented(draw: st.DrawFn, sender: WebSocketProtocol, message: str | bytes) -> bytes:
    """Return the frames of a message in fragments, with pings between, as ``sender`` writes."""
    raw = message.encode() if isinstance(message, str) else message
    parts = draw(cut(raw))
    wire = b""
    for n, part in enumerate(parts):
        opcode = (1 if isinstance(message, str) else 2) if n == 0 else 0
        final = 0x80 if n == len(parts) - 1 else 0
        wire += sender._frame(final | opcode, part)
        if not final and draw(st.booleans()):
            wire += sender.ping(b"between")
    return wire


@given(st.data(), ROLES, st.lists(messages, max_size=6), st.booleans())
def test_however_a_stream_is_cut_the_same_is_received(
    data: st.DataObject, role: Role, sent: list[str | bytes | Ping], closing: bool
) -> None:
    sender, wire = protocol(other(role)), b""
    for message in sent:
        if isinstance(message, Ping):
            wire += sender.ping(message.payload)
        elif data.draw(st.booleans()):
            wire += data.draw(fragmented(sender, message))
        else:
            wire += sender.message(message)
    wire += sender.close(1000, "done") if closing else b""
    side = protocol(role)
    events = [e for part in data.draw(cut(wire)) for e in side.receive(part)]
    between = Ping(b"between")
    expected: list[Event] = [*sent, *([Closed(1000, "done")] if closing else [])]
    assert [e for e in events if e != between] == [e for e in expected if e != between]
    whole = protocol(role)
    assert whole.receive(wire) == events
    assert whole.outgoing() == side.outgoing()


@st.composite
def nearly_frames(draw: st.DrawFn) -> bytes:
    """Return bytes that look like frames, most of them wrong somewhere."""
    first = draw(st.one_of(st.integers(0, 255), OPCODES.map(lambda o: 0x80 | o)))
    payload = draw(st.binary(max_size=140))
    length = draw(st.one_of(st.just(min(len(payload), 125)), st.integers(0, 127)))
    masked = draw(st.sampled_from([0, 0x80]))
    return bytes([first, masked | length]) + (b"\0\0\0\0" if masked else b"") + payload[:length]


@settings(max_examples=300)
@given(ROLES, st.lists(st.one_of(st.binary(max_size=60), nearly_frames()), max_size=8))
def test_any_bytes_give_messages_and_at_most_one_end(role: Role, chunks: list[bytes]) -> None:
    side = protocol(role)
    events = [e for chunk in chunks for e in side.receive(chunk)]
    ends = [n for n, e in enumerate(events) if isinstance(e, (Closed, Failed))]
    assert ends in ([], [len(events) - 1])
    assert all(isinstance(e, (str, bytes, Ping, Pong, Closed, Failed)) for e in events)
    answers = protocol(other(role)).receive(side.outgoing())  # what it answers is always sound
    assert not any(isinstance(e, Failed) for e in answers)
    assert any(isinstance(e, Closed) for e in answers) == bool(ends)
    together = protocol(role).receive(b"".join(chunks))
    assert together == events


@given(
    ROLES,
    st.lists(st.one_of(st.binary(max_size=60), nearly_frames()), max_size=8),
    st.integers(1, 4),
)
def test_turns_of_a_few_frames_give_the_same(role: Role, chunks: list[bytes], most: int) -> None:
    side = protocol(role)
    events: list[Event] = []
    for chunk in chunks:
        events += side.receive(chunk, most)
        assert side.took <= most
        while side.behind:
            events += side.receive(b"", most)
    together = protocol(role)
    assert together.receive(b"".join(chunks)) == events
    assert together.outgoing() == side.outgoing()
