"""The four transactions of RFC 3261 section 17, with RFC 6026's states, and who a message is for.

A transaction is one request and everything that answers it, on one hop. It is what makes SIP work
over UDP: it repeats what may have been lost and takes what came twice only once. Four of them,
because an INVITE waits for a person (so it is not repeated once anything was heard of it, and its
final answer is acknowledged) and everything else does not.

                 client                                server
    INVITE       Calling > Proceeding > Accepted       Proceeding > Accepted   (2xx)
                                      > Completed                 > Completed > Confirmed
    others       Trying  > Proceeding > Completed      Trying > Proceeding > Completed

Nothing here knows a socket, a clock or a random number. Time comes in as ``now``, in seconds of any
clock that only goes forward; what is to be done comes out as a list:

    Send      put this message on the wire, to the transaction's peer
    Deliver   the user of the transaction gets this message
    TimedOut  nothing came, or no ACK did; the user is told, and there will be nothing more
    Ended     forget this transaction

After every call ``deadline`` says when ``tick(now)`` is due next; calling it earlier does nothing.
A 2xx to an INVITE leaves the transaction's hands: its repetition, and the ACK, are the dialog's
(section 13.3.1.4). ``Accepted`` only absorbs what is still under way (RFC 6026).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator
from enum import Enum, auto
from heapq import heappop, heappush
from typing import ClassVar

import attrs

from voxpy.errors import LocalProtocolError, RemoteProtocolError
from voxpy.wire.sip.message import Headers, Message, Request, Response

T1_S = 0.5
"""An estimate of the round trip; RFC 3261 section 17.1.1.1."""
T2_S = 4.0
"""The longest pause between repetitions of an INVITE's answer, and of requests but an INVITE."""
T4_S = 5.0
"""How long a message may stay in the network."""
GIVE_UP_S = 64 * T1_S
"""Timers B, F, H, J, L and M."""
TIMER_D_S = 32.0
TRYING_AFTER_S = 0.2
"""An INVITE that nobody has answered by then gets a 100, so that it is not repeated."""

MAGIC = "z9hG4bK"


class State(Enum):
    TRYING = auto()
    CALLING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


@attrs.frozen
class Send:
    """Put a message on the wire."""

    message: Message


@attrs.frozen
class Deliver:
    """Give a message to the user of the transaction."""

    message: Message


@attrs.frozen
class TimedOut:
    """Nobody answered in time (a client is to take it for a 408), or no ACK came."""


@attrs.frozen
class Ended:
    """The transaction is over and can be forgotten."""


Output = Send | Deliver | TimedOut | Ended


class _Transaction:
    """What all four have: a state, timers that are moments, and a peer, whatever that may be."""

    def __init__(self, request: Request, *, reliable: bool, peer: Hashable, now: float) -> None:
        self.request = request
        self.peer = peer
        self.reliable = reliable
        """Whether the transport repeats by itself: TCP, TLS, WebSocket."""
        self.state: State
        self._now = now
        self._repeat_at = math.inf
        self._repeat_s = T1_S
        self._give_up_at = math.inf
        self._forget_at = math.inf
        self.noted = math.inf
        """The deadline that ``Transactions`` knows of."""

    @property
    def deadline(self) -> float:
        """When ``tick`` is due, in seconds of the clock of ``now``; infinity for never."""
        return min(self._repeat_at, self._give_up_at, self._forget_at)

    def tick(self, now: float) -> list[Output]:
        """Do what is due."""
        self._now = now
        if now >= self._forget_at:
            return self._end()
        if now >= self._give_up_at:
            return [TimedOut(), *self._end()]
        if now >= self._repeat_at:
            return self._repeat(now)
        return []

    def transport_failed(self) -> list[Output]:
        """Take it that the wire is gone: as if nobody answered (section 17.1.4)."""
        return [] if self.state is State.TERMINATED else [TimedOut(), *self._end()]

    def _repeat(self, now: float) -> list[Output]:
        raise NotImplementedError

    def _back_off(self, now: float, most_s: float) -> None:
        self._repeat_s = min(2 * self._repeat_s, most_s)
        self._repeat_at = now + self._repeat_s

    def _linger(self, seconds: float, now: float) -> list[Output]:
        """Stay for stragglers; not at all where the transport has none."""
        self._repeat_at = self._give_up_at = math.inf
        if seconds == 0:
            return self._end()
        self._forget_at = now + seconds
        return []

    def _end(self) -> list[Output]:
        self.state = State.TERMINATED
        self._repeat_at = self._give_up_at = self._forget_at = math.inf
        return [Ended()]


# -- client ----------------------------------------------------------------------------------------


class ClientTransaction(_Transaction):
    """A request of ours. ``start`` is called once."""

    def start(self) -> list[Output]:
        """Send the request."""
        now = self._now
        self._give_up_at = now + GIVE_UP_S
        if not self.reliable:
            self._repeat_at = now + T1_S
        return [Send(self.request)]

    def receive(self, response: Response, now: float) -> list[Output]:
        """Take a response that belongs to this transaction."""
        raise NotImplementedError

    def _repeat(self, now: float) -> list[Output]:
        raise NotImplementedError


class InviteClient(ClientTransaction):
    """Section 17.1.1 and RFC 6026 section 7.2."""

    def __init__(self, request: Request, *, reliable: bool, peer: Hashable, now: float) -> None:
        super().__init__(request, reliable=reliable, peer=peer, now=now)
        self.state = State.CALLING
        self._ack: Request | None = None

    def receive(self, response: Response, now: float) -> list[Output]:
        self._now = now
        if self.state in (State.CALLING, State.PROCEEDING):
            return self._first(response, now)
        if self.state is State.ACCEPTED and response.is_success:
            return [Deliver(response)]  # one of another fork, or one whose ACK was lost
        if self.state is State.COMPLETED and response.status >= 300:
            assert self._ack is not None
            return [Send(self._ack)]
        return []

    def _first(self, response: Response, now: float) -> list[Output]:
        if not response.is_final:
            # Whoever rings may ring for ever: how long is the user's decision, who then cancels.
            self.state = State.PROCEEDING
            self._repeat_at = self._give_up_at = math.inf
            return [Deliver(response)]
        if response.is_success:
            self.state = State.ACCEPTED
            return [Deliver(response), *self._linger(GIVE_UP_S, now)]
        self.state = State.COMPLETED
        self._ack = ack_for_failure(self.request, response)
        lingers = self._linger(0 if self.reliable else TIMER_D_S, now)
        return [Send(self._ack), Deliver(response), *lingers]

    def _repeat(self, now: float) -> list[Output]:
        self._back_off(now, math.inf)
        return [Send(self.request)]


class RequestClient(ClientTransaction):
    """Section 17.1.2: any request but INVITE and ACK."""

    def __init__(self, request: Request, *, reliable: bool, peer: Hashable, now: float) -> None:
        super().__init__(request, reliable=reliable, peer=peer, now=now)
        self.state = State.TRYING

    def receive(self, response: Response, now: float) -> list[Output]:
        self._now = now
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        if response.is_final:
            self.state = State.COMPLETED
            return [Deliver(response), *self._linger(0 if self.reliable else T4_S, now)]
        self.state = State.PROCEEDING
        return [Deliver(response)]

    def _repeat(self, now: float) -> list[Output]:
        if self.state is State.PROCEEDING:  # it has arrived: only the answer can still be lost
            self._repeat_at = now + T2_S
        else:
            self._back_off(now, T2_S)
        return [Send(self.request)]


# -- server ----------------------------------------------------------------------------------------


class ServerTransaction(_Transaction):
    """A request of theirs."""

    allowed: ClassVar[frozenset[State]]

    def __init__(self, request: Request, *, reliable: bool, peer: Hashable, now: float) -> None:
        super().__init__(request, reliable=reliable, peer=peer, now=now)
        self._last: Response | None = None

    def respond(self, response: Response, now: float) -> list[Output]:
        """Answer. Raises LocalProtocolError after a final answer."""
        raise NotImplementedError

    def receive(self, request: Request, now: float) -> list[Output]:
        """Take the request again, or the ACK of an INVITE."""
        raise NotImplementedError

    def _again(self) -> list[Output]:
        return [] if self._last is None else [Send(self._last)]


class InviteServer(ServerTransaction):
    """Section 17.2.1 and RFC 6026 section 7.1."""

    def __init__(self, request: Request, *, reliable: bool, peer: Hashable, now: float) -> None:
        super().__init__(request, reliable=reliable, peer=peer, now=now)
        self.state = State.PROCEEDING
        self._repeat_at = now + TRYING_AFTER_S

    def respond(self, response: Response, now: float) -> list[Output]:
        self._now = now
        if self.state is State.ACCEPTED and response.is_success:
            return [Send(response)]  # the dialog repeats it until its ACK
        if self.state is not State.PROCEEDING:
            raise LocalProtocolError("this INVITE has its final answer already")
        self._last = response
        self._repeat_at = math.inf
        if not response.is_final:
            return [Send(response)]
        if response.is_success:
            self.state = State.ACCEPTED
            return [Send(response), *self._linger(GIVE_UP_S, now)]
        self.state = State.COMPLETED
        self._give_up_at = now + GIVE_UP_S
        if not self.reliable:
            self._repeat_s = T1_S
            self._repeat_at = now + T1_S
        return [Send(response)]

    def receive(self, request: Request, now: float) -> list[Output]:
        self._now = now
        if request.method == "ACK":
            return self._acknowledged(request, now)
        if self.state in (State.PROCEEDING, State.COMPLETED):
            return self._again()
        return []

    def _acknowledged(self, ack: Request, now: float) -> list[Output]:
        if self.state is State.COMPLETED:
            self.state = State.CONFIRMED
            return self._linger(0 if self.reliable else T4_S, now)
        return [Deliver(ack)] if self.state is State.ACCEPTED else []

    def _repeat(self, now: float) -> list[Output]:
        if self.state is State.PROCEEDING:
            self._repeat_at = math.inf
            self._last = self.request.response(100)
        else:
            self._back_off(now, T2_S)
        return self._again()


class RequestServer(ServerTransaction):
    """Section 17.2.2: any request but INVITE and ACK."""

    def __init__(self, request: Request, *, reliable: bool, peer: Hashable, now: float) -> None:
        super().__init__(request, reliable=reliable, peer=peer, now=now)
        self.state = State.TRYING

    def respond(self, response: Response, now: float) -> list[Output]:
        self._now = now
        if self.state not in (State.TRYING, State.PROCEEDING):
            raise LocalProtocolError(f"this {self.request.method} has its final answer already")
        self._last = response
        if not response.is_final:
            self.state = State.PROCEEDING
            return [Send(response)]
        self.state = State.COMPLETED
        return [Send(response), *self._linger(0 if self.reliable else GIVE_UP_S, now)]

    def receive(self, request: Request, now: float) -> list[Output]:
        self._now = now
        return self._again()

    def _repeat(self, now: float) -> list[Output]:
        return []


# -- which transaction a message belongs to --------------------------------------------------------

_Key = tuple[str, ...]
MOST_LINGERING = 10_000
"""Requests of theirs; beyond that the oldest that is answered is forgotten. Were it repeated, it
would be answered again."""


class Transactions:
    """All transactions of one endpoint: finds the one a message is for (sections 17.1.3, 17.2.3).

    ``find`` answers None for what begins something: a request nobody knows, an ACK of a 2xx (it is
    a transaction of its own, section 17), and a response to nothing, which is to be dropped.
    """

    def __init__(self) -> None:
        self._clients: dict[_Key, ClientTransaction] = {}
        self._servers: dict[_Key, ServerTransaction] = {}
        self._same: Counter[_Key] = Counter()
        self._due: list[tuple[float, int, ClientTransaction | ServerTransaction]] = []  # a heap
        self._number = 0

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def __iter__(self) -> Iterator[ClientTransaction | ServerTransaction]:
        yield from tuple(self._clients.values())
        yield from tuple(self._servers.values())

    @property
    def deadline(self) -> float:
        """When the first of them has something to do."""
        while self._due and self._due[0][0] != self._due[0][2].deadline:
            heappop(self._due)
        return self._due[0][0] if self._due else math.inf

    def note(self, transaction: ClientTransaction | ServerTransaction) -> None:
        """Mind its deadline, which may be another one now."""
        if transaction.noted != (at := transaction.deadline):
            transaction.noted = at
            if at < math.inf:
                self._number += 1
                heappush(self._due, (at, self._number, transaction))

    def due(self, now: float) -> list[ClientTransaction | ServerTransaction]:
        """Return those that have something to do; each is to be noted again."""
        found = []
        while self.deadline <= now:
            _, _, transaction = heappop(self._due)
            transaction.noted = math.inf
            found.append(transaction)
        return found

    def is_merged(self, request: Request) -> bool:
        """Return whether the same request has come by another way too (section 8.2.2.2)."""
        return self._same[_same_key(request)] > 1  # one of them is this one

    def open(
        self, request: Request, *, reliable: bool, peer: Hashable, now: float
    ) -> ClientTransaction:
        """Make the transaction of a request of ours; an ACK has none."""
        if request.method == "ACK":
            raise LocalProtocolError("an ACK is sent, not made a transaction")
        kind = InviteClient if request.method == "INVITE" else RequestClient
        transaction = kind(request, reliable=reliable, peer=peer, now=now)
        self._clients[_client_key(request.via.branch, request.cseq.method)] = transaction
        return transaction

    def accept(
        self, request: Request, *, reliable: bool, peer: Hashable, now: float
    ) -> ServerTransaction:
        """Make the transaction of a request of theirs that ``find`` did not know."""
        kind = InviteServer if request.method == "INVITE" else RequestServer
        transaction = kind(request, reliable=reliable, peer=peer, now=now)
        self._servers[_server_key(request)] = transaction
        self._same[_same_key(request)] += 1
        self.note(transaction)
        if len(self._servers) > MOST_LINGERING:
            oldest = next(iter(self._servers.values()))
            if isinstance(oldest, RequestServer) and oldest.state is State.COMPLETED:
                self.forget(oldest)
        return transaction

    def find(self, message: Message) -> ClientTransaction | ServerTransaction | None:
        """Return the transaction that a message belongs to."""
        if isinstance(message, Response):
            if len(message.vias) != 1:  # section 8.1.3.3: it was not meant for us
                return None
            return self._clients.get(_client_key(message.via.branch, message.cseq.method))
        return self._servers.get(_server_key(message))

    def cancelled(self, cancel: Request) -> ServerTransaction | None:
        """Return the INVITE that a CANCEL is about (section 9.2)."""
        found = self._servers.get(_server_key(cancel, method="INVITE"))
        return found if isinstance(found, InviteServer) else None

    def forget(self, transaction: ClientTransaction | ServerTransaction) -> None:
        """Leave out one that has ended. Again does nothing."""
        request = transaction.request
        if isinstance(transaction, ClientTransaction):
            self._clients.pop(_client_key(request.via.branch, request.cseq.method), None)
            return
        key = _server_key(request)
        if self._servers.get(key) is transaction:
            del self._servers[key]
            same = _same_key(request)
            self._same[same] -= 1
            if not self._same[same]:
                del self._same[same]


def _client_key(branch: str, method: str) -> _Key:
    return branch, method


def _server_key(request: Request, method: str = "") -> _Key:
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    via = request.via
    if via.branch.startswith(MAGIC) and len(via.branch) > len(MAGIC):
        return via.branch, via.sent_by, method
    # Whoever speaks RFC 2543 has no branch that means anything. To's tag is left out: the ACK has
    # one and the INVITE none. Both name the same request, so CSeq's number and the rest suffice.
    return (
        str(via),
        request.call_id,
        _from_tag(request),
        str(request.cseq.number),
        str(request.uri),
        method,
    )


def _same_key(request: Request) -> _Key:
    return request.call_id, _from_tag(request), str(request.cseq)


def _from_tag(request: Request) -> str:
    try:
        return request.from_.tag
    except RemoteProtocolError:
        return ""


def ack_for_failure(invite: Request, response: Response) -> Request:
    """Return the ACK of a final response other than 2xx, of the same transaction (17.1.1.3)."""
    headers = Headers([("Via", str(invite.via)), ("Max-Forwards", "70")])
    for route in invite.headers.all("Route"):
        headers.add("Route", route)
    headers.add("From", invite.headers.get("From") or "")
    headers.add("To", response.headers.get("To") or "")
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", f"{invite.cseq.number} ACK")
    return Request(method="ACK", uri=invite.uri, headers=headers)
