"""Options that several commands have."""

from __future__ import annotations

import os
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


def agent_engines(options: dict[str, Any]) -> Any:
    """Return the local agent's engines, with a brain as ``--llm`` and ``--topics`` say."""
    from voxpy.localagent.engines import local_engines
    from voxpy.localagent.responder import Responder

    responder: Responder
    if options["llm"]:
        from voxpy.localagent.chat import ChatResponder

        key = os.environ.get("OPENAI_API_KEY")
        responder = ChatResponder(options["llm"], model=options["llm_model"], api_key=key)
    else:
        from voxpy.localagent.rules import RuleResponder
        from voxpy.localagent.topics import load_topics

        responder = RuleResponder(load_topics(options["topics"]))
    return local_engines(responder)
