"""What a call plays by itself: sound files, speech and progress tones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.call import Call
from voxpy.calls.features import raise_not_supported
from voxpy.engine.session import Session

__all__ = ["Playback"]


class Playback:
    """Implements ``voxpy.engine.callport.CallPlayback``."""

    def __init__(self, session: Session, call: Call, channel: str) -> None:
        self._session = session
        self._call = call
        self._channel = channel

    def start(self, url: str, *, loop: bool, progressive_playback: bool) -> None:
        """Play a sound file."""
        raise_not_supported("start_playback", self._channel)

    def stop(self) -> None:
        """Stop what plays."""
        raise_not_supported("stop_playback", self._channel)

    def say(
        self,
        text: str,
        *,
        voice: str | None,
        progressive_playback: bool,
        tts_options: Mapping[str, Any] | None,
        request: Mapping[str, Any] | None,
    ) -> None:
        """Speak."""
        raise_not_supported("say", self._channel)

    def progress_tone(self, country: str) -> None:
        """Play ring-back."""
        raise_not_supported("play_progress_tone", self._channel)

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
