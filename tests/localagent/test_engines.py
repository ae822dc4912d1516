"""How blocking engines are run: threads on a real clock, inline on a virtual one."""

from __future__ import annotations

import threading

import pytest
import trio

from voxpy.localagent.engines import Engines
from voxpy.simulation.service import ScriptedResponder
from voxpy.simulation.tones import scripted_engines


@pytest.fixture
def engines() -> Engines:
    return scripted_engines(ScriptedResponder([]))


async def test_on_virtual_time_work_is_done_here(engines: Engines, autojump_clock: object) -> None:
    began = trio.current_time()
    assert await engines.run(threading.current_thread) is threading.current_thread()
    assert trio.current_time() == began
    assert await engines.run(divmod, 7, 2) == (3, 1)


async def test_on_a_real_clock_work_is_done_in_a_thread(engines: Engines) -> None:
    assert await engines.run(threading.current_thread) is not threading.current_thread()


async def test_not_more_at_a_time_than_there_are_cores(engines: Engines) -> None:
    running, most, lock = 0, 0, threading.Lock()
    gate = threading.Barrier(2, timeout=5)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait()
        with lock:
            running -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(engines.run, work)
    assert most == 2


async def test_what_work_raises_comes_out(engines: Engines) -> None:
    with pytest.raises(ZeroDivisionError):
        await engines.run(divmod, 1, 0)
