"""What is known of the caller's turns: audio not committed, speech under way, texts awaited."""

from __future__ import annotations

import attrs

from voxpy.wire.realtime.events.lengths import AudioLength, WholeSamples
from voxpy.wire.realtime.events.session import BYTES_PER_SAMPLE

__all__ = ["Awaited", "InputTurns"]


@attrs.frozen
class Awaited:
    """A committed user item whose text is still being recognised.

    ``answer`` is whether its text makes the agent respond by itself.
    """

    item_id: str
    answer: bool


@attrs.define
class InputTurns:
    """Plain state; ``item_id`` is that of the user item the present audio will become.

    ``appended`` is all audio ever received, ``buffered`` what of it is not committed.
    ``utterances`` counts the turn suggestions made in this turn, ``suggested`` is whether the last
    of them still holds. ``told`` is what the client was told of the words of this turn.
    """

    appended: AudioLength = attrs.field(factory=AudioLength)
    buffered: AudioLength = attrs.field(factory=AudioLength)
    speaking: bool = False
    item_id: str | None = None
    utterances: int = 0
    suggested: bool = False
    told: str = ""
    awaited: list[Awaited] = attrs.field(factory=list)
    _samples: WholeSamples = attrs.field(factory=WholeSamples)

    def count(self, data: bytes, encoding: str, rate_hz: int) -> None:
        """Count audio of the client's; half a sample counts when its other half has come."""
        n_samples = len(self._samples.take(data, encoding)) // BYTES_PER_SAMPLE[encoding]
        self.appended.add(n_samples, rate_hz)
        self.buffered.add(n_samples, rate_hz)

    def reset(self) -> None:
        """Forget the audio and speech that are not committed."""
        self.buffered.ticks, self.speaking, self.item_id = 0, False, None
        self.utterances, self.suggested, self.told = 0, False, ""

    def take(self, item_id: str | None) -> Awaited | None:
        """Remove and return the awaited item named, or without a name the oldest."""
        for awaited in self.awaited:
            if item_id in (None, awaited.item_id):
                self.awaited.remove(awaited)
                return awaited
        return None

    @property
    def text_item_id(self) -> str | None:
        """The item that words heard now belong to."""
        if self.item_id is None and self.awaited:
            return self.awaited[0].item_id
        return self.item_id

    @property
    def busy(self) -> bool:
        """Whether a turn is under way that will be answered, so that no response should begin."""
        return self.speaking or any(awaited.answer for awaited in self.awaited)
