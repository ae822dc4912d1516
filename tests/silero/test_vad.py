"""A voice activity detector in a call: when it says that speech starts and ends."""

from __future__ import annotations

import re
import textwrap

import attrs
import pytest

from voxpy.engine.speech import SpeechGate
from voxpy.errors import EngineMissing, ScenarioError
from voxpy.localagent.engines import local_engines
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines
from voxpy.testing import CallKit, WorldCall


def scenario(arguments: str = "", body: str = "") -> str:
    return f"""
from voxpy import AppEvents, CallEvents, Logger, Modules, Silero, VoxEngine, require
import trio

require(Modules.Silero)

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    call = event.call
    call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    call.answer()
    await call.wait_event(CallEvents.Connected)
    vad = await Silero.create_vad({arguments})
    vad.add_event_listener(Silero.VADEvents.ConnectorInformation, lambda e: Logger.write("ready"))
    vad.add_event_listener(Silero.VADEvents.Reset, lambda e: Logger.write("reset"))

    def tell(event: Silero.VADEvents.Result) -> None:
        assert event.vad is vad
        assert event.data.custom_event == "Result"
        if event.speech_start_at is not None:
            assert event.data.payload == {{"speechStartAt": event.speech_start_at}}
            Logger.write(f"start {{event.speech_start_at:.2f}}")
        else:
            assert event.data.payload == {{"speechEndAt": event.speech_end_at}}
            Logger.write(f"end {{event.speech_end_at:.2f}}")

    vad.add_event_listener(Silero.VADEvents.Result, tell)
    call.send_media_to(vad)
{textwrap.indent(textwrap.dedent(body).strip(), "    ")}
"""


SPEAK = """
- wait: answered
- wait: 0.5
- say: one two three four
- wait: 1
- say: five six
- wait: 1
- hang_up
"""


def spans(call: WorldCall) -> list[float]:
    return [float(line.split()[1]) for line in call.log if re.match("start|end", line)]


def test_start_and_end_in_seconds_of_audio(voxpy: CallKit) -> None:
    call = voxpy.call(scenario(), SPEAK)
    assert call.log[0] == "ready"
    assert [line.split()[0] for line in call.log[1:]] == ["start", "end"] * 2
    said = [e.t for e in call.find("caller speaks")]
    connected = call.find("Call.Connected")[0].t
    first, _, second, _ = spans(call)
    assert first == pytest.approx(said[0] - connected, abs=0.08)
    assert second - first == pytest.approx(said[1] - said[0], abs=0.05)
    assert spans(call)[1] - first == pytest.approx(1.2, abs=0.1)  # four words
    assert voxpy.call(scenario(), SPEAK).find("Silero.create_vad")[0].data["threshold"] == 0.5


def test_padding_and_silence_are_as_asked(voxpy: CallKit) -> None:
    plain = spans(voxpy.call(scenario("speech_pad_ms=0"), SPEAK))
    padded = spans(voxpy.call(scenario("speech_pad_ms=200"), SPEAK))
    assert [b - a for a, b in zip(plain, padded, strict=True)] == pytest.approx(
        [-0.2, 0.2] * 2, abs=0.011
    )
    patient = voxpy.call(scenario("min_silence_duration_ms=1500"), SPEAK)
    assert len(spans(patient)) == 1  # the pause of one second is none, and then the call is over


def test_reset_forgets_the_speech_and_close_ends_it(voxpy: CallKit) -> None:
    body = """
    await vad.wait_event(Silero.VADEvents.Result)
    await trio.sleep(0.3)
    vad.reset()
    await vad.wait_event(Silero.VADEvents.Result)
    vad.close()
    vad.close()
    vad.reset()
    """
    call = voxpy.call(scenario(body=body), SPEAK)
    assert [line.split()[0] for line in call.log] == ["ready", "start", "reset", "start"]
    first, again = spans(call)
    assert again - first == pytest.approx(0.4, abs=0.1)  # still speaking


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("threshold=1.5", "threshold must be from 0.01 to 0.99, not 1.5"),
        ("min_silence_duration_ms=-1", "min_silence_duration_ms must be from 0 to 10000, not -1"),
        ("speech_pad_ms='30'", "speech_pad_ms must be from 0 to 5000, not '30'"),
    ],
)
def test_wrong_arguments(voxpy: CallKit, arguments: str, problem: str) -> None:
    (error,) = voxpy.call(scenario(arguments), SPEAK, check_errors=False).errors
    assert isinstance(error, ScenarioError)
    assert problem in str(error)


def missing() -> SpeechGate:
    raise EngineMissing("no gate here")


def test_a_missing_gate_is_raised_where_it_is_awaited(voxpy: CallKit) -> None:
    engines = attrs.evolve(scripted_engines(ScriptedResponder([])), gate=missing)
    (error,) = voxpy.call(scenario(), SPEAK, engines=engines, check_errors=False).errors
    assert isinstance(error, EngineMissing)


def test_real_speech_through_the_real_gate(voxpy: CallKit) -> None:
    try:
        engines = local_engines(ScriptedResponder([]))
    except EngineMissing as exc:
        pytest.skip(str(exc))
    script = (
        "- wait: answered\n- wait: 1\n- say: What are your opening hours?\n- wait: 1\n- hang_up"
    )
    call = voxpy.call(scenario("min_silence_duration_ms=300"), script, engines=engines)
    start, end = spans(call)
    spoke, finished = call.find("caller speaks")[0].t, call.find("caller finished")[0].t
    connected = call.find("Call.Connected")[0].t
    assert start == pytest.approx(spoke - connected, abs=0.25)
    assert end == pytest.approx(finished - connected, abs=0.3)
