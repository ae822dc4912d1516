"""How a list is worked through: how many at once, how fast, when in the day, how often."""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import orjson

from voxpy.errors import ConfigError

MOST_ROWS = 100_000
SEPARATORS = ",;\t"
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@attrs.frozen
class Window:
    """The time of day in which calls begin, in a time zone (empty: this computer's).

    One that ends before it begins goes over midnight.
    """

    begins: datetime.time
    ends: datetime.time
    zone: str = ""

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``09:00-18:00`` or ``09:00-18:00 Europe/Berlin``. Raises ConfigError."""
        found = re.fullmatch(r"(\d\d?:\d\d)\s*-\s*(\d\d?:\d\d)(?:\s+(\S+))?", text.strip())
        try:
            if found is None:
                raise ValueError("it is not HH:MM-HH:MM")
            begins, ends = (_time(found[n]) for n in (1, 2))
            zone = found[3] or ""
            if zone:
                ZoneInfo(zone)
        except (ValueError, OSError, KeyError) as error:
            problem = (
                f"the window {text!r}: {error}; write 09:00-18:00 or 09:00-18:00 Europe/Berlin"
            )
            raise ConfigError(problem) from None
        return cls(begins, ends, zone)

    def is_open(self, now: datetime.datetime) -> bool:
        """Whether calls may begin at ``now``, which knows its time zone."""
        time = now.astimezone(ZoneInfo(self.zone) if self.zone else None).time()
        if self.begins <= self.ends:
            return self.begins <= time < self.ends
        return time >= self.begins or time < self.ends

    def __str__(self) -> str:
        """What ``parse`` reads."""
        return f"{self.begins:%H:%M}-{self.ends:%H:%M} {self.zone}".rstrip()


def _time(text: str) -> datetime.time:
    hours, _, minutes = text.partition(":")
    return datetime.time(int(hours), int(minutes))


@attrs.frozen(kw_only=True)
class Terms:
    """How a list is worked through. Raises ValueError for a number that makes no sense."""

    at_once: int = attrs.field(default=5, validator=attrs.validators.in_(range(1, 10_001)))
    per_minute: float | None = attrs.field(default=None)
    window: Window | None = None
    retry: int = attrs.field(default=0, validator=attrs.validators.in_(range(101)))
    """Attempts beyond the first."""
    retry_after_s: float = 900.0

    @per_minute.validator
    def _positive(self, _attribute: Any, value: float | None) -> None:
        if value is not None and not 0 < value <= 100_000:
            raise ValueError(f"per_minute must be above 0, not {value!r}")

    def to_json(self) -> str:
        """Return it as ``from_json`` reads it."""
        value = attrs.asdict(self, recurse=False)
        value["window"] = None if self.window is None else str(self.window)
        return orjson.dumps(value).decode()

    @classmethod
    def from_json(cls, text: str) -> Terms:
        """Read what ``to_json`` wrote."""
        value = orjson.loads(text)
        window = value.pop("window")
        return cls(window=None if window is None else Window.parse(window), **value)


def parse_seconds(text: str) -> float:
    """Return the seconds of ``90``, ``90s``, ``15m``, ``2h`` or ``1d``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no time: write 90s, 15m, 2h or 1d")
    return float(found[1]) * UNITS_S[found[2] or "s"]


# -- the file --------------------------------------------------------------------------------------


def read_rows(text: str, *, file: str, most_bytes: int) -> list[dict[str, str]]:
    """Read a CSV file: a line of column names, then a row each; separated by comma, ; or tab.

    What a row becomes as custom data has at most ``most_bytes``. Raises ConfigError (file, line).
    """
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        rows = list(_rows(reader, file, most_bytes))
    except csv.Error as error:
        raise ConfigError(f"no CSV: {error}", file=file, line=reader.line_num) from error
    if len(rows) > MOST_ROWS:
        raise ConfigError(f"has {len(rows)} rows; a list has at most {MOST_ROWS}", file=file)
    if not rows:
        raise ConfigError("has no rows: a line of column names, then one for each call", file=file)
    return rows


def check_rows(given: Any, *, file: str, most_bytes: int) -> list[dict[str, Any]]:
    """Return rows that were given as JSON objects. Raises ConfigError."""
    if not isinstance(given, list) or not given:
        raise ConfigError("rows must be a list of objects, one for each call", file=file)
    if len(given) > MOST_ROWS:
        raise ConfigError(f"has {len(given)} rows; a list has at most {MOST_ROWS}", file=file)
    for number, row in enumerate(given, 1):
        if not isinstance(row, dict):
            raise ConfigError(f"row {number} is no object", file=file)
        if (size := len(orjson.dumps(row))) > most_bytes:
            problem = f"row {number} has {size} bytes; the rule takes {most_bytes}"
            raise ConfigError(problem, file=file)
    return given


def _rows(reader: Any, file: str, most_bytes: int) -> Iterator[dict[str, str]]:
    columns: list[str] = []
    for cells in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = [cell.strip() for cell in cells]
            _check_columns(columns, file, line)
            continue
        if len(cells) != len(columns):
            problem = f"has {len(cells)} cells, but there are {len(columns)} columns"
            raise ConfigError(problem, file=file, line=line)
        row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        if (size := len(orjson.dumps(row))) > most_bytes:
            problem = f"as custom data this row has {size} bytes; the rule takes {most_bytes}"
            raise ConfigError(problem, file=file, line=line)
        yield row


def _check_columns(columns: Sequence[str], file: str, line: int) -> None:
    if any(not name for name in columns):
        raise ConfigError("a column has no name", file=file, line=line)
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"the column {twice!r} is there twice", file=file, line=line)
    if all(re.fullmatch(r"[+\d\s().-]{5,}", name) for name in columns):
        problem = "the first line must name the columns, such as `to,name`, and is a number"
        raise ConfigError(problem, file=file, line=line)


OUTCOME = ("state", "attempts", "result", "error", "session_id", "began", "ended", "call_code")


def write_results(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return the CSV of a list's results: its own columns, then what came of each row.

    A cell that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*columns, *OUTCOME])
    for row in rows:
        own = [row["data"].get(name, "") for name in columns]
        writer.writerow([_cell(cell) for cell in (*own, *(row[name] for name in OUTCOME))])
    return out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    risky = text[:1] in ("=", "@", "\t", "\r") or (text[:1] in "+-" and not _is_number(text))
    return f"'{text}" if text and risky else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[\d\s().-]*", text) is not None
