"""One call, measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from voxpy.audio.wav import read_wav
from voxpy.engine.clock import percentile
from voxpy.engine.trace import Entry
from voxpy.errors import VoxpyError
from voxpy.lab.evaluation.audible import (
    Interruption,
    Reply,
    Span,
    audible_spans,
    dead_air,
    interruptions,
    overlaps,
    replies,
)
from voxpy.lab.evaluation.words import WordErrors, word_errors
from voxpy.testing.story import CallStory, Said

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Evaluation", "evaluate"]


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
    return " ".join(str(entry.personal.get("text", "")) for entry in entries)


def _rate(errors: WordErrors | None) -> float | None:
    return None if errors is None else round(errors.rate, 4)
