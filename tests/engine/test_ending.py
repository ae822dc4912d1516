"""Every reason has a word for the call history."""

from __future__ import annotations

import pytest

from voxpy.engine.ending import End, EndReason

ERRORS = {"HANDLER_ERROR", "LOAD_ERROR", "LIMIT", "AGENT_FAILED", "INTERNAL_ERROR"}


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_reason(reason: EndReason) -> None:
    assert reason.finish_reason
    assert reason.is_error == (reason.name in ERRORS)
    assert End(reason, "why").system_error() == ("why" if reason.name in ERRORS else None)


def test_words_of_the_call_history() -> None:
    assert EndReason.TERMINATED.finish_reason == "Normal termination"
    assert EndReason.NO_CALLS.finish_reason == "Timeout"
    assert EndReason.HOST_SHUTDOWN.finish_reason == "Terminated administratively"
