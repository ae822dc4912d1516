"""What one address may ask for."""

from __future__ import annotations

import pytest
import trio

from tests.channels.sip.conftest import SipHosting
from voxpy.channels.sip.limits import MOST_ADDRESSES, SourceLimits
from voxpy.testing.sipphone import sip_phone


def admitted(limits: SourceLimits, address: str, count: int, now: float) -> int:
    return sum(limits.admits(address, now) for _ in range(count))


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    limits = SourceLimits(lambda address: address == "192.0.2.9")
    assert admitted(limits, "192.0.2.1", 500, 0.0) == 200
    assert admitted(limits, "192.0.2.1", 500, 1.0) == 50
    assert admitted(limits, "192.0.2.2", 500, 1.0) == 200, "others are not to blame"
    assert admitted(limits, "192.0.2.9", 500, 1.0) == 500, "a trunk"


def test_whoever_guesses_is_not_answered_for_a_while() -> None:
    limits = SourceLimits(lambda address: False)
    for n in range(20):
        assert limits.admits("192.0.2.1", float(n))
        limits.wrong("192.0.2.1", float(n))
    assert not limits.admits("192.0.2.1", 20.0)
    assert limits.admits("192.0.2.2", 20.0)
    assert limits.admits("192.0.2.1", 61.0)


def test_a_flood_of_addresses_costs_no_memory() -> None:
    limits = SourceLimits(lambda address: False)
    for n in range(MOST_ADDRESSES + 100):
        limits.admits(f"host{n}", 0.0)
    assert len(limits._addresses) == MOST_ADDRESSES


@pytest.mark.slow
async def test_a_guesser_is_shut_out_and_a_user_is_not(sip_host: SipHosting) -> None:
    users, words = "users: {anna: ANNA}\n", {"ANNA": "secret-a"}
    async with sip_host(routing=users, environ=words) as host:
        async with sip_phone(user="anna", password="guess", server=host.server) as stranger:
            for _ in range(20):
                assert await stranger.register() == 403
            with trio.move_on_after(1) as patience:
                await stranger.register()
            assert patience.cancelled_caught, "nobody answers"
        assert [e["data"]["problem"] for e in host.logged("connection refused")][-1:] == [
            "too many SIP requests"
        ]
        assert "secret" not in host.output.getvalue()
        assert "guess" not in host.output.getvalue()
