"""A user agent without a socket (RFC 3261 sections 8 to 15): calls in and out, and lone requests.

``UserAgent`` owns the transactions of one endpoint and knows which call a message belongs to;
``SipCall`` (call.py) is what happens in one. Time, random numbers and addresses come from outside.
After anything was done, ``take()`` returns in order what is to be sent (Transmit) and what the
owner is to know (events.py, and Asked below); ``deadline`` says when ``tick(now)`` is due.

``Transmit.to`` is the URI of the next hop, to be resolved by whoever has a resolver, or the Flow a
request came by, to which its answers go back (RFC 3581; and our own requests in that dialog too, if
no proxy recorded a route: phones behind a NAT write a Contact that nobody can reach).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip import digest
from voxpy.wire.sip.dialog import DialogId, dialog_id
from voxpy.wire.sip.identity import ALLOW, UNDERSTOOD, Identity
from voxpy.wire.sip.message import SDP, BadMessage, Message, Request, Response
from voxpy.wire.sip.transactions import (
    ClientTransaction,
    Deliver,
    Ended,
    InviteServer,
    Output,
    Send,
    ServerTransaction,
    TimedOut,
    Transactions,
)
from voxpy.wire.sip.values import Uri, parse_via

RELIABLE = frozenset({"TCP", "TLS", "WS", "WSS"})
METHODS = frozenset({*ALLOW.split(", "), "REGISTER", "SUBSCRIBE"})


@attrs.frozen
class Flow:
    """Where a message came from: a transport in upper case, and the address behind it."""

    transport: str
    host: str
    port: int

    @property
    def reliable(self) -> bool:
        return self.transport in RELIABLE


@attrs.frozen
class Transmit:
    """Put a message on the wire."""

    message: Message
    to: Uri | Flow


class Event:
    """Base of what the owner of a user agent is told."""


@attrs.frozen
class Account:
    """What we prove ourselves with where we are asked."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.frozen(eq=False)
class Asked(Event):
    """A request outside of any call: REGISTER, OPTIONS, MESSAGE, SUBSCRIBE. Answer it once."""

    request: Request
    flow: Flow
    _agent: UserAgent
    _transaction: ServerTransaction

    def respond(self, response: Response, now: float) -> None:
        """Answer."""
        self._agent.respond(self._transaction, response, now)


_Answered = Callable[[Response | None, float], None]
"""Gets every response of a transaction; None when nobody answered."""


class Dispatch(Protocol):
    """What the agent asks of a call. ``call.SipCall`` is one."""

    tag: str

    def request(self, request: Request, transaction: ServerTransaction, now: float) -> None: ...
    def acknowledged(self, ack: Request, now: float) -> None: ...
    def cancelled(self, cancel: Request, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    @property
    def deadline(self) -> float: ...


class UserAgent:
    """One endpoint. ``us`` is what it says of itself; ``invited`` makes the call of an INVITE."""

    def __init__(
        self,
        us: Identity,
        *,
        invited: Callable[[UserAgent, Request, InviteServer, Flow, float], Dispatch],
    ) -> None:
        self.us = us
        self.transactions = Transactions()
        self.dropped = 0
        """Messages that nobody could use: damaged ones, answers to nothing."""
        self.unanswered: Callable[[Uri | Flow], None] = lambda to: None
        """Gets where a request of ours went that nobody has said anything to."""
        self._invited = invited
        self._out: list[Transmit | Event] = []
        self._calls: dict[DialogId, Dispatch] = {}
        self._ringing: dict[int, Dispatch] = {}  # by the INVITE's server transaction
        self._owners: dict[int, _Answered] = {}  # by client transaction
        self._timed: set[Dispatch] = set()

    # -- what comes in ----------------------------------------------------------------------------

    def receive(self, message: Message | BadMessage, flow: Flow, now: float) -> None:
        """Take a message, or what could be made of a bad one."""
        if isinstance(message, BadMessage):
            self._refuse_bad(message, flow)
        elif isinstance(message, Response):
            self._response(message, now)
        else:
            self._request(message, flow, now)

    def _refuse_bad(self, bad: BadMessage, flow: Flow) -> None:
        self.dropped += 1
        if bad.request is None:
            return
        try:
            note_source(bad.request, flow)
        except RemoteProtocolError:
            return  # its Via is what is bad: nobody knows where an answer should go
        self._out.append(Transmit(bad.request.response(bad.status, to_tag=self.us.new_id()), flow))

    def _response(self, response: Response, now: float) -> None:
        transaction = self.transactions.find(response)
        if not isinstance(transaction, ClientTransaction):
            self.dropped += 1
            return
        self._do(transaction, transaction.receive(response, now), now)

    def _request(self, request: Request, flow: Flow, now: float) -> None:
        note_source(request, flow)
        known = self.transactions.find(request)
        if isinstance(known, ServerTransaction):
            self._do(known, known.receive(request, now), now)
        elif request.method == "ACK":
            self._acknowledged(request, now)
        elif request.method == "CANCEL":
            self._cancelled(request, flow, now)
        else:
            self._new_request(request, flow, now)

    def _acknowledged(self, ack: Request, now: float) -> None:
        call = self._calls.get(dialog_id(ack, ours=False))
        if call is None:
            self.dropped += 1
        else:
            call.acknowledged(ack, now)

    def _cancelled(self, cancel: Request, flow: Flow, now: float) -> None:
        invite = self.transactions.cancelled(cancel)
        transaction = self.transactions.accept(cancel, reliable=flow.reliable, peer=flow, now=now)
        call = None if invite is None else self._ringing.get(id(invite))
        # The tag of the INVITE's answers (section 9.2): some peers take the last one they saw.
        status, tag = (481, self.us.new_id()) if call is None else (200, call.tag)
        self.respond(transaction, cancel.response(status, to_tag=tag), now)
        if call is not None:
            call.cancelled(cancel, now)

    def _new_request(self, request: Request, flow: Flow, now: float) -> None:
        transaction = self.transactions.accept(request, reliable=flow.reliable, peer=flow, now=now)
        if (refusal := _refusal(self, request)) is not None:
            self.respond(transaction, refusal, now)
        elif request.to.tag:
            call = self._calls.get(dialog_id(request, ours=False))
            if call is None:
                self.respond(transaction, request.response(481), now)
            else:
                call.request(request, transaction, now)
        elif isinstance(transaction, InviteServer):
            call = self._invited(self, request, transaction, flow, now)
            self._ringing[id(transaction)] = call
        elif request.method in ("BYE", "UPDATE", "PRACK", "INFO", "NOTIFY"):
            self.respond(transaction, request.response(481, to_tag=self.us.new_id()), now)
        else:
            self._out.append(Asked(request, flow, self, transaction))

    # -- what goes out ----------------------------------------------------------------------------

    def send(
        self, request: Request, to: Uri | Flow, answered: _Answered, now: float
    ) -> ClientTransaction:
        """Send a request in a transaction; ``answered`` gets every response, None at a timeout."""
        reliable = request.via.transport in RELIABLE
        transaction = self.transactions.open(request, reliable=reliable, peer=to, now=now)
        self._owners[id(transaction)] = answered
        self._do(transaction, transaction.start(), now)
        return transaction

    def send_ack(self, ack: Request, to: Uri | Flow) -> None:
        """Send the ACK of a 2xx: no transaction, no answer."""
        self._out.append(Transmit(ack, to))

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """Answer a request of theirs."""
        response.headers.add("Server", self.us.product)
        self._do(transaction, transaction.respond(response, now), now)

    def repeat(self, transaction: ServerTransaction, response: Response) -> None:
        """Send an answer of ours again, one that the transaction leaves to its user."""
        assert isinstance(transaction.peer, Flow)
        self._out.append(Transmit(response, transaction.peer))

    def transmit_failed(self, transmit: Transmit, now: float) -> None:
        """Take it that a message could not be sent: nobody there, no such name.

        For a request of ours that is as good as a 503 (section 8.1.3.1).
        """
        transaction = self.transactions.find(transmit.message)
        if isinstance(transmit.message, Request):
            key = transmit.message
            transaction = next((t for t in self.transactions if t.request is key), transaction)
        if transaction is None:
            return
        answered = self._owners.pop(id(transaction), None)
        self._do(transaction, transaction.transport_failed(), now)
        if answered is not None:
            answered(transaction.request.response(503), now)

    def tell(self, event: Event) -> None:
        """Let the owner know something."""
        self._out.append(event)

    def take(self) -> list[Transmit | Event]:
        """Return what is to be sent and known, in order, and forget it."""
        out, self._out = self._out, []
        return out

    # -- time -------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When ``tick`` is due; infinity for never."""
        calls = min((call.deadline for call in self._timed), default=math.inf)
        return min(self.transactions.deadline, calls)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for transaction in self.transactions.due(now):
            self._do(transaction, transaction.tick(now), now)
        for call in tuple(self._timed):
            if call.deadline <= now:
                call.tick(now)

    # -- calls ------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """How many calls there are, of either direction."""
        return len(self._timed)

    def add_call(self, call: Dispatch) -> None:
        """Let a call have its time."""
        self._timed.add(call)

    def add_dialog(self, found: DialogId, call: Dispatch) -> None:
        """Send what comes in this dialog to a call."""
        self._calls[found] = call

    def find_call(self, found: DialogId) -> Dispatch | None:
        """Return the call of a dialog, for a Replaces (RFC 3891)."""
        return self._calls.get(found)

    def forget_call(self, call: Dispatch, dialogs: Iterable[DialogId]) -> None:
        """Leave out a call that is over. What still comes for it gets a 481."""
        for found in dialogs:
            self._calls.pop(found, None)
        self._timed.discard(call)

    # -- inside -----------------------------------------------------------------------------------

    def _do(
        self, transaction: ClientTransaction | ServerTransaction, outputs: list[Output], now: float
    ) -> None:
        for output in outputs:
            if isinstance(output, Send):
                to = transaction.peer
                assert isinstance(to, Uri | Flow)
                self._out.append(Transmit(output.message, to))
            elif isinstance(output, Deliver):
                self._deliver(transaction, output.message, now)
            elif isinstance(output, TimedOut):
                self._timed_out(transaction, now)
            elif isinstance(output, Ended):
                self.transactions.forget(transaction)
                self._owners.pop(id(transaction), None)
                self._ringing.pop(id(transaction), None)
        self.transactions.note(transaction)

    def _deliver(
        self, transaction: ClientTransaction | ServerTransaction, message: Message, now: float
    ) -> None:
        if isinstance(message, Response):
            if (answered := self._owners.get(id(transaction))) is not None:
                answered(message, now)
        else:
            self._acknowledged(message, now)

    def _timed_out(self, transaction: ClientTransaction | ServerTransaction, now: float) -> None:
        # A server's is a refusal without its ACK: nobody is interested any more.
        if isinstance(transaction, ClientTransaction):
            assert isinstance(transaction.peer, Uri | Flow)
            self.unanswered(transaction.peer)
        if (answered := self._owners.pop(id(transaction), None)) is not None:
            answered(None, now)


def _refusal(agent: UserAgent, request: Request) -> Response | None:
    """Return what a request gets that nobody need look at (section 8.2), else None."""
    tag = agent.us.new_id()
    if request.method not in METHODS:
        response = request.response(501 if request.method.isupper() else 405, to_tag=tag)
        response.headers.add("Allow", ALLOW)
        return response
    if not request.uri.is_sip and request.uri.scheme != "tel":
        return request.response(416, to_tag=tag)
    try:
        required = [option.lower() for option in request.headers.elements("Require")]
    except RemoteProtocolError as error:
        return request.response(400, str(error)[:60], to_tag=tag)
    if unknown := [option for option in required if option not in UNDERSTOOD]:
        response = request.response(420, to_tag=tag)
        response.headers.add("Unsupported", ", ".join(unknown))
        return response
    if not request.to.tag and agent.transactions.is_merged(request):
        return request.response(482, to_tag=tag)
    if request.method == "INVITE":
        return _not_our_words(request, tag)
    return None


def _not_our_words(request: Request, tag: str) -> Response | None:
    """Return the refusal of an INVITE with another body than SDP, or that takes none in return."""
    optional = "handling=optional" in (request.headers.get("Content-Disposition") or "").lower()
    if request.body and request.content_type != SDP and not optional:
        response = request.response(415, to_tag=tag)
        response.headers.add("Accept", SDP)
        return response
    taken = {kind.partition(";")[0].strip() for kind in request.headers.elements("Accept")}
    if taken and not taken & {SDP, "application/*", "*/*"}:
        return request.response(406, to_tag=tag)
    return None


def note_source(request: Request, flow: Flow) -> None:
    """Write into the topmost Via where the request came from (sections 18.2.1; RFC 3581)."""
    texts = request.headers.elements("Via")
    via = parse_via(texts[0])
    params = dict(via.params)
    if "rport" in params:
        params["rport"] = str(flow.port)
    if "rport" in params or via.host.strip("[]").lower() != flow.host.lower():
        params["received"] = flow.host
    request.headers.put_first("Via", [str(attrs.evolve(via, params=params)), *texts[1:]])


def authorized(
    request: Request, response: Response, account: Account | None, *, cnonce: str
) -> bool:
    """Add to ``request`` the credentials that a 401 or 407 asks for; False if we cannot."""
    if account is None or response.status not in (401, 407):
        return False
    ours = response.status == 401
    asks, proves = (
        ("WWW-Authenticate", "Authorization")
        if ours
        else ("Proxy-Authenticate", "Proxy-Authorization")
    )
    challenge = digest.best_challenge(response.headers.all(asks))
    if challenge is None:
        return False
    credentials = digest.answer(
        challenge,
        method=request.method,
        uri=str(request.uri),
        username=account.username,
        password=account.password,
        cnonce=cnonce,
    )
    request.headers.set(proves, str(credentials))
    return True


def transport_of(uri: Uri) -> str:
    """Return the transport a URI asks for, in upper case (RFC 3263 section 4.1, without DNS)."""
    return "TLS" if uri.scheme == "sips" else uri.transport.upper() or "UDP"
