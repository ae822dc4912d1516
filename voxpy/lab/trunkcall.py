"""``voxpy run --trunk``: the local session talks to a real phone instead of a simulated caller.

The phone is called, by a trunk of routing.yaml or at a SIP address, and whoever picks up is the
caller: so any scenario that answers calls can be tried with the phone in one's pocket. A session
that is started with data calls out by the trunk itself.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import attrs
import trio

from voxpy.channels.listener import Asker, CallRouter, Meetings, Routed
from voxpy.channels.once import Once
from voxpy.channels.outgoing import HostDialer, Way
from voxpy.channels.providers.http import Outcome
from voxpy.channels.sip.listener import SipListener
from voxpy.channels.sip.settings import SipTrunk
from voxpy.engine import clock
from voxpy.engine.inputs import Inputs
from voxpy.engine.masking import Masker
from voxpy.engine.ports import (
    FirstAudio,
    Headers,
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    OutgoingCall,
    Ringing,
    Secrets,
)
from voxpy.engine.session import SessionContext
from voxpy.engine.trace import Trace
from voxpy.errors import CallFailed
from voxpy.fleet.local import LocalStore
from voxpy.fleet.membership import Fleet
from voxpy.host.inputs import RecordedLeg
from voxpy.host.sessions import HostedSession, Keeping
from voxpy.simulation.localcall import LocalCallResult, Observer, result_of

if TYPE_CHECKING:
    from voxpy.engine.http import Fetch

DIRECT = "direct"
"""The name of no trunk: what is called is a SIP address."""
LEG = "call-1"
RINGS_S = 60.0
GOODBYE_S = 0.3
"""For the BYE to go out and to be answered."""


@attrs.frozen(kw_only=True)
class TrunkCall:
    """What to call: ``to``, by a trunk, or at a SIP address with none; nobody with ``data``."""

    to: str
    trunk: SipTrunk | None
    callerid: str = ""
    data: str | None = None

    async def run(
        self, context: SessionContext, keeping: Keeping, observer: Observer
    ) -> LocalCallResult:
        """Call, and run the session when somebody has picked up. Raises CallFailed."""
        trunks = () if self.trunk is None else (self.trunk,)
        laptop = _Laptop(context.secrets, HostDialer(trunks))
        listener = SipListener(host="0.0.0.0", port=0, trunks=trunks)  # noqa: S104
        sockets = listener.open()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listener.run, sockets, laptop)
                await laptop.dialling.wait()
                context = attrs.evolve(context, dialer=laptop.outgoing, custom_data=self.data or "")
                leg = None if self.data is not None else await self._picked_up(context, observer)
                hosted = HostedSession(context, leg, keeping)
                observer.session_began(hosted)
                end = await hosted.run()
                await trio.sleep(GOODBYE_S)
                nursery.cancel_scope.cancel()
        finally:
            for sock in sockets:
                sock.close()
        return result_of(hosted, end)

    async def _picked_up(self, context: SessionContext, observer: Observer) -> Leg:
        observer.progress(f"calling {self.to}")
        direct = self.trunk is None
        caller = self.callerid or (self.trunk.callerid if self.trunk is not None else "")
        leg = context.dialer.dial(
            OutgoingCall(
                leg_id=LEG,
                kind="sip" if direct else "pstn",
                destination=self.to,
                callerid=caller or "voxpy",
                ring_timeout_s=RINGS_S,
            )
        )
        picked = PickedUp(leg)
        stop = context.media_clock.add(picked.tick)
        try:
            with trio.move_on_after(RINGS_S):
                await picked.settled.wait()
        finally:
            stop()
        end = picked.end or LegEnded(code=408, reason="Request Timeout")
        if not picked.is_up:
            await leg.aclose()
            raise CallFailed(end.code, f"{self.to}: {end.reason}")
        return picked


class PickedUp(RecordedLeg):
    """A leg that we have dialled, as that of somebody who calls in: the session answers it."""

    def __init__(self, leg: Leg) -> None:
        super().__init__(leg, Inputs())
        self.incoming = True
        self.callerid, self.destination = leg.destination, leg.callerid
        self.settled = trio.Event()
        self.is_up = False
        self.end: LegEnded | None = None
        self._tell: Callable[[LegEvent], None] = lambda event: None
        leg.bind(self._reported)

    def tick(self, now: float) -> None:
        """Let the leg live before its session does."""
        if self.media.source is not None:
            self.media.source.pull()

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report to the session from now on."""
        self._tell = report
        if self.end is not None:
            report(self.end)

    def _reported(self, event: LegEvent) -> None:
        match event:
            case LegConnected():
                self.is_up = True
                self.settled.set()
            case LegEnded():
                self.end = event
                self.settled.set()
                self._tell(event)
            case FirstAudio() | Ringing():
                pass
            case _:
                self._tell(event)

    def ring(self, headers: Headers) -> None:
        """Nothing: the phone was picked up before."""

    def start_early_media(self, headers: Headers) -> None:
        """Nothing: all audio is later than the answer."""

    def answer(self, headers: Headers) -> None:
        """Say that the call is up: it is."""
        if self.end is None:
            self._tell(FirstAudio())
            self._tell(LegConnected())

    def reject(self, code: int, headers: Headers) -> None:
        """Hang up: there is nothing to refuse any more."""
        self.hangup(headers)


class _Laptop:
    """Implements ``voxpy.channels.listener.ListenerHost`` for calls out only."""

    def __init__(self, secrets: Secrets, outgoing: HostDialer) -> None:
        self.router: CallRouter = _Nobody()
        self.meetings: Meetings = _Nobody()
        self.secrets = secrets
        self.once = Once()
        self.log = Trace(now=clock.now, masking=Masker())
        self.fetch: Fetch | None = None
        self.outgoing = outgoing
        self.fleet = Fleet(LocalStore())
        self.worker, self.workers, self.public_url, self.start_s = 0, 1, "", 10.0
        self.dialling = trio.Event()

    def refuses(self, headers: Mapping[str, str], address: str) -> str:
        """Nobody is to call in."""
        return "this session takes no calls"

    def asker(self, headers: Mapping[str, str], address: str) -> Asker | str:
        """Nobody is to call in."""
        return self.refuses(headers, address)

    def count(self, metric: str, *labels: str) -> None:
        """There are no figures."""

    def registers(self, online: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        """There are no users."""

    def keep(self) -> None:
        """There is room."""

    def dials(self, name: str, way: Way) -> None:
        """Let the session call out."""
        self.outgoing.ways[name] = way
        self.dialling.set()

    def refused(self, cause: str, problem: str, address: str, **fields: object) -> None:
        """Nobody is to call in."""

    async def accept(
        self, bound: socket.socket, serve: Callable[[trio.SocketStream, str], Awaitable[None]]
    ) -> None:
        """Nobody is to call in."""


class _Nobody:
    """Implements ``voxpy.channels.listener.CallRouter``: no call that comes in is taken."""

    def refusal(self, channel: str) -> str:
        """Refuse."""
        return "this session takes no calls"

    def judge(self, destination: str, channel: str) -> Outcome:
        """Refuse."""
        return "not found"

    def receive(self, leg: Leg, channel: str, asker: Asker | None = None) -> Routed:
        """Refuse."""
        return _Refused(leg)

    def not_proven(self, channel: str, problem: str) -> None:
        """Nobody is told."""

    async def is_home(self, name: str) -> bool:
        """There are no conferences."""
        await trio.lowlevel.checkpoint()
        return False

    def meet(self, name: str, make: Callable[[str], Leg]) -> None:
        """There are no conferences."""

    def drop(self, name: str) -> None:
        """There are no conferences."""


@attrs.frozen
class _Refused:
    leg: Leg
    session_id: str = ""

    async def run(self) -> None:
        self.leg.bind(lambda event: None)
        self.leg.reject(404, {})
        await self.leg.aclose()
