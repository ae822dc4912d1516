"""``AMD``: whether a human or an answering machine took the call (VoxEngine: AMD)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from voxpy.amd import detector, events
from voxpy.amd.decision import BOUNDARIES_S, Thresholds
from voxpy.call import Call
from voxpy.engine.context import current
from voxpy.engine.events import Namespace
from voxpy.errors import ScenarioError, nearest

__all__ = ["AMD"]

LONGEST_TIMEOUT_MS = 20_000
"""VoxEngine: AMD.create."""
_THRESHOLDS = ("human", "voicemail", "mimic")


class _Model(metaclass=Namespace):
    """Where the call goes: how long people's greetings are there (VoxEngine: AMD.Model)."""

    BR = "br"
    CL = "cl"
    CO = "colombia"
    COLOMBIA = "colombia"
    ES = "es"
    EU_GENERAL = "eu_general"
    KZ = "kz"
    MX = "mx"
    PE = "pe"
    PH = "ph"
    RU = "ru"
    US = "us"


class _ResultClass(metaclass=Namespace):
    """Who answered (VoxEngine: AMD.ResultClass)."""

    VOICEMAIL = "VOICEMAIL"
    HUMAN = "HUMAN"
    TIMEOUT = "TIMEOUT"
    CALL_ENDED = "CALL_ENDED"


class _ResultSubtype(metaclass=Namespace):
    """More about a voicemail (VoxEngine: AMD.ResultSubtype)."""

    MIMIC = "MIMIC"
    NONE = "NONE"


class AMD(metaclass=Namespace):
    """Answering machine detection; always available, not to be required."""

    AnsweringMachineDetector: TypeAlias = detector.AnsweringMachineDetector
    Events: TypeAlias = events.Events
    Model: TypeAlias = _Model
    ResultClass: TypeAlias = _ResultClass
    ResultSubtype: TypeAlias = _ResultSubtype

    @staticmethod
    def create(
        *,
        model: str,
        timeout: float = 6500,
        thresholds: Mapping[str, float] | None = None,
        call: Call | None = None,
    ) -> detector.AnsweringMachineDetector:
        """Return a detector: pass it as ``amd=`` to a call function, or give it a live ``call``.

        It counts from the answer, or from now if the call is answered.

        model: one of ``AMD.Model``, in any case of letters.
        timeout: how long it listens, 0 to 20,000 ms; then the result is TIMEOUT.
        thresholds: ``human`` (70) and ``voicemail`` (80): confidences at which it stops listening.
            Higher is surer and later. ``mimic`` is accepted and changes nothing.

        What is behind the confidence stands in docs/listening.md. Raises ScenarioError for a wrong
        argument. VoxEngine: AMD.create.
        """
        session = current("AMD.create")
        amd = detector.AnsweringMachineDetector(
            session,
            model=(name := _known(model)),
            timeout_ms=_timeout(timeout),
            thresholds=_thresholds(thresholds or {}),
        )
        session.trace.command(
            "AMD.create",
            unit=amd.id(),
            model=name,
            timeout=timeout,
            call=None if call is None else call.id(),
        )
        if call is not None:
            amd.attach(call)
        return amd


def _known(model: Any) -> str:
    if isinstance(model, str) and model.lower() in BOUNDARIES_S:
        return model.lower()
    hint = nearest(str(model), BOUNDARIES_S) or f"; known are {', '.join(BOUNDARIES_S)}"
    raise ScenarioError(f"AMD.create: {model!r} is not an AMD.Model{hint}")


def _timeout(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 <= value <= LONGEST_TIMEOUT_MS:
        return float(value)
    raise ScenarioError(
        f"AMD.create: timeout must be from 0 to {LONGEST_TIMEOUT_MS} ms, not {value!r}"
    )


def _thresholds(given: Mapping[str, Any]) -> Thresholds:
    for name, value in given.items():
        if name not in _THRESHOLDS:
            hint = nearest(str(name), _THRESHOLDS) or f"; known are {', '.join(_THRESHOLDS)}"
            raise ScenarioError(f"AMD.create: thresholds has no {name!r}{hint}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= 100:
            raise ScenarioError(
                f"AMD.create: thresholds[{name!r}] must be from 0 to 100, not {value!r}"
            )
    return Thresholds(**{n: float(v) for n, v in given.items() if n != "mimic"})
