"""Transfers on a leg: REFER in both directions (RFC 3515, 5589), and Replaces (RFC 3891).

Three parts may be ours. As *transferor* we send a REFER: the far end calls somebody else, in an
attended transfer with a Replaces that names our call with that one, and NOTIFYs how it goes; when
it has worked we say BYE. As *transferee* we get a REFER: the scenario is asked, and what it says is
what the far end is NOTIFYd of. As *target* we get an INVITE with Replaces: the leg goes on with the
one who sent it, and the scenario notices nothing but another voice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from voxpy.engine import clock
from voxpy.engine.ports import (
    NOT_HANDLED,
    Leg,
    LegEnded,
    LegTransferAsked,
    LegTransferred,
    LegTrouble,
)
from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.dialog import Dialog
from voxpy.wire.sip.events import Done, Invited, Referral, ReferralProgress
from voxpy.wire.sip.message import Response
from voxpy.wire.sip.requests import REFERRAL_S
from voxpy.wire.sip.values import Uri, parse_address, parse_uri

if TYPE_CHECKING:
    from voxpy.channels.sip.leg import SipLeg
    from voxpy.wire.sip.agent import UserAgent

Headers = Mapping[str, str]
PENDING, TIMEOUT, BAD_REQUEST, GONE, DECLINE = 491, 408, 400, 481, 603
ESTABLISHED = 180
"""What a far end has to have got so far for its BYE to mean that it is with the other one now."""


class Transfers:
    """Implements ``voxpy.engine.ports.LegTransfers``; one in each direction at a time."""

    def __init__(self, leg: SipLeg) -> None:
        self._leg = leg
        self._handled = False
        self._asked: Referral | None = None
        self._answer_by = math.inf
        self._waits = False
        self._heard = 0
        self._outcome_by = math.inf

    @property
    def pending(self) -> bool:
        """Whether the far end has taken a transfer of ours and its outcome is not known."""
        return self._waits

    # -- the far end asks -------------------------------------------------------------------------

    def handle(self, enabled: bool) -> None:
        """Ask the scenario from now on, or nobody."""
        self._handled = enabled

    def asked(self, event: Referral) -> None:
        """Take a REFER."""
        now, target = clock.now(), event.target.uri
        if self._asked is not None:
            event.refuse(now, PENDING)
        elif not self._handled:
            event.refuse(now, DECLINE)
            self._leg.tell(LegTrouble(kind=NOT_HANDLED, text=str(target)))
        else:
            event.accept(now)
            self._asked, self._answer_by = event, now + REFERRAL_S
            told = {
                name: text
                for name, text in event.request.headers
                if name.lower().startswith("x-") or name == "Referred-By"
            }
            to = target.user_text or (target.opaque if not target.is_sip else str(target))
            self._leg.tell(LegTransferAsked(to=to, headers={**told, "Refer-To": str(target)}))

    def answer(self, code: int, reason: str) -> None:
        """Tell the far end how it goes."""
        if self._asked is None:
            return
        self._asked.call.requests.notify_referral(code, reason, clock.now())
        self._leg.wake()
        if code >= 200:
            self._asked, self._answer_by = None, math.inf

    # -- we ask -----------------------------------------------------------------------------------

    def ask(self, to: str, target: Leg | None, headers: Headers) -> None:
        """Send a REFER."""
        call = self._leg.sip
        if self._waits:
            self._failed(PENDING, "a transfer is under way")
            return
        below = getattr(target, "below", target)  # of the ways that it might have gone
        their_call = getattr(below, "sip", None)
        other = getattr(their_call, "dialog", None)
        if target is not None and (other is None or getattr(their_call, "state", "") != "up"):
            self._failed(GONE, "the other call is not a connected SIP call")
            return
        if call.dialog is None or call.state != "up":
            self._failed(GONE, "the call is not connected")
            return
        try:
            uri = self._uri(to, other)
        except RemoteProtocolError as error:
            self._failed(BAD_REQUEST, str(error))
            return
        self._waits, self._heard, self._outcome_by = True, 0, clock.now() + REFERRAL_S
        call.requests.refer(uri, clock.now(), replaces=other, headers=headers)
        self._leg.wake()

    def _uri(self, to: str, other: object) -> Uri:
        """Return where the far end is sent. A bare number is one of whoever it is registered at."""
        if to.startswith(("sip:", "sips:", "tel:")):
            return parse_uri(to)
        if other is not None:
            target: Uri = other.remote_target  # type: ignore[attr-defined]
            return target
        if "@" in to:
            return parse_uri(f"sip:{to}")
        dialog = self._leg.sip.dialog
        assert dialog is not None
        home = dialog.remote.uri
        if self._leg.client_type == "user":
            home = parse_address(dialog.contact).uri
        return Uri(user=escaped_user(to), host=home.host, port=home.port)

    def done(self, event: Done) -> None:
        """Take the answer to our REFER."""
        if not self._waits:
            return
        if event.status >= 300:
            self._failed(event.status, event.reason)
        elif _says_no_more(event.response):
            self._complete()

    def progress(self, event: ReferralProgress) -> None:
        """Take what a NOTIFY says of the call we asked for."""
        if not self._waits:
            return
        self._heard = max(self._heard, event.status)
        if 200 <= event.status < 300:
            self._complete()
        elif event.over:
            code = event.status if event.status >= 300 else TIMEOUT
            self._failed(code, event.reason)

    def left(self) -> None:
        """Take it that the far end has hung up: with the other one, or for good."""
        if self._waits:
            self._waits = False
            done = self._heard == 0 or self._heard >= ESTABLISHED
            code, reason = (200, "OK") if done else (487, "the far end hung up")
            self._leg.tell(LegTransferred(role="transferee", code=code, reason=reason))

    def tick(self, now: float) -> None:
        """Give up what takes too long."""
        if now >= self._answer_by:
            self.answer(TIMEOUT, "Request Timeout")
        if self._waits and now >= self._outcome_by:
            self._failed(TIMEOUT, "the far end has not said how its call went")

    def _complete(self) -> None:
        self._waits = False
        leg, call = self._leg, self._leg.sip
        leg.tell(LegTransferred(role="transferee", code=200, reason="OK"))
        if call.state == "up":
            call.hang_up(clock.now())
        leg.end(LegEnded(code=200, reason="Transferred"))
        leg.wake()

    def _failed(self, code: int, reason: str) -> None:
        self._waits = False
        self._leg.tell(LegTransferred(role="transferee", code=code, reason=reason))


def take_over(
    agent: UserAgent, legs: Mapping[SipCall, SipLeg], event: Invited, text: str
) -> SipLeg | None:
    """Deal with an INVITE whose Replaces is ``text``; return the leg that goes on with it.

    Who asks has proven itself as for a call, and knows the tags of the other one besides.
    """
    now, call = clock.now(), event.call
    try:
        old = agent.find_call(Dialog.replaced(text))
    except RemoteProtocolError as error:
        call.reject(BAD_REQUEST, now, reason=str(error)[:60])
        return None
    leg = legs.get(old) if isinstance(old, SipCall) else None
    if leg is None or leg.sip.state not in ("up", "calling"):
        call.reject(GONE, now)
    elif leg.sip.state == "up" and "early-only" in text:
        call.reject(486, now)
    elif leg.replaced(event):
        return leg
    else:
        call.reject(488, now)
    return None


def _says_no_more(response: Response | None) -> bool:
    """Return whether the far end took the REFER without wanting to tell its outcome (RFC 4488)."""
    text = response.headers.get("Refer-Sub") if response is not None else None
    return (text or "").strip().lower().startswith("false")


def escaped_user(user: str) -> str:
    """Return the user part of a URI."""
    return quote(user, safe="-_.!~*'()+&=$,;?/")
