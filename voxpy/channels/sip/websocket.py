"""SIP over WebSocket (RFC 7118): phones in pages and apps, with JsSIP, SIP.js or Linphone's SDK.

A user registers, calls and is called as by UDP; only the audio is WebRTC's, which such phones speak
and nothing else. A description of theirs needs certificates and candidates that take a moment to
make: of a call that comes in the leg is made when the answer is there, and for calls to users one
offer is kept ready.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import attrs
import trio

from voxpy.audio.frame import FRAME_S
from voxpy.channels.browser.webrtc import FORMAT, RtcPeer, is_there
from voxpy.channels.listener import ListenerHost
from voxpy.channels.mediastream.audio import Inbound
from voxpy.channels.sip.codecs import Codec
from voxpy.channels.sip.media import RtpMedia
from voxpy.channels.sip.negotiation import Negotiation
from voxpy.channels.sip.ports import Address, Datagrams
from voxpy.engine import clock
from voxpy.errors import ConnectFailed
from voxpy.sockets.accepting import Upgrade
from voxpy.sockets.framesocket import FrameSocket
from voxpy.wire.sdp import MediaFormat
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.events import Invited

if TYPE_CHECKING:
    from voxpy.channels.sip.listener import SipEndpoint

SIP_PATH = "/sip"
SUBPROTOCOL = "sip"
WEBSOCKETS = ("WS", "WSS")
PING = "\r\n\r\n"
PONG = "\r\n"
MOST_WAITING_BYTES = 64 * 1024
READY = 2
RTC = Codec(
    wire=MediaFormat(payload_type=111, name="OPUS", clock_hz=48000, channels=2),
    format=FORMAT,
    frame_bytes=None,
    frame_units=round(48000 * FRAME_S),
)
"""What aiortc makes of the audio on the way: whatever it has agreed upon with the other end."""


def is_webrtc(sdp: bytes) -> bool:
    """Whether a description wants audio by DTLS-SRTP over ICE."""
    return b"a=fingerprint:" in sdp and b"UDP/TLS/RTP/SAVP" in sdp


# -- signalling ------------------------------------------------------------------------------------


@attrs.frozen
class _Socket:
    """Implements ``voxpy.channels.sip.network.Outgoing`` by a WebSocket."""

    socket: FrameSocket

    def send_nowait(self, data: bytes) -> None:
        """Send a message as text, which every phone takes."""
        self.socket.send(data.decode("utf-8", "replace"))


async def serve_phone(
    upgrade: Upgrade, address: str, endpoint: SipEndpoint, host: ListenerHost
) -> None:
    """Serve one phone until its socket is closed; then it is registered no more."""
    if SUBPROTOCOL not in upgrade.subprotocols:
        host.refused("no SIP", "a WebSocket without the subprotocol sip", address)
        await upgrade.refuse(400, body=b"SIP over WebSocket needs the subprotocol sip (RFC 7118)")
        return
    if not is_there():
        host.refused("no WebRTC", "phones in pages need aiortc: voxpy[webrtc]", address)
        await upgrade.refuse(501, body=b"phones in pages need voxpy[webrtc] on this host")
        return
    socket = await upgrade.accept(subprotocol=SUBPROTOCOL)
    # The port is no address here, only what tells this connection from all others.
    flow = Flow("WS", address, secrets.randbelow(2**31))

    def take(message: str | bytes) -> None:
        if message in (PING, PONG):
            socket.send(PONG)
            return
        data = message.encode() if isinstance(message, str) else message
        endpoint.network.receive(data, flow)

    socket.on_message = take
    endpoint.network.attach(flow, _Socket(socket), host.keep)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(endpoint.offers.keep_ready)
            await socket.run()
            nursery.cancel_scope.cancel()
    finally:
        endpoint.network.detach(flow)
        endpoint.registrar.forget(flow)


async def take_webrtc(endpoint: SipEndpoint, event: Invited, client_type: str) -> None:
    """Give a call its leg once its offer is answered."""
    call = event.call
    peer = RtcPeer()
    try:
        answer = await peer.answer(event.sdp.decode("utf-8", "replace"))
    except ConnectFailed:
        call.reject(488, clock.now())
        endpoint.network.wake()
        peer.close()
        return
    if call.state != "incoming":  # it was given up meanwhile
        peer.close()
        return
    media = RtcMedia("call-1", peer)
    negotiation = RtcNegotiation(media, answer.encode())
    await endpoint.serve(endpoint.leg_of(event, media, negotiation, client_type))


class Offers:
    """Offers that are ready to be sent, as long as a phone in a page is connected."""

    def __init__(self) -> None:
        self._ready: list[tuple[RtcPeer, str]] = []
        self._taken = trio.Event()
        self._making = trio.Lock()

    async def keep_ready(self) -> None:
        """Make one whenever one was taken, until cancelled. Phones may each have this run."""
        while True:
            async with self._making:
                while len(self._ready) < READY:
                    peer = RtcPeer()
                    offer = ""
                    try:
                        offer = await peer.offer()
                    finally:
                        if not offer:
                            peer.close()
                    self._ready.append((peer, offer))
            await self._taken.wait()

    def take(self, name: str) -> tuple[RtcMedia, RtcNegotiation]:
        """Return what speaks in a call out. Raises ConnectFailed if no offer is ready yet."""
        if not self._ready:
            raise ConnectFailed("too many calls to phones in pages at once")
        peer, offer = self._ready.pop(0)
        self._taken.set()
        self._taken = trio.Event()
        media = RtcMedia(name, peer)
        return media, RtcNegotiation(media, offer.encode())


# -- audio -----------------------------------------------------------------------------------------


class _NoLine:
    """Implements ``RtpLine``: the packets are aiortc's."""

    port = 9

    def read(self) -> tuple[Datagrams, Datagrams]:
        raise NotImplementedError

    def send(self, data: bytes, to: Address) -> bool:
        return False

    send_rtcp = send

    def close(self) -> None:
        """Nothing is open."""


class RtcMedia(RtpMedia):
    """The audio of a leg by way of a peer connection, in the place of packets of our own."""

    def __init__(self, name: str, peer: RtcPeer) -> None:
        super().__init__(name, RTC, _NoLine(), ssrc=0, cname="")
        self.peer = peer
        self._inbound = Inbound(FORMAT)
        self._heard = False

    @property
    def is_secure(self) -> bool:
        return True

    @property
    def types_digits(self) -> bool:
        return False

    def open(self) -> None:
        """Let the audio flow both ways."""
        self.speaks = self.hears = True

    def pull(self) -> bytes | None:
        """Return the 20 ms that are due."""
        self.on_tick()
        incoming = self.peer.incoming
        while incoming:
            data = incoming.popleft()
            if isinstance(data, bytes):
                self.counts.received_packets += 1
                if not self._heard:
                    self._heard = True
                    self.on_first()
                self._inbound.put(data)
        if self.peer.over and not self.is_closed:
            self.close()
            self.on_lost()
        frame = self._inbound.pull()
        return frame if self.hears else None

    def push(self, frame: bytes) -> None:
        """Send 20 ms, or put a digit in its place."""
        if self.speaks and not self.is_closed:
            self.counts.sent_packets += 1
            self.peer.push(self.digits.replace(frame) if self.digits.waiting else frame)

    def close(self) -> None:
        """Close the connection. Again does nothing."""
        if not self.is_closed:
            self.is_closed = True
            self.peer.close()


class RtcNegotiation(Negotiation):
    """What is said of such audio: one description, made before; later ones change its direction."""

    def __init__(self, media: RtcMedia, local: bytes) -> None:
        self.direction = "sendrecv"
        self.they_hold = False
        self._rtc = media
        self._said_first = local

    def offer(self) -> bytes:
        """Return our description."""
        return _directed(self._said_first, self.direction)

    def answer(self, offer: bytes) -> bytes:
        """Return our description, as the offer lets it be."""
        self.they_hold = b"a=sendonly" in offer or b"a=inactive" in offer
        self._rtc.speaks = not self.they_hold
        self._rtc.hears = b"a=inactive" not in offer
        return _directed(self._said_first, "recvonly" if self.they_hold else self.direction)

    def take(self, answered: bytes) -> None:
        """Take the answer to our offer."""
        if not self._rtc.peer.connected:
            self._rtc.peer.agree(answered.decode("utf-8", "replace"))
        self.they_hold = b"a=recvonly" not in answered and b"a=inactive" in answered
        self._rtc.speaks = not self.they_hold
        self._rtc.hears = self.direction == "sendrecv"


def _directed(sdp: bytes, direction: str) -> bytes:
    return sdp.replace(b"a=sendrecv", b"a=" + direction.encode())
