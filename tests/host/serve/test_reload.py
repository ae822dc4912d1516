"""Files that are edited while the host runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.serve.conftest import ECHO, ROUTING, Hosting
from voxpy.errors import HandshakeRefused

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
        assert "routing.yaml:4: rule 'echo': pattern" in error["event"]
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


def _half_written(folder: Path) -> None:
    (folder / "routing.yaml").write_text(ROUTING[: len(ROUTING) // 2])


def _loop_of_links(folder: Path) -> None:
    (folder / "echo.py").unlink()
    (folder / "echo.py").symlink_to(folder / "echo.py")


def _pipe(folder: Path) -> None:
    (folder / "routing.yaml").unlink()
    os.mkfifo(folder / "routing.yaml")


def _folder(folder: Path) -> None:
    (folder / "echo.py").unlink()
    (folder / "echo.py").mkdir()


STATES: dict[str, Callable[[Path], object]] = {
    "half a routing file": _half_written,
    "an empty routing file": lambda f: (f / "routing.yaml").write_text(""),
    "no routing file": lambda f: (f / "routing.yaml").unlink(),
    "a pipe": _pipe,
    "bytes": lambda f: (f / "routing.yaml").write_bytes(bytes(range(256))),
    "brackets": lambda f: (f / "routing.yaml").write_text("[" * 100_000),
    "an empty scenario": lambda f: (f / "echo.py").write_text(""),
    "a scenario of brackets": lambda f: (f / "echo.py").write_text("(" * 100_000),
    "a scenario of dots": lambda f: (f / "echo.py").write_text("a" + ".b" * 30_000),
    "a scenario of 5 MB": lambda f: (f / "echo.py").write_text("x = 1\n" * 900_000),
    "a link to itself": _loop_of_links,
    "a folder for a scenario": _folder,
    "nonsense for secrets": lambda f: (f / "secrets.env").write_text("half a li"),
    "a folder for secrets": lambda f: (f / "secrets.env").mkdir(),
}


@pytest.mark.parametrize("state", STATES)
async def test_any_state_of_any_file_changes_nothing_but_the_log(
    hosting: Hosting, autojump_clock: object, state: str
) -> None:
    async with hosting() as running:
        STATES[state](running.folder)
        await running.until(lambda: [e for e in running.log if e["level"] == "error"])
        phone = await running.phone()
        await running.until(lambda: phone.received)
        assert running.logged("the files have errors; new calls go on as before")


@pytest.mark.parametrize("after", [None, "", "MEDIA_TOKEN=\n"])
async def test_what_was_checked_at_the_start_stays_checked(
    hosting: Hosting, autojump_clock: object, tmp_path: Path, after: str | None
) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.write_text("MEDIA_TOKEN=open-sesame\n")
    async with hosting() as running:
        if after is None:
            secrets.unlink()
        else:
            secrets.write_text(after)
        await running.until(lambda: running.logged("reloaded"))
        with pytest.raises(HandshakeRefused, match="403"):
            await running.phone("/media/jambonz")
        (told,) = [e["event"] for e in running.log if "has no value any more" in e["event"]]
        assert "MEDIA_TOKEN" in told


async def test_channels_take_effect_at_the_next_start(
    hosting: Hosting, autojump_clock: object
) -> None:
    async with hosting() as running:
        (running.folder / "routing.yaml").write_text("channels: {twilio: {path: /x}}\n" + ROUTING)
        await running.until(lambda: running.logged("reloaded"))
        phone = await running.phone()
        await running.until(lambda: phone.received)
        told = [e["event"] for e in running.log if e["level"] == "warning"]
    assert told == ["channels in routing.yaml changed: that takes effect at the next start"]
