"""When the caller's turn starts, pauses and ends, from the probabilities of a speech gate.

Probabilities in, events out, positions in milliseconds of audio since the first frame.

A turn starts after ``start_ms`` above the threshold. Inside it, silence begins with a frame below
the threshold minus 0.15 and ends with one above the threshold, so that a probability wavering
between the two changes nothing. After ``PAUSE_MS`` of silence there is a ``Pause``: time to
transcribe what there is, because if the text looks unfinished the wait can still be extended. After
``silence_ms`` of silence the turn is over. Every position is computed, not observed, hence
independent of the size of the frames.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

PAUSE_MS = 200
"""Silence after which an early transcript is worth its 70 ms."""

DEFAULT_SILENCE_MS = 600
"""Silence that ends a turn when nothing else was asked: a breath is shorter, a turn longer."""

_HYSTERESIS = 0.15
_LOWEST_END = 0.01  # a turn must be able to end, however low the threshold asked for


@attrs.frozen
class SpeechStarted:
    """A turn began at ``start_ms``, padding included; never before the last turn's end."""

    start_ms: int


@attrs.frozen
class Pause:
    """The caller has been silent for ``PAUSE_MS`` inside a turn, up to ``at_ms``."""

    at_ms: int


@attrs.frozen
class SpeechResumed:
    """The caller went on at ``at_ms`` after a ``Pause``."""

    at_ms: int


@attrs.frozen
class SpeechStopped:
    """The turn is over: speech ended at ``speech_end_ms``, the wait that followed at ``end_ms``."""

    end_ms: int
    speech_end_ms: int


TurnEvent: TypeAlias = SpeechStarted | Pause | SpeechResumed | SpeechStopped


class TurnDetector:
    """Turns probabilities of speech into turns. One per call."""

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        start_ms: int = 60,
        silence_ms: int = DEFAULT_SILENCE_MS,
        prefix_padding_ms: int = 300,
    ) -> None:
        self.threshold = threshold
        self.start_ms = start_ms
        self.silence_ms = silence_ms
        """May be changed at any time; it holds from the next frame on."""
        self.prefix_padding_ms = prefix_padding_ms
        self._now_ms = 0
        self._earliest_ms = 0  # where the last turn ended
        self._onset_ms: int | None = None  # outside a turn: start of a run above the threshold
        self._in_turn = False
        self._silent_from_ms: int | None = None  # inside a turn
        self._paused = False
        self._extra_ms = 0

    @property
    def in_turn(self) -> bool:
        """Whether the caller has the turn."""
        return self._in_turn

    @property
    def talking(self) -> bool:
        """Whether the caller has the turn and is audible; a silence may be the end of it."""
        return self._in_turn and self._silent_from_ms is None

    @property
    def position_ms(self) -> int:
        """How much audio has been fed, in milliseconds."""
        return self._now_ms

    def feed(self, probability: float, frame_ms: int = 32) -> list[TurnEvent]:
        """Take the probability (0.0 to 1.0) of the next ``frame_ms`` of audio; return events."""
        from_ms = self._now_ms
        self._now_ms += frame_ms
        return (
            self._inside(probability, from_ms)
            if self._in_turn
            else self._outside(probability, from_ms)
        )

    def extend(self, ms: int) -> None:
        """Wait ``ms`` longer before this silence ends the turn; the longest of several calls holds.

        Forgotten when the caller goes on. Does nothing outside a turn.
        """
        if self._in_turn:
            self._extra_ms = max(self._extra_ms, ms)

    def reset(self) -> None:
        """Drop the turn in progress without an event (the audio was committed or cleared).

        The position goes on, and the next turn starts no earlier than here.
        """
        self._end_turn(self._now_ms)

    def _outside(self, probability: float, from_ms: int) -> list[TurnEvent]:
        if probability <= self.threshold:
            self._onset_ms = None
            return []
        if self._onset_ms is None:
            self._onset_ms = from_ms
        if self._now_ms - self._onset_ms < self.start_ms:
            return []
        self._in_turn = True
        return [SpeechStarted(max(self._earliest_ms, self._onset_ms - self.prefix_padding_ms))]

    def _inside(self, probability: float, from_ms: int) -> list[TurnEvent]:
        if probability > self.threshold:
            return self._speech(from_ms)
        if self._silent_from_ms is None:
            if probability >= max(self.threshold - _HYSTERESIS, _LOWEST_END):
                return []
            self._silent_from_ms = from_ms
        return self._silence(self._silent_from_ms)

    def _speech(self, from_ms: int) -> list[TurnEvent]:
        was_paused, self._paused = self._paused, False
        self._silent_from_ms = None
        self._extra_ms = 0
        return [SpeechResumed(from_ms)] if was_paused else []

    def _silence(self, since_ms: int) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        wait_ms = self.silence_ms + self._extra_ms
        pause_at_ms = since_ms + PAUSE_MS
        if not self._paused and wait_ms > PAUSE_MS and self._now_ms >= pause_at_ms:
            self._paused = True
            events.append(Pause(pause_at_ms))
        if self._now_ms >= since_ms + wait_ms:
            # Never before the Pause, should silence_ms have been lowered since.
            end_ms = max(since_ms + wait_ms, pause_at_ms if self._paused else 0)
            events.append(SpeechStopped(end_ms, since_ms))
            self._end_turn(end_ms)
        return events

    def _end_turn(self, at_ms: int) -> None:
        self._in_turn = False
        self._earliest_ms = at_ms
        self._onset_ms = self._silent_from_ms = None
        self._paused = False
        self._extra_ms = 0
