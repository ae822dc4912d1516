"""The ordered items of a conversation, and what may be done to them.

Items are JSON objects that are replaced, never changed, so that a snapshot of them stays true.
Every id is used once: also those the client chose, and those of items deleted since (though not of
those trimmed away).

Three lengths meet in a truncation. What the model *produced* is counted in samples, exactly. What
the client says was *heard* comes in milliseconds of the service, which for mu-law are a third of
the real ones at Inworld (a quirk, ``time_base``). What the listener *understood* is in proportion:
the wire carries no word timings, so words are taken to be spoken evenly, and a filler, which is
sound without words, is taken off first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import attrs

from voxpy.wire.realtime.events.formats import BYTES_PER_SAMPLE, DEFAULT_HZ, AudioLength
from voxpy.wire.realtime.events.problems import InvalidValue, Rejected, excerpt
from voxpy.wire.realtime.events.types import heard_part

ROOT = "root"
"""``previous_item_id`` of an item that goes to the head."""

KEPT_BYTES = 1024 * 1024
"""Audio that ``conversation.item.retrieve`` can still give: 22 s of 24 kHz PCM, two minutes of
G.711. The oldest item's is forgotten first."""

_ROUNDING = 1e-6
"""Milliseconds: a length that is a whole number must not become the one below."""


@attrs.define(eq=False)
class Entry:
    """One item with what is known of its audio.

    ``audio`` is how much the model has produced so far, its first ``filler`` without words of the
    transcript; ``heard_ms`` is where the client cut it. ``time_base`` is how many milliseconds of
    the service make one real one: 1, but for a quirk.
    """

    item: dict[str, Any]
    audio: AudioLength = attrs.field(factory=AudioLength)
    filler: AudioLength = attrs.field(factory=AudioLength)
    heard_ms: float | None = None
    time_base: Fraction = Fraction(1)
    sound: bytearray = attrs.field(factory=bytearray, repr=False)
    """What was said in it, as long as it is kept, in the format it came or went in."""
    sound_format: tuple[str, int] = ("pcm16", DEFAULT_HZ)

    @property
    def id(self) -> str:
        return str(self.item["id"])

    @property
    def length_ms(self) -> float:
        """What there is to hear: all that was produced, or what the client left of it."""
        return self.audio.ms if self.heard_ms is None else self.heard_ms

    @property
    def told_length_ms(self) -> int:
        """The longest ``audio_end_ms`` a truncation may name, in the service's time base."""
        told = self.length_ms * self.time_base
        return math.ceil(told) if self.time_base == 1 else math.floor(told + _ROUNDING)

    def cut(self, text: str) -> str:
        """Return the part of ``text`` that was heard, all of it if nothing was cut."""
        if self.heard_ms is None:
            return text
        return self._part(text, self.heard_ms, self.audio.ms)

    def shorten(self, heard_ms: float) -> None:
        """Cut the audio, and about as much of the words, after ``heard_ms``."""
        length_ms, self.heard_ms = self.length_ms, heard_ms
        encoding, rate_hz = self.sound_format
        del self.sound[int(heard_ms * rate_hz / 1000) * BYTES_PER_SAMPLE[encoding] :]
        content = [
            {**part, "transcript": self._part(part["transcript"], heard_ms, length_ms)}
            if isinstance(part.get("transcript"), str)
            else part
            for part in self.item.get("content") or ()
        ]
        self.item = {**self.item, "content": content}

    def _part(self, text: str, heard_ms: float, of_ms: float) -> str:
        words_ms = of_ms - self.filler.ms
        if words_ms <= 0:
            return ""
        return heard_part(text, max(0.0, heard_ms - self.filler.ms) / words_ms)


class Conversation:
    """Items in order. ``new_id("item")`` names those without an id."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._entries: list[Entry] = []
        self._used: set[str] = set()
        self._kept_bytes = 0

    @property
    def items(self) -> tuple[dict[str, Any], ...]:
        return tuple(entry.item for entry in self._entries)

    @property
    def last_id(self) -> str | None:
        return self._entries[-1].id if self._entries else None

    def reserve(self) -> str:
        """Return a fresh item id, never to be given out or accepted again."""
        while (item_id := self._new_id("item")) in self._used:
            pass
        self._used.add(item_id)
        return item_id

    def append(self, item: dict[str, Any]) -> Entry:
        """Add an item whose id came from ``reserve`` at the end."""
        entry = Entry(item)
        self._entries.append(entry)
        return entry

    def insert(self, item: Mapping[str, Any], *, after: str | None) -> tuple[Entry, str | None]:
        """Add a client's item; return it and the id of the one before.

        ``after`` None is the end, ``root`` the head. Raises Rejected for an id that was used or an
        ``after`` that is not there.
        """
        index = self._index_after(after)
        item_id = item.get("id")
        if not item_id:
            item_id = self.reserve()
        elif item_id in self._used:
            message = f"An item with the id {excerpt(item_id)} exists already or did exist."
            raise Rejected("item_create_invalid_item_id", message, param="item.id")
        self._used.add(item_id)
        entry = Entry({"id": item_id, "object": "realtime.item", **item, "status": "completed"})
        entry.item["id"] = item_id
        self._entries.insert(index, entry)
        return entry, self._entries[index - 1].id if index else None

    def _index_after(self, after: str | None) -> int:
        if after is None:
            return len(self._entries)
        if after == ROOT:
            return 0
        for index, entry in enumerate(self._entries):
            if entry.id == after:
                return index + 1
        message = f"There is no item {excerpt(after)} to follow."
        raise Rejected("item_create_invalid_previous_item_id", message, param="previous_item_id")

    def find(self, item_id: str) -> Entry | None:
        return next((entry for entry in self._entries if entry.id == item_id), None)

    def get(self, item_id: str, *, verb: str) -> Entry:
        """Return an item; raises Rejected with the code of ``verb`` (``delete``) if it is gone."""
        entry = self.find(item_id)
        if entry is None:
            message = f"There is no item {excerpt(item_id)} in the conversation."
            raise Rejected(f"item_{verb}_invalid_item_id", message, param="item_id")
        return entry

    def delete(self, item_id: str) -> None:
        """Remove an item; raises Rejected if it is not there."""
        self._entries.remove(self.get(item_id, verb="delete"))

    def keep(self, entry: Entry, sound: bytes, encoding: str, rate_hz: int) -> None:
        """Keep more of what is said in an item, for whoever asks for it later."""
        entry.sound += sound
        entry.sound_format = encoding, rate_hz
        self._kept_bytes += len(sound)
        if self._kept_bytes > KEPT_BYTES:  # counted anew: items were cut and deleted meanwhile
            self._kept_bytes = sum(len(each.sound) for each in self._entries)
        for each in self._entries:
            if self._kept_bytes <= KEPT_BYTES:
                break
            self._kept_bytes -= len(each.sound)
            each.sound.clear()

    def previous_id(self, entry: Entry) -> str | None:
        """Return the id of the item before, None at the head or for an item deleted since."""
        ids = [each.id for each in self._entries]
        index = ids.index(entry.id) if entry.id in ids else 0
        return ids[index - 1] if index else None

    def has_call(self, call_id: str) -> bool:
        return any(
            item.get("type") == "function_call" and item.get("call_id") == call_id
            for item in self.items
        )

    def truncate(self, item_id: str, *, content_index: int, audio_end_ms: float) -> None:
        """Cut the audio of an assistant message, and about as much of its transcript.

        Raises Rejected, with OpenAI's wording, if there is no such item, it has no audio of the
        model's, or less than ``audio_end_ms`` of it.
        """
        entry = self.get(item_id, verb="truncate")
        if not entry.audio.ticks:
            message = "Only model output audio messages can be truncated"
            raise Rejected("unsupported_content_type", message, param="item_id")
        if content_index != 0:
            raise InvalidValue("content_index", "the audio of a message is its content part 0")
        if audio_end_ms < 0:
            raise InvalidValue("audio_end_ms", "expected 0 or more")
        if audio_end_ms > entry.told_length_ms:
            raise Rejected(
                "invalid_value",
                f"Audio content of {entry.told_length_ms}ms is already shorter than "
                f"{audio_end_ms:.0f}ms",
                param="audio_end_ms",
            )
        entry.shorten(min(audio_end_ms / float(entry.time_base), entry.length_ms))

    def trim(self, first_kept_id: str) -> int:
        """Forget the items before one that is there, their ids too; return how many those were.

        Without a trace, so that a conversation that is trimmed again and again does not grow.
        """
        entry = self.get(first_kept_id, verb="trim")
        count = self._entries.index(entry)
        self._used.difference_update(each.id for each in self._entries[:count])
        del self._entries[:count]
        return count
