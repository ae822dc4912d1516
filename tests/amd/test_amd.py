"""A detector in a call: what it waits for, what it says, and when."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import attrs
import numpy as np
import pytest

from voxpy.audio.frame import pcm16
from voxpy.audio.wav import WavWriter
from voxpy.engine.speech import SpeechGate
from voxpy.errors import EngineMissing, ScenarioError
from voxpy.localagent.engines import Engines, local_engines
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit, WorldCall


def scenario(body: str = "Logger.write(told(await amd.detect()))", arguments: str = "") -> str:
    return f"""
from voxpy import AMD, AppEvents, CallEvents, Logger, VoxEngine
import trio

def told(event):
    if isinstance(event, AMD.Events.DetectionError):
        return f"error: {{event.message}}"
    return f"{{event.result_class}} {{event.result_subtype}} {{event.confidence}} {{event.call_id}}"

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    amd = AMD.create(model=AMD.Model.US, call=call, {arguments})
    call.answer()
{textwrap.indent(textwrap.dedent(body).strip(), "    ")}
"""


def says(steps: str) -> str:
    return f"- wait: answered\n{textwrap.dedent(steps).strip()}\n- wait: 9\n- hang_up"


HELLO = says("- wait: 0.5\n- say: hello there")  # two words of tone: 0.6 s
MACHINE = says("- wait: 0.5\n- say: " + "you have reached us " * 4)  # 4.8 s


def outcome(call: WorldCall) -> tuple[str, float]:
    """Return what was logged, and how long after the answer it was known."""
    (entry,) = call.find("AMD.Events.DetectionComplete")
    (connected,) = [e.t for e in call.find("Call.Connected")]
    return call.log[0], entry.t - connected


def test_a_short_word_and_silence_is_a_human(voxpy: CallKit) -> None:
    told, after_s = outcome(voxpy.call(scenario(), HELLO))
    assert re.fullmatch(r"HUMAN NONE 7\d\.\d call-1", told)
    assert after_s == pytest.approx(0.5 + 0.6 + 0.6, abs=0.15)


def test_what_machines_say_is_a_machine_while_it_speaks(voxpy: CallKit) -> None:
    call = voxpy.call(scenario(), MACHINE)
    told, after_s = outcome(call)
    assert told == "VOICEMAIL NONE 95.0 call-1"
    assert after_s == pytest.approx(0.5 + 1.4, abs=0.15)  # the second time the words are looked at
    (classified,) = call.find("answer classified")
    assert classified.personal["text"].startswith("you have reached")


def test_a_long_greeting_is_a_machine_whatever_it_says(voxpy: CallKit) -> None:
    numbers = says("- wait: 0.5\n- say: " + "one two three four " * 4)  # 4.8 s
    for caller, model in ((numbers, "US"), (MACHINE, "RU")):  # Russian words are not understood
        spoken = scenario().replace("AMD.Model.US", f"AMD.Model.{model}")
        told, after_s = outcome(voxpy.call(spoken, caller))
        assert re.fullmatch(r"VOICEMAIL NONE 8\d\.\d call-1", told)
        assert after_s == pytest.approx(0.5 + 2.2, abs=0.35)


def test_a_person_who_says_a_long_sentence_is_a_human(voxpy: CallKit) -> None:
    greeting = "good morning this is the house how can i help you"  # 3.3 s
    told, after_s = outcome(voxpy.call(scenario(), says(f"- wait: 0.5\n- say: {greeting}")))
    assert re.fullmatch(r"HUMAN NONE 7\d\.\d call-1", told)
    assert after_s < 0.5 + 3.3 + 2.1


def test_nobody_speaks(voxpy: CallKit) -> None:
    told, after_s = outcome(voxpy.call(scenario(), says("- wait: 1")))
    assert told == "TIMEOUT NONE None call-1"
    assert after_s == pytest.approx(6.5, abs=0.03)
    _, after_s = outcome(voxpy.call(scenario(arguments="timeout=2000"), says("- wait: 1")))
    assert after_s == pytest.approx(2.0, abs=0.03)
    told, after_s = outcome(voxpy.call(scenario(arguments="timeout=0"), HELLO))
    assert told.startswith("TIMEOUT")
    assert after_s == pytest.approx(0, abs=0.03)


def test_the_call_ends_in_the_middle(voxpy: CallKit) -> None:
    body = """
    call.remove_event_listener(CallEvents.Disconnected)
    Logger.write(told(await amd.detect()))
    Logger.write(told(await amd.detect()))
    VoxEngine.terminate()
    """
    hang_up = "- wait: answered\n- wait: 0.5\n- say: hello\n- hang_up"
    call = voxpy.call(scenario(body), hang_up)
    assert call.log == ["CALL_ENDED NONE None call-1"] * 2


def test_a_call_that_is_over_and_one_that_was_never_answered(voxpy: CallKit) -> None:
    body = """
    call.remove_event_listener(CallEvents.Disconnected)
    await call.wait_event(CallEvents.Disconnected)
    late = AMD.create(model="us", call=call)
    Logger.write(told(await late.detect()))
    VoxEngine.terminate()
    """
    assert voxpy.call(scenario(body), "- wait: answered\n- hang_up").log == [
        "CALL_ENDED NONE None call-1"
    ]
    rejected = scenario("Logger.write(told(await amd.detect()))").replace(
        "call.answer()", "call.reject(486)"
    ).replace("lambda e: VoxEngine.terminate()", "lambda e: None")  # fmt: skip
    call = voxpy.call(rejected, "may_be_refused: true\nsteps:\n- wait: answered")
    assert call.log == ["CALL_ENDED NONE None call-1"]


def test_events_come_without_detect_and_on_the_call_too(voxpy: CallKit) -> None:
    body = """
    amd.add_event_listener(AMD.Events.DetectionComplete, lambda e: Logger.write(told(e)))
    for kind in (CallEvents.AudioIdentificationStarted, CallEvents.AudioIdentificationStopped):
        call.add_event_listener(kind, lambda e: Logger.write(e.name))
    call.add_event_listener(
        CallEvents.AudioIdentificationResult, lambda e: Logger.write(f"{e.audio_type}")
    )
    """
    call = voxpy.call(scenario(body), HELLO)
    assert call.log[0] == "Call.AudioIdentificationStarted"
    assert call.log[1].startswith("HUMAN NONE")
    assert call.log[2:] == ["HUMAN", "Call.AudioIdentificationStopped"]


def test_fields_and_attaching_later(voxpy: CallKit) -> None:
    body = """
    other = AMD.create(model="RU", timeout=3000)
    Logger.write(f"{other.id()} {other.model} {other.timeout} {other.call}")
    await call.wait_event(CallEvents.Connected)
    await trio.sleep(2)
    other.attach(call)
    Logger.write(str(other.call is call))
    Logger.write(told(await other.detect()))
    """
    call = voxpy.call(scenario(body), says("- wait: 3\n- say: hello"))
    assert call.log[:2] == ["amd-2 ru 3000.0 None", "True"]
    assert call.log[2].startswith("HUMAN")  # counted from its own beginning


def test_without_a_call_it_says_so(voxpy: CallKit) -> None:
    body = """
    lost = AMD.create(model="us")
    Logger.write(told(await lost.detect()))
    """
    call = voxpy.call(scenario(body), HELLO)
    assert call.log[0].startswith("error: it has no call: pass call= to AMD.create")


def missing() -> SpeechGate:
    raise EngineMissing("no gate here")


def test_without_a_gate_it_says_so(voxpy: CallKit) -> None:
    engines = attrs.evolve(scripted_engines(ScriptedResponder([])), gate=missing)
    call = voxpy.call(scenario(), HELLO, engines=engines)
    assert call.log == ["error: no gate here"]
    assert call.find("Call.AudioIdentificationError")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("AMD.create(model='uk')", "'uk' is not an AMD.Model"),
        ("AMD.create(model='us', timeout=20001)", "timeout must be from 0 to 20000 ms, not 20001"),
        ("AMD.create(model='us', thresholds={'humn': 1})", "did you mean 'human'"),
        ("AMD.create(model='us', thresholds={'human': 101})", "from 0 to 100, not 101"),
        ("amd.attach(call)", "amd-1 already listens to call call-1"),
        ("amd.detectt()", "AnsweringMachineDetector has no 'detectt'; did you mean 'detect'"),
        ("AMD.Model.UK", "_Model has no 'UK'"),
    ],
)
def test_mistakes(voxpy: CallKit, line: str, problem: str) -> None:
    (error,) = voxpy.call(scenario(line), HELLO, check_errors=False).errors
    assert isinstance(error, ScenarioError)
    assert problem in str(error)


def tone(path: Path, seconds: float) -> None:
    at = np.arange(round(8000 * seconds / 160) * 160)
    with path.open("wb") as file:
        writer = WavWriter(file, pcm16(8000))
        writer.write((9000 * np.sin(2 * np.pi * 1000 * at / 8000)).astype("<i2").tobytes())
        writer.close()


# -- real voices ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engines() -> Engines:
    try:
        return local_engines(ScriptedResponder([]))
    except EngineMissing as exc:
        pytest.skip(str(exc))


@pytest.mark.parametrize(
    ("said", "result_class"),
    [
        ("Hello?", "HUMAN"),
        ("Yes, hello, this is Martin.", "HUMAN"),
        (
            "Hi, you have reached Martin. I cannot take your call right now. "
            "Please leave a message after the tone.",
            "VOICEMAIL",
        ),
    ],
)
def test_real_voices(voxpy: CallKit, engines: Engines, said: str, result_class: str) -> None:
    caller = says(f"- wait: 0.5\n- say: {said}")
    told, after_s = outcome(voxpy.call(scenario(), caller, engines=engines))
    assert told.split()[0] == result_class
    assert after_s < 4.5  # of the second one, two seconds of silence


def test_a_short_greeting_with_a_beep_is_a_machine(
    voxpy: CallKit, engines: Engines, tmp_path: Path
) -> None:
    tone(tmp_path / "beep.wav", 0.5)
    caller = says("- wait: 0.5\n- say: Please leave a message.\n- play: beep.wav")
    told, _ = outcome(voxpy.call(scenario(), caller, engines=engines))
    assert told == "VOICEMAIL NONE 97.0 call-1"
