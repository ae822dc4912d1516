"""What of each item's audio and words came, and what to tell the server when a caller heard less.

Over a WebSocket the client owns playback: audio comes faster than it plays, and after a barge-in
the server believes that all of it was heard unless the client cuts the item (GA:
``conversation.item.truncate``). Lengths are counted in bytes and become milliseconds once, at the
end, so that a thousand small deltas add no rounding.

The words come twice when both modalities are on (``output_audio_transcript`` and ``output_text``),
in no guaranteed order; whichever kind comes first for an item is taken and the other left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import (
    ConversationItemDelete,
    ConversationItemTruncate,
)
from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE
from voxpy.wire.realtime.events.types import ServerEvent

KEPT_ITEMS = 64
"""Items whose length is remembered. Only the last few can still be playing."""

MULAW_DIVISOR = 3
"""Inworld reckons 8 kHz mu-law as if it were 24 kHz: bytes / 24 are its milliseconds."""


@attrs.frozen
class AudioRate:
    """An encoding as ``audio_format`` names it, and its sample rate."""

    encoding: str
    rate_hz: int

    def ms(self, n_bytes: int) -> float:
        return n_bytes * 1000 / (BYTES_PER_SAMPLE[self.encoding] * self.rate_hz)


@attrs.define(eq=False)
class _Item:
    response_id: str
    rate: AudioRate
    earlier_ms: float = 0.0  # of formats before the present one
    n_bytes: int = 0
    withheld_ms: float = 0.0
    done: bool = False
    settled: bool = False

    @property
    def produced_ms(self) -> float:
        return self.earlier_ms + self.rate.ms(self.n_bytes)


class Playback:
    """The audio of the last items. ``mulaw_thirds`` turns Inworld's mu-law time base on."""

    def __init__(self, *, mulaw_thirds: bool = False) -> None:
        self._mulaw_thirds = mulaw_thirds
        self._items: dict[str, _Item] = {}

    @property
    def item_ids(self) -> Iterable[str]:
        """The items known, oldest first."""
        return tuple(self._items)

    def produced(self, item_id: str, response_id: str, n_bytes: int, rate: AudioRate) -> None:
        """Audio of an item came, and goes to the listener."""
        item = self._items.get(item_id) or self._item(item_id, response_id, rate)
        if item.rate is not rate and item.rate != rate:
            item.earlier_ms, item.n_bytes, item.rate = item.produced_ms, 0, rate
        item.n_bytes += n_bytes

    def withheld(self, item_id: str, response_id: str, n_bytes: int, rate: AudioRate) -> None:
        """Audio of an item came that nobody will hear: the server believes in it all the same."""
        self._item(item_id, response_id, rate).withheld_ms += rate.ms(n_bytes)

    def item_done(self, item_id: str) -> None:
        """No more audio of this item will come."""
        if item_id in self._items:
            self._items[item_id].done = True

    def response_done(self, response_id: str) -> None:
        """No more audio of this response's items will come."""
        for item in self._items.values():
            item.done = item.done or item.response_id == response_id

    def sounded(self, response_id: str) -> bool:
        """Return whether audio of this response came."""
        return any(item.response_id == response_id for item in self._items.values())

    def is_done(self, item_id: str) -> bool:
        """Return whether no more audio of an item will come."""
        return item_id not in self._items or self._items[item_id].done

    def settle(self, item_id: str) -> None:
        """The server was told about this item: it is cut or deleted, and nothing more is said."""
        if item_id in self._items:
            self._items[item_id].settled = True

    def produced_ms(self, item_id: str) -> float:
        """Return how much audio of an item went to the listener, in milliseconds."""
        item = self._items.get(item_id)
        return item.produced_ms if item is not None else 0.0

    def whole_ms(self, item_id: str) -> float:
        """Return how much audio of an item came at all, in milliseconds."""
        item = self._items.get(item_id)
        return item.produced_ms + item.withheld_ms if item is not None else 0.0

    def fully_played(self, item_id: str, played_ms: float) -> bool:
        """Return whether the item is done and the listener heard all of it."""
        item = self._items.get(item_id)
        return (
            item is not None
            and item.done
            and item.withheld_ms == 0
            and math.floor(played_ms) >= math.floor(item.produced_ms)
        )

    def truncation(
        self, item_id: str, played_ms: float
    ) -> ConversationItemTruncate | ConversationItemDelete | None:
        """Return what tells the server that only ``played_ms`` of an item were heard, if anything.

        Whole milliseconds, never more than came: servers refuse a cut behind their own end. An
        item of which nothing was heard is deleted, since a cut at 0 is refused as well
        (``unsupported_content_type``). None for an item that was fully heard, was settled before,
        or had no audio.
        """
        item = self._items.get(item_id)
        if item is None or item.settled or self.fully_played(item_id, played_ms):
            return None
        end_ms = math.floor(min(item.produced_ms, played_ms))
        if self._mulaw_thirds and item.rate.encoding == "pcmu":
            end_ms //= MULAW_DIVISOR
        if end_ms <= 0:
            return ConversationItemDelete(item_id=item_id)
        return ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=end_ms)

    def _item(self, item_id: str, response_id: str, rate: AudioRate) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            item = self._items[item_id] = _Item(response_id, rate)
            if len(self._items) > KEPT_ITEMS:
                del self._items[next(iter(self._items))]
        return item


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
