"""``VoxEngine``: the session as scenarios see it (VoxEngine: VoxEngine namespace).

A stateless face: every call looks up the session that is running, so the same imported object is
right in every session at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from voxpy.absent import ABSENT
from voxpy.call import Call
from voxpy.calls.arguments import Headers
from voxpy.calls.forwarding import (
    forward_to_number,
    forward_to_sip,
    forward_to_user,
    play_sound_and_hangup,
)
from voxpy.calls.joining import Established, easy_process
from voxpy.calls.outgoing import AnsweringMachineDetector, place_call, push_timeout_s
from voxpy.engine.context import current
from voxpy.engine.ending import EndReason
from voxpy.engine.events import Event
from voxpy.engine.units import (
    BareHandler,
    Catalog,
    Handler,
    check_handler,
    check_kind,
    ways_between,
)
from voxpy.errors import HelpsWithNames, LimitExceeded, NotSupported, ScenarioError, nearest
from voxpy.events import AppEvents, WatchdogEvents
from voxpy.players.making import PlayerFunctions
from voxpy.websocket.making import SocketFunctions

if TYPE_CHECKING:
    from voxpy.asr import ASR
    from voxpy.conferences import Conference
    from voxpy.recording import Recorder

__all__ = ["VoxEngine", "VoxEngineNamespace", "send_media_between"]

E = TypeVar("E", bound=Event)
H = TypeVar("H", bound=Callable[..., Any])

CATALOG: Catalog = {"AppEvents": AppEvents, "WatchdogEvents": WatchdogEvents}

NOT_HERE = {
    "create_streaming_agent": "StreamingAgent",
    "enqueue_acd_request": "ACDRequest",
    "enqueue_task": "SmartQueueTask",
}
"""Functions of VoxEngine that make what is absent: named honestly instead of as misspelt."""


class VoxEngineNamespace(PlayerFunctions, SocketFunctions, HelpsWithNames):
    """The functions of the VoxEngine namespace that voxpy has; made once, as ``VoxEngine``."""

    __slots__ = ()  # what a scenario stored here would be seen by every other session

    @overload
    def add_event_listener(self, kind: type[E], handler: Handler[E]) -> None: ...

    @overload
    def add_event_listener(self, kind: type[Event], handler: BareHandler) -> None: ...

    @overload
    def add_event_listener(self, kind: str, handler: Callable[..., Any]) -> None: ...

    def add_event_listener(self, kind: type[Any] | str, handler: Callable[..., Any]) -> None:
        """Call ``handler(event)`` for every event of class ``kind`` in this session.

        ``handler`` may be sync or async; one that takes no argument is called without the event.
        Raises ScenarioError if ``kind`` is no event or
        ``handler`` is not callable. VoxEngine: VoxEngine.addEventListener.
        """
        session = current("VoxEngine.add_event_listener")
        found = check_kind(kind, CATALOG)
        session.listeners.add(found, check_handler(found, handler))

    def remove_event_listener(
        self, kind: type[Event] | str, handler: Callable[..., Any] | None = None
    ) -> None:
        """Remove ``handler``, or without it every handler of ``kind``."""
        current("VoxEngine.remove_event_listener").listeners.remove(
            check_kind(kind, CATALOG), handler
        )

    def on(self, kind: type[Event]) -> Callable[[H], H]:
        """Return a decorator that subscribes a function: ``@VoxEngine.on(AppEvents.Started)``."""

        def subscribe(handler: H) -> H:
            self.add_event_listener(kind, handler)
            return handler

        return subscribe

    async def wait_event(self, kind: type[E], *, timeout_s: float = float("inf")) -> E:
        """Wait for the next event of class ``kind``. Raises trio.TooSlowError after the timeout."""
        session = current("VoxEngine.wait_event")
        check_kind(kind, CATALOG)
        return await session.wait_event(session.listeners, kind, timeout_s)

    def terminate(self) -> None:
        """End the session; afterwards only Terminating and Terminated reach the scenario.

        Does not stop the current function. Idempotent. VoxEngine: VoxEngine.terminate.
        """
        session = current("VoxEngine.terminate")
        session.trace.command("VoxEngine.terminate")
        session.end(EndReason.TERMINATED, "VoxEngine.terminate")

    def send_media_between(self, unit1: Any, unit2: Any) -> None:
        """Send the media of each unit to the other; replaces what they heard before.

        Where one of them only speaks (a player) or only hears (a recorder), it goes one way. Raises
        ScenarioError if one is no media unit. VoxEngine: VoxEngine.sendMediaBetween.
        """
        session = current("VoxEngine.send_media_between")
        for source, target in ways_between(unit1, unit2):
            session.connect_media(source, target)

    def stop_media_between(self, unit1: Any, unit2: Any) -> None:
        """Undo ``send_media_between``. VoxEngine: VoxEngine.stopMediaBetween."""
        session = current("VoxEngine.stop_media_between")
        session.disconnect_media(unit1, unit2)
        session.disconnect_media(unit2, unit1)

    def get_secret_value(self, name: str) -> str | None:
        """Return a secret, or None if there is none. VoxEngine: VoxEngine.getSecretValue."""
        session = current("VoxEngine.get_secret_value")
        value = session.context.secrets.get(name) if name else None
        # Not under "secret": everything that stands there is masked, and the name is wanted.
        session.trace.command("VoxEngine.get_secret_value", key=name, found=value is not None)
        return value

    def custom_data(self, value: str | None = None) -> str:
        """Set the session's string if ``value`` is given, and return it.

        Raises LimitExceeded above ``limits.custom_data_bytes`` of UTF-8. VoxEngine:
        VoxEngine.customData.
        """
        session = current("VoxEngine.custom_data")
        if value is not None:
            if not isinstance(value, str):
                raise ScenarioError(f"custom_data must be a string, not {type(value).__name__}")
            limit = session.context.settings.limits.custom_data_bytes
            if len(value.encode()) > limit:
                raise LimitExceeded(f"custom_data holds {limit} bytes, not {len(value.encode())}")
            session.custom_data = value
        return session.custom_data

    def create_conference(self, *, hd_audio: bool = False) -> Conference:
        """Return a conference; join calls with ``send_media_between(call, conference)``.

        ``hd_audio``: mixed at 48 kHz, else at 8. VoxEngine: VoxEngine.createConference.
        """
        from voxpy.conferences import Conference

        return Conference(current("VoxEngine.create_conference"), hd_audio=hd_audio)

    def destroy_conference(self, conference: Conference) -> None:
        """Stop a conference. Raises ScenarioError for what is none.

        VoxEngine: VoxEngine.destroyConference.
        """
        from voxpy.conferences import Conference

        current("VoxEngine.destroy_conference")
        given: Any = conference  # scenarios are not always type checked
        if not isinstance(given, Conference):
            raise ScenarioError(f"destroy_conference takes a Conference, not {given!r}")
        given.stop()

    def create_recorder(
        self,
        name: str | None = None,
        secure: bool = False,
        *,
        format: str | None = None,
        stereo: bool = False,
        hd_audio: bool = False,
        lossless: bool = False,
        transcribe: bool = False,
        language: str | None = None,
        record_name_prefix: str = "",
        video: bool = False,
        video_parameters: Mapping[str, Any] | None = None,
        expire: str = "",
        provider: str | None = None,
    ) -> Recorder:
        """Return a recorder of whatever is sent to it; ``RecorderEvents.Started`` has its url.

        The parameters are those of ``call.record``, with ``stereo`` the first unit that sends to it
        left and all others right. ``name`` becomes part of the file's. Raises ScenarioError for
        parameters that contradict each other. VoxEngine: VoxEngine.createRecorder.
        """
        from voxpy.recording import create_recorder

        return create_recorder(
            current("VoxEngine.create_recorder"),
            name=name,
            format=format,
            stereo=stereo,
            hd_audio=hd_audio,
            lossless=lossless,
            transcribe=transcribe,
            language=language,
            record_name_prefix=record_name_prefix,
            video=video,
            video_parameters=video_parameters,
            secure=secure,
            expire=expire,
            provider=provider,
        )

    def create_asr(
        self,
        profile: str | None = None,
        *,
        lang: str | None = None,
        model: str | None = None,
        interim_results: bool = False,
        single_utterance: bool = False,
        phrase_hints: Sequence[str] = (),
        profanity_filter: bool = False,
        headers: Mapping[str, str] | None = None,
        request: Mapping[str, Any] | None = None,
    ) -> ASR:
        """Return a recogniser; then ``call.send_media_to(asr)``. What it hears are ``ASREvents``.

        profile: an ``ASRProfileList`` name, or any string that ends in a language: "en-US". A
            service recognises (``openai/de-DE``, ``deepgram/…``, ``elevenlabs/…``, ``inworld/…``,
            ``ASRProfileList.Deepgram.de``) if there is a key for it among the secrets, else the
            host's own engines. A language that those do not understand leads to
            ``ASREvents.ASRError``, as does a missing engine.
        lang: the same under its name in older scenarios: ``ASRLanguage.ENGLISH_US``.
        model: a model of the service; the host's own recogniser has but one.
        headers: change nothing.
        interim_results: tell what has been said so far about every second, rarer in long speech.
        single_utterance: stop after the first result.
        phrase_hints: words and names that near misses are corrected to; see docs/listening.md.
        profanity_filter: write obscene English words with asterisks.
        request: the engines' own tuning: ``silence_ms`` (600) that ends an utterance, 100 to 5000;
            ``threshold`` (0.5) of the speech gate, 0.01 to 0.99.

        Raises ScenarioError for a wrong argument. VoxEngine: VoxEngine.createASR.
        """
        from voxpy.asr import create_asr

        return create_asr(
            current("VoxEngine.create_asr"),
            profile=profile or lang,
            model=model,
            interim_results=interim_results,
            single_utterance=single_utterance,
            phrase_hints=phrase_hints,
            profanity_filter=profanity_filter,
            headers=headers,
            request=request,
        )

    def play_sound_and_hangup(self, url: str) -> None:
        """Answer incoming calls, play one sound file, and end the session.

        Also when the call fails or is hung up. VoxEngine: VoxEngine.playSoundAndHangup.
        """
        play_sound_and_hangup(current("VoxEngine.play_sound_and_hangup"), url)

    def call_pstn(
        self,
        number: str,
        callerid: str,
        *,
        amd: AnsweringMachineDetector | None = None,
        follow_diversion: bool = False,
    ) -> Call:
        """Dial a phone number (E.164, with or without ``+``); return the call at once, PROGRESSING.

        ``callerid`` must be one that the trunk accepts; ``follow_diversion`` says that it is the
        incoming caller's. ``amd`` listens from the answer on. What comes of it are ``CallEvents``:
        Ringing, AudioStarted, Connected, and Failed with 404 for what is no number, 408 after 60 s,
        403 beyond 50 calls in a session or 10 unanswered at once, 503 without a trunk. Raises
        ScenarioError for what is no string. VoxEngine: VoxEngine.callPSTN.
        """
        return place_call(
            current("VoxEngine.call_pstn"),
            "call_pstn",
            kind="pstn",
            destination=number,
            callerid=callerid,
            amd=amd,
            follow_diversion=follow_diversion,
        )

    def call_sip(
        self,
        to: str,
        callerid: str = "",
        display_name: str = "",
        password: str = "",
        auth_user: str = "",
        headers: Headers | None = None,
        video: bool = False,
        out_proxy: str = "",
        *,
        reg_id: str = "",
        amd: AnsweringMachineDetector | None = None,
        scheme: Any = None,
        strict_codec_list: bool = False,
        allow_180_after_183: bool = False,
        disable_dtx_for_audio: bool = False,
    ) -> Call:
        """Dial a SIP URI (``sip:user@host;transport=tls``); otherwise as ``call_pstn``.

        ``headers`` are ``X-...`` and ``VI-CallTimeout``, the seconds it may ring (10 to 400).
        ``auth_user`` and ``password`` answer a challenge, the user is the callerid by default.
        ``allow_180_after_183`` tells of ringing after early media too. VoxEngine:
        VoxEngine.callSIP.
        """
        return place_call(
            current("VoxEngine.call_sip"),
            "call_sip",
            kind="sip",
            destination=to,
            callerid=callerid,
            display_name=display_name,
            password=password,
            auth_user=auth_user or callerid,
            headers=headers,
            video=video,
            out_proxy=out_proxy,
            reg_id=reg_id,
            amd=amd,
            scheme=scheme,
            strict_codec_list=strict_codec_list,
            allow_180_after_183=allow_180_after_183,
            disable_dtx_for_audio=disable_dtx_for_audio,
        )

    def call_user(
        self,
        username: str,
        callerid: str,
        display_name: str = "",
        extra_headers: Headers | None = None,
        video: bool = False,
        *,
        video_orientation_extension: bool = True,
        analytics_label: str = "",
        amd: AnsweringMachineDetector | None = None,
        push_notification_timeout: int = 20_000,
        strict_codec_list: bool = False,
        scheme: Any = None,
        max_video_bitrate: int | None = None,
        disable_ext_video_offset: bool = False,
        disable_ext_video_orientation: bool = False,
        disable_ext_playout_delay: bool = False,
        disable_ext_video_timing: bool = False,
        conference_call: bool = False,
        disable_dtx_for_audio: bool = False,
    ) -> Call:
        """Dial a user of this host: a browser or a phone that registered under ``username``.

        ``push_notification_timeout`` (ms, 10,000 to 60,000) is how long a user who is offline may
        take to come. The video arguments, ``conference_call`` and ``analytics_label`` change
        nothing. Headers as in ``call_sip``. VoxEngine: VoxEngine.callUser.
        """
        return place_call(
            current("VoxEngine.call_user"),
            "call_user",
            kind="user",
            destination=username,
            callerid=callerid,
            display_name=display_name,
            headers=extra_headers,
            video=video,
            amd=amd,
            push_notification_timeout_s=push_timeout_s("call_user", push_notification_timeout),
            strict_codec_list=strict_codec_list,
            scheme=scheme,
            disable_dtx_for_audio=disable_dtx_for_audio,
        )

    def call_user_direct(
        self,
        incoming_call: Call,
        username: str,
        *,
        callerid: str,
        display_name: str = "",
        analytics_label: str = "",
        extra_headers: Headers | None = None,
        push_notification_timeout: int = 20_000,
    ) -> Call:
        """Dial a user whose media would not pass through VoxEngine; here it does, as any call's.

        So ``say``, ``record`` and the like work on it too. VoxEngine: VoxEngine.callUserDirect.
        """
        return place_call(
            current("VoxEngine.call_user_direct"),
            "call_user_direct",
            kind="user_direct",
            destination=username,
            callerid=callerid,
            display_name=display_name,
            headers=extra_headers,
            push_notification_timeout_s=push_timeout_s(
                "call_user_direct", push_notification_timeout
            ),
        )

    def call_whatsapp_user(
        self,
        *,
        number: str,
        callerid: str,
        headers: Headers | None = None,
        disable_dtx_for_audio: bool = False,
    ) -> Call:
        """Call a WhatsApp user, who must have permitted it; ``callerid`` is the business number.

        VoxEngine: VoxEngine.callWhatsappUser.
        """
        return place_call(
            current("VoxEngine.call_whatsapp_user"),
            "call_whatsapp_user",
            kind="whatsapp",
            destination=number,
            callerid=callerid,
            headers=headers,
            disable_dtx_for_audio=disable_dtx_for_audio,
        )

    def call_conference(
        self,
        conference_id: str,
        callerid: str,
        display_name: str = "",
        headers: Headers | None = None,
        scheme: Any = None,
    ) -> Call:
        """Dial into the session of a conference; the host makes it for the first who does.

        VoxEngine: VoxEngine.callConference.
        """
        return place_call(
            current("VoxEngine.call_conference"),
            "call_conference",
            kind="conference",
            destination=conference_id,
            callerid=callerid,
            display_name=display_name,
            headers=headers,
            scheme=scheme,
        )

    def easy_process(
        self,
        call1: Call,
        call2: Call,
        on_established: Established | None = None,
        direct: bool = False,
    ) -> None:
        """Join two calls: an incoming one, ``call1``, and the outgoing one it is forwarded to.

        ``call1`` hears ringing and early media as ``call2`` reports them and is answered when
        ``call2`` is. It may be answered already, and both may be outgoing. Messages and INFOs pass
        both ways. Then ``on_established(call1, call2)`` is called, sync or async. The session ends
        with the first of the two; when ``call2`` fails, ``call1`` is refused with the same code.
        Whoever transfers its end by its phone is replaced by the one it names. ``direct``: the
        media passes through voxpy all the same. Raises ScenarioError for calls in the wrong order.
        VoxEngine: VoxEngine.easyProcess.
        """
        easy_process(
            current("VoxEngine.easy_process"),
            call1,
            call2,
            on_established=on_established,
            direct=direct,
        )

    def forward_call_to_pstn(
        self,
        number_transform: Callable[[str], str] | None = None,
        on_established: Established | None = None,
        *,
        callerid: str | None = None,
        follow_diversion: bool = False,
    ) -> None:
        """Forward every incoming call to a phone number, by ``easy_process``.

        It is the number dialled, or what ``number_transform`` makes of that. ``callerid`` is the
        caller's own by default. VoxEngine: VoxEngine.forwardCallToPSTN.
        """
        forward_to_number(
            current("VoxEngine.forward_call_to_pstn"),
            "forward_call_to_pstn",
            number_transform=number_transform,
            on_established=on_established,
            callerid=callerid,
            follow_diversion=follow_diversion,
        )

    def forward_call_to_user(
        self, on_established: Established | None = None, video: bool = False
    ) -> None:
        """Forward every incoming call to the user whose name was dialled, by ``easy_process``.

        VoxEngine: VoxEngine.forwardCallToUser.
        """
        forward_to_user(
            current("VoxEngine.forward_call_to_user"),
            "forward_call_to_user",
            on_established=on_established,
            video=video,
        )

    def forward_call_to_user_direct(self, on_established: Established | None = None) -> None:
        """Do as ``forward_call_to_user``; see ``call_user_direct``.

        VoxEngine: VoxEngine.forwardCallToUserDirect.
        """
        forward_to_user(
            current("VoxEngine.forward_call_to_user_direct"),
            "forward_call_to_user_direct",
            on_established=on_established,
            direct=True,
        )

    def forward_call_to_sip(
        self, on_established: Established | None = None, video: bool = False
    ) -> None:
        """Forward every incoming call to the SIP URI that was dialled, by ``easy_process``.

        VoxEngine: VoxEngine.forwardCallToSIP.
        """
        forward_to_sip(
            current("VoxEngine.forward_call_to_sip"),
            "forward_call_to_sip",
            on_established=on_established,
            video=video,
        )

    def _title(self) -> str:
        return "VoxEngine"

    def _hint(self, name: str) -> str:
        if name in NOT_HERE:
            why = ABSENT[NOT_HERE[name]]
            raise NotSupported(f"VoxEngine.{name}() is part of VoxEngine, but not of voxpy: {why}")
        known = [n for n in dir(type(self)) if not n.startswith("_")]
        return nearest(name, [*known, *NOT_HERE])


VoxEngine = VoxEngineNamespace()


def send_media_between(unit1: Any, unit2: Any) -> None:
    """Do what ``VoxEngine.send_media_between`` does; importable by itself."""
    VoxEngine.send_media_between(unit1, unit2)
