"""The ``voxpy`` command: a list of subcommands, each imported only when it is used.

``voxpy.cli.<name>`` holds the click command of ``voxpy <name>`` as ``command``. What a subcommand
raises on purpose is shown in one line here, in one place.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from voxpy.errors import ConfigError, EngineMissing, ScenarioError, VoxpyError, nearest
from voxpy.text.plain import plain

__all__ = ["COMMANDS", "LazyGroup", "main"]

COMMANDS: Mapping[str, str] = {
    "run": "Make one local call to a scenario, now.",
    "serve": "Take calls from phone providers.",
    "start": "Start sessions without a call: one, or a whole list.",
    "call": "Call a running host as a phone provider would.",
    "test": "Run callers' scripts and compare the calls with what they expect.",
    "check": "Find what is wrong with routing, secrets and scenarios.",
    "route": "Show which rule takes a destination, and why.",
    "agent": "Run the local realtime agent alone, for any client.",
    "calls": "List past and running calls; delete old ones.",
    "show": "Show one call: who said what, events, latencies, files.",
    "replay": "Run a recorded session again and show the first difference.",
    "fuzz": "Let random callers, lines and services try a scenario.",
    "bench": "Measure how many calls this machine carries.",
    "fleet": "List the hosts of a fleet; write Kamailio's configuration for them.",
    "port": "Translate a VoxEngine scenario from JavaScript to Python.",
    "new": "Write a new scenario and a caller to try it with.",
}

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

_WRONG_INPUT = (ConfigError, ScenarioError, EngineMissing)

_BREAK = "\n"
EPILOG = """\b
Exit codes:
  0    fine
  1    the call or a check failed
  2    wrong usage or a wrong file
  130  interrupted
"""


class LazyGroup(click.Group):
    """Lists COMMANDS without importing them, and turns errors into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None if there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of ``args``. Raises UsageError naming the nearest for an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = nearest(args[0], COMMANDS) or f"; there are {', '.join(COMMANDS)}"
            ctx.fail(f"no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises on purpose ends in one line and an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except (VoxpyError, OSError) as exc:
            _report(ctx, exc, [exc])
        except BaseExceptionGroup as group:  # what comes out of a nursery
            causes = list(_leaves(group))
            if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
                ctx.exit(EXIT_INTERRUPTED)
            ours = [cause for cause in causes if isinstance(cause, VoxpyError | OSError)]
            if len(ours) < len(causes):
                raise
            _report(ctx, group, ours)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc


def _report(
    ctx: click.Context, raised: BaseException, errors: Sequence[VoxpyError | OSError]
) -> None:
    if ctx.params.get("debug"):
        traceback.print_exception(raised, file=sys.stderr)
    for error in errors:
        click.echo(f"error: {plain(_words(error), keep=_BREAK)}", err=True)
    wrong_input = any(isinstance(error, _WRONG_INPUT) for error in errors)
    ctx.exit(EXIT_WRONG_INPUT if wrong_input else EXIT_FAILED)


def _words(error: VoxpyError | OSError) -> str:
    """Return what an error says; of the system's own, what it was about and what is in the way."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    about = [str(name) for name in (error.filename, error.filename2) if name]
    return f"{' -> '.join(about)}: {error.strerror}" if about else error.strerror


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="voxpy", prog_name="voxpy", message="%(prog)s %(version)s")
def main(*, debug: bool) -> None:
    """Run phone-call scenarios: on this computer, or behind a phone line."""
