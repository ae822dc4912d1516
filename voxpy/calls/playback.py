"""What a call plays by itself: sound files, speech and progress tones; and the playback events of
whatever is played to it.

A call hears one stream. What it plays itself takes the place of what it heard, an agent for
example, and when it is over the call hears nothing until something is sent to it again: VoxEngine
documents nothing that would restore the stream, and neither do we.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.audio.progress import ringing
from voxpy.calls.state import CallState
from voxpy.errors import ScenarioError
from voxpy.events import CallEvents
from voxpy.players.making import recorded_sound, tone_sound
from voxpy.players.playing import Playing, PlayingReports, add_hearer, remove_hearer
from voxpy.players.request import read_request
from voxpy.players.sounds import Sound
from voxpy.players.speech import SpeechSound, check_spoken


class Playback:
    """What one call plays; it hears for its listeners what players send to the call, too."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._session = state.session
        self._call = state.call
        self._playing: Playing | None = None
        self._waits_for_answer = False
        self._tone: Playing | None = None
        add_hearer(state.session, state.leg.media, self)

    # -- commands --------------------------------------------------------------------------------

    def start(self, url: str, *, loop: bool, progressive_playback: bool) -> None:
        """Play a sound file; what plays falls silent without another event."""
        request = read_request(url, "call.start_playback")
        if self._state.takes("start_playback", url=request.shown, loop=bool(loop)):
            sound = recorded_sound(
                self._session, request, loop=loop, progressive=progressive_playback
            )
            self._play([sound], loop=bool(loop))

    def stop(self) -> None:
        """Stop what the call plays by itself; no event follows."""
        if self._state.takes("stop_playback"):
            self._silence()

    def say(
        self,
        text: str,
        *,
        voice: str | None,
        progressive_playback: bool,
        tts_options: Mapping[str, Any] | None,
        request: Mapping[str, Any] | None,
    ) -> None:
        """Speak; what plays falls silent without another event."""
        spoken = check_spoken(
            "call.say",
            text,
            voice=voice,
            progressive=progressive_playback,
            tts_options=tts_options,
            request=request,
        )
        if self._state.takes("say", text=text, voice=voice):
            self._play([SpeechSound(self._session, spoken)], loop=False)

    def progress_tone(self, country: str) -> None:
        """Play ring-back until the call is answered or something else plays; no events."""
        try:
            script = ringing(country)
        except (ValueError, AttributeError) as error:
            raise ScenarioError(f"call.play_progress_tone: {error}") from error
        if not self._state.takes("play_progress_tone", country=country):
            return
        if not self._hears:
            self._session.trace.warning(
                "nobody hears a progress tone before call.start_early_media()",
                unit=self._call.id(),
            )
        self._silence()
        name = self._session.new_id("tone")
        sound = tone_sound(script, "call.play_progress_tone", loop=True)
        self._tone = Playing(
            self._session, name, [sound], loop=True, paused=False, reports=PlayingReports()
        )
        self._session.graph.connect(self._tone.port, self._state.leg.media)

    def answered(self) -> None:
        """Stop a progress tone, and begin with what waits for the caller to hear it."""
        if self._tone is not None:
            self._tone.stop()
            self._tone = None
        if self._playing is not None and self._waits_for_answer:
            self._playing.source.resume()
        self._waits_for_answer = False

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
        self._silence()
        remove_hearer(self._session, self._state.leg.media)

    # -- events, of our own playing and of players that are sent to the call -----------------------

    def playback_ready(self) -> None:
        """Tell that a sound is loaded."""
        self._state.post(CallEvents.PlaybackReady(call=self._call))

    def playback_started(self, duration_ms: float) -> None:
        """Tell that a sound begins."""
        self._state.post(
            CallEvents.PlaybackStarted(call=self._call, duration=round(duration_ms, 3))
        )

    def playback_finished(self, error: str | None) -> None:
        """Tell that a sound is over."""
        self._state.post(CallEvents.PlaybackFinished(call=self._call, error=error))

    # -- the inside ------------------------------------------------------------------------------

    @property
    def _hears(self) -> bool:
        """Whether the far end hears what is sent to it."""
        return self._state.state == "CONNECTED" or self._state.early_media_since is not None

    def _play(self, sounds: Sequence[Sound], *, loop: bool) -> None:
        self._silence()
        # Before anybody can hear it, it is only loaded; or its first words would be lost.
        self._waits_for_answer = not self._hears
        self._playing = Playing(
            self._session,
            self._session.new_id("playback"),
            sounds,
            loop=loop,
            paused=self._waits_for_answer,
            reports=PlayingReports(  # the call's own, told whether it is still heard or not
                ready=self.playback_ready,
                started=self.playback_started,
                finished=self.playback_finished,
            ),
        )
        self._session.graph.connect(self._playing.port, self._state.leg.media)

    def _silence(self) -> None:
        for playing in (self._playing, self._tone):
            if playing is not None:
                playing.stop()
        self._playing = self._tone = None
