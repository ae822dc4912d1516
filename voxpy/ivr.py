"""``IVR`` and ``IVRState``: menus by keys (VoxEngine: IVR module). ``require(Modules.IVR)``.

A state plays its prompt to the call, collects digits, and goes on to the next state::

    goodbye = IVRState("goodbye", {"type": "noinput", "prompt": {"say": "Goodbye."}})
    menu = IVRState(
        "menu",
        {
            "type": "select",
            "prompt": {"say": "For sales press one."},
            "nextStates": {"1": goodbye},
        },
        on_input_timeout=lambda data: VoxEngine.terminate(),
    )
    menu.enter(call)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from voxpy.call import Call
from voxpy.engine.context import current
from voxpy.engine.units import describe, fitted
from voxpy.errors import HelpsWithNames, ScenarioError, nearest
from voxpy.events import CallEvents
from voxpy.timers import clear_timeout, set_timeout

__all__ = ["IVR", "IVRNamespace", "IVRState"]

TIMEOUT_MS = 5000.0
TYPES = ("select", "inputfixed", "inputunknown", "noinput")
_SETTINGS = {
    "type": "type",
    "prompt": "prompt",
    "inputvalidator": "input_validator",
    "inputlength": "input_length",
    "timeout": "timeout",
    "nextstates": "next_states",
    "terminateon": "terminate_on",
    "nextstate": "next_state",
}
Callback = Callable[..., Any]


class IVRNamespace(HelpsWithNames):
    """What menus share in a session; made once, as ``IVR``."""

    __slots__ = ()

    def reset(self) -> None:
        """Forget which state the session's menu is in. VoxEngine: IVR.reset."""
        entered = current("IVR.reset").parts.pop("IVR", None)
        if entered is not None:
            entered._leave()

    def _title(self) -> str:
        return "IVR"


IVR = IVRNamespace()


class IVRState(HelpsWithNames):
    """One step of a menu (VoxEngine: IVRState).

    settings: a dict, keys as in VoxEngine or in snake_case:

        - ``type``: ``select`` takes a digit of ``nextStates``, ``inputfixed`` as many digits as
          ``inputLength`` says, ``inputunknown`` digits up to ``terminateOn`` (``#``) or the
          timeout, ``noinput`` only plays;
        - ``prompt``: ``{"say": text, "lang": Language.…}`` or ``{"play": url}``;
        - ``timeout``: ms without a digit after the prompt (5000);
        - ``inputValidator``: a function of the digits that says whether they are complete;
        - ``nextStates``: states by digits, ``nextState``: the one that always follows.

    on_input_complete: called with the digits, where no state follows.
    on_input_timeout: called with the digits so far.

    Raises ScenarioError for settings that are unknown or contradict each other.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        on_input_complete: Callback | None = None,
        on_input_timeout: Callback | None = None,
    ) -> None:
        self.name = name
        self.settings = _checked(name, settings)
        self.input = ""
        """The digits so far."""
        self._complete = on_input_complete
        self._timeout = on_input_timeout
        self._timer: int | None = None
        self._call: Call | None = None

    def enter(self, call: Call) -> None:
        """Play the prompt to ``call`` and take its digits; another state of the session is left.

        VoxEngine: IVRState.enter.
        """
        session = current("IVRState.enter")
        IVR.reset()
        session.parts["IVR"] = self
        session.trace.command("IVRState.enter", unit=call.id(), state=self.name)
        self.input = ""
        self._call = call
        call.add_event_listener(CallEvents.ToneReceived, self._on_tone)
        call.add_event_listener(CallEvents.PlaybackFinished, self._on_prompt_over)
        call.add_event_listener(CallEvents.Disconnected, self._leave)
        call.handle_tones(True)
        prompt = self.settings.get("prompt")
        if prompt is None:
            self._on_prompt_over()
        elif "say" in prompt:
            call.say(prompt["say"], prompt.get("lang"))
        else:
            call.start_playback(prompt["play"])

    # -- what happens ------------------------------------------------------------------------------

    def _on_tone(self, event: CallEvents.ToneReceived) -> None:
        kind, call = self.settings["type"], self._call
        if kind == "noinput" or call is None:
            return
        call.stop_playback()
        self._wait()
        if kind == "inputunknown" and event.tone == self.settings.get("terminate_on", "#"):
            self._over()
            return
        self.input += event.tone
        valid = self.settings.get("input_validator")
        if valid is not None:
            complete = bool(valid(self.input))
        elif kind == "inputfixed":
            complete = len(self.input) >= self.settings["input_length"]
        else:
            complete = kind == "select" and self.input in self.settings["next_states"]
        if complete:
            self._over()

    def _on_prompt_over(self) -> None:
        if self.settings["type"] == "noinput":
            self._over()
        else:
            self._wait()

    def _wait(self) -> None:
        clear_timeout(self._timer)
        self._timer = set_timeout(self._on_timeout, self.settings.get("timeout", TIMEOUT_MS))

    def _on_timeout(self) -> None:
        if self.settings["type"] == "inputunknown" and self.input:
            self._over()
            return
        self._leave()
        if self._timeout is not None:
            self._tell(self._timeout)

    def _over(self) -> None:
        call = self._call
        self._leave()
        following = self.settings.get("next_states", {}).get(
            self.input, self.settings.get("next_state")
        )
        if following is not None and call is not None:
            following.enter(call)
        elif self._complete is not None:
            self._tell(self._complete)

    def _tell(self, callback: Callback) -> None:
        session = current("IVRState")
        session.post_callback(f"IVR {describe(callback)}", fitted(callback, self.input))

    def _leave(self) -> None:
        clear_timeout(self._timer)
        call, self._call = self._call, None
        if call is not None:
            call.remove_event_listener(CallEvents.ToneReceived, self._on_tone)
            call.remove_event_listener(CallEvents.PlaybackFinished, self._on_prompt_over)
            call.remove_event_listener(CallEvents.Disconnected, self._leave)


def _checked(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    wrong = partial(_wrong, name)
    found: dict[str, Any] = {}
    for key, value in settings.items():
        known = _SETTINGS.get(str(key).replace("_", "").lower())
        if known is None:
            raise wrong(f"there is no setting {key!r}{nearest(str(key), _SETTINGS.values())}")
        found[known] = value
    kind = found.get("type")
    if kind not in TYPES:
        raise wrong(f"type is one of {', '.join(TYPES)}, not {kind!r}")
    prompt = found.get("prompt")
    if prompt is not None and not (isinstance(prompt, Mapping) and {"say", "play"} & set(prompt)):
        raise wrong(f"prompt is {{'say': text}} or {{'play': url}}, not {prompt!r}")
    states = found.get("next_states")
    if kind == "select" and not states:
        raise wrong("a select needs nextStates, such as {'1': state}")
    always = [found["next_state"]] if "next_state" in found else []
    for state in [*(states or {}).values(), *always]:
        if not isinstance(state, IVRState):
            raise wrong(f"a next state is an IVRState, not {state!r}")
    if kind == "inputfixed" and "input_validator" not in found:
        length = found.get("input_length")
        if not isinstance(length, int) or length < 1:
            raise wrong(f"an inputfixed needs inputLength, a number of digits, not {length!r}")
    return found


def _wrong(name: str, what: str) -> ScenarioError:
    return ScenarioError(f"IVRState {name!r}: {what}")
