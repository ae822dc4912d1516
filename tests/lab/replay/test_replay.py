"""A call in a world, recorded, and run again from what it left."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from voxpy.cli import main
from voxpy.engine.loader import compile_scenarios
from voxpy.engine.settings import Settings
from voxpy.engine.trace import Entry
from voxpy.errors import ConfigError
from voxpy.lab.replay import Replayed, first_difference, read_recording, replay
from voxpy.localagent.engines import Engines
from voxpy.players.speech import find_speaker
from voxpy.simulation.callerfile import parse_script
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit, Reply

SCENARIO = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, Net, VoxEngine

RealtimeEvents = Inworld.RealtimeAPIEvents

async def answer(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.add_event_listener(CallEvents.MessageReceived, lambda e: Logger.write(f"got {e.text}"))
    call.add_event_listener(CallEvents.ToneReceived, lambda e: Logger.write(f"tone {e.tone}"))
    call.handle_tones(True)
    call.answer()
    order = await Net.http_request_async("https://shop.test/orders/7?key=" + KEY)
    Logger.write(f"order: {order.code} {order.text} {KEY}")
    agent = await Inworld.create_realtime_api_client(session_key="k", api_key=KEY)
    agent.add_event_listener(RealtimeEvents.SessionCreated, configure)
    agent.add_event_listener(RealtimeEvents.SessionUpdated, lambda e: bridge(call, agent))
    agent.add_event_listener(RealtimeEvents.InputAudioBufferSpeechStarted, interrupt)

def configure(event):
    event.client.session_update({"session": {"type": "realtime", "instructions": "Be brief."}})

def bridge(call, agent):
    VoxEngine.send_media_between(call, agent)
    agent.response_create({})

def interrupt(event):
    event.client.clear_media_buffer()

KEY = VoxEngine.get_secret_value("SHOP_KEY")
VoxEngine.add_event_listener(AppEvents.CallAlerting, answer)
"""
SECRET = "c2hvcC1rZXk6b2YtYS1zaG9w"


async def record(kit: CallKit, scenario: str = SCENARIO, **given: Any) -> Path:
    """Have a conversation; return the folder it left."""
    http = {"https://shop.test/orders/*": Reply(body={"status": "shipped"}, after_s=0.3)}
    async with kit.world(
        scenario,
        agent=["Hello, how can I help you?", "It has been shipped, and will be there soon."],
        secrets={"SHOP_KEY": SECRET},
        http=http,
        **given,
    ) as world:
        caller = await world.dial("+15550199")
        await caller.wait_hears("Hello", within_s=5)
        await caller.say("Where is my order")
        caller.press("5")
        await caller.wait_hears("shipped", within_s=10)
        caller.hang_up()
        await world.wait_ended()
    return world.folder


async def again(folder: Path, *scenarios: Path, **options: Any) -> Replayed:
    recording = read_recording(folder)
    return await replay(recording, compile_scenarios(scenarios or recording.scenarios), **options)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    assert SCENARIO.count(old) == 1
    path = tmp_path / "changed.py"
    path.write_text(SCENARIO.replace(old, new), encoding="utf-8")
    return path


async def test_the_same_scenario_does_the_same(voxpy: CallKit, autojump_clock: object) -> None:
    outcome = await again(await record(voxpy), tolerance_s=0.021)
    assert outcome.difference is None
    heard = [e.personal["text"] for e in outcome.entries if e.kind == "log"]
    assert heard == ['order: 200 {"status":"shipped"} ***', "tone 5"]
    recorded = [e for e in outcome.recording.entries if e.name == "playout cleared"]
    assert [e.data for e in outcome.entries if e.name == "playout cleared"] == [
        e.data for e in recorded
    ], "the agent was heard as long as then"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "Be brief.",
            "Be very brief.",
            r"session.update of client-1 differs at payload.session.instructions: "
            r"recorded 'Be brief.', replayed 'Be very brief.'",
        ),
        (
            "    agent.response_create({})\n",
            "",
            r"the command response.create of client-1 was recorded, .* replayed|in the recording",
        ),
        (
            "call.answer()",
            "call.ring(); call.answer()",
            r"the command Call.ring of call-1 is in the replay only",
        ),
        ("tone {e.tone}", "digit {e.tone}", r"the log line 'tone 5' is in the recording only"),
        (
            "orders/7",
            "orders/8",
            r"Net.http_request differs at url: recorded '…://shop.test/orders/7'",
        ),
        (
            "    call.handle_tones(True)\n",
            "    call.handle_tones(True)\n    int('x')\n",
            r"the error Application.CallAlerting handler answer|in the recording only",
        ),
        (
            "    event.client.clear_media_buffer()",
            "    pass",
            r"in the recording only",
        ),
    ],
)
async def test_a_changed_scenario_shows_its_first_difference(
    voxpy: CallKit, tmp_path: Path, old: str, new: str, told: str, autojump_clock: object
) -> None:
    folder = await record(voxpy)
    difference = (await again(folder, changed(tmp_path, old, new))).difference
    assert difference is not None
    assert re.search(told, difference.text), difference.text


async def test_a_later_command_is_a_difference_beyond_the_tolerance(
    voxpy: CallKit, tmp_path: Path, autojump_clock: object
) -> None:
    folder = await record(voxpy)
    slow = changed(
        tmp_path, "    call.answer()", "    import trio; await trio.sleep(.1)\n    call.answer()"
    )
    assert (await again(folder, slow)).difference is None
    difference = (await again(folder, slow, tolerance_s=0.05)).difference
    assert difference is not None
    assert difference.text.startswith("the command Call.answer of call-1 came 0.10 s later")


async def test_a_secret_is_in_no_file(voxpy: CallKit, autojump_clock: object) -> None:
    folder = await record(voxpy)
    for path in folder.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path.name
    assert b"SHOP_KEY" in (folder / "inputs.jsonl").read_bytes()


async def test_personal_data_stands_in_marked_fields(
    voxpy: CallKit, autojump_clock: object
) -> None:
    folder = await record(voxpy)
    for line in (folder / "inputs.jsonl").read_text().splitlines():
        rest = {k: v for k, v in json.loads(line).items() if k != "personal"}
        for personal in ("+1555", "shipped", "Be brief", "orders/7"):
            assert personal not in json.dumps(rest)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
async def test_a_killed_session_replays_to_its_last_line(
    voxpy: CallKit, tmp_path: Path, share: float, autojump_clock: object
) -> None:
    folder = await record(voxpy)
    last = read_recording(folder).until_s * share
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    for name in ("trace.jsonl", "inputs.jsonl"):
        lines = [
            line for line in (cut / name).read_bytes().splitlines() if json.loads(line)["t"] < last
        ]
        (cut / name).write_bytes(b"\n".join([*lines, b'{"v":1,"t":']))
    wav = (cut / "call.wav").read_bytes()
    (cut / "call.wav").write_bytes(wav[: int(len(wav) * share)])
    (cut / "record.json").unlink()
    outcome = await again(cut)
    assert not outcome.recording.complete
    assert outcome.difference is None
    assert len(outcome.entries) >= len(outcome.recording.entries) * 0.8


async def test_a_service_that_breaks_off_breaks_off_again(
    voxpy: CallKit, autojump_clock: object
) -> None:
    source = SCENARIO.replace(
        'session_key="k",',
        'session_key="k", on_web_socket_close=lambda e: Logger.write(f"closed {e.code}"),',
    )
    async with voxpy.world(
        source, agent=["Hello"], secrets={"SHOP_KEY": SECRET}, http={"https://shop.test/*": 404}
    ) as world:
        caller = await world.dial()
        await caller.wait_hears("Hello", within_s=5)
        world.agent.close(4000, "enough")
        await caller.wait_hears_silence(for_s=1)
        caller.hang_up()
        await world.wait_ended()
    outcome = await again(world.folder)
    assert outcome.difference is None
    assert "closed 4000" in [e.personal.get("text") for e in outcome.entries]


async def test_a_private_connection_is_not_kept_and_that_is_said(
    voxpy: CallKit, autojump_clock: object
) -> None:
    private = SCENARIO.replace('session_key="k",', 'session_key="k", privacy=True,')
    folder = await record(voxpy, private)
    assert b"Hello, how" not in (folder / "inputs.jsonl").read_bytes()
    outcome = await again(folder)
    assert outcome.recording.gaps == ("a connection ran with privacy=True and was not kept",)
    assert outcome.difference is not None


async def test_what_is_missing_is_said(
    voxpy: CallKit, tmp_path: Path, autojump_clock: object
) -> None:
    folder = await record(voxpy, settings=Settings(replayable=False))
    assert not (folder / "inputs.jsonl").exists()
    with pytest.raises(ConfigError, match=r"inputs.jsonl is missing: what the provider"):
        read_recording(folder)
    with pytest.raises(ConfigError, match=r"there is no trace.jsonl"):
        read_recording(tmp_path)


# -- the command -----------------------------------------------------------------------------------


ECHO = Path(__file__).parents[3] / "scenarios" / "echo.py"


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, words)])


@pytest.fixture
def recorded(voxpy: CallKit) -> Path:
    from voxpy.testing import run_virtual

    return run_virtual(record, voxpy)


def test_the_command_says_that_it_is_the_same(recorded: Path) -> None:
    result = command(recorded)
    assert result.exit_code == 0
    assert result.output.startswith("the same for ")
    by_id = command(recorded.name, "--base", recorded.parents[1])
    assert by_id.exit_code == 0


def test_the_command_shows_the_difference(recorded: Path, tmp_path: Path) -> None:
    other = changed(tmp_path, "Be brief.", "Be very brief.")
    result = command(recorded, "--scenario", other)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert "first difference at 0." in lines[0]
    apart = [line for line in lines[:-1] if line[:1] in ("+", "-")]
    assert [line[0] for line in apart if "session.update" in line] == ["-", "+"]
    assert "very" in next(line for line in apart if line[0] == "+")
    told = json.loads(command(recorded, "--scenario", other, "--json").output)
    assert (told["same"], told["complete"]) == (False, True)
    assert told["difference"]["text"].startswith("the command session.update of client-1 differs")


def test_the_command_refuses_what_is_no_session(tmp_path: Path) -> None:
    result = command("nobody", "--base", tmp_path)
    assert result.exit_code == 2
    assert "there is no call history yet" in result.stderr
    result = command(tmp_path)
    assert result.exit_code == 2
    assert "there is no trace.jsonl" in result.stderr
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "trace.jsonl").write_text("no json\n{}\n")
    (tmp_path / "torn" / "inputs.jsonl").write_text("")
    result = command(tmp_path / "torn")
    assert result.exit_code == 2
    assert "trace.jsonl:1: is no line of JSON" in result.stderr


# -- what runs in real life ------------------------------------------------------------------------


def test_lengths_and_places_of_a_run_are_no_difference() -> None:
    def log(text: str) -> Entry:
        return Entry(t=1.0, kind="log", name="log", personal={"text": text})

    recorded = [log('{"duration":31.981,"url":"file:///a/.voxpy/sessions/local-1/record.mp3"}')]
    replayed = [log('{"duration":31.98,"url":"file:///tmp/x/sessions/local-1/record.mp3"}')]
    assert first_difference(recorded, replayed, tolerance_s=0.25) is None
    one, two = (
        [log(f"{seconds} s in file:///{folder}/sessions/1/record.mp3")]
        for seconds, folder in ((0.94, "a"), (0.9, "b"))
    )
    assert first_difference(one, two, tolerance_s=0.25) is None
    dear, dearer = [log("the price is 3.5")], [log("the price is 4.5")]
    assert first_difference(dear, dearer, tolerance_s=0.25) is not None


def test_a_session_is_found_by_last_and_by_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "caller.yaml").write_text("speech: tones\nsteps: [{wait: answered}, {wait: 1}]")
    caller, out = str(tmp_path / "caller.yaml"), str(tmp_path / "out")
    ran = CliRunner().invoke(main, ["run", str(ECHO), "--fast", "--caller", caller, "--out", out])
    assert ran.exit_code == 0
    (folder,) = (tmp_path / "out" / "sessions").iterdir()
    for name in ("last", folder.name[:9], folder.name):
        assert command(name, "--base", out).output.startswith("the same for ")


async def test_speech_takes_as_long_as_it_did(
    voxpy: CallKit, tmp_path: Path, autojump_clock: object
) -> None:
    """In real life a text is made into sound in a while; on virtual time in none."""

    class Slow(Engines):
        async def run(self, work: Any, *args: Any) -> Any:
            await trio.sleep(0.6 if work is find_speaker else 0)
            return await super().run(work, *args)

    plain = scripted_engines(ScriptedResponder([]))
    slow = Slow(gate=plain.gate, ears=plain.ears, voice=plain.voice, responder=plain.responder)
    source = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.answer()
    await call.wait_event(CallEvents.Connected)
    call.say("Welcome to the museum.")
    await call.wait_event(CallEvents.PlaybackFinished)
    VoxEngine.terminate()
"""
    script = parse_script("steps: [{wait: answered}, {wait: hung_up}]", file="", folder=tmp_path)
    async with voxpy.world(source, engines=slow) as world:
        call = await world.act(script)
    recording = read_recording(call.folder)
    program = compile_scenarios([Path(f) for f in recording.scenarios])
    outcome = await replay(recording, program, speech=lambda: plain)
    assert outcome.difference is None


STARTED = """
from voxpy import AppEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.HttpRequest)
def asked(event):
    Logger.write(f"{VoxEngine.custom_data()} {event.content}")
    if event.content == "end":
        VoxEngine.terminate()
"""


async def test_a_session_without_a_call_is_asked_again(
    voxpy: CallKit, autojump_clock: object
) -> None:
    async with voxpy.world(STARTED) as world:
        call = await world.start({"name": "Ann"})
        for content in ("hello", "end"):
            await trio.sleep(2)
            await call.request(content=content)
        await world.wait_ended()
    program = call.hosted.context.program
    outcome = await replay(read_recording(call.hosted.folder.root), program)
    assert outcome.difference is None
    assert call.log == ['{"name":"Ann"} hello', '{"name":"Ann"} end']
