"""A call between two sessions of one process: two legs without a network, joined back to back.

What one session does with its leg happens at the other's, at the next tick: ringing, early media,
the answer, words, messages and the end. The audio is mu-law at 8 kHz.
"""

from __future__ import annotations

from voxpy.channels.simulated import SimulatedLeg
from voxpy.engine.ports import OutgoingCall

CHANNEL = "conference"


def joined_legs(call: OutgoingCall, leg_id: str) -> tuple[SimulatedLeg, SimulatedLeg]:
    """Return the leg of whoever calls, and that of the session which is called: ``leg_id``."""
    caller = SimulatedLeg(
        leg_id=call.leg_id,
        callerid=call.callerid,
        destination=call.destination,
        display_name=call.display_name,
        incoming=False,
        client_type=call.client_type,
    )
    called = SimulatedLeg(
        leg_id=leg_id,
        callerid=call.callerid,
        destination=call.destination,
        display_name=call.display_name,
        headers=call.headers,
        client_type=call.client_type,
    )
    for leg, other in ((caller, called), (called, caller)):
        leg.channel = CHANNEL
        leg.connect_far_end(_Across(other))
    return caller, called


class _Across:
    """Implements ``voxpy.channels.simulated.FarEnd``: what reaches one leg leaves by the other."""

    def __init__(self, other: SimulatedLeg) -> None:
        self._other = other

    def rings(self) -> None:
        self._other.callee.rings()

    def answered(self) -> None:
        if not self._other.incoming:
            self._other.callee.answers()

    def ended(self, code: int, reason: str) -> None:
        other = self._other
        if other.incoming or other.state == "connected":
            other.far_end_hangs_up()
        else:
            other.callee.refuses(code, reason)

    def hears(self, frame: bytes) -> None:
        other = self._other
        if other.state == "alerting" and not other.incoming:
            other.callee.sends_early_media()
        other.mouth.write(frame)

    def receives(self, kind: str, content: str) -> None:
        """Pass words on; digits are heard."""
        if kind == "message":
            self._other.far_end_sends_message(content)
        elif kind == "info":
            mime_type, _, body = content.partition(": ")
            self._other.far_end_sends_info(mime_type, body)
