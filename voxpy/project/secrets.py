"""``secrets.env``, then the process environment (VoxEngine: platform/voxengine/secrets)."""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import attrs
from dotenv.parser import Binding, parse_stream

from voxpy.engine.masking import SHORTEST_SECRET_CHARACTERS
from voxpy.errors import ConfigError
from voxpy.project.problem import Problem

MOST_BYTES = 1_000_000


@attrs.frozen(kw_only=True)
class SecretsFile:
    """What a secrets file says: values and lines (from 1) by name, and what is odd about it."""

    values: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    lines: Mapping[str, int] = attrs.field(factory=dict)
    next_line: int = 1
    warnings: tuple[Problem, ...] = ()


def parse_secrets(text: str, *, file: str) -> SecretsFile:
    """Parse a dotenv text. Pure. ``${NAME}`` in a value stays as it is: keys may contain it.

    Of a name given twice the last value counts, with a warning. Raises ConfigError (file, line)
    for a line that is not ``NAME=value``; the message never shows a value.
    """
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    warnings: list[Problem] = []
    for binding in parse_stream(StringIO(text)):
        line = _line(binding)
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError("this line is not NAME=value", file=file, line=line)
        if binding.key is None or binding.value is None:  # a comment or an empty line
            continue
        if binding.key in values:
            problem = (
                f"{binding.key} is given again (first in line {lines[binding.key]}); this counts"
            )
            warnings.append(Problem(file, line, "warning", problem))
        values[binding.key], lines[binding.key] = binding.value, line
    return SecretsFile(
        values=values,
        lines=lines,
        next_line=text.count("\n") + (1 if not text or text.endswith("\n") else 2),
        warnings=tuple(warnings),
    )


def _line(binding: Binding) -> int:
    """Return the line of the name: the parser counts empty lines above it as part of it."""
    original = binding.original
    above = original.string[: len(original.string) - len(original.string.lstrip())]
    return int(original.line) + above.count("\n")


Signature = tuple[int, int, int]


class Secrets:
    """The secrets of a process; implements ``voxpy.engine.ports.Secrets``.

    A name with a non-empty value in the file wins, else the environment's counts. The file is read
    again when it changes on disk: rotating a key needs no restart. A file that does not exist is an
    empty one.

    What was there once stays: a name that is emptied, or gone with its file, keeps its last value
    until the next start, and ``warnings`` says so. An editor that truncates the file before it
    writes it, or a mistake, would otherwise open what the secret has closed.
    """

    def __init__(self, path: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        """Read the file. Raises ConfigError (file, line) if it is malformed or unreadable."""
        self._path = path
        self._environ = environ
        self._asked: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._file = SecretsFile()
        self._kept: dict[str, str] = {}
        self._signature: Signature | None = None
        self.problem: ConfigError | None = None
        self._refresh()
        if self.problem is not None:
            raise self.problem

    @property
    def path(self) -> Path:
        """The file, whether it exists or not."""
        return self._path

    def get(self, name: str) -> str | None:
        """Return a secret, or None where VoxEngine has undefined: absent, empty, or no name."""
        self._refresh()
        value = self._file.values.get(name) or self._kept.get(name)
        if not value and name:
            value = self._environ.get(name)
            if value:
                self._asked[name] = value
                self._remember(value)
        return value or None

    def names(self) -> tuple[str, ...]:
        """Return the names with a value in the file, and those found in the environment so far."""
        self._refresh()
        in_file = {name for name, value in self._file.values.items() if value}
        return tuple(sorted(in_file | self._kept.keys() | self._asked.keys()))

    def version(self, key: bytes) -> str:
        """Return what is the same for files that say the same; nothing more without ``key``."""
        self._refresh()
        told = "\n".join(f"{name}={value}" for name, value in sorted(self._file.values.items()))
        return hmac.digest(key, told.encode(), "sha256").hex()[:8]

    def values(self) -> tuple[str, ...]:
        """Return what must be masked: values of the file and those the environment gave.

        Of SHORTEST_SECRET_CHARACTERS or more; earlier values of a rotated secret included, because
        running sessions may still show them.
        """
        self._refresh()
        return tuple(self._seen)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is odd about the file without being wrong."""
        self._refresh()
        file = str(self._path)
        kept = (
            Problem(
                file,
                self._file.lines.get(name),
                "warning",
                f"{name} has no value any more: its last one counts until the next start",
            )
            for name in self._kept
        )
        return (*self._file.warnings, *kept)

    def missing(self, name: str) -> str:
        """Return the sentence that says where to add a secret: the file and the line."""
        self._refresh()
        file = self._path.name
        example = self._path.with_name(self._path.stem + ".example" + self._path.suffix)
        if self._signature is not None:
            line = self._file.lines.get(name)
            if line is not None:
                return (
                    f"{name} is empty in {file} and not in the environment: "
                    f"write its value after `{name}=` in {file} (line {line})"
                )
            where = f" (line {self._file.next_line})"
        elif example.is_file():
            line = _line_in(example, name)
            where = "" if line is None else f"line {line}; "
            where = f" ({where}copy {example.name} first)"
        else:
            where = " (a new file)"
        return (
            f"{name} is in neither {file} nor the environment: "
            f"add the line `{name}=...` to {file}{where}"
        )

    def _remember(self, *values: str) -> None:
        self._seen |= {v: None for v in values if len(v) >= SHORTEST_SECRET_CHARACTERS}

    def _refresh(self) -> None:
        """Read the file if it is not the one last read.

        One that has become malformed keeps its last good content, because the calls that run must
        not die of a half-saved file; ``problem`` holds the error until the file is good again.
        """
        try:
            status = self._path.stat()
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            if signature == self._signature:
                return
            self._signature = signature
            if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for its writer
                raise ConfigError("cannot be read: it is no file", file=str(self._path))
            if status.st_size > MOST_BYTES:
                told = f"has {status.st_size} bytes; a file of secrets has at most {MOST_BYTES}"
                raise ConfigError(told, file=str(self._path))
            self._take(parse_secrets(_read(self._path), file=str(self._path)))
        except FileNotFoundError:
            self._take(SecretsFile())
            self._signature = None
        except OSError as exc:
            reason = exc.strerror or str(exc)
            self.problem = ConfigError(f"cannot be read: {reason}", file=str(self._path))
            return
        except ConfigError as exc:
            self.problem = exc
            return
        self.problem = None
        self._remember(*self._file.values.values())

    def _take(self, file: SecretsFile) -> None:
        before = {**self._kept, **self._file.values}
        self._kept = {n: v for n, v in before.items() if v and not file.values.get(n)}
        self._file = file


def _read(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError("this line is not UTF-8 text", file=str(path), line=line) from None


def _line_in(path: Path, name: str) -> int | None:
    """Return the line of ``name`` in the template, or None; a broken template is no matter here."""
    try:
        return parse_secrets(_read(path), file=str(path)).lines.get(name)
    except (ConfigError, OSError):
        return None
