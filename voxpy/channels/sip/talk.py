"""When the audio of a call is talked about: offers and answers of its signalling, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from voxpy.channels.sip.negotiation import Negotiation
from voxpy.engine import clock
from voxpy.engine.ports import LegHeld, LegReInvite, LegTrouble
from voxpy.errors import RemoteProtocolError
from voxpy.wire.sdp import without_keys
from voxpy.wire.sip.events import Offer, OfferAnswered, OfferRefused
from voxpy.wire.sip.message import Headers, Request, Response

if TYPE_CHECKING:
    from voxpy.channels.sip.leg import SipLeg


class Talk:
    """The descriptions in the messages of one leg. ``offered`` is what the caller's INVITE said."""

    def __init__(self, leg: SipLeg, negotiation: Negotiation, offered: bytes) -> None:
        self.negotiation = negotiation
        """Another one if the call goes another way."""
        self._leg = leg
        self._offered = offered
        self._local: bytes | None = None
        self._is_held = self._offer_again = False

    def answer(self) -> bytes:
        """Return our description: the answer to the caller's offer, or an offer if there was none.

        Raises RemoteProtocolError if nothing that both speak is left.
        """
        if self._local is None:
            self._local = self._reply(self._offered)
        if self._local is None:
            raise RemoteProtocolError("no audio format that both speak")
        return self._local

    def begin_anew(self, offered: bytes) -> bytes:
        """Return our description for somebody who takes the far end's place.

        Raises RemoteProtocolError if there is nothing that both speak; then all is as before.
        """
        said = self._reply(offered)
        if said is None:
            raise RemoteProtocolError("no audio format that both speak")
        self._offered, self._local = offered, said
        return said

    def _reply(self, offered: bytes) -> bytes | None:
        return self.negotiation.answer(offered) if offered else self.negotiation.offer()

    def agree(self, answered: bytes) -> bool:
        """Take their answer to our offer; False if nothing comes of it."""
        try:
            self.negotiation.take(answered)
        except RemoteProtocolError as error:
            self._leg.tell(LegTrouble(kind="no audio was agreed", text=str(error)))
            return False
        return True

    def offered_anew(self, event: Offer) -> None:
        """Answer a change within the call: hold, another address, another format."""
        now = clock.now()
        self._leg.tell(_changed("received", event.sdp, own_headers(event.request)))
        try:
            said = self._reply(event.sdp)
        except RemoteProtocolError as error:
            self._leg.tell(LegTrouble(kind="a session description is wrong", text=str(error)))
            said = None
        if said is None:
            event.refuse(now)
        else:
            event.accept(said, now)
        self._leg.wake()
        self.tell_hold()

    def hold(self, on: bool) -> None:
        """Say by a re-INVITE that we do not listen, or that we do again."""
        direction = "sendonly" if on else "sendrecv"
        if direction != self.negotiation.direction:
            self.negotiation.direction = direction
            self._offer()

    def _offer(self) -> None:
        """Offer what we want by now; again when the offer under way has its answer."""
        offers = self._leg.sip.offers
        self._offer_again = offers.is_under_way
        if not self._offer_again:
            offers.make(self.negotiation.offer(), clock.now())
            self._leg.wake()

    def answered(self, event: OfferAnswered | OfferRefused) -> None:
        """Take how an offer of ours within the call has gone."""
        if isinstance(event, OfferAnswered):
            self.agree(event.sdp)
            self._leg.tell(_changed("accepted", event.sdp))
            self.tell_hold()
        else:
            code, reason = event.status, event.reason
            self._leg.tell(LegReInvite(what="rejected", code=code, reason=reason))
            self.negotiation.direction = "sendrecv" if self._leg.rtp.hears else "sendonly"
        if self._offer_again and self._leg.sip.state == "up":
            self._offer()

    def tell_hold(self) -> None:
        """Report hold and its end."""
        if self.negotiation.they_hold != self._is_held:
            self._is_held = self.negotiation.they_hold
            self._leg.tell(LegHeld(held=self._is_held))


def _changed(
    what: Literal["received", "accepted"], sdp: bytes, headers: Mapping[str, str] | None = None
) -> LegReInvite:
    """Return what the scenario sees of it: keys are nobody's business."""
    kind, text = ("application/sdp", sdp.decode("utf-8", "replace")) if sdp else ("", "")
    return LegReInvite(what=what, mime_type=kind, body=without_keys(text), headers=headers or {})


def own_headers(message: Request | Response | None) -> dict[str, str]:
    """Return what scenarios see of a message's headers: ``X-``, and at the end its Reason.

    As VoxEngine: ``Reason: Q.850;cause=16`` (RFC 3326).
    """
    lines: Headers | tuple[()] = message.headers if message is not None else ()
    return {name: text for name, text in lines if name.startswith("X-") or name == "Reason"}
