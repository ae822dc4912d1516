"""handle_mic_status, vad and wait_silence: who speaks, and when nobody does."""

from __future__ import annotations

import textwrap

import attrs
import pytest

from voxpy.engine.speech import SpeechGate
from voxpy.errors import EngineMissing
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit, WorldCall


def scenario(body: str) -> str:
    return f"""
from voxpy import AppEvents, CallEvents, Logger, VoxEngine
import trio

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.add_event_listener(
        CallEvents.MicStatusChange, lambda e: Logger.write(f"{{e.active}} {{call.vad()}}")
    )
    call.answer()
    await call.wait_event(CallEvents.Connected)
{textwrap.indent(textwrap.dedent(body).strip(), "    ")}
"""


SPEAK = """
- wait: answered
- wait: 1
- say: one two three four
- wait: 2
- say: five six
- wait: 1
- hang_up
"""


def times(call: WorldCall, name: str) -> list[float]:
    return [e.t for e in call.find(name)]


def test_the_far_end_begins_and_stops_to_speak(voxpy: CallKit) -> None:
    call = voxpy.call(scenario("call.handle_mic_status(True)"), SPEAK)
    assert call.log == ["True True", "False True"] * 2
    changes = times(call, "Call.MicStatusChange")
    spoke, finished = times(call, "caller speaks"), times(call, "caller finished")
    assert changes[0] - spoke[0] == pytest.approx(0.09, abs=0.05)
    assert changes[1] - finished[0] == pytest.approx(0.33, abs=0.06)
    assert changes[2] - spoke[1] == pytest.approx(0.09, abs=0.05)


def test_off_by_default_and_when_switched_off(voxpy: CallKit) -> None:
    assert voxpy.call(scenario("Logger.write(str(call.vad()))"), SPEAK).log == ["False"]
    body = """
    call.handle_mic_status(True)
    call.handle_mic_status(True)
    await call.wait_event(CallEvents.MicStatusChange)
    call.handle_mic_status(False)
    Logger.write(str(call.vad()))
    """
    assert voxpy.call(scenario(body), SPEAK).log == ["True True", "False"]


def test_on_again(voxpy: CallKit) -> None:
    body = """
    call.handle_mic_status(True)
    call.handle_mic_status(False)
    await trio.sleep(3)
    call.handle_mic_status(True)
    """
    assert voxpy.call(scenario(body), SPEAK).log == ["True True", "False True"]


def test_after_the_call_it_is_ignored(voxpy: CallKit) -> None:
    body = """
    call.remove_event_listener(CallEvents.Disconnected)
    await call.wait_event(CallEvents.Disconnected)
    call.handle_mic_status(True)
    Logger.write(str(call.vad()))
    VoxEngine.terminate()
    """
    assert voxpy.call(scenario(body), "- wait: answered\n- hang_up").log == ["False"]


def missing() -> SpeechGate:
    raise EngineMissing("no gate here")


def test_without_a_gate_the_log_says_so(voxpy: CallKit) -> None:
    engines = attrs.evolve(scripted_engines(ScriptedResponder([])), gate=missing)
    body = "call.handle_mic_status(True)\nawait trio.sleep(1)\nLogger.write(str(call.vad()))"
    call = voxpy.call(scenario(body), SPEAK, engines=engines)
    assert call.log == ["False"]
    (warning,) = call.find("handle_mic_status: nothing will be reported")
    assert "no gate here" in str(warning)


# -- silence -------------------------------------------------------------------------------------


def test_silence_is_counted_from_the_last_sound(voxpy: CallKit) -> None:
    body = """
    Logger.write(str(await call.wait_silence(1.5)))
    """
    call = voxpy.call(scenario(body), SPEAK)
    (at,) = [e.t for e in call.entries if e.kind == "log"]
    assert call.log == ["True"]
    assert at - times(call, "caller finished")[0] == pytest.approx(1.5, abs=0.12)


def test_silence_before_counts_only_from_now(voxpy: CallKit) -> None:
    body = "await trio.sleep(0.4)\nawait call.wait_silence(0.5)\nLogger.write('quiet')"
    call = voxpy.call(scenario(body), SPEAK)
    (at,) = [e.t for e in call.entries if e.kind == "log"]
    assert at - times(call, "Call.Connected")[0] == pytest.approx(0.9, abs=0.02)


def test_silence_of_both(voxpy: CallKit) -> None:
    body = "call.send_media_to(call)\nawait call.wait_silence({})\nLogger.write('quiet')"
    alone = voxpy.call(scenario(body.format("1.5")), SPEAK)
    both = voxpy.call(scenario(body.format("1.5, both=True")), SPEAK)
    assert len(alone.log) == len(both.log) == 1
    # Somebody else speaks to the caller, who is silent.
    other = """
    agent = await Inworld.create_realtime_api_client(session_key="k")
    await agent.wait_event(Inworld.RealtimeAPIEvents.SessionCreated)
    agent.send_media_to(call)
    agent.response_create({})
    await trio.sleep(0.3)
    await call.wait_silence(1.0, both=%s)
    Logger.write('quiet')
    """
    quiet = "- wait: answered\n- wait: 8\n- hang_up"
    said = " ".join(["word"] * 10)
    at = {}
    for both_ends in (False, True):
        source = "from voxpy import Inworld\n" + scenario(other % both_ends)
        call = voxpy.call(source, quiet, agent=[said])
        (at[both_ends],) = [e.t for e in call.entries if e.kind == "log"]
    assert at[True] - at[False] == pytest.approx(3.0, abs=0.5)  # ten words


def test_the_end_of_the_call_ends_the_wait(voxpy: CallKit) -> None:
    body = """
    call.remove_event_listener(CallEvents.Disconnected)
    Logger.write(str(await call.wait_silence(60)))
    Logger.write(str(await call.wait_silence(1)))
    VoxEngine.terminate()
    """
    call = voxpy.call(scenario(body), SPEAK)
    assert call.log == ["False", "False"]
    (over, _) = [e.t for e in call.entries if e.kind == "log"]
    assert over == pytest.approx(times(call, "Call.Disconnected")[0], abs=0.01)


@pytest.mark.parametrize("seconds", ["0", "-1", "'2'", "True", "float('nan')"])
def test_silence_takes_seconds(voxpy: CallKit, seconds: str) -> None:
    call = voxpy.call(scenario(f"await call.wait_silence({seconds})"), SPEAK, check_errors=False)
    assert "wait_silence takes seconds above 0" in str(call.errors[0])
