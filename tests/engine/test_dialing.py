"""Calls that nobody can place: what they say of it, and that they keep to a leg's manners."""

from __future__ import annotations

import pytest

from voxpy.engine.ports import DialKind, LegEnded, LegEvent, NoDialer, OutgoingCall, RefusedLeg

KINDS: dict[DialKind, tuple[str, str]] = {
    "pstn": ("pstn", "no trunk for phone numbers"),
    "sip": ("sip", "no SIP channel"),
    "user": ("user", "no channel with users"),
    "user_direct": ("user", "no channel with users"),
    "whatsapp": ("wab", "no trunk for WhatsApp"),
    "conference": ("conference", "no conference sessions"),
}


def outgoing(kind: DialKind = "pstn") -> OutgoingCall:
    return OutgoingCall(leg_id="outgoing-1", kind=kind, destination="+1", callerid="+2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_without_channels_names_the_one_that_is_missing(kind: DialKind) -> None:
    client_type, missing = KINDS[kind]
    leg = NoDialer().dial(outgoing(kind))
    assert (leg.client_type, leg.incoming, leg.leg_id) == (client_type, False, "outgoing-1")
    reports: list[LegEvent] = []
    leg.bind(reports.append)
    assert reports == []
    assert leg.media.source is not None
    assert leg.media.source.pull() is None
    (end,) = reports
    assert isinstance(end, LegEnded)
    assert end.code == 503
    assert missing in end.reason


async def test_a_refused_leg_takes_every_command() -> None:
    leg = RefusedLeg(outgoing(), 403, "Call limit reached")
    reports: list[LegEvent] = []
    leg.bind(reports.append)
    leg.ring({})
    leg.start_early_media({})
    leg.answer({})
    leg.reject(486, {})
    leg.handle_tones(True)
    leg.send_digits("1")
    leg.send_message("x")
    leg.send_info("a/b", "c", {})
    assert leg.media.sink is not None
    leg.media.sink.push(leg.media.sink.format.silence)
    await leg.aclose()
    assert reports == []
    leg.hangup({})
    assert reports == [LegEnded(code=403, reason="Call limit reached")]


def test_the_password_is_not_shown() -> None:
    call = OutgoingCall(leg_id="o", kind="sip", destination="a", callerid="b", password="hunter2")
    assert "hunter2" not in repr(call)
