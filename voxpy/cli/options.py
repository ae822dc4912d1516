"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])


def secrets_option(name: str, help_line: str) -> Callable[[F], F]:
    """Return ``--secrets``: the usual file may be absent, one that is asked for may not."""
    return click.option(
        "--secrets",
        name,
        type=click.Path(path_type=Path),
        default=Path("secrets.env"),
        show_default=True,
        help=help_line,
        callback=_must_exist,
    )


def _must_exist(ctx: click.Context, parameter: click.Parameter, value: Path) -> Path:
    given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    if given and not value.exists():
        raise click.BadParameter(f"there is no file {str(value)!r}")
    return value
