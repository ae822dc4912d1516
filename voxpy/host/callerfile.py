"""A caller's script as its author writes it, YAML, and what ``--caller`` accepts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxpy.channels.script import (
    CallerScript,
    Expect,
    HangUp,
    Interrupt,
    LineOptions,
    Pause,
    Play,
    Press,
    Say,
    Step,
    Wait,
)
from voxpy.engine.yaml_lines import Document, YamlPath, load
from voxpy.errors import ConfigError, nearest

__all__ = ["default_script", "parse_script", "read_script", "wav_script"]

TOP_KEYS = ("from", "to", "display_name", "voice", "line", "steps", "may_be_refused")
LOWEST_DBFS = -120.0
LINE_KEYS = ("loss", "jitter_ms", "noise_dbfs", "seed")
WAITS = ("answered", "agent_speaking", "agent_finished", "hung_up")
DEFAULT_STEPS = """
may_be_refused: true
steps:
  - wait: answered
  - wait: 2
  - say: Hello. What can you do for me?
  - wait: 5
  - say: Thank you. Goodbye.
  - wait: 2
  - hang_up
"""


def read_script(path: Path) -> CallerScript:
    """Read a caller: a YAML script, or a WAV file to be played. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError("there is no such caller script or WAV file", file=str(path))
    if path.suffix.lower() == ".wav":
        return wav_script(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
    return parse_script(text, file=str(path), folder=path.parent)


def default_script(scenario: Path) -> CallerScript:
    """Return ``callers/<scenario>.yaml`` beside the scenario if it exists, else a polite caller."""
    own = scenario.parent / "callers" / f"{scenario.stem}.yaml"
    if own.is_file():
        return read_script(own)
    return parse_script(DEFAULT_STEPS, file="", folder=Path())


def wav_script(path: Path) -> CallerScript:
    """Return a caller who plays a file, listens for two seconds and hangs up."""
    return CallerScript(
        steps=(Wait(what="answered"), Play(path=path), Pause(seconds=2.0), HangUp()),
        source=str(path),
    )


def parse_script(text: str, *, file: str, folder: Path) -> CallerScript:
    """Parse a YAML script; ``play:`` paths are relative to ``folder``.

    Raises ConfigError with file and line.
    """
    document = load(text, file=file or "the default caller")
    top = document.value
    if not isinstance(top, dict):
        raise document.error((), "expected a mapping with `steps:`")
    _known_keys(document, (), top, TOP_KEYS)
    steps = top.get("steps")
    if not isinstance(steps, list) or not steps:
        raise document.error(("steps",), "`steps:` must be a list of at least one step")
    return CallerScript(
        callerid=_text(document, ("from",), top.get("from", "+15550100")),
        destination=_text(document, ("to",), top.get("to", "+15550199")),
        display_name=_text(document, ("display_name",), top.get("display_name", "")),
        voice=_text(document, ("voice",), top.get("voice", "alto")),
        line=_line_options(document, top.get("line") or {}),
        may_be_refused=_flag(document, ("may_be_refused",), top.get("may_be_refused", False)),
        steps=tuple(_step(document, ("steps", n), step, folder) for n, step in enumerate(steps)),
        source=file,
    )


def _line_options(document: Document, value: Any) -> LineOptions:
    if not isinstance(value, dict):
        raise document.error(("line",), f"`line:` must be a mapping of {', '.join(LINE_KEYS)}")
    _known_keys(document, ("line",), value, LINE_KEYS)
    numbers = {
        k: _number(document, ("line", k), v, at_least=LOWEST_DBFS if k == "noise_dbfs" else 0.0)
        for k, v in value.items()
    }
    if numbers.get("noise_dbfs", 0.0) > 0:
        raise document.error(("line", "noise_dbfs"), "noise_dbfs is a level from -120 to 0")
    if not 0 <= numbers.get("loss", 0) <= 1:
        raise document.error(("line", "loss"), "loss is a fraction from 0 to 1")
    if "seed" in numbers:
        numbers["seed"] = int(numbers["seed"])
    return LineOptions(**numbers)  # type: ignore[arg-type]


def _step(document: Document, path: YamlPath, value: Any, folder: Path) -> Step:
    line = document.line(path)
    if value == "hang_up":
        return HangUp(line=line)
    if not isinstance(value, dict) or len(value) != 1:
        raise document.error(
            path, f"a step is `hang_up` or one of {', '.join(_STEPS)} with its value, not {value!r}"
        )
    (name, given), *_ = value.items()
    make = _STEPS.get(str(name))
    if make is None:
        raise document.error(
            path, f"unknown step {name!r}{nearest(str(name), [*_STEPS, 'hang_up'])}"
        )
    return make(document, (*path, name), given, line, folder)


def _wait(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Pause(line=line, seconds=_number(document, path, value))
    fields = value if isinstance(value, dict) else {"for": value}
    _known_keys(document, path, fields, ("for", "within_s", "seconds"))
    if "seconds" in fields:
        return Pause(line=line, seconds=_number(document, path, fields["seconds"]))
    what = fields.get("for")
    if what not in WAITS:
        raise document.error(
            path,
            f"wait is for a number of seconds or one of {', '.join(WAITS)}, not {what!r}"
            f"{nearest(str(what), WAITS)}",
        )
    within_s = _number(document, path, fields.get("within_s", 30.0))
    return Wait(line=line, what=what, within_s=within_s)


def _say(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    return Say(line=line, text=_words(document, path, value))


def _play(document: Document, path: YamlPath, value: Any, line: int, folder: Path) -> Step:
    file = folder / _words(document, path, value)
    if not file.is_file():
        raise document.error(path, f"there is no file {file}")
    return Play(line=line, path=file)


def _interrupt(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    if not isinstance(value, dict):
        raise document.error(path, "interrupt takes {after_s: SECONDS, say: TEXT}")
    _known_keys(document, path, value, ("after_s", "say", "within_s"))
    return Interrupt(
        line=line,
        after_s=_number(document, path, value.get("after_s", 1.0)),
        text=_words(document, path, value.get("say")),
        within_s=_number(document, path, value.get("within_s", 30.0)),
    )


def _press(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    digits = str(value) if _is_one_digit(value) else value
    if not isinstance(digits, str) or not digits or not set(digits) <= set("0123456789*#"):
        raise document.error(path, f"press takes digits 0-9, * and # in quotes, not {value!r}")
    return Press(line=line, digits=digits)


def _is_one_digit(value: Any) -> bool:
    """Whether an unquoted number is safe to take: YAML reads 0123 as octal and 1_2 as 12."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9


def _silence(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    return Pause(line=line, seconds=_number(document, path, value))


def _expect(document: Document, path: YamlPath, value: Any, line: int, _: Path) -> Step:
    fields = value if isinstance(value, dict) else {"heard": value}
    _known_keys(document, path, fields, ("heard", "within_s"))
    pattern = _words(document, path, fields.get("heard"))
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise document.error(path, f"{pattern!r} is not a regular expression: {error}") from error
    within_s = _number(document, path, fields.get("within_s", 15.0))
    return Expect(line=line, heard=compiled, within_s=within_s)


_STEPS: dict[str, Callable[[Document, YamlPath, Any, int, Path], Step]] = {
    "wait": _wait,
    "say": _say,
    "play": _play,
    "interrupt": _interrupt,
    "press": _press,
    "silence": _silence,
    "expect": _expect,
}


def _known_keys(
    document: Document, path: YamlPath, value: dict[Any, Any], known: tuple[str, ...]
) -> None:
    for key in value:
        if key not in known:
            raise document.error(
                (*path, key),
                f"unknown key {key!r}{nearest(str(key), known)} (known: {', '.join(known)})",
            )


def _text(document: Document, path: YamlPath, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise document.error(path, f"expected text, not {value!r}; put it in quotes")


def _flag(document: Document, path: YamlPath, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise document.error(path, f"expected true or false, not {value!r}")


def _words(document: Document, path: YamlPath, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise document.error(path, f"expected text, not {value!r}")


def _number(document: Document, path: YamlPath, value: Any, *, at_least: float = 0.0) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and value >= at_least:
        return float(value)
    raise document.error(path, f"expected a number from {at_least:g} up, not {value!r}")
