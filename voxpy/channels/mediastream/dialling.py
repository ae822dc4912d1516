"""Calls out through a provider's API: ``trunks: {carrier: {provider: twilio, ...}}``.

We ask the API to call. What becomes of the call comes in status callbacks, and when the callee has
answered the provider opens its media stream to us, at the address that we gave it for this call.
Then the leg of that stream has the call.
"""

from __future__ import annotations

import re
import secrets as random_words
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import trio

from voxpy.audio.frame import Format
from voxpy.channels.mediastream.credentials import LineRelease, Released
from voxpy.channels.outgoing import Trunk, read_most_calls
from voxpy.channels.providers.http import RestRequest
from voxpy.channels.providers.placing import Placing, Progress
from voxpy.channels.providers.provider import Provider
from voxpy.engine import clock
from voxpy.engine.ports import (
    SERVICE_UNAVAILABLE,
    Headers,
    Leg,
    LegConnected,
    LegEnded,
    LegEvent,
    LegIdentified,
    LegTransfers,
    NoTransfers,
    OutgoingCall,
    RefusedLeg,
    Ringing,
)
from voxpy.engine.userfile import Given
from voxpy.errors import ConfigError
from voxpy.media.unit import MediaPort
from voxpy.text import json

if TYPE_CHECKING:
    from voxpy.channels.listener import ListenerHost
    from voxpy.channels.mediastream.leg import MediaStreamLeg

TRUNK_KEYS = (
    "provider",
    "channel",
    "numbers",
    "callerid",
    "connection",
    "detect_machines",
    "most_calls",
)
STREAM_S = 15.0
"""From the answer to the media stream."""
FORBIDDEN, BAD_REQUEST, TOO_MANY = 403, 400, 429
NO_ADDRESS = (
    "calls through a provider's API need the address at which it reaches us: "
    "voxpy serve --public-url https://..."
)


@attrs.frozen(kw_only=True)
class ProviderTrunk(Trunk):
    """A trunk that is a provider's API. ``connection`` is what it calls the way out."""

    connection: str = ""
    detect_machines: bool = False

    @classmethod
    def read(
        cls,
        name: str,
        given: Given,
        find: Callable[[Given], Provider],
        numbers: Callable[[Any], re.Pattern[str]],
    ) -> ProviderTrunk:
        """Read a trunk. Raises ConfigError."""
        fields = given.fields(TRUNK_KEYS)
        provider = find(fields.need("provider"))
        placer = provider.placer
        if placer is None:
            raise fields.need("provider").error(
                f"{given.label}: calls are not placed by the API of {provider.name}"
            )
        connection = fields.get("connection", Given.words, "")
        if placer.needs_connection and not connection:
            raise given.error(
                f"{given.label}: {provider.name} needs connection:, the id of the way out "
                f"({placer.source})"
            )
        return cls(
            name=name,
            way=fields.get("channel", Given.words, provider.name),
            numbers=numbers(fields),
            callerid=fields.get("callerid", Given.words, ""),
            most_calls=read_most_calls(fields),
            connection=connection,
            detect_machines=fields.get("detect_machines", Given.flag, False),
        )


@attrs.frozen(kw_only=True)
class Addresses:
    """Where a provider reaches us in a call of ours; the call's word stands in each."""

    stream: str
    status: str
    answer: str


class RestDialer:
    """Implements ``voxpy.channels.outgoing.Way`` for one provider's channel.

    ``awaited`` has the legs whose stream, or whose next status, is still to come. ``addresses``
    gives them for a call's word, None if nobody knows how we are reached.
    """

    def __init__(
        self,
        provider: Provider,
        host: ListenerHost,
        nursery: trio.Nursery,
        addresses: Callable[[str], Addresses | None],
        awaited: dict[str, RestLeg],
    ) -> None:
        self.provider = provider
        self._host = host
        self._nursery = nursery
        self._addresses = addresses
        self._awaited = awaited
        self.api = LineRelease(provider, host.secrets, self._released, fetch=host.fetch)

    def dial(self, call: OutgoingCall) -> Leg:
        """Refuse: a provider calls numbers only."""
        return RefusedLeg(call, SERVICE_UNAVAILABLE, f"{self.provider.name} calls numbers only")

    def dial_by(self, trunk: Trunk, call: OutgoingCall) -> Leg:
        """Ask the API to call."""
        assert isinstance(trunk, ProviderTrunk)
        mark = f"{self._host.fleet.mark}-" if self._host.fleet.mark else ""
        word = f"call-{mark}{self._host.worker:02x}{random_words.token_hex(18)}"
        addresses = self._addresses(word)
        lacking = self.api.missing()
        if addresses is None:
            return RefusedLeg(call, SERVICE_UNAVAILABLE, NO_ADDRESS)
        if lacking:
            reason = self._host.secrets.missing(lacking[0])
            return RefusedLeg(call, SERVICE_UNAVAILABLE, f"trunk {trunk.name!r}: {reason}")
        placing = Placing(
            to=call.destination,
            caller=call.callerid,
            stream_url=addresses.stream,
            status_url=addresses.status,
            answer_url=addresses.answer,
            ring_timeout_s=call.ring_timeout_s,
            detect_machines=trunk.detect_machines,
            connection=trunk.connection,
        )
        leg = RestLeg(call, self, over=lambda: self._awaited.pop(word, None))
        self._awaited[word] = leg
        self._nursery.start_soon(self._place, leg, placing)
        return leg

    async def _place(self, leg: RestLeg, placing: Placing) -> None:
        assert self.provider.placer is not None
        try:
            request = self.provider.placer.place(self.api.context(), placing)
        except ConfigError as error:
            leg.failed(SERVICE_UNAVAILABLE, str(error))
            return
        result = await self.api.send(request)
        answer: Any = None
        if 200 <= result.code < 300:
            with suppress(ValueError):
                answer = json.loads(result.text or "")
        call_id = self.provider.placer.placed(answer) if isinstance(answer, dict) else ""
        if call_id:
            leg.placed(call_id)
            return
        told = result.error or f"HTTP {result.code}: {(result.text or '')[:200]}"
        self._host.log.warning("a call was not placed", provider=self.provider.name, problem=told)
        leg.failed(_refusal(result.code), f"{self.provider.name}: {told}"[:200])

    def cancel(self, call_id: str) -> None:
        """End a call that has no stream yet."""
        assert self.provider.placer is not None
        try:
            request = self.provider.placer.cancel(self.api.context(), call_id)
        except ConfigError:
            return
        self._nursery.start_soon(self._end, request, call_id)

    async def _end(self, request: RestRequest, call_id: str) -> None:
        result = await self.api.send(request)
        if not 200 <= result.code < 300 and result.code not in (404, 400, 422):
            told = result.error or f"HTTP {result.code}"
            self._host.log.warning(
                "the line may still be up", problem=told, call=call_id, provider=self.provider.name
            )

    def _released(self, outcome: Released) -> None:
        """Nothing: lines with a stream are released by their own leg."""


def _refusal(code: int) -> int:
    """Return the SIP status of an API's refusal: only the API's own trouble is worth another way.

    What it finds wrong with the call itself (no such number, no permission) is the call's.
    """
    if code == TOO_MANY or code < 400:
        return SERVICE_UNAVAILABLE
    if code in (401, 403):
        return FORBIDDEN
    return BAD_REQUEST if code < 500 else SERVICE_UNAVAILABLE


class RestLeg:
    """Implements ``voxpy.engine.ports.Leg``: a call that the API places, then its stream's leg."""

    incoming = False

    def __init__(
        self, call: OutgoingCall, dialer: RestDialer, *, over: Callable[[], object]
    ) -> None:
        self.leg_id = call.leg_id
        self.channel = dialer.provider.name
        self.client_type = call.client_type
        self.callerid = call.callerid
        self.destination = call.destination
        self.display_name = call.display_name
        self.headers: Headers = {}
        self.media = MediaPort(name=call.leg_id, source=_Hears(self), sink=_Speaks(self))
        self.over = trio.Event()
        self.stream: MediaStreamLeg | None = None
        self.format = dialer.provider.formats[0]
        self._dialer = dialer
        self._forget = over
        self._call_id = ""
        self._ended = self._wants_tones = False
        self._stream_by: float | None = None
        self._waiting: list[LegEvent] = []
        self._report: Callable[[LegEvent], None] = self._waiting.append

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``; earlier ones at the next tick."""
        self._report = report

    @property
    def transfers(self) -> LegTransfers:
        return NoTransfers(self.channel)

    # -- what the API and the callbacks tell ------------------------------------------------------

    def placed(self, call_id: str) -> None:
        """Take the id of the call."""
        self._call_id = call_id
        if self._ended:  # given up while it was being placed
            self._dialer.cancel(call_id)

    def failed(self, code: int, reason: str) -> None:
        """Take it that there is no call, or none any more."""
        if not self._ended:
            self._end(LegEnded(code=code, reason=reason))

    def told(self, progress: Progress) -> None:
        """Take a status callback."""
        if self._ended:
            return
        match progress.what:
            case "ringing" if self.stream is None:
                self._report(Ringing())
            case "answered" if self.stream is None and self._stream_by is None:
                self._stream_by = clock.now() + STREAM_S
            case "identified":
                self._report(LegIdentified(who=progress.identified, detail=progress.reason))
            case "over" if self.stream is None:
                code = progress.code if progress.code >= 300 else 480
                self.failed(code, progress.reason)

    def attach(self, stream: MediaStreamLeg) -> bool:
        """Go on with the stream of the call; False if it is over or has one."""
        if self._ended or self.stream is not None:
            return False
        self.stream = stream
        stream.bind(self._streamed)
        stream.handle_tones(self._wants_tones)
        stream.answer({})
        return True

    def _streamed(self, event: LegEvent) -> None:
        if isinstance(event, LegEnded):
            reason = event.reason.replace("caller", "callee")
            self._end(attrs.evolve(event, reason=reason))
        elif isinstance(event, LegConnected):
            self._report(attrs.evolve(event, headers=self.stream.headers if self.stream else {}))
        else:
            self._report(event)

    def _end(self, event: LegEnded) -> None:
        self._ended = True
        self._forget()
        self.over.set()
        self._report(event)

    # -- what the session asks for ----------------------------------------------------------------

    def hangup(self, headers: Headers) -> None:
        """End the call, or give it up."""
        if self.stream is not None:
            self.stream.hangup(headers)
        elif not self._ended:
            if self._call_id:
                self._dialer.cancel(self._call_id)
            self._end(LegEnded(code=487, reason="Request Terminated"))

    def ring(self, headers: Headers) -> None:
        """Nothing: it is for calls that come in."""

    start_early_media = answer = ring

    def reject(self, code: int, headers: Headers) -> None:
        """Nothing: it is for calls that come in."""

    def handle_tones(self, enabled: bool) -> None:
        """Report digits."""
        self._wants_tones = enabled
        if self.stream is not None:
            self.stream.handle_tones(enabled)

    def send_digits(self, digits: str) -> None:
        """Send digits once the call is up."""
        if self.stream is not None:
            self.stream.send_digits(digits)

    def send_message(self, text: str) -> None:
        """Refuse: a phone call has no text. Raises NotSupported."""
        if self.stream is not None:
            self.stream.send_message(text)

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Refuse: a media stream has no INFO. Raises NotSupported."""
        if self.stream is not None:
            self.stream.send_info(mime_type, body, headers)

    async def aclose(self) -> None:
        """Hang up if that was not done, and wait until the stream is closed."""
        self.hangup({})
        if self.stream is not None:
            await self.stream.aclose()

    # -- media ------------------------------------------------------------------------------------

    def pull(self) -> bytes | None:
        """Give 20 ms of the callee."""
        while self._waiting:
            self._report(self._waiting.pop(0))
        if self.stream is not None:
            source = self.stream.media.source
            return source.pull() if source is not None else None
        if self._stream_by is not None and clock.now() > self._stream_by and not self._ended:
            self._dialer.cancel(self._call_id)
            self.failed(SERVICE_UNAVAILABLE, "the callee answered, but no media stream came")
        return None

    def push(self, frame: bytes) -> None:
        """Let the callee hear 20 ms."""
        sink = self.stream.media.sink if self.stream is not None else None
        if sink is not None:
            sink.push(frame)


class _Hears:
    def __init__(self, leg: RestLeg) -> None:
        self._leg = leg
        self.pull = leg.pull

    @property
    def format(self) -> Format:
        stream = self._leg.stream
        source = stream.media.source if stream is not None else None
        return self._leg.format if source is None else source.format


class _Speaks:
    def __init__(self, leg: RestLeg) -> None:
        self._leg = leg
        self.push = leg.push

    @property
    def format(self) -> Format:
        stream = self._leg.stream
        sink = stream.media.sink if stream is not None else None
        return self._leg.format if sink is None else sink.format
