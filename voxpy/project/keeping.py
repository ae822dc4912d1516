"""``history:`` and ``recordings:`` of ``routing.yaml``: where goes what is kept of calls.

::

    history:
      keep_days: 30                  # calls are deleted after that; without it never
      postgres: HISTORY_URL          # a secret: postgresql://voxpy:...@db.example.com/voxpy

    recordings:
      s3:
        endpoint: https://s3.eu-central-1.amazonaws.com
        bucket: calls
        prefix: voxpy                # before the session's id; none
        region: eu-central-1         # us-east-1
        access_key: S3_ACCESS_KEY    # both are names of secrets
        secret_key: S3_SECRET_KEY
      keep_local_s: 3600             # how long the files stay here once the store has them
      traces: true                   # trace, log and record are stored too, so that any host shows
                                     # the call; they stay here all the same

No password stands in this file: it is looked at, copied and versioned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import attrs

from voxpy.engine.userfile import Document, Given, load
from voxpy.errors import ConfigError, install_command
from voxpy.project.problem import Problem

MOST_KEEP_DAYS = 36500
DATABASES = ("postgresql", "postgres")
BUCKET_CHARACTERS = (3, 63)
KEEP_LOCAL_S = 3600.0


@attrs.frozen(kw_only=True)
class HistorySettings:
    """``keep_days``: how long calls stay; None: for ever. ``postgres``: the name of a secret."""

    keep_days: float | None = None
    postgres: str = ""
    line: int = attrs.field(default=1, eq=False)


@attrs.frozen(kw_only=True)
class S3Settings:
    """An S3-compatible store. ``access_key`` and ``secret_key`` are names of secrets."""

    endpoint: str
    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    access_key: str
    secret_key: str
    line: int = attrs.field(default=1, eq=False)


@attrs.frozen(kw_only=True)
class RecordingSettings:
    """Where recordings go once they are finished; without ``s3`` they stay where they are."""

    s3: S3Settings | None = None
    keep_local_s: float = KEEP_LOCAL_S
    traces: bool = False


@attrs.frozen(kw_only=True)
class KeepingSettings:
    """Both sections."""

    file: str = ""
    history: HistorySettings = attrs.field(factory=HistorySettings)
    recordings: RecordingSettings = attrs.field(factory=RecordingSettings)


def read_history(given: Given) -> HistorySettings:
    """Read the section ``history:``. Raises ConfigError."""
    fields = given.fields(("keep_days", "postgres"))
    return HistorySettings(
        keep_days=fields.get("keep_days", _days, None),
        postgres=fields.get("postgres", _secret_name, ""),
        line=fields.section("postgres").line,
    )


def read_recordings(given: Given) -> RecordingSettings:
    """Read the section ``recordings:``. Raises ConfigError."""
    fields = given.fields(("s3", "keep_local_s", "traces"))
    return RecordingSettings(
        s3=fields.get("s3", _s3, None),
        keep_local_s=fields.get("keep_local_s", Given.number, KEEP_LOCAL_S),
        traces=fields.get("traces", Given.flag, False),
    )


def read_keeping(path: Path) -> KeepingSettings:
    """Read both sections of a routing file and nothing else of it; without one the defaults.

    For whoever looks at calls: all of routing takes half a second to load. Raises ConfigError.
    """
    try:
        document = load(path.read_text(encoding="utf-8-sig"), file=str(path))
    except FileNotFoundError:
        return KeepingSettings()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
    return keeping_of(document)


def keeping_of(document: Document) -> KeepingSettings:
    """Return both sections. Raises ConfigError."""
    sections = document.root.mapping()
    missing = document.root.child("history", None)
    return KeepingSettings(
        file=document.file,
        history=read_history(sections.get("history", missing)),
        recordings=read_recordings(sections.get("recordings", missing)),
    )


class Known(Protocol):
    """The secrets, as far as they are needed here."""

    def get(self, name: str) -> str | None:
        """Return the value of a secret."""

    def missing(self, name: str) -> str:
        """Return the sentence that says where to add it."""


def lacks(keeping: KeepingSettings, secrets: Known) -> Iterator[Problem]:
    """Yield what keeps these stores from being used: packages, secrets, a URL that is none."""
    found: list[ConfigError] = []
    if keeping.history.postgres:
        if find_spec("psycopg") is None:
            needs = f"history: postgres needs psycopg: {install_command('fleet')}"
            found.append(ConfigError(needs, line=keeping.history.line))
        with _noted(found):
            database_url(keeping, secrets)
    s3 = keeping.recordings.s3
    if s3 is not None:
        if find_spec("minio") is None:
            needs = f"recordings: s3 needs minio: {install_command('fleet')}"
            found.append(ConfigError(needs, line=s3.line))
        for name in dict.fromkeys((s3.access_key, s3.secret_key)):
            with _noted(found):
                s3_key(keeping, name, secrets)
    for error in found:
        yield Problem.from_config_error(error, file=keeping.file)


@contextmanager
def _noted(found: list[ConfigError]) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        found.append(error)


def database_url(keeping: KeepingSettings, secrets: Known) -> str:
    """Return where Postgres is. Raises ConfigError if the secret is missing or no URL."""
    name, line = keeping.history.postgres, keeping.history.line
    url = secrets.get(name)
    told = secrets.missing(name) if url is None else ""
    if url is not None and urlsplit(url).scheme not in DATABASES:
        told = f"the secret {name} must be a URL: postgresql://user:password@host/database"
    if url is None or told:
        raise ConfigError(f"history: postgres: {told}", file=keeping.file, line=line)
    return url


def s3_key(keeping: KeepingSettings, name: str, secrets: Known) -> str:
    """Return one of the keys of the store. Raises ConfigError if the secret is missing."""
    value = secrets.get(name)
    if value is None:
        line = keeping.recordings.s3.line if keeping.recordings.s3 is not None else None
        told = f"recordings: s3: {secrets.missing(name)}"
        raise ConfigError(told, file=keeping.file, line=line)
    return value


def _days(given: Given) -> float:
    days = given.value
    if isinstance(days, int | float) and not isinstance(days, bool) and 0 < days <= MOST_KEEP_DAYS:
        return float(days)
    raise given.expected("a number of days above 0; without it all is kept")


def _secret_name(given: Given) -> str:
    name = given.words()
    if "://" in name:
        told = "the name of a secret that holds the URL: a password has no place in this file"
        raise given.error(f"{given.label} must be {told}")
    return name


def _s3(given: Given) -> S3Settings:
    fields = given.fields(tuple(f.name for f in attrs.fields(S3Settings) if f.name != "line"))
    return S3Settings(
        endpoint=_endpoint(fields.need("endpoint")),
        bucket=_bucket(fields.need("bucket")),
        prefix=fields.get("prefix", Given.words, "").strip("/"),
        region=fields.get("region", Given.words, "us-east-1"),
        access_key=_secret_name(fields.need("access_key")),
        secret_key=_secret_name(fields.need("secret_key")),
        line=given.line,
    )


def _endpoint(given: Given) -> str:
    url = given.words().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise given.expected("the address of the store without the bucket: https://host:port")
    return url


def _bucket(given: Given) -> str:
    name = given.words()
    least, most = BUCKET_CHARACTERS
    plain = name.replace("-", "").replace(".", "")
    if least <= len(name) <= most and plain.isascii() and plain.isalnum() and name == name.lower():
        return name
    raise given.expected(f"a bucket's name ({least} to {most} of a-z, 0-9, dash and dot)")
