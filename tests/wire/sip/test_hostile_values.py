"""Headers that are written to cost time."""

from __future__ import annotations

import pytest

from tests.wire.sip.network import Network
from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.message import BadMessage, parse_message
from voxpy.wire.sip.values import parse_address


@pytest.mark.parametrize("name", ["i" * 5000, "a " * 2500, "i" * 60 + "\x80"])
def test_a_display_name_is_read_once(name: str) -> None:
    """A hundred bytes took longer than anybody waits."""
    with pytest.raises(RemoteProtocolError, match="words has to be in quotes"):
        parse_address(f"{name}\x80<sip:a@h>")


def test_a_bad_message_with_a_bad_via_is_dropped_without_an_answer() -> None:
    agent = Network().end("alice", "10.0.0.1").agent
    with pytest.raises(BadMessage) as bad:
        parse_message(
            b"INVITE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa,,\r\n"
            b"From: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: c\r\n"
            b"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        )
    agent.receive(bad.value, Flow("UDP", "10.0.0.9", 5060), 0.0)
    assert (agent.dropped, agent.take()) == (1, [])
