"""``voxpy bench``: a run as small as can be, and what it says of wrong options."""

from __future__ import annotations

import contextlib
import json
import re
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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--hosts", "a,,b"], "no address between its commas"),
        (["--hosts", "ftp://a"], "'ftp://a' is no address of a host"),
        (["--hosts", "sip:1@h;transport=tcp"], "calls go by UDP here, not tcp"),
        (["--hosts", "ws://h/media/vonage"], "calls have Twilio's protocol here"),
        (["--hosts", "ws://h", "--metrics", "http://a,http://b"], "2 addresses for 1 hosts"),
        (["--hosts", "ws://h", "--workers", "2"], "--workers is of a host that is started here"),
        (["--through", "ws://h"], "--through goes with --hosts"),
    ],
)
def test_hosts_that_are_none(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("│", " ").split())


ECHO = Path(__file__).parents[2] / "scenarios" / "echo.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="epoll and /proc")
def test_two_hosts_called_by_a_stream_and_by_sip_of_which_one_is_full(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        streams, phones = (
            stack.enter_context(_host(tmp_path / name, most)) for name, most in (("a", 9), ("b", 1))
        )
        sip = SIP.search((tmp_path / "b" / "serve.log").read_text(encoding="utf-8"))
        assert sip is not None
        (tmp_path / "secrets.env").write_text("ANNA=sesame-sesame\n", encoding="utf-8")
        hosts = f"ws://127.0.0.1:{streams.port},sip:echo@127.0.0.1:{sip[1]}"
        metrics = ",".join(f"http://127.0.0.1:{h.port}/metrics" for h in (streams, phones))
        command = [sys.executable, "-m", "voxpy", "bench", "--hosts", hosts, "--metrics", metrics]
        done = subprocess.run(
            [*command, "--calls", "2,3", "--seconds", "2", "--json", *PROVES],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    (point,) = told["points"]  # it stops where calls are refused
    by_stream, by_sip = point["hosts"]
    assert [by_stream["running"], by_sip["running"]] == [2, 1]
    assert not by_stream["refused"]
    assert by_sip["refused"] == {"503 Service Unavailable": 1}
    assert by_sip["causes"] == {"full": 1}
    assert point["together"]["running"] == 3
    assert point["spread"] == pytest.approx(1 / 1.5)
    for host in point["hosts"]:
        assert (host["unheard"], host["cut_off"]) == (0, 0)
        assert 0 < host["cpu_s_per_call_minute"] < 60
        assert host["round_trip"]["p50"] > 0
        assert host["lost"] < 1
    assert told["most_calls"] == 0
    assert done.returncode == 1


PROVES = ("--user", "anna", "--password-secret", "ANNA")
SIP = re.compile(r"NUMBER@127.0.0.1:(\d+)")


def _host(folder: Path, most_calls: int) -> Served:
    folder.mkdir()
    (folder / "routing.yaml").write_text(
        f"rules: [{{name: echo, pattern: '.*', scenarios: ['{ECHO}']}}]\n"
        "channels: {twilio: {}, sip: {host: 127.0.0.1, port: 0}}\nusers: {anna: ANNA}\n",
        encoding="utf-8",
    )
    (folder / "secrets.env").write_text("ANNA=sesame-sesame\n", encoding="utf-8")
    limits = ["--max-calls", str(most_calls), "--max-late-ms", "100000", "--max-busy", "100"]
    return Served(folder, ["--port", "0", "--drain-s", "0", *limits], cores=[0])


@pytest.mark.slow
def test_a_host_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match=r"did not start: .*there is no such file"):
        Served(tmp_path, ["--port", "0"], cores=[0])
