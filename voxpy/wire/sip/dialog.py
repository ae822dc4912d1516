"""Dialogs (RFC 3261 section 12): what two ends agree on for as long as a call lasts. Pure.

One INVITE may bring several: a proxy that rings three phones passes on an answer of each, told
apart by the tag of To. Each is a ``Dialog`` of its own; the first that is confirmed is the call.
"""

from __future__ import annotations

import attrs

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.message import Headers, Request, Response
from voxpy.wire.sip.transactions import MAGIC
from voxpy.wire.sip.values import Address, CSeq, Uri, parse_address, parse_params

REFRESHES_TARGET = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""Requests whose Contact is from then on where the other end is (RFC 6665 section 4.4.1 too)."""


@attrs.frozen
class DialogId:
    """Call-ID and both tags, seen from here."""

    call_id: str
    local_tag: str
    remote_tag: str


def dialog_id(message: Request | Response, *, ours: bool) -> DialogId:
    """Return the dialog of a message; ``ours``: whether the request of it was sent by us."""
    mine, theirs = (message.from_, message.to) if ours else (message.to, message.from_)
    return DialogId(message.call_id, mine.tag, theirs.tag)


@attrs.define(kw_only=True)
class Dialog:
    """One end of a dialog. ``contact`` is where we are reached, as our Contact says it."""

    call_id: str
    local: Address
    remote: Address
    remote_target: Uri
    route_set: list[str]
    contact: str
    local_seq: int
    remote_seq: int | None = None
    early: bool = True

    @property
    def id(self) -> DialogId:
        return DialogId(self.call_id, self.local.tag, self.remote.tag)

    @property
    def replaces(self) -> str:
        """The Replaces that puts another call in the place of this one (RFC 3891)."""
        return f"{self.call_id};to-tag={self.remote.tag};from-tag={self.local.tag}"

    @classmethod
    def replaced(cls, text: str) -> DialogId:
        """Return the dialog of ours that a Replaces is about. Raises RemoteProtocolError."""
        call_id, semicolon, params = text.partition(";")
        found = parse_params(semicolon + params)
        ours, theirs = found.get("to-tag"), found.get("from-tag")
        if not call_id.strip() or not ours or not theirs:
            raise RemoteProtocolError(f"a Replaces has a Call-ID and both tags: {text[:80]!r}")
        return DialogId(call_id.strip(), ours, theirs)

    @classmethod
    def of_response(cls, request: Request, response: Response) -> Dialog:
        """Return our end after a response with a tag to our INVITE (section 12.1.2).

        Raises RemoteProtocolError if it has no Contact: nobody could be reached.
        """
        target = response.contact
        if target is None:
            raise RemoteProtocolError(f"a {response.status} to an INVITE has a Contact")
        return cls(
            call_id=request.call_id,
            local=request.from_,
            remote=response.to,
            remote_target=target.uri,
            route_set=list(reversed(response.headers.elements("Record-Route"))),
            contact=request.headers.get("Contact") or "",
            local_seq=request.cseq.number,
            early=not response.is_final,
        )

    @classmethod
    def of_request(cls, request: Request, *, local_tag: str, contact: str) -> Dialog:
        """Return our end after a request that begins one (section 12.1.1)."""
        target = request.contact
        if target is None and not request.via.branch.startswith(MAGIC):
            target = request.from_  # RFC 2543, where a Contact was a courtesy
        if target is None:
            raise RemoteProtocolError(f"a {request.method} has a Contact")
        return cls(
            call_id=request.call_id,
            local=request.to.with_tag(local_tag),
            remote=request.from_,
            remote_target=target.uri,
            route_set=request.headers.elements("Record-Route"),
            contact=contact,
            local_seq=0,
            remote_seq=request.cseq.number,
        )

    def confirm(self, response: Response) -> None:
        """Take the 2xx that makes an early dialog a call: its route set counts (13.2.2.4)."""
        self.early = False
        self.route_set = list(reversed(response.headers.elements("Record-Route")))
        self.refresh(response)

    def refresh(self, message: Request | Response) -> None:
        """Take the Contact of a target refresh, if there is one."""
        target = message.contact
        if target is not None:
            self.remote_target = target.uri

    def request(self, method: str, *, via: str, sequence: int | None = None) -> Request:
        """Return the next request of this dialog (section 12.2.1.1).

        ``sequence`` is given for an ACK, which has its INVITE's number. Routes go the loose
        way (``lr``), or the strict one for a first hop that RFC 2543 made.
        """
        if sequence is None:
            self.local_seq += 1
            sequence = self.local_seq
        uri, routes = self._way()
        headers = Headers([("Via", via), ("Max-Forwards", "70")])
        for route in routes:
            headers.add("Route", route)
        headers.add("From", str(self.local))
        headers.add("To", str(self.remote))
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", str(CSeq(sequence, method)))
        if self.contact and method in REFRESHES_TARGET:
            headers.add("Contact", self.contact)
        return Request(method=method, uri=uri, headers=headers)

    def takes(self, request: Request) -> bool:
        """Return whether a request comes in order, and note its number; else it is to get a 500.

        Numbers may skip (a request was answered by a proxy), never fall (section 12.2.2).
        """
        number = request.cseq.number
        if request.method == "ACK":
            return True
        if self.remote_seq is not None and number <= self.remote_seq:
            return False
        self.remote_seq = number
        if request.method in REFRESHES_TARGET:
            self.refresh(request)
        return True

    @property
    def next_hop(self) -> Uri:
        """Where a request of this dialog is sent to."""
        return parse_address(self.route_set[0]).uri if self.route_set else self.remote_target

    def _way(self) -> tuple[Uri, list[str]]:
        """Return Request-URI and Route headers."""
        if not self.route_set:
            return self.remote_target, []
        first = parse_address(self.route_set[0]).uri
        if "lr" in first.params:
            return self.remote_target, self.route_set
        bare = attrs.evolve(first, headers="")
        return bare, [*self.route_set[1:], f"<{self.remote_target}>"]
