"""What we say of ourselves: in the Via of a request, its Contact, the lists of what we can."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from voxpy.wire.sip.message import Request, Response
from voxpy.wire.sip.values import CSeq

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE, REFER, NOTIFY, UPDATE, PRACK"
SUPPORTED = "replaces, timer"
UNDERSTOOD = frozenset({"replaces", "timer", "100rel", "path"})
"""Options that may be required of us; 100rel is not offered, but spoken, path is for REGISTER."""


@attrs.frozen(kw_only=True)
class Identity:
    """``sent_by`` and ``contact`` give our address for a transport: ``host:port``, and a URI.

    ``new_id`` gives a random word for tags, branches and Call-IDs; ``jitter`` a number from 0 to 1.
    """

    product: str
    sent_by: Callable[[str], str]
    contact: Callable[[str], str]
    new_id: Callable[[], str]
    jitter: Callable[[], float]

    def via(self, transport: str) -> str:
        """Return a Via of ours with a new branch; ``rport`` asks where we look to come from."""
        name = transport.upper() or "UDP"
        return f"SIP/2.0/{name} {self.sent_by(name)};rport;branch=z9hG4bK{self.new_id()}"

    def sign(self, request: Request) -> Request:
        """Add what every request of ours says of us."""
        if request.method in ("INVITE", "UPDATE", "OPTIONS", "REFER"):
            request.headers.add("Allow", ALLOW)
            request.headers.add("Supported", SUPPORTED)
        request.headers.add("User-Agent", self.product)
        return request

    def again(self, request: Request, number: int) -> Request:
        """Return a request for another try: a new branch, the next number."""
        again = attrs.evolve(request, headers=request.headers.copy())
        again.headers.set("Via", self.via(request.via.transport))
        again.headers.set("CSeq", str(CSeq(number, request.method)))
        return again

    @staticmethod
    def describe(response: Response) -> None:
        """Add to a response what it is good for the other end to know of us."""
        response.headers.add("Allow", ALLOW)
        response.headers.add("Supported", SUPPORTED)
