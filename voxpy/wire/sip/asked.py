"""What the other end asks within a call, method by method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.events import (
    Ended,
    InfoReceived,
    MessageReceived,
    Referral,
    ReferralProgress,
)
from voxpy.wire.sip.message import Request
from voxpy.wire.sip.transactions import ServerTransaction
from voxpy.wire.sip.values import parse_address

if TYPE_CHECKING:
    from voxpy.wire.sip.call import SipCall

Handler = Callable[["SipCall", Request, ServerTransaction, float], None]


def _bye(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    call.agent.respond(server, request.response(200), now)
    if call.state == "over":
        return
    if call.state == "incoming":  # in the early dialog: it gives up another way than by CANCEL
        call.reject(487, now)
    call.end()
    call.agent.tell(Ended(call=call, request=request))


def _invite(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    call.offers.receive(request, server, now)


def _update(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    if request.body:
        call.offers.receive(request, server, now)
        return
    response = request.response(200)  # a refresh of the timer, and perhaps of the Contact
    if call.dialog is not None:
        response.headers.add("Contact", call.dialog.contact)
    call.timer.answer(request, response, now)
    call.agent.respond(server, response, now)


def _prack(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    call.agent.respond(server, request.response(200 if call.proven(request) else 481), now)


def _info(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    call.agent.respond(server, request.response(200), now)
    kind, body = request.content_type, request.body
    call.agent.tell(InfoReceived(call=call, content_type=kind, body=body, request=request))


def _message(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    call.agent.respond(server, request.response(200), now)
    kind, body = request.content_type, request.body
    call.agent.tell(MessageReceived(call=call, content_type=kind, body=body, request=request))


def _refer(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    try:
        (target,) = [parse_address(text) for text in request.headers.all("Refer-To")]
    except (ValueError, RemoteProtocolError):
        call.agent.respond(server, request.response(400), now)
        return
    call.requests.referred(request)
    call.agent.tell(Referral(call=call, target=target, request=request, transaction=server))


def _notify(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    event = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
    if event != "refer":
        call.agent.respond(server, request.response(489), now)
        return
    call.agent.respond(server, request.response(200), now)
    line = request.body.decode("utf-8", "replace").partition("\r\n")[0].split(" ", 2)
    if len(line) >= 2 and line[0].upper() == "SIP/2.0" and line[1].isdigit():
        status, reason = int(line[1][:3]), line[2] if len(line) > 2 else ""
        state = (request.headers.get("Subscription-State") or "").partition(";")[0]
        over = status >= 200 or state.strip().lower() == "terminated"
        call.agent.tell(ReferralProgress(call=call, status=status, reason=reason, over=over))


def _options(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    response = request.response(200)
    call.agent.us.describe(response)
    call.agent.respond(server, response, now)


def not_allowed(call: SipCall, request: Request, server: ServerTransaction, now: float) -> None:
    """Answer what has no place within a call."""
    response = request.response(405)
    call.agent.us.describe(response)
    call.agent.respond(server, response, now)


HANDLERS: dict[str, Handler] = {
    "BYE": _bye,
    "INVITE": _invite,
    "UPDATE": _update,
    "PRACK": _prack,
    "INFO": _info,
    "MESSAGE": _message,
    "REFER": _refer,
    "NOTIFY": _notify,
    "OPTIONS": _options,
}
