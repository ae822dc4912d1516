"""Settings out of YAML: inherited, overridden, switched off, or refused with a line."""

from __future__ import annotations

import math

import attrs
import pytest

from voxpy.engine.settings import Limits, Settings, Watchdogs
from voxpy.engine.userfile import load
from voxpy.errors import ConfigError
from voxpy.project.problem import Problem
from voxpy.project.routing import SETTINGS_KEYS, read_settings


def structure(text: str, base: Settings | None = None) -> tuple[Settings, list[Problem]]:
    problems: list[Problem] = []

    def report(error: ConfigError) -> None:
        problems.append(Problem.from_config_error(error, file="r.yaml"))

    given = attrs.evolve(load(text, file="r.yaml").root.named("settings"), report=report)
    return read_settings(given.fields(SETTINGS_KEYS), base or Settings()), problems


def complaints(text: str) -> list[str]:
    return [str(problem) for problem in structure(text)[1]]


def test_nothing_said_is_the_base() -> None:
    base = Settings(limits=Limits(timers=7), on_handler_error="continue")
    assert structure("", base) == (base, [])
    assert structure("{limits: , watchdogs: , on_handler_error: }", base) == (base, [])


def test_what_is_said_overrides_and_the_rest_stays() -> None:
    base = Settings(limits=Limits(timers=7))
    settings, problems = structure(
        "limits: {close_s: 1.5}\nwatchdogs: {longest_call_s: 600}\non_handler_error: continue\n"
        "replayable: false",
        base,
    )
    assert problems == []
    assert settings == Settings(
        limits=Limits(timers=7, close_s=1.5),
        watchdogs=Watchdogs(longest_call_s=600),
        on_handler_error="continue",
        replayable=False,
    )


@pytest.mark.parametrize("off", ["off", "no", "false", ".inf"])
def test_a_watchdog_can_be_switched_off(off: str) -> None:
    settings, problems = structure(f"watchdogs: {{dead_air_s: {off}}}")
    assert problems == []
    assert settings.watchdogs.dead_air_s == math.inf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "limits:\n  timer: 5",
            "r.yaml:2: error: settings: limits has no 'timer'; did you mean 'timers'?",
        ),
        (
            "limits:\n  timers: many",
            "r.yaml:2: error: settings: limits: timers must be a whole number, not 'many'",
        ),
        (
            "limits:\n  close_s: off",
            "r.yaml:2: error: settings: limits: close_s must be a number, not False",
        ),
        (
            "limits:\n  close_s: .inf",
            "r.yaml:2: error: settings: limits: close_s cannot be switched off: it must be finite",
        ),
        (
            "watchdogs:\n  dead_air_s: on",
            "r.yaml:2: error: settings: watchdogs: dead_air_s must be a number, not True, or off",
        ),
        (
            "watchdogs:\n\n  dead_air_s: 0",
            "r.yaml:3: error: settings: watchdogs: dead_air_s must be above 0, not 0, or off",
        ),
        (
            "limits:\n  uplink_batch_ms: 50",
            "r.yaml:2: error: settings: limits: uplink_batch_ms must be a multiple of 20, not 50",
        ),
        (
            "watchdogs: off",
            "r.yaml:1: error: settings: watchdogs must be a mapping (key: value), not False",
        ),
        (
            "replayable: 3",
            "r.yaml:1: error: settings: replayable must be true or false, not 3",
        ),
        (
            "limits: {}\non_handler_error: [x]",
            "r.yaml:2: error: settings: on_handler_error must be terminate or continue, not ['x']",
        ),
    ],
)
def test_what_is_wrong_has_its_line_and_keeps_the_default(text: str, expected: str) -> None:
    assert complaints(text) == [expected]
    assert structure(text)[0] == Settings()


def test_everything_wrong_is_found_at_once() -> None:
    assert len(complaints("limits: {a: 1, b: 2, timers: x}\nwatchdogs: {c: 1}")) == 4


def test_a_name_close_to_nothing_gets_the_whole_list() -> None:
    (complaint,) = complaints("watchdogs: {qqq: 1}")
    assert complaint.endswith(
        "known are no_inbound_media_s, dead_air_s, longest_call_s, agent_silent_s, grace_s"
    )
