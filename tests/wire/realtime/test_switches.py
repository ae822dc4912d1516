"""NAME=VALUE texts to frozen settings."""

from __future__ import annotations

import math
import re

import attrs
import pytest

from voxpy.wire.realtime.server.faults import Faults
from voxpy.wire.realtime.server.quirks import Quirks, describe, parse_switches


def test_every_kind_of_value() -> None:
    assert parse_switches(Quirks(), []) == Quirks()
    assert parse_switches(
        Quirks(),
        [
            "text-first",
            "mulaw_thirds=off",
            "ping_interval_s=20",
            "exhausted_at_response=2",
            "transcription=after_done",
        ],
    ) == Quirks(
        text_first=True,
        mulaw_thirds=False,
        ping_interval_s=20.0,
        exhausted_at_response=2,
        transcription="after_done",
    )
    assert parse_switches(Quirks(), ["ping_interval_s=none"]) == Quirks()
    assert parse_switches(Faults(), ["stall_s=inf", "close_reason=a=b"]) == Faults(
        stall_s=math.inf, close_reason="a=b"
    )


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("text_frist", "there is no 'text_frist'; did you mean 'text_first'?"),
        ("text_first=perhaps", "text_first takes true or false, not 'perhaps'"),
        ("ping_interval_s=soon", "ping_interval_s takes a number or none, not 'soon'"),
        ("exhausted_at_response=1.5", "exhausted_at_response takes a whole number or none"),
        ("transcription=never", "takes before_response or after_created or after_done"),
        ("transcription", "transcription takes"),
    ],
)
def test_errors_say_what_is_wanted(setting: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_switches(Quirks(), [setting])


@pytest.mark.parametrize("cls", [Quirks, Faults])
def test_every_switch_is_described_and_its_description_parses(cls: type) -> None:
    described = describe(cls)
    assert len(described) == len(attrs.fields(cls))
    assert all(len(meaning) > 10 for _, meaning in described)
    assert parse_switches(cls(), [name for name, _ in described]) == cls()
