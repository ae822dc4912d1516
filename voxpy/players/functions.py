"""The functions of the VoxEngine namespace that make players."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voxpy.engine.context import current

if TYPE_CHECKING:
    from voxpy.players.player import Player, SequencePlayer, TTSPlayerSegment, URLPlayerSegment

__all__ = ["PlayerFunctions"]


class PlayerFunctions:
    """Part of ``VoxEngine``; what it needs is imported when a player is made."""

    __slots__ = ()

    def create_url_player(
        self,
        url: str | Mapping[str, Any],
        *,
        loop: bool = False,
        on_pause: bool = False,
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
        from voxpy.players import making

        return making.url_player(
            current(making.URL_PLAYER),
            url,
            loop=loop,
            on_pause=on_pause,
            progressive_playback=progressive_playback,
            hide_headers=hide_headers,
            hide_body=hide_body,
        )

    def create_tts_player(
        self,
        text: str,
        *,
        voice: str | None = None,
        api_key: str | None = None,
        progressive_playback: bool = False,
        tts_options: Mapping[str, Any] | None = None,
        on_pause: bool = False,
        request: Mapping[str, Any] | None = None,
    ) -> Player:
        """Return a player of a text of at most 1,500 characters, spoken by the host's voice.

        voice: a speaker of the host's voice; ``package/speaker`` for one of an installed package
            (entry point group ``voxpy.voices``).
        api_key, request: for providers' voices; the host's own has no use for them.
        progressive_playback: begin with the first sentence while the next is made; the length is
            not known then. Otherwise all of it is made first, about 1 s of work for 100 s.
        tts_options: ``speed`` or ``rate``, a factor of the pace.
        on_pause: do not begin before ``resume()``.

        A text that is too long, or a host without a voice, leads to ``PlayerEvents.Error`` and
        ``PlaybackFinished`` with an error. Raises ScenarioError for a wrong argument, LimitExceeded
        for the 11th player of a session. VoxEngine: VoxEngine.createTTSPlayer.
        """
        from voxpy.players import making

        return making.tts_player(
            current(making.TTS_PLAYER),
            text,
            voice=voice,
            progressive_playback=progressive_playback,
            tts_options=tts_options,
            on_pause=on_pause,
            request=request,
        )

    def create_tone_script_player(
        self, script: str, *, loop: bool = False, progressive_playback: bool = False
    ) -> Player:
        """Return a player of tones, written as a ToneScript: ``425@-19;10(1/4/1)``.

        ``progressive_playback`` changes nothing: tones need no loading. Raises ScenarioError with
        the place of a mistake in the script, LimitExceeded for the 11th player of a session.
        VoxEngine: VoxEngine.createToneScriptPlayer.
        """
        from voxpy.players import making

        return making.tone_player(current(making.TONE_PLAYER), script, loop=loop)

    def create_sequence_player(
        self, segments: Sequence[TTSPlayerSegment | URLPlayerSegment | Mapping[str, Any]]
    ) -> SequencePlayer:
        """Return a player of texts and files one after another, without gaps.

        A segment is a ``TTSPlayerSegment``, a ``URLPlayerSegment`` or VoxEngine's dict (``text`` or
        ``url``, and ``parameters``). All are loaded before the first begins. Raises ScenarioError
        for a wrong argument, LimitExceeded for the 11th player of a session. VoxEngine:
        VoxEngine.createSequencePlayer.
        """
        from voxpy.players import making

        return making.sequence_player(current(making.SEQUENCE_PLAYER), segments)

    def play_sound_and_hangup(self, url: str) -> None:
        """Answer incoming calls, play one sound file, and end the session.

        Also when the call fails or is hung up. VoxEngine: VoxEngine.playSoundAndHangup.
        """
        from voxpy.players.announcement import play_sound_and_hangup

        play_sound_and_hangup(current("VoxEngine.play_sound_and_hangup"), url)
