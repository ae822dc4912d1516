"""What the agent says on one connection: answers, and the small sounds beside them.

Carries out the effects of the protocol that ask for words: each in a task of its own, its audio
handed to the protocol as soon as it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import attrs
import orjson
import trio

from voxpy.engine import clock
from voxpy.errors import VoxpyError
from voxpy.localagent.engines import Engines, Samples
from voxpy.localagent.responder import CallTool, Turn, instructions_with_memory, recollect
from voxpy.localagent.wireaudio import Speech
from voxpy.wire.realtime.events.formats import audio_format
from voxpy.wire.realtime.events.types import item_text
from voxpy.wire.realtime.server.effects import ConsiderBackchannel, Fill, Respond, Summarise
from voxpy.wire.realtime.server.protocol import RealtimeServer

PHRASES = ("mm-hmm", "uh-huh", "right")
"""Back-channels, where the session does not say which."""

FILLERS = ("Let me see.", "One moment.")
"""What bridges the wait for a slow answer."""

PAUSE_BETWEEN_S = 0.16
FEWEST_WORDS = 8
"""Nobody says "uh-huh" to a short question: by the time it could be said, the question is over."""


CHARS_PER_TOKEN = 4
"""Of English; no tokenizer comes with the local models, and nobody is billed by this figure."""


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARS_PER_TOKEN)


@attrs.define
class Budget:
    """The tokens of a response: how many are left (None is no limit), how many went."""

    left: int | None
    used: int = 0
    spent: bool = False
    """Whether something was left out because there were too few."""

    @classmethod
    def of(cls, wanted: Respond) -> Budget:
        """Return the budget that the session or the response sets."""
        limit = wanted.overrides.get("max_output_tokens", wanted.session["max_output_tokens"])
        return cls(None if limit == "inf" else int(limit))

    def take(self, text: str, *, whole: bool = False) -> str:
        """Return as much of ``text`` as may still go, in whole words; ``whole``: all or nothing."""
        needed = _tokens(text)
        if self.left is not None and needed > self.left:
            self.spent = True
            fits = "" if whole else text[: self.left * CHARS_PER_TOKEN + 1].rpartition(" ")[0]
            text, needed = fits, _tokens(fits)
        self.used += needed
        if self.left is not None:
            self.left -= needed
        return text

    def usage(self, wanted: Respond) -> dict[str, Any]:
        """Return the usage that ``response.done`` tells: an estimate, by the length of texts."""
        items = wanted.overrides.get("input", wanted.items)
        read = _tokens(str(wanted.session["instructions"])) + sum(
            _tokens(item_text(i)) for i in items
        )
        return {
            "total_tokens": read + self.used,
            "input_tokens": read,
            "output_tokens": self.used,
            "input_token_details": {"text_tokens": read, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": self.used, "audio_tokens": 0},
        }


class Speaking:
    """The answers under way on one connection.

    ``told`` is called after whatever changes the protocol; ``report`` gets what went wrong;
    ``caller_talks`` says whether the caller is audible just now.
    """

    def __init__(
        self,
        protocol: RealtimeServer,
        engines: Engines,
        nursery: trio.Nursery,
        *,
        told: Callable[[], None],
        report: Callable[[str], None],
        caller_talks: Callable[[], bool],
    ) -> None:
        self._caller_talks = caller_talks
        self._protocol = protocol
        self._engines = engines
        self._nursery = nursery
        self._told = told
        self._report = report
        self._responding: dict[str, trio.CancelScope] = {}
        self._backchannels = 0
        self._fillers = 0

    def respond(self, wanted: Respond) -> None:
        # Known before it starts, so that a stop in the same breath finds it.
        scope = self._responding[wanted.response_id] = trio.CancelScope()
        self._nursery.start_soon(self._respond, wanted, scope)

    def stop(self, response_id: str) -> None:
        if response_id in self._responding:
            self._responding[response_id].cancel()

    def consider(self, wanted: ConsiderBackchannel) -> None:
        self._nursery.start_soon(self._backchannel, wanted)

    def fill(self, wanted: Fill) -> None:
        self._nursery.start_soon(self._fill, wanted)

    def summarise(self, wanted: Summarise) -> None:
        self._protocol.memory(recollect(wanted.items, wanted.state, wanted.settings), clock.now())
        self._told()

    # -- answers ---------------------------------------------------------------------------------

    async def _respond(self, wanted: Respond, scope: trio.CancelScope) -> None:
        response_id = wanted.response_id
        with scope:
            try:
                budget = Budget.of(wanted)
                await self._carry_out(wanted, budget)
                incomplete = "max_output_tokens" if budget.spent else None
                usage = budget.usage(wanted)
                self._protocol.finish(response_id, clock.now(), usage, incomplete=incomplete)
            except VoxpyError as error:
                self._protocol.fail(response_id, str(error), now=clock.now())
            except Exception as error:  # a brain is anybody's code; the session must survive it
                self._report(f"a response failed: {error!r}")
                message = f"{type(error).__name__}: {error}"
                self._protocol.fail(response_id, message, now=clock.now())
            finally:
                del self._responding[response_id]
                self._told()

    async def _carry_out(self, wanted: Respond, budget: Budget) -> None:
        speech = Speech(*audio_format(wanted.session, "output"))
        async with aclosing(self._engines.responder.respond(_turn(wanted))) as acts:  # type: ignore[type-var]
            async for act in acts:
                if isinstance(act, CallTool):
                    given, now = act.arguments, clock.now()
                    arguments = given if isinstance(given, str) else orjson.dumps(given).decode()
                    if budget.take(f"{act.name} {arguments}", whole=True):
                        self._protocol.call_tool(wanted.response_id, act.name, arguments, now)
                elif text := budget.take(act.text):
                    await self._say(wanted, speech, text)
                self._told()
                if budget.spent:
                    return

    async def _say(self, wanted: Respond, speech: Speech, text: str) -> None:
        session, overrides = wanted.session, wanted.overrides
        self._protocol.text(wanted.response_id, text, clock.now())
        self._told()
        if "audio" not in (overrides.get("output_modalities") or session["output_modalities"]):
            return
        voice = str(overrides.get("voice") or session["audio"]["output"]["voice"])
        sentences = self._spoken(text, voice, session)
        while (samples := await self._engines.run(next, sentences, None)) is not None:
            for chunk in speech.chunks(samples, pause_s=PAUSE_BETWEEN_S):
                if not self._protocol.audio(wanted.response_id, chunk, clock.now()):
                    return
            self._told()

    def _spoken(self, text: str, voice: str, session: Mapping[str, Any]) -> Iterator[Samples]:
        speed = float(session["audio"]["output"]["speed"])
        return self._engines.voice.speak(text, speaker=voice, speed=speed)

    # -- beside them -----------------------------------------------------------------------------

    async def _backchannel(self, wanted: ConsiderBackchannel) -> None:
        phrase = wanted.phrase or self._phrase(wanted)
        if phrase is None:
            self._protocol.backchannel_skipped(wanted.backchannel_id, "no_phrase", clock.now())
            self._told()
            return
        session = self._protocol.session
        voice = str(session["audio"]["output"]["voice"])
        audio = await self._short(phrase, voice, session, wanted.deadline, wanted.volume_gain)
        for chunk in audio:
            self._protocol.backchannel_audio(wanted.backchannel_id, chunk, clock.now())
        self._protocol.backchannel_done(wanted.backchannel_id, phrase, clock.now())
        self._told()

    def _phrase(self, wanted: ConsiderBackchannel) -> str | None:
        if len(wanted.transcript_so_far.split()) < FEWEST_WORDS:
            return None
        if not self._caller_talks() and not wanted.settings.get("require_pause"):
            return None  # this silence may be the end of the turn: an answer is due, no murmur
        phrases = wanted.allowed_phrases or PHRASES
        self._backchannels += 1
        return phrases[(self._backchannels - 1) % len(phrases)]

    async def _fill(self, wanted: Fill) -> None:
        filler = FILLERS[self._fillers % len(FILLERS)]
        self._fillers += 1
        pause_text = str(wanted.settings.get("pause_text") or "")
        text = f"{filler} {pause_text}".strip()
        audio = await self._short(text, wanted.voice, wanted.session, wanted.deadline)
        if audio:
            self._protocol.filler_audio(wanted.response_id, b"".join(audio), clock.now())
            self._told()

    async def _short(
        self,
        text: str,
        voice: str,
        session: Mapping[str, Any],
        deadline: float,
        gain: float = 1.0,
    ) -> list[bytes]:
        """Return all the audio of a short text; nothing if it is not there by the deadline."""
        speech = Speech(*audio_format(session, "output"), gain=gain)
        with trio.move_on_at(deadline):
            pieces: list[Samples] = await self._engines.run(
                list, self._spoken(text, voice, session)
            )
            return [chunk for samples in pieces for chunk in speech.chunks(samples)]
        return []


def _turn(wanted: Respond) -> Turn:
    """Return what the brain is asked; what ``response.create`` gave counts, empty or not."""
    session, overrides = wanted.session, wanted.overrides
    return Turn(
        instructions=instructions_with_memory(session),
        items=overrides.get("input", wanted.items),
        tools=overrides.get("tools", session["tools"]),
        tool_choice=overrides.get("tool_choice", session["tool_choice"]),
        response_instructions=overrides.get("instructions"),
    )
