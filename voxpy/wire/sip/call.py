"""One call over SIP, as either end: from INVITE to BYE, and everything that may cross on the way.

``Outgoing`` and ``Incoming`` are the two ways into a call (outgoing.py, incoming.py). Once it is up
both ends are alike, and what makes it more than a BYE is here:

- A 2xx is repeated by us until its ACK comes (section 13.3.1.4). A callee may not say BYE before
  that ACK (section 15).
- What we ask is acknowledged, given credentials and sent the right way by requests.py, what they
  ask is answered by asked.py, and changes in both directions are offers.py.
- The call may have a timer (RFC 4028).

Bodies are the owner's affair: SDP goes through as bytes.
"""

from __future__ import annotations

import math

from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.wire.sip.agent import Account, Flow, UserAgent
from voxpy.wire.sip.asked import HANDLERS, not_allowed
from voxpy.wire.sip.dialog import Dialog, dialog_id
from voxpy.wire.sip.events import Connected, Ended, Invited, OfferAnswered
from voxpy.wire.sip.incoming import Incoming
from voxpy.wire.sip.message import SDP, Request, Response
from voxpy.wire.sip.offers import Offers
from voxpy.wire.sip.outgoing import Outgoing
from voxpy.wire.sip.repeating import Repeating
from voxpy.wire.sip.requests import DialogRequests, Extra
from voxpy.wire.sip.session_timer import LEAST_S, SessionTimer, read_expires
from voxpy.wire.sip.transactions import InviteServer, ServerTransaction
from voxpy.wire.sip.values import Address, Uri


class SipCall:
    """One call. ``dial`` makes an outgoing one; ``invited`` is what a UserAgent makes of an INVITE.

    ``state`` is ``incoming``, ``calling``, ``up`` or ``over``.
    """

    def __init__(self, agent: UserAgent, *, incoming: bool) -> None:
        self.agent = agent
        self.incoming = incoming
        self.state = "incoming" if incoming else "calling"
        self.tag = agent.us.new_id()
        self.call_id = ""
        self.dialog: Dialog | None = None
        self.timer = SessionTimer()
        self.requests = DialogRequests(self)
        self.offers = Offers(self)
        self._out: Outgoing | None = None
        self._in: Incoming | None = None
        self._accepted = Repeating()  # a 2xx of ours that waits for its ACK
        self._bye_waits: Extra | None = None

    # -- how a call begins ------------------------------------------------------------------------

    @classmethod
    def dial(
        cls,
        agent: UserAgent,
        uri: Uri,
        *,
        from_: Address,
        sdp: bytes,
        now: float,
        to: Uri | Flow | None = None,
        headers: Extra | None = None,
        account: Account | None = None,
        expires_s: int = 1800,
    ) -> SipCall:
        """Call somebody. ``to`` is the next hop, where that is not ``uri`` itself.

        ``expires_s`` asks for a session timer; 0: none. Progress, Connected or Failed follow.
        """
        call = cls(agent, incoming=False)
        call.requests.account = account
        call.requests.flow = to if isinstance(to, Flow) else None
        call.offers.sdp = sdp
        call._out = Outgoing(call, uri, to)
        call.call_id = agent.us.new_id()
        agent.add_call(call)
        call._out.begin(from_.with_tag(call.tag), sdp, headers, expires_s, now)
        return call

    @classmethod
    def invited(
        cls, agent: UserAgent, request: Request, server: InviteServer, flow: Flow, now: float
    ) -> SipCall:
        """Make the call of an INVITE that came in; what UserAgent wants as ``invited``."""
        call = cls(agent, incoming=True)
        call._in = Incoming(call, server)
        call.call_id = request.call_id
        call.requests.flow = flow
        call.offers.note(request)
        contact = f"<{agent.us.contact(flow.transport)}>"
        expires = read_expires(request.headers.get("Session-Expires"))
        try:
            call.dialog = Dialog.of_request(request, local_tag=call.tag, contact=contact)
        except RemoteProtocolError as error:
            call._in.reject(request.response(400, str(error), to_tag=call.tag), now)
            return call
        if expires is not None and expires[0] < LEAST_S:
            short = request.response(422, to_tag=call.tag)
            short.headers.add("Min-SE", str(LEAST_S))
            call._in.reject(short, now)
            return call
        agent.add_call(call)
        agent.add_dialog(call.dialog.id, call)
        agent.tell(Invited(call=call, request=request, flow=flow, sdp=request.sdp))
        return call

    def give_up(self, now: float, *, heard: bool = True) -> bool:
        """Stop calling: Failed 487 follows, also where the answer was quicker than we.

        With ``heard`` False only if nothing at all was heard. Return whether we stop.
        """
        if self._out is None or self.state != "calling" or (self._out.heard and not heard):
            return False
        self._out.give_up(now)
        return True

    def provisional(
        self,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        sdp: bytes = b"",
        headers: Extra | None = None,
    ) -> None:
        """Answer with 180 (it rings), 183 (``sdp``: audio before the answer) or another 1xx."""
        self._called.provisional(status, now, reason=reason, sdp=sdp, headers=headers)

    def answer(self, sdp: bytes, now: float, *, headers: Extra | None = None) -> None:
        """Answer the call. Connected follows when its ACK has come."""
        called = self._called
        response = called.response(200, None, sdp, headers)
        called.repeating.stop()
        self.offers.sdp = sdp
        self.state = "up"
        if self.dialog is not None:
            self.dialog.early = False
        self.timer.answer(called.server.request, response, now)
        self._accept(called.server, response, now)

    def reject(
        self,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        headers: Extra | None = None,
        response: Response | None = None,
    ) -> None:
        """Refuse the call with a status of 300 to 699, or a ``response`` made elsewhere."""
        called = self._called
        called.reject(response or called.response(status, reason, b"", headers), now)

    def cancelled(self, cancel: Request, now: float) -> None:
        """Take the CANCEL of the INVITE."""
        self._called.cancelled(cancel, now)

    @property
    def _called(self) -> Incoming:
        if self._in is None:
            raise LocalProtocolError("a call of ours is not ours to answer")
        return self._in

    def begin_dialog(self, dialog: Dialog, response: Response, now: float) -> None:
        """Take it that our INVITE has its answer; for ``Outgoing``."""
        self.dialog, self.state = dialog, "up"
        self.agent.add_dialog(dialog.id, self)
        self.offers.note(response)
        self.timer.take(response, now)

    # -- acknowledging ----------------------------------------------------------------------------

    @property
    def waits_for_ack(self) -> bool:
        return self._accepted.message is not None

    def _accept(self, server: ServerTransaction, response: Response, now: float) -> None:
        """Answer an INVITE with a 2xx, and again until its ACK is here."""
        self._accepted.begin(server, response, now)
        self.agent.respond(server, response, now)

    def acknowledged(self, ack: Request, now: float) -> None:
        """Take the ACK of a 2xx."""
        waits = self._accepted
        if waits.message is None or ack.cseq.number != waits.message.cseq.number:
            return
        first = self._in is not None and waits.server is self._in.server
        waits.stop()
        if self._bye_waits is not None:
            self._bye(self._bye_waits, now)
        elif self.state == "up" and first:
            self.agent.tell(Connected(call=self, sdp=ack.sdp))
        elif self.state == "up" and ack.body:
            self.agent.tell(OfferAnswered(call=self, sdp=ack.sdp))

    # -- a call that is up ------------------------------------------------------------------------

    def hang_up(self, now: float, headers: Extra | None = None) -> None:
        """Say BYE. The call is over at once; whatever the other end makes of it."""
        if self.state != "up":
            raise LocalProtocolError(f"a call that is {self.state} has no BYE")
        self.state = "over"
        if self.waits_for_ack:
            self._bye_waits = dict(headers or {})  # section 15: not before the ACK
            return
        self._bye(headers or {}, now)

    def _bye(self, headers: Extra, now: float) -> None:
        assert self.dialog is not None
        bye = self.requests.make("BYE", self.dialog)
        bye.headers.extend(headers)
        self.end()
        self.requests.send(bye, self.dialog, now)

    def accept_offer(
        self, server: ServerTransaction, sdp: bytes, now: float, headers: Extra
    ) -> None:
        """Answer an offer of theirs with 200; ``Offer.accept`` calls it."""
        assert self.dialog is not None
        response = server.request.response(200)
        response.headers.add("Contact", self.dialog.contact)
        self.agent.us.describe(response)
        self.timer.answer(server.request, response, now)
        if sdp:
            response.headers.add("Content-Type", SDP)
            response.body = self.offers.sdp = sdp
        response.headers.extend(headers)
        self.offers.answered(server)
        if isinstance(server, InviteServer):
            self._accept(server, response, now)
        else:
            self.agent.respond(server, response, now)

    def respond(self, server: ServerTransaction, response: Response, now: float) -> None:
        """Answer a request of theirs."""
        self.offers.answered(server)
        self.agent.respond(server, response, now)

    # -- what they ask ----------------------------------------------------------------------------

    def request(self, request: Request, server: ServerTransaction, now: float) -> None:
        """Take a request within the call."""
        dialog = self._dialog_of(request)
        if dialog is None or (self.state == "over" and request.method != "BYE"):
            self.agent.respond(server, request.response(481), now)
        elif not dialog.takes(request):
            self.agent.respond(server, request.response(500), now)
        else:
            HANDLERS.get(request.method, not_allowed)(self, request, server, now)

    def proven(self, prack: Request) -> bool:
        """Return whether a PRACK is of a provisional answer of ours, and take it."""
        return self._in is not None and self._in.proven(prack)

    def _dialog_of(self, request: Request) -> Dialog | None:
        early = None if self._out is None else self._out.early.get(dialog_id(request, ours=False))
        return self.dialog if early is None else early

    # -- time -------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When ``tick`` is due."""
        ringing = math.inf if self._in is None else self._in.repeating.deadline
        timer = self.timer.deadline if self.state == "up" else math.inf
        return min(ringing, self._accepted.deadline, self.offers.deadline, timer)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for waits in (self._accepted, *([] if self._in is None else [self._in.repeating])):
            if now >= waits.give_up_at:
                self._never_acknowledged(now)
            elif waits.is_due(now) and waits.server is not None and waits.message is not None:
                self.agent.repeat(waits.server, waits.message)
        self.offers.tick(now)
        if self.state == "up" and now >= self.timer.deadline:
            self._timer_due(now)

    def _never_acknowledged(self, now: float) -> None:
        if self.state == "incoming":  # RFC 3262 section 3
            self.reject(504, now)
            self.agent.tell(Ended(call=self, why="a provisional answer was never acknowledged"))
            return
        told = self.state == "up"
        self._accepted.stop()
        self._bye(self._bye_waits or {}, now)  # section 13.3.1.4
        if told:
            self.agent.tell(Ended(call=self, why="no ACK came"))

    def _timer_due(self, now: float) -> None:
        if not self.timer.we_refresh:
            self.hang_up(now)
            self.agent.tell(Ended(call=self, why="the session timer ran out (RFC 4028)"))
            return
        self.timer.refreshing(now)
        self.offers.refresh(now)

    def end(self) -> None:
        """Forget everything that was awaited; what still comes for this call gets a 481."""
        self.state = "over"
        self.timer.stop()
        self._accepted.stop()
        self.offers.stop()
        self._bye_waits = None
        early = [] if self._out is None else self._out.early
        self.agent.forget_call(self, [*early, *([] if self.dialog is None else [self.dialog.id])])
