"""Makes players from a scenario's arguments; ``voxpy.voxengine`` has the documentation of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voxpy.audio.tonescript import parse
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError, nearest
from voxpy.players.cache import shared_cache
from voxpy.players.control import PlayerController, check_limit
from voxpy.players.player import Player, SequencePlayer, TTSPlayerSegment, URLPlayerSegment
from voxpy.players.request import SoundRequest, read_request
from voxpy.players.sounds import Sound, ToneSound
from voxpy.players.speech import SpeechSound, Spoken, check_spoken

if TYPE_CHECKING:
    from voxpy.players.recorded import RecordedSound

__all__ = [
    "recorded_sound",
    "sequence_player",
    "tone_player",
    "tone_sound",
    "tts_player",
    "url_player",
]

URL_PLAYER = "VoxEngine.create_url_player"
TTS_PLAYER = "VoxEngine.create_tts_player"
TONE_PLAYER = "VoxEngine.create_tone_script_player"
SEQUENCE_PLAYER = "VoxEngine.create_sequence_player"

_TTS_FIELDS = ("voice", "api_key", "progressive_playback", "tts_options", "on_pause", "request")
_URL_FIELDS = ("loop", "on_pause", "progressive_playback", "hide_headers", "hide_body")


def url_player(
    session: Session,
    url: str | Mapping[str, Any],
    *,
    loop: bool,
    on_pause: bool,
    progressive_playback: bool,
    hide_headers: bool,
    hide_body: bool,
) -> Player:
    """Return a player of a file."""
    request = read_request(url, URL_PLAYER)
    check_limit(session)
    sound = recorded_sound(session, request, loop=loop, progressive=progressive_playback)
    controller = PlayerController(session, [sound], loop=bool(loop), paused=bool(on_pause))
    told = _told(request, hide_headers=hide_headers, hide_body=hide_body)
    session.trace.command(URL_PLAYER, unit=controller.player_id, **told, loop=bool(loop))
    player: Player = controller.face
    return player


def tts_player(
    session: Session,
    text: str,
    *,
    voice: str | None,
    progressive_playback: bool,
    tts_options: Mapping[str, Any] | None,
    on_pause: bool,
    request: Mapping[str, Any] | None,
) -> Player:
    """Return a player of a text."""
    spoken = check_spoken(
        TTS_PLAYER,
        text,
        voice=voice,
        progressive=progressive_playback,
        tts_options=tts_options,
        request=request,
    )
    check_limit(session)
    controller = PlayerController(session, [SpeechSound(session, spoken)], paused=bool(on_pause))
    session.trace.command(TTS_PLAYER, unit=controller.player_id, voice=voice, text=text)
    player: Player = controller.face
    return player


def tone_player(session: Session, script: str, *, loop: bool) -> Player:
    """Return a player of tones."""
    sound = tone_sound(script, TONE_PLAYER, loop=bool(loop))
    check_limit(session)
    controller = PlayerController(session, [sound], loop=bool(loop))
    session.trace.command(TONE_PLAYER, unit=controller.player_id, script=script, loop=bool(loop))
    player: Player = controller.face
    return player


def sequence_player(session: Session, segments: Sequence[Any]) -> SequencePlayer:
    """Return a player of texts and files."""
    given: Any = segments  # scenarios are not always type checked
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence) or not given:
        raise ScenarioError(f"{SEQUENCE_PLAYER} takes a list of segments, not {segments!r}")
    sounds = [_segment_sound(session, segment) for segment in segments]
    check_limit(session)
    controller = PlayerController(session, sounds, segments=tuple(segments))
    session.trace.command(SEQUENCE_PLAYER, unit=controller.player_id, segments=len(sounds))
    player: SequencePlayer = controller.face
    return player


def recorded_sound(
    session: Session, request: SoundRequest, *, loop: bool, progressive: bool
) -> RecordedSound:
    """Return the sound of a file."""
    from voxpy.players.recorded import (
        RecordedSound,
    )  # with the HTTP client: 60 ms, for who needs it

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
