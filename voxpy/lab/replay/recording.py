"""What a session left behind, read for a replay, and what it lacks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from voxpy.audio.frame import Samples
from voxpy.audio.wav import Wav, read_wav, to_mono
from voxpy.engine.inputs import INPUTS_VERSION
from voxpy.engine.settings import Limits, Settings, Watchdogs
from voxpy.engine.trace import Entry
from voxpy.errors import ConfigError
from voxpy.history.record import RECORDING
from voxpy.history.tracefile import read_trace
from voxpy.host.inputs import INPUTS
from voxpy.text import json

SOCKET_CAME = "AppEvents.NewWebSocketConnection"
TRACE = "trace.jsonl"


@attrs.frozen(kw_only=True)
class Input:
    """One line of ``inputs.jsonl``. ``t`` is in seconds since the session began."""

    t: float
    kind: str
    name: str
    of: str
    personal: Any
    data: Mapping[str, Any]


@attrs.frozen(kw_only=True, eq=False)
class Recording:
    """A session as it was. ``gaps`` says, a sentence each, what a replay cannot have as it was."""

    folder: Path
    entries: tuple[Entry, ...]
    inputs: tuple[Input, ...]
    wav: Wav | None
    gaps: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether the session was recorded to its end: a killed process leaves less."""
        return any(e.kind == "session" and e.name == "ended" for e in self.entries)

    @property
    def until_s(self) -> float:
        """Time of the last line."""
        return max((e.t for e in self.entries), default=0.0)

    @property
    def head(self) -> Input:
        """What the session was made of."""
        return self.inputs[0]

    @property
    def session_id(self) -> str:
        """The id of the session, whatever its folder is called now."""
        return str(self._started.get("session_id", self.folder.name))

    @property
    def rule_name(self) -> str:
        """The routing rule it ran under."""
        return str(self._started.get("rule", ""))

    @property
    def _started(self) -> Mapping[str, Any]:
        known = (e.data for e in self.entries if e.kind == "session" and e.name == "started")
        return next(known, {})

    @property
    def scenarios(self) -> tuple[Path, ...]:
        """The files it ran."""
        return tuple(Path(file) for file in self.head.data["scenarios"])

    @property
    def settings(self) -> Settings:
        """The bounds it ran under."""
        given = self.head.data["settings"]
        return Settings(
            limits=Limits(**_bounds(given["limits"])),
            watchdogs=Watchdogs(**_bounds(given["watchdogs"])),
            on_handler_error=given["on_handler_error"],
            replayable=False,
        )

    def legs(self) -> list[Input]:
        """Return how each leg appeared, the incoming one first."""
        return [i for i in self.inputs if i.kind == "leg"]

    def about(self, of: str) -> list[Input]:
        """Return everything that came from or went to one leg, socket or request."""
        return [i for i in self.inputs if i.of == of]

    def caller(self, rate_hz: int) -> Samples:
        """Return what the first caller said, at a rate."""
        if self.wav is None:
            return np.zeros(0, np.int16)
        left = Wav(rate_hz=self.wav.rate_hz, channels=1, samples=self.wav.samples[:, :1])
        return to_mono(left, rate_hz)


def read_recording(folder: Path) -> Recording:
    """Read the folder of a session.

    A last line that a killed process left unfinished is passed over. Raises ConfigError if there
    is no trace, or nothing of what came from outside; what else is missing is in ``gaps``.
    """
    if not (folder / TRACE).is_file():
        problem = f"there is no {TRACE}, so this is not the folder of a session{_near(folder)}"
        raise ConfigError(problem, file=str(folder))
    if not (folder / INPUTS).is_file():
        raise ConfigError(
            f"{INPUTS} is missing: what the provider, HTTP and the far ends said was not kept, "
            "because the session ran with `replayable: false` or under a voxpy that did not keep "
            "it; record the call again",
            file=str(folder),
        )
    list(_lines(folder / TRACE))  # a torn one is told; what only this voxpy does not know is not
    entries = tuple(read_trace(folder / TRACE))
    inputs = tuple(map(_input, _lines(folder / INPUTS)))
    if not inputs or inputs[0].kind != "session":
        raise ConfigError("has no head: the process was killed at once", file=str(folder / INPUTS))
    version = inputs[0].data.get("v")
    if version != INPUTS_VERSION:
        raise ConfigError(
            f"is of version {version}; this voxpy replays version {INPUTS_VERSION}",
            file=str(folder / INPUTS),
        )
    wav = _wav(folder / RECORDING)
    gaps = tuple(_gaps(entries, inputs, wav))
    return Recording(folder=folder, entries=entries, inputs=inputs, wav=wav, gaps=gaps)


def _near(folder: Path) -> str:
    sessions = folder.parent
    if not sessions.is_dir():
        return ""
    known = sorted((p for p in sessions.iterdir() if (p / TRACE).is_file()), key=_changed)
    return f"; the last one there is {known[-1].name}" if known else ""


def _changed(path: Path) -> float:
    return path.stat().st_mtime


class _Fields(dict[str, Any]):
    """The fields of a line. Whoever needs one that is not there learns which line lacks it."""

    def __init__(self, fields: Mapping[str, Any], path: Path, number: int) -> None:
        super().__init__(fields)
        self._place = path, number

    def __missing__(self, name: str) -> Any:
        raise self.wrong(f"lacks {name!r}")

    def wrong(self, problem: str) -> ConfigError:
        path, number = self._place
        return ConfigError(problem, file=str(path), line=number)


def _lines(path: Path) -> Iterator[_Fields]:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            value = json.loads(line)
        except ValueError:
            if number == len(lines):
                return  # the process was killed while it wrote
            raise ConfigError("is no line of JSON", file=str(path), line=number) from None
        if not isinstance(value, dict):
            raise ConfigError("is no JSON object", file=str(path), line=number)
        yield _Fields(value, path, number)


def _input(line: _Fields) -> Input:
    t, kind = line["t"], line["kind"]
    texts = kind, line.get("name", ""), line.get("of", "")
    if not isinstance(t, int | float) or not all(isinstance(text, str) for text in texts):
        raise line.wrong("has a time, a kind and names of another type than ours")
    for name in ("t", "kind", "name", "of"):
        line.pop(name, None)
    _, name, of = texts
    return Input(t=t, kind=kind, name=name, of=of, personal=line.pop("personal", None), data=line)


def _bounds(given: Mapping[str, Any]) -> dict[str, Any]:
    return {k: math.inf if v == "inf" else v for k, v in given.items()}


def _wav(path: Path) -> Wav | None:
    if not path.is_file() or not path.stat().st_size:
        return None
    with path.open("rb") as file:
        return read_wav(file, name=str(path))


def _gaps(entries: Iterable[Entry], inputs: Sequence[Input], wav: Wav | None) -> Iterator[str]:
    if any(e.kind == "event" and e.name == SOCKET_CAME for e in entries):
        yield "a WebSocket to the session's access URL was not kept: none comes"
    if wav is None and any(i.data.get("incoming") for i in inputs if i.kind == "leg"):
        yield f"{RECORDING} is missing: the caller is silent"
    legs = [i for i in inputs if i.kind == "leg"]
    if legs and legs[0].data["format"] not in ("pcmu/8000", "pcma/8000", "pcm16/8000"):
        yield f"the caller spoke {legs[0].data['format']}; {RECORDING} has telephone quality of it"
    kept = {i.of for i in inputs if i.kind == "leg sound"}
    for leg in legs[1:]:
        if leg.of not in kept:
            yield f"the sound of {leg.of} was not kept: it is silent"
    if any(i.kind in ("socket", "service") and i.name == "private" for i in inputs):
        yield "a connection ran with privacy=True and was not kept"
    for entry in entries:
        if entry.name == "media clock" and entry.data.get("skipped"):
            lost_ms = entry.data["skipped"] * 20
            yield f"the media clock skipped {lost_ms} ms: the caller is up to that much early"
