"""What we ask within a dialog: where it goes, its credentials, and the ACKs of what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import attrs

from voxpy.errors import LocalProtocolError
from voxpy.wire.sip.agent import Account, Flow, authorized, transport_of
from voxpy.wire.sip.dialog import Dialog, DialogId
from voxpy.wire.sip.events import Done, Ended
from voxpy.wire.sip.message import Request, Response, told
from voxpy.wire.sip.values import Uri

if TYPE_CHECKING:
    from voxpy.wire.sip.call import SipCall

MOST_TRIES = 3
"""How often a request is sent anew because credentials were asked for, or the timer was short."""

REFERRAL_S = 120
"""How long a call that was asked for may take; then nobody waits for its outcome any more."""

Answered = Callable[[Response | None, float], None]
"""Gets the final response; None when nobody answered."""
Extra = Mapping[str, str]
"""Headers to add."""


def _nothing(response: Response | None, now: float) -> None:
    """The answer makes no difference."""


class DialogRequests:
    """The requests of one call. ``flow`` is the way it came by, if it has one."""

    def __init__(self, call: SipCall) -> None:
        self.account: Account | None = None
        self.flow: Flow | None = None
        self._event = ""
        self._call = call
        self._acks: dict[tuple[DialogId, int], tuple[Request, Uri | Flow]] = {}

    def make(self, method: str, dialog: Dialog) -> Request:
        """Return the next request of a dialog."""
        return self._call.agent.us.sign(dialog.request(method, via=self._via(dialog)))

    def send(
        self,
        request: Request,
        dialog: Dialog,
        now: float,
        done: Answered = _nothing,
        tries: int = 0,
    ) -> None:
        """Send a request within a dialog, with credentials if it is asked for them."""
        call = self._call

        def answered(response: Response | None, now: float) -> None:
            if response is not None and not response.is_final:
                return
            if response is not None and tries < MOST_TRIES and response.status in (401, 407):
                dialog.local_seq += 1
                again = call.agent.us.again(request, dialog.local_seq)
                word = call.agent.us.new_id()
                if authorized(again, response, self.account, cnonce=word):
                    self.send(again, dialog, now, done, tries + 1)
                    return
            done(response, now)
            gone = response is None or response.status in (408, 481)
            if gone and call.state == "up" and dialog is call.dialog:  # RFC 5057 section 5.1
                call.end()
                call.agent.tell(Ended(call=call, why=f"the {request.method} was not answered"))

        call.agent.send(request, self._hop(dialog), answered, now)

    # -- words within the call --------------------------------------------------------------------

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

    def refer(
        self,
        target: Uri,
        now: float,
        *,
        replaces: Dialog | None = None,
        headers: Extra | None = None,
    ) -> None:
        """Ask the other end to call ``target``, in the place of ``replaces`` if given (RFC 3891).

        Done tells whether it will, ReferralProgress how it goes.
        """
        if replaces is not None:
            target = attrs.evolve(target, headers=f"Replaces={quote(replaces.replaces, safe='')}")
        extra = {"Refer-To": f"<{target}>", **(headers or {})}
        if self._call.dialog is not None:
            extra["Referred-By"] = f"<{self._call.dialog.local.uri}>"
        self._say("REFER", "", b"", extra, now)

    def referred(self, refer: Request) -> None:
        """Take it that they asked us to call; what we tell of it names the REFER (RFC 3515)."""
        first = self._event == ""
        self._event = "refer" if first else f"refer;id={refer.cseq.number}"

    def notify_referral(self, status: int, reason: str, now: float) -> None:
        """Tell how the call goes that they asked us for; a final status is the last word.

        Whoever has hung up meanwhile is told nothing.
        """
        if self._call.state != "up":
            return
        left = f"active;expires={REFERRAL_S}"
        state = left if status < 200 else "terminated;reason=noresource"
        body = f"SIP/2.0 {status} {reason}\r\n".encode()
        extra = {"Event": self._event or "refer", "Subscription-State": state}
        self._say("NOTIFY", "message/sipfrag;version=2.0", body, extra, now)

    def _say(
        self, method: str, content_type: str, body: bytes, headers: Extra | None, now: float
    ) -> None:
        dialog = self._call.dialog
        if self._call.state != "up" or dialog is None:
            raise LocalProtocolError(f"a call that is {self._call.state} takes no {method}")
        request = self.make(method, dialog)
        if content_type:
            request.headers.add("Content-Type", content_type)
        request.body = body
        request.headers.extend(headers)
        self.send(request, dialog, now, partial(self._said, method))

    def _said(self, method: str, response: Response | None, now: float) -> None:
        if method != "NOTIFY":
            status, reason = told(response)
            self._call.agent.tell(
                Done(
                    call=self._call,
                    method=method,
                    status=status,
                    reason=reason,
                    response=response,
                )
            )

    # -- acknowledging ----------------------------------------------------------------------------

    def acknowledge(self, dialog: Dialog, number: int, proof: Request | None = None) -> None:
        """Send the ACK of a 2xx, with the credentials of its INVITE (section 22.1)."""
        ack = dialog.request("ACK", via=self._via(dialog), sequence=number)
        for name in ("Authorization", "Proxy-Authorization"):
            text = proof.headers.get(name) if proof is not None else None
            if text is not None:
                ack.headers.add(name, text)
        self._acks[dialog.id, number] = (ack, self._hop(dialog))
        self._call.agent.send_ack(*self._acks[dialog.id, number])

    def acknowledges_again(self, dialog: DialogId, number: int) -> bool:
        """Send the ACK once more if this 2xx was seen before; return whether it was."""
        sent = self._acks.get((dialog, number))
        if sent is not None:
            self._call.agent.send_ack(*sent)
        return sent is not None

    def _hop(self, dialog: Dialog) -> Uri | Flow:
        # A phone behind a NAT writes a Contact that nobody can reach.
        if self.flow is not None and not dialog.route_set:
            return self.flow
        return dialog.next_hop

    def _via(self, dialog: Dialog) -> str:
        hop = self._hop(dialog)
        transport = hop.transport if isinstance(hop, Flow) else transport_of(hop)
        return self._call.agent.us.via(transport)
