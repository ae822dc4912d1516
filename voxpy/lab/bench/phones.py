"""Callers with SIP phones: PCMU both ways, 20 ms a packet, each with a time stamp in its audio.

What SIP says is the package's own, without its sockets: one user agent for all phones, whose
messages go by one UDP socket. A packet's own numbers tell what was lost on the way to us, and its
timestamp how late it is; where the far end sends our voice back, the stamp in it tells how long it
took there and back.
"""

from __future__ import annotations

import random
import secrets
import socket
import sys
from contextlib import suppress
from typing import Any

from voxpy.audio.frame import PCMU
from voxpy.errors import RemoteProtocolError
from voxpy.lab.bench.callers import (
    OLDEST_S,
    PERIOD_FRAMES,
    SLOTS,
    SPEECH_FRAMES,
    Callers,
    Leaves,
)
from voxpy.lab.bench.framing import FRAME_BYTES, FRAME_S, STAMP
from voxpy.lab.bench.pacing import Samples, now
from voxpy.wire.rtp.packet import Sender, is_rtcp, unpack_rtp
from voxpy.wire.sdp import Description, MediaFormat, Stream, parse_sdp
from voxpy.wire.sip.agent import Account, Event, Flow, Transmit, UserAgent
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.events import CallEvent, Connected, Ended, Failed, Offer
from voxpy.wire.sip.identity import Identity
from voxpy.wire.sip.message import BadMessage, parse_message
from voxpy.wire.sip.values import Address, Uri, parse_uri

VOICE = bytes(0x55 + n % 7 for n in range(FRAME_BYTES - STAMP.size))
IDLE_S = 0.5
FORMAT = MediaFormat(payload_type=0, name="PCMU", clock_hz=PCMU.rate_hz)


class Phones(Callers):
    """All calls, and what they have measured. ``address`` is ours, as far ends see it."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.transits = Samples(3)  # call, when it came, that less its timestamp
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, 0))
        self._udp.setblocking(False)
        port = self._udp.getsockname()[1]
        us = Identity(
            product="voxpy-bench",
            sent_by=lambda transport: f"{address}:{port}",
            contact=lambda transport: f"sip:bench@{address}:{port}",
            new_id=lambda: secrets.token_hex(8),
            jitter=random.random,
        )
        self.agent = UserAgent(us, invited=SipCall.invited)
        self._phones: dict[SipCall, Phone] = {}
        self._places: dict[tuple[str, int], tuple[str, int]] = {}
        self.loop.watch(self._udp, self._readable)
        self._keep_time()

    def _call(self, number: int, **where: Any) -> Leaves:
        return Phone(self, number, parse_uri(where["uri"]), Account(**where["account"]))

    def _begin(self) -> None:
        super()._begin()
        self.transits.clear()

    def _report(self) -> dict[str, Any]:
        return {**super()._report(), "transits": self.transits}

    def dial(self, phone: Phone, uri: Uri, account: Account, sdp: bytes) -> SipCall:
        """Call somebody, as ``account`` where one has to prove oneself."""
        call = SipCall.dial(
            self.agent,
            uri,
            from_=Address(uri=Uri(user=account.username, host=uri.host)),
            sdp=sdp,
            now=now(),
            account=account if account.password else None,
            expires_s=0,
        )
        self._phones[call] = phone
        self.flush()
        return call

    def forget(self, call: SipCall) -> None:
        """Take what still comes for a call no more."""
        self._phones.pop(call, None)

    # -- the agent's sockets and time --------------------------------------------------------------

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            while True:
                try:
                    data, (host, port) = self._udp.recvfrom(65535)
                except ConnectionError:
                    continue  # an earlier datagram of ours found nobody
                with suppress(BadMessage):
                    self.agent.receive(parse_message(data), Flow("UDP", host, port), now())
                self.flush()

    def flush(self) -> None:
        """Send and tell what the agent has ready."""
        while out := self.agent.take():
            for found in out:
                if isinstance(found, Transmit):
                    self._send(found)
                else:
                    self._take(found)

    def _send(self, transmit: Transmit) -> None:
        try:
            self._udp.sendto(transmit.message.to_bytes(), self._place(transmit.to))
        except BlockingIOError:
            pass  # it is repeated
        except OSError:
            self.agent.transmit_failed(transmit, now())

    def _place(self, to: Uri | Flow) -> tuple[str, int]:
        key = (to.host, to.port or 5060)
        if key not in self._places:
            found = socket.getaddrinfo(*key, socket.AF_INET, socket.SOCK_DGRAM)
            self._places[key] = found[0][4][:2]  # type: ignore[assignment]
        return self._places[key]

    def _take(self, event: Event) -> None:
        if not isinstance(event, CallEvent):
            return
        if isinstance(event, Offer):
            event.accept(event.call.offers.sdp, now())
        elif (phone := self._phones.get(event.call)) is not None:
            phone.take(event)

    def _keep_time(self) -> None:
        self.agent.tick(now())
        self.flush()
        self.loop.at(min(now() + IDLE_S, max(now() + 0.01, self.agent.deadline)), self._keep_time)


class Phone:
    """One call."""

    def __init__(self, phones: Phones, number: int, uri: Uri, account: Account) -> None:
        self._phones = phones
        self._number = number
        self._to: tuple[str, int] | None = None
        self._chunk = 0
        self._last: int | None = None
        self._dialled_s = now()
        ticks = int((now() - phones.began_s) / FRAME_S) + 2
        self._due_s = phones.began_s + (ticks + number % SLOTS / SLOTS) * FRAME_S
        ids = random.getrandbits
        self._out = Sender(ssrc=ids(31), sequence=ids(15), timestamp=ids(31))
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind((phones.address, 0))
        self._rtp.setblocking(False)
        phones.loop.watch(self._rtp, self._readable)
        port = self._rtp.getsockname()[1]
        audio = Stream(port=port, formats=(FORMAT,), address=phones.address, ptime_ms=20)
        offer = Description(address=phones.address, session_id=number, streams=(audio,))
        self._call = phones.dial(self, uri, account, offer.to_bytes())

    def leave(self, *, drop: bool) -> None:
        """Say BYE, or nothing any more."""
        self._phones.left[self._number] = now()
        if not drop:
            if self._call.state == "up":
                self._call.hang_up(now())
            else:
                self._call.give_up(now())
            self._phones.flush()
        self._over()

    def take(self, event: CallEvent) -> None:
        """Take what has become of the call."""
        if isinstance(event, Connected):
            self._hear_of(event.sdp)
        elif isinstance(event, Failed):
            self._over(f"{event.status} {event.reason}")
        elif isinstance(event, Ended):
            self._over(event.why or "BYE")

    def _hear_of(self, sdp: bytes) -> None:
        try:
            audio = parse_sdp(sdp).audio
        except RemoteProtocolError:
            audio = None
        if audio is None:
            self.leave(drop=False)
            return
        self._to = (audio.address, audio.port)
        self._phones.loop.at(max(self._due_s, now()), self._speak)

    def _over(self, why: str = "") -> None:
        self._phones.forget(self._call)
        self._phones.loop.forget(self._rtp)
        self._phones.over(self._number, why)

    def _speak(self) -> None:
        if self._rtp.fileno() < 0 or self._to is None:
            return
        self._chunk += 1
        pauses = (self._chunk + 7 * self._number) % PERIOD_FRAMES >= SPEECH_FRAMES
        audio = PCMU.silence if pauses else STAMP.pack(self._number, now()) + VOICE
        packet = self._out.packet(audio, payload_type=FORMAT.payload_type)
        self._out.advance(FRAME_BYTES)
        with suppress(OSError):  # nobody there, or no room: what is lost is counted there
            self._rtp.sendto(packet, self._to)
        self._due_s += FRAME_S
        self._phones.loop.at(self._due_s, self._speak)

    def _readable(self) -> None:
        while self._rtp.fileno() >= 0:
            try:
                data = self._rtp.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            at_s = now()
            if not is_rtcp(data):
                with suppress(RemoteProtocolError):
                    self._hear(data, at_s)

    def _hear(self, data: bytes, at_s: float) -> None:
        phones, packet = self._phones, unpack_rtp(data)
        step = 1 if self._last is None else (packet.sequence - self._last) & 0xFFFF
        phones.note_step(step)
        self._last = packet.sequence
        phones.received_frames += 1
        phones.first_audio.setdefault(self._number, at_s - self._dialled_s)
        phones.transits.add(self._number, at_s, at_s - packet.timestamp / FORMAT.clock_hz)
        if len(packet.payload) == FRAME_BYTES:
            _, sent_s = STAMP.unpack_from(packet.payload)
            if 0 <= at_s - sent_s < OLDEST_S:
                phones.delays.add(self._number, at_s, at_s - sent_s)


if __name__ == "__main__":
    Phones(sys.argv[1]).loop.run({})
