"""A SIP phone for tests: it registers, calls and is called, over real sockets on this machine.

::

    async with sip_phone(user="anna", password="secret", server="127.0.0.1:5060") as phone:
        await phone.register()
        call = await phone.call("sip:echo@127.0.0.1:5060")
        await call.answered.wait()
        call.says(audio)                  # mu-law
        ...
        call.hang_up()

What it hears is kept in ``call.heard``. Media runs by the wall's clock, so such tests are few.
"""

from __future__ import annotations

import random
import secrets
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from voxpy.audio.frame import FRAME_S
from voxpy.channels.sip.codecs import G711, Codec
from voxpy.channels.sip.leg import SipLeg, receive_invited
from voxpy.channels.sip.media import RtpMedia
from voxpy.channels.sip.negotiation import Negotiation, Speech, agreed_codec
from voxpy.channels.sip.network import SipNetwork, SipSockets
from voxpy.channels.sip.ports import PortRange
from voxpy.channels.sip.resolving import Resolver
from voxpy.channels.sip.transfer import take_over
from voxpy.engine import clock
from voxpy.engine.ports import (
    EarlyMedia,
    LegConnected,
    LegEnded,
    LegEvent,
    LegInfo,
    LegMessage,
    LegTone,
    LegTransferAsked,
    Ringing,
)
from voxpy.errors import CallFailed
from voxpy.wire.sip.agent import Account, Event, UserAgent, authorized, transport_of
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.events import CallEvent, Invited
from voxpy.wire.sip.identity import Identity
from voxpy.wire.sip.message import Request, Response
from voxpy.wire.sip.values import Address, Uri, parse_uri

PORTS = PortRange(30000, 39999)


@attrs.define(eq=False)
class PhoneCall:
    """One call of a phone. ``events`` has what happened, in order."""

    leg: SipLeg
    answered: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)
    ringing: trio.Event = attrs.field(factory=trio.Event)
    events: list[LegEvent] = attrs.field(factory=list)
    heard: list[bytes] = attrs.field(factory=list)
    digits: str = ""
    end: LegEnded | None = None
    asked_to_call: Callable[[str], None] = lambda uri: None
    live: Callable[[PhoneCall], None] | None = None
    """Hears and says 20 ms in place of ``says`` and ``heard``."""
    _mouth: deque[bytes] = attrs.field(factory=deque)

    def says(self, audio: bytes) -> None:
        """Say audio in the format of the call (mu-law where nothing else was agreed upon)."""
        size = self.leg.rtp.format.frame_bytes
        self._mouth += [audio[n : n + size] for n in range(0, len(audio) - size + 1, size)]

    @property
    def is_speaking(self) -> bool:
        """Whether something is still to be said."""
        return bool(self._mouth)

    def hang_up(self) -> None:
        """End the call, or give it up."""
        self.leg.hangup({})

    def hold(self, on: bool = True) -> None:
        """Press the hold key, or press it again."""
        self.leg.talk.hold(on)

    def transfer(self, to: str, target: PhoneCall | None = None) -> None:
        """Press the transfer key: a number, or another call of this phone (attended).

        ``events`` gets a LegTransferred; when it has worked the phone hangs up.
        """
        self.leg.transfers.ask(to, target.leg if target is not None else None, {})

    def report(self, event: LegEvent) -> None:
        """Take what the leg reports."""
        self.events.append(event)
        match event:
            case Ringing() | EarlyMedia():
                self.ringing.set()
            case LegConnected():
                self.answered.set()
            case LegTone():
                self.digits += event.tone
            case LegEnded():
                self.end = event
                self.over.set()
            case LegTransferAsked():
                self.asked_to_call(event.headers["Refer-To"])
            case LegInfo() | LegMessage():
                pass

    def tick(self) -> None:
        """Hear and say 20 ms."""
        if self.live is not None:
            self.live(self)
            return
        source, sink = self.leg.media.source, self.leg.media.sink
        assert source is not None
        assert sink is not None
        frame = source.pull()
        if frame is not None:
            self.heard.append(frame)
        sink.push(self._mouth.popleft() if self._mouth else self.leg.rtp.format.silence)


class SipPhone:
    """The phone. Use ``sip_phone``."""

    def __init__(
        self,
        user: str,
        password: str,
        server: str,
        transport: str,
        udp: socket.socket,
        resolver: Resolver | None = None,
        *,
        address: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.user = user
        self.account = Account(user, password)
        self.speech = Speech(codecs=G711, srtp="off")
        """What the phone speaks; to be changed before it calls or is called."""
        self.calls: list[PhoneCall] = []
        self.answers: Callable[[PhoneCall], None] = lambda call: call.leg.answer({})
        """What is done with a call that comes in."""
        self.address = address
        self._server = parse_uri(f"sip:{server};transport={transport}")
        self.port = udp.getsockname()[1]
        self._random = random.SystemRandom()
        us = Identity(
            product="voxpy-phone",
            sent_by=lambda transport: f"{address}:{self.port}",
            contact=lambda transport: (
                f"sip:{user}@{address}:{self.port};transport={transport.lower()}"
            ),
            new_id=partial(secrets.token_hex, 8),
            jitter=self._random.random,
        )
        self.agent = UserAgent(us, invited=SipCall.invited)
        self.network = SipNetwork(
            self.agent,
            SipSockets(udp=udp),
            take=self._take,
            failed=self._failed,
            resolver=resolver,
            tls_client=tls,
        )
        self._number = 0
        self._call_id = us.new_id()

    @property
    def uri(self) -> str:
        """Where it can be called without a server between."""
        return f"sip:{self.user}@{self.address}:{self.port}"

    async def run(self) -> None:
        """Live until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.network.run)
            nursery.start_soon(self._speak_and_hear)

    async def register(self, expires_s: int = 300) -> int:
        """Register; return the last status."""
        self._number += 1
        home = f"<sip:{self.user}@{self._server.host}>"
        request = Request(method="REGISTER", uri=attrs.evolve(self._server, user=None))
        us, transport = self.agent.us, transport_of(self._server)
        request.headers.extend(
            {
                "Via": us.via(transport),
                "Max-Forwards": "70",
                "From": f"{home};tag={us.new_id()}",
                "To": home,
                "Call-ID": self._call_id,
                "CSeq": f"{self._number} REGISTER",
                "Contact": f"<{us.contact(transport)}>",
                "Expires": str(expires_s),
            }
        )
        response = await self._ask(request)
        if response is not None and response.status == 401:
            self._number += 1
            again = us.again(request, self._number)
            authorized(again, response, self.account, cnonce=us.new_id())
            response = await self._ask(again)
        return 408 if response is None else response.status

    async def options(self, uri: str) -> int:
        """Ask whether somebody takes calls (OPTIONS); return the status."""
        self._number += 1
        us, target = self.agent.us, parse_uri(uri)
        request = Request(method="OPTIONS", uri=target)
        home = f"<sip:{self.user}@{self._server.host}>"
        request.headers.extend(
            {
                "Via": us.via(transport_of(target)),
                "Max-Forwards": "70",
                "From": f"{home};tag={us.new_id()}",
                "To": f"<{target}>",
                "Call-ID": us.new_id(),
                "CSeq": f"{self._number} OPTIONS",
                "Contact": f"<{us.contact(transport_of(target))}>",
            }
        )
        response = await self._ask(request)
        return 408 if response is None else response.status

    async def call(self, uri: str, headers: dict[str, str] | None = None) -> PhoneCall:
        """Call; return at once."""
        found = self._dial(parse_uri(uri), headers)
        await trio.lowlevel.checkpoint()
        return found

    def _dial(self, target: Uri, headers: dict[str, str] | None) -> PhoneCall:
        media = self.open("call-1", self.speech.codecs[0])
        talk = self.negotiation(media, self.speech)
        sip = SipCall.dial(
            self.agent,
            target,
            from_=Address(uri=Uri(user=self.user, host=self._server.host)),
            sdp=talk.offer(),
            now=clock.now(),
            headers=headers,
            account=self.account,
        )
        found = self._new_call(sip, media, talk)
        self.network.wake()
        return found

    async def connect(
        self, uri: str, within_s: float = 10, headers: dict[str, str] | None = None
    ) -> PhoneCall:
        """Call and wait for the answer. Raises CallFailed."""
        call = await self.call(uri, headers)
        with trio.fail_after(within_s):
            while not call.answered.is_set() and call.end is None:  # noqa: ASYNC110  two events
                await trio.sleep(0.01)
        if call.end is not None:
            raise CallFailed(call.end.code, call.end.reason)
        return call

    # -- what MediaMaker is for -------------------------------------------------------------------

    def open(self, name: str, codec: Codec) -> RtpMedia:
        """Open the ports of a call."""
        line, ssrc = PORTS.bind(self.address), self._random.getrandbits(31)
        return RtpMedia(name, codec, line, ssrc=ssrc, cname=self.user)

    def negotiation(self, media: RtpMedia, speech: Speech) -> Negotiation:
        """Return what can be said of the audio of a call."""
        return Negotiation(
            media,
            speech,
            address=self.address,
            session_id=self._random.getrandbits(31),
            new_bytes=secrets.token_bytes,
        )

    # -- inside -----------------------------------------------------------------------------------

    async def _ask(self, request: Request) -> Response | None:
        got: list[Response | None] = []
        done = trio.Event()

        def answered(response: Response | None, now: float) -> None:
            if response is None or response.is_final:
                got.append(response)
                done.set()

        self.agent.send(self.agent.us.sign(request), self._server, answered, clock.now())
        self.network.wake()
        await done.wait()
        return got[0]

    def _take(self, event: Event) -> None:
        if isinstance(event, Invited):
            self._invited(event)
        elif isinstance(event, CallEvent):
            for call in self.calls:
                if call.leg.sip is event.call:
                    call.leg.handle(event)

    def _invited(self, event: Invited) -> None:
        replaces = event.request.headers.get("Replaces")
        if replaces is not None:
            legs = {call.leg.sip: call.leg for call in self.calls}
            take_over(self.agent, legs, event, replaces)
            return
        chosen = agreed_codec(event.sdp, self.speech)
        if chosen is None:
            event.call.reject(488, clock.now())
            return
        media = self.open("call-1", chosen)
        talk = self.negotiation(media, self.speech)
        call = self._new_call(event.call, media, talk, offered=event.sdp)
        leg = call.leg
        leg.callerid, leg.destination, leg.display_name, leg.headers = receive_invited(event)
        leg.handle_tones(True)
        self.answers(call)

    def _new_call(
        self, sip: SipCall, media: RtpMedia, talk: Negotiation, offered: bytes = b""
    ) -> PhoneCall:
        leg = SipLeg(sip, media, talk, wake=self.network.wake, offered=offered)
        call = PhoneCall(leg)
        leg.bind(call.report)
        leg.transfers.handle(True)
        call.asked_to_call = partial(self._follow, call)
        self.calls.append(call)
        return call

    def _follow(self, call: PhoneCall, uri: str) -> None:
        """Call whom we are sent to, as phones do, and tell how that goes."""
        target = parse_uri(uri)
        replaces = target.header("Replaces")
        headers = {"Replaces": replaces, "Require": "replaces"} if replaces else {}
        found = self._dial(attrs.evolve(target, headers=""), headers)

        def tell(event: LegEvent) -> None:
            found.report(event)
            match event:
                case Ringing():
                    call.leg.transfers.answer(180, "Ringing")
                case LegConnected():
                    call.leg.transfers.answer(200, "OK")
                case LegEnded() if not found.answered.is_set():
                    call.leg.transfers.answer(event.code, event.reason)

        found.leg.bind(tell)

    async def _speak_and_hear(self) -> None:
        due = clock.now()
        while True:
            for call in self.calls:
                if call.end is None:
                    call.tick()
                else:
                    call.leg.rtp.close()
            due += FRAME_S
            await trio.sleep_until(due)

    def _failed(self, error: BaseException) -> None:
        raise error


@asynccontextmanager
async def sip_phone(
    *,
    user: str = "anna",
    password: str = "",
    server: str,
    transport: str = "udp",
    resolver: Resolver | None = None,
    address: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[SipPhone]:
    """Switch a phone on for as long as the block.

    ``address`` is where it is, on this machine. ``resolver`` asks another DNS, ``tls`` trusts other
    certificates than the system does.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((address, 0))
        udp.setblocking(False)
        async with trio.open_nursery() as nursery:
            phone = SipPhone(
                user, password, server, transport, udp, resolver, address=address, tls=tls
            )
            nursery.start_soon(phone.run)
            try:
                yield phone
            finally:
                for call in phone.calls:
                    call.leg.rtp.close()
                nursery.cancel_scope.cancel()
