"""Sound files on this machine: where they may lie, and what is kept of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voxpy.errors import SoundFailed
from voxpy.players.files import LIMIT_BYTES, Cached, SoundCache, is_local, read_local


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("a.wav", True),
        ("/sounds/a.wav", True),
        ("file:///sounds/a.wav", True),
        ("c:/sounds/a.wav", True),
        ("http://a/b.wav", False),
        ("https://a/b.wav", False),
        ("ftp://a/b.wav", False),
    ],
)
def test_what_is_local(url: str, local: bool) -> None:
    assert is_local(url) == local


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for name in ("one", "two", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "two" / "a b.wav").write_bytes(b"two")
    (tmp_path / "secret" / "s.wav").write_bytes(b"secret")
    return [tmp_path / "one", tmp_path / "two"]


def read(url: str, folders: list[Path]) -> bytes:
    return read_local(url, folders, SoundCache())


def test_a_relative_path_is_found_in_the_first_folder_that_has_it(folders: list[Path]) -> None:
    assert read("a b.wav", folders) == b"two"
    (folders[0] / "a b.wav").write_bytes(b"one")
    assert read("a b.wav", folders) == b"one"
    assert read("./a b.wav", folders) == b"one"


def test_absolute_paths_and_file_urls(folders: list[Path]) -> None:
    path = folders[1] / "a b.wav"
    assert read(str(path), folders) == b"two"
    assert read(path.as_uri(), folders) == b"two"
    assert "%20" in path.as_uri()
    assert read(path.as_uri().replace("file://", "file://localhost"), folders) == b"two"


@pytest.mark.parametrize(
    "url", ["../secret/s.wav", "{base}/secret/s.wav", "link.wav", "/etc/passwd"]
)
def test_files_elsewhere_are_refused(folders: list[Path], url: str) -> None:
    secret = folders[0].parent / "secret" / "s.wav"
    (folders[0] / "link.wav").symlink_to(secret)
    with pytest.raises(SoundFailed, match="only files below these folders are played"):
        read(url.format(base=folders[0].parent), folders)


def test_what_is_no_file_is_named(folders: list[Path]) -> None:
    (folders[0] / "sub").mkdir()
    os.mkfifo(folders[0] / "pipe.wav")
    for url, told in (
        (
            "nothere.wav",
            f"nothere.wav: there is no such file; looked in {folders[0]}, {folders[1]}",
        ),
        ("sub", "sub: not a file"),
        ("pipe.wav", "pipe.wav: not a file"),
        ("x" * 5000, "File name too long|no such file"),
        ("nul\0.wav", "null byte|null character|no such file"),
        ("file://server/a.wav", "a file of another machine"),
    ):
        with pytest.raises(SoundFailed, match=told):
            read(url, folders)


def test_a_file_that_is_too_large_is_not_even_read(folders: list[Path]) -> None:
    with (folders[0] / "big.wav").open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    with pytest.raises(SoundFailed, match=f"{LIMIT_BYTES + 1} bytes; at most {LIMIT_BYTES}"):
        read("big.wav", folders)


def test_a_file_is_kept_until_it_changes(folders: list[Path]) -> None:
    cache, path = SoundCache(), folders[1] / "a b.wav"
    first = read_local("a b.wav", folders, cache)
    assert read_local(str(path), folders, cache) is first
    path.write_bytes(b"three")
    assert read_local("a b.wav", folders, cache) == b"three"
    assert cache.size_bytes == 5


# -- the cache -------------------------------------------------------------------------------------


def kept(size: int) -> Cached:
    return Cached(data=bytes(size), validators=())


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = SoundCache(limit_bytes=100)
    cache.put("a", kept(40))
    cache.put("b", kept(40))
    assert cache.get("a") is not None
    cache.put("c", kept(40))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.size_bytes == 80
    cache.put("a", kept(10))
    assert cache.size_bytes == 50
    cache.put("d", kept(101))
    assert cache.get("d") is None
    cache.forget("a")
    cache.forget("a")
    assert cache.size_bytes == 40
