"""What ``voxpy agent`` can be told to do differently, or wrong."""

from __future__ import annotations

import attrs
import pytest
from click.testing import CliRunner

from voxpy.cli.agent import command
from voxpy.wire.realtime.server.faults import Faults
from voxpy.wire.realtime.server.quirks import Quirks


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
