"""A simulated caller acting its script: steps met and not met, and what is told of each."""

# ruff: noqa: E501  tables and scenario sources read better in whole lines

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from voxpy.testing import CallKit, WorldCall

SPEAKS = """
from voxpy import AppEvents, CallEvents, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    await call.wait_event(CallEvents.Connected)
    for wait_s, digits in SPEECH:
        await trio.sleep(wait_s)
        call.send_digits(digits)  # what an agent's voice is to a caller without ears
"""


def agent(*speech: tuple[float, str]) -> str:
    """Return a scenario that makes sound ``wait_s`` after the last one began."""
    return SPEAKS.replace("SPEECH", repr(speech))


def at(call: WorldCall, name: str) -> float:
    return call.find(name)[0].t


def test_waiting_for_the_agent(voxpy: CallKit) -> None:
    steps = "- wait: agent_speaking\n- press: 1\n- wait: agent_finished\n- hang_up"
    call = voxpy.call(agent((2, "123"), (3, "456")), steps)
    assert call.result.failure == ""
    assert at(call, "caller presses") == at(call, "agent audible")
    second = call.find("agent audible")[1].t
    assert at(call, "caller hangs up") > second + 0.8


def test_finished_means_finished_since_the_caller_spoke(voxpy: CallKit) -> None:
    steps = "- wait: agent_finished\n- say: one two\n- wait: {for: agent_finished, within_s: 2}"
    call = voxpy.call(agent((1, "1")), steps)
    assert (
        "caller.yaml:4: step 3 (wait: agent_finished): the agent did not finish"
        in call.result.failure
    )


def test_an_interruption_is_measured(voxpy: CallKit) -> None:
    steps = "- interrupt: {after_s: 0.5, say: stop it}\n- wait: 2\n- hang_up"
    call = voxpy.call(agent((1, "1234567890")), steps)
    assert call.result.failure == ""
    assert at(call, "caller speaks") - at(call, "agent audible") == pytest.approx(0.5, abs=0.03)
    (ms,) = call.result.record.barge_in_ms
    assert 100 < ms < 3000


def test_who_speaks_after_its_last_word_has_not_broken_in(voxpy: CallKit) -> None:
    steps = "- interrupt: {after_s: 0.4, say: stop it}\n- wait: 2\n- hang_up"
    call = voxpy.call(agent((1, "1")), steps)
    assert call.result.failure == ""
    assert call.result.record.barge_in_ms == []


def test_nobody_to_interrupt(voxpy: CallKit) -> None:
    call = voxpy.call(agent(), "- interrupt: {after_s: 1, say: stop, within_s: 3}")
    assert "step 1 (interrupt: stop): the agent said nothing within 3 s" in call.result.failure


def test_too_late_to_interrupt(voxpy: CallKit) -> None:
    call = voxpy.call(agent((1, "1")), "- interrupt: {after_s: 4, say: stop}")
    assert "the agent had finished before it could be interrupted after 4 s" in call.result.failure


def test_pauses_are_exact_even_before_the_answer(voxpy: CallKit) -> None:
    source = agent().replace("call.answer()", "await trio.sleep(5)\n    call.answer()")
    call = voxpy.call(source, "- wait: 3\n- press: 1\n- wait: answered\n- silence: 2\n- hang_up")
    assert call.result.failure == ""
    assert at(call, "caller presses") == 3.0
    assert at(call, "caller hangs up") == pytest.approx(at(call, "Call.Connected") + 2, abs=0.021)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("wait: {for: answered, within_s: 4}", "(wait: answered): the call was not answered within 4 s"),
        ("expect: {heard: x, within_s: 2}", "(expect: /x/): expected to hear /x/ within 2 s; heard: nothing"),
    ],
)  # fmt: skip
def test_waits_that_end_in_nothing(voxpy: CallKit, step: str, words: str) -> None:
    source = agent().replace("call.answer()", "call.ring()")
    call = voxpy.call(source, f"- {step}")
    assert f"caller.yaml:2: step 1 {words}" in call.result.failure
    assert call.result.record.calls[0]["end_reason"]["code"] == 487  # then it gives up


@pytest.mark.parametrize(
    ("step", "title"),
    [
        ("wait: 60", "wait: 60"),
        ("say: " + "word " * 40, "say: word"),
        ("wait: {for: agent_speaking, within_s: 60}", "wait: agent_speaking"),
        ("expect: {heard: never, within_s: 60}", "expect: /never/"),
    ],
)
def test_a_call_that_ends_too_early_names_the_step(voxpy: CallKit, step: str, title: str) -> None:
    source = agent().replace("for wait_s", "await trio.sleep(2)\n    call.hangup()\n    for wait_s")
    call = voxpy.call(source, f"- wait: answered\n- {step}\n- press: 1")
    assert f"caller.yaml:3: step 2 ({title}" in call.result.failure
    assert "the call was over: 200 Hung up by the scenario" in call.result.failure


def test_being_hung_up_on_at_the_end_is_fine(voxpy: CallKit) -> None:
    source = agent().replace("for wait_s", "await trio.sleep(2)\n    call.hangup()\n    for wait_s")
    call = voxpy.call(source, "- wait: answered\n- wait: 1.99\n- hang_up")
    assert call.result.failure == ""


def test_a_script_that_just_ends_hangs_up(voxpy: CallKit) -> None:
    call = voxpy.call(agent(), "- wait: answered\n- wait: 1")
    assert at(call, "caller hangs up") == pytest.approx(1.02, abs=0.021)
    assert call.result.failure == ""


def test_the_voice_of_the_caller_is_the_scripts(voxpy: CallKit) -> None:
    from voxpy.simulation.service import ScriptedResponder
    from voxpy.simulation.tones import scripted_engines

    engines = scripted_engines(ScriptedResponder([]))
    asked = []
    speak = engines.voice.speak

    class Voice:
        def warm_up(self) -> None:
            engines.voice.warm_up()

        def speak(self, text: str, *, speaker: str, speed: float) -> Iterator[Any]:
            asked.append((text, speaker, speed))
            return speak(text, speaker=speaker, speed=speed)

    steps = "voice: tenor\nsteps:\n- wait: answered\n- say: hello you\n- hang_up"
    voxpy.call(agent(), steps, engines=attrs.evolve(engines, voice=Voice()))
    assert asked == [("hello you", "tenor", 1.0)]


@pytest.mark.parametrize("noise_dbfs", [-60, -50, -42])
def test_an_ear_follows_the_noise_of_its_line(voxpy: CallKit, noise_dbfs: int) -> None:
    source = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda: VoxEngine.terminate())
    call.answer()
    await call.wait_event(CallEvents.Connected)
    call.say("one two three four five six seven eight nine ten")
"""
    caller = f"""
line: {{noise_dbfs: {noise_dbfs}}}
steps:
- wait: answered
- wait: {{for: agent_finished, within_s: 6}}
- expect: one two three four five six seven eight nine ten
- hang_up
"""
    call = voxpy.call(source, caller)
    assert call.result.failure == ""
    assert len(call.find("agent audible")) == 1
