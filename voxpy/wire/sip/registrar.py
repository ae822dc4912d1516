"""Where users are: REGISTER answered, contacts kept for as long as they asked (section 10).

A contact is kept with the flow its REGISTER came by, because that is the way back to a phone behind
a NAT; and with the Path that proxies have written (RFC 3327), which is the way through them. What a
stranger is told never says whether a user exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate

import attrs

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.digest import Verdict, Verifier, parse_credentials
from voxpy.wire.sip.message import Request, Response
from voxpy.wire.sip.values import Address, Uri, parse_address

USUAL_S, LEAST_S, MOST_S = 600, 60, 3600
MOST_CONTACTS = 10
"""Of one user; the oldest makes room."""
MOST_PROXIES = 5
"""In one Path."""


@attrs.frozen(kw_only=True)
class Binding:
    """One place where a user is reached until ``expires_at``.

    ``path`` is the Route of a request to it, element by element; ``flow`` is the way where it is
    empty.
    """

    contact: Uri
    flow: Flow
    expires_at: float
    call_id: str
    sequence: int
    path: tuple[str, ...] = ()
    key: str = ""
    """Where what all registrars share has it, if it is from there."""


def prove(
    request: Request,
    verifier: Verifier,
    passwords: Mapping[str, str],
    *,
    wall_s: float,
    to_tag: str,
) -> tuple[str, Response | None]:
    """Return who sent a request, or the challenge or refusal it is to get (401, 403).

    Credentials for another realm are as good as none: they belong to somebody on the way.
    """
    verdict = Verdict(good=False)
    given = False
    for text in request.headers.all("Authorization"):
        try:
            credentials = parse_credentials(text)
        except RemoteProtocolError:
            continue
        if credentials.realm != verifier.realm:
            continue
        given = True
        verdict = verifier.check(
            credentials, method=request.method, passwords=passwords, now_s=wall_s
        )
        if verdict.good:
            return verdict.username, None
    if given and not verdict.stale:
        return "", request.response(403, to_tag=to_tag)
    response = request.response(401, to_tag=to_tag)
    for challenge in verifier.challenges(wall_s, stale=verdict.stale):
        response.headers.add("WWW-Authenticate", str(challenge))
    return "", response


class Registrar:
    """The bindings of one host. ``passwords`` are by user name, read afresh at every request."""

    def __init__(self, verifier: Verifier, passwords: Mapping[str, str]) -> None:
        self._verifier = verifier
        self._passwords = passwords
        self.lost: Callable[[str, Binding], None] = lambda user, binding: None
        """Gets every place that is gone with its connection."""
        self._bindings: dict[str, list[Binding]] = {}

    def contacts(self, user: str, now: float) -> list[Binding]:
        """Return where a user is now, the latest first."""
        current = [b for b in self._bindings.get(user, ()) if b.expires_at > now]
        if current:
            self._bindings[user] = current
        else:
            self._bindings.pop(user, None)
        return current[::-1]

    def adopt(self, user: str, bindings: Sequence[Binding]) -> None:
        """Take it that a user is reached there, and nowhere else: others say so."""
        self._bindings[user] = list(bindings)[-MOST_CONTACTS:]

    def online(self, now: float) -> dict[str, int]:
        """Return how many places each user that is reached has."""
        return {
            user: len(found)
            for user in tuple(self._bindings)
            if (found := self.contacts(user, now))
        }

    def forget(self, flow: Flow) -> None:
        """Leave out what was reached by a connection that is gone (RFC 5626 section 5.3)."""
        for user, bindings in [(name, tuple(found)) for name, found in self._bindings.items()]:
            for binding in bindings:
                if binding.flow == flow and flow.transport != "UDP" and not binding.path:
                    self._bindings[user].remove(binding)
                    self.lost(user, binding)

    def register(
        self, request: Request, flow: Flow, *, now: float, wall_s: float, to_tag: str
    ) -> Response:
        """Answer a REGISTER."""
        user, refusal = prove(
            request, self._verifier, self._passwords, wall_s=wall_s, to_tag=to_tag
        )
        if refusal is not None:
            return refusal
        if request.to.uri.user_text != user:
            return request.response(403, to_tag=to_tag)
        try:
            texts = request.headers.elements("Contact")
            refused = self._update(user, request, texts, flow, now)
        except RemoteProtocolError as error:
            return request.response(400, str(error)[:60], to_tag=to_tag)
        if refused:
            response = request.response(refused, to_tag=to_tag)
            if refused == 423:
                response.headers.add("Min-Expires", str(LEAST_S))
            return response
        response = request.response(200, to_tag=to_tag)
        for binding in self.contacts(user, now):
            left = max(0, round(binding.expires_at - now))
            response.headers.add("Contact", f"<{binding.contact}>;expires={left}")
        for proxy in request.headers.all("Path"):
            response.headers.add("Path", proxy)
        response.headers.add("Date", formatdate(wall_s, usegmt=True))
        return response

    def _update(self, user: str, request: Request, texts: list[str], flow: Flow, now: float) -> int:
        """Change a user's bindings; return the status that refuses it, or 0 (section 10.3)."""
        call_id, number = request.call_id, request.cseq.number
        path = tuple(str(parse_address(text)) for text in request.headers.elements("Path"))
        if len(path) > MOST_PROXIES:
            return 400
        bindings = self.contacts(user, now)[::-1]
        if any(b.call_id == call_id and b.sequence >= number for b in bindings):
            return 0 if not texts else 500  # an older one that came later
        if texts == ["*"]:
            if request.headers.get("Expires") != "0":
                return 400
            self._bindings.pop(user, None)
            return 0
        for address in [parse_address(text) for text in texts]:
            seconds = _expires(request, address)
            if 0 < seconds < LEAST_S:
                return 423
            bindings = [b for b in bindings if str(b.contact) != str(address.uri)]
            if seconds:
                bindings.append(
                    Binding(
                        contact=address.uri,
                        flow=flow,
                        expires_at=now + min(seconds, MOST_S),
                        call_id=call_id,
                        sequence=number,
                        path=path,
                    )
                )
        self._bindings[user] = bindings[-MOST_CONTACTS:]
        return 0


def _expires(request: Request, address: Address) -> int:
    text = address.params.get("expires") or request.headers.get("Expires") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else USUAL_S
