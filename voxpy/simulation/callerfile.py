"""Callers and callees as their author writes them, YAML, and what ``--caller`` accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from voxpy.engine.userfile import Document, YamlPath, load
from voxpy.errors import ConfigError
from voxpy.project.patterns import compile_pattern
from voxpy.simulation.script import (
    CalleeScript,
    CallerScript,
    HangUp,
    LineOptions,
    Pause,
    Play,
    Say,
    StayOn,
    Step,
    Wait,
)
from voxpy.simulation.scriptvalues import check_keys, read_flag, read_number, read_text
from voxpy.simulation.servicefile import read_moments, read_service, read_speech
from voxpy.simulation.stepfile import read_steps

__all__ = [
    "ANYBODY",
    "default_script",
    "parse_script",
    "polite_script",
    "read_callee",
    "read_script",
    "wav_script",
]

TOP_KEYS = (
    "from", "to", "display_name", "voice", "line", "steps", "may_be_refused", "callees", "service",
    "moments", "speech",
)  # fmt: skip
TEST_KEYS = ("scenario", "secrets", "http", "expect")
"""What only ``voxpy test`` reads; see voxpy.lab.suite.casefile."""
CALLEE_KEYS = (
    "rings_s", "before_answer", "answer", "busy", "no_answer", "reject", "voice", "line", "steps",
)  # fmt: skip
OUTCOMES = ("answer", "busy", "no_answer", "reject")
BUSY_HERE = 486
LOWEST_DBFS = -120.0
LINE_KEYS = ("loss", "jitter_ms", "noise_dbfs", "seed")
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


ANYBODY = CalleeScript(
    destination=re.compile(r"(?s).*"), steps=(Say(text="Hello, who is calling?"), StayOn())
)
"""Who takes a call to a destination that no callee is written for."""


def read_script(path: Path) -> CallerScript:
    """Read a caller: a YAML script, or a WAV file to be played. Raises ConfigError."""
    text = _read(path, "caller")
    return (
        wav_script(path) if text is None else parse_script(text, file=str(path), folder=path.parent)
    )


def read_callee(destination: str, what: str) -> CalleeScript:
    """Return the callee of ``--callee DESTINATION=WHAT``; ``destination`` is a pattern.

    ``what`` is ``answer``, ``busy``, ``no_answer``, a YAML file with what would stand under the
    pattern in a caller's ``callees:``, or a WAV file to be played. Raises ConfigError.
    """
    try:
        pattern = _destination(destination)
    except ValueError as error:
        raise ConfigError(f"--callee: {error}") from error
    if what in OUTCOMES[:3]:
        return _callee(load(what, file="--callee"), (), what, pattern, Path(), "")
    path = Path(what)
    text = _read(path, "callee")
    if text is None:
        return CalleeScript(destination=pattern, steps=(Play(path=path), HangUp()), source=what)
    document = load(text, file=what)
    return _callee(document, (), document.value, pattern, path.parent, what)


def _read(path: Path, who: str) -> str | None:
    """Return the text of a script, or None if it is a WAV file."""
    if not path.is_file():
        raise ConfigError(f"there is no such {who} script or WAV file", file=str(path))
    if path.suffix.lower() == ".wav":
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error


def default_script(scenario: Path) -> CallerScript:
    """Return ``callers/<scenario>.yaml`` beside the scenario if it exists, else a polite caller."""
    own = scenario.parent / "callers" / f"{scenario.stem}.yaml"
    return read_script(own) if own.is_file() else polite_script()


def polite_script() -> CallerScript:
    """Return a caller who says hello, asks what there is to ask, and thanks."""
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
    check_keys(document, (), top, (*TOP_KEYS, *TEST_KEYS))
    return CallerScript(
        callerid=read_text(document, ("from",), top.get("from", "+15550100")),
        destination=read_text(document, ("to",), top.get("to", "+15550199")),
        display_name=read_text(document, ("display_name",), top.get("display_name", "")),
        voice=read_text(document, ("voice",), top.get("voice", "alto")),
        line=_line_options(document, (), top.get("line") or {}),
        may_be_refused=read_flag(document, ("may_be_refused",), top.get("may_be_refused", False)),
        callees=_callees(document, top.get("callees") or {}, folder, file),
        service=read_service(document, top.get("service")),
        moments=read_moments(document, top.get("moments")),
        speech=read_speech(document, top.get("speech", "real")),
        steps=read_steps(document, ("steps",), top.get("steps"), folder),
        source=file,
    )


def _callees(document: Document, value: Any, folder: Path, file: str) -> tuple[CalleeScript, ...]:
    path = ("callees",)
    if not isinstance(value, dict):
        raise document.error(path, "`callees:` must be a mapping of destinations to callees")
    callees = []
    for key, given in value.items():
        try:
            pattern = _destination(str(key))
        except ValueError as error:
            raise document.error((*path, key), f"callee {error}") from error
        callees.append(_callee(document, (*path, key), given, pattern, folder, file))
    return tuple(callees)


def _destination(text: str) -> re.Pattern[str]:
    """Compile a callee's pattern: a leading ``+`` is a number's own, and no matter to it."""
    return compile_pattern(rf"\+?{text[1:]}" if text.startswith("+") else text)


def _callee(
    document: Document,
    path: YamlPath,
    value: Any,
    pattern: re.Pattern[str],
    folder: Path,
    file: str,
) -> CalleeScript:
    fields = {value: None} if isinstance(value, str) else value
    if not isinstance(fields, dict):
        raise document.error(
            path, f"a callee is {', '.join(OUTCOMES[:3])}, or a mapping of {', '.join(CALLEE_KEYS)}"
        )
    check_keys(document, path, fields, CALLEE_KEYS)
    outcome = _outcome(document, path, fields)
    steps: tuple[Step, ...] = ()
    if "steps" in fields:
        steps = read_steps(document, (*path, "steps"), fields["steps"], folder)
    if steps and outcome != "answer":
        raise document.error((*path, "steps"), f"a callee with `{outcome}` never gets to its steps")
    before = fields.get("before_answer")
    refuses_with: int | None = BUSY_HERE if outcome == "busy" else None
    if outcome == "reject":
        refuses_with = _status(document, (*path, "reject"), fields["reject"])
    return CalleeScript(
        destination=pattern,
        rings_s=read_number(document, (*path, "rings_s"), fields.get("rings_s", 1.0)),
        before_answer=()
        if before is None
        else read_steps(document, (*path, "before_answer"), before, folder),
        refuses_with=refuses_with,
        never_answers=outcome == "no_answer",
        voice=read_text(document, (*path, "voice"), fields.get("voice", ANYBODY.voice)),
        line=_line_options(document, path, fields.get("line") or {}),
        steps=steps or ANYBODY.steps,
        source=file,
    )


def _outcome(document: Document, path: YamlPath, fields: dict[Any, Any]) -> str:
    found = [name for name in OUTCOMES if name in fields]
    if len(found) > 1:
        raise document.error((*path, found[1]), f"choose one of {' and '.join(found)}")
    for name in found:
        if name != "reject" and fields[name] not in (None, True):
            raise document.error((*path, name), f"`{name}` takes no value")
    return found[0] if found else "answer"


def _status(document: Document, path: YamlPath, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 300 <= value <= 699:
        return value
    raise document.error(path, f"reject takes a SIP status from 300 to 699, not {value!r}")


def _line_options(document: Document, parent: YamlPath, value: Any) -> LineOptions:
    path = (*parent, "line")
    if not isinstance(value, dict):
        raise document.error(path, f"`line:` must be a mapping of {', '.join(LINE_KEYS)}")
    check_keys(document, path, value, LINE_KEYS)
    numbers = {
        k: read_number(document, (*path, k), v, at_least=LOWEST_DBFS if k == "noise_dbfs" else 0.0)
        for k, v in value.items()
    }
    if numbers.get("noise_dbfs", 0.0) > 0:
        raise document.error((*path, "noise_dbfs"), "noise_dbfs is a level from -120 to 0")
    if not 0 <= numbers.get("loss", 0) <= 1:
        raise document.error((*path, "loss"), "loss is a fraction from 0 to 1")
    if "seed" in numbers:
        numbers["seed"] = int(numbers["seed"])
    return LineOptions(**numbers)  # type: ignore[arg-type]
