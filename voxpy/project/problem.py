"""One thing that is wrong with a file the user owns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from voxpy.errors import ConfigError

Level = Literal["error", "warning"]


@attrs.frozen
class Problem:
    """What is wrong where. ``line`` counts from 1; None where a whole file is meant.

    An error keeps something from working at all, a warning is very likely not what was meant.
    """

    file: str
    line: int | None
    level: Level
    message: str

    def __str__(self) -> str:
        """``file:line: level: message``, which editors make clickable."""
        return f"{self._where}: {self.level}: {self.message}"

    @property
    def text(self) -> str:
        """The same without the level, for a log that says it."""
        return f"{self._where}: {self.message}"

    @property
    def _where(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @classmethod
    def from_config_error(cls, error: ConfigError, *, file: str) -> Problem:
        """Turn a raised error into a problem; ``file`` is used where the error names none."""
        return cls(error.file or file, error.line, "error", error.problem)


def first_error(problems: Iterable[Problem]) -> ConfigError | None:
    """Return the first error as an exception that says how many more there are, or None."""
    errors = [p for p in problems if p.level == "error"]
    if not errors:
        return None
    first, more = errors[0], len(errors) - 1
    rest = (
        "" if not more else f" (and {more} more: voxpy check lists {'it' if more == 1 else 'them'})"
    )
    return ConfigError(first.message + rest, file=first.file, line=first.line)
