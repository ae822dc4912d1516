"""RTP over a network that exists in virtual time only, and two ends that talk over it."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from random import Random

import attrs
import trio

from voxpy.audio.frame import FRAME_S
from voxpy.channels.sip.codecs import CODECS, Codec
from voxpy.channels.sip.media import RtpMedia
from voxpy.channels.sip.negotiation import Negotiation, Speech
from voxpy.channels.sip.ports import Address, Datagrams
from voxpy.engine import clock
from voxpy.engine.ports import LegTrouble


class Ether:
    """All lines that there are. ``changes`` may lose, double or spoil what is sent."""

    def __init__(self, *, seed: int = 0) -> None:
        self.lines: dict[Address, SimulatedLine] = {}
        self.random = Random(seed)
        self.loss = self.twice = 0.0
        self.delay_s = (0.0, 0.0)
        self.sent: list[tuple[Address, Address, bytes]] = []
        """From where, to where, what."""
        self._order = itertools.count()

    def line(self, host: str, port: int) -> SimulatedLine:
        made = self.lines[host, port] = SimulatedLine(self, (host, port))
        return made

    def carry(self, data: bytes, source: Address, to: Address) -> None:
        """Send a packet from anywhere to anywhere."""
        self.sent.append((source, to, data))
        line = self.lines.get((to[0], to[1] - to[1] % 2))
        if line is None or self.random.random() < self.loss:
            return
        for _ in range(1 + (self.random.random() < self.twice)):
            due = clock.now() + self.random.uniform(*self.delay_s)
            heapq.heappush(line.waiting, (due, next(self._order), to[1] % 2 == 1, data, source))


@attrs.define(eq=False)
class SimulatedLine:
    """Implements ``voxpy.channels.sip.ports.RtpLine``."""

    ether: Ether
    address: Address
    waiting: list[tuple[float, int, bool, bytes, Address]] = attrs.field(factory=list)

    @property
    def port(self) -> int:
        return self.address[1]

    def read(self) -> tuple[Datagrams, Datagrams]:
        packets: Datagrams = deque()
        reports: Datagrams = deque()
        while self.waiting and self.waiting[0][0] <= clock.now() + 1e-9:
            _, _, is_report, data, source = heapq.heappop(self.waiting)
            (reports if is_report else packets).append((data, source))
        return packets, reports

    def send(self, data: bytes, to: Address) -> bool:
        self.ether.carry(data, self.address, to)
        return True

    def send_rtcp(self, data: bytes, to: Address) -> bool:
        self.ether.carry(data, (self.address[0], self.address[1] + 1), to)
        return True

    def close(self) -> None:
        self.ether.lines.pop(self.address, None)


class Talker:
    """One end: its audio, what it says of it, and what happened."""

    def __init__(self, ether: Ether, host: str, speech: Speech, *, ssrc: int) -> None:
        self.ether, self.host = ether, host
        self.media = RtpMedia(
            "call-1", speech.codecs[0], ether.line(host, 4000), ssrc=ssrc, cname=host
        )
        random = Random(ssrc)
        self.talk = Negotiation(
            self.media, speech, address=host, session_id=ssrc, new_bytes=random.randbytes
        )
        self.heard: list[bytes | None] = []
        self.digits = ""
        self.silences: list[bool] = []
        self.troubles: list[LegTrouble] = []
        self.says: Callable[[], bytes] = lambda: self.media.format.silence
        self.media.on_digit = self._digit
        self.media.on_silence = self.silences.append
        self.media.on_trouble = lambda kind, text: self.troubles.append(
            LegTrouble(kind=kind, text=text)
        )

    def _digit(self, digit: str) -> None:
        self.digits += digit

    @property
    def address(self) -> Address:
        return self.host, 4000

    @property
    def sound(self) -> bytes:
        """All it has heard, without the silence of nothing."""
        return b"".join(frame for frame in self.heard if frame is not None)

    def tick(self) -> None:
        self.heard.append(self.media.pull())
        self.media.push(self.says())


def saying(audio: bytes, talker: Talker) -> None:
    """Let somebody say this, frame by frame, and then nothing."""
    size = talker.media.format.frame_bytes
    frames = deque(audio[n : n + size] for n in range(0, len(audio), size))
    talker.says = lambda: frames.popleft() if frames else talker.media.format.silence


def two(
    *names: str, srtp: str = "off", theirs: Speech | None = None, ether: Ether | None = None
) -> tuple[Talker, Talker]:
    """Two ends that have agreed: the first has offered."""
    codecs: tuple[Codec, ...] = tuple(CODECS[name] for name in names or ("PCMU",))
    speech = Speech(codecs=codecs, srtp=srtp)
    ether = ether or Ether()
    alice = Talker(ether, "10.0.0.1", speech, ssrc=0x1111)
    bob = Talker(ether, "10.0.0.2", theirs or speech, ssrc=0x2222)
    agree(alice, bob)
    return alice, bob


def agree(one: Talker, other: Talker) -> None:
    """Offer and answer."""
    answered = other.talk.answer(one.talk.offer())
    assert answered is not None
    one.talk.take(answered)


async def pass_time(seconds: float, *talkers: Talker) -> None:
    """Tick them all."""
    for _ in range(round(seconds / FRAME_S)):
        await trio.sleep(FRAME_S)
        for talker in talkers:
            talker.tick()
