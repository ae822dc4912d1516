"""A call that comes in, from INVITE to its answer (RFC 3261 section 13.3, RFC 3262)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxpy.errors import LocalProtocolError
from voxpy.wire.sip.events import Cancelled
from voxpy.wire.sip.message import SDP, Request, Response
from voxpy.wire.sip.repeating import Repeating
from voxpy.wire.sip.transactions import InviteServer

if TYPE_CHECKING:
    from voxpy.wire.sip.call import SipCall
    from voxpy.wire.sip.requests import Extra


class Incoming:
    """The callee's half of a call, until it is answered."""

    def __init__(self, call: SipCall, server: InviteServer) -> None:
        self._call = call
        self.server = server
        self.repeating = Repeating()
        """A reliable provisional answer whose PRACK has not come."""
        self._rseq = 0

    def provisional(
        self, status: int, now: float, *, reason: str | None, sdp: bytes, headers: Extra | None
    ) -> None:
        """Answer with 1xx; repeated until it is acknowledged where the caller requires that."""
        response = self.response(status, reason, sdp, headers)
        if self.server.request.headers.has("Require", "100rel") and status > 100:
            if self.repeating.message is not None:
                return  # one at a time: the next word, or the answer itself, says more
            self._rseq += 1
            response.headers.add("Require", "100rel")
            response.headers.add("RSeq", str(self._rseq))
            self.repeating.begin(self.server, response, now)
        self._call.agent.respond(self.server, response, now)

    def reject(self, response: Response, now: float) -> None:
        """Refuse, or say that it is too late."""
        self.repeating.stop()
        self._call.end()
        self._call.agent.respond(self.server, response, now)

    def cancelled(self, cancel: Request, now: float) -> None:
        """Take the CANCEL; one that comes after the answer changes nothing (section 9.2)."""
        if self._call.state == "incoming":
            self.reject(self.server.request.response(487, to_tag=self._call.tag), now)
            self._call.agent.tell(Cancelled(call=self._call, request=cancel))

    def proven(self, prack: Request) -> bool:
        """Take a PRACK; return whether it is one of ours."""
        waits = self.repeating.message
        if waits is None:
            return False
        wanted = [waits.headers.get("RSeq"), str(waits.cseq.number), waits.cseq.method]
        if (prack.headers.get("RAck") or "").split() != wanted:
            return False
        self.repeating.stop()
        return True

    def response(
        self, status: int, reason: str | None, sdp: bytes, headers: Extra | None
    ) -> Response:
        """Return an answer to the INVITE. Raises LocalProtocolError if it has its last one."""
        call = self._call
        if call.state != "incoming":
            raise LocalProtocolError(f"a call that is {call.state} cannot be answered")
        response = self.server.request.response(status, reason, to_tag=call.tag)
        if 100 < status < 300 and call.dialog is not None:
            response.headers.add("Contact", call.dialog.contact)
        call.agent.us.describe(response)
        if sdp:
            response.headers.add("Content-Type", SDP)
            response.body = sdp
        response.headers.extend(headers)
        return response
