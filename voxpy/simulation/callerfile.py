"""Callers and callees as their author writes them, YAML, and what ``--caller`` accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import yaml

from voxpy.engine.speech import ENGLISH
from voxpy.engine.trace import as_json
from voxpy.engine.userfile import Given, load
from voxpy.errors import ConfigError
from voxpy.simulation.moments import read_moments, written_moment
from voxpy.simulation.script import CalleeScript, CallerScript, LineOptions, Speech
from voxpy.simulation.service import ServiceScript, read_service, written_service
from voxpy.simulation.steps import HangUp, Pause, Play, Say, StayOn, Wait, read_steps
from voxpy.text.patterns import compile_pattern

TOP_KEYS = (
    "custom_data",
    "from", "to", "display_name", "voice", "line", "steps", "may_be_refused", "callees", "service",
    "moments", "speech", "languages",
)  # fmt: skip
TEST_KEYS = ("scenario", "secrets", "http", "expect")
"""What only ``voxpy test`` reads; see voxpy.lab.suite.casefile."""
CALLEE_KEYS = (
    "rings_s", "before_answer", "answer", "busy", "no_answer", "reject", "voice", "line", "steps",
)  # fmt: skip
OUTCOMES = ("answer", "busy", "no_answer", "reject")
BUSY_HERE = 486
LOWEST_DBFS = -120.0
PLAIN = CallerScript()
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
        return _callee(load(what, file="--callee").root, pattern, Path(), "")
    path = Path(what)
    text = _read(path, "callee")
    if text is None:
        return CalleeScript(destination=pattern, steps=(Play(path=path), HangUp()), source=what)
    return _callee(load(text, file=what).root, pattern, path.parent, what)


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


# -- a caller --------------------------------------------------------------------------------------


def parse_script(text: str, *, file: str, folder: Path) -> CallerScript:
    """Parse a YAML script; ``play:`` paths are relative to ``folder``.

    Raises ConfigError with file and line.
    """
    root = load(text, file=file or "the default caller").root
    if not isinstance(root.value, dict):
        raise root.error("expected a mapping with `steps:`")
    top = root.fields((*TOP_KEYS, *TEST_KEYS))
    custom_data = top.get("custom_data", _custom_data, None)
    if custom_data is not None and "steps" in top:
        told = "with `custom_data:` the session is started and nobody calls: it has no `steps:`"
        raise top.section("steps").error(told)
    return CallerScript(
        callerid=top.get("from", Given.text, PLAIN.callerid),
        destination=top.get("to", Given.text, PLAIN.destination),
        display_name=top.get("display_name", Given.text, ""),
        voice=top.get("voice", Given.text, PLAIN.voice),
        line=top.get("line", _line, LineOptions()),
        may_be_refused=top.get("may_be_refused", Given.flag, False),
        callees=top.get("callees", lambda given: _callees(given, folder, file), ()),
        service=top.get("service", read_service, ServiceScript()),
        moments=top.get("moments", read_moments, ()),
        speech=top.get("speech", _speech, "real"),
        languages=tuple(each.text() for each in top.section("languages").items()) or ENGLISH,
        custom_data=custom_data,
        steps=() if custom_data is not None else read_steps(top.section("steps"), folder),
        source=file,
    )


def write_script(script: CallerScript) -> str:
    """Return the YAML of a script: what is as by default is left out.

    Raises ValueError for one with callees: they are patterns that somebody wrote elsewhere.
    """
    if script.callees:
        raise ValueError("a script with callees is not written back")
    line = {
        f.name: value
        for f in attrs.fields(LineOptions)
        if (value := getattr(script.line, f.name)) != getattr(LineOptions(), f.name)
    }
    told: dict[str, Any] = {
        "from": script.callerid if script.callerid != PLAIN.callerid else None,
        "to": script.destination if script.destination != PLAIN.destination else None,
        "display_name": script.display_name or None,
        "voice": script.voice if script.voice != PLAIN.voice else None,
        "speech": script.speech if script.speech != PLAIN.speech else None,
        "languages": [*script.languages] if script.languages != PLAIN.languages else None,
        "may_be_refused": script.may_be_refused or None,
        "line": line or None,
        "service": written_service(script.service) or None,
        "moments": [written_moment(m) for m in script.moments] or None,
        "custom_data": script.custom_data,
        "steps": [step.written() for step in script.steps] or [HangUp.name],
    }
    if script.custom_data is not None:
        told["steps"] = None
    kept = {key: value for key, value in told.items() if value is not None}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def _custom_data(given: Given) -> str:
    """Return the text, or the JSON of what is written as YAML."""
    return given.value if isinstance(given.value, str) else as_json(given.value).decode()


def _speech(given: Given) -> Speech:
    if given.value == "real":
        return "real"
    if given.value == "tones":
        return "tones"
    raise given.error(f"speech is real or tones, not {given.value!r}")


def _line(given: Given) -> LineOptions:
    fields = given.fields(("loss", "jitter_ms", "noise_dbfs", "seed"))

    def noise(given: Given) -> float | None:
        return given.number(at_least=LOWEST_DBFS, at_most=0)

    return LineOptions(
        loss=fields.get("loss", lambda given: given.number(at_most=1), 0.0),
        jitter_ms=fields.get("jitter_ms", Given.number, 0.0),
        noise_dbfs=fields.get("noise_dbfs", noise, None),
        seed=fields.get("seed", Given.whole, 1),
    )


# -- callees ---------------------------------------------------------------------------------------


def _callees(given: Given, folder: Path, file: str) -> tuple[CalleeScript, ...]:
    callees = []
    for key, below in given.mapping().items():
        try:
            pattern = _destination(str(key))
        except ValueError as error:
            raise below.error(f"callee {error}") from error
        callees.append(_callee(below, pattern, folder, file))
    return tuple(callees)


def _destination(text: str) -> re.Pattern[str]:
    """Compile a callee's pattern: a leading ``+`` is a number's own, and no matter to it."""
    return compile_pattern(rf"\+?{text[1:]}" if text.startswith("+") else text)


def _callee(given: Given, pattern: re.Pattern[str], folder: Path, file: str) -> CalleeScript:
    if isinstance(given.value, str):
        given = attrs.evolve(given, value={given.value: None})
    if not isinstance(given.value, dict):
        raise given.error(
            f"a callee is {', '.join(OUTCOMES[:3])}, or a mapping of {', '.join(CALLEE_KEYS)}"
        )
    fields = given.fields(CALLEE_KEYS)
    written = [name for name in OUTCOMES if name in fields]
    if len(written) > 1:
        raise fields.section(written[1]).error(f"choose one of {' and '.join(written)}")
    outcome = written[0] if written else "answer"
    if outcome != "reject" and fields.section(outcome).value not in (None, True):
        raise fields.section(outcome).error(f"`{outcome}` takes no value")
    if "steps" in fields and outcome != "answer":
        raise fields.section("steps").error(f"a callee with `{outcome}` never gets to its steps")

    def steps(given: Given) -> tuple[Any, ...]:
        return read_steps(given, folder)

    refuses_with: int | None = BUSY_HERE if outcome == "busy" else None
    if outcome == "reject":
        refuses_with = _status(fields.section("reject"))
    return CalleeScript(
        destination=pattern,
        rings_s=fields.get("rings_s", Given.number, 1.0),
        before_answer=fields.get("before_answer", steps, ()),
        refuses_with=refuses_with,
        never_answers=outcome == "no_answer",
        voice=fields.get("voice", Given.text, ANYBODY.voice),
        line=fields.get("line", _line, LineOptions()),
        steps=steps(fields.section("steps")) if "steps" in fields else ANYBODY.steps,
        source=file,
    )


def _status(given: Given) -> int:
    value = given.value
    if isinstance(value, int) and not isinstance(value, bool) and 300 <= value <= 699:
        return value
    raise given.error(f"reject takes a SIP status from 300 to 699, not {value!r}")
