"""The edge: how other hosts reach a phone by the connection that it has to this one. Pure.

A host that calls such a phone gives its requests a Route to us with the connection's name in it (a
Path, RFC 3327; a flow token, RFC 5626 section 5.2). We pass on what comes with one, and what the
phone sends back, and keep nothing of either: a stateless proxy (RFC 3261 section 16.11). What has
to be known later stands in our Via and our Record-Route, signed with what all hosts know.

Hosts speak UDP to each other and the phone has a connection, so that is which way a request goes,
and why the phone finds us in Record-Route by another transport than the host (RFC 5658). From a
phone it goes to hosts of ours and nowhere else.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from itertools import takewhile

import attrs

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.message import Message, Request, Response
from voxpy.wire.sip.transactions import MAGIC
from voxpy.wire.sip.values import Uri, Via, parse_address

FLOW = "voxpy-flow"
"""The parameter of an address of ours that names a connection."""
FORBIDDEN, TOO_MANY_HOPS = 403, 483
USUAL_HOPS = "70"
_BRANCH = f"{MAGIC}edge."
_PROOF_CHARACTERS = 32


@attrs.frozen
class Passed:
    """A message that goes on, or an answer of ours; ``worker`` has the connection ``to``."""

    message: Message
    to: Flow | Uri
    worker: int = 0


class Edge:
    """``worker`` is the process we are in, ``sent_by`` our address as a Via says it.

    ``sign`` gives a proof of a text that only our hosts can give. ``is_host`` returns whether a
    ``host:port`` is one of theirs.
    """

    def __init__(
        self,
        worker: int,
        sent_by: Callable[[str], str],
        sign: Callable[[str], str],
        is_host: Callable[[str], bool],
    ) -> None:
        self._worker = worker
        self._sent_by = sent_by
        self._sign = sign
        self._is_host = is_host

    def path(self, address: str, flow: Flow, worker: int) -> str:
        """Return the Path to a connection that a worker of the host at ``address`` has."""
        name = _name(flow, worker)
        return f"<sip:{address};lr;{FLOW}={self._token(name)}>"

    def pass_on(self, message: Message, flow: Flow) -> Passed | None:
        """Return what becomes of a message that is none of ours; None for one that is.

        Raises RemoteProtocolError for a response to nothing that we have passed on.
        """
        if isinstance(message, Response):
            return self._back(message)
        try:
            routes = [parse_address(text) for text in message.headers.elements("Route")]
        except RemoteProtocolError:
            return None
        ours = list(takewhile(lambda route: FLOW in route.uri.params, routes))
        if not ours:
            return None
        named = self._named(ours[0].uri.params[FLOW] or "")
        others = routes[len(ours) :]
        hops = message.headers.get("Max-Forwards") or USUAL_HOPS
        if named is None:
            return _refused(message, FORBIDDEN, flow)
        if not hops.isascii() or not hops.isdigit() or int(hops) < 1:
            return _refused(message, TOO_MANY_HOPS, flow)
        passed = attrs.evolve(message, headers=message.headers.copy())
        passed.headers.set("Max-Forwards", str(int(hops) - 1))
        passed.headers.remove("Route")
        for route in others:
            passed.headers.add("Route", str(route))
        if flow.transport == "UDP":
            return self._to_phone(passed, flow, *named)
        target = others[0].uri if others else message.uri
        to = Uri(host=target.host, port=target.port or 5060)
        if not target.is_sip or not self._is_host(f"{to.host}:{to.port}"):
            return _refused(message, FORBIDDEN, flow)
        passed.headers.insert("Via", self._via("UDP", flow, message.via))
        return Passed(passed, to)

    def _to_phone(self, passed: Request, back: Flow, phone: Flow, worker: int) -> Passed:
        if passed.method == "INVITE":
            token = self._token(_name(phone, worker))
            for transport in ("UDP", phone.transport):
                by = "" if transport == "UDP" else f";transport={transport.lower()}"
                ours = f"<sip:{self._sent_by(transport)}{by};lr;{FLOW}={token}>"
                passed.headers.insert("Record-Route", ours)
        passed.headers.insert("Via", self._via(phone.transport, back, passed.via))
        return Passed(passed, phone, worker)

    def _via(self, transport: str, back: Flow, before: Via) -> str:
        """Return our Via: whoever answers gives it back, and it says where the answer goes.

        It is the same for a repetition, a CANCEL and the ACK of a refusal, as it has to be.
        """
        name = _name(back, self._worker if back.reliable else 0)  # a datagram comes to any of us
        branch = f"{_BRANCH}{name}.{self._proof(f'{name} {before.branch}')}"
        host, _, port = self._sent_by(transport).rpartition(":")
        return str(Via(transport=transport, host=host, port=int(port), params={"branch": branch}))

    def _back(self, response: Response) -> Passed | None:
        ours, *others = response.headers.elements("Via")
        branch = response.via.branch
        if not branch.startswith(_BRANCH):
            return None
        name, _, proof = branch.removeprefix(_BRANCH).partition(".")
        before = response.vias[1].branch if others else ""
        if not hmac.compare_digest(proof.encode(), self._proof(f"{name} {before}").encode()):
            raise RemoteProtocolError(f"no request of ours has the Via {ours[:80]!r}")
        flow, worker = _of(name)
        passed = attrs.evolve(response, headers=response.headers.copy())
        passed.headers.put_first("Via", others)
        return Passed(passed, flow, worker)

    def _named(self, token: str) -> tuple[Flow, int] | None:
        name, _, proof = token.partition(".")
        right = hmac.compare_digest(proof.encode(), self._proof(name).encode())
        return _of(name) if right else None

    def _token(self, name: str) -> str:
        return f"{name}.{self._proof(name)}"

    def _proof(self, text: str) -> str:
        return self._sign(f"flow {text}")[:_PROOF_CHARACTERS]


def _refused(request: Request, status: int, flow: Flow) -> Passed:
    return Passed(request.response(status, to_tag="edge"), flow)


def _name(flow: Flow, worker: int) -> str:
    return f"{flow.transport} {flow.host} {flow.port} {worker}".encode().hex()


def _of(name: str) -> tuple[Flow, int]:
    """Read a name that has been proven."""
    transport, host, port, worker = bytes.fromhex(name).decode().split(" ")
    return Flow(transport, host, int(port)), int(worker)
