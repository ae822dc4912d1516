"""The kit itself: what it raises, what it returns, and that nobody leaves virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel

from voxpy.errors import ConfigError, ScenarioError
from voxpy.simulation.virtual import run_virtual
from voxpy.testing.calls import CallKit
from voxpy.testing.service import Service, Talk

PLAIN = """
from voxpy import AppEvents, CallEvents, Inworld, Logger, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
async def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    BODY
"""
CALLER = "- wait: answered\n- wait: 1\n- hang_up"


def test_a_call_is_returned_with_everything_it_left(voxpy: CallKit) -> None:
    call = voxpy.call(PLAIN.replace("BODY", "Logger.write('hello')"), CALLER)
    assert call.log == ["hello"]
    assert call.names("log") == ["Logger.write"]
    assert [e.name for e in call.find("Call.Connected")] == ["Call.Connected"]
    assert call.errors == []
    assert call.turns == []
    assert (call.result.folder / "call.wav").exists()


def test_handler_errors_are_raised_unless_they_are_wanted(voxpy: CallKit) -> None:
    source = PLAIN.replace("BODY", "raise KeyError('x')")
    with pytest.raises(ExceptionGroup, match="handlers failed") as failed:
        voxpy.call(source, CALLER)
    assert isinstance(failed.value.exceptions[0], KeyError)
    call = voxpy.call(source, CALLER, check_errors=False)
    assert isinstance(call.errors[0], KeyError)


def test_wrong_scripts_and_scenarios_are_raised_at_once(voxpy: CallKit) -> None:
    with pytest.raises(ConfigError, match=r"caller\.yaml:2"):
        voxpy.call(PLAIN, "- sya: hello")
    with pytest.raises(ScenarioError, match="no such scenario"):
        voxpy.call(Path("nowhere.py"), CALLER)
    with pytest.raises(ScenarioError, match="invalid syntax"):
        voxpy.call("def (", CALLER)


def test_several_files_share_a_namespace_in_order(voxpy: CallKit, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("PRICE = 7\n")
    (tmp_path / "b.py").write_text(PLAIN.replace("BODY", "Logger.write(str(PRICE))"))
    assert voxpy.call([tmp_path / "a.py", tmp_path / "b.py"], CALLER).log == ["7"]


def test_several_calls_of_one_kit_are_apart(voxpy: CallKit) -> None:
    folders = {voxpy.call(PLAIN.replace("BODY", "pass"), CALLER).result.folder for _ in range(3)}
    assert len(folders) == 3


def test_secrets_are_given(voxpy: CallKit) -> None:
    source = PLAIN.replace("BODY", "Logger.write(str(len(VoxEngine.get_secret_value('KEY'))))")
    assert voxpy.call(source, CALLER, secrets={"KEY": "12345678"}).log == ["8"]


CONNECTS = "await Inworld.create_realtime_api_client(api_key='k', session_key='s'URL)"


def test_there_is_no_network_on_virtual_time(voxpy: CallKit) -> None:
    source = PLAIN.replace("BODY", CONNECTS.replace("URL", ""))
    call = voxpy.call(source, CALLER, endpoint="ws://127.0.0.1:9/x", check_errors=False)
    assert "a call on virtual time has no network; give the world serve=" in str(call.errors[0])


def test_another_service_may_stand_in(voxpy: CallKit) -> None:
    service = Service(lambda talk: talk.stay())
    source = PLAIN.replace("BODY", CONNECTS.replace("URL", ", url='wss://far.test/x'"))
    voxpy.call(source, CALLER, serve=service)
    assert service.talks[0].path.startswith("/x?")


def test_a_bug_in_the_stand_in_is_not_hidden(voxpy: CallKit) -> None:
    async def play(talk: Talk) -> None:
        await trio.lowlevel.checkpoint()
        raise AssertionError("my own mistake")

    source = PLAIN.replace("BODY", CONNECTS.replace("URL", ""))
    with pytest.raises(ExceptionGroup) as failed:
        voxpy.call(source, CALLER, serve=Service(play))
    assert failed.group_contains(AssertionError, match="my own mistake")


def test_virtual_time_costs_none(voxpy: CallKit) -> None:
    async def main() -> float:
        began = trio.current_time()
        await trio.sleep(1e4)
        return trio.current_time() - began

    assert run_virtual(main) == pytest.approx(1e4)


def test_the_scheduler_is_repeatable_and_restored() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def note(n: int) -> None:
            await trio.lowlevel.checkpoint()
            order.append(n)

        async with trio.open_nursery() as nursery:
            for n in range(30):
                nursery.start_soon(note, n)
        return order

    first = run_virtual(main)
    assert run_virtual(main) == first
    assert len({tuple(run_virtual(main, seed=n)) for n in range(4)}) > 1
    assert len({tuple(trio.run(main)) for _ in range(8)}) > 1  # trio's own again


def test_what_it_runs_may_raise() -> None:
    async def main() -> None:
        await trio.sleep(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_virtual(main)
