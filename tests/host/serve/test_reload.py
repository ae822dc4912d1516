"""Files that are edited while the host runs."""

from __future__ import annotations

from tests.host.serve.conftest import ECHO, ROUTING, Hosting

REJECTS = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.reject(486)
    VoxEngine.terminate()
"""


async def test_new_calls_get_the_new_scenario_and_running_ones_keep_theirs(
    hosting: Hosting,
    autojump_clock: object,
) -> None:
    async with hosting() as running:
        old = await running.phone()
        await running.until(lambda: old.received)
        (running.folder / "echo.py").write_text(REJECTS)
        await running.until(lambda: running.logged("reloaded"))
        new = await running.phone()
        await running.until(lambda: new.info)
        before = len(old.received)
        await running.until(lambda: len(old.received) > before)
        assert old.info is None


async def test_a_bad_edit_keeps_the_old_state_and_names_the_line(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        (running.folder / "routing.yaml").write_text(ROUTING.replace("1555", "("))
        await running.until(lambda: [e for e in running.log if e["level"] == "error"])
        phone = await running.phone()
        await running.until(lambda: phone.received)
        (error,) = [e for e in running.log if e["level"] == "error"]
        assert "routing.yaml:4: error: rule 'echo': pattern" in error["event"]
        (running.folder / "routing.yaml").write_text(ROUTING.replace("1555", "49"))
        await running.until(lambda: running.logged("reloaded"))
        other = await running.phone(to="+4930")
        await running.until(lambda: other.received)


async def test_a_scenario_with_a_syntax_error(hosting: Hosting, autojump_clock: object) -> None:
    async with hosting() as running:
        (running.folder / "echo.py").write_text(ECHO + "def (:\n")
        await running.until(lambda: [e for e in running.log if e["level"] == "error"])
        (error,) = [e for e in running.log if e["level"] == "error"]
        assert f"echo.py:{len(ECHO.splitlines()) + 1}" in error["event"]
        phone = await running.phone()
        await running.until(lambda: phone.received)


async def test_a_new_secret_is_there_for_the_next_call_and_never_in_the_log(
    hosting: Hosting,
    autojump_clock: object,
) -> None:
    scenario = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    raise ValueError(VoxEngine.get_secret_value("WORD"))
"""
    async with hosting(scenario=scenario) as running:
        (running.folder / "secrets.env").write_text("WORD=open-sesame-now\n")
        await running.phone()
        await running.until(lambda: running.logged("call ended"))
        text = running.output.getvalue()
    assert "open-sesame-now" not in text
    assert "***" in text


async def test_channels_take_effect_at_the_next_start(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        (running.folder / "routing.yaml").write_text("channels: {twilio: {path: /x}}\n" + ROUTING)
        await running.until(lambda: running.logged("reloaded"))
        phone = await running.phone()
        await running.until(lambda: phone.received)
        told = [e["event"] for e in running.log if e["level"] == "warning"]
    assert told == ["channels have changed: that takes effect at the next start"]
