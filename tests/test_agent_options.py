"""What ``voxpy agent`` can be told to do differently, or wrong."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from voxpy.cli.agent import _behaviour, _told, command
from voxpy.wire.realtime.server.faults import Faults
from voxpy.wire.realtime.server.quirks import LIKE, Quirks


def test_help_lists_every_quirk_and_fault() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    for cls in (Quirks, Faults):
        for field in attrs.fields(cls):
            assert f"{field.name}=" in result.output
            assert field.metadata["meaning"] in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--as", "opneai"], "did you mean 'openai'?"),
        (["--quirk", "legacy_name=on"], "did you mean 'legacy_names'?"),
        (["--fault", "delay_ms=long"], "delay_ms takes a number, not 'long'"),
    ],
)
def test_what_is_not_understood_is_said_before_anything_is_loaded(
    arguments: list[str], says: str
) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert says in result.output


DEFAULTS = {"host": "127.0.0.1", "like": "inworld", "tls_cert": None, "llm": None, "topics": None}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "ws://127.0.0.1:1/api/v1/realtime/session?key=<any>&protocol=realtime"),
        ({}, "answers are canned: the topics of voxpy/localagent/topics.yaml"),
        ({}, "--llm URL"),
        ({"topics": "mine.yaml"}, "the topics of mine.yaml"),
        ({"like": "openai"}, "ws://127.0.0.1:1/v1/realtime?model=<any>"),
        ({"like": "openai", "tls_cert": "c.pem"}, "OPENAI_BASE_URL=https://127.0.0.1:1/v1"),
        ({"llm": "http://llm", "llm_model": "m"}, "answers come from m at http://llm"),
    ],
)
def test_at_the_start_it_says_where_it_is_and_where_answers_come_from(
    options: dict[str, str], says: str
) -> None:
    told = "\n".join(_told(DEFAULTS | options, 1))
    assert says in told
    assert ("canned" in told) == ("llm" not in options)


def test_quirks_go_on_top_of_the_service_it_is_like() -> None:
    options = {"like": "openai", "quirks": ["mulaw_thirds"], "faults": [], "seed": 0}
    behaviour = _behaviour(options)
    assert behaviour.quirks == attrs.evolve(LIKE["openai"], mulaw_thirds=True)
    assert (behaviour.like, _behaviour({**options, "quirks": []}).quirks) == ("openai", None)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    result = CliRunner().invoke(command, ["--tls-cert", str(tmp_path / "cert.pem")])
    assert "no usable TLS certificate and key" in str(result.exception)
