"""What the agent said, item by item, as the service generated it.

The words come twice when both modalities are on (``output_audio_transcript`` and ``output_text``),
in no guaranteed order; whichever kind comes first for an item is taken and the other left.
"""

from __future__ import annotations

import attrs

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import ServerEvent

__all__ = ["Transcripts"]

KEPT_ITEMS = 64
"""As many as Playback remembers: what was heard of a text is found with both."""


@attrs.define(eq=False)
class _Text:
    kind: str
    text: str = ""


class Transcripts:
    """The texts of the last items."""

    def __init__(self) -> None:
        self._texts: dict[str, _Text] = {}

    def said(self, item_id: str) -> str:
        """Return what the agent said in an item so far; empty if it is not known."""
        found = self._texts.get(item_id)
        return found.text if found is not None else ""

    def follow(self, event: ServerEvent) -> None:
        """Take an event of the server's."""
        match event:
            case se.ResponseOutputAudioTranscriptDelta():
                self._add(event.item_id, "audio", event.delta)
            case se.ResponseOutputTextDelta():
                self._add(event.item_id, "text", event.delta)
            case se.ResponseOutputAudioTranscriptDone():
                self._finish(event.item_id, "audio", event.transcript)
            case se.ResponseOutputTextDone():
                self._finish(event.item_id, "text", event.text)

    def _add(self, item_id: str, kind: str, delta: str) -> None:
        found = self._of(item_id, kind)
        if found.kind == kind:
            found.text += delta

    def _finish(self, item_id: str, kind: str, text: str | None) -> None:
        found = self._of(item_id, kind)
        if found.kind == kind and text is not None:
            found.text = text

    def _of(self, item_id: str, kind: str) -> _Text:
        found = self._texts.get(item_id)
        if found is None:
            found = self._texts[item_id] = _Text(kind)
            if len(self._texts) > KEPT_ITEMS:
                del self._texts[next(iter(self._texts))]
        return found
