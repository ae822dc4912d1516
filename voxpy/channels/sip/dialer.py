"""Calls out over SIP: to an address, to a user who is registered here, to a number by a trunk."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

from voxpy.channels.hunting import HuntingLeg, hunt
from voxpy.channels.sip.leg import SipLeg
from voxpy.channels.sip.negotiation import Speech
from voxpy.channels.sip.place import PROOF
from voxpy.channels.sip.settings import SipTrunk
from voxpy.channels.sip.sharing import CONFERENCE
from voxpy.channels.sip.transfer import escaped_user
from voxpy.channels.sip.websocket import WEBSOCKETS
from voxpy.engine import clock
from voxpy.engine.ports import Leg, OutgoingCall, RefusedLeg, Secrets
from voxpy.errors import ConnectFailed, RemoteProtocolError
from voxpy.wire.sip.agent import Account, Flow, authorized, transport_of
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.message import Request, Response
from voxpy.wire.sip.registrar import Binding
from voxpy.wire.sip.values import Address, Uri, parse_address, parse_uri

if TYPE_CHECKING:
    from voxpy.channels.outgoing import HostDialer, Trunk
    from voxpy.channels.sip.listener import SipEndpoint
    from voxpy.fleet.membership import Member

NOT_FOUND, BAD_REQUEST, UNAVAILABLE, NO_ROUTE = 404, 400, 480, 503
_NUMBER = re.compile(r"\+?[0-9*#]{3,}")
FIRST_WORD_S = 8.0
"""From a trunk's INVITE to its first answer of any kind; then another trunk is tried."""
PLAIN = "voxpy-plain"
"""In the Path of a proxy that makes plain RTP of WebRTC, as Kamailio does with rtpengine."""
REGISTER_S = 600
RETRY_S = 30.0


@attrs.frozen(kw_only=True)
class _Target:
    """Where a call is tried. ``to`` is the next hop where that is not the URI.

    ``in_page``: whether it is a phone that speaks WebRTC and nothing else. ``word_at_once``:
    whether it is a machine that says something at once, or is not there.
    """

    uri: Uri
    to: Uri | Flow | None = None
    in_page: bool = False
    word_at_once: bool = False
    account: Account | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    speech: Speech


class SipDialer:
    """Implements ``voxpy.channels.outgoing.Way`` for one endpoint.

    ``numbers`` is asked about a number that stands in an address of ours.
    """

    def __init__(self, endpoint: SipEndpoint, secrets: Secrets, numbers: HostDialer) -> None:
        self._endpoint = endpoint
        self._secrets = secrets
        self._numbers = numbers

    def dial(self, call: OutgoingCall) -> Leg:
        """Return at once the leg of a call to an address or a user that is being set up."""
        match call.kind:
            case "sip":
                return self._address(call)
            case "user" | "user_direct":
                return self._user(call)
        return RefusedLeg(call, NO_ROUTE, f"SIP makes no calls of the kind {call.kind}")

    def dial_by(self, trunk: Trunk, call: OutgoingCall) -> Leg:
        """Return at once the leg of a call to a number."""
        assert isinstance(trunk, SipTrunk)
        target = _Target(
            uri=attrs.evolve(trunk.uri, user=escaped_user(call.destination)),
            to=self._endpoint.place.way_out,
            account=_trunk_account(trunk, self._secrets),
            speech=self._endpoint.speech_with(trunk),
            word_at_once=True,
        )
        return self._dial(call, target)

    def dial_conference(self, home: Member, call: OutgoingCall) -> Leg:
        """Call a conference that another process has."""
        host, _, port = home.sip.rpartition(":")
        name = escaped_user(call.destination)
        mine: dict[str, str | None] = {CONFERENCE: f"w{home.worker}."}
        uri = Uri(user=name, host=host, port=int(port), params=mine)
        return self._dial(call, self._to_host(uri, home.sip))

    def _dial(self, call: OutgoingCall, target: _Target) -> Leg:
        endpoint = self._endpoint
        try:
            media, talk = endpoint.speaker(call.leg_id, target.speech, in_page=target.in_page)
        except ConnectFailed as error:
            return RefusedLeg(call, NO_ROUTE, str(error))
        caller = Uri(user=escaped_user(call.callerid) or None, host=endpoint.place.domain)
        sip = SipCall.dial(
            endpoint.agent,
            target.uri,
            from_=Address(uri=caller, display_name=call.display_name),
            sdp=talk.offer(),
            now=clock.now(),
            to=target.to,
            headers={**call.headers, **target.headers},
            account=target.account,
        )
        leg = SipLeg(
            sip,
            media,
            talk,
            wake=endpoint.network.wake,
            leg_id=call.leg_id,
            callerid=call.callerid,
            destination=call.destination,
            display_name=call.display_name,
            client_type=call.client_type,
        )
        if target.word_at_once:
            leg.word_by = clock.now() + FIRST_WORD_S
        endpoint.follow(leg, sip)
        endpoint.network.wake()
        return leg

    def _address(self, call: OutgoingCall) -> Leg:
        try:
            uri = parse_uri(_as_uri(call.destination))
            to = parse_uri(_as_uri(call.out_proxy)) if call.out_proxy else None
        except RemoteProtocolError as error:
            return RefusedLeg(call, BAD_REQUEST, str(error))
        account = Account(call.auth_user, call.password) if call.auth_user else None
        endpoint = self._endpoint
        speech = endpoint.speech_with(None)
        replaces = uri.header("Replaces")
        extra = {"Replaces": replaces, "Require": "replaces"} if replaces else {}
        bare = attrs.evolve(uri, headers="")
        ways = self._ways_to_replace(call, bare, replaces, extra) if replaces else []
        if ways:
            return hunt(call, ways, at_once=True)
        if endpoint.place.is_here(uri) and to is None:
            return self._here(call, bare, extra)
        way = to or endpoint.place.way_out
        target = _Target(uri=bare, to=way, account=account, headers=extra, speech=speech)
        return self._dial(call, target)

    def _ways_to_replace(
        self, call: OutgoingCall, uri: Uri, replaces: str, extra: Mapping[str, str]
    ) -> list[Callable[[], Leg]]:
        """Return the ways of an attended transfer to a call of ours, here or at another host.

        Where the address does not tell, all are asked: those that do not have it say 481.
        """
        endpoint = self._endpoint
        us = endpoint.place.sent_by("UDP")
        others = sorted({m.sip for m in endpoint.fleet.members.values()} - {us, ""})
        named = f"{uri.host}:{uri.port or 5060}"
        if named in others:
            others = [named]
        elif not endpoint.place.is_here(uri):
            others = []
        targets = [self._to_us(uri, extra)] if endpoint.may_hold(replaces) else []
        targets += [self._to_host(uri, host, extra) for host in others]
        return [partial(self._dial, call, target) for target in targets]

    def _here(self, call: OutgoingCall, uri: Uri, extra: Mapping[str, str]) -> Leg:
        """An address of ours: a user, a number that a trunk carries, or another scenario."""
        user = uri.user_text
        if user in self._endpoint.listener.users:
            return self._user(attrs.evolve(call, destination=user))
        as_number = attrs.evolve(call, kind="pstn", destination=user)
        if _NUMBER.fullmatch(user) and any(t.carries(as_number) for t in self._numbers.trunks):
            return self._numbers.dial(as_number)
        return self._dial(call, self._to_us(uri, extra))

    def _to_us(self, uri: Uri, extra: Mapping[str, str]) -> _Target:
        endpoint = self._endpoint
        return _Target(
            uri=uri,
            to=endpoint.place.flow,
            headers={**extra, PROOF: endpoint.place.proof(endpoint.agent.us.new_id())},
            speech=endpoint.speech_with(None),
        )

    def _to_host(self, uri: Uri, address: str, extra: Mapping[str, str] | None = None) -> _Target:
        """Return another host of ours, or another worker, as the way."""
        host, _, port = address.rpartition(":")
        to = Flow("UDP", host.strip("[]"), int(port))
        return attrs.evolve(self._to_us(uri, extra or {}), to=to, word_at_once=True)

    def _user(self, call: OutgoingCall) -> Leg:
        name = call.destination.partition("@")[0].removeprefix("sip:")
        if name not in self._endpoint.listener.users:
            return RefusedLeg(call, NOT_FOUND, f"there is no user {name!r} under users:")
        if self._endpoint.whereabouts is None:
            return hunt(call, self._phones(call, name), at_once=True)
        seek = partial(self._endpoint.spawn, self._ring, call, name)
        return HuntingLeg(call, at_once=True, seek=seek)

    async def _ring(self, call: OutgoingCall, name: str, leg: HuntingLeg) -> None:
        """Ring all phones of a user that may have registered elsewhere."""
        assert self._endpoint.whereabouts is not None
        await self._endpoint.whereabouts.learn(name)
        leg.go(self._phones(call, name))

    def _phones(self, call: OutgoingCall, name: str) -> list[Callable[[], Leg]]:
        found = self._endpoint.registrar.contacts(name, clock.now())
        if not found:
            reason = f"the user {name!r} is not registered now"
            return [partial(RefusedLeg, call, UNAVAILABLE, reason)]
        speech = self._endpoint.speech_with(self._endpoint.listener.users[name])
        phones = [_phone(binding, speech) for binding in found]
        return [partial(self._dial, call, phone) for phone in phones]


def _phone(binding: Binding, speech: Speech) -> _Target:
    """Return a user's phone: by the proxies it has registered by (RFC 3327), or the way it came."""
    if not binding.path:
        in_page = binding.flow.transport in WEBSOCKETS
        return _Target(uri=binding.contact, to=binding.flow, speech=speech, in_page=in_page)
    first = parse_address(binding.path[0]).uri
    return _Target(
        uri=binding.contact,
        to=first,
        headers={"Route": ", ".join(binding.path)},
        speech=speech,
        in_page=transport_of(binding.contact) in WEBSOCKETS and PLAIN not in first.params,
    )


def _trunk_account(trunk: SipTrunk, secrets: Secrets) -> Account | None:
    """Return what a trunk is shown where it asks."""
    password = secrets.get(trunk.secret) if trunk.secret else None
    return Account(trunk.user, password) if trunk.user and password is not None else None


async def stay_registered(
    endpoint: SipEndpoint, trunk: SipTrunk, secrets: Secrets, told: Callable[[str, int], None]
) -> None:
    """Register at a trunk, and again before that is over, until cancelled.

    ``told`` gets the trunk's name and the last status whenever it changes.
    """
    us, user = endpoint.agent.us, trunk.user or "voxpy"
    way = endpoint.place.way_out or trunk.uri
    home = attrs.evolve(trunk.uri, user=escaped_user(user))
    transport = transport_of(way)
    call_id, number, last = us.new_id(), 0, 0
    while True:
        number += 1
        request = Request(method="REGISTER", uri=attrs.evolve(trunk.uri, user=None))
        contact = endpoint.place.registered_as(escaped_user(user), transport)
        request.headers.extend(
            {
                "Via": us.via(transport),
                "Max-Forwards": "70",
                "From": f"<{home}>;tag={us.new_id()}",
                "To": f"<{home}>",
                "Call-ID": call_id,
                "CSeq": f"{number} REGISTER",
                "Contact": f"<{contact}>",
                "Expires": str(REGISTER_S),
            }
        )
        response = await _asked(endpoint, us.sign(request), way)
        account = _trunk_account(trunk, secrets)
        if response is not None and response.status in (401, 407):
            number += 1
            again = us.again(request, number)
            if authorized(again, response, account, cnonce=us.new_id()):
                response = await _asked(endpoint, again, way)
        status = 408 if response is None else response.status
        if status != last:
            last = status
            told(trunk.name, status)
        granted = _granted_s(response) if status == 200 else 0
        await trio.sleep(max(RETRY_S, granted * 0.8) if granted else RETRY_S)


async def _asked(endpoint: SipEndpoint, request: Request, to: Uri) -> Response | None:
    """Send a request and return its final response."""
    got: list[Response | None] = []
    done = trio.Event()

    def answered(response: Response | None, now: float) -> None:
        if response is None or response.is_final:
            got.append(response)
            done.set()

    endpoint.agent.send(request, to, answered, clock.now())
    endpoint.network.wake()
    await done.wait()
    return got[0]


def _granted_s(response: Response | None) -> float:
    if response is None:
        return 0
    contact = response.contact
    text = (contact.params.get("expires") if contact is not None else None) or (
        response.headers.get("Expires") or str(REGISTER_S)
    )
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else REGISTER_S


def _as_uri(text: str) -> str:
    return text if text.startswith(("sip:", "sips:")) else f"sip:{text}"
