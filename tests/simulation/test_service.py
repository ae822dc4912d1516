"""``service:``, ``moments:`` and ``speech:`` of a caller's script: read, written, and acted."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings

from voxpy.errors import ConfigError
from voxpy.lab.fuzz.strategies import ScenarioFacts, plans
from voxpy.localagent.responder import CallTool
from voxpy.simulation.callerfile import parse_script, write_script
from voxpy.simulation.moments import Moment
from voxpy.simulation.script import CalleeScript, CallerScript
from voxpy.simulation.service import ServiceScript
from voxpy.simulation.steps import Expect, Info, Play, Press
from voxpy.testing import CallKit
from voxpy.wire.realtime.server.faults import Faults

TOOL = {
    "name": "get_weather",
    "parameters": {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}
WHOLE = """
speech: tones
service:
  says:
    - Hello.
    - [{call: look, with: {a: 1}}, {call: go}]
    - {call: look, with: '{"a":'}
  faults: {refuse_status: 503, delay_ms: 20, stall_s: 2}
  seed: 3
moments:
  - {at_event: 7, do: hang_up}
  - {at_s: 1.5, do: {close: 1011}}
  - {at_s: 2, do: {send: {type: ping}}}
  - {at_s: 2, do: {error: rate_limit_exceeded}}
  - {at_event: 1, do: {stall: 0.5}}
steps: [hang_up]
"""


def parse(text: str) -> CallerScript:
    return parse_script(text, file="case.yaml", folder=Path())


def plain(script: CallerScript) -> CallerScript:
    """The script without where its steps stood."""
    steps = tuple(attrs.evolve(step, line=0) for step in script.steps)
    return attrs.evolve(script, steps=steps, source="")


def test_everything_is_read() -> None:
    script = parse(WHOLE)
    assert script.speech == "tones"
    assert script.service == ServiceScript(
        says=(
            ("Hello.",),
            (CallTool("look", {"a": 1}), CallTool("go", {})),
            (CallTool("look", '{"a":'),),
        ),
        faults=Faults(refuse_status=503, delay_ms=20.0, stall_s=2.0),
        seed=3,
    )
    assert script.moments == (
        Moment(does="hang_up", at_event=7),
        Moment(does="close", at_s=1.5, value=1011),
        Moment(does="send", at_s=2.0, value={"type": "ping"}),
        Moment(does="error", at_s=2.0, value="rate_limit_exceeded"),
        Moment(does="stall", at_event=1, value=0.5),
    )


@settings(max_examples=150)
@given(plan=plans(ScenarioFacts(tools=(TOOL,))))
def test_what_is_written_is_read_again(plan: CallerScript) -> None:
    assert plain(parse(write_script(plan))) == plan


def test_steps_that_random_callers_do_not_take_are_written_too(tmp_path: Path) -> None:
    sound = tmp_path / "beep.wav"
    sound.write_bytes(b"")
    script = parse(
        f"""
        line: {{loss: 0.1, noise_dbfs: -40}}
        display_name: Mary
        steps:
          - wait: {{for: hung_up, within_s: 2}}
          - press: {{digits: "1#", how: inband}}
          - expect: {{heard: "a|b", within_s: 2}}
          - info: {{mime_type: text/plain, body: x}}
          - beep: {{hz: 440}}
          - play: {sound}
        """
    )
    assert plain(parse(write_script(script))) == plain(script)
    kinds = {type(step) for step in script.steps}
    assert kinds > {Press, Expect, Info, Play}


def test_callees_are_not_written() -> None:
    callee = parse('callees: {"1": busy}\nsteps: [hang_up]').callees
    assert all(isinstance(each, CalleeScript) for each in callee)
    with pytest.raises(ValueError, match="callees"):
        write_script(CallerScript(callees=callee))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("service: 3", "case.yaml:1: service must be a mapping"),
        ("service: {say: []}", "service has no 'say'; did you mean 'says'?"),
        ("service: {says: Hello}", "service: says must be a list, not 'Hello'"),
        ("service: {says: [3]}", "says: item 1 must be text, but YAML reads 3"),
        ("service: {says: [{call: x, with: 3}]}", "a mapping, or text as it is"),
        ("service: {says: [{call: ''}]}", "says: item 1: call is missing"),
        ("service: {faults: 3}", "`voxpy agent --help` lists them"),
        ("service: {faults: {delay: 3}}", "there is no 'delay'"),
        ("service: {faults: {delay_ms: slow}}", "delay_ms takes a number, not 'slow'"),
        ("moments: 3", "moments must be a list, not 3"),
        ("moments: [hang_up]", "a moment is {at_event: N, do: ...}"),
        ("moments: [{do: drop}]", "a moment has either at_event or at_s"),
        ("moments: [{at_s: 1, at_event: 1, do: drop}]", "a moment has either at_event or at_s"),
        ("moments: [{at_event: 0, do: drop}]", "at_event must be a whole number from 1 up, not 0"),
        ("moments: [{at_s: 1, do: dorp}]", "unknown 'dorp'; did you mean 'drop'?"),
        (
            "moments: [{at_s: 1, do: {close: 5}}]",
            "must be a whole number from 1000 to 4999, not 5",
        ),
        (
            "moments: [{at_s: 1, do: {close: 5000}}]",
            "must be a whole number from 1000 to 4999",
        ),
        ("moments: [{at_s: 1, do: stall}]", "do must be a number from 0 up, not None"),
        ("moments: [{at_s: 1, do: {error: 3}}]", "do: error must be text"),
        ("moments: [{at_s: 1, do: {send: ping}}]", "send takes the event, a mapping"),
        ("moments: [{at_s: 1, do: {drop: 1}}]", "drop takes no value"),
        ("moments: [{at_s: 1, do: {drop: 1, stall: 2}}]", "do is one of hang_up, drain"),
        ("speech: beeps", "speech is real or tones, not 'beeps'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text + "\nsteps: [hang_up]")
    assert told in str(raised.value)
    assert str(raised.value).startswith("case.yaml:1: ")


BRIDGE = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def answer(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda _: VoxEngine.terminate())
    event.call.answer()
    client = await Inworld.create_realtime_api_client(
        api_key="k", session_key="s",
        on_web_socket_close=lambda e: Logger.write(f"closed {e.code}"))
    for kind in ("SessionCreated", "SessionUpdated", "Error", "Unknown"):
        client.add_event_listener(
            getattr(Inworld.RealtimeAPIEvents, kind), lambda e: Logger.write(e.name))
    client.session_update({"session": {"type": "realtime"}})
"""


@pytest.mark.parametrize(
    ("does", "logged"),
    [
        ("{close: 4000}", "closed 4000"),
        ("drop", "closed 1006"),
        ("{error: rate_limit_exceeded}", "Inworld.RealtimeAPI.Error"),
        ("{send: {type: odd.event}}", "Inworld.RealtimeAPI.Unknown"),
    ],
)
def test_the_service_does_it_in_its_moment(voxpy: CallKit, does: str, logged: str) -> None:
    script = f"moments: [{{at_s: 1, do: {does}}}]\nsteps: [wait: answered, wait: 2]"
    call = voxpy.call(BRIDGE, script)
    (entry,) = [e for e in call.entries if e.kind == "log" and e.personal["text"] == logged]
    assert entry.t == pytest.approx(1.0, abs=0.05)


def test_the_session_is_told_again(voxpy: CallKit) -> None:
    script = "moments: [{at_s: 1, do: repeat_session}]\nsteps: [wait: answered, wait: 2]"
    call = voxpy.call(BRIDGE, script)
    first, second = (e for e in call.events if e.name.endswith("SessionUpdated"))
    assert second.payload["session"] == first.payload["session"]


def test_a_stall_holds_back_what_comes_after_it(voxpy: CallKit) -> None:
    script = """
    moments: [{at_s: 1, do: {stall: 2}}, {at_s: 1, do: {error: late}}]
    steps: [wait: answered, wait: 4]
    """
    (error,) = (e for e in voxpy.call(BRIDGE, script).events if e.name.endswith("API.Error"))
    assert error.at_s == pytest.approx(3.0, abs=0.05)


def test_people_leave_in_their_moment(voxpy: CallKit) -> None:
    hung_up = voxpy.call(BRIDGE, "moments: [{at_event: 3, do: hang_up}]\nsteps: [wait: 5]")
    third = hung_up.events[2]
    (leaving,) = hung_up.find("caller hangs up")
    assert leaving.t == third.at_s
    drained = voxpy.call(BRIDGE, "moments: [{at_s: 0.5, do: drain}]\nsteps: [wait: 5]")
    assert drained.end is not None
    assert drained.end.detail == "drained by the script"


def test_moments_of_a_service_that_is_not_there_are_forgotten(voxpy: CallKit) -> None:
    script = "moments: [{at_s: 0, do: drop}]\nsteps: [wait: answered, wait: 1]"
    assert not voxpy.call(BRIDGE, script).find("closed 1006")
