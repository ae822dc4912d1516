"""What the agent says beside its answers: the back-channel, and fillers while an answer is late.

Back-channel: every ``eval_interval_ms`` of the caller's speech it is judged whether a short sound
of an attentive listener is due; if so, a decider is asked, or the dice are thrown (``decider_kind``
``rule``). What comes in time is sent, out of band: it is no item, belongs to no response and is not
cut by barge-in. Inworld's back-channel page has the fields and their defaults; of the reasons for
skipping one, ``deadline_missed``, ``min_gap_not_elapsed`` and ``no_phrase`` have been seen,
``speech_ended`` is ours.

Filler (``providerData.responsiveness``): if nothing of the answer has come
``initial_wait_timeout_ms`` after the turn was committed, a short filler is asked for, which is
spoken as part of the response's audio. Whether Inworld puts its words into transcript and history
is not known; here they are in neither, since the agent's next answer should not build on them. The
fields are those of Inworld's page, their defaults are local.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from voxpy.wire.realtime.events.codec import base64_text
from voxpy.wire.realtime.events.server_events import (
    ResponseBackchannelAudioDelta,
    ResponseBackchannelAudioDone,
    ResponseBackchannelSkipped,
)
from voxpy.wire.realtime.server.effects import ConsiderBackchannel, Fill
from voxpy.wire.realtime.server.state import Feature, ServerState

DEFAULT_PHRASES = ("mm-hmm", "uh-huh", "right")
"""What the rule decider chooses from where the session allows anything."""


@attrs.define
class _Attempt:
    id: str
    deadline: float
    audio: list[bytes] = attrs.field(factory=list)


class Backchannel(Feature):
    """Judges, asks and delivers. ``draw()`` gives numbers from 0 to below 1 to the rule decider."""

    def __init__(self, state: ServerState, *, draw: Callable[[], float]) -> None:
        self._state = state
        self._draw = draw
        self._speech_since: float | None = None
        self._next_look = 0.0
        self._words = ""
        self._paused = False
        self._count = 0  # in this turn
        self._last = float("-inf")
        self._attempt: _Attempt | None = None

    # -- what happens ----------------------------------------------------------------------------

    def speech_started(self) -> None:
        self._speech_since = self._next_look = self._state.now
        self._words, self._paused, self._count = "", False, 0
        self._schedule()

    def speech_paused(self) -> None:
        self._paused = True

    def speech_resumed(self) -> None:
        self._paused = False

    def words_so_far(self, text: str) -> None:
        """Partial transcripts flow: there is something to react to."""
        self._words = text

    def speech_ended(self) -> None:
        """Nobody wants an "uh-huh" after having finished."""
        self._speech_since = None
        self._give_up("speech_ended")

    # -- time ------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to look next, or when the attempt under way is too late."""
        due = [self._attempt.deadline] if self._attempt else []
        if self._speech_since is not None and self._state.branch("backchannel"):
            due.append(self._next_look)
        return min(due, default=None)

    def tick(self) -> None:
        """Give up on what is late; look whether a back-channel is due."""
        now = self._state.now
        if self._attempt is not None and self._attempt.deadline <= now:
            self._give_up("deadline_missed")
        settings = self._state.branch("backchannel")
        if settings and self._speech_since is not None and self._next_look <= now:
            self._schedule()
            self._look(settings, speech_s=now - self._speech_since)

    def _schedule(self) -> None:
        """Set the next look to the next point of a grid that began with the speech."""
        settings = self._state.branch("backchannel")
        interval_s = max(_SHORTEST_INTERVAL_S, (settings or {}).get("eval_interval_ms", 0) / 1000)
        missed = (self._state.now - self._next_look) // interval_s
        self._next_look += (missed + 1) * interval_s
        if self._next_look <= self._state.now:  # rounding
            self._next_look += interval_s

    def _look(self, settings: Mapping[str, Any], *, speech_s: float) -> None:
        state = self._state
        talking = state.response is not None or state.output.is_playing(state.now)
        if self._attempt is not None or talking or not self._words.strip():
            return
        if speech_s * 1000 < settings["min_speech_ms"] or self._count >= settings["max_per_turn"]:
            return
        if settings["require_pause"] and not self._paused:
            return
        if (state.now - self._last) * 1000 < settings["min_gap_ms"]:
            state.outbox.emit(ResponseBackchannelSkipped(reason="min_gap_not_elapsed"))
            return
        self._attempt_one(settings)

    def _attempt_one(self, settings: Mapping[str, Any]) -> None:
        state = self._state
        deadline = state.now + settings["hard_deadline_ms"] / 1000
        self._attempt = _Attempt(state.new_id("bc"), deadline)
        allowed = tuple(settings.get("allowed_phrases") or ())
        phrase = None
        if settings["decider_kind"] == "rule":
            if self._draw() >= settings.get("rule_fire_probability", 1.0):
                self._give_up("no_phrase")
                return
            phrases = allowed or DEFAULT_PHRASES
            phrase = phrases[int(self._draw() * len(phrases))]
        tail = int(settings["history_tail_items"])
        state.effects.append(
            ConsiderBackchannel(
                backchannel_id=self._attempt.id,
                transcript_so_far=self._words,
                phrase=phrase,
                allowed_phrases=allowed,
                items=state.conversation.items[-tail:] if tail else (),
                volume_gain=float(settings["volume_gain"]),
                deadline=deadline,
                settings=settings,
            )
        )

    # -- the answer ------------------------------------------------------------------------------

    def _current(self, backchannel_id: str) -> _Attempt | None:
        attempt = self._attempt
        if attempt is None or attempt.id != backchannel_id:
            return None
        if attempt.deadline <= self._state.now:
            self._give_up("deadline_missed")
            return None
        return attempt

    def audio(self, backchannel_id: str, data: bytes) -> bool:
        """Keep some audio of the attempt under way; False if it is over."""
        attempt = self._current(backchannel_id)
        if attempt is not None and data:
            attempt.audio.append(data)
        return attempt is not None

    def done(self, backchannel_id: str, phrase: str) -> bool:
        """Send the attempt under way; False if it is over, silent, or may not say that."""
        attempt = self._current(backchannel_id)
        if attempt is None:
            return False
        settings = self._state.branch("backchannel") or {}
        allowed = settings.get("allowed_phrases")
        if not settings or not attempt.audio or (allowed and phrase not in allowed):
            self._give_up("no_phrase")
            return False
        self._attempt = None
        self._count += 1
        self._last = self._state.now
        for data in attempt.audio:
            delta = base64_text(data)
            self._state.outbox.emit(
                ResponseBackchannelAudioDelta(backchannel_id=attempt.id, delta=delta)
            )
        self._state.outbox.emit(
            ResponseBackchannelAudioDone(backchannel_id=attempt.id, phrase=phrase)
        )
        return True

    def skip(self, backchannel_id: str, reason: str) -> bool:
        """End the attempt under way with nothing said; False if it is over already."""
        if self._current(backchannel_id) is None:
            return False
        self._give_up(reason)
        return True

    def _give_up(self, reason: str) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._state.outbox.emit(
                ResponseBackchannelSkipped(backchannel_id=attempt.id, reason=reason)
            )


_SHORTEST_INTERVAL_S = 0.05
"""``eval_interval_ms`` may be 0 in the session; a loop must not be."""


@attrs.frozen
class _Asked:
    response_id: str
    deadline: float


class Filler(Feature):
    """Asks for fillers, and lets through those that come in time."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._asked: _Asked | None = None
        self._turn_ended: float | None = None  # the turn the coming response answers
        self._waiting_since = 0.0
        self._count = 0  # in this turn
        self._last_end = float("-inf")
        self._first_reply = True

    def deadline(self) -> float | None:
        """Return when the caller will have waited long enough; None if no filler may come."""
        settings, response = self._state.branch("responsiveness"), self._state.response
        if settings is None or response is None or response.has_content or not response.speaks:
            return None
        if self._count >= settings["max_initial_per_turn"] or self._asked is not None:
            return None
        if self._first_reply and not settings["enable_filler_on_first_assistant_reply"]:
            return None
        waited = self._waiting_since + settings["initial_wait_timeout_ms"] / 1000
        return float(max(waited, self._last_end + settings["min_filler_gap_ms"] / 1000))

    def tick(self) -> None:
        """Ask for a filler if it is time."""
        deadline, state = self.deadline(), self._state
        settings, response = state.branch("responsiveness"), state.response
        if deadline is None or deadline > state.now or settings is None or response is None:
            return
        self._count += 1
        asked = _Asked(response.id, state.now + settings["hard_deadline_ms"] / 1000)
        self._asked = asked
        tail = int(settings["history_tail_items"])
        state.effects.append(
            Fill(
                response_id=response.id,
                session=state.session,
                voice=response.voice,
                items=state.conversation.items[-tail:] if tail else (),
                deadline=asked.deadline,
                settings=settings,
            )
        )

    def audio(self, response_id: str, data: bytes) -> bool:
        """Speak the filler that was asked for; False if it is not wanted any more."""
        state, asked, self._asked = self._state, self._asked, None
        response = state.response
        if asked is None or response is None or not response_id == response.id == asked.response_id:
            self._asked = asked
            return False
        if state.now > asked.deadline or not response.filler(data, state.now):
            return False
        self._last_end = state.output.playing_until
        return True

    def speech_ended(self) -> None:
        """A turn of the caller's: it may have its fillers."""
        self._turn_ended = self._state.now
        self._count = 0

    def response_began(self) -> None:
        """The caller waits: since the end of the turn, or else from now on."""
        self._asked = None
        since, self._turn_ended = self._turn_ended, None
        self._waiting_since = self._state.now if since is None else since
        self._first_reply = not any(
            item.get("role") == "assistant" for item in self._state.conversation.items
        )

    def response_ended(self, status: str) -> None:
        self._asked = None
