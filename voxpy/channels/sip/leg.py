"""One end of a call over SIP: its signalling is a SipCall, its audio RtpMedia."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from voxpy.audio.frame import Format
from voxpy.channels.sip.media import DIGITS, FORMATS, SPOKEN, RtpMedia
from voxpy.engine import clock
from voxpy.engine.ports import (
    EarlyMedia,
    FirstAudio,
    LegConnected,
    LegEnded,
    LegEvent,
    LegInfo,
    LegMessage,
    LegTone,
    LegTrouble,
    Ringing,
)
from voxpy.errors import RemoteProtocolError
from voxpy.wire.sdp import Description, MediaFormat, Stream, answer, parse_sdp
from voxpy.wire.sip.agent import Event
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.events import (
    Cancelled,
    Connected,
    Done,
    Ended,
    Failed,
    InfoReceived,
    Invited,
    MessageReceived,
    Offer,
    OfferAnswered,
    Progress,
    Referral,
    ReferralProgress,
)
from voxpy.wire.sip.message import Headers as MessageHeaders
from voxpy.wire.sip.message import Request, Response

Headers = Mapping[str, str]
DTMF_RELAY = ("application/dtmf-relay", "application/dtmf")


class MediaMaker(Protocol):
    """Opens the RTP of a call: ports, and an address that the other end can send to."""

    @property
    def address(self) -> str: ...
    def open(self, name: str, fmt: Format) -> RtpMedia: ...
    def new_number(self) -> int: ...


def agreed_format(sdp: bytes) -> MediaFormat | None:
    """Return the format an offer would be answered with; our first where there is no offer.

    None if there is none that we speak. Raises RemoteProtocolError.
    """
    if not sdp:
        return SPOKEN[0]
    found = answer(
        parse_sdp(sdp),
        address="127.0.0.1",
        port=9,
        formats=SPOKEN,
        session_id=0,
        version=0,
    )
    audio = found.audio if found is not None else None
    return audio.formats[0] if audio is not None else None


def offer_of(
    media: RtpMedia, address: str, session_id: int, version: int, formats: tuple[MediaFormat, ...]
) -> bytes:
    """Return our offer."""
    stream = Stream(port=media.port, formats=(*formats, DIGITS), address=address, ptime_ms=20)
    description = Description(
        address=address, session_id=session_id, version=version, streams=(stream,)
    )
    return description.to_bytes()


class SipLeg:
    """Implements ``voxpy.engine.ports.Leg``.

    Give it every event of its call (``handle``). ``wake`` makes the network send what is ready.
    """

    channel = "sip"

    def __init__(
        self,
        call: SipCall,
        media: RtpMedia,
        maker: MediaMaker,
        *,
        wake: Callable[[], None],
        leg_id: str = "call-1",
        callerid: str = "",
        destination: str = "",
        display_name: str = "",
        headers: Headers | None = None,
        client_type: str = "sip",
        offered: bytes = b"",
    ) -> None:
        self.leg_id = leg_id
        self.client_type = client_type
        self.incoming = call.incoming
        self.callerid = callerid
        self.destination = destination
        self.display_name = display_name
        self.headers: Headers = headers or {}
        self.rtp = media
        self.media = media.media
        self.state = "alerting"
        self.wants_tones = False
        self.otherwise: Callable[[], bool] = lambda: False
        """Tries the next way there; False if there is none."""
        self._call = call
        self._maker = maker
        self._wake = wake
        self._offered = offered
        self._session_id = maker.new_number()
        self._version = 0
        self._local = b""
        self._early: list[LegEvent] = []  # what happened before anybody listened
        self._report: Callable[[LegEvent], None] = self._early.append
        media.on_tick = self.tick
        media.on_first = partial(self._tell, FirstAudio())
        media.on_digit = self._digit

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``; earlier ones at the next tick."""
        self._report = report

    # -- what the session asks for ----------------------------------------------------------------

    def ring(self, headers: Headers) -> None:
        """Send 180."""
        self._call.provisional(180, clock.now(), headers=headers)
        self._wake()

    def start_early_media(self, headers: Headers) -> None:
        """Send 183 with our description; audio flows towards the caller."""
        if self.state != "alerting":
            return
        self._call.provisional(183, clock.now(), sdp=self._answer(), headers=headers)
        self.state = "early"
        self._wake()
        self._tell(EarlyMedia())

    def answer(self, headers: Headers) -> None:
        """Send 200; LegConnected follows with the ACK."""
        if self.state in ("alerting", "early"):
            self._call.answer(self._answer(), clock.now(), headers=headers)
            self._wake()

    def reject(self, code: int, headers: Headers) -> None:
        """Refuse the call."""
        if self.state in ("alerting", "early"):
            self._call.reject(code, clock.now(), headers=headers)
            self._end(LegEnded(code=code, reason="Rejected"))
            self._wake()

    def hangup(self, headers: Headers) -> None:
        """Say BYE; before the answer refuse a caller (603), or give a callee up (487)."""
        now = clock.now()
        if self._call.state == "up":
            self._call.hang_up(now, headers)
            self._end(LegEnded(code=200, reason="Hung up by the scenario"))
        elif self._call.state == "incoming":
            self._call.reject(603, now, headers=headers)
            self._end(LegEnded(code=603, reason="Hung up by the scenario"))
        elif self._call.state == "calling":
            self._call.give_up(now)
            self._end(LegEnded(code=487, reason="Request Terminated"))
        self._wake()

    def handle_tones(self, enabled: bool) -> None:
        """Report digits that come beside the audio or in an INFO."""
        self.wants_tones = enabled

    def send_digits(self, digits: str) -> None:
        """Type digits beside the audio, or as sound. Raises LimitExceeded."""
        self.rtp.type_digits(digits)

    def send_message(self, text: str) -> None:
        """Send a MESSAGE within the call."""
        if self._call.state == "up":
            self._call.requests.send_message(text.encode(), clock.now())
            self._wake()

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Send an INFO."""
        if self._call.state == "up":
            self._call.requests.send_info(mime_type, body.encode(), clock.now(), headers)
            self._wake()

    async def aclose(self) -> None:
        """Hang up if that was not done, and free the ports."""
        if self.state != "ended":
            if self._call.state == "incoming":
                self.reject(480, {})
            else:
                self.hangup({})
        self.rtp.close()

    # -- what comes from the other end ------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Take an event of our call; nothing follows the end."""
        if self.state == "ended":
            return
        match event:
            case Progress():
                self._progress(event)
            case Connected():
                self._connected(event)
            case Failed() if self.state == "alerting" and _is_the_ways(event) and self.otherwise():
                pass
            case Failed():
                self._end(
                    LegEnded(code=event.status, reason=event.reason, headers=_own(event.response))
                )
            case Cancelled():
                self._end(
                    LegEnded(code=487, reason="Request Terminated", headers=_own(event.request))
                )
            case Ended():
                who = "caller" if self.incoming else "callee"
                reason = event.why or f"Hung up by the {who}"
                code = 200 if event.request is not None else 408
                self._end(LegEnded(code=code, reason=reason, headers=_own(event.request)))
            case Offer():
                self._offered_anew(event)
            case OfferAnswered():
                self._agree(event.sdp)
            case InfoReceived():
                self._info(event)
            case MessageReceived():
                text = event.body.decode("utf-8", "replace")
                self._tell(LegMessage(text=text, headers=_own(event.request)))
            case Referral():
                event.refuse(clock.now())
                self._wake()
            case Done() if event.status >= 300:
                text = f"{event.method} was answered with {event.status} {event.reason}"
                self._tell(LegTrouble(kind="a request was refused", text=text))
            case ReferralProgress() | Done():
                pass

    def tick(self) -> None:
        """Tell what was not told yet; the media calls it each 20 ms."""
        while self._early:
            self._report(self._early.pop(0))

    def call_is(self, call: SipCall) -> None:
        """Go on with another call: the way before led nowhere."""
        self._call = call

    # -- inside -----------------------------------------------------------------------------------

    def _progress(self, event: Progress) -> None:
        headers = _own(event.response)
        if event.sdp and self.state == "alerting" and self._agree(event.sdp):
            self.state = "early"
            self.rtp.speaks = False  # a callee is not spoken to before the answer
            self._tell(EarlyMedia(headers=headers))
        elif event.response.status == 180:
            self._tell(Ringing(headers=headers))

    def _connected(self, event: Connected) -> None:
        if event.sdp and not self._agree(event.sdp):
            self.hangup({})
            return
        if not event.sdp and self._local:
            self._open()
        self.state = "connected"
        self._tell(LegConnected(headers=_own(event.response)))

    def _answer(self) -> bytes:
        """Return our description: the answer to an offer, or the offer where there was none."""
        address = self._maker.address
        if not self._offered:
            self._local = offer_of(self.rtp, address, self._session_id, self._version, SPOKEN[:1])
            return self._local
        if self._local:
            return self._local
        theirs = parse_sdp(self._offered)
        found = answer(
            theirs,
            address=address,
            port=self.rtp.port,
            formats=tuple(f for f in SPOKEN if FORMATS[f.name] == self.rtp.format),
            session_id=self._session_id,
            version=self._version,
        )
        assert found is not None
        self._local = found.to_bytes()
        self._open()
        return self._local

    def _open(self) -> None:
        """Let the audio flow as the offer that we answered says."""
        if self._offered:
            audio = parse_sdp(self._offered).audio
            if audio is not None:
                self.rtp.agree(_in_order(audio, self.rtp.format))

    def _agree(self, sdp: bytes) -> bool:
        """Take their answer to our offer."""
        try:
            audio = parse_sdp(sdp).audio
        except RemoteProtocolError as error:
            self._tell(LegTrouble(kind="a session description is wrong", text=str(error)))
            return False
        if audio is None or all(f.name not in FORMATS for f in audio.formats):
            self._tell(
                LegTrouble(kind="no audio was agreed", text="the answer has no format of ours")
            )
            return False
        self.rtp.agree(_in_order(audio, self.rtp.format))
        return True

    def _offered_anew(self, event: Offer) -> None:
        """Answer a change within the call: hold, another address. The format stays."""
        now = clock.now()
        self._version += 1
        if not event.sdp:
            formats = tuple(f for f in SPOKEN if FORMATS[f.name] == self.rtp.format)
            sdp = offer_of(self.rtp, self._maker.address, self._session_id, self._version, formats)
            event.accept(sdp, now)
            self._wake()
            return
        try:
            found = answer(
                parse_sdp(event.sdp),
                address=self._maker.address,
                port=self.rtp.port,
                formats=tuple(f for f in SPOKEN if FORMATS[f.name] == self.rtp.format),
                session_id=self._session_id,
                version=self._version,
            )
        except RemoteProtocolError:
            found = None
        if found is None:
            event.refuse(now)
        else:
            event.accept(found.to_bytes(), now)
            self._offered = event.sdp
            self._open()
        self._wake()

    def _info(self, event: InfoReceived) -> None:
        body = event.body.decode("utf-8", "replace")
        digit = _relayed(body) if event.content_type in DTMF_RELAY else ""
        if not digit:
            self._tell(
                LegInfo(mime_type=event.content_type, body=body, headers=_own(event.request))
            )
        elif self.wants_tones:
            self._tell(LegTone(tone=digit, kind="3"))

    def _digit(self, digit: str) -> None:
        if self.wants_tones:
            self._tell(LegTone(tone=digit, kind="1"))

    def _tell(self, event: LegEvent) -> None:
        if self.state != "ended":
            self._report(event)

    def _end(self, event: LegEnded) -> None:
        if self.state == "ended":
            return
        self.state = "ended"
        self.rtp.speaks = self.rtp.hears = False
        counts = {
            name: number
            for name, number in (
                ("odd_packets", self.rtp.counts.odd_packets),
                ("packets_of_strangers", self.rtp.counts.strangers),
            )
            if number
        }
        self._report(
            LegEnded(code=event.code, reason=event.reason, headers=event.headers, counts=counts)
        )


def _in_order(audio: Stream, fmt: Format) -> Stream:
    """Return a stream with the format we speak in front."""
    ours = [f for f in audio.formats if FORMATS.get(f.name) == fmt]
    others = [f for f in audio.formats if FORMATS.get(f.name) != fmt]
    return Stream(
        port=audio.port,
        profile=audio.profile,
        formats=(*ours, *others),
        address=audio.address,
        direction=audio.direction,
        rtcp_port=audio.rtcp_port,
        rtcp_mux=audio.rtcp_mux,
    )


def _is_the_ways(event: Failed) -> bool:
    """Return whether a failure is of the way there, not of the one who is called."""
    return event.status == 408 or 500 <= event.status < 600


def _own(message: Request | Response | None) -> dict[str, str]:
    """Return the ``X-`` headers of a message: what scenarios see (VoxEngine: the same)."""
    lines: MessageHeaders | tuple[()] = message.headers if message is not None else ()
    return {name: text for name, text in lines if name.lower().startswith("x-")}


def _relayed(body: str) -> str:
    """Return the digit of an INFO: ``Signal=5`` (dtmf-relay), or the digit alone (dtmf)."""
    for line in body.splitlines():
        name, equals, value = line.partition("=")
        text = value if equals and name.strip().lower() == "signal" else "" if equals else line
        if len(text.strip()) == 1 and text.strip() in "0123456789*#ABCD":
            return text.strip()
    return ""


def receive_invited(event: Invited) -> tuple[str, str, str, dict[str, str]]:
    """Return caller, destination, display name and headers of an INVITE."""
    request = event.request
    sender = request.from_
    return (
        sender.uri.user_text or str(sender.uri),
        request.uri.user_text or request.uri.opaque,
        sender.display_name,
        _own(request),
    )
