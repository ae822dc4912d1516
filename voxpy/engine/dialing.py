"""Calls that cannot be made: they fail like any other, after the scenario has had its turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from voxpy.audio.frame import PCMU, Format
from voxpy.engine.ports import DialKind, Headers, LegEnded, LegEvent, OutgoingCall
from voxpy.media.unit import MediaPort

__all__ = ["SERVICE_UNAVAILABLE", "NoDialer", "RefusedLeg"]

SERVICE_UNAVAILABLE = 503
"""RFC 3261 section 21.5.4. Not 480: that says the callee is away, and scenarios try again."""

_MISSING: Mapping[DialKind, str] = {
    "pstn": "no trunk for phone numbers",
    "sip": "no SIP channel",
    "user": "no channel with users",
    "user_direct": "no channel with users",
    "whatsapp": "no trunk for WhatsApp",
    "conference": "no conference sessions",
}


class NoDialer:
    """Implements ``voxpy.engine.ports.Dialer`` for a host that can call nobody."""

    def dial(self, call: OutgoingCall) -> RefusedLeg:
        """Return a leg that ends with 503 and names what is missing."""
        reason = f"this host has {_MISSING[call.kind]}, so it cannot make this call"
        return RefusedLeg(call, SERVICE_UNAVAILABLE, reason)


class RefusedLeg:
    """Implements ``voxpy.engine.ports.Leg``: ends with ``code`` at the next tick of the media.

    Not at once, so that the scenario can still subscribe to the call that it is given.
    """

    channel = "none"
    incoming = False

    def __init__(self, call: OutgoingCall, code: int, reason: str) -> None:
        self.leg_id = call.leg_id
        self.client_type = call.client_type
        self.callerid = call.callerid
        self.destination = call.destination
        self.display_name = call.display_name
        self.headers: Headers = {}
        self.media = MediaPort(name=call.leg_id, source=_Ending(self), sink=_Deaf())
        self._end = LegEnded(code=code, reason=reason)
        self._report: Callable[[LegEvent], None] = lambda _: None

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report the end to ``report``, later."""
        self._report = report

    def end(self) -> None:
        """Report the end. The control ignores a second one."""
        self._report(self._end)

    def hangup(self, headers: Headers) -> None:
        """End it now."""
        self.end()

    def ring(self, headers: Headers) -> None:
        """Nobody is there."""

    start_early_media = answer = ring

    def reject(self, code: int, headers: Headers) -> None:
        """Nobody is there."""

    def handle_tones(self, enabled: bool) -> None:
        """Nobody is there."""

    def send_digits(self, digits: str) -> None:
        """Nobody is there."""

    send_message = send_digits

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Nobody is there."""

    async def aclose(self) -> None:
        """There is nothing to free."""


class _Ending:
    format: Format = PCMU

    def __init__(self, leg: RefusedLeg) -> None:
        self._leg = leg

    def pull(self) -> bytes | None:
        self._leg.end()
        return None


class _Deaf:
    format: Format = PCMU

    def push(self, frame: bytes) -> None:
        pass
