"""Changes of a call that is up: re-INVITE and UPDATE in both directions (section 14, RFC 3311).

Both ends may offer at once. Whoever gets an offer while its own is under way refuses it with 491,
and whoever is refused so tries again: the one who made the call after 2.1 to 4 s, the other within
2 s, so that one of them is first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voxpy.errors import LocalProtocolError
from voxpy.wire.sip.events import Offer, OfferAnswered, OfferRefused
from voxpy.wire.sip.message import SDP, Request, Response, told
from voxpy.wire.sip.transactions import T1_S, ServerTransaction

if TYPE_CHECKING:
    from voxpy.wire.sip.call import SipCall


class Offers:
    """The offers of one call. ``sdp`` is what we said last of ourselves."""

    def __init__(self, call: SipCall) -> None:
        self.sdp = b""
        self.peer_updates = False
        """Whether the other end takes an UPDATE."""
        self._call = call
        self._ours: bytes | None = None
        self._theirs: ServerTransaction | None = None
        self._again_at = math.inf

    @property
    def is_under_way(self) -> bool:
        """Whether an offer of ours has no answer yet."""
        return self._ours is not None

    @property
    def deadline(self) -> float:
        return self._again_at

    def stop(self) -> None:
        """Forget what was under way: the call is over."""
        self._theirs = None
        self._again_at = math.inf

    def tick(self, now: float) -> None:
        """Make an offer again that had to wait."""
        if now >= self._again_at and self._call.state == "up":
            self._send(now)

    def make(self, sdp: bytes, now: float) -> None:
        """Offer. OfferAnswered or OfferRefused follows."""
        if self._call.state != "up":
            raise LocalProtocolError(f"a call that is {self._call.state} cannot be changed")
        if self._ours is not None:
            raise LocalProtocolError("an offer is under way")
        self._ours = sdp
        self._send(now)

    def refresh(self, now: float) -> None:
        """Refresh the session timer; an offer that is under way does so as well."""
        call = self._call
        if self._ours is not None or call.dialog is None:
            return
        if not self.peer_updates:
            self._ours = self.sdp
            self._send(now)
            return
        update = call.requests.make("UPDATE", call.dialog)
        call.timer.ask(update)
        call.requests.send(update, call.dialog, now, self._refreshed)

    def _refreshed(self, response: Response | None, now: float) -> None:
        if response is not None and response.is_success:
            self._call.timer.take(response, now)

    def _send(self, now: float) -> None:
        call = self._call
        assert call.dialog is not None
        assert self._ours is not None
        if self._theirs is not None or call.waits_for_ack:
            self._again_at = now + T1_S  # theirs first
            return
        self._again_at = math.inf
        invite = call.requests.make("INVITE", call.dialog)
        call.timer.ask(invite)
        invite.headers.add("Content-Type", SDP)
        invite.body = self._ours
        call.requests.send(invite, call.dialog, now, self._answered)

    def _answered(self, response: Response | None, now: float) -> None:
        call = self._call
        if response is not None and response.is_success and call.dialog is not None:
            if call.requests.acknowledges_again(call.dialog.id, response.cseq.number):
                return
            call.dialog.refresh(response)
            call.requests.acknowledge(call.dialog, response.cseq.number)
            call.timer.take(response, now)
            if self._ours is not None:
                self.sdp, self._ours = self._ours, None
                call.agent.tell(OfferAnswered(call=call, sdp=response.sdp))
        elif response is not None and response.status == 491 and call.state == "up":
            least, most = (0.0, 2.0) if call.incoming else (2.1, 4.0)
            self._again_at = now + least + (most - least) * call.agent.us.jitter()
        elif self._ours is not None:
            self._ours = None
            status, reason = told(response)
            call.agent.tell(OfferRefused(call=call, status=status, reason=reason))

    def receive(self, request: Request, server: ServerTransaction, now: float) -> None:
        """Take an offer of theirs, or refuse it because it comes at a bad moment."""
        call = self._call
        if self._theirs is not None or call.waits_for_ack:
            later = request.response(500)
            later.headers.add("Retry-After", str(round(10 * call.agent.us.jitter())))
            call.agent.respond(server, later, now)
        elif call.state != "up" or (self._ours is not None and self._again_at == math.inf):
            call.agent.respond(server, request.response(491), now)
        else:
            self.note(request)
            self._theirs = server
            offered = request.sdp
            call.agent.tell(Offer(call=call, sdp=offered, request=request, transaction=server))

    def answered(self, server: ServerTransaction) -> None:
        """Take it that a request of theirs has its answer."""
        if server is self._theirs:
            self._theirs = None

    def note(self, message: Request | Response) -> None:
        """See what the other end takes."""
        if message.headers.get("Allow") is not None:
            self.peer_updates = message.headers.has("Allow", "update")
