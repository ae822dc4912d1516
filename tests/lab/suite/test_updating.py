"""Transcripts written into scripts, and nothing else touched."""

from __future__ import annotations

import pytest
import yaml

from voxpy.errors import ConfigError
from voxpy.lab.suite.casefile import with_transcript

STEPS = "# mine\nsteps:   # odd   spacing\n- hang_up\n"


def test_a_script_without_expectations_gets_them_at_its_end() -> None:
    text = with_transcript(STEPS, "agent: a\nagent: b", file="t")
    assert text == STEPS + "expect:\n  transcript: |\n    agent: a\n    agent: b\n"


def test_a_transcript_is_put_before_other_expectations() -> None:
    text = with_transcript(f"{STEPS}expect:   # of it\n    end: terminated\n", "agent: a", file="t")
    assert text == (
        f"{STEPS}expect:   # of it\n    transcript: |\n      agent: a\n    end: terminated\n"
    )


def test_a_transcript_is_replaced_up_to_its_end() -> None:
    before = f"{STEPS}expect:\n  transcript: |\n    agent: a\n\n    # c\n\n"
    text = with_transcript(before + "  end: terminated\nvoice: alto\n", "agent: z", file="t")
    assert yaml.safe_load(text)["expect"] == {"transcript": "agent: z\n", "end": "terminated"}
    assert text.startswith(STEPS)
    assert text.endswith("\n  end: terminated\nvoice: alto\n")
    assert "agent: a" not in text


def test_an_update_of_an_update_changes_nothing() -> None:
    once = with_transcript(f"{STEPS}expect:\n  end: terminated\n", "agent: a\n  tool: b", file="t")
    assert with_transcript(once, "agent: a\n  tool: b", file="t") == once


def test_expectations_in_braces_are_left_alone() -> None:
    with pytest.raises(ConfigError, match=r"t:4: `expect:` must have its keys on lines"):
        with_transcript(STEPS + "expect: {end: terminated}\n", "agent: a", file="t")
