from __future__ import annotations

from voxpy.lab.fuzz.hunt import shrink
from voxpy.localagent.responder import CallTool
from voxpy.simulation.moments import Moment
from voxpy.simulation.script import CallerScript, LineOptions
from voxpy.simulation.service import ServiceScript
from voxpy.simulation.steps import Pause, Press, Say, Wait
from voxpy.wire.realtime.server.faults import Faults

LARGE = CallerScript(
    speech="tones",
    line=LineOptions(loss=0.3),
    service=ServiceScript(
        says=(("It is a fine day.",), (CallTool("look", {"a": 1}), CallTool("go", {}))),
        faults=Faults(delay_ms=40.0),
        seed=2,
    ),
    moments=(Moment(does="drop", at_event=40), Moment(does="repeat_session", at_event=17)),
    steps=(Wait(what="answered"), Pause(seconds=2.0), Say(text="Good morning."), Press(digits="1")),
)


def test_what_is_not_needed_goes() -> None:
    def fails(plan: CallerScript) -> bool:
        repeats = any(
            m.does == "repeat_session" and m.at_event >= 9 for m in plan.moments if m.at_event
        )
        return repeats and any(isinstance(s, Say) for s in plan.steps)

    smallest, tried = shrink(LARGE, fails)
    assert smallest.moments == (Moment(does="repeat_session", at_event=9),)
    assert smallest.steps == (Say(text="Yes."),)
    assert smallest.line == LineOptions()
    assert smallest.service == ServiceScript()
    assert tried < 60


def test_what_the_service_does_is_made_simple() -> None:
    def fails(plan: CallerScript) -> bool:
        says = plan.service.says
        return any(isinstance(act, CallTool) and act.name == "go" for turn in says for act in turn)

    smallest, _ = shrink(LARGE, fails)
    assert smallest.service == ServiceScript(says=((CallTool("go", {}),),))
    assert len(smallest.steps) == 1


def test_it_stops_when_it_may_not_go_on() -> None:
    left = iter([True, True, False])
    smallest, tried = shrink(LARGE, lambda plan: False, goes_on=lambda: next(left))
    assert (smallest, tried) == (LARGE, 2)
