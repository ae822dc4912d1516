"""A call as one file: nothing in it leads outside, and nothing a caller said is markup."""

from __future__ import annotations

import gzip
import re
import wave
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import orjson
import pytest

from voxpy.history.record import CallRecord
from voxpy.history.search import SessionRow, row_of
from voxpy.inspector.onefile import one_file
from voxpy.inspector.peaks import peaks

HOSTILE = "</script><img src=x onerror=alert(1)>"


def _record(folder: Path, samples: np.ndarray) -> Path:
    path = folder / "call.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.fixture
def row(tmp_path: Path) -> SessionRow:
    record = CallRecord(
        session_id="s-1", rule_name="r", scenarios=["a.py"], started_at="2026-01-01"
    )
    record.personal |= {"callerid": HOSTILE, "destination": "+1"}
    line = {"v": 1, "t": 0.5, "kind": "log", "name": "Logger.write", "personal": {"text": HOSTILE}}
    (tmp_path / "trace.jsonl").write_bytes(orjson.dumps(line) + b"\n")
    sine = 8000 * np.sin(np.arange(16000) / 4)
    _record(tmp_path, np.stack([sine, 0 * sine], axis=1))
    return row_of(record, tmp_path)


class Tags(HTMLParser):
    """Every element of a page with its attributes, and the texts of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.data: dict[str, str] = {}
        self.inside, self.begun = "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside, self.begun = tag, True

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside != "script":
            return
        given = self.found[-1][1]
        if "type" in given:
            self.data[str(given["id"])] = self.data.get(str(given["id"]), "") + data
        elif self.begun:
            self.scripts.append(data)
        else:
            self.scripts[-1] += data
        self.begun = False


def test_it_loads_nothing_and_runs_only_its_own_scripts(row: SessionRow) -> None:
    page = one_file(row)
    tags = Tags(page)
    policy = next(str(a["content"]) for tag, a in tags.found if a.get("http-equiv"))
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    assert allowed == {b64encode(sha256(text.encode()).digest()).decode() for text in tags.scripts}
    assert "connect-src" not in policy
    assert policy.startswith("default-src 'none'")
    assert not any(tag == "script" and "src" in given for tag, given in tags.found)
    assert not any(tag == "img" and given.get("src") == "x" for tag, given in tags.found)


def test_what_a_caller_sent_is_no_markup(row: SessionRow) -> None:
    page = one_file(row)
    assert HOSTILE not in page
    data = Tags(page).data
    assert orjson.loads(data["voxpy-call"])["row"]["callerid"] == HOSTILE
    assert HOSTILE in gzip.decompress(b64decode(data["voxpy-trace"])).decode()
    assert b64decode(data["voxpy-audio"])[:2] in (b"\xff\xe3", b"\xff\xf3", b"ID")
    assert str(row.folder) not in page


def test_without_a_recording_the_rest_is_there(row: SessionRow) -> None:
    (row.folder / "call.wav").unlink()
    (row.folder / "trace.jsonl").unlink()
    data = Tags(one_file(row)).data
    assert set(data) == {"voxpy-call", "voxpy-trace"}
    assert gzip.decompress(b64decode(data["voxpy-trace"])) == b""


def test_peaks_are_decibels_of_each_side(tmp_path: Path) -> None:
    left = np.repeat([32767, 328, 33, 0], 320)
    path = _record(tmp_path, np.stack([left, 0 * left], axis=1))
    found = peaks(path)
    assert list(found[::2]) == [255, 85, 0, 0]
    assert set(found[1::2]) == {0}
    assert peaks(path, first=1) == found[2:]
    assert peaks(path, first=9) == b""
    assert peaks(tmp_path / "absent.wav") == b""


def test_a_recording_that_grows_gives_whole_steps_alone(tmp_path: Path) -> None:
    path = _record(tmp_path, np.full((320 * 2 + 100, 2), 9000))
    assert len(peaks(path)) == 4
    path.write_bytes(path.read_bytes()[:40])
    assert peaks(path) == b""
