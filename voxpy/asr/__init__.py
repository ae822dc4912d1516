"""Speech recognition: ``create_asr`` and the words that go with it (VoxEngine: ASR module)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxpy.asr.control import ASRController, ASROptions
from voxpy.asr.events import ASREvents
from voxpy.asr.profiles import ASRModelList, ASRProfileList, language_of
from voxpy.asr.unit import ASR
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError, nearest

__all__ = ["ASR", "ASREvents", "ASRModelList", "ASRProfileList", "create"]

_NATIVE = {"threshold": (0.01, 0.99), "silence_ms": (100, 5000)}
"""What ``request`` may tune, with the bounds of each."""


def create(
    session: Session,
    *,
    profile: str,
    model: str | None,
    interim_results: bool,
    single_utterance: bool,
    phrase_hints: Sequence[str],
    profanity_filter: bool,
    headers: Mapping[str, str] | None,
    request: Mapping[str, Any] | None,
) -> ASR:
    """Return a recogniser that begins to load; see ``VoxEngine.create_asr``."""
    given: Any = profile  # scenarios are not always type checked
    language = language_of(given) if isinstance(given, str) else None
    if language is None:
        raise ScenarioError(
            f"create_asr: profile must end in a language ('en-US', ASRProfileList.Google.en_US), "
            f"not {profile!r}"
        )
    options = ASROptions(
        language=language,
        phrase_hints=_hints(phrase_hints),
        interim_results=bool(interim_results),
        single_utterance=bool(single_utterance),
        profanity_filter=bool(profanity_filter),
        **_native(request or {}),
    )
    controller = ASRController(session, options)
    session.trace.command(
        "VoxEngine.create_asr",
        unit=controller.asr_id,
        profile=profile,
        model=model,
        phrase_hints=list(options.phrase_hints),
        request=dict(request or {}),
    )
    controller.start()
    return controller.asr


def _hints(hints: Any) -> tuple[str, ...]:
    several = isinstance(hints, Sequence) and not isinstance(hints, str)
    if several and all(isinstance(h, str) and h for h in hints):
        return tuple(hints)
    raise ScenarioError(f"create_asr: phrase_hints must be a list of strings, not {hints!r}")


def _native(request: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in request.items():
        if name not in _NATIVE:
            hint = nearest(name, _NATIVE) or f"; known are {', '.join(_NATIVE)}"
            raise ScenarioError(f"create_asr: request has no {name!r}{hint}")
        low, high = _NATIVE[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise ScenarioError(
                f"create_asr: request[{name!r}] must be from {low} to {high}, not {value!r}"
            )
    return dict(request)
