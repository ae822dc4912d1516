"""Digits in the audio of a port: found in what comes out of it, and put into what goes to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from voxpy.audio.convert import encode
from voxpy.audio.dtmf import DigitBegan, DigitEnded, DtmfDetector
from voxpy.audio.frame import FRAME_MS, Format
from voxpy.audio.tones import PAUSE_MS, dtmf
from voxpy.errors import LimitExceeded
from voxpy.media.narrow import Narrow

TONE_MS, GAP_MS = 100, 100
"""How long a digit we send sounds, and the silence after it: more than twice what Q.24 asks for."""
LONGEST_QUEUE_S = 120.0


class DigitFilter:
    """A stage of the media graph: reports digits and replaces their sound by silence.

    It adds no delay. What has passed before a digit is suspected is not taken back: at most 20 ms
    of its beginning, which no receiver takes for a digit. Silence lasts until the detector is sure
    of the end, at most 60 ms more.
    """

    def __init__(self, on_digit: Callable[[DigitBegan | DigitEnded], None]) -> None:
        self._on_digit = on_digit
        self._narrow: Narrow | None = None
        self._detector: DtmfDetector | None = None

    def __call__(self, frame: bytes, fmt: Format) -> bytes:
        """Take 20 ms in ``fmt`` and return it, or silence in its place."""
        narrow, detector = self._narrow, self._detector
        if narrow is None or detector is None or narrow.format != fmt:
            narrow = self._narrow = Narrow(fmt)
            detector = self._detector = DtmfDetector(narrow.rate_hz)
        for event in detector.process(narrow.samples(frame)):
            self._on_digit(event)
        return fmt.silence if detector.looks_like_a_digit else frame


@attrs.define(eq=False)
class DigitQueue:
    """Digits that wait to be sent as sound in ``format``, one after another.

    A tone of 100 ms, 100 ms of silence; ``p`` waits 500 ms.
    """

    format: Format
    frames: deque[bytes | None] = attrs.field(factory=deque)
    """What has not been sent yet; None is 20 ms of a pause."""

    def write(self, digits: str) -> None:
        """Append ``digits``, made of ``0-9 * # A-D p``.

        Raises LimitExceeded if more than 120 s would wait, ValueError for another character.
        """
        frames: list[bytes | None] = []
        for digit in digits:
            frames += self._sound(digit)
        if (len(self.frames) + len(frames)) * FRAME_MS > LONGEST_QUEUE_S * 1000:
            raise LimitExceeded(
                f"send_digits: with {digits!r} more than {LONGEST_QUEUE_S:g} s of digits would wait"
            )
        self.frames.extend(frames)

    @property
    def waiting(self) -> bool:
        """Whether any digit has not been sent yet."""
        return bool(self.frames)

    def _sound(self, digit: str) -> list[bytes | None]:
        if digit == "p":
            return [None] * (PAUSE_MS // FRAME_MS)
        samples = dtmf(digit, rate_hz=self.format.rate_hz, tone_ms=TONE_MS, gap_ms=GAP_MS)
        data, size = encode(samples, self.format), self.format.frame_bytes
        return [data[n : n + size] for n in range(0, len(data), size)]

    def replace(self, frame: bytes) -> bytes:
        """Return what to send in place of ``frame``: a digit, or the frame itself.

        While a digit or the silence after it is sent nothing else is: a receiver could not tell the
        tones from a voice beside them. During a pause the frame goes out.
        """
        sound = self.frames.popleft() if self.frames else None
        return frame if sound is None else sound
