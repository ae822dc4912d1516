"""Secrets: the file, then the environment, and what to say when neither has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.errors import ConfigError
from voxpy.project.secrets import Secrets, parse_secrets

EXAMPLE = "# Copy this file to secrets.env.\n\n# The key\nINWORLD_API_KEY=\n"


def secrets_with(tmp_path: Path, text: str | None, **environ: str) -> Secrets:
    path = tmp_path / "secrets.env"
    if text is not None:
        path.write_text(text)
    return Secrets(path, environ=environ)


def rewrite(path: Path, text: str) -> None:
    """Save as careful editors do: a new file in the place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_the_file_wins_over_the_environment(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=from file\n", A="from environment", B="only there")
    assert secrets.get("A") == "from file"
    assert secrets.get("B") == "only there"
    assert secrets.get("C") is None
    assert secrets.get("") is None


def test_an_empty_value_is_none_as_if_it_were_not_there(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=\nB=\n", B="from environment", C="")
    assert [secrets.get(name) for name in "ABC"] == [None, "from environment", None]


def test_without_a_file_there_is_only_the_environment(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, None, A="x")
    assert secrets.get("A") == "x"


def test_dotenv_spellings(tmp_path: Path) -> None:
    text = "export A='one two'\nB = \"x\\ny\"\nC=a${A}b # comment\r\n\n# D=no\nE='1\n2'\n"
    file = parse_secrets(text, file="secrets.env")
    assert file.values == {"A": "one two", "B": "x\ny", "C": "a${A}b", "E": "1\n2"}
    assert file.lines == {"A": 1, "B": 2, "C": 3, "E": 6}
    assert file.next_line == 8


def test_a_name_given_twice_has_its_last_value_and_a_warning(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=1\nB=2\nA=3\n")
    assert secrets.get("A") == "3"
    assert [(w.line, w.level, w.message) for w in secrets.warnings] == [
        (3, "warning", "A is given again (first in line 1); this counts")
    ]


@pytest.mark.parametrize(
    ("data", "line", "problem"),
    [
        (b"A=1\n\nsecret words\n", 3, "this line is not NAME=value"),
        (b"A=1\nsk-secret\n", 2, "this line is not NAME=value"),
        (b"A='sk-secret\nB=2\n", 1, "this line is not NAME=value"),
        (b"A=1\nB=\xff\n", 2, "this line is not UTF-8 text"),
    ],
)
def test_a_malformed_line_is_named_without_showing_it(
    tmp_path: Path, data: bytes, line: int, problem: str
) -> None:
    path = tmp_path / "secrets.env"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        Secrets(path, environ={})
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert caught.value.problem == problem


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: it is no file"):
        Secrets(tmp_path, environ={})


def test_a_file_that_is_too_large_to_be_meant_keeps_the_last_good_content(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=key\n")
    rewrite(tmp_path / "secrets.env", "A=b\n" * 250_001)
    assert secrets.get("A") == "key"
    assert "has 1000004 bytes" in str(secrets.problem)


def test_a_rotated_key_is_read_at_once_and_the_old_one_stays_masked(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=old-key\n")
    assert secrets.get("A") == "old-key"
    rewrite(tmp_path / "secrets.env", "A=new-key\n")
    assert secrets.get("A") == "new-key"
    assert secrets.values() == ("old-key", "new-key")


def test_a_file_that_appears_or_goes_is_noticed(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, None)
    path = tmp_path / "secrets.env"
    path.write_text("A=1\n")
    assert secrets.get("A") == "1"
    path.write_text("A=22\n")
    assert secrets.get("A") == "22"


@pytest.mark.parametrize("after", [None, "", "A=\nB=2\n", "B=2\n"])
def test_a_value_that_is_gone_counts_until_the_next_start(
    tmp_path: Path, after: str | None
) -> None:
    secrets = secrets_with(tmp_path, "A=open-sesame\nB=2\n")
    path = tmp_path / "secrets.env"
    if after is None:
        path.unlink()
    else:
        rewrite(path, after)
    assert secrets.get("A") == "open-sesame"
    told = {str(problem).partition("warning: ")[2] for problem in secrets.warnings}
    assert "A has no value any more: its last one counts until the next start" in told
    rewrite(path, "A=new-sesame\nB=2\n")
    assert secrets.get("A") == "new-sesame"
    assert secrets.warnings == ()
    path.unlink()
    assert secrets_with(tmp_path, after).get("A") is None, "a new start begins with what is there"


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=1\n")
    path = tmp_path / "secrets.env"
    before = path.stat()
    path.write_text("A=2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert secrets.get("A") == "1"  # same time, size and file: nothing says that it changed


def test_a_file_that_breaks_later_keeps_its_last_good_content(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=1\n")
    path = tmp_path / "secrets.env"
    rewrite(path, "A=2\nhalf a li")
    assert secrets.get("A") == "1"
    assert str(secrets.problem) == f"{path}:2: this line is not NAME=value"
    rewrite(path, "A=2\n")
    assert secrets.get("A") == "2"
    assert secrets.problem is None


def test_names_and_values_are_the_files_and_what_the_environment_was_asked_for(
    tmp_path: Path,
) -> None:
    secrets = secrets_with(
        tmp_path,
        "FILE=long-enough\nSHORT=12345\nEMPTY=\n",
        ASKED="also-long",
        HOME="/home/somebody",
    )
    assert secrets.names() == ("FILE", "SHORT")
    assert secrets.values() == ("long-enough",)
    secrets.get("ASKED")
    assert secrets.names() == ("ASKED", "FILE", "SHORT")
    assert secrets.values() == ("long-enough", "also-long")


def test_missing_names_the_line_to_add(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, "A=1\n\n# end\n")
    assert secrets.missing("KEY") == (
        "KEY is in neither secrets.env nor the environment: "
        "add the line `KEY=...` to secrets.env (line 4)"
    )


@pytest.mark.parametrize(("text", "line"), [("", 1), ("A=1", 2), ("A=1\n", 2)])
def test_the_line_to_add_is_the_one_after_the_last(tmp_path: Path, text: str, line: int) -> None:
    assert secrets_with(tmp_path, text).missing("KEY").endswith(f"(line {line})")


def test_missing_names_the_line_that_is_empty(tmp_path: Path) -> None:
    assert secrets_with(tmp_path, EXAMPLE).missing("INWORLD_API_KEY") == (
        "INWORLD_API_KEY is empty in secrets.env and not in the environment: "
        "write its value after `INWORLD_API_KEY=` in secrets.env (line 4)"
    )


def test_missing_without_a_file_starts_from_the_template(tmp_path: Path) -> None:
    secrets = secrets_with(tmp_path, None)
    assert secrets.missing("KEY").endswith("add the line `KEY=...` to secrets.env (a new file)")
    (tmp_path / "secrets.example.env").write_text(EXAMPLE)
    assert secrets.missing("INWORLD_API_KEY") == (
        "INWORLD_API_KEY is in neither secrets.env nor the environment: add the line "
        "`INWORLD_API_KEY=...` to secrets.env (line 4; copy secrets.example.env first)"
    )
    assert secrets.missing("OTHER").endswith("to secrets.env (copy secrets.example.env first)")


def test_values_do_not_show_in_a_repr(tmp_path: Path) -> None:
    assert "hunter22" not in repr(parse_secrets("A=hunter22\n", file="secrets.env"))


def test_the_template_of_the_project_is_well_formed() -> None:
    template = Path(__file__).parents[2] / "secrets.example.env"
    file = parse_secrets(template.read_text(), file=template.name)
    assert file.values == {"INWORLD_API_KEY": ""}


@given(st.text(alphabet="AB=' \"\n\r\\#$x") | st.text())
def test_any_text_is_either_parsed_or_refused_with_a_line(text: str) -> None:
    try:
        file = parse_secrets(text, file="s")
    except ConfigError as exc:
        line = exc.line
        assert line is not None
    else:
        line = max(file.lines.values(), default=1)
    assert 1 <= line <= len(text) + 1
