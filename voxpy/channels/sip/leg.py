"""One end of a call over SIP: its signalling is a SipCall, its audio RtpMedia."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

from voxpy.channels.sip.ladder import DTMF_RELAY, Way, shown, title
from voxpy.channels.sip.media import RtpMedia
from voxpy.channels.sip.negotiation import Negotiation
from voxpy.channels.sip.talk import Talk, own_headers
from voxpy.channels.sip.transfer import Transfers
from voxpy.engine import clock
from voxpy.engine.ports import (
    EarlyMedia,
    FirstAudio,
    LegConnected,
    LegEnded,
    LegEvent,
    LegForwarded,
    LegInfo,
    LegMedia,
    LegMessage,
    LegSignal,
    LegTone,
    LegTransferred,
    LegTrouble,
    Ringing,
)
from voxpy.errors import RemoteProtocolError
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
    OfferRefused,
    Progress,
    Referral,
    ReferralProgress,
)
from voxpy.wire.sip.message import Request, Response

Headers = Mapping[str, str]


class SipLeg:
    """Implements ``voxpy.engine.ports.Leg``.

    Give it every event of its call (``handle``). ``wake`` makes the network send what is ready.
    """

    channel = "sip"

    def __init__(
        self,
        call: SipCall,
        media: RtpMedia,
        negotiation: Negotiation,
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
        self.on_closed: Callable[[], None] = lambda: None
        self.sip = call
        """The call over SIP: another one when the far end was replaced."""
        self.wake = wake
        self.talk = Talk(self, negotiation, offered)
        self.transfers = Transfers(self)
        self.word_by = math.inf
        """When whoever is called must have said anything at all: a trunk that is down does not."""
        self._bound = self._closed = False
        self._early: list[LegEvent] = []  # what happened before anybody listened
        self._report: Callable[[LegEvent], None] = self._early.append
        media.on_tick = self.tick
        media.on_first = partial(self.tell, FirstAudio())
        media.on_digit = self._digit
        media.on_lost = self._lost
        media.on_silence = lambda silent: self.tell(LegMedia(flow=not silent))
        media.on_trouble = lambda kind, text: self.tell(LegTrouble(kind=kind, text=text))

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``; earlier ones at the next tick."""
        self._report, self._bound = report, True

    # -- what the session asks for ----------------------------------------------------------------

    def ring(self, headers: Headers) -> None:
        """Send 180."""
        self.sip.provisional(180, clock.now(), headers=headers)
        self.wake()

    def start_early_media(self, headers: Headers) -> None:
        """Send 183 with our description; audio flows towards the caller."""
        if self.state != "alerting":
            return
        self.sip.provisional(183, clock.now(), sdp=self.talk.answer(), headers=headers)
        self.state = "early"
        self.wake()
        self.tell(EarlyMedia())

    def answer(self, headers: Headers) -> None:
        """Send 200; LegConnected follows with the ACK."""
        if self.state in ("alerting", "early"):
            self.sip.answer(self.talk.answer(), clock.now(), headers=headers)
            self.wake()

    def reject(self, code: int, headers: Headers) -> None:
        """Refuse the call."""
        if self.state in ("alerting", "early"):
            self.sip.reject(code, clock.now(), headers=headers)
            self.end(LegEnded(code=code, reason="Rejected"))
            self.wake()

    def hangup(self, headers: Headers) -> None:
        """Say BYE; before the answer refuse a caller (603), or give a callee up (487)."""
        now = clock.now()
        if self.sip.state == "up":
            self.sip.hang_up(now, headers)
            self.end(LegEnded(code=200, reason="Hung up by the scenario"))
        elif self.sip.state == "incoming":
            self.sip.reject(603, now, headers=headers)
            self.end(LegEnded(code=603, reason="Hung up by the scenario"))
        elif self.sip.state == "calling":
            self.sip.give_up(now)
            self.end(LegEnded(code=487, reason="Request Terminated"))
        self.wake()

    def handle_tones(self, enabled: bool) -> None:
        """Report digits that come beside the audio or in an INFO."""
        self.wants_tones = enabled

    def send_digits(self, digits: str) -> None:
        """Type digits beside the audio, or as sound. Raises LimitExceeded."""
        self.rtp.type_digits(digits)

    def send_message(self, text: str) -> None:
        """Send a MESSAGE within the call."""
        if self.sip.state == "up":
            self.sip.requests.send_message(text.encode(), clock.now())
            self.wake()

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Send an INFO."""
        if self.sip.state == "up":
            self.sip.requests.send_info(mime_type, body.encode(), clock.now(), headers)
            self.wake()

    def saw(self, message: Request | Response, way: Way) -> None:
        """Show a message of ours in the trace of the session."""
        if not self._closed:
            self._tell_early()
            self._report(LegSignal(name=title(message), direction=way, text=shown(message)))

    async def aclose(self) -> None:
        """Hang up if that was not done, and free the ports."""
        if self.state != "ended":
            if self.sip.state == "incoming":
                self.reject(480, {})
            else:
                self.hangup({})
        self._closed = True
        self.rtp.close()
        self.on_closed()

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
            case Failed():
                self.end(
                    LegEnded(
                        code=event.status, reason=event.reason, headers=own_headers(event.response)
                    )
                )
            case Cancelled():
                self.end(
                    LegEnded(
                        code=487, reason="Request Terminated", headers=own_headers(event.request)
                    )
                )
            case Ended():
                who = "caller" if self.incoming else "callee"
                reason = event.why or f"Hung up by the {who}"
                code = 200 if event.request is not None else 408
                self.transfers.left()
                self.end(LegEnded(code=code, reason=reason, headers=own_headers(event.request)))
            case Offer():
                self.talk.offered_anew(event)
            case OfferAnswered() | OfferRefused():
                self.talk.answered(event)
            case InfoReceived():
                self._info(event)
            case MessageReceived():
                text = event.body.decode("utf-8", "replace")
                self.tell(LegMessage(text=text, headers=own_headers(event.request)))
            case Referral():
                self.transfers.asked(event)
                self.wake()
            case Done() if event.method == "REFER":
                self.transfers.done(event)
            case Done() if event.status >= 300:
                text = f"{event.method} was answered with {event.status} {event.reason}"
                self.tell(LegTrouble(kind="a request was refused", text=text))
            case ReferralProgress():
                self.transfers.progress(event)
            case Done():
                pass

    def tick(self) -> None:
        """Tell what was not told yet; the media calls it each 20 ms."""
        self._tell_early()
        now = clock.now()
        self.transfers.tick(now)
        if now >= self.word_by and self.sip.give_up(now, heard=False):
            self.end(LegEnded(code=408, reason="Request Timeout"))

    def _tell_early(self) -> None:
        while self._bound and self._early:
            self._report(self._early.pop(0))

    def replaced(self, event: Invited) -> bool:
        """Go on with whoever sent this INVITE, in the place of the far end (RFC 3891).

        False if there is no format that both speak: then nothing has happened.
        """
        now, old = clock.now(), self.sip
        try:
            said = self.talk.begin_anew(event.sdp)
        except RemoteProtocolError:
            return False
        event.call.answer(said, now)
        self.sip = event.call
        if old.state == "up":
            old.hang_up(now)
        elif old.state == "calling":
            old.give_up(now)
        return True

    # -- inside -----------------------------------------------------------------------------------

    def _progress(self, event: Progress) -> None:
        headers = own_headers(event.response)
        if event.sdp and self.state == "alerting" and self.talk.agree(event.sdp):
            self.state = "early"
            self.rtp.speaks = False  # a callee is not spoken to before the answer
            self.tell(EarlyMedia(headers=headers))
        elif event.response.status == 180:
            self.tell(Ringing(headers=headers))
        elif event.response.status == 181:
            self.tell(LegForwarded())

    def _connected(self, event: Connected) -> None:
        if event.sdp and not self.talk.agree(event.sdp):
            self.hangup({})
            return
        self.rtp.open()
        if self.state == "connected":
            self.tell(LegTransferred(role="target", code=200, reason="OK"))
            return
        self.state = "connected"
        flow = self.sip.requests.flow
        by = flow if event.response is None else event.response.via
        self.tell(
            LegConnected(
                headers=own_headers(event.response),
                encrypted=self.rtp.is_secure,
                sip_call_id=self.sip.call_id,
                sip_transport=by.transport if by is not None else "",
            )
        )

    def _info(self, event: InfoReceived) -> None:
        body = event.body.decode("utf-8", "replace")
        digit = _relayed(body) if event.content_type in DTMF_RELAY else ""
        if not digit:
            self.tell(
                LegInfo(mime_type=event.content_type, body=body, headers=own_headers(event.request))
            )
        elif self.wants_tones:
            self.tell(LegTone(tone=digit, kind="3"))

    def _digit(self, digit: str) -> None:
        if self.wants_tones:
            self.tell(LegTone(tone=digit, kind="1"))

    def _lost(self) -> None:
        if self.state == "connected":
            self.sip.hang_up(clock.now())
            self.end(LegEnded(code=408, reason="The connection of the audio was lost"))
            self.wake()

    def tell(self, event: LegEvent) -> None:
        """Report, unless the leg is over."""
        if self.state != "ended":
            self._report(event)

    def end(self, event: LegEnded) -> None:
        """Report the end, once."""
        if self.state == "ended":
            return
        self.state = "ended"
        self.rtp.speaks = self.rtp.hears = False
        counts = {
            name: number
            for name, number in (
                ("odd_packets", self.rtp.counts.odd_packets),
                ("packets_of_strangers", self.rtp.counts.strangers),
                ("packets_not_proven", self.rtp.counts.unproven),
            )
            if number
        }
        self._report(
            LegEnded(code=event.code, reason=event.reason, headers=event.headers, counts=counts)
        )


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
        own_headers(request),
    )
