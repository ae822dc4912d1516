"""What the outside must provide to a session, and what a leg of a call reports to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from voxpy.audio.frame import PCMU, Format
from voxpy.errors import NotSupported
from voxpy.media.unit import MediaPort

if TYPE_CHECKING:
    import trio

Headers = Mapping[str, str]


@attrs.frozen(kw_only=True)
class LegEvent:
    """Something happened on a leg. Legs report these in order, from synchronous code."""


@attrs.frozen(kw_only=True)
class Ringing(LegEvent):
    """The far end of an outgoing leg rings (SIP 180)."""

    headers: Headers = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class EarlyMedia(LegEvent):
    """Media flows before the answer (SIP 183)."""

    headers: Headers = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class FirstAudio(LegEvent):
    """The first audio packet of the far end has arrived."""


@attrs.frozen(kw_only=True)
class LegConnected(LegEvent):
    """The leg is answered. ``encrypted`` is its audio's; the rest only SIP has."""

    headers: Headers = attrs.field(factory=dict)
    encrypted: bool = False
    sip_call_id: str = ""
    sip_transport: str = ""


@attrs.frozen(kw_only=True)
class LegEnded(LegEvent):
    """The leg is over, for whatever cause; nothing follows it.

    ``code`` is a SIP status (RFC 3261 section 21): 200 after a normal hang-up, 487 for a caller who
    gave up, the rejection's code otherwise. ``counts`` are what was dropped or not understood on
    the way, by kind.
    """

    code: int
    reason: str
    headers: Headers = attrs.field(factory=dict)
    counts: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class LegTrouble(LegEvent):
    """Something that the far side sent was dropped, or it says that something is wrong.

    The call goes on. Told at the first few times of each ``kind``, a fixed sentence; ``text`` says
    more. How often it was in all comes with LegEnded.
    """

    kind: str
    text: str


@attrs.frozen(kw_only=True)
class LegSignal(LegEvent):
    """A message of the call's signalling, for the trace. ``text`` is all of it but its secrets."""

    name: str
    direction: Literal["in", "out"]
    text: str


@attrs.frozen(kw_only=True)
class LegHeld(LegEvent):
    """The far end does not listen any more (``held``), or does so again."""

    held: bool


@attrs.frozen(kw_only=True)
class LegMedia(LegEvent):
    """Packets of the far end have stopped for some seconds, or ``flow`` again."""

    flow: bool


@attrs.frozen(kw_only=True)
class LegTone(LegEvent):
    """A DTMF digit. ``kind`` is VoxEngine's: "1" RFC 2833/4733, "2" in-band, "3" SIP INFO."""

    tone: str
    kind: str = "1"


@attrs.frozen(kw_only=True)
class LegMessage(LegEvent):
    """A text message inside the call."""

    text: str
    headers: Headers = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class LegInfo(LegEvent):
    """A SIP INFO or its equivalent."""

    mime_type: str
    body: str
    headers: Headers = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class LegIdentified(LegEvent):
    """A network that was asked to find out says who answered: HUMAN or VOICEMAIL.

    ``detail`` is its own word.
    """

    who: str
    detail: str = ""


@attrs.frozen(kw_only=True)
class LegForwarded(LegEvent):
    """Whoever was called sends the call on to somebody else (SIP 181, or a 302 we follow)."""


@attrs.frozen(kw_only=True)
class LegReInvite(LegEvent):
    """A change of the session description (SIP re-INVITE or UPDATE), answered by the leg itself.

    ``what`` is ``received`` for a change of theirs, ``accepted`` or ``rejected`` for one of ours.
    """

    what: Literal["received", "accepted", "rejected"]
    mime_type: str = ""
    body: str = ""
    headers: Headers = attrs.field(factory=dict)
    code: int | None = None
    reason: str = ""


@attrs.frozen(kw_only=True)
class LegTransferAsked(LegEvent):
    """The far end asks to be put through to somebody (SIP REFER); ``answer_transfer`` answers.

    ``to`` is a user or a number. ``headers`` are ``X-`` headers, Refer-To and Referred-By.
    """

    to: str
    headers: Headers = attrs.field(factory=dict)


NOT_HANDLED = (
    "the far end asked for a transfer, which was declined: "
    "the scenario has not said call.handle_blind_transfer(True)"
)
"""Kind of the LegTrouble of a REFER that nobody wants."""

TransferRole = Literal["transferor", "target", "transferee"]


@attrs.frozen(kw_only=True)
class LegTransferred(LegEvent):
    """A transfer has worked (200), or failed with a SIP status. ``role`` is the far end's part."""

    role: TransferRole
    code: int
    reason: str = ""
    headers: Headers = attrs.field(factory=dict)


class LegTransfers(Protocol):
    """The transfers of one leg."""

    def handle(self, enabled: bool) -> None:
        """Report as LegTransferAsked what the far end asks; otherwise decline it."""

    def answer(self, code: int, reason: str) -> None:
        """Tell the far end how the transfer it asked for goes; 200 and more is the last word."""

    def ask(self, to: str, target: Leg | None, headers: Headers) -> None:
        """Ask the far end to call ``to``, in the place of the call over ``target`` if given.

        LegTransferred follows; when it has worked the leg hangs up.
        """


@attrs.frozen
class NoTransfers:
    """Implements ``LegTransfers`` where nobody can ask for one or follow one.

    With a ``channel`` to name each raises NotSupported; without, nobody is there at all.
    """

    channel: str = ""

    def handle(self, enabled: bool) -> None:
        """Nobody asks."""
        self._refuse("handle_blind_transfer")

    def answer(self, code: int, reason: str) -> None:
        """Nobody has asked."""
        self._refuse("notify_blind_transfer_success")

    def ask(self, to: str, target: Leg | None, headers: Headers) -> None:
        """Nobody follows."""
        self._refuse("transfer_to")

    def _refuse(self, command: str) -> None:
        if self.channel:
            raise NotSupported(
                f"call.{command}() is not supported on the {self.channel} channel; it needs a SIP "
                "leg or a simulated one. VoxEngine.easy_process joins any two calls"
            )


class Leg(Protocol):
    """One end of a call, as a channel provides it. Commands never block; results are reported.

    ``incoming`` is whether the far end dialled us. A leg that we dialled is being set up when it is
    made and reports Ringing, EarlyMedia, LegConnected, LegEnded as they come, none of them before
    ``bind`` has returned. ``ring``, ``start_early_media``, ``answer`` and ``reject`` are for
    incoming legs only; ``hangup`` before the answer cancels (487, RFC 3261 section 9).

    A command in a state that does not allow it (a second ``answer``) is the caller's business:
    ``voxpy.call`` keeps the state and does not pass it on.
    """

    leg_id: str
    channel: str
    client_type: str
    incoming: bool
    callerid: str
    destination: str
    display_name: str
    headers: Headers
    media: MediaPort

    @property
    def transfers(self) -> LegTransfers:
        """What it does about transfers."""
        ...

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report every event from now on to ``report``."""

    def ring(self, headers: Headers) -> None:
        """Send 180 to the caller."""

    def start_early_media(self, headers: Headers) -> None:
        """Send 183 and let media flow towards the caller."""

    def answer(self, headers: Headers) -> None:
        """Accept the call; LegConnected follows."""

    def reject(self, code: int, headers: Headers) -> None:
        """Refuse the call with a SIP status 300-699; LegEnded follows."""

    def hangup(self, headers: Headers) -> None:
        """End the call; LegEnded follows."""

    def handle_tones(self, enabled: bool) -> None:
        """Report digits as LegTone, and keep them out of the audio."""

    def send_digits(self, digits: str) -> None:
        """Play ``0-9*#p`` (p is a pause) to the far end."""

    def send_message(self, text: str) -> None:
        """Send a text message inside the call."""

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Send a SIP INFO or its equivalent."""

    async def aclose(self) -> None:
        """Say BYE if that was not done, and free everything. Idempotent."""


DialKind = Literal["pstn", "sip", "user", "user_direct", "whatsapp", "conference"]

_CLIENT_TYPES: Mapping[DialKind, str] = {"user_direct": "user", "whatsapp": "wab"}


@attrs.frozen(kw_only=True)
class OutgoingCall:
    """A call to make. ``destination`` is a number, a SIP URI, a user name or a conference's id.

    The session takes the call back itself after ``ring_timeout_s`` without an answer (inf: never);
    it stands here for networks that want to be told. ``headers`` are ``X-`` only. The rest is
    VoxEngine's CallSIPParameters, CallPSTNParameters and CallUserParameters; empty means not given.
    """

    leg_id: str
    kind: DialKind
    destination: str
    callerid: str
    display_name: str = ""
    headers: Headers = attrs.field(factory=dict)
    ring_timeout_s: float = 60.0
    follow_diversion: bool = False
    reg_id: str = ""
    auth_user: str = ""
    password: str = attrs.field(default="", repr=False)
    out_proxy: str = ""
    strict_codec_list: bool = False
    disable_dtx_for_audio: bool = False
    push_notification_timeout_s: float = 20.0
    scheme: object = None

    @property
    def client_type(self) -> str:
        """What ``call.client_type()`` says of such a call."""
        return _CLIENT_TYPES.get(self.kind, self.kind)


class Dialer(Protocol):
    """Makes outgoing calls."""

    def dial(self, call: OutgoingCall) -> Leg:
        """Return at once the leg of a call that is being set up.

        Never raises: what cannot be dialled is a leg that ends (``RefusedLeg``).
        """
        ...


class Secrets(Protocol):
    """Where secret values come from."""

    def get(self, name: str) -> str | None:
        """Return the value, or None if there is none."""

    def missing(self, name: str) -> str:
        """Return the sentence that tells where to add a secret that is not there."""

    def values(self) -> Iterable[str]:
        """Return what must never be written, as far as it is known by now."""


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where a byte stream leads."""

    host: str
    port: int
    tls: bool


class OpenStream(Protocol):
    """Opens byte streams: TCP and TLS in production, memory streams on virtual time."""

    async def __call__(self, endpoint: Endpoint) -> trio.abc.Stream:
        """Open a stream to ``endpoint``. Raises ConnectFailed."""


@attrs.frozen(kw_only=True)
class RealtimeEndpoint:
    """Which realtime service ``create_realtime_api_client`` talks to when no ``url=`` is given.

    An empty ``url`` is the service that the scenario names, at its own address. ``api_key`` is used
    when the scenario has none (a local agent asks for no real one).
    """

    url: str = ""
    api_key: str | None = None


class SessionFiles(Protocol):
    """The folder of a session."""

    def path(self, name: str) -> Path:
        """Return the path of a new file in the session's folder, made unique if ``name`` exists."""

    def url(self, path: Path) -> str:
        """Return where such a file will be found once the session is over."""

    def here(self, url: str) -> Path | None:
        """Return the file that is meant, if it is one of the session and still in its folder."""


ListReport = Literal["result", "error", "progress", "next attempt"]


class CallListTask(Protocol):
    """The row of a call list that a session was started for."""

    async def report(self, kind: ListReport, data: Mapping[str, Any]) -> None:
        """Keep what the scenario tells of it."""


# -- calls that cannot be made: they fail like any other, after the scenario has had its turn ------

SERVICE_UNAVAILABLE = 503
"""RFC 3261 section 21.5.4. Not 480: that says the callee is away, and scenarios try again."""

_MISSING: Mapping[DialKind, str] = {
    "pstn": "no trunk for phone numbers",
    "sip": "no SIP channel",
    "user": "no channel with users",
    "user_direct": "no channel with users",
    "whatsapp": "no trunk for WhatsApp",
    "conference": "no conference sessions",
}


class NoDialer:
    """Implements ``Dialer`` for a host that can call nobody."""

    def dial(self, call: OutgoingCall) -> RefusedLeg:
        """Return a leg that ends with 503 and names what is missing."""
        reason = f"this host has {_MISSING[call.kind]}, so it cannot make this call"
        return RefusedLeg(call, SERVICE_UNAVAILABLE, reason)


class RefusedLeg:
    """Implements ``Leg``: ends with ``code`` at the next tick of the media.

    Not at once, so that the scenario can still subscribe to the call that it is given.
    """

    channel = "none"
    incoming = False

    def __init__(self, call: OutgoingCall, code: int, reason: str) -> None:
        self.leg_id = call.leg_id
        self.client_type = call.client_type
        self.callerid = call.callerid
        self.destination = call.destination
        self.display_name = call.display_name
        self.headers: Headers = {}
        self.media = MediaPort(name=call.leg_id, source=_Ending(self), sink=_Deaf())
        self.transfers = NoTransfers()
        self._end = LegEnded(code=code, reason=reason)
        self._report: Callable[[LegEvent], None] = lambda _: None

    def bind(self, report: Callable[[LegEvent], None]) -> None:
        """Report the end to ``report``, later."""
        self._report = report

    def end(self) -> None:
        """Report the end. The control ignores a second one."""
        self._report(self._end)

    def hangup(self, headers: Headers) -> None:
        """End it now."""
        self.end()

    def ring(self, headers: Headers) -> None:
        """Nobody is there."""

    start_early_media = answer = ring

    def reject(self, code: int, headers: Headers) -> None:
        """Nobody is there."""

    def handle_tones(self, enabled: bool) -> None:
        """Nobody is there."""

    def send_digits(self, digits: str) -> None:
        """Nobody is there."""

    send_message = send_digits

    def send_info(self, mime_type: str, body: str, headers: Headers) -> None:
        """Nobody is there."""

    async def aclose(self) -> None:
        """There is nothing to free."""


class _Ending:
    format: Format = PCMU

    def __init__(self, leg: RefusedLeg) -> None:
        self._leg = leg

    def pull(self) -> bytes | None:
        self._leg.end()
        return None


class _Deaf:
    format: Format = PCMU

    def push(self, frame: bytes) -> None:
        pass
