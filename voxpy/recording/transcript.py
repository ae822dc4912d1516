"""The words of a finished recording, with times, in a JSON file beside it.

::

    {"v": 1, "recording": "record.wav", "language": "en", "labels": [], "personal": {"utterances": [
      {"channel": "left", "start_s": 1.52, "end_s": 3.1, "text": "Hello.", "confidence": 0.93}]}}

``channel`` is ``left`` and ``right`` of a stereo recording, ``mono`` otherwise. Times are seconds
from the beginning of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import orjson

from voxpy.audio.convert import encode
from voxpy.audio.frame import Samples, pcm16
from voxpy.engine.clock import off_loop
from voxpy.engine.hearing import Hearing
from voxpy.engine.speech import SpeechEngines, has_language
from voxpy.errors import EngineMissing
from voxpy.media.memory import quietest_cut
from voxpy.media.turns import Pause, SpeechResumed, SpeechStarted, SpeechStopped, TurnEvent
from voxpy.media.vad import RATE_HZ
from voxpy.recording.files import FileKind

VERSION = 1
SUFFIX = ".transcript.json"

READ_S = 2.0
"""What is decoded at a time, in a thread: a few milliseconds."""
LONG_ENOUGH_MS = 8000
"""An utterance this long ends at the next breath: nobody wants one time stamp for a minute."""
LONGEST_MS = 24_000
"""What the recogniser takes at once."""
SEARCH_S = 6.0
BEFORE_MS, AFTER_MS = 300, 200
"""Sound the recogniser gets around what the gate took for speech: soft consonants are none to it.
"""


@attrs.frozen(kw_only=True)
class TranscriptOptions:
    """What ``record`` was told of the words. ``language``: English unless it says otherwise."""

    language: str | None = None
    labels: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class Utterance:
    """One stretch of speech."""

    channel: str
    start_s: float
    end_s: float
    text: str
    confidence: float


class Transcription:
    """The transcript of one recording, to be made when the file is complete."""

    def __init__(
        self, recording: Path, kind: FileKind, *, stereo: bool, options: TranscriptOptions
    ) -> None:
        self.path = recording.with_suffix(SUFFIX)
        self.done = False
        self._recording = recording
        self._rate_hz = kind.rate_hz
        self._channels = ("left", "right") if stereo else ("mono",)
        self._options = options

    @property
    def language(self) -> str:
        """The language as the recogniser names it: ``en`` for ``en-US``, ``english`` or nothing."""
        asked = (self._options.language or "en").lower()
        return "en" if asked.startswith("english") else asked.replace("_", "-").split("-")[0]

    def check(self, engines: SpeechEngines) -> None:
        """Raise EngineMissing if the recogniser does not understand the language."""
        if not has_language(engines.ears, self.language):
            known = sorted(engines.ears.languages)
            raise EngineMissing(
                f"the recogniser understands {', '.join(known)}, not {self._options.language!r}"
            )

    async def run(self, engines: SpeechEngines, *, masked: Callable[[str], str]) -> int:
        """Write the transcript; return the number of utterances.

        A few milliseconds of work at a time, between those of live calls. Raises OSError for a
        file that cannot be read or written, EngineMissing as the engines do.
        """
        self.check(engines)
        utterances = await self._listen(engines)
        spoken = [attrs.evolve(u, text=masked(u.text)) for u in utterances]
        await off_loop(self.path.write_bytes, self._json(spoken))
        self.done = True
        return len(spoken)

    async def _listen(self, engines: SpeechEngines) -> list[Utterance]:
        listeners = [_Listener(c, Hearing(engines.gate())) for c in self._channels]
        blocks = _blocks(self._recording)
        found: list[Utterance] = []
        while (block := await off_loop(next, blocks, None)) is not None:
            for listener, samples in zip(listeners, block.T, strict=True):
                found += await listener.hear(samples, self._rate_hz, engines)
        for listener in listeners:
            found += await listener.end(engines)
        return sorted(found, key=lambda u: u.start_s)

    def _json(self, spoken: Sequence[Utterance]) -> bytes:
        content: dict[str, Any] = {
            "v": VERSION,
            "recording": self._recording.name,
            "language": self.language,
            "labels": list(self._options.labels),
            "personal": {"utterances": [attrs.asdict(u) for u in spoken]},
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _blocks(path: Path) -> Iterator[Samples]:
    """Yield the file as int16 of shape (n, channels). Raises OSError."""
    import soundfile  # see files.py

    class Forward(soundfile.SoundFile):  # type: ignore[misc]
        """A file that is never told to seek, which soundfile does after every read.

        After a seek libmpg123 starts a few frames early and complains of the first on stderr: its
        bits are borrowed from the frame before.
        """

        def seekable(self) -> bool:
            return False

    try:
        with Forward(path) as sound:
            size = round(READ_S * sound.samplerate)
            while len(block := sound.read(size, dtype="int16", always_2d=True)):
                yield block
    except soundfile.LibsndfileError as error:
        raise OSError(f"{path.name} cannot be read: {error}") from error


class _Listener:
    """One channel: where its utterances begin and end."""

    def __init__(self, channel: str, hearing: Hearing) -> None:
        self._channel = channel
        self._hearing = hearing
        self._hearing.detector.prefix_padding_ms = 0
        self._from_ms: float | None = None
        self._taken_ms = 0.0

    async def hear(self, samples: Samples, rate_hz: int, engines: SpeechEngines) -> list[Utterance]:
        """Take what comes next; return the utterances that ended in it."""
        found = []
        fmt = pcm16(rate_hz)
        for frame in self._hearing.take(encode(np.ascontiguousarray(samples), fmt), fmt):
            for event in self._hearing.follow(await engines.ask(self._hearing.gate, frame)):
                found += await self._turn(event, engines)
            found += await self._cut_long(engines)
        return found

    async def end(self, engines: SpeechEngines) -> list[Utterance]:
        """Return the utterance that the end of the file cut off, if any."""
        return await self._take(self._hearing.position_ms, engines)

    async def _turn(self, event: TurnEvent, engines: SpeechEngines) -> list[Utterance]:
        match event:
            case SpeechStarted(start_ms):
                self._from_ms = start_ms
            case SpeechResumed(at_ms) if self._from_ms is None:
                self._from_ms = at_ms
            case Pause(at_ms) if self._long(at_ms):
                return await self._take(at_ms, engines)
            case SpeechStopped(_, speech_end_ms):
                return await self._take(speech_end_ms, engines, after_ms=AFTER_MS)
        return []

    def _long(self, at_ms: float) -> bool:
        return self._from_ms is not None and at_ms - self._from_ms >= LONG_ENOUGH_MS

    async def _cut_long(self, engines: SpeechEngines) -> list[Utterance]:
        """End an utterance without a breath before it is too long, between two words."""
        now_ms = self._hearing.detector.position_ms
        if self._from_ms is None or now_ms - self._from_ms < LONGEST_MS:
            return []
        from_ms = self._from_ms
        samples = self._hearing.segment(from_ms, now_ms)
        cut = quietest_cut(samples, search_s=SEARCH_S, rate_hz=RATE_HZ)
        at_ms = from_ms + cut * 1000 / RATE_HZ
        found = await self._take(at_ms, engines)
        self._from_ms = at_ms
        return found

    async def _take(
        self, to_ms: float, engines: SpeechEngines, *, after_ms: float = 0.0
    ) -> list[Utterance]:
        from_ms, self._from_ms = self._from_ms, None
        if from_ms is None:
            return []
        first_ms = max(self._taken_ms, from_ms - BEFORE_MS)
        self._taken_ms = to_ms + after_ms
        samples = self._hearing.segment(first_ms, self._taken_ms)
        heard = await engines.run(engines.ears.recognise, samples)
        if not heard.text:
            return []
        return [
            Utterance(
                channel=self._channel,
                start_s=round(from_ms / 1000, 2),
                end_s=round(to_ms / 1000, 2),
                text=heard.text,
                confidence=round(heard.confidence, 3),
            )
        ]
