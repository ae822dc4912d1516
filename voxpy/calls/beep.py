"""Listening for the beep of an answering machine on a call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from voxpy.audio import beep
from voxpy.audio.beep import BeepDetector
from voxpy.audio.frame import Format
from voxpy.call import Call
from voxpy.engine import clock
from voxpy.engine.session import Session
from voxpy.errors import ScenarioError
from voxpy.events import CallEvents
from voxpy.media.narrow import Narrow

__all__ = ["Beep"]


class Beep:
    """Implements ``voxpy.engine.callport.BeepDetection`` over what the far end says."""

    def __init__(self, session: Session, call: Call) -> None:
        self._session = session
        self._call = call
        self._closed = False
        self._listening = False
        self._untap: Callable[[], None] = lambda: None

    def enable(self, *, frequencies: Sequence[float] | None, timeout: float | None) -> None:
        """Start listening; again starts anew, without an event for what it replaces.

        ``BeepDetectionComplete.frequencies`` holds the one of ``frequencies`` that was heard, or
        the measured one, to 1 Hz, if none were given. Raises ScenarioError for frequencies outside
        200 to 3500 Hz, an empty list, and a timeout that is not above 0.
        """
        expected_hz, timeout_s = _checked_hz(frequencies), _checked_s(timeout)
        if not self._allowed("enable", frequencies=expected_hz, timeout=timeout):
            return
        self._stop()
        source = self._call.media.source
        if source is None:
            self._fail("the call has no sound")
            return
        ear = _Ear(expected_hz)
        deadline = clock.now() + timeout_s

        def tap(said: bytes, _heard: bytes) -> None:
            found = ear.hear(said, source.format)
            if found is not None:
                self._complete(frequencies=[found])
            elif clock.now() >= deadline:
                self._complete(timeout=True)

        self._listening = True
        self._untap = self._session.graph.tap(self._call.media, tap)

    def disable(self) -> None:
        """Stop listening, with ``timeout=False`` in the event; nothing happens if it was off."""
        if self._allowed("disable") and self._listening:
            self._complete(timeout=False)

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
        self._closed = True
        if self._listening:
            self._stop()
            self._fail("the call has ended")

    def _allowed(self, command: str, **fields: Any) -> bool:
        note = {"ignored_in_state": self._call.state()} if self._closed else {}
        name = f"Call.{command}_beep_detection"
        self._session.trace.command(name, unit=self._call.id(), **fields, **note)
        return not self._closed

    def _stop(self) -> None:
        self._listening = False
        self._untap()

    def _complete(self, **payload: Any) -> None:
        self._stop()
        event = CallEvents.BeepDetectionComplete(call=self._call, **payload)
        self._session.post(self._call.listeners, event)

    def _fail(self, reason: str) -> None:
        event = CallEvents.BeepDetectionError(call=self._call, reason=reason)
        self._session.post(self._call.listeners, event)


class _Ear:
    """Finds the frequency of the first beep in frames of any format."""

    def __init__(self, expected_hz: list[float] | None) -> None:
        self._expected_hz = expected_hz
        self._narrow: Narrow | None = None
        self._detector: BeepDetector | None = None

    def hear(self, frame: bytes, fmt: Format) -> float | None:
        narrow, detector = self._narrow, self._detector
        if narrow is None or detector is None or narrow.format != fmt:
            narrow = self._narrow = Narrow(fmt)
            detector = self._detector = BeepDetector(
                narrow.rate_hz, frequencies_hz=self._expected_hz
            )
        for found in detector.process(narrow.samples(frame or fmt.silence)):
            heard_hz = found.frequency_hz
            if self._expected_hz is None:
                return float(round(heard_hz))
            return min(self._expected_hz, key=lambda hz: abs(hz - heard_hz))
        return None


def _checked_hz(frequencies: Any) -> list[float] | None:
    if frequencies is None:
        return None
    lowest, highest = beep.LOWEST_HZ, beep.HIGHEST_HZ
    is_list = isinstance(frequencies, Sequence) and not isinstance(frequencies, str)
    if is_list and frequencies and all(_number(f) and lowest <= f <= highest for f in frequencies):
        return [float(f) for f in frequencies]
    raise ScenarioError(
        f"enable_beep_detection: frequencies are a list of {lowest:g} to {highest:g} Hz, "
        f"not {frequencies!r}"
    )


def _checked_s(timeout: Any) -> float:
    if timeout is None:
        return math.inf
    if _number(timeout) and timeout > 0:
        return float(timeout) / 1000
    raise ScenarioError(f"enable_beep_detection: timeout is milliseconds above 0, not {timeout!r}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
