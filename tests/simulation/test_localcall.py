"""One call on this machine: what is loaded, what is not, and what comes back."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from voxpy.cli import main
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.trace import Entry
from voxpy.errors import ConfigError, EngineMissing
from voxpy.host.sessions import HostedSession
from voxpy.localagent.engines import Engines
from voxpy.project.secrets import Secrets
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.localcall import LocalCall, LocalCallResult, run_local_call
from voxpy.simulation.script import LineOptions
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.calls import CallKit

PLAIN = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
"""


@attrs.define
class Watch:
    progressed: list[str] = attrs.field(factory=list)
    entries: list[Entry] = attrs.field(factory=list)
    began: list[HostedSession] = attrs.field(factory=list)

    def progress(self, text: str) -> None:
        self.progressed.append(text)

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def session_began(self, session: HostedSession) -> None:
        self.began.append(session)


def run(folder: Path, steps: str, make_engines: Any, agent: str) -> tuple[LocalCallResult, Watch]:
    (folder / "mine.py").write_text(PLAIN)
    watch = Watch()
    call = LocalCall(
        program=compile_scenarios([folder / "mine.py"]),
        script=parse_script("steps:\n" + steps, file="me.yaml", folder=folder),
        agent=agent,
        session_id="s",
        secrets=Secrets(folder / "secrets.env", environ={}),
        base=folder,
        make_engines=make_engines,
    )
    return run_virtual(partial(run_local_call, call, watch)), watch


def no_engines() -> Engines:
    raise EngineMissing("nothing is installed")


def tones() -> Engines:
    return scripted_engines(ScriptedResponder([]))


QUIET = "- wait: answered\n- press: 1\n- wait: 1\n- hang_up"


def test_without_speech_and_with_another_agent_no_engine_is_loaded(tmp_path: Path) -> None:
    result, watch = run(tmp_path, QUIET, no_engines, "ws://elsewhere.test/")
    assert result.failure == ""
    assert not result.interrupted
    assert watch.progressed == []
    assert [s.session.session_id for s in watch.began] == ["s"]
    assert watch.entries[0].name == "started"


@pytest.mark.parametrize(
    ("steps", "agent"),
    [
        (QUIET, "local"),
        ("- say: hello\n- hang_up", "ws://elsewhere.test/"),
        ("- interrupt: {say: x}\n- hang_up", "ws://elsewhere.test/"),
        ("- expect: hello\n- hang_up", "ws://elsewhere.test/"),
    ],
)
def test_a_missing_engine_is_told_before_the_call(tmp_path: Path, steps: str, agent: str) -> None:
    with pytest.raises(EngineMissing, match="nothing is installed"):
        run(tmp_path, steps, no_engines, agent)
    assert not (tmp_path / "sessions").exists()


def test_the_caller_speaks_with_a_voice_made_before_the_call(tmp_path: Path) -> None:
    result, watch = run(tmp_path, "- wait: answered\n- say: hi\n- hang_up", tones, "ws://x.test/")
    assert result.failure == ""
    assert watch.progressed == ["preparing the caller's voice"]


def test_a_sound_file_that_is_none_is_told_before_the_call(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"not a wav")
    with pytest.raises((ConfigError, ExceptionGroup)) as wrong:
        run(tmp_path, "- play: x.wav\n- hang_up", no_engines, "ws://x.test/")
    assert isinstance(wrong.value, ConfigError) or wrong.group_contains(ConfigError)
    assert not (tmp_path / "sessions").exists()


def test_the_result_is_what_is_on_disk(tmp_path: Path) -> None:
    result, _ = run(tmp_path, "- wait: answered\n- wait: {for: agent_speaking, within_s: 1}", no_engines, "ws://x/")  # fmt: skip
    assert result.folder == tmp_path / "sessions" / "s"
    kept = json.loads((result.folder / "record.json").read_text())
    assert kept == result.record.to_json()
    assert kept["personal"]["caller_failed"] == result.failure
    assert "the agent said nothing within 1 s" in result.failure


@pytest.mark.parametrize(
    "line",
    [LineOptions(loss=0.3, seed=4), LineOptions(jitter_ms=20.0), LineOptions(noise_dbfs=-45.0)],
)
def test_a_bad_line_is_bad_the_same_way_every_time(tmp_path: Path, line: LineOptions) -> None:
    options = {k: v for k, v in attrs.asdict(line).items() if v is not None}
    steps = f"line: {json.dumps(options)}\nsteps:\n- wait: answered\n- say: one two\n- wait: 1\n- hang_up"
    source = PLAIN.replace(
        "event.call.answer()",
        "event.call.add_event_listener(CallEvents.Connected, lambda e: e.call.send_media_to(e.call))\n"
        "    event.call.answer()",
    )
    recordings = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        call = CallKit(tmp_path / name).call(source, steps)
        recordings.append(call.hosted.recording.read_bytes())
    assert recordings[0] == recordings[1]
    clean = CallKit(tmp_path).call(source, steps.replace(json.dumps(options), "{}"))
    assert clean.hosted.recording.read_bytes() != recordings[0]


def test_a_scenario_is_started_and_calls_its_callee(tmp_path: Path) -> None:
    scenario = tmp_path / "out.py"
    scenario.write_text(
        "import json\n"
        "from voxpy import AppEvents, CallEvents, VoxEngine\n"
        "@VoxEngine.on(AppEvents.Started)\n"
        "def started(event):\n"
        "    call = VoxEngine.call_pstn(json.loads(event.custom_data)['to'], '+15550000')\n"
        "    call.add_event_listener(CallEvents.Connected, lambda e: call.hangup())\n"
        "    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())\n"
    )
    caller = tmp_path / "ann.yaml"
    caller.write_text(
        'speech: tones\ncustom_data: {to: "+15550177"}\n'
        'callees: {"+15550177": {steps: [stay_on]}}\n'
    )
    run = ["run", str(scenario), "--caller", str(caller), "--fast", "--json"]
    told = CliRunner().invoke(
        main,
        [*run, "--out", str(tmp_path / "o")],
    )
    record = json.loads(told.stdout)
    assert told.exit_code == 0, told.output
    assert record["personal"]["custom_data"] == '{"to":"+15550177"}'
    assert [c["incoming"] for c in record["calls"]] == [False]
    assert record["recordings"][0].endswith("call.wav")
    busy = ["--data", '{"to":"+15550178"}', "--callee", "+15550178=busy"]
    told = CliRunner().invoke(main, [*run, *busy, "--out", str(tmp_path / "p")])
    assert json.loads(told.stdout)["calls"][0]["end_reason"]["code"] == 486
