"""What the owner of a call over SIP is told, in the order in which it happened. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from voxpy.wire.sip.agent import Event, Flow
from voxpy.wire.sip.message import Request, Response
from voxpy.wire.sip.transactions import ServerTransaction
from voxpy.wire.sip.values import Address

if TYPE_CHECKING:
    from voxpy.wire.sip.call import SipCall


@attrs.frozen(kw_only=True, eq=False)
class CallEvent(Event):
    """Something about a call."""

    call: SipCall


@attrs.frozen(kw_only=True, eq=False)
class Invited(CallEvent):
    """Somebody calls. ``sdp`` is empty where we are to make the offer."""

    request: Request
    flow: Flow
    sdp: bytes


@attrs.frozen(kw_only=True, eq=False)
class Progress(CallEvent):
    """Our INVITE has a provisional answer: 180 rings, 183 may have audio before the answer."""

    response: Response
    sdp: bytes


@attrs.frozen(kw_only=True, eq=False)
class Connected(CallEvent):
    """The call is up. ``sdp`` is what the other end said last, in its 2xx or its ACK."""

    sdp: bytes
    response: Response | None = None
    """The 2xx, if we called."""


@attrs.frozen(kw_only=True, eq=False)
class Failed(CallEvent):
    """Our INVITE was not answered with a 2xx. ``response`` is None if nobody answered: a 408."""

    status: int
    reason: str
    response: Response | None = None


@attrs.frozen(kw_only=True, eq=False)
class Cancelled(CallEvent):
    """The caller gave up before we answered."""

    request: Request


@attrs.frozen(kw_only=True, eq=False)
class Ended(CallEvent):
    """A call that was up is over. ``request`` is their BYE; if there is none, ``why`` says why."""

    request: Request | None = None
    why: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Offer(CallEvent):
    """The other end changes the call: hold, another address, other formats. Answer it once.

    ``sdp`` is empty for a re-INVITE that asks us for an offer.
    """

    sdp: bytes
    request: Request
    transaction: ServerTransaction

    def accept(self, sdp: bytes, now: float, headers: Mapping[str, str] | None = None) -> None:
        """Answer with 200."""
        self.call.accept_offer(self.transaction, sdp, now, headers or {})

    def refuse(self, now: float, status: int = 488) -> None:
        """Leave the call as it was."""
        self.call.respond(self.transaction, self.request.response(status), now)


@attrs.frozen(kw_only=True, eq=False)
class OfferAnswered(CallEvent):
    """Our offer within the call was taken."""

    sdp: bytes


@attrs.frozen(kw_only=True, eq=False)
class OfferRefused(CallEvent):
    """Our offer within the call was not taken; the call is as it was."""

    status: int
    reason: str


@attrs.frozen(kw_only=True, eq=False)
class InfoReceived(CallEvent):
    """An INFO; it has been answered. ``content_type`` is in lower case."""

    content_type: str
    body: bytes
    request: Request


@attrs.frozen(kw_only=True, eq=False)
class MessageReceived(CallEvent):
    """A MESSAGE; it has been answered."""

    content_type: str
    body: bytes
    request: Request


@attrs.frozen(kw_only=True, eq=False)
class Referral(CallEvent):
    """The other end asks us to call somebody (RFC 3515). Answer it once, then tell how it goes."""

    target: Address
    request: Request
    transaction: ServerTransaction

    def accept(self, now: float) -> None:
        """Answer with 202; ``call.requests.notify_referral`` is to follow."""
        self.call.respond(self.transaction, self.request.response(202), now)
        self.call.requests.notify_referral(100, "Trying", now)

    def refuse(self, now: float, status: int = 603) -> None:
        """Refuse."""
        self.call.respond(self.transaction, self.request.response(status), now)


@attrs.frozen(kw_only=True, eq=False)
class ReferralProgress(CallEvent):
    """How the call that we asked the other end for is doing; 200 and more is the last word."""

    status: int
    reason: str
    over: bool
    """Whether nothing follows, as the NOTIFY says."""


@attrs.frozen(kw_only=True, eq=False)
class Done(CallEvent):
    """A request of ours in the call (INFO, MESSAGE, REFER) was answered; 408 if it was not."""

    method: str
    status: int
    reason: str
    response: Response | None = None
