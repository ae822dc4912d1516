"""One call, measured: who was audible when, and what follows from it.

Replies, talk-over, silence and interruptions are read from the two sides of one recording, which
has one clock: what nobody heard does not count, and nothing depends on what either side says about
itself. Times are in seconds from the beginning of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from voxpy.audio.wav import read_wav
from voxpy.engine.clock import percentile
from voxpy.engine.trace import Entry
from voxpy.errors import VoxpyError
from voxpy.lab.evaluation.words import WordErrors, word_errors
from voxpy.simulation.tones import SOUND
from voxpy.testing.story import CallStory, Said

Samples = npt.NDArray[np.int16]

WINDOW_S = 0.02
QUIETEST_DBFS = -45.0
"""Quiet speech on a telephone has -35 dBFS."""
LOUDEST_FLOOR_DBFS = -30.0
ABOVE_FLOOR_DB = 10.0
FLOOR_PERCENT = 10
"""The noise of a line is what the quietest tenth of a call has."""
WORD_GAP_S = 0.2
"""Silence inside a word or between two words: not heard as a pause."""
SHORTEST_S = 0.04
"""Less than this is a click."""
TURN_GAP_S = 0.5
"""Silence inside somebody's turn."""
HEAD_START_S = 0.2
"""Who begins to speak less than this after the other did not interrupt but collide."""


@attrs.frozen
class Span:
    """A time during which something is so."""

    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@attrs.frozen(kw_only=True)
class Reply:
    """The agent took its turn at ``at_s``, ``after_s`` seconds after the caller's last sound."""

    at_s: float
    after_s: float


@attrs.frozen(kw_only=True)
class Interruption:
    """The caller spoke into the agent's turn; the agent was silent ``silent_after_s`` later."""

    at_s: float
    silent_after_s: float


def audible_spans(samples: Samples, rate_hz: int, *, gap_s: float = WORD_GAP_S) -> list[Span]:
    """Return when something can be heard in one side of a recording; samples are 16-bit, mono.

    The threshold is -45 dBFS, or 10 dB above the noise of the line if that is more; gaps shorter
    than ``gap_s`` do not count.
    """
    window = round(rate_hz * WINDOW_S)
    whole = samples[: len(samples) // window * window].reshape(-1, window).astype(np.float64)
    if not len(whole):
        return []
    level = 20 * np.log10(np.sqrt((whole**2).mean(axis=1)) / 32768 + 1e-9)
    floor = min(float(np.percentile(level, FLOOR_PERCENT)), LOUDEST_FLOOR_DBFS - ABOVE_FLOOR_DB)
    loud = level > max(QUIETEST_DBFS, floor + ABOVE_FLOOR_DB)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    spans = [
        Span(round(start * WINDOW_S, 3), round(end * WINDOW_S, 3))
        for start, end in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    return [s for s in joined(spans, gap_s=gap_s) if s.seconds >= SHORTEST_S]


def joined(spans: Sequence[Span], *, gap_s: float) -> list[Span]:
    """Return the spans in order, those less than ``gap_s`` apart made one."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start_s):
        if result and span.start_s - result[-1].end_s < gap_s:
            result[-1] = Span(result[-1].start_s, max(span.end_s, result[-1].end_s))
        else:
            result.append(span)
    return result


def replies(caller: Sequence[Span], agent: Sequence[Span]) -> list[Reply]:
    """Return each time the agent began to speak after the caller had stopped.

    What it says on is no reply, nor is a word into the caller's turn (a murmur).
    """
    found: list[Reply] = []
    answered_s = -1.0
    for span in sorted(agent, key=lambda s: s.start_s):
        if any(c.start_s <= span.start_s < c.end_s for c in caller):
            continue
        last_s = max((c.end_s for c in caller if c.end_s <= span.start_s), default=None)
        if last_s is not None and last_s > answered_s:
            found.append(Reply(at_s=span.start_s, after_s=round(span.start_s - last_s, 3)))
        answered_s = max(answered_s, span.start_s)
    return found


def overlaps(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """Return when both are audible: talk-over."""
    return [
        Span(start_s, end_s)
        for a in one
        for b in other
        if (start_s := max(a.start_s, b.start_s)) < (end_s := min(a.end_s, b.end_s))
    ]


def dead_air(
    caller: Sequence[Span],
    agent: Sequence[Span],
    *,
    from_s: float,
    until_s: float,
    longer_than_s: float,
) -> list[Span]:
    """Return when neither was audible for more than ``longer_than_s``, between two times."""
    return [
        gap
        for gap in _gaps(joined([*caller, *agent], gap_s=0.0), from_s, until_s)
        if gap.seconds > longer_than_s
    ]


def _gaps(spans: Sequence[Span], from_s: float, until_s: float) -> Iterator[Span]:
    quiet_since_s = from_s
    for span in spans:
        if span.start_s >= until_s:
            break
        if span.start_s > quiet_since_s:
            yield Span(quiet_since_s, span.start_s)
        quiet_since_s = max(quiet_since_s, span.end_s)
    if until_s > quiet_since_s:
        yield Span(quiet_since_s, until_s)


def interruptions(caller: Sequence[Span], agent: Sequence[Span]) -> list[Interruption]:
    """Return each time the caller began to speak while the agent did, and when it fell silent.

    An agent's pause of less than half a second is part of its turn.
    """
    turns = joined(agent, gap_s=TURN_GAP_S)
    return [
        Interruption(at_s=c.start_s, silent_after_s=round(a.end_s - c.start_s, 3))
        for c in joined(caller, gap_s=TURN_GAP_S)
        for a in turns
        if a.start_s + HEAD_START_S <= c.start_s < a.end_s
    ]


@attrs.frozen(kw_only=True)
class Evaluation:
    """What one call was like.

    ``understood``: the caller's words as the agent's recogniser understood them. ``heard``: the
    agent's words as the caller's recogniser did. None if there was no such recogniser. ``silences``
    are all times when neither was audible.
    On virtual time computing takes no time: replies show the delays of protocol, turn-taking and
    line, and leave out those of models.
    """

    seconds: float
    replies: tuple[Reply, ...] = ()
    talk_over: tuple[Span, ...] = ()
    silences: tuple[Span, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    understood: WordErrors | None = None
    heard: WordErrors | None = None

    @property
    def reply_ms(self) -> list[int]:
        """How soon the agent replied, turn by turn, in milliseconds."""
        return [round(reply.after_s * 1000) for reply in self.replies]

    def latency_ms(self, percent: float) -> int | None:
        """Return a percentile of ``reply_ms``; None if the agent never replied."""
        return int(percentile(self.reply_ms, percent / 100)) if self.replies else None

    @property
    def talk_over_s(self) -> float:
        """How long both were audible at once."""
        return round(sum(span.seconds for span in self.talk_over), 3)

    @property
    def longest_silence(self) -> Span | None:
        """The longest dead air."""
        return max(self.silences, key=lambda span: span.seconds, default=None)

    def honoured(self, within_ms: float) -> tuple[Interruption, ...]:
        """Return the interruptions after which the agent was silent in time."""
        return tuple(i for i in self.interruptions if i.silent_after_s * 1000 <= within_ms)

    def to_json(self) -> dict[str, Any]:
        """Return the measures as JSON values; milliseconds and seconds as the names say."""
        quiet = self.longest_silence
        return {
            "seconds": round(self.seconds, 2),
            "reply_ms": self.reply_ms,
            "latency_p50_ms": self.latency_ms(50),
            "latency_p95_ms": self.latency_ms(95),
            "talk_over_s": self.talk_over_s,
            "longest_silence_s": round(quiet.seconds, 2) if quiet else 0.0,
            "interruptions_ms": [round(i.silent_after_s * 1000) for i in self.interruptions],
            "understood_word_error_rate": _rate(self.understood),
            "heard_word_error_rate": _rate(self.heard),
        }


def evaluate(call: CallStory) -> Evaluation:
    """Measure a call that is over, from its recording and its trace.

    Raises VoxpyError while it lasts.
    """
    if not call.hosted.finished:
        raise VoxpyError("the call is not over: await world.wait_ended() first")
    understood = _understood([s for s in call.transcript if s.who == "caller"])
    heard = _heard(call)
    connected = call.find("Call.Connected")
    if not connected:
        return Evaluation(seconds=0.0, understood=understood, heard=heard)
    left, right, rate_hz = _both_sides(call)
    caller, agent = audible_spans(left, rate_hz), audible_spans(right, rate_hz)
    over = call.find("call over")
    from_s, until_s = connected[0].t, over[0].t if over else len(left) / rate_hz
    return Evaluation(
        seconds=max(0.0, until_s - from_s),
        replies=tuple(replies(caller, agent)),
        talk_over=tuple(overlaps(caller, agent)),
        silences=tuple(dead_air(caller, agent, from_s=from_s, until_s=until_s, longer_than_s=0.0)),
        interruptions=tuple(interruptions(caller, agent)),
        understood=understood,
        heard=heard,
    )


def _both_sides(
    call: CallStory,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], int]:
    path = call.recordings[0]
    with path.open("rb") as file:
        wav = read_wav(file, name=str(path))
    return wav.samples[:, 0], wav.samples[:, 1], wav.rate_hz


def _understood(said: Sequence[Said]) -> WordErrors | None:
    """Compare what the caller said with what was understood; a word nobody understood is lost."""
    spoken = [s for s in said if not s.text.startswith("[")]  # a file has no words
    if not any(s.heard_text for s in spoken):
        return None
    errors = [word_errors(s.text, s.heard_text or "") for s in spoken]
    return sum(errors, start=WordErrors(expected_words=0))


def _heard(call: CallStory) -> WordErrors | None:
    """Compare what was played of the agent with what the caller's recogniser made of it."""
    played = call.find("agent heard as")
    heard = call.find("caller heard")
    return word_errors(_texts(played), _texts(heard)) if played and heard else None


def _texts(entries: Sequence[Entry]) -> str:
    texts = (str(entry.personal.get("text", "")) for entry in entries)
    return " ".join(text for text in texts if text != SOUND)


def _rate(errors: WordErrors | None) -> float | None:
    return None if errors is None else round(errors.rate, 4)
