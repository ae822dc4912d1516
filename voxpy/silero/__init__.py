"""``Silero``: voice activity detection as a unit of its own (VoxEngine: Silero module)."""

from __future__ import annotations

from typing import Any, TypeAlias

from voxpy.engine.context import current
from voxpy.engine.events import Namespace
from voxpy.errors import ScenarioError
from voxpy.silero import events
from voxpy.silero import vad as vad_module

__all__ = ["Silero"]


class Silero(metaclass=Namespace):
    """The Silero module; also what ``require(Modules.Silero)`` returns."""

    VAD: TypeAlias = vad_module.VAD
    VADEvents: TypeAlias = events.VADEvents

    @staticmethod
    async def create_vad(
        *,
        threshold: float = 0.5,
        min_silence_duration_ms: int = 100,
        speech_pad_ms: int = 30,
    ) -> vad_module.VAD:
        """Load a detector and return it; then ``call.send_media_to(vad)``.

        threshold: probability of speech, 0.01 to 0.99, above which a frame of 32 ms is speech.
        min_silence_duration_ms: silence that ends speech, 0 to 10,000. A pause between two words
            may take 200 ms: raise it to be told of turns rather than of words.
        speech_pad_ms: how much earlier speech is said to start and later to end, 0 to 5,000.

        The defaults are those of Silero's own VADIterator. Start and end are told as they happen:
        the one 32 ms, the other ``min_silence_duration_ms`` after its place in the audio.

        Raises ScenarioError for a wrong argument, EngineMissing if the host has no gate. VoxEngine:
        Silero.createVAD.
        """
        vad = vad_module.VAD(
            current("Silero.create_vad"),
            threshold=_within("threshold", threshold, 0.01, 0.99),
            min_silence_ms=round(
                _within("min_silence_duration_ms", min_silence_duration_ms, 0, 10_000)
            ),
            speech_pad_ms=round(_within("speech_pad_ms", speech_pad_ms, 0, 5_000)),
        )
        current("Silero.create_vad").trace.command(
            "Silero.create_vad",
            unit=vad.id(),
            threshold=threshold,
            min_silence_duration_ms=min_silence_duration_ms,
            speech_pad_ms=speech_pad_ms,
        )
        await vad._open()
        return vad


def _within(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ScenarioError(f"create_vad: {name} must be from {low:g} to {high:g}, not {value!r}")
