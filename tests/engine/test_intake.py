"""Between the tick and a task: bounded, in order, and the log says what is lost."""

from __future__ import annotations

import pytest
import trio

from tests.engine.conftest import Stage
from voxpy.audio.frame import PCMU, pcm16
from voxpy.engine.hearing import WAITING_S, GateTask, Intake
from voxpy.engine.speech import load_engines, no_speech
from voxpy.errors import EngineMissing
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines

FRAMES = round(WAITING_S * 50)


async def test_what_nobody_takes_is_lost_after_20_s_and_told_once(stage: Stage) -> None:
    play = stage.prepare()
    intake = Intake(play.session, "asr-1")
    for n in range(FRAMES + 100):
        intake.push(n.to_bytes(2, "big"))
    (warning,) = [e for e in play.entries if e.kind == "warning"]
    assert warning.name == "listening is 20 s behind; audio is lost"
    got = [int.from_bytes((await intake.next())[0], "big") for _ in range(FRAMES)]
    assert got == list(range(FRAMES))
    intake.put(b"x", PCMU)
    assert await intake.next() == (b"x", PCMU)


async def test_after_close_nothing_is_taken(stage: Stage) -> None:
    intake = Intake(stage.prepare().session, "asr-1")
    intake.close()
    intake.push(b"x")
    with trio.move_on_after(1) as waiting:
        await intake.next()
    assert waiting.cancelled_caught


async def test_gates_take_turns_and_let_others_run_in_between() -> None:
    engines = scripted_engines(ScriptedResponder([]))
    order: list[str] = []

    class Gate:
        def __init__(self, name: str) -> None:
            self.name = name

        def probability(self, samples: object) -> float:
            order.append(self.name)
            return 0.5

        def reset(self) -> None:
            pass

    async def ask(name: str) -> None:
        gate = Gate(name)
        for _ in range(3):
            await engines.ask(gate, pcm16(16000).silence)  # type: ignore[arg-type]

    async def loop() -> None:
        while True:
            order.append("-")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop)
        async with trio.open_nursery() as gates:
            for name in "abc":
                gates.start_soon(ask, name)
        nursery.cancel_scope.cancel()
    told = "".join(order)
    assert sorted(told.replace("-", "")) == sorted("abc" * 3)
    assert "--" in told
    # One in a round of the loop; the loop may stand at the end of one and the start of the next.
    assert all(len(run) <= 2 for run in told.split("-"))


async def test_a_host_without_engines_is_named(stage: Stage) -> None:
    with pytest.raises(EngineMissing, match=r"\[local\]"):
        await load_engines(no_speech)
    task = GateTask(stage.prepare().session, "the microphone", lambda p, s: None)
    with pytest.raises(EngineMissing):
        await task.open()
    task.close()
    task.close()
