"""One call over SIP, as either end: from INVITE to BYE, and everything that may cross on the way.

``Outgoing`` and ``Incoming`` are the two ways into a call (outgoing.py, incoming.py). Once it is up
both ends are alike, and what makes it more than a BYE is here:

- A 2xx is repeated by us until its ACK comes (section 13.3.1.4), and acknowledged by us as often as
  it comes. A callee may not say BYE before that ACK (section 15).
- Both ends may offer at once: the later offer gets 491, and is made again after a while (14.1).
- What is asked for credentials is asked again, with the next CSeq and a new branch.
- The call may have a timer (RFC 4028).

Bodies are the owner's affair: SDP goes through as bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.wire.sip.agent import (
    Account,
    Flow,
    UserAgent,
    authorized,
    transport_of,
)
from voxpy.wire.sip.dialog import Dialog, DialogId, dialog_id
from voxpy.wire.sip.events import (
    Connected,
    Done,
    Ended,
    InfoReceived,
    Invited,
    MessageReceived,
    Offer,
    OfferAnswered,
    OfferRefused,
    Referral,
    ReferralProgress,
)
from voxpy.wire.sip.incoming import Incoming
from voxpy.wire.sip.message import SDP, Request, Response
from voxpy.wire.sip.outgoing import MOST_TRIES, Outgoing
from voxpy.wire.sip.repeating import Repeating
from voxpy.wire.sip.session_timer import LEAST_S, SessionTimer, read_expires
from voxpy.wire.sip.transactions import T1_S, InviteServer, ServerTransaction
from voxpy.wire.sip.values import Address, Uri, parse_address

__all__ = ["Answered", "Extra", "SipCall"]

Answered = Callable[[Response | None, float], None]
"""Gets the final response; None when nobody answered."""
Extra = Mapping[str, str]
"""Headers to add."""


def _nothing(response: Response | None, now: float) -> None:
    """The answer makes no difference."""


class SipCall:
    """One call. ``dial`` makes an outgoing one; ``invited`` is what a UserAgent makes of an INVITE.

    ``state`` is ``incoming``, ``calling``, ``up`` or ``over``.
    """

    def __init__(self, agent: UserAgent, *, incoming: bool) -> None:
        self.agent = agent
        self.incoming = incoming
        self.state = "incoming" if incoming else "calling"
        self.tag = agent.new_id()
        self.dialog: Dialog | None = None
        self.account: Account | None = None
        self.timer = SessionTimer()
        self._out: Outgoing | None = None
        self._in: Incoming | None = None
        self._flow: Flow | None = None
        self._sdp = b""  # what we said last of ourselves
        self._peer_updates = False
        self._acks: dict[tuple[DialogId, int], tuple[Request, Uri | Flow]] = {}
        self._accepted = Repeating()  # a 2xx of ours that waits for its ACK
        self._bye_waits: Extra | None = None
        self._offering: bytes | None = None
        self._their_offer: ServerTransaction | None = None
        self._offer_again_at = math.inf

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
        call.account = account
        call._sdp = sdp
        call._flow = to if isinstance(to, Flow) else None
        call._out = Outgoing(call, uri, to)
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
        call._flow = flow
        call._note_peer(request)
        contact = f"<{agent.contact(flow.transport)}>"
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

    def give_up(self, now: float) -> None:
        """Stop calling: Failed 487 follows, also where the answer was quicker than we."""
        if self._out is not None and self.state == "calling":
            self._out.give_up(now)

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
        self._sdp = sdp
        self.state = "up"
        if self.dialog is not None:
            self.dialog.early = False
        self.timer.answer(called.server.request, response, now)
        self._accept(called.server, response, now)

    def reject(
        self, status: int, now: float, *, reason: str | None = None, headers: Extra | None = None
    ) -> None:
        """Refuse the call with a status of 300 to 699."""
        called = self._called
        called.reject(called.response(status, reason, b"", headers), now)

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
        self._note_peer(response)
        self.timer.take(response, now)

    # -- acknowledging ----------------------------------------------------------------------------

    def acknowledge(self, dialog: Dialog, number: int, proof: Request | None = None) -> None:
        """Send the ACK of a 2xx, with the credentials of its INVITE (section 22.1)."""
        ack = dialog.request("ACK", via=self._via(dialog), sequence=number)
        for name in ("Authorization", "Proxy-Authorization"):
            text = proof.headers.get(name) if proof is not None else None
            if text is not None:
                ack.headers.add(name, text)
        self._acks[dialog.id, number] = (ack, self._hop(dialog))
        self.agent.send_ack(*self._acks[dialog.id, number])

    def acknowledges_again(self, dialog: DialogId, number: int) -> bool:
        """Send the ACK once more if this 2xx was seen before; return whether it was."""
        sent = self._acks.get((dialog, number))
        if sent is not None:
            self.agent.send_ack(*sent)
        return sent is not None

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
        if self._accepted.message is not None:
            self._bye_waits = dict(headers or {})  # section 15: not before the ACK
            return
        self._bye(headers or {}, now)

    def _bye(self, headers: Extra, now: float) -> None:
        assert self.dialog is not None
        bye = self.next_request("BYE", self.dialog)
        bye.headers.extend(headers)
        self.end()
        self.ask(bye, self.dialog, now)

    def offer(self, sdp: bytes, now: float) -> None:
        """Change the call: hold, resume, other formats. OfferAnswered or OfferRefused follows."""
        if self.state != "up" or self.dialog is None:
            raise LocalProtocolError(f"a call that is {self.state} cannot be changed")
        if self._offering is not None:
            raise LocalProtocolError("an offer is under way")
        self._offering = sdp
        self._send_offer(now)

    def _send_offer(self, now: float) -> None:
        assert self.dialog is not None
        assert self._offering is not None
        if self._their_offer is not None or self._accepted.message is not None:
            self._offer_again_at = now + T1_S  # theirs first
            return
        self._offer_again_at = math.inf
        invite = self.next_request("INVITE", self.dialog)
        self.timer.ask(invite)
        invite.headers.add("Content-Type", SDP)
        invite.body = self._offering
        self.ask(invite, self.dialog, now, self._offer_answered)

    def _offer_answered(self, response: Response | None, now: float) -> None:
        if response is not None and response.is_success and self.dialog is not None:
            if self.acknowledges_again(self.dialog.id, response.cseq.number):
                return
            self.dialog.refresh(response)
            self.acknowledge(self.dialog, response.cseq.number)
            self.timer.take(response, now)
            if self._offering is not None:
                self._sdp, self._offering = self._offering, None
                self.agent.tell(OfferAnswered(call=self, sdp=response.sdp))
        elif response is not None and response.status == 491 and self.state == "up":
            # Section 14.1: who began the call waits longer, so that one of us is first.
            least, most = (0.0, 2.0) if self.incoming else (2.1, 4.0)
            self._offer_again_at = now + least + (most - least) * self.agent.jitter()
        elif self._offering is not None:
            self._offering = None
            status, reason = _told(response)
            self.agent.tell(OfferRefused(call=self, status=status, reason=reason))

    def accept_offer(
        self, server: ServerTransaction, sdp: bytes, now: float, headers: Extra
    ) -> None:
        """Answer an offer of theirs with 200; ``Offer.accept`` calls it."""
        assert self.dialog is not None
        response = server.request.response(200)
        response.headers.add("Contact", self.dialog.contact)
        self.agent.describe(response)
        self.timer.answer(server.request, response, now)
        if sdp:
            response.headers.add("Content-Type", SDP)
            response.body = self._sdp = sdp
        response.headers.extend(headers)
        self._their_offer = None
        if isinstance(server, InviteServer):
            self._accept(server, response, now)
        else:
            self.agent.respond(server, response, now)

    def respond(self, server: ServerTransaction, response: Response, now: float) -> None:
        """Answer a request of theirs."""
        if server is self._their_offer:
            self._their_offer = None
        self.agent.respond(server, response, now)

    def send_info(
        self, content_type: str, body: bytes, now: float, headers: Extra | None = None
    ) -> None:
        """Send an INFO. Done follows."""
        self._say("INFO", content_type, body, headers, now)

    def send_message(
        self,
        body: bytes,
        now: float,
        *,
        content_type: str = "text/plain",
        headers: Extra | None = None,
    ) -> None:
        """Send a MESSAGE. Done follows."""
        self._say("MESSAGE", content_type, body, headers, now)

    def refer(self, target: str, now: float, headers: Extra | None = None) -> None:
        """Ask the other end to call ``target``, a URI; ``?Replaces=`` attends a transfer.

        Done tells whether it will, ReferralProgress how it goes.
        """
        extra = {"Refer-To": f"<{target}>", **(headers or {})}
        self._say("REFER", "", b"", extra, now)

    def notify_referral(self, status: int, reason: str, now: float) -> None:
        """Tell how the call goes that they asked us for; a final status is the last word."""
        state = "active;expires=60" if status < 200 else "terminated;reason=noresource"
        body = f"SIP/2.0 {status} {reason}\r\n".encode()
        extra = {"Event": "refer", "Subscription-State": state}
        self._say("NOTIFY", "message/sipfrag;version=2.0", body, extra, now)

    def _say(
        self, method: str, content_type: str, body: bytes, headers: Extra | None, now: float
    ) -> None:
        if self.state != "up" or self.dialog is None:
            raise LocalProtocolError(f"a call that is {self.state} takes no {method}")
        request = self.next_request(method, self.dialog)
        if content_type:
            request.headers.add("Content-Type", content_type)
        request.body = body
        request.headers.extend(headers)
        self.ask(request, self.dialog, now, partial(self._said, method))

    def _said(self, method: str, response: Response | None, now: float) -> None:
        if method != "NOTIFY":
            status, reason = _told(response)
            self.agent.tell(Done(call=self, method=method, status=status, reason=reason))

    # -- what they ask ----------------------------------------------------------------------------

    def request(self, request: Request, server: ServerTransaction, now: float) -> None:
        """Take a request within the call."""
        dialog = self._dialog_of(request)
        if dialog is None or (self.state == "over" and request.method != "BYE"):
            self.agent.respond(server, request.response(481), now)
        elif not dialog.takes(request):
            self.agent.respond(server, request.response(500), now)
        else:
            handle = getattr(self, f"_on_{request.method.lower()}", self._on_anything)
            handle(request, server, now)

    def _dialog_of(self, request: Request) -> Dialog | None:
        early = None if self._out is None else self._out.early.get(dialog_id(request, ours=False))
        return self.dialog if early is None else early

    def _on_bye(self, request: Request, server: ServerTransaction, now: float) -> None:
        self.agent.respond(server, request.response(200), now)
        if self.state == "incoming" and self._in is not None:  # a BYE in the early dialog
            self._in.reject(self._in.server.request.response(487, to_tag=self.tag), now)
            self.agent.tell(Ended(call=self, request=request))
        elif self.state != "over":
            self.end()
            self.agent.tell(Ended(call=self, request=request))

    def _on_invite(self, request: Request, server: ServerTransaction, now: float) -> None:
        if self._their_offer is not None or self._accepted.message is not None:
            later = request.response(500)
            later.headers.add("Retry-After", str(round(10 * self.agent.jitter())))
            self.agent.respond(server, later, now)
        elif (
            self._offering is not None and self._offer_again_at == math.inf
        ) or self.state != "up":
            self.agent.respond(server, request.response(491), now)
        else:
            self._note_peer(request)
            self._their_offer = server
            offered = request.sdp
            self.agent.tell(Offer(call=self, sdp=offered, request=request, transaction=server))

    def _on_update(self, request: Request, server: ServerTransaction, now: float) -> None:
        if request.body:
            self._on_invite(request, server, now)
            return
        response = request.response(200)  # a refresh of the timer, and perhaps of the Contact
        if self.dialog is not None:
            response.headers.add("Contact", self.dialog.contact)
        self.timer.answer(request, response, now)
        self.agent.respond(server, response, now)

    def _on_prack(self, request: Request, server: ServerTransaction, now: float) -> None:
        known = self._in is not None and self._in.proven(request)
        self.agent.respond(server, request.response(200 if known else 481), now)

    def _on_info(self, request: Request, server: ServerTransaction, now: float) -> None:
        self.agent.respond(server, request.response(200), now)
        self.agent.tell(
            InfoReceived(
                call=self, content_type=request.content_type, body=request.body, request=request
            )
        )

    def _on_message(self, request: Request, server: ServerTransaction, now: float) -> None:
        self.agent.respond(server, request.response(200), now)
        self.agent.tell(
            MessageReceived(
                call=self, content_type=request.content_type, body=request.body, request=request
            )
        )

    def _on_refer(self, request: Request, server: ServerTransaction, now: float) -> None:
        targets = request.headers.all("Refer-To")
        try:
            (target,) = [parse_address(text) for text in targets]
        except (ValueError, RemoteProtocolError):
            self.agent.respond(server, request.response(400), now)
            return
        self.agent.tell(Referral(call=self, target=target, request=request, transaction=server))

    def _on_notify(self, request: Request, server: ServerTransaction, now: float) -> None:
        event = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
        if event != "refer":
            self.agent.respond(server, request.response(489), now)
            return
        self.agent.respond(server, request.response(200), now)
        line = request.body.decode("utf-8", "replace").partition("\r\n")[0].split(" ", 2)
        if len(line) >= 2 and line[0].upper() == "SIP/2.0" and line[1].isdigit():
            status, reason = int(line[1][:3]), line[2] if len(line) > 2 else ""
            self.agent.tell(ReferralProgress(call=self, status=status, reason=reason))

    def _on_options(self, request: Request, server: ServerTransaction, now: float) -> None:
        response = request.response(200)
        self.agent.describe(response)
        self.agent.respond(server, response, now)

    def _on_anything(self, request: Request, server: ServerTransaction, now: float) -> None:
        response = request.response(405)
        self.agent.describe(response)
        self.agent.respond(server, response, now)

    # -- time -------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When ``tick`` is due."""
        ringing = math.inf if self._in is None else self._in.repeating.deadline
        timer = self.timer.deadline if self.state == "up" else math.inf
        return min(ringing, self._accepted.deadline, self._offer_again_at, timer)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for waits in (self._accepted, *([] if self._in is None else [self._in.repeating])):
            if now >= waits.give_up_at:
                self._never_acknowledged(now)
            elif waits.is_due(now) and waits.server is not None and waits.message is not None:
                self.agent.repeat(waits.server, waits.message)
        if now >= self._offer_again_at and self.state == "up":
            self._send_offer(now)
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
        assert self.dialog is not None
        if self._offering is not None:
            return  # it refreshes as well
        if self._peer_updates:
            update = self.next_request("UPDATE", self.dialog)
            self.timer.ask(update)
            self.ask(update, self.dialog, now, self._refreshed)
        else:
            self._offering = self._sdp
            self._send_offer(now)

    def _refreshed(self, response: Response | None, now: float) -> None:
        if response is not None and response.is_success:
            self.timer.take(response, now)

    # -- inside -----------------------------------------------------------------------------------

    def next_request(self, method: str, dialog: Dialog) -> Request:
        return self.agent.headers(dialog.request(method, via=self._via(dialog)))

    def _hop(self, dialog: Dialog) -> Uri | Flow:
        if self._flow is not None and not dialog.route_set:
            return self._flow
        return dialog.next_hop

    def _via(self, dialog: Dialog) -> str:
        hop = self._hop(dialog)
        return self.agent.via(hop.transport if isinstance(hop, Flow) else transport_of(hop))

    def ask(
        self,
        request: Request,
        dialog: Dialog,
        now: float,
        done: Answered = _nothing,
        tries: int = 0,
    ) -> None:
        """Send a request within a dialog, with credentials if it is asked for them."""

        def answered(response: Response | None, now: float) -> None:
            if response is not None and not response.is_final:
                return
            if response is not None and tries < MOST_TRIES and response.status in (401, 407):
                dialog.local_seq += 1
                again = self.agent.again(request, dialog.local_seq)
                if authorized(again, response, self.account, cnonce=self.agent.new_id()):
                    self.ask(again, dialog, now, done, tries + 1)
                    return
            done(response, now)
            gone = response is None or response.status in (408, 481)
            if gone and self.state == "up" and dialog is self.dialog:  # RFC 5057 section 5.1
                self.end()
                self.agent.tell(Ended(call=self, why=f"the {request.method} was not answered"))

        self.agent.send(request, self._hop(dialog), answered, now)

    def _note_peer(self, message: Request | Response) -> None:
        if message.headers.get("Allow") is not None:
            self._peer_updates = message.headers.has("Allow", "update")

    def end(self) -> None:
        """Forget everything that was awaited; what still comes for this call gets a 481."""
        self.state = "over"
        self.timer.stop()
        self._accepted.stop()
        self._their_offer = self._bye_waits = None
        self._offer_again_at = math.inf
        early = [] if self._out is None else self._out.early
        self.agent.forget_call(self, [*early, *([] if self.dialog is None else [self.dialog.id])])


def _told(response: Response | None) -> tuple[int, str]:
    return (408, "Request Timeout") if response is None else (response.status, response.reason)
