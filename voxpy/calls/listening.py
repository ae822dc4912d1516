"""What a call is listened to for: digits, the beep of an answering machine, and speech.

Each is off until the scenario asks for it, and costs nothing then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from voxpy.audio import beep
from voxpy.audio.beep import BeepDetector
from voxpy.audio.dtmf import DigitBegan, DigitEnded
from voxpy.audio.frame import Format, Samples
from voxpy.calls.state import CallState
from voxpy.engine import clock
from voxpy.engine.hearing import GateTask
from voxpy.engine.ports import LegTone
from voxpy.errors import EngineMissing, ScenarioError
from voxpy.events import CallEvents
from voxpy.media.digits import DigitFilter
from voxpy.media.narrow import Narrow
from voxpy.media.turns import SpeechStarted, SpeechStopped, TurnDetector
from voxpy.media.vad import FRAME_MS

# -- digits: from three ways of sending them to one event each -------------------------------------

IN_BAND = "2"
"""``ToneReceived.type`` and ``LegTone.kind`` of a digit that was heard."""

_KINDS = {
    "ALL": frozenset("123"),
    "TELEPHONE_EVENT": frozenset("1"),
    "IN_BAND": frozenset(IN_BAND),
    "SIP_INFO": frozenset("3"),
}
"""What the members of ``DTMFType`` want."""
_SAME_PRESS_S = 1.0
"""The same digit by another way within this time is the same press.

A far end may send a digit beside the audio and in it; a SIP INFO follows when the key is up.
"""


@attrs.define(eq=False)
class _Told:
    """A digit that was reported and has not come by another way yet."""

    tone: str
    kind: str
    at_s: float


class Tones:
    """What ``call.handle_tones`` turns on. Off it costs nothing: the graph has no stage for it."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._session = state.session
        self._call = state.call
        self._wanted: frozenset[str] = frozenset()
        self._told: list[_Told] = []
        self._stop_listening: Callable[[], None] = lambda: None

    def handle(self, enable: bool, dtmf_type: str) -> bool:
        """Report digits of ``dtmf_type`` from now on, or none.

        Returns whether digits that come beside the audio are wanted.
        """
        self.close()
        self._wanted = _KINDS[dtmf_type] if enable else frozenset()
        if IN_BAND in self._wanted and self._call.media.source is not None:
            listening = DigitFilter(self._heard)
            self._stop_listening = self._session.graph.insert(self._call.media, listening)
        return bool(self._wanted - {IN_BAND})

    def reported(self, event: LegTone) -> None:
        """Take a digit that the leg reports."""
        self._take(event.tone, event.kind)

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
        self._stop_listening()
        self._wanted = frozenset()
        self._told.clear()

    def _heard(self, event: DigitBegan | DigitEnded) -> None:
        if isinstance(event, DigitBegan):
            self._take(event.digit, IN_BAND)
            return
        for told in self._told:  # what comes beside the audio may wait for the end of the press
            if told.tone == event.digit and told.kind == IN_BAND:
                told.at_s = clock.now()

    def _take(self, tone: str, kind: str) -> None:
        if kind not in self._wanted:
            return
        now = clock.now()
        self._told = [t for t in self._told if now - t.at_s <= _SAME_PRESS_S]
        for told in self._told:
            if told.tone == tone and told.kind != kind:
                self._told.remove(told)
                self._session.trace.step(
                    "the same digit by another way", unit=self._call.id(), tone=tone, type=kind
                )
                return
        self._told.append(_Told(tone, kind, now))
        self._state.post(CallEvents.ToneReceived(call=self._call, tone=tone, type=kind))


# -- beeps ---------------------------------------------------------------------------------------


class Beep:
    """What ``call.enable_beep_detection`` turns on: listens to what the far end says."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._session = state.session
        self._call = state.call
        self._listening = False
        self._untap: Callable[[], None] = lambda: None

    def enable(self, *, frequencies: Sequence[float] | None, timeout: float | None) -> None:
        """Start listening; again starts anew, without an event for what it replaces.

        ``BeepDetectionComplete.frequencies`` holds the one of ``frequencies`` that was heard, or
        the measured one, to 1 Hz, if none were given. Raises ScenarioError for frequencies outside
        200 to 3500 Hz, an empty list, and a timeout that is not above 0.
        """
        expected_hz, timeout_s = _checked_hz(frequencies), _checked_s(timeout)
        if not self._state.takes("enable_beep_detection", frequencies=expected_hz, timeout=timeout):
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
        if self._state.takes("disable_beep_detection") and self._listening:
            self._complete(timeout=False)

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
        if self._listening:
            self._stop()
            self._fail("the call has ended")

    def _stop(self) -> None:
        self._listening = False
        self._untap()

    def _complete(self, **payload: Any) -> None:
        self._stop()
        self._state.post(CallEvents.BeepDetectionComplete(call=self._call, **payload))

    def _fail(self, reason: str) -> None:
        self._state.post(CallEvents.BeepDetectionError(call=self._call, reason=reason))


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


# -- speech --------------------------------------------------------------------------------------

START_MS = 60
"""Speech before it counts: two answers of the gate, so that a click does not."""
SILENCE_MS = 300
"""Silence that ends it: longer than the pauses inside a sentence, shorter than the end of one."""


class Mic:
    """What ``call.handle_mic_status`` turns on: tells when the far end speaks."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._session = state.session
        self._call = state.call
        self._listening: GateTask | None = None
        self._untap: Callable[[], None] = lambda: None

    @property
    def enabled(self) -> bool:
        """Whether voice activity is reported."""
        return self._listening is not None

    def handle(self, enable: bool) -> None:
        """Start or stop reporting; twice the same changes nothing.

        While it is on, a change is reported 64 ms after the far end begins to speak and 300 ms
        after it stops. Without speech engines the log says so and nothing is reported.
        """
        if not self._state.takes("handle_mic_status", enable=enable):
            return
        if bool(enable) == self.enabled:
            return
        if enable:
            self._start()
        else:
            self._stop()

    def close(self) -> None:
        """Stop for good: the call is over. Idempotent."""
        self._stop()

    def _start(self) -> None:
        detector = TurnDetector(start_ms=START_MS, silence_ms=SILENCE_MS, prefix_padding_ms=0)

        def hear(probability: float, _samples: Samples) -> None:
            for event in detector.feed(probability, FRAME_MS):
                if isinstance(event, SpeechStarted | SpeechStopped):
                    self._post(active=isinstance(event, SpeechStarted))

        unit = f"the microphone of {self._call.id()}"
        listening = self._listening = GateTask(self._session, unit, hear)
        self._session.spawn(unit, self._listen, listening)
        source = self._call.media.source
        assert source is not None

        def tap(said: bytes, _heard: bytes) -> None:
            listening.intake.put(said, source.format)

        self._untap = self._session.graph.tap(self._call.media, tap)

    async def _listen(self, listening: GateTask) -> None:
        try:
            await listening.open()
        except EngineMissing as error:
            self._session.trace.warning(
                "handle_mic_status: nothing will be reported",
                unit=self._call.id(),
                message=str(error),
            )
            if listening is self._listening:
                self._stop()
            return
        await listening.run()

    def _stop(self) -> None:
        self._untap()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def _post(self, *, active: bool) -> None:
        self._state.post(CallEvents.MicStatusChange(call=self._call, active=active))
