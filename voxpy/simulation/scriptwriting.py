"""Writes a caller's script as the YAML that ``callerfile`` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import yaml

from voxpy.simulation.script import (
    Beep,
    CallerScript,
    Expect,
    HangUp,
    Info,
    Interrupt,
    Message,
    Pause,
    Play,
    Press,
    Say,
    Step,
    Wait,
)
from voxpy.simulation.service import CallsTool, Moment, ServiceScript

__all__ = ["write_script"]


def write_script(script: CallerScript) -> str:
    """Return the YAML of a script: what is as by default is left out.

    Raises ValueError for one with callees: they are patterns that somebody wrote elsewhere.
    """
    if script.callees:
        raise ValueError("a script with callees is not written back")
    plain = CallerScript()
    told: dict[str, Any] = {
        "from": script.callerid if script.callerid != plain.callerid else None,
        "to": script.destination if script.destination != plain.destination else None,
        "display_name": script.display_name or None,
        "voice": script.voice if script.voice != plain.voice else None,
        "speech": script.speech if script.speech != plain.speech else None,
        "may_be_refused": script.may_be_refused or None,
        "line": _changed(script.line) or None,
        "service": _service(script.service) if script.service is not None else None,
        "moments": [_moment(m) for m in script.moments] or None,
        "steps": [_STEPS[type(step)](step) for step in script.steps] or ["hang_up"],
    }
    kept = {key: value for key, value in told.items() if value is not None}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def _changed(options: attrs.AttrsInstance) -> dict[str, Any]:
    plain = type(options)()
    pairs = ((f.name, getattr(options, f.name)) for f in attrs.fields(type(options)))
    return {name: value for name, value in pairs if value != getattr(plain, name)}


def _service(service: ServiceScript) -> dict[str, Any]:
    told = {
        "says": [_turn(turn) for turn in service.says],
        "faults": _changed(service.faults),
        "seed": service.seed,
    }
    return {key: value for key, value in told.items() if value}


def _turn(turn: tuple[str | CallsTool, ...]) -> Any:
    acts = [_act(act) for act in turn]
    return acts[0] if len(acts) == 1 else acts


def _act(act: str | CallsTool) -> Any:
    if isinstance(act, str):
        return act
    given = act.arguments
    return {"call": act.name, "with": dict(given) if isinstance(given, Mapping) else given}


def _moment(moment: Moment) -> dict[str, Any]:
    when = {"at_s": moment.at_s} if moment.at_event is None else {"at_event": moment.at_event}
    given = moment.value
    if given is None:
        return {**when, "do": moment.does}
    return {**when, "do": {moment.does: dict(given) if isinstance(given, Mapping) else given}}


def _patient(what: Any, step: Any) -> Any:
    """Return a step's name, with its patience where that is not the usual."""
    usual = attrs.fields_dict(type(step))["within_s"].default
    return what if step.within_s == usual else {"for": what, "within_s": step.within_s}


def _interrupt(step: Any) -> dict[str, Any]:
    return {
        "interrupt": {"after_s": step.after_s, "say": step.text, "within_s": step.within_s},
    }


def _press(step: Any) -> dict[str, Any]:
    return {"press": step.digits if step.how is None else {"digits": step.digits, "how": step.how}}


_STEPS: Mapping[type[Step], Callable[[Any], Any]] = {
    Wait: lambda step: {"wait": _patient(step.what, step)},
    Pause: lambda step: {"wait": step.seconds},
    Say: lambda step: {"say": step.text},
    Play: lambda step: {"play": str(step.path)},
    Beep: lambda step: {"beep": {"hz": step.hz, "seconds": step.seconds}},
    Interrupt: _interrupt,
    Press: _press,
    Message: lambda step: {"message": step.text},
    Info: lambda step: {"info": {"mime_type": step.mime_type, "body": step.body}},
    Expect: lambda step: {"expect": {"heard": step.heard.pattern, "within_s": step.within_s}},
    HangUp: lambda step: "hang_up",
}
