"""The ``service:`` and ``moments:`` of a caller's script as their author writes them, YAML."""

from __future__ import annotations

from typing import Any

from voxpy.engine.userfile import Document, YamlPath
from voxpy.errors import nearest
from voxpy.simulation.scriptvalues import check_keys, read_number, read_words
from voxpy.simulation.service import DEEDS, CallsTool, Moment, ServiceScript, Speech
from voxpy.wire.realtime.server.faults import Faults
from voxpy.wire.realtime.server.quirks import parse_switches

__all__ = ["read_moments", "read_service", "read_speech"]

SERVICE_KEYS = ("says", "faults", "seed")
WITH_NUMBER = {"close": 1000.0, "stall": 0.0}
"""What takes a number, and its least value (RFC 6455 section 7.4 for codes)."""
HIGHEST_CODE = 4999


def read_service(document: Document, value: Any) -> ServiceScript | None:
    """Return how the service behaves, None where nothing is said. Raises ConfigError."""
    path: YamlPath = ("service",)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise document.error(path, f"`service:` must be a mapping of {', '.join(SERVICE_KEYS)}")
    check_keys(document, path, value, SERVICE_KEYS)
    turns = value.get("says") or []
    if not isinstance(turns, list):
        raise document.error((*path, "says"), "`says:` must be a list of the agent's turns")
    return ServiceScript(
        says=tuple(_turn(document, (*path, "says", n), turn) for n, turn in enumerate(turns)),
        faults=_faults(document, (*path, "faults"), value.get("faults") or {}),
        seed=int(read_number(document, (*path, "seed"), value.get("seed", 0))),
    )


def read_moments(document: Document, value: Any) -> tuple[Moment, ...]:
    """Return what happens when. Raises ConfigError."""
    path: YamlPath = ("moments",)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise document.error(path, "`moments:` must be a list")
    return tuple(_moment(document, (*path, n), moment) for n, moment in enumerate(value))


def read_speech(document: Document, value: Any) -> Speech:
    """Return how everybody speaks. Raises ConfigError."""
    if value == "real":
        return "real"
    if value == "tones":
        return "tones"
    raise document.error(("speech",), f"speech is real or tones, not {value!r}")


def _turn(document: Document, path: YamlPath, value: Any) -> tuple[str | CallsTool, ...]:
    if isinstance(value, list):
        return tuple(_act(document, (*path, n), act) for n, act in enumerate(value))
    return (_act(document, path, value),)


def _act(document: Document, path: YamlPath, value: Any) -> str | CallsTool:
    if not isinstance(value, dict):
        return read_words(document, path, value)
    check_keys(document, path, value, ("call", "with"))
    name = read_words(document, (*path, "call"), value.get("call"))
    arguments = value.get("with", {})
    if not isinstance(arguments, dict | str):
        raise document.error((*path, "with"), "a tool is called with a mapping, or text as it is")
    return CallsTool(name, arguments)


def _faults(document: Document, path: YamlPath, value: Any) -> Faults:
    if not isinstance(value, dict):
        raise document.error(path, "`faults:` must be a mapping; `voxpy agent --help` lists them")
    settings = []
    for name, given in value.items():
        text = str(given).lower() if given is None or isinstance(given, bool) else str(given)
        settings.append(f"{name}={text}")
        try:
            parse_switches(Faults, settings[-1:])
        except ValueError as error:
            raise document.error((*path, name), f"faults: {error}") from error
    return parse_switches(Faults, settings)


def _moment(document: Document, path: YamlPath, value: Any) -> Moment:
    if not isinstance(value, dict):
        raise document.error(path, "a moment is {at_event: N, do: ...} or {at_s: SECONDS, do: ...}")
    check_keys(document, path, value, ("at_event", "at_s", "do"))
    if ("at_event" in value) == ("at_s" in value):
        raise document.error(path, "a moment has either at_event or at_s")
    does, given = _deed(document, (*path, "do"), value.get("do"))
    if "at_s" in value:
        at_s = read_number(document, (*path, "at_s"), value["at_s"])
        return Moment(does=does, at_s=at_s, value=given)
    at_event = read_number(document, (*path, "at_event"), value["at_event"], at_least=1)
    return Moment(does=does, at_event=int(at_event), value=given)


def _deed(document: Document, path: YamlPath, value: Any) -> tuple[Any, Any]:
    pair = dict(value) if isinstance(value, dict) else {value: None}
    if len(pair) != 1:
        raise document.error(path, f"do is one of {', '.join(DEEDS)}, not {value!r}")
    ((does, given),) = pair.items()
    if does not in DEEDS:
        raise document.error(path, f"unknown {does!r}{nearest(str(does), DEEDS)}")
    if does in WITH_NUMBER:
        number = read_number(document, path, given, at_least=WITH_NUMBER[does])
        if does == "close" and not (number.is_integer() and number <= HIGHEST_CODE):
            raise document.error(path, f"close takes a code from 1000 to {HIGHEST_CODE}")
        return does, int(number) if does == "close" else number
    if does == "error":
        return does, read_words(document, path, given)
    if does == "send" and not isinstance(given, dict):
        raise document.error(path, "send takes the event, a mapping")
    if does != "send" and given is not None:
        raise document.error(path, f"{does} takes no value")
    return does, given
