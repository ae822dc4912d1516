"""voxpy as a process of its own: real sockets, a real clock, real signals; the speech is tones."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TONES = """
import sys
import voxpy.cli.options as options
from voxpy.simulation.tones import scripted_engines
from voxpy.simulation.service import ScriptedResponder

options.agent_engines = lambda _: scripted_engines(ScriptedResponder(["Hello there", "Well then"] * 9))
from voxpy.__main__ import main
main()
"""
ANSWER = Path(__file__).parents[1] / "scenarios" / "answer.py"
PLAIN = """
from voxpy import AppEvents, CallEvents, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
"""
STAYS = "steps:\n- wait: answered\n- wait: 60\n"
TWO_STEPS = "steps:\n- wait: {for: agent_finished, within_s: 60}\n- hang_up\n"


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run voxpy with tone engines in ``folder``; kill it if it is still there at the end."""
    environment = {k: v for k, v in os.environ.items() if k != "INWORLD_API_KEY"}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", TONES, *arguments],
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], words: str) -> str:
    """Read the output up to a line with ``words``; return what was read."""
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        read.append(line)
        if words in line:
            return "".join(read)
    raise AssertionError(f"{words!r} never came: {''.join(read)}")


def rest(process: subprocess.Popen[str], *, within_s: float = 120) -> str:
    return process.communicate(timeout=within_s)[0]


def session(folder: Path) -> Path:
    (found,) = (folder / ".voxpy" / "sessions").iterdir()
    return found


def check_everything_is_there(folder: Path) -> list[str]:
    names = [json.loads(x)["name"] for x in (folder / "trace.jsonl").read_text().splitlines()]
    assert "ended" in names
    assert json.loads((folder / "record.json").read_text())["calls"]
    assert (folder / "session.log").stat().st_size > 0
    assert (folder / "call.wav").read_bytes()[:4] == b"RIFF"
    return names


def test_a_call_with_two_steps(tmp_path: Path) -> None:
    (tmp_path / "me.yaml").write_text(TWO_STEPS)
    with started(tmp_path, "run", str(ANSWER), "--caller", "me.yaml") as process:
        told = rest(process)
    assert process.returncode == 0, told
    assert "Hello there" in told
    assert "disconnected: Hung up by the caller" in told
    assert str(Path(".voxpy") / "sessions") in told
    check_everything_is_there(session(tmp_path))


def test_an_agent_of_its_own_and_a_call_to_it(tmp_path: Path) -> None:
    (tmp_path / "me.yaml").write_text(TWO_STEPS)
    with started(tmp_path, "agent", "--port", "0") as agent:
        url = re.search(r"ws://127\.0\.0\.1:\d+\S*", wait_for(agent, "--agent ws://"))
        assert url is not None
        target = url[0].split("?")[0]
        with started(
            tmp_path, "run", str(ANSWER), "--caller", "me.yaml", "--agent", target
        ) as process:
            told = rest(process)
        assert process.returncode == 0, told
        assert "Hello there" in told
        agent.send_signal(signal.SIGINT)
        rest(agent)
        assert agent.returncode == 130


def test_a_killed_process_loses_at_most_the_last_second(tmp_path: Path) -> None:
    """SIGKILL in mid-call: the trace is there to the last line, the recording to the last second."""
    steps = "steps:\n- wait: answered\n- wait: 1.5\n- press: '1'\n- wait: 60\n"
    command = interruptible(tmp_path)
    (tmp_path / "me.yaml").write_text(steps)
    with started(tmp_path, *command) as process:
        wait_for(process, "presses 1")
        process.kill()
        process.wait(timeout=60)
    left = session(tmp_path)
    trace = [json.loads(line) for line in (left / "trace.jsonl").read_text().splitlines()]
    pressed = next(entry["t"] for entry in trace if entry["name"] == "caller presses")
    with wave.open(str(left / "call.wav")) as file:
        assert file.getnframes() / file.getframerate() >= pressed - 1
    assert not (left / "record.json").exists()
    with started(tmp_path, "calls") as asked:
        told = rest(asked)
    assert re.search(rf"^{left.name} .* Interrupted: ", told, re.MULTILINE), told
    with started(tmp_path, "show", "last") as asked:
        told = rest(asked)
    assert "presses 1" in told
    assert "call.wav\n" in told


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with started(tmp_path, "agent", "--port", str(port)) as process:
            told = rest(process)
    assert process.returncode == 1
    assert f"error: port {port} on 127.0.0.1 is taken; choose another with --port" in told
    assert "Traceback" not in told


def interruptible(folder: Path, source: str = PLAIN) -> tuple[str, ...]:
    (folder / "mine.py").write_text(source)
    (folder / "me.yaml").write_text(STAYS)
    return ("run", "mine.py", "--caller", "me.yaml", "--agent", "ws://127.0.0.1:9/")


def test_control_c_once_ends_the_call_in_order(tmp_path: Path) -> None:
    with started(tmp_path, *interruptible(tmp_path)) as process:
        wait_for(process, "answered")
        process.send_signal(signal.SIGINT)
        told = rest(process)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "the caller's script was not met" not in told
    names = check_everything_is_there(session(tmp_path))
    assert names.index("call over") < names.index("ended")
    record = json.loads((session(tmp_path) / "record.json").read_text())
    assert record["end_reason"] == "host shutdown"
    assert record["finish_reason"] == "Terminated administratively"


def test_control_c_twice_stops_at_once_and_still_says_goodbye(tmp_path: Path) -> None:
    slow = (
        PLAIN
        + "\n@VoxEngine.on(AppEvents.Terminating)\nasync def last(event):\n    await trio.sleep(60)\n"
    )
    with started(tmp_path, *interruptible(tmp_path, slow)) as process:
        wait_for(process, "answered")
        process.send_signal(signal.SIGINT)
        wait_for(process, "interrupted")
        process.send_signal(signal.SIGINT)
        told = rest(process)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "stopped; what there is of the call" in told
    names = check_everything_is_there(session(tmp_path))
    assert "call over" in names  # the leg has said BYE
    trace = (session(tmp_path) / "trace.jsonl").read_text().splitlines()
    times = {entry["name"]: entry["t"] for entry in map(json.loads, trace)}
    assert times["ended"] - times["Application.Terminating"] < 5  # as long as it may take


def test_control_c_under_virtual_time(tmp_path: Path) -> None:
    busy = PLAIN.replace("event.call.answer()", "event.call.answer(); print('up', flush=True)")
    arguments = interruptible(tmp_path, busy)
    (tmp_path / "me.yaml").write_text("steps:\n- wait: answered\n- wait: 7000\n")
    with started(tmp_path, *arguments, "--fast") as process:
        wait_for(process, "up")
        process.send_signal(signal.SIGINT)
        told = rest(process)
    assert process.returncode == 130, told
    assert "Traceback" not in told
