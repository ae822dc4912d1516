"""``history:`` and ``recordings:``: what may stand there, and what is missing for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from voxpy.errors import ConfigError
from voxpy.project import keeping
from voxpy.project.keeping import KeepingSettings, S3Settings, lacks, read_keeping
from voxpy.project.project import load_project
from voxpy.project.routing import parse_routing
from voxpy.project.secrets import Secrets

RULES = "rules:\n- {name: all, pattern: '.*', scenarios: [a.py]}\n"
S3 = "endpoint: https://s3.example.com/, bucket: calls, access_key: KEY, secret_key: SECRET"
URL = "postgresql://voxpy:pw@db.example.com/voxpy"


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all packages be there: what is looked for here is what is written."""
    monkeypatch.setattr(keeping, "find_spec", lambda name: object())


def keeping_of(text: str) -> KeepingSettings:
    return parse_routing(RULES + text).keeping


def test_without_a_word_of_it_calls_stay_here_for_ever() -> None:
    settings = keeping_of("")
    assert (settings.history.keep_days, settings.history.postgres) == (None, "")
    assert settings.recordings.s3 is None


def test_all_that_can_be_said() -> None:
    settings = keeping_of(
        "history: {keep_days: 30, postgres: HISTORY_URL}\n"
        f"recordings: {{s3: {{{S3}, prefix: /a/b/, region: eu}}, keep_local_s: 0, traces: true}}\n"
    )
    assert (settings.history.keep_days, settings.history.postgres) == (30, "HISTORY_URL")
    assert settings.recordings.s3 == S3Settings(
        endpoint="https://s3.example.com",
        bucket="calls",
        prefix="a/b",
        region="eu",
        access_key="KEY",
        secret_key="SECRET",
    )
    assert (settings.recordings.keep_local_s, settings.recordings.traces) == (0, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("history: {postgres: 5}", "history: postgres must be text"),
        (f"history: {{postgres: '{URL}'}}", "must be the name of a secret that holds the URL"),
        ("history: {postgress: X}", "history has no 'postgress'; did you mean 'postgres'"),
        ("history: {keep_days: 0}", "history: keep_days must be a number of days above 0"),
        ("recordings: {s4: {}}", "recordings has no 's4'; known are s3, keep_local_s"),
        ("recordings: {s3: {bucket: calls}}", "recordings: s3: endpoint is missing"),
        ("recordings: {s3: {" + S3.replace("https://", "") + "}}", "address of the store"),
        ("recordings: {s3: {" + S3.replace(".com/", ".com/calls") + "}}", "without the bucket"),
        ("recordings: {s3: {" + S3.replace("calls", "My_Calls") + "}}", "a bucket's name"),
        ("recordings: {s3: {" + S3 + "}, keep_local_s: -1}", "keep_local_s must be a number"),
        ("recordings: {traces: perhaps}", "recordings: traces must be true or false"),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"routing\.yaml:3: ") as caught:
        keeping_of(text)
    assert told in str(caught.value)


class Known:
    def __init__(self, **values: str) -> None:
        self.values: Mapping[str, str] = values

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    def missing(self, name: str) -> str:
        return f"{name} is nowhere"


BOTH = f"history:\n  postgres: HISTORY_URL\nrecordings:\n  s3: {{{S3}}}\n"


def lacking(**secrets: str) -> Iterator[str]:
    return (str(problem) for problem in lacks(keeping_of(BOTH), Known(**secrets)))


def test_what_is_missing_is_named_where_it_is_asked_for() -> None:
    assert list(lacking()) == [
        "routing.yaml:4: error: history: postgres: HISTORY_URL is nowhere",
        "routing.yaml:6: error: recordings: s3: KEY is nowhere",
        "routing.yaml:6: error: recordings: s3: SECRET is nowhere",
    ]
    assert list(lacking(HISTORY_URL=URL, KEY="k", SECRET="s")) == []
    (told,) = lacking(HISTORY_URL="db.example.com", KEY="k", SECRET="s")
    assert "must be a URL: postgresql://user:password@host/database" in told


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "find_spec", lambda name: None)
    postgres, s3 = lacking(HISTORY_URL=URL, KEY="k", SECRET="s")
    assert "history: postgres needs psycopg: " in postgres
    assert "fleet]" in postgres
    assert "recordings: s3 needs minio" in s3


def test_a_project_with_such_a_mistake_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "routing.yaml").write_text(RULES + BOTH)
    (tmp_path / "secrets.env").write_text(f"HISTORY_URL={URL}\nKEY=k\n")
    loaded = load_project(tmp_path / "routing.yaml", Secrets(tmp_path / "secrets.env", environ={}))
    (error,) = [problem for problem in loaded.problems if problem.level == "error"]
    assert "add the line `SECRET=...` to secrets.env" in error.message
    assert (error.line, loaded.project) == (6, None)


def test_who_looks_at_calls_reads_these_sections_alone(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    assert read_keeping(path) == KeepingSettings()
    path.write_text("rules: nonsense\nhistory: {keep_days: 3}\n")
    assert read_keeping(path).history.keep_days == 3
    path.write_text("rules: [")
    with pytest.raises(ConfigError, match=r"routing\.yaml:1: not YAML"):
        read_keeping(path)
