"""ToneScript: call progress tones as one line of text, and their sound.

``350@-19,440@-19;2(.1/.1/1+2);10(*/0/1+2)`` names two frequencies with their levels and then what
to do with them: two seconds of 0.1 s on, 0.1 s off, then ten seconds on. The notation is that of
Sipura, Linksys and Cisco telephones (SPA Administration Guide, "Advanced Scripting for Cadences,
Call Progress Tones, and Ring Tones"), which VoxEngine's createToneScriptPlayer takes.

::

    script     frequency, ... ; section ; ...     at most 6 frequencies
    frequency  hertz @ dBm                        350@-19, one decimal at most is usual
    section    seconds ( segment, ... )           seconds may be *, for ever; at most 6 segments
    segment    on / off / tones                   seconds; on may be *, for the whole section
    tones      number + number ...                1 is the first frequency; 0 is silence

The segments of a section are repeated until its time is over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.audio.frame import Samples

RATE_HZ = 8000
"""Tones of the telephone need no more, and reach G.711 without resampling."""

_HIGHEST_HZ = 3999
_MOST = 6  # frequencies of a script, segments of a section: the notation's own bound
_LONGEST_S = 3600.0
# A sine of full scale is +3.17 dBm0 in mu-law (ITU-T G.711, table 2: 3.17; A-law: 3.14).
_FULL_SCALE_DBM0 = 3.17
_EDGE_S = 0.005  # a tone that begins at once clicks
_PIECE_S = 1.0
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)")

T = TypeVar("T")


@attrs.frozen
class Tone:
    """A frequency in Hz at a level in dBm0."""

    hz: float
    level_dbm0: float

    @property
    def amplitude(self) -> float:
        """The peak of its 16-bit samples."""
        return float(32768 * 10 ** ((self.level_dbm0 - _FULL_SCALE_DBM0) / 20))


@attrs.frozen
class Segment:
    """So many seconds of tones, then of silence; ``on_s`` may be ``math.inf``."""

    on_s: float
    off_s: float
    tones: tuple[Tone, ...]


@attrs.frozen
class Section:
    """Segments, repeated for ``length_s`` seconds, which may be ``math.inf``."""

    length_s: float
    segments: tuple[Segment, ...]


@attrs.frozen
class ToneScript:
    """A parsed script."""

    sections: tuple[Section, ...]

    @property
    def samples(self) -> float:
        """Samples of one pass at ``RATE_HZ``; may be ``math.inf``."""
        return sum(_samples(section.length_s) for section in self.sections)


def _samples(seconds: float) -> float:
    return seconds if math.isinf(seconds) else round(seconds * RATE_HZ)


def parse(script: str) -> ToneScript:
    """Return what ``script`` says.

    Raises ValueError that names the position (from 1), what stands there and what was expected.
    """
    return _Reader(script).script()


class _Reader:
    """Reads a script from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def script(self) -> ToneScript:
        tones = self._list(self._tone, "frequencies")
        self._take(";", "';' and a section such as 10(1/4/1)")
        sections = [self._section(tones)]
        while self._accept(";"):
            sections.append(self._section(tones))
        if self._rest():
            raise self._wrong("';', ',' or the end")
        found = ToneScript(tuple(sections))
        if not found.samples:
            raise ValueError(f"ToneScript {self._text!r} lasts 0 seconds")
        return found

    def _tone(self) -> Tone:
        start = self._at
        hz = self._number("a frequency in Hz, such as 425@-19")
        if not 0 < hz <= _HIGHEST_HZ:
            self._at = start
            raise self._wrong(f"a frequency of 1 to {_HIGHEST_HZ} Hz")
        self._take("@", "'@' and a level, such as @-19")
        start = self._at
        level = self._number("a level in dBm, such as -19", signed=True)
        if not -90 <= level <= _FULL_SCALE_DBM0:
            self._at = start
            raise self._wrong(f"a level of -90 to {_FULL_SCALE_DBM0} dBm")
        return Tone(hz, level)

    def _section(self, tones: list[Tone]) -> Section:
        length_s = self._seconds("the seconds of a section, or *")
        self._take("(", "'(' and the segments of the section")
        segments = self._list(lambda: self._segment(tones), "segments")
        start = self._at
        self._take(")", "',' or ')'")
        if not any(_samples(s.on_s) or _samples(s.off_s) for s in segments):
            self._at = start
            raise self._wrong("a section whose segments last longer than 0 seconds")
        return Section(length_s, tuple(segments))

    def _segment(self, tones: list[Tone]) -> Segment:
        on_s = self._seconds("seconds of tone, or *")
        self._take("/", "'/' and seconds of silence")
        off_s = self._number("seconds of silence")
        self._take("/", "'/' and the numbers of the frequencies, such as 1+2")
        numbers = [self._component(len(tones))]
        while self._accept("+"):
            numbers.append(self._component(len(tones)))
        return Segment(on_s, off_s, tuple(tones[n - 1] for n in numbers if n))

    def _component(self, known: int) -> int:
        start = self._at
        number = self._number("the number of a frequency, 1 for the first")
        if number != int(number) or number > known:
            self._at = start
            raise self._wrong(f"the number of a frequency, 0 to {known}")
        return int(number)

    def _list(self, read: Callable[[], T], what: str) -> list[T]:
        found = [read()]
        while self._accept(","):
            if len(found) == _MOST:
                raise self._wrong(f"at most {_MOST} {what}")
            found.append(read())
        return found

    def _seconds(self, what: str) -> float:
        if self._accept("*"):
            return math.inf
        start = self._at
        value = self._number(what)
        if value > _LONGEST_S:
            self._at = start
            raise self._wrong(f"at most {_LONGEST_S:g} seconds, or * for ever")
        return value

    def _number(self, what: str, *, signed: bool = False) -> float:
        self._skip_blanks()
        match = _NUMBER.match(self._text, self._at)
        if match is None or (match[0].startswith("-") and not signed):
            raise self._wrong(what)
        self._at = match.end()
        return float(match[0])

    def _take(self, sign: str, what: str) -> None:
        if not self._accept(sign):
            raise self._wrong(what)

    def _accept(self, sign: str) -> bool:
        self._skip_blanks()
        found = self._text.startswith(sign, self._at)
        self._at += found
        return found

    def _skip_blanks(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _rest(self) -> str:
        self._skip_blanks()
        return self._text[self._at :]

    def _wrong(self, expected: str) -> ValueError:
        rest = self._rest()
        found = f"{rest[:12]!r}" if rest else "the end"
        return ValueError(
            f"ToneScript {self._text!r}: position {self._at + 1}: expected {expected}, not {found}"
        )


_Tones = tuple[Tone, ...]


class ToneGenerator:
    """The sound of a script, piece by piece, at ``RATE_HZ``.

    A tone that goes on over the end of a section, or of the whole script with ``loop``, goes on
    without a step: its phase counts from the very beginning, and only where it starts and stops is
    it faded, over 5 ms.
    """

    def __init__(self, script: ToneScript, *, loop: bool = False) -> None:
        self._pieces = self._render(_spans(script, loop=loop))

    def read(self) -> Samples:
        """Return the next samples, a second at most and never across the end of a section.

        Empty when the script is over.
        """
        return next(self._pieces, np.empty(0, np.int16))

    def _render(self, spans: Iterator[tuple[int, _Tones]]) -> Iterator[Samples]:
        at = 0
        before: _Tones = ()
        span = next(spans, None)
        while span is not None:
            following = next(spans, None)
            length, tones = span
            after = following[1] if following is not None else ()
            yield _sound(tones, at, length, rise=tones != before, fall=tones != after)
            at += length
            before, span = tones, following


def _sound(tones: _Tones, at: int, length: int, *, rise: bool, fall: bool) -> Samples:
    total: npt.NDArray[np.float64] = np.zeros(length)
    time_s = (at + np.arange(length)) / RATE_HZ
    for tone in tones:
        total += tone.amplitude * np.sin(2 * np.pi * tone.hz * time_s)
    edge = min(round(_EDGE_S * RATE_HZ), length // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / max(edge, 1))
    if rise:
        total[:edge] *= ramp
    if fall:
        total[length - edge :] *= ramp[::-1]
    return np.rint(total).clip(-32768, 32767).astype(np.int16)


def _spans(script: ToneScript, *, loop: bool) -> Iterator[tuple[int, _Tones]]:
    """Yield (samples, tones) of the script in pieces of a second at most, for ever with a loop."""
    while True:
        for section in script.sections:
            yield from _cut(_section_spans(section))
        if not loop:
            return


def _section_spans(section: Section) -> Iterator[tuple[float, _Tones]]:
    """Yield (samples, tones), exactly as many samples as the section lasts."""
    left = _samples(section.length_s)
    while True:
        for segment in section.segments:
            for seconds, tones in ((segment.on_s, segment.tones), (segment.off_s, ())):
                length = min(left, _samples(seconds))
                if length:
                    yield length, tones
                left -= length
                if left <= 0 or math.isinf(length):
                    return


def _cut(spans: Iterator[tuple[float, _Tones]]) -> Iterator[tuple[int, _Tones]]:
    for length, tones in spans:
        left = length
        while left > 0:
            piece = int(min(left, _PIECE_S * RATE_HZ))
            yield piece, tones
            left -= piece
