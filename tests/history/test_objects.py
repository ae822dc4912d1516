"""What calls leave in a real S3-compatible store: there, back and gone; and its bad days."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.s3server import Server
from voxpy.errors import RequestFailed
from voxpy.history.objects import PART_BYTES


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    path.write_bytes(os.urandom(100_000))
    return path


def test_a_file_goes_and_comes_back(s3: Server, sound: Path, tmp_path: Path) -> None:
    store = s3.store(prefix="voxpy/one")
    assert store.put("s-1", "call.wav", sound) == 100_000
    assert s3.stored() == {"voxpy/one/sessions/s-1/call.wav": 100_000}
    back = tmp_path / "back" / "call.wav"
    assert store.get("s-1", "call.wav", back)
    assert back.read_bytes() == sound.read_bytes()
    assert [path.name for path in back.parent.iterdir()] == ["call.wav"]
    assert (
        store.url("s-1", "call.wav") == f"{s3.endpoint}/{s3.bucket}/voxpy/one/sessions/s-1/call.wav"
    )


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES])
def test_any_size(s3: Server, tmp_path: Path, size: int) -> None:
    path, back = tmp_path / "call.wav", tmp_path / "back"
    path.write_bytes(os.urandom(size))
    assert s3.store().put("s-1", "call.wav", path) == size
    assert s3.store().get("s-1", "call.wav", back)
    assert back.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["Zürich-1.wav", "a b+c.mp3", "100%.flac", "q?x&y=1.wav"])
def test_any_name(s3: Server, sound: Path, tmp_path: Path, name: str) -> None:
    store = s3.store()
    store.put("s-1", name, sound)
    assert store.get("s-1", name, tmp_path / "back")
    assert unquote(store.url("s-1", name)).endswith(f"/sessions/s-1/{name}")
    assert "?" not in store.url("s-1", name)


def test_what_is_not_there(s3: Server, tmp_path: Path) -> None:
    assert not s3.store().get("s-1", "call.wav", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


def test_a_session_is_removed_and_no_other(s3: Server, sound: Path) -> None:
    store = s3.store(prefix="p")
    for session in ("s-1", "s-10"):
        for name in ("call.wav", "trace.jsonl"):
            store.put(session, name, sound)
    store.remove("s-1")
    store.remove("s-1")
    assert set(s3.stored()) == {"p/sessions/s-10/call.wav", "p/sessions/s-10/trace.jsonl"}


# -- its bad days ----------------------------------------------------------------------------------


def test_wrong_keys_are_named(s3: Server, sound: Path) -> None:
    with pytest.raises(RequestFailed, match="SignatureDoesNotMatch") as caught:
        s3.store(secret_key="wrong").put("s-1", "call.wav", sound)
    assert f"{s3.endpoint}, bucket {s3.bucket}" in str(caught.value)
    assert s3.stored() == {}


def test_a_bucket_that_is_not_there_is_named(s3: Server, sound: Path) -> None:
    with pytest.raises(RequestFailed, match=r"bucket other: .*NoSuchBucket"):
        s3.store(bucket="other").put("s-1", "call.wav", sound)


def test_nobody_listens(s3: Server, sound: Path, tmp_path: Path) -> None:
    store = s3.store()
    s3.line.down()
    with pytest.raises(RequestFailed, match=f"bucket {s3.bucket}: "):
        store.put("s-1", "call.wav", sound)
    with pytest.raises(RequestFailed):
        store.get("s-1", "call.wav", tmp_path / "back")
    with pytest.raises(RequestFailed):
        store.remove("s-1")
    assert not (tmp_path / "back").exists()
    s3.line.up()
    assert store.put("s-1", "call.wav", sound) == 100_000


@pytest.mark.parametrize("after_bytes", [0, 60_000, PART_BYTES + 60_000])
def test_a_line_that_is_cut_in_the_middle_stores_nothing(
    s3: Server, tmp_path: Path, after_bytes: int
) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(os.urandom(PART_BYTES + 500_000))
    store = s3.store()
    s3.line.cut_after_bytes = after_bytes
    with pytest.raises(RequestFailed):
        store.put("s-1", "call.wav", path)
    assert s3.stored() == {}
    s3.line.up()
    assert store.put("s-1", "call.wav", path) == path.stat().st_size
    assert s3.stored() == {"sessions/s-1/call.wav": path.stat().st_size}


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Slow Down"])
def test_a_server_that_has_enough_is_named(s3: Server, sound: Path, status: str) -> None:
    store = s3.store()
    s3.line.answer = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(RequestFailed, match=status[:3]):
        store.put("s-1", "call.wav", sound)
    s3.line.up()
    assert store.put("s-1", "call.wav", sound) == 100_000
