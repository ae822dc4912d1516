"""``voxpy bench``: a run as small as can be, and what it says of wrong options."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from voxpy.cli import main
from voxpy.errors import ConnectFailed
from voxpy.lab.bench.processes import Served


@pytest.mark.parametrize("counts", ["", "0", "20,x", "-3", "1,,2"])
def test_counts_that_are_none(counts: str) -> None:
    result = CliRunner().invoke(main, ["bench", "--calls", counts])
    assert result.exit_code == 2
    assert "is not numbers of calls, as in 20,60,100" in result.output


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="epoll and /proc")
def test_two_calls(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voxpy", "bench", "--calls", "2", "--seconds", "2", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    (point,) = told["points"]
    assert point["calls"] == 2
    assert point["lost"] <= 1
    assert 0 < point["cpu_s_per_call_minute"] < 60
    assert point["up"]["p50"] > 0
    assert 0 < point["floor_cpu_s_per_call_minute"] < 60
    assert told["machine"]["workers"] == 1
    assert done.returncode == (0 if told["most_calls"] else 1)
    assert {path.name for path in tmp_path.iterdir()} == {"voxpy-bench.svg"}
    ElementTree.fromstring((tmp_path / "voxpy-bench.svg").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_host_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match=r"did not start: .*there is no such file"):
        Served(tmp_path, ["--port", "0"], cores=[0])
