"""What is known of the caller's turns: audio not committed, speech under way, texts awaited."""

from __future__ import annotations

import attrs

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
    """Plain state; ``item_id`` is that of the user item the present audio will become."""

    buffered_s: float = 0.0
    speaking: bool = False
    item_id: str | None = None
    awaited: list[Awaited] = attrs.field(factory=list)

    def reset(self) -> None:
        """Forget the audio and speech that are not committed."""
        self.buffered_s, self.speaking, self.item_id = 0.0, False, None

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
