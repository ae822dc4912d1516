"""The pytest plugin: a failed test shows its calls."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = '''
SCENARIO = """
from voxpy import AppEvents, CallEvents, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    await event.call.wait_event(CallEvents.Connected)
    BODY
"""
GOOD = SCENARIO.replace("BODY", "Logger.write('all is well')")
BAD = SCENARIO.replace("BODY", "print({}['mood'])")
CALLER = "- wait: answered\\n- wait: 1\\n- hang_up"


def test_call_fails(voxpy):
    assert voxpy.call(GOOD, CALLER).log == ["something else"]


async def test_world_fails(voxpy, autojump_clock):
    async with voxpy.world(GOOD) as world:
        caller = await world.dial("+15550042")
        await caller.wait_hears("hello", within_s=2)


def test_handler_fails(voxpy):
    voxpy.call(BAD, CALLER)


def test_passes(voxpy):
    voxpy.call(GOOD, CALLER)


def test_without_a_call():
    assert False
'''


@pytest.mark.slow
def test_a_failed_test_shows_its_calls_as_they_went(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    pytester.makeini("[pytest]\ntrio_mode = true\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=4, passed=1)
    shown = result.stdout.str()
    assert shown.count("- voxpy: the call -") == 3
    assert "log       all is well" in shown
    assert "+15550100 calls +15550042" in shown
    assert "expected to hear /hello/ within 2 s; heard: nothing" in shown
    handler = shown[shown.index("_ test_handler_fails _") :]
    raised, _, timeline = handler.partition("- voxpy: the call -")
    assert "print({}['mood'])" in raised
    assert "voxpy/engine" not in raised.replace("\\", "/").partition("1 -----")[2]
    assert "KeyError: 'mood'" in timeline


def test_every_name_of_the_kit_is_there() -> None:
    import voxpy.testing

    for name in dir(voxpy.testing):
        assert getattr(voxpy.testing, name).__module__.startswith("voxpy.")
