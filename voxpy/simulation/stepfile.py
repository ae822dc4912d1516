"""The steps of a caller's or callee's script as their author writes them, YAML."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from voxpy.channels.simulated import PressedAs
from voxpy.engine.userfile import Document, YamlPath
from voxpy.errors import nearest
from voxpy.simulation.script import (
    Beep,
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
from voxpy.simulation.scriptvalues import check_keys, read_number, read_words

__all__ = ["STEPS", "WAITS", "read_steps"]

WAITS = ("answered", "agent_speaking", "agent_finished", "hung_up")
HIGHEST_BEEP_HZ = 3400


def read_steps(document: Document, path: YamlPath, value: Any, folder: Path) -> tuple[Step, ...]:
    """Return a list of steps; ``play:`` paths are relative to ``folder``. Raises ConfigError."""
    if not isinstance(value, list) or not value:
        raise document.error(path, f"`{path[-1]}:` must be a list of at least one step")
    return tuple(_step(document, (*path, n), step, folder) for n, step in enumerate(value))


def _step(document: Document, path: YamlPath, value: Any, folder: Path) -> Step:
    line = document.line(path)
    if value == "hang_up":
        return HangUp(line=line)
    if value == "beep":
        return Beep(line=line)
    if not isinstance(value, dict) or len(value) != 1:
        raise document.error(
            path,
            f"a step is `hang_up` or one of {', '.join(STEPS)} with its value, not {value!r}",
        )
    (name, given), *_ = value.items()
    make = STEPS.get(str(name))
    if make is None:
        raise document.error(
            path, f"unknown step {name!r}{nearest(str(name), [*STEPS, 'hang_up'])}"
        )
    return make(document, (*path, name), given, line, folder)


def _wait(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Pause(line=line, seconds=read_number(document, path, value))
    fields = value if isinstance(value, dict) else {"for": value}
    check_keys(document, path, fields, ("for", "within_s", "seconds"))
    if "seconds" in fields:
        return Pause(line=line, seconds=read_number(document, path, fields["seconds"]))
    what = fields.get("for")
    if what not in WAITS:
        raise document.error(
            path,
            f"wait is for a number of seconds or one of {', '.join(WAITS)}, not {what!r}"
            f"{nearest(str(what), WAITS)}",
        )
    within_s = read_number(document, path, fields.get("within_s", 30.0))
    return Wait(line=line, what=what, within_s=within_s)


def _say(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    return Say(line=line, text=read_words(document, path, value))


def _play(document: Document, path: YamlPath, value: Any, line: int, folder: Path) -> Step:
    file = folder / read_words(document, path, value)
    if not file.is_file():
        raise document.error(path, f"there is no file {file}")
    return Play(line=line, path=file)


def _interrupt(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    if not isinstance(value, dict):
        raise document.error(path, "interrupt takes {after_s: SECONDS, say: TEXT}")
    check_keys(document, path, value, ("after_s", "say", "within_s"))
    return Interrupt(
        line=line,
        after_s=read_number(document, path, value.get("after_s", 1.0)),
        text=read_words(document, path, value.get("say")),
        within_s=read_number(document, path, value.get("within_s", 30.0)),
    )


def _beep(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    if not isinstance(value, dict):
        raise document.error(path, "beep takes nothing or {hz: NUMBER, seconds: NUMBER}")
    check_keys(document, path, value, ("hz", "seconds"))
    numbers = {k: read_number(document, (*path, k), v) for k, v in value.items()}
    if numbers.get("hz", 0.0) > HIGHEST_BEEP_HZ:
        raise document.error((*path, "hz"), f"a telephone carries {HIGHEST_BEEP_HZ} Hz at most")
    return Beep(line=line, **numbers)


def _press(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    fields = value if isinstance(value, dict) else {"digits": value}
    check_keys(document, path, fields, ("digits", "how"))
    given, how = fields.get("digits"), fields.get("how")
    digits = str(given) if _is_one_digit(given) else given
    if not isinstance(digits, str) or not digits or not set(digits) <= set("0123456789*#"):
        raise document.error(path, f"press takes digits 0-9, * and # in quotes, not {given!r}")
    if how is not None and how not in get_args(PressedAs):
        raise document.error(
            (*path, "how"),
            f"unknown how {how!r}{nearest(str(how), get_args(PressedAs))} "
            f"(known: {', '.join(get_args(PressedAs))})",
        )
    return Press(line=line, digits=digits, how=how)


def _is_one_digit(value: Any) -> bool:
    """Whether an unquoted number is safe to take: YAML reads 0123 as octal and 1_2 as 12."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9


def _message(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    return Message(line=line, text=read_words(document, path, value))


def _info(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    if not isinstance(value, dict):
        raise document.error(path, "info takes {mime_type: TYPE, body: TEXT}")
    check_keys(document, path, value, ("mime_type", "body"))
    mime_type = read_words(document, path, value.get("mime_type", "text/plain"))
    return Info(line=line, mime_type=mime_type, body=read_words(document, path, value.get("body")))


def _silence(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    return Pause(line=line, seconds=read_number(document, path, value))


def _expect(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    fields = value if isinstance(value, dict) else {"heard": value}
    check_keys(document, path, fields, ("heard", "within_s"))
    pattern = read_words(document, path, fields.get("heard"))
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise document.error(path, f"{pattern!r} is not a regular expression: {error}") from error
    within_s = read_number(document, path, fields.get("within_s", 15.0))
    return Expect(line=line, heard=compiled, within_s=within_s)


STEPS: dict[str, Callable[[Document, YamlPath, Any, int, Path], Step]] = {
    "wait": _wait,
    "say": _say,
    "play": _play,
    "beep": _beep,
    "interrupt": _interrupt,
    "press": _press,
    "silence": _silence,
    "message": _message,
    "info": _info,
    "expect": _expect,
}
