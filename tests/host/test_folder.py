"""The folder of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.host.sessions import SessionFolder


def test_names_that_are_taken_get_a_number(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path / "deep", "s-1")
    assert folder.root == tmp_path / "deep" / "sessions" / "s-1"
    for expected in ("record.wav", "record-2.wav", "record-3.wav"):
        path = folder.path("record.wav")
        assert path.name == expected
        path.touch()
    assert folder.path("plain").name == "plain"


def test_no_session_overwrites_another(tmp_path: Path) -> None:
    SessionFolder.create(tmp_path, "s-1")
    with pytest.raises(FileExistsError):
        SessionFolder.create(tmp_path, "s-1")


def test_the_folder_is_absolute_whatever_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert SessionFolder.create(Path(".voxpy"), "s").root.is_absolute()
