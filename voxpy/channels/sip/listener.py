"""``channels: {sip: ...}``: phones, PBXs and trunks that call in.

::

    channels:
      sip:
        host: 0.0.0.0         # where it listens; 5060 for UDP and TCP
        port: 5060
        tls_port: 5061        # needs certificate and key
        certificate: sip.pem
        key: sip.key
        address: 203.0.113.7  # how phones reach it, where that is another address
        rtp_ports: 20000-20999
        to: support           # for calls to no user: sip:203.0.113.7
        digest: [SHA-256, MD5]  # how users prove their password; usually MD5 alone
        srtp: offer           # off, offer or require
        codecs: [g722, pcmu, pcma]
"""

from __future__ import annotations

import random
import secrets as random_words
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from voxpy.channels.browser.webrtc import is_there
from voxpy.channels.listener import ListenerHost
from voxpy.channels.providers.http import Answer, Request
from voxpy.channels.sip.codecs import Codec, usual_codecs
from voxpy.channels.sip.dialer import SipDialer, stay_registered
from voxpy.channels.sip.ladder import Way, is_of
from voxpy.channels.sip.leg import SipLeg, receive_invited
from voxpy.channels.sip.limits import SourceLimits
from voxpy.channels.sip.media import RtpMedia
from voxpy.channels.sip.negotiation import REQUIRE, Negotiation, Speech, agreed_codec
from voxpy.channels.sip.network import SipNetwork, SipSockets
from voxpy.channels.sip.place import Place
from voxpy.channels.sip.ports import PortRange
from voxpy.channels.sip.settings import (
    Passwords,
    Proxy,
    SipTrunk,
    User,
    is_local,
    read_algorithms,
    read_codecs,
    read_path,
    read_ports,
    read_srtp,
)
from voxpy.channels.sip.sharing import CONFERENCE, Sharing, Whereabouts, owner_in, take_guest
from voxpy.channels.sip.transfer import take_over
from voxpy.channels.sip.websocket import (
    SIP_PATH,
    Offers,
    is_webrtc,
    serve_phone,
    take_webrtc,
)
from voxpy.engine import clock
from voxpy.engine.faults import contained, explain
from voxpy.engine.ports import Secrets
from voxpy.engine.userfile import Given
from voxpy.errors import ConfigError, ConnectFailed, RemoteProtocolError
from voxpy.sockets.accepting import Upgrade
from voxpy.sockets.listening import listen, tls_context
from voxpy.wire.sip.agent import Asked, Event, Flow, UserAgent
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.dialog import Dialog
from voxpy.wire.sip.digest import Verifier
from voxpy.wire.sip.edge import Edge
from voxpy.wire.sip.events import CallEvent, Cancelled, Ended, Failed, Invited
from voxpy.wire.sip.identity import Identity
from voxpy.wire.sip.message import Request as SipRequest
from voxpy.wire.sip.message import Response
from voxpy.wire.sip.registrar import Registrar, prove

KEYS = (
    "host", "port", "tls_port", "certificate", "key", "address", "rtp_ports", "to", "digest",
    "srtp", "codecs",
)  # fmt: skip
FREE_PORTS = 20
"""Tried for port 0 until one is free for UDP too."""


@attrs.frozen(kw_only=True)
class SipListener:
    """Implements ``voxpy.channels.listener.Listener``."""

    name: str = "sip"
    host: str = "127.0.0.1"
    port: int = 5060
    tls_port: int | None = None
    certificate: Path | None = None
    key: Path | None = None
    address: str = ""
    rtp_ports: tuple[int, int] = (20000, 20999)
    to: str = ""
    digest: tuple[str, ...] = ("md5",)
    speech: Speech = attrs.field(factory=lambda: Speech(codecs=usual_codecs()))
    users: Mapping[str, User] = attrs.field(factory=dict)
    trunks: tuple[SipTrunk, ...] = ()
    proxy: Proxy | None = None
    draining: list[bool] = attrs.field(factory=list, eq=False)
    _running: list[SipEndpoint] = attrs.field(factory=list, init=False, eq=False, repr=False)

    @classmethod
    def read(cls, name: str, given: Given) -> SipListener:
        """Read a channel's settings. Raises ConfigError."""
        fields = given.fields(KEYS)
        usual = cls(name=name)
        listener = attrs.evolve(
            usual,
            host=fields.get("host", Given.words, usual.host),
            port=fields.get("port", partial(Given.whole, at_most=65535), usual.port),
            tls_port=fields.get("tls_port", partial(Given.whole, at_most=65535), None),
            certificate=fields.get("certificate", read_path, None),
            key=fields.get("key", read_path, None),
            address=fields.get("address", Given.words, ""),
            rtp_ports=fields.get("rtp_ports", read_ports, usual.rtp_ports),
            to=fields.get("to", Given.words, ""),
            digest=fields.get("digest", read_algorithms, usual.digest),
            speech=Speech(
                codecs=fields.get("codecs", read_codecs, usual.speech.codecs),
                srtp=fields.get("srtp", read_srtp, usual.speech.srtp),
            ),
        )
        if listener.tls_port is not None and listener.certificate is None:
            raise given.error(f"{given.label}: tls_port needs a certificate: and a key:")
        return listener

    @property
    def paths(self) -> Sequence[str]:
        """Users come by WebSocket too (RFC 7118): a digest proves them, wherever their page is."""
        return [SIP_PATH] if self.users else []

    @property
    def webhooks(self) -> Sequence[str]:
        return []

    def open(self) -> Sequence[socket.socket]:
        """Bind UDP and TCP, and TLS where there is a certificate. Raises VoxpyError."""
        if self.tls_port is not None:
            tls_context(self.certificate, self.key)  # what is wrong is said before calls come
        setting = f"channels: {self.name}: port"
        for more_tries in range(0 if self.port else FREE_PORTS, -1, -1):
            tcp = listen(self.host, self.port, setting=setting)
            port = int(tcp.getsockname()[1])
            udp = socket.socket(tcp.family, socket.SOCK_DGRAM)
            try:
                udp.bind((self.host, port))
                break
            except OSError as error:
                udp.close()
                tcp.close()
                if not more_tries:
                    problem = f"{setting}: UDP {self.host}:{port}: {error.strerror}"
                    raise ConfigError(problem) from error
        udp.setblocking(False)
        if self.tls_port is None:
            return [udp, tcp]
        return [
            udp,
            tcp,
            listen(self.host, self.tls_port, setting=f"channels: {self.name}: tls_port"),
        ]

    async def run(self, sockets: Sequence[socket.socket], host: ListenerHost) -> None:
        """Take calls until cancelled."""
        async with trio.open_nursery() as calls:
            endpoint = SipEndpoint(self, sockets, host, calls)
            self._running[:] = [endpoint]
            host.fleet.sip = endpoint.place.sent_by("UDP")
            if endpoint.sharing is not None:
                calls.start_soon(endpoint.sharing.run)
            dialer = SipDialer(endpoint, host.secrets, host.outgoing)
            host.dials("sip", dialer)
            host.outgoing.across = dialer
            host.registers(partial(_online, endpoint))
            elsewhere = self.proxy is not None or bool(host.fleet.host)  # pages may be there
            if elsewhere and self.users and is_there():
                calls.start_soon(endpoint.offers.keep_ready)
            for trunk in self.trunks:
                if trunk.register and host.worker == 0:
                    calls.start_soon(
                        stay_registered, endpoint, trunk, host.secrets, endpoint.registered
                    )
            await endpoint.network.run()

    def drain(self) -> None:
        """Answer what comes from now on with 503, OPTIONS too: proxies look elsewhere."""
        self.draining.append(True)

    async def on_upgrade(
        self, upgrade: Upgrade, request: Request, address: str, host: ListenerHost
    ) -> None:
        """Serve a phone in a page."""
        if self._running and not self.draining:
            await serve_phone(upgrade, address, self._running[-1], host)
        else:
            await upgrade.refuse(503, headers=[("Retry-After", "5")])

    def on_request(self, request: Request, base: str, host: ListenerHost) -> Answer:
        """There is no webhook of ours."""
        raise NotImplementedError

    def serves(
        self, base: str, sockets: Sequence[socket.socket], secrets: Secrets | None = None
    ) -> str:
        """Return the address to call."""
        port = sockets[0].getsockname()[1] if sockets else self.port
        tls_port = sockets[2].getsockname()[1] if len(sockets) > 2 else self.tls_port
        tls = f", TLS {tls_port}" if self.tls_port is not None else ""
        return f"{self.name}: sip:NUMBER@{self.address or self.host}:{port} (UDP, TCP{tls})"

    def lacks(self, secrets: Secrets) -> Iterator[str]:
        """Yield what a stranger could do."""
        if not is_local(self.host) and not self.users and not self.trunks:
            yield (
                f"{self.name}: anybody who reaches {self.host}:{self.port} can call; "
                "with users: or trunks: in routing.yaml only those can"
            )
        names = [user.secret for user in self.users.values()]
        names += [trunk.secret for trunk in self.trunks if trunk.secret]
        for name in names:
            if secrets.get(name) is None:
                yield f"{self.name}: {secrets.missing(name)}"


class SipEndpoint:
    """A listener that runs: its user agent on the network, and the legs of its calls."""

    def __init__(
        self,
        listener: SipListener,
        sockets: Sequence[socket.socket],
        host: ListenerHost,
        calls: trio.Nursery,
    ) -> None:
        udp, tcp, *tls = sockets
        self.listener = listener
        self._host, self.fleet = host, host.fleet
        self._calls = calls
        self._ports = PortRange(*listener.rtp_ports)
        port = int(udp.getsockname()[1])
        self._random = random.SystemRandom()
        self.sharing: Sharing | None = None
        """The other workers, if there are any."""
        if host.workers > 1:
            place = f"{listener.host}-{port}"
            self.sharing = Sharing(
                host.worker, host.workers, place, lambda given: self.network.handed(given)
            )
        new_id = partial(random_words.token_hex, 8)
        tls_port = int(tls[0].getsockname()[1]) if tls else 0
        self.place = Place(
            listener.host, listener.address, port, tls_port, lambda: host.fleet.key, listener.proxy
        )
        us = Identity(
            product="voxpy",
            sent_by=self.place.sent_by,
            contact=self.place.contact,
            new_id=new_id if self.sharing is None else self.sharing.new_id,
            jitter=self._random.random,
        )
        self.agent = UserAgent(us, invited=SipCall.invited)
        self._verifier = Verifier("voxpy", lambda: host.fleet.key, algorithms=listener.digest)
        self._passwords = Passwords(listener.users, host.secrets)
        self.registrar = Registrar(self._verifier, self._passwords)
        self.legs: dict[SipCall, SipLeg] = {}
        self.offers = Offers()
        """Of WebRTC, for users who are called in a page."""
        self.limits = SourceLimits(self._is_free)
        self.network = SipNetwork(
            self.agent,
            SipSockets(
                udp=udp,
                tcp=tcp,
                tls=tls[0] if tls else None,
                context=tls_context(listener.certificate, listener.key) if tls else None,
            ),
            take=self.take,
            failed=self._failed,
            admits=self._admits,
            trusts=self._is_free,
            host=host,
        )
        self.network.sharing = self.sharing
        if host.fleet.host:
            self.network.edge = Edge(
                host.worker,
                self.place.sent_by,
                self.place.signed,
                lambda address: any(m.sip == address for m in host.fleet.members.values()),
            )
        self.network.seen = self._seen
        self.whereabouts: Whereabouts | None = None
        """Of users, where there are other workers or hosts."""
        if self.sharing is not None or host.fleet.host:
            self.whereabouts = Whereabouts(
                self.registrar, host.fleet, listener.users, self.sharing, self.network.edge
            )

    def _is_free(self, address: str) -> bool:
        """Return whether an address may ask as often as it likes, and stay."""
        proxy = self.listener.proxy
        return any(trunk.is_from(address) for trunk in self.listener.trunks) or (
            proxy is not None and proxy.is_from(address)
        )

    def _admits(self, request: SipRequest, flow: Flow) -> bool:
        """Return whether a request outside of calls is answered, not one too many of its source."""
        source = self.place.source(request, flow)
        if self.place.is_ours(request) or self.limits.admits(source, clock.now()):
            return True
        self._host.refused("too many", "too many SIP requests", source)
        return False

    def _seen(self, message: SipRequest | Response, way: Way) -> None:
        """Show a message to the leg whose it is; of an INVITE that comes in there is none yet."""
        for call, leg in self.legs.items():
            if is_of(message, way, call):
                leg.saw(message, way)
                return

    # -- what MediaMaker is for -------------------------------------------------------------------

    def open(self, name: str, codec: Codec) -> RtpMedia:
        """Open the ports of a call. Raises ConnectFailed."""
        return RtpMedia(
            name,
            codec,
            self._ports.bind(self.listener.host),
            ssrc=self.new_number(),
            cname=f"voxpy@{self.place.address}",
        )

    def speaker(self, name: str, speech: Speech, *, in_page: bool) -> tuple[RtpMedia, Negotiation]:
        """Return the audio of a call to somebody, and what is said of it. Raises ConnectFailed."""
        if in_page:
            return self.offers.take(name)
        media = self.open(name, speech.codecs[-1])
        return media, self.negotiation(media, speech)

    def negotiation(self, media: RtpMedia, speech: Speech) -> Negotiation:
        """Return what can be said of the audio of a call."""
        return Negotiation(
            media,
            speech,
            address=self.place.address,
            session_id=self.new_number(),
            new_bytes=random_words.token_bytes,
        )

    def speech_with(self, whom: SipTrunk | User | None) -> Speech:
        """Return what may be spoken with a carrier or a user: the channel's where they say none."""
        usual = self.listener.speech
        if whom is None:
            return usual
        codecs = whom.codecs if isinstance(whom, SipTrunk) else None
        return Speech(codecs=codecs or usual.codecs, srtp=whom.srtp or usual.srtp)

    def may_hold(self, replaces: str) -> bool:
        """Return whether a Replaces is about a call of ours; of other workers only they know."""
        try:
            found = Dialog.replaced(replaces)
        except RemoteProtocolError:
            return False
        if self.sharing is not None and owner_in(found.local_tag, self.sharing.workers) is not None:
            return True
        return self.agent.find_call(found) is not None

    def spawn(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do what has to ask others first; an error of it is logged and ends nothing else."""
        self._calls.start_soon(_contained, self._failed, work, *args)

    def new_number(self) -> int:
        """Return 31 random bits."""
        return self._random.getrandbits(31)

    # -- what the agent tells ---------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take an event of the user agent."""
        if isinstance(event, Invited):
            self._invited(event)
        elif isinstance(event, CallEvent):
            leg = self.legs.get(event.call)
            if leg is not None:
                leg.handle(event)
                over = isinstance(event, (Cancelled, Ended, Failed))
                if over and not leg.incoming and self.legs.get(event.call) is leg:
                    del self.legs[event.call]
        elif isinstance(event, Asked):
            self._asked(event)

    def _invited(self, event: Invited) -> None:
        now, call = clock.now(), event.call
        if CONFERENCE in event.request.uri.params and self.place.is_ours(event.request):
            self.spawn(take_guest, self, event, self._host.meetings)
            return
        if self.listener.draining:
            call.reject(503, now, headers={"Retry-After": "5"})
            return
        client_type = self._admit(event)
        if not client_type or self._replaces(event):
            return
        if is_webrtc(event.sdp):
            self._calls.start_soon(take_webrtc, self, event, client_type)
            return
        speech = self.speech_with(self._caller(event, client_type))
        media = self.audio(event, speech)
        if media is not None:
            leg = self.leg_of(event, media, self.negotiation(media, speech), client_type)
            self._calls.start_soon(self.serve, leg)

    def audio(self, event: Invited, speech: Speech) -> RtpMedia | None:
        """Open the audio of a call that comes in; None if it has been refused."""
        now, call = clock.now(), event.call
        try:
            chosen = agreed_codec(event.sdp, speech)
        except RemoteProtocolError as error:
            call.reject(400, now, reason="Bad session description")
            self._refused("no call", str(error), event)
            return None
        if chosen is None:
            call.reject(488, now)
            wanted = "with SRTP " if speech.srtp == REQUIRE else ""
            self._refused("no call", f"no audio format {wanted}that both speak", event)
            return None
        try:
            return self.open("call-1", chosen)
        except ConnectFailed as error:
            call.reject(503, now, headers={"Retry-After": "5"})
            self._refused("no room", str(error), event)
            return None

    def leg_of(
        self, event: Invited, media: RtpMedia, negotiation: Negotiation, client_type: str
    ) -> SipLeg:
        """Return the leg of a call that comes in, whatever carries its audio."""
        callerid, destination, name, headers = receive_invited(event)
        leg = SipLeg(
            event.call,
            media,
            negotiation,
            wake=self.network.wake,
            callerid=callerid,
            destination=destination or self.listener.to,
            display_name=name,
            headers=headers,
            client_type=client_type,
            offered=event.sdp,
        )
        self.legs[event.call] = leg
        leg.saw(event.request, "in")
        return leg

    def _admit(self, event: Invited) -> str:
        """Return as what a caller may call in; nothing if the call has been refused."""
        listener, request, call = self.listener, event.request, event.call
        source = self.place.source(request, event.flow)
        if any(trunk.is_from(source) for trunk in listener.trunks):
            return "pstn"
        if self.place.is_ours(request):
            return "sip"
        if not listener.users and not listener.trunks:
            return "sip"
        user, refusal = prove(
            request,
            self._verifier,
            self._passwords,
            wall_s=clock.wall().timestamp(),
            to_tag=call.tag,
        )
        if refusal is None and user == request.from_.uri.user_text:
            return "user"
        call.reject(403, clock.now(), response=refusal)
        if refusal is None or refusal.status == 403:
            self.limits.wrong(source, clock.now())
            self._refused("not proven", "the caller is no user and no trunk", event)
        return ""

    def _caller(self, event: Invited, client_type: str) -> SipTrunk | User | None:
        """Return whose call it is."""
        listener = self.listener
        if client_type == "pstn":
            source = self.place.source(event.request, event.flow)
            return next(t for t in listener.trunks if t.is_from(source))
        return listener.users.get(event.request.from_.uri.user_text)

    def _replaces(self, event: Invited) -> bool:
        """Deal with an INVITE that takes a far end's place in a call; False for others."""
        text = event.request.headers.get("Replaces")
        if text is None:
            return False
        leg = take_over(self.agent, self.legs, event, text)
        if leg is not None:
            self.forget(leg)
            self.legs[event.call] = leg
        return True

    def follow(self, leg: SipLeg, call: SipCall) -> None:
        """Let a leg have the events of a call of ours."""
        self.forget(leg)
        leg.sip, leg.on_closed = call, partial(self.forget, leg)
        self.legs[call] = leg

    def forget(self, leg: SipLeg) -> None:
        """Send no more events to a leg."""
        for old in [c for c, other in self.legs.items() if other is leg]:
            del self.legs[old]

    def registered(self, trunk: str, status: int) -> None:
        """Note how a registration of ours went."""
        if status == 200:
            self._host.log.step("registered", trunk=trunk)
        else:
            self._host.log.warning("not registered", trunk=trunk, status=status)

    async def serve(self, leg: SipLeg) -> None:
        try:
            await self._host.router.receive(leg, self.listener.name).run()
        finally:
            self.forget(leg)
            leg.rtp.close()

    def _asked(self, event: Asked) -> None:
        request = event.request
        if request.method == "REGISTER" and self.listener.users:
            self.spawn(_register, self, event)
            return
        status = 405
        if request.method == "OPTIONS":
            status = 503 if self.listener.draining else 200
        response = request.response(status, to_tag=self.agent.us.new_id())
        self.agent.us.describe(response)
        if status == 200:
            response.headers.add("Accept", "application/sdp")
        event.respond(response, clock.now())

    def _refused(self, cause: str, problem: str, event: Invited) -> None:
        source = self.place.source(event.request, event.flow)
        self._host.refused(cause, problem, source, channel=self.listener.name)

    def _failed(self, error: BaseException) -> None:
        """Note an error of ours in one message; it ends nothing else."""
        self._host.log.write(
            "error", "a SIP message was not dealt with", error=explain(error).message
        )


async def _online(endpoint: SipEndpoint) -> Mapping[str, int]:
    if endpoint.whereabouts is not None:
        return await endpoint.whereabouts.online()
    return endpoint.registrar.online(clock.now())


async def _register(endpoint: SipEndpoint, event: Asked) -> None:
    request = event.request
    register = partial(
        endpoint.registrar.register,
        request,
        event.flow,
        now=clock.now(),
        wall_s=clock.wall().timestamp(),
        to_tag=endpoint.agent.us.new_id(),
    )
    if endpoint.whereabouts is None:
        answer = register()
    else:
        answer = await endpoint.whereabouts.register(request.to.uri.user_text, register)
    if answer.status == 403:
        endpoint.limits.wrong(endpoint.place.source(request, event.flow), clock.now())
    event.respond(answer, clock.now())
    endpoint.network.wake()


async def _contained(
    failed: Callable[[BaseException], None], work: Callable[..., Awaitable[None]], *args: Any
) -> None:
    with contained(failed):
        await work(*args)
