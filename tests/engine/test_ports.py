"""The plain values that cross the engine's edge."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from voxpy.engine import ports

VALUES: dict[type[Any], dict[str, Any]] = {
    ports.Ringing: {},
    ports.EarlyMedia: {},
    ports.FirstAudio: {},
    ports.LegConnected: {},
    ports.LegEnded: {"code": 200, "reason": "OK"},
    ports.LegTone: {"tone": "5"},
    ports.LegSignal: {"name": "INVITE", "direction": "in", "text": "INVITE"},
    ports.LegTrouble: {"kind": "k", "text": "x"},
    ports.LegMessage: {"text": "hello"},
    ports.LegInfo: {"mime_type": "text/plain", "body": "x"},
    ports.LegHeld: {"held": True},
    ports.LegMedia: {"flow": True},
    ports.LegIdentified: {"who": "HUMAN"},
    ports.LegForwarded: {},
    ports.LegReInvite: {"what": "received"},
    ports.LegTransferAsked: {"to": "1002"},
    ports.LegTransferred: {"role": "target", "code": 200},
    ports.OutgoingCall: {"leg_id": "o", "kind": "sip", "destination": "a", "callerid": "b"},
    ports.Endpoint: {"host": "h", "port": 1, "tls": True},
    ports.RealtimeEndpoint: {"url": "ws://h/"},
}


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_they_are_frozen_and_keyword_only(kind: type[Any]) -> None:
    value = kind(**VALUES[kind])
    assert value == kind(**VALUES[kind])
    fields = attrs.fields(kind)
    assert all(field.kw_only for field in fields)
    for field in fields:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)


def test_every_event_of_a_leg_is_listed_here() -> None:
    assert set(ports.LegEvent.__subclasses__()) <= set(VALUES)


def test_no_two_events_share_their_headers() -> None:
    first, second = ports.Ringing(), ports.Ringing()
    assert first.headers is not second.headers
