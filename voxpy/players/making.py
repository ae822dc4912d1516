"""The functions of ``VoxEngine`` that make players, and what they make them of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voxpy.audio.tonescript import parse
from voxpy.engine.context import current
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError, nearest
from voxpy.players.player import (
    Player,
    SequencePlayer,
    TTSPlayerSegment,
    URLPlayerSegment,
    check_limit,
)
from voxpy.players.request import SoundRequest, read_request
from voxpy.players.sounds import Sound, ToneSound
from voxpy.players.speech import SpeechSound, Spoken, check_spoken

if TYPE_CHECKING:
    from voxpy.players.recorded import RecordedSound

URL_PLAYER = "VoxEngine.create_url_player"
TTS_PLAYER = "VoxEngine.create_tts_player"
TONE_PLAYER = "VoxEngine.create_tone_script_player"
SEQUENCE_PLAYER = "VoxEngine.create_sequence_player"

_TTS_FIELDS = ("voice", "api_key", "progressive_playback", "tts_options", "on_pause", "request")
_URL_FIELDS = ("loop", "on_pause", "progressive_playback", "hide_headers", "hide_body")


class PlayerFunctions:
    """Part of ``VoxEngine``."""

    __slots__ = ()

    def create_url_player(
        self,
        url: str | Mapping[str, Any],
        loop: bool = False,
        on_pause: bool = False,
        *,
        progressive_playback: bool = False,
        hide_headers: bool = False,
        hide_body: bool = False,
    ) -> Player:
        """Return a player of a sound file: mp3, ogg (Vorbis, Opus), flac or wav, at most 10 MB.

        url: ``http(s)://``, ``file:`` or a path, relative to the scenario's folder or the working
            directory; or a request ``{"url", "method", "headers", "body"}``. A file that is not
            there within 12 s, or is no sound, leads to ``PlayerEvents.Error`` and
            ``PlaybackFinished`` with an error.
        loop: begin again at the end, without a gap.
        on_pause: do not begin before ``resume()``.
        progressive_playback: begin with the first part of a download; the length is not known then.
        hide_headers, hide_body: keep those of the request out of the trace.

        Raises ScenarioError for a wrong argument, LimitExceeded for the 11th player of a session.
        VoxEngine: VoxEngine.createURLPlayer.
        """
        session = current(URL_PLAYER)
        request = read_request(url, URL_PLAYER)
        check_limit(session)
        sound = recorded_sound(session, request, loop=loop, progressive=progressive_playback)
        player = Player(session, [sound], loop=bool(loop), paused=bool(on_pause))
        told = _told(request, hide_headers=hide_headers, hide_body=hide_body)
        session.trace.command(URL_PLAYER, unit=player.id(), **told, loop=bool(loop))
        return player

    def create_tts_player(
        self,
        text: str,
        voice: str | None = None,
        *,
        language: str | None = None,
        api_key: str | None = None,
        progressive_playback: bool = False,
        tts_options: Mapping[str, Any] | None = None,
        on_pause: bool = False,
        request: Mapping[str, Any] | None = None,
    ) -> Player:
        """Return a player of a text of at most 1,500 characters, spoken by the host's voice.

        voice: a speaker of the host's voice; ``openai/NAME``, ``elevenlabs/ID``, ``deepgram/MODEL``
            or ``inworld/NAME`` for a service's, with its key among the secrets; ``package/speaker``
            for one of an installed package (entry point group ``voxpy.voices``). A member of
            ``VoiceList`` is its service's if there is a key, else only its language counts.
        language: the same under its name in older scenarios: ``Language.US_ENGLISH_FEMALE``.
        api_key, request: for providers' voices; the host's own has no use for them.
        progressive_playback: begin with the first sentence while the next is made; the length is
            not known then. Otherwise all of it is made first, about 1 s of work for 100 s.
        tts_options: ``speed`` or ``rate``, a factor of the pace.
        on_pause: do not begin before ``resume()``.

        A text that is too long, or a host without a voice, leads to ``PlayerEvents.Error`` and
        ``PlaybackFinished`` with an error. Raises ScenarioError for a wrong argument, LimitExceeded
        for the 11th player of a session. VoxEngine: VoxEngine.createTTSPlayer.
        """
        session = current(TTS_PLAYER)
        spoken = check_spoken(
            TTS_PLAYER,
            text,
            voice=voice or language,
            progressive=progressive_playback,
            tts_options=tts_options,
            request=request,
        )
        check_limit(session)
        player = Player(session, [SpeechSound(session, spoken)], paused=bool(on_pause))
        session.trace.command(TTS_PLAYER, unit=player.id(), voice=voice, text=text)
        return player

    def create_tone_script_player(
        self, script: str, *, loop: bool = False, progressive_playback: bool = False
    ) -> Player:
        """Return a player of tones, written as a ToneScript: ``425@-19;10(1/4/1)``.

        ``progressive_playback`` changes nothing: tones need no loading. Raises ScenarioError with
        the place of a mistake in the script, LimitExceeded for the 11th player of a session.
        VoxEngine: VoxEngine.createToneScriptPlayer.
        """
        session = current(TONE_PLAYER)
        sound = tone_sound(script, TONE_PLAYER, loop=bool(loop))
        check_limit(session)
        player = Player(session, [sound], loop=bool(loop))
        session.trace.command(TONE_PLAYER, unit=player.id(), script=script, loop=bool(loop))
        return player

    def create_sequence_player(
        self, segments: Sequence[TTSPlayerSegment | URLPlayerSegment | Mapping[str, Any]]
    ) -> SequencePlayer:
        """Return a player of texts and files one after another, without gaps.

        A segment is a ``TTSPlayerSegment``, a ``URLPlayerSegment`` or VoxEngine's dict (``text`` or
        ``url``, and ``parameters``). All are loaded before the first begins. Raises ScenarioError
        for a wrong argument, LimitExceeded for the 11th player of a session. VoxEngine:
        VoxEngine.createSequencePlayer.
        """
        session = current(SEQUENCE_PLAYER)
        given: Any = segments  # scenarios are not always type checked
        if isinstance(given, str | Mapping) or not isinstance(given, Sequence) or not given:
            raise ScenarioError(f"{SEQUENCE_PLAYER} takes a list of segments, not {segments!r}")
        sounds = [_segment_sound(session, segment) for segment in segments]
        check_limit(session)
        player = SequencePlayer(session, sounds, segments=tuple(segments))
        session.trace.command(SEQUENCE_PLAYER, unit=player.id(), segments=len(sounds))
        return player


def recorded_sound(
    session: Session, request: SoundRequest, *, loop: bool, progressive: bool
) -> RecordedSound:
    """Return the sound of a file."""
    # With the HTTP client: 60 ms, for who needs it.
    from voxpy.players.files import shared_cache
    from voxpy.players.recorded import RecordedSound

    return RecordedSound(
        session,
        request,
        cache=shared_cache(),
        loop=bool(loop),
        progressive=bool(progressive),
    )


def tone_sound(script: Any, what: str, *, loop: bool) -> ToneSound:
    """Return the sound of a ToneScript. Raises ScenarioError with the place of the mistake."""
    if not isinstance(script, str):
        raise ScenarioError(
            f"{what} takes a ToneScript such as '425@-19;10(1/4/1)', not {script!r}"
        )
    try:
        return ToneSound(parse(script), loop=loop)
    except ValueError as error:
        raise ScenarioError(f"{what}: {error}") from error


def _segment_sound(session: Session, segment: Any) -> Sound:
    if isinstance(segment, Mapping):
        segment = _from_mapping(segment)
    match segment:
        case TTSPlayerSegment():
            return SpeechSound(session, _spoken(segment))
        case URLPlayerSegment():
            request = read_request(segment.url, SEQUENCE_PLAYER)
            return recorded_sound(
                session, request, loop=False, progressive=segment.progressive_playback
            )
    raise ScenarioError(
        f"{SEQUENCE_PLAYER}: a segment is a TTSPlayerSegment, a URLPlayerSegment or a dict with "
        f"'text' or 'url', not {segment!r}"
    )


def _spoken(segment: TTSPlayerSegment) -> Spoken:
    return check_spoken(
        SEQUENCE_PLAYER,
        segment.text,
        voice=segment.voice,
        progressive=segment.progressive_playback,
        tts_options=segment.tts_options,
        request=segment.request,
    )


def _from_mapping(segment: Mapping[str, Any]) -> TTSPlayerSegment | URLPlayerSegment:
    """Return VoxEngine's ``{"text" or "url": ..., "parameters": {...}}`` as one of our segments."""
    given = dict(segment)
    parameters = dict(given.pop("parameters", None) or {})
    key = "text" if "text" in given else "url"
    known = _TTS_FIELDS if key == "text" else _URL_FIELDS
    if set(given) != {key}:
        wrong = next(iter(set(given) - {key}), None)
        raise ScenarioError(
            f"{SEQUENCE_PLAYER}: a segment has 'text' or 'url', and 'parameters', not {wrong!r}"
        )
    for name in parameters:
        if name not in known:
            raise ScenarioError(
                f"{SEQUENCE_PLAYER}: a segment has no parameter {name!r}{nearest(name, known)}"
            )
    for name in ("loop", "on_pause"):  # of players, not of their segments
        parameters.pop(name, None)
    if key == "text":
        return TTSPlayerSegment(text=given[key], **parameters)
    return URLPlayerSegment(url=given[key], **parameters)


def _told(request: SoundRequest, *, hide_headers: bool, hide_body: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"url": request.shown}
    if request.method != "GET":
        told["method"] = request.method
    if request.headers and not hide_headers:
        told["headers"] = dict(request.headers)
    if request.body and not hide_body:
        told["body"] = request.body.decode("utf-8", "replace")
    return told
