"""A call that we make, from INVITE to its answer (RFC 3261 sections 9 and 13.2).

Giving up while it rings is a CANCEL, which may be sent only after something was heard, and which
the callee's 200 may cross: then it is ACK and BYE. One INVITE may bring several dialogs (forking):
the first 2xx is the call, every later one is acknowledged and hung up. What is asked for
credentials, or for a longer timer, is asked again with the next CSeq and a new branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.agent import Flow, authorized, transport_of
from voxpy.wire.sip.dialog import Dialog, DialogId, dialog_id
from voxpy.wire.sip.events import Connected, Failed, Progress
from voxpy.wire.sip.message import SDP, Request, Response
from voxpy.wire.sip.requests import MOST_TRIES, Extra
from voxpy.wire.sip.session_timer import LEAST_S
from voxpy.wire.sip.values import Address, Uri

if TYPE_CHECKING:
    from voxpy.wire.sip.call import SipCall


class Outgoing:
    """The caller's half of a call, until it is answered; later 2xx and their ACKs too."""

    def __init__(self, call: SipCall, uri: Uri, to: Uri | Flow | None) -> None:
        self._call = call
        self._agent = call.agent
        self.way = uri if to is None else to
        """The next hop."""
        self.invite = Request(method="INVITE", uri=uri)
        self.early: dict[DialogId, Dialog] = {}
        self._rseq: dict[DialogId, int] = {}
        self.heard = self._gives_up = self._cancel_sent = False
        self._tries = 0

    def begin(
        self, from_: Address, sdp: bytes, headers: Extra | None, expires_s: int, now: float
    ) -> None:
        """Send the INVITE."""
        transport = self.way.transport if isinstance(self.way, Flow) else transport_of(self.way)
        add = self.invite.headers.add
        add("Via", self._agent.us.via(transport))
        add("Max-Forwards", "70")
        add("From", str(from_))
        add("To", f"<{self.invite.uri}>")
        add("Call-ID", self._call.call_id)
        add("CSeq", "1 INVITE")
        add("Contact", f"<{self._agent.us.contact(transport)}>")
        if expires_s:
            add("Session-Expires", str(max(LEAST_S, expires_s)))
            add("Min-SE", str(LEAST_S))
        if sdp:
            add("Content-Type", SDP)
            self.invite.body = sdp
        self.invite.headers.extend(headers)
        self._agent.send(self._agent.us.sign(self.invite), self.way, self._answered, now)

    def give_up(self, now: float) -> None:
        """Stop calling: Failed 487 follows, also where the answer was quicker than we."""
        self._gives_up = True
        if self.heard:
            self._cancel(now)

    def _cancel(self, now: float) -> None:
        """Section 9.1: with the INVITE's own Via and number, once something was heard of it."""
        if self._cancel_sent:
            return
        self._cancel_sent = True
        cancel = Request(method="CANCEL", uri=self.invite.uri)
        for name in ("Via", "Max-Forwards", "Route", "From", "To", "Call-ID"):
            for text in self.invite.headers.all(name):
                cancel.headers.add(name, text)
        cancel.headers.add("CSeq", f"{self.invite.cseq.number} CANCEL")
        self._agent.send(self._agent.us.sign(cancel), self.way, lambda *_: None, now)

    def _answered(self, response: Response | None, now: float) -> None:
        if response is None:
            self._fail(408, "Request Timeout", None)
        elif response.is_success:
            self._connected(response, now)
        elif response.is_final:
            self._refused(response, now)
        else:
            self._progress(response, now)

    def _progress(self, response: Response, now: float) -> None:
        self.heard = True
        if self._call.state != "calling":
            return
        if self._gives_up:
            self._cancel(now)
        if response.status == 100:
            return
        dialog = self._early_dialog(response)
        if response.headers.has("Require", "100rel"):
            if dialog is None or not self._is_next(dialog, response):
                return  # repeated: its PRACK is on the way, or was lost and is repeated as well
            prack = self._call.requests.make("PRACK", dialog)
            prack.headers.add("RAck", f"{self._rseq[dialog.id]} {response.cseq}")
            self._call.requests.send(prack, dialog, now)
        self._agent.tell(Progress(call=self._call, response=response, sdp=response.sdp))

    def _early_dialog(self, response: Response) -> Dialog | None:
        if not response.to.tag or response.contact is None:
            return None
        found = dialog_id(response, ours=True)
        if found not in self.early:
            self.early[found] = Dialog.of_response(self.invite, response)
            self._agent.add_dialog(found, self._call)
        return self.early[found]

    def _is_next(self, dialog: Dialog, response: Response) -> bool:
        """Return whether this reliable answer is the next in order (RFC 3262 section 4)."""
        text = (response.headers.get("RSeq") or "").strip()
        if not text.isascii() or not text.isdigit() or len(text) > 10:
            return False
        before = self._rseq.get(dialog.id)
        if before is not None and int(text) != before + 1:
            return False
        self._rseq[dialog.id] = int(text)
        return True

    def _connected(self, response: Response, now: float) -> None:
        call = self._call
        if call.requests.acknowledges_again(dialog_id(response, ours=True), response.cseq.number):
            return
        try:
            found = self.early.get(dialog_id(response, ours=True))
            dialog = found or Dialog.of_response(self.invite, response)
            dialog.confirm(response)
        except RemoteProtocolError as error:
            self._fail(502, str(error), response)
            return
        call.requests.acknowledge(dialog, response.cseq.number, proof=self.invite)
        if call.dialog is not None or call.state != "calling" or self._gives_up:
            # Another phone of a fork, or one that answered while we gave up.
            call.requests.send(call.requests.make("BYE", dialog), dialog, now)
            if call.dialog is None:
                self._fail(487, "Request Terminated", response)
            return
        call.begin_dialog(dialog, response, now)
        self._agent.tell(Connected(call=call, sdp=response.sdp, response=response))

    def _refused(self, response: Response, now: float) -> None:
        if self._call.state != "calling":
            return
        again = None if self._gives_up or self._tries >= MOST_TRIES else self._mended(response)
        if again is None:
            self._fail(response.status, response.reason, response)
            return
        self._tries += 1
        self.invite = again
        self.heard = False
        self._agent.send(again, self.way, self._answered, now)

    def _mended(self, response: Response) -> Request | None:
        """Return the INVITE as it was asked to be, if we can: with credentials, a longer timer."""
        again = self._agent.us.again(self.invite, self.invite.cseq.number + 1)
        if response.status == 422:
            least = (response.headers.get("Min-SE") or "").partition(";")[0].strip()
            if not least.isascii() or not least.isdigit() or len(least) > 9:
                return None
            again.headers.set("Session-Expires", str(max(LEAST_S, int(least))))
            again.headers.set("Min-SE", str(max(LEAST_S, int(least))))
            return again
        account, word = self._call.requests.account, self._agent.us.new_id()
        return again if authorized(again, response, account, cnonce=word) else None

    def _fail(self, status: int, reason: str, response: Response | None) -> None:
        if self._call.state != "over":
            self._call.end()
            self._agent.tell(
                Failed(call=self._call, status=status, reason=reason, response=response)
            )
