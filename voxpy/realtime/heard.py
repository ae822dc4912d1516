"""What was heard of what the agent said, told when an item is over: played, or cut short."""

from __future__ import annotations

from collections.abc import Callable

from voxpy.media.playout import Playout
from voxpy.wire.realtime.client.protocol import RealtimeClient

__all__ = ["Heard"]

KEPT_ITEMS = 64

Report = Callable[[str, str, float], None]
"""Called with an item's id, what was heard of its words, and how many milliseconds of it."""


class Heard:
    """Follows the items that sound on one playout; ``report`` is called at the end of each."""

    def __init__(self, speech: Playout, *, report: Report) -> None:
        self._speech = speech
        self._report = report
        self._sounding: dict[str, None] = {}
        self._texts: dict[str, str] = {}

    def sounds(self, item_id: str) -> None:
        """Audio of this item was given to the playout."""
        self._sounding[item_id] = None

    def text(self, protocol: RealtimeClient, item_id: str) -> str:
        """Return about what the listener has heard of an item so far."""
        if item_id in self._texts and item_id not in self._sounding:
            return self._texts[item_id]
        return protocol.transcript_heard(item_id, self._speech.played_ms(item_id))

    def settle(self, protocol: RealtimeClient) -> None:
        """Report the items that are over: no more audio of them comes or waits."""
        for item_id in list(self._sounding):
            played_ms = self._speech.played_ms(item_id)
            empty = not self._speech.buffered_bytes
            if protocol.playback.fully_played(item_id, played_ms) or (
                empty and protocol.playback.is_done(item_id)
            ):
                self._over(protocol, item_id)

    def cut(self, protocol: RealtimeClient) -> None:
        """Report every item that was sounding: the playout has been cleared."""
        for item_id in list(self._sounding):
            self._over(protocol, item_id)

    def _over(self, protocol: RealtimeClient, item_id: str) -> None:
        played_ms = self._speech.played_ms(item_id)
        text = protocol.transcript_heard(item_id, played_ms)
        del self._sounding[item_id]
        self._texts[item_id] = text
        if len(self._texts) > KEPT_ITEMS:
            del self._texts[next(iter(self._texts))]
        self._report(item_id, text, played_ms)
