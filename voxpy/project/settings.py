"""Settings out of YAML: what is wrong keeps the base's value. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TypeVar

import attrs

from voxpy.engine.settings import Limits, OnHandlerError, Settings, Watchdogs, may_be_off
from voxpy.engine.userfile import Fields, Given

__all__ = ["SETTINGS_KEYS", "read_settings"]

SETTINGS_KEYS = ("limits", "watchdogs", "on_handler_error", "replayable")

_ON_HANDLER_ERROR: Mapping[str, OnHandlerError] = {"terminate": "terminate", "continue": "continue"}

Bounds = TypeVar("Bounds", Limits, Watchdogs)


def read_settings(fields: Fields, base: Settings) -> Settings:
    """Return ``base`` with what the SETTINGS_KEYS among ``fields`` override."""
    return Settings(
        limits=fields.get("limits", partial(_bounds, base=base.limits), base.limits),
        watchdogs=fields.get("watchdogs", partial(_bounds, base=base.watchdogs), base.watchdogs),
        on_handler_error=fields.get("on_handler_error", _policy, base.on_handler_error),
        replayable=fields.get("replayable", Given.flag, base.replayable),
    )


def _policy(given: Given) -> OnHandlerError:
    return _ON_HANDLER_ERROR[given.one_of(tuple(_ON_HANDLER_ERROR))]


def _bounds(given: Given, base: Bounds) -> Bounds:
    known = attrs.fields_dict(type(base))
    for name, number in given.fields(tuple(known)).items():
        if name not in known:
            continue
        value, off = number.value, may_be_off(known[name])
        # YAML 1.1 reads the word off as false; .inf is its way to write infinity.
        if value is False and off:
            value = math.inf
        try:
            base = attrs.evolve(base, **{name: value})
        except (TypeError, ValueError) as exc:
            given.report(number.error(f"{given.label}: {exc}{', or off' if off else ''}"))
    return base
