"""What a simulated caller hears: when the agent is audible, what it said, how soon it replied.

Only what reaches the caller over the line counts. Loudness cuts the sound into utterances, a
recogniser turns them into words. Everything is noted as it happens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt
import trio

from voxpy.audio.convert import decode
from voxpy.audio.frame import FRAME_S, PCMU
from voxpy.audio.mix import SILENCE_DBFS, rms_dbfs
from voxpy.engine import clock

Samples = npt.NDArray[np.int16]
Note = Callable[..., None]

UTTERANCE_GAP_S = 0.5
"""Silence that ends an utterance: longer than a pause between sentences, shorter than a turn."""
MURMUR_GAP_S = 0.2
"""Silence between a murmur into the caller's words and the reply to them."""
FELL_SILENT_AFTER_S = 0.2
"""Silence after which an interrupted agent has given way."""
UTTERANCES_WAITING = 64
FLOOR_FRAMES, EVERY_FRAMES = 500, 25
"""The noise of a line is that of its last 10 s, looked at every half second."""
LEAST_DBFS = -50.0
ABOVE_FLOOR_DB = 8.0
QUIET_SPEECH_DBFS = -36.0
"""However loud the line is, what is louder counts: it may be somebody who never pauses."""


class Ears(Protocol):
    """A recogniser: 8 kHz int16 samples in, words out."""

    def __call__(self, samples: Samples) -> Awaitable[str]:
        """Return what was said, or an empty string."""


@attrs.frozen
class Heard:
    """One utterance of the agent as the caller heard it; times in seconds of trio's clock."""

    began_at: float
    ended_at: float
    text: str


class Listening:
    """The ear of one caller. ``changed`` is called whenever something new was heard.

    What it hears is noted with the word ``role`` for its owner and ``other`` for whom it hears.
    """

    def __init__(
        self,
        *,
        ears: Ears | None,
        note: Note,
        changed: Callable[[], None],
        role: str = "caller",
        other: str = "agent",
    ) -> None:
        self._role = role
        self._other = other
        self._ears = ears
        self._note = note
        self._changed = changed
        self._threshold = _Threshold()
        self._utterance: list[bytes] = []
        self._began_at = 0.0
        self._last_audible_at: float | None = None
        self._talking = False
        self._talked_until: float | None = None
        self._awaiting_reply = False
        self._interrupting_since: float | None = None
        self._turn_mark = 0
        self._text_mark = 0
        self._to_transcribe, self._utterances = trio.open_memory_channel[
            tuple[float, float, bytes]
        ](UTTERANCES_WAITING)
        self.agent_turns = 0
        self.unheard = 0
        """Utterances whose words are not known yet."""
        self.heard: list[Heard] = []

    async def run(self) -> None:
        """Transcribe what is heard, until cancelled."""
        async for began_at, ended_at, audio in self._utterances:
            text = "" if self._ears is None else await self._ears(decode(audio, PCMU))
            self.heard.append(Heard(began_at, ended_at, text))
            self.unheard -= 1
            if text:
                self._note(f"{self._role} heard", text=text, seconds=round(ended_at - began_at, 2))
            self._changed()

    @property
    def agent_speaking(self) -> bool:
        """Whether the agent is audible, short pauses included."""
        return bool(self._utterance)

    @property
    def talking(self) -> bool:
        """Whether the owner of the ear talks."""
        return self._talking

    @property
    def agent_spoke(self) -> bool:
        """Whether the agent has begun to speak since the caller's last turn."""
        return self.agent_turns > self._turn_mark

    @property
    def quiet_s(self) -> float:
        """How long the agent has been silent."""
        return clock.now() - (self._last_audible_at or 0.0)

    def words(self) -> str:
        """Return everything heard since the caller's last turn began."""
        return " ".join(h.text for h in self.heard[self._text_mark :] if h.text)

    # -- the caller's own doing -------------------------------------------------------------------

    def new_turn(self) -> None:
        """Begin a turn of the caller: what is heard from here on belongs to it."""
        self._text_mark = len(self.heard) + self.unheard + self.agent_speaking
        self._turn_mark = self.agent_turns

    def caller_talks(self) -> None:
        """The caller begins to talk, perhaps into the agent's words."""
        self._talking = True
        if self.agent_speaking:
            self._interrupting_since = clock.now()

    def caller_stops(self) -> None:
        """The caller has finished; the next sound of the agent is its reply."""
        self._talking = False
        self._talked_until = clock.now()
        self._awaiting_reply = True

    # -- the agent --------------------------------------------------------------------------------

    def hear(self, frame: bytes) -> None:
        """Listen to 20 ms of mu-law."""
        now = clock.now()
        if self._threshold.passes(frame):
            paused_s = now - (self._last_audible_at or 0.0)
            self._last_audible_at = now
            if not self._utterance:
                self._begin(now)
            elif paused_s >= MURMUR_GAP_S and self._is_reply():
                self._note(f"{self._other} audible", **self._reply(now))
        if self._utterance:
            self._utterance.append(frame)
            self._look_for_silence(now)
        self._changed()

    def end_utterance(self) -> None:
        """Close the utterance in progress, if there is one, and have it transcribed."""
        if not self._utterance:
            return
        audio, self._utterance = b"".join(self._utterance), []
        self._interrupting_since = None
        ended_at = self._last_audible_at or clock.now()
        self._note(f"{self._other} silent", seconds=round(ended_at - self._began_at, 2))
        self.unheard += 1
        try:
            self._to_transcribe.send_nowait((self._began_at, ended_at, audio))
        except trio.WouldBlock:  # a recogniser this far behind will not catch up
            self.unheard -= 1

    def _begin(self, now: float) -> None:
        self.agent_turns += 1
        self._began_at = now
        self._utterance.append(b"")
        self._note(f"{self._other} audible", **(self._reply(now) if self._is_reply() else {}))

    def _look_for_silence(self, now: float) -> None:
        quiet_s = now - (self._last_audible_at or now)
        if quiet_s >= UTTERANCE_GAP_S:
            self.end_utterance()
        elif self._interrupting_since is not None and quiet_s >= FELL_SILENT_AFTER_S - FRAME_S / 2:
            since, self._interrupting_since = self._interrupting_since, None
            after_ms = round((now - quiet_s - since) * 1000)
            if after_ms >= 0:  # else it had said its last word before
                self._note(f"{self._other} fell silent", after_ms=after_ms)

    def _is_reply(self) -> bool:
        return self._awaiting_reply and not self._talking

    def _reply(self, now: float) -> dict[str, Any]:
        self._awaiting_reply = False
        return {"reply_ms": round((now - (self._talked_until or now)) * 1000)}


class _Threshold:
    """What an ear takes for a sound: what stands out of the line's own noise.

    The noise is what the quietest tenth of the last frames had. Whoever talks all the time would
    raise it, so the threshold never goes where speech could be.
    """

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=FLOOR_FRAMES)
        self._threshold_dbfs = SILENCE_DBFS
        self._frames = 0

    def passes(self, frame: bytes) -> bool:
        quiet = frame.count(PCMU.silence[0]) == len(frame)
        level = SILENCE_DBFS if quiet else rms_dbfs(decode(frame, PCMU))
        self._levels.append(level)
        self._frames += 1
        if len(self._levels) < EVERY_FRAMES or self._frames % EVERY_FRAMES == 0:
            floor = sorted(self._levels)[len(self._levels) // 10]
            above = min(floor + ABOVE_FLOOR_DB, QUIET_SPEECH_DBFS)
            self._threshold_dbfs = max(above, LEAST_DBFS)
        return level > self._threshold_dbfs
