"""Bounds: VoxEngine's defaults, and values that cannot be one."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.settings import Limits, Settings, Watchdogs, may_be_off

FIELDS = [(cls, field) for cls in (Limits, Watchdogs) for field in attrs.fields(cls)]


def test_the_defaults_are_voxengines_where_it_has_the_bound() -> None:
    assert Limits() == Limits(
        session_without_calls_s=60,
        unanswered_call_s=60,
        early_media_s=60,
        players=10,
        timers=100,
        event_queue=1024,
        live_handlers=256,
        slow_handler_s=0.02,
        terminating_grace_s=5,
        close_s=2,
        custom_data_bytes=2000,
        log_characters=15_000,
        uplink_batch_ms=40,
    )
    assert Watchdogs() == Watchdogs(
        no_inbound_media_s=30, dead_air_s=120, longest_call_s=7200, agent_silent_s=20, grace_s=5
    )
    assert Settings().on_handler_error == "terminate"


@pytest.mark.parametrize(("cls", "field"), FIELDS)
@pytest.mark.parametrize("value", [0, -1, math.nan, -math.inf, True, "5", None])
def test_no_bound_is_zero_negative_or_something_else(cls: Any, field: Any, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=field.name):
        cls(**{field.name: value})


@pytest.mark.parametrize(("cls", "field"), FIELDS)
def test_infinity_switches_off_what_may_be_off_and_nothing_else(cls: Any, field: Any) -> None:
    if may_be_off(field):
        assert getattr(cls(**{field.name: math.inf}), field.name) == math.inf
    else:
        with pytest.raises((TypeError, ValueError), match=field.name):
            cls(**{field.name: math.inf})


def test_what_would_let_memory_grow_without_end_cannot_be_off() -> None:
    off = {field.name for _, field in FIELDS if may_be_off(field)}
    assert off == {
        "session_without_calls_s",
        "unanswered_call_s",
        "early_media_s",
        "slow_handler_s",
        "no_inbound_media_s",
        "dead_air_s",
        "longest_call_s",
        "agent_silent_s",
    }


@given(st.integers(min_value=1))
def test_the_uplink_batch_is_whole_frames(batch_ms: int) -> None:
    if batch_ms % 20:
        with pytest.raises(ValueError, match="multiple of 20"):
            Limits(uplink_batch_ms=batch_ms)
    else:
        assert Limits(uplink_batch_ms=batch_ms).uplink_batch_ms == batch_ms


def test_the_policy_is_one_of_two() -> None:
    assert Settings(on_handler_error="continue").on_handler_error == "continue"
    wrong: Any = "ignore"
    with pytest.raises(ValueError, match="on_handler_error"):
        Settings(on_handler_error=wrong)
