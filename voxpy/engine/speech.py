"""What hears and speaks for a session: engines that the host shares among its calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import trio

from voxpy.engine import clock
from voxpy.errors import EngineMissing, install_command

T = TypeVar("T")
ENGLISH = ("en",)
"""What a host speaks and understands by itself."""
Samples = npt.NDArray[np.int16]


class SpeechGate(Protocol):
    """Tells speech from everything else, frame by frame. Has a memory: one gate per call."""

    def probability(self, samples: Samples) -> float:
        """Return how sure it is (0.0 to 1.0) that ``samples`` (512 of 16 kHz mono) hold speech."""
        ...

    def reset(self) -> None:
        """Forget what was heard so far, as at the start of a call."""
        ...


def has_language(engine: object, language: str) -> bool:
    """Return whether a voice or a recogniser has a language; ``he-IL`` is ``he``."""
    known: Collection[str] = getattr(engine, "languages", ENGLISH)
    return language.replace("_", "-").split("-")[0] in known


@attrs.frozen
class Recognised:
    """Words, and how sure the recogniser is of them: 0.0 to 1.0."""

    text: str
    confidence: float


class Transcribes(Protocol):
    """A recogniser. Thread-safe."""

    @property
    def languages(self) -> Collection[str]:
        """The languages it understands: ISO 639-1 codes (``en``)."""

    def warm_up(self) -> None:
        """Load what the first utterance would otherwise wait for."""

    def transcribe(self, samples: Samples) -> str:
        """Return the words in int16 samples at 16 kHz; empty if there are none."""

    def recognise(self, samples: Samples) -> Recognised:
        """Return the same words with a confidence; the audio may be of any length."""


class Speaks(Protocol):
    """A voice. Thread-safe.

    One that speaks more than English may have ``languages``, as a recogniser has.
    """

    def warm_up(self) -> None:
        """Load what the first sentence would otherwise wait for."""

    def speak(self, text: str, *, speaker: str, speed: float) -> Iterator[Samples]:
        """Yield int16 samples at 24 kHz, a sentence or a clause at a time."""


class SpeechEngines(Protocol):
    """The three of them, and how they are run off the event loop."""

    @property
    def gate(self) -> Callable[[], SpeechGate]:
        """What makes a new gate."""

    @property
    def ears(self) -> Transcribes:
        """The recogniser."""

    @property
    def voice(self) -> Speaks:
        """The voice."""

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Do blocking ``work(*args)`` in a thread; inline on virtual time."""

    async def ask(self, gate: SpeechGate, samples: Samples) -> float:
        """Return ``gate.probability(samples)``, in turn with all other gates of the process.

        Inline: the gate holds the interpreter for the whole of its 0.5 to 1 ms, so that a thread
        would only add its own cost. One at a time, and the loop looks at its clock in between: the
        media tick is late by one frame of one gate at most, however many calls are heard.
        """


async def load_engines(speech: Callable[[], SpeechEngines]) -> SpeechEngines:
    """Return ``speech()`` without blocking the loop: the first time it loads the weights.

    Raises EngineMissing.
    """
    if clock.is_virtual():
        await trio.lowlevel.checkpoint()
        return speech()
    return await trio.to_thread.run_sync(speech)


def no_speech() -> SpeechEngines:
    """Raise EngineMissing: the host gave the session nothing to hear and speak with."""
    told = f"this host has no speech engines; install them: {install_command('local')}"
    raise EngineMissing(told)
