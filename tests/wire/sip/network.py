"""Two or three user agents on a network that loses, delays and reorders, on a clock of its own."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random

from voxpy.wire.sip.agent import Event, Flow, Transmit, UserAgent
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.identity import Identity
from voxpy.wire.sip.message import BadMessage, parse_message
from voxpy.wire.sip.values import Address, Uri

SDP = b"v=0\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
OTHER_SDP = SDP.replace(b"4000", b"5000")


class End:
    """A user agent at an address of its own, and everything it was told."""

    def __init__(self, network: Network, name: str, host: str, transport: str) -> None:
        self.name, self.host, self.network = name, host, network
        ids = itertools.count(1)
        self.events: list[Event] = []
        self.react: Callable[[Event], None] = lambda event: None
        us = Identity(
            product="voxpy-test",
            sent_by=lambda transport: f"{host}:5060",
            contact=lambda transport: f"sip:{name}@{host}:5060;transport={transport.lower()}",
            new_id=lambda: f"{name}{next(ids):x}",
            jitter=network.random.random,
        )
        self.agent = UserAgent(us, invited=SipCall.invited)
        self.flow = Flow(transport, host, 5060)

    @property
    def address(self) -> Address:
        return Address(uri=Uri(user=self.name, host=self.host))

    @property
    def uri(self) -> Uri:
        transport = {"transport": self.flow.transport.lower()}
        return Uri(user=self.name, host=self.host, port=5060, params=dict(transport))

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class Network:
    """What lies between. ``loses`` says of each message, in its order, whether it is lost."""

    def __init__(
        self,
        *,
        transport: str = "UDP",
        seed: int = 0,
        loss: float = 0.0,
        delay_s: tuple[float, float] = (0.02, 0.02),
        twice: float = 0.0,
        loses: Callable[[str], bool] = lambda line: False,
    ) -> None:
        self.random = Random(seed)
        self.now = 100.0
        self.transport = transport
        self.loss, self.delay_s, self.twice, self.loses = loss, delay_s, twice, loses
        self.ends: dict[str, End] = {}
        self.wire: list[str] = []
        """The first line of everything that was sent, ``alice: INVITE ...``; ``lost`` in front."""
        self._due: list[tuple[float, int, End, bytes, Flow]] = []
        self._order = itertools.count()
        self._last: dict[tuple[str, str], float] = {}

    def end(self, name: str, host: str) -> End:
        self.ends[host] = made = End(self, name, host, self.transport)
        return made

    def at(self, end: End) -> None:
        """Send and tell what an end has ready."""
        while out := end.agent.take():
            for found in out:
                if isinstance(found, Transmit):
                    self._send(end, found)
                else:
                    end.events.append(found)
                    end.react(found)

    def _send(self, end: End, transmit: Transmit) -> None:
        data = transmit.message.to_bytes()
        first = data.partition(b"\r\n")[0].decode()
        line = f"{end.name}: {first.removesuffix(' SIP/2.0').removeprefix('SIP/2.0 ')}"
        lost = self.transport == "UDP" and (self.loses(line) or self.random.random() < self.loss)
        self.wire.append(f"lost {line}" if lost else line)
        to = self.ends.get(transmit.to.host)
        if to is None:
            end.agent.transmit_failed(transmit, self.now)
        elif not lost:
            copies = 1 + (self.transport == "UDP" and self.random.random() < self.twice)
            for _ in range(copies):
                self._put(end, to, data)

    def _put(self, end: End, to: End, data: bytes) -> None:
        due = self.now + self.random.uniform(*self.delay_s)
        if self.transport != "UDP":  # a stream keeps its order
            key = (end.name, to.name)
            due = self._last[key] = max(due, self._last.get(key, 0.0))
        heapq.heappush(self._due, (due, next(self._order), to, data, end.flow))

    def run(self, seconds: float = 200.0, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, until nothing more is due, ``until`` holds or the time is over."""
        over = self.now + seconds
        for end in self.ends.values():
            self.at(end)
        while not until():
            timers = [(end.agent.deadline, end) for end in self.ends.values()]
            soonest = min((t for t, _ in timers), default=float("inf"))
            arrives = self._due[0][0] if self._due else float("inf")
            if min(soonest, arrives) > over:
                self.now = over
                return
            self.now = max(self.now, min(soonest, arrives))
            if arrives <= soonest:
                _, _, to, data, flow = heapq.heappop(self._due)
                self._arrive(to, data, flow)
            else:
                for due, end in timers:
                    if due <= self.now:
                        end.agent.tick(self.now)
                        self.at(end)

    def _arrive(self, to: End, data: bytes, flow: Flow) -> None:
        try:
            message = parse_message(data)
        except BadMessage as bad:
            raise AssertionError(f"we wrote what we cannot read: {bad}: {data!r}") from bad
        to.agent.receive(message, flow, self.now)
        self.at(to)

    @property
    def leftovers(self) -> dict[str, tuple[int, int]]:
        """Calls and transactions of each end that still has any."""
        found = {e.name: (e.agent.calls, len(e.agent.transactions)) for e in self.ends.values()}
        return {name: left for name, left in found.items() if any(left)}
