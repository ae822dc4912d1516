"""``voxpy call sip:user@host``: a SIP phone in the terminal, at which a caller's script acts."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from voxpy.audio.convert import Converter
from voxpy.audio.frame import PCMU, Format
from voxpy.channels.providers.provider import PhoneCall as Placed
from voxpy.channels.simulated import FarEnd, PressedAs, Transmission
from voxpy.channels.sip.resolving import Resolver
from voxpy.engine.ports import (
    LegConnected,
    LegEnded,
    LegEvent,
    LegInfo,
    LegMessage,
    LegTone,
    LegTransferred,
    Ringing,
)
from voxpy.errors import ConnectFailed
from voxpy.localagent.engines import Engines
from voxpy.media.playout import Playout
from voxpy.simulation.dialin import BufferStatistics
from voxpy.simulation.dialledcall import DialledCallPlan
from voxpy.simulation.script import CallerScript
from voxpy.simulation.soundcard import SoundCard
from voxpy.testing.sipphone import PhoneCall, sip_phone
from voxpy.wire.sip.values import Uri, parse_uri

LONGEST_SPEECH_S = 600.0
GOODBYE_S = 1.0
"""For the BYE to be answered."""


def sip_plan(
    uri: str,
    *,
    call_id: str,
    script: CallerScript,
    folder: Path,
    make_engines: Callable[[], Engines],
    user: str = "",
    password: str = "",
    sound: SoundCard | None = None,
) -> DialledCallPlan:
    """Return the plan of a call to a SIP address. Raises RemoteProtocolError for what is none.

    ``user`` and ``password`` are shown to who asks for them; the caller's number is the user where
    none is given.
    """
    target = parse_uri(uri)
    call = Placed(
        call_id=call_id,
        caller=user or script.callerid,
        callee=target.user_text or target.host,
        format=PCMU,
    )

    async def dial() -> SipLine:
        return SipLine(target, script, user=user, password=password, address=await _ours(target))

    return DialledCallPlan(
        url=uri,
        channel="sip",
        call=call,
        dial=dial,
        script=script,
        folder=folder,
        make_engines=make_engines,
        sound=sound,
    )


async def _ours(target: Uri) -> str:
    """Return the address of this machine on the way to a target. Raises ConnectFailed."""
    found = await Resolver(family=socket.AF_INET).locate(target)
    if not found:
        raise ConnectFailed(f"no such host: {target.host}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((found[0].host, found[0].port))  # nothing is sent
        except OSError as error:
            raise ConnectFailed(f"no way to {target.host}: {error}") from error
        return str(probe.getsockname()[0])


class SipLine:
    """Implements ``voxpy.simulation.dialledcall.Phone``: a SIP phone that calls ``target``."""

    def __init__(
        self, target: Uri, script: CallerScript, *, user: str, password: str, address: str
    ) -> None:
        self.mouth = Playout(PCMU, limit_s=LONGEST_SPEECH_S)
        self.taps: list[Callable[[bytes, bytes], None]] = []
        to_far_end, to_us = script.line.lines()
        self._out, self._in = Transmission(to_far_end), Transmission(to_us)
        self._target = target
        self._headers = dict(script.headers)
        self._user, self._password, self._address = user or script.callerid, password, address
        self._far_end: FarEnd | None = None
        self._call: PhoneCall | None = None
        self._over = trio.Event()
        self._says: Converter | None = None
        self._hears: Converter | None = None

    @property
    def buffer_statistics(self) -> BufferStatistics | None:
        return None

    # -- as a SimulatedCaller sees it -------------------------------------------------------------

    def connect_far_end(self, far_end: FarEnd) -> None:
        """Put a person at the phone."""
        self._far_end = far_end

    def far_end_presses(self, digits: str, how: PressedAs | None = None) -> None:
        """Type digits: as RFC 4733 events where both speak that, else as sound; or in an INFO."""
        call = self._up()
        if call is None:
            return
        if how == "info":
            for digit in digits:
                body = f"Signal={digit}\r\nDuration=160\r\n"
                call.leg.send_info("application/dtmf-relay", body, {})
        else:
            call.leg.send_digits(digits)

    def far_end_hangs_up(self) -> None:
        """Hang up, or give the call up."""
        if self._call is None:
            self._end(LegEnded(code=487, reason="Request Terminated"))
        else:
            self._call.hang_up()

    def far_end_sends_message(self, text: str) -> None:
        """Send a MESSAGE."""
        if (call := self._up()) is not None:
            call.leg.send_message(text)

    def far_end_sends_info(self, mime_type: str, body: str) -> None:
        """Send an INFO."""
        if (call := self._up()) is not None:
            call.leg.send_info(mime_type, body, {})

    def far_end_transfers(self, to: str) -> None:
        """Press the transfer key."""
        if (call := self._up()) is not None:
            call.transfer(to)

    def _up(self) -> PhoneCall | None:
        return self._call if self._call is not None and self._call.end is None else None

    # -- the life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Call, and carry audio both ways until it is over."""
        async with sip_phone(
            user=self._user,
            password=self._password,
            server=f"{self._target.host}:{self._target.port or 5060}",
            address=self._address,
        ) as phone:
            self._call = call = await phone.call(str(self._target), headers=self._headers)
            call.live = self._tick
            call.leg.handle_tones(True)
            call.leg.bind(partial(self._reported, call))
            await self._over.wait()
            with trio.move_on_after(GOODBYE_S):
                while len(phone.agent.transactions):  # noqa: ASYNC110  the agent sets no Event
                    await trio.sleep(0.02)

    async def aclose(self) -> None:
        """Hang up if that was not done."""
        self.far_end_hangs_up()
        await trio.lowlevel.checkpoint()

    def _reported(self, call: PhoneCall, event: LegEvent) -> None:
        call.report(event)
        far_end = self._far_end
        if far_end is None:
            return
        match event:
            case Ringing():
                far_end.rings()
            case LegConnected():
                far_end.answered()
            case LegTone():
                far_end.receives("digits", event.tone)
            case LegMessage():
                far_end.receives("message", event.text)
            case LegInfo():
                far_end.receives("info", f"{event.mime_type}: {event.body}")
            case LegTransferred():
                far_end.receives("transfer", f"{event.code} {event.reason}")
            case LegEnded():
                self._end(event)

    def _end(self, event: LegEnded) -> None:
        if not self._over.is_set():
            self._over.set()
            if self._far_end is not None:
                self._far_end.ended(event.code, event.reason)

    def _tick(self, call: PhoneCall) -> None:
        """Say and hear 20 ms."""
        source, sink = call.leg.media.source, call.leg.media.sink
        assert source is not None
        assert sink is not None
        arrived = source.pull()
        up = call.answered.is_set()
        said = (self.mouth.pull() if up else None) or PCMU.silence
        if up:
            carried = self._out.carry(said) or PCMU.silence
            self._says = _converter(self._says, PCMU, sink.format)
            sink.push(self._says.convert(carried))
        heard = PCMU.silence
        if arrived is not None:
            self._hears = _converter(self._hears, source.format, PCMU)
            heard = self._hears.convert(arrived)
        heard = self._in.carry(heard) or PCMU.silence
        if self._far_end is not None:
            self._far_end.hears(heard)
        for tap in self.taps:
            tap(said, heard)


def _converter(known: Converter | None, source: Format, target: Format) -> Converter:
    """Return what converts: the same as before unless the format has changed."""
    if known is not None and (known.source, known.target) == (source, target):
        return known
    return Converter(source, target)
