"""Options that several commands have."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
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


def password_of(options: Mapping[str, Any]) -> str:
    """Return what ``--password-secret`` names, empty without it. Raises BadParameter."""
    from voxpy.project.secrets import Secrets

    if (name := options["password_secret"]) is None:
        return ""
    known = Secrets(options["secrets_path"])
    password = known.get(name)
    if not password:
        raise click.BadParameter(known.missing(name), param_hint="--password-secret")
    return password


def history_options(about: str = "") -> Callable[[F], F]:
    """Return ``--out``, ``--routing``, ``--secrets`` and ``--local``: which history is meant.

    ``about`` is what the routing file is good for besides.
    """
    options = (
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            default=Path(".voxpy"),
            show_default=True,
            help="Where the calls were kept.",
        ),
        click.option(
            "--routing",
            type=click.Path(path_type=Path),
            default=Path("routing.yaml"),
            show_default=True,
            help="Says whether the history is in Postgres, and where recordings are." + about,
        ),
        secrets_option("secrets", "The secrets that it names."),
        click.option(
            "--local",
            is_flag=True,
            help="The history of this folder, although the routing file names another: where "
            "`voxpy run` writes.",
        ),
    )

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


PATIENCE_S = 120.0
"""Whoever asks for all calls of a year waits for them."""


def history_of(options: Mapping[str, Any]) -> Any:
    """Return the history (a ``Store``) that these options mean, its dead settled."""
    from voxpy.history.history import History
    from voxpy.history.postgres import store_of
    from voxpy.history.store import SqliteStore
    from voxpy.project.keeping import read_keeping
    from voxpy.project.secrets import Secrets

    store: Any = SqliteStore(options["out"])
    if not options["local"]:
        keeping = read_keeping(options["routing"])
        secrets = Secrets(options["secrets"])
        store = store_of(keeping, secrets, options["out"], patience_s=PATIENCE_S)
    History.settle_now(store)
    return store


def bring(row: Any, options: Mapping[str, Any]) -> None:
    """Bring back what the store of these options has of a session, and is not here."""
    import secrets

    from voxpy.cli.terminal.printing import say
    from voxpy.engine import clock
    from voxpy.errors import VoxpyError
    from voxpy.history.objects import objects_of
    from voxpy.history.outbox import Outbox, bring_back
    from voxpy.history.record import RECORDING, TRACE
    from voxpy.project.keeping import read_keeping
    from voxpy.project.secrets import Secrets

    names = [n for n in (TRACE, RECORDING, "record.json") if not (row.folder / n).is_file()]
    if options["local"] or row.state == "running" or not names:
        return
    keeping = read_keeping(options["routing"])
    outbox = Outbox(
        options["out"], f"shown-{secrets.token_hex(4)}", traces=keeping.recordings.traces
    )
    now = clock.calendar().timestamp()
    try:
        objects = objects_of(keeping, Secrets(options["secrets"]))
        if objects is not None:
            bring_back(objects, outbox, row.session_id, names, now)
    except (VoxpyError, OSError) as error:
        say(f"note: not brought back from the store: {error}", err=True)


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
