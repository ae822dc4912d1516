"""``voxpy agent``: the local realtime server alone, for any client of the protocol."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

__all__ = ["command"]


def _listed(cls: type) -> str:
    from voxpy.wire.realtime.server.quirks import describe

    return "\n".join(["\b", *(f"  {name}\n      {meaning}" for name, meaning in describe(cls))])


class _Agent(click.Command):
    """A command whose help also lists the switches; building that list is left to ``--help``."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what ``--quirk`` and ``--fault`` take, with the defaults."""
        from voxpy.wire.realtime.server.faults import Faults
        from voxpy.wire.realtime.server.quirks import Quirks

        for title, cls in (("Quirks, as Inworld unless set", Quirks), ("Faults", Faults)):
            with formatter.section(title):
                formatter.write_text(_listed(cls))


@click.command(cls=_Agent)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port; 0 takes a free one.")
@click.option("--llm", metavar="URL", help="Let an OpenAI-compatible chat endpoint do the talking.")
@click.option("--llm-model", default="gpt-4o-mini", show_default=True, help="Its model.")
@click.option("--topics", type=click.Path(path_type=Path), help="What the agent knows (YAML).")
@click.option(
    "--quirk", "quirks", multiple=True, metavar="NAME=VALUE", help="See below; repeatable."
)
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME=VALUE", help="See below; repeatable."
)
@click.option("--seed", default=0, show_default=True, help="What chance brings: the same again.")
def command(**options: Any) -> None:
    """Run a realtime agent on this machine, speaking Inworld's Realtime protocol.

    It hears and speaks with local models and needs no account; any key is accepted.
    """
    import trio

    from voxpy.cli.run import _engines

    behaviour = _behaviour(options)
    trio.run(functools.partial(_serve, options, _engines(options), behaviour))


def _behaviour(options: dict[str, Any]) -> Any:
    from voxpy.localagent.connection import Behaviour
    from voxpy.wire.realtime.server.faults import Faults
    from voxpy.wire.realtime.server.quirks import Quirks, parse_switches

    try:
        quirks = parse_switches(Quirks, options["quirks"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--quirk") from error
    try:
        faults = parse_switches(Faults, options["faults"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from error
    return Behaviour(quirks=quirks, faults=faults, seed=options["seed"])


async def _serve(options: dict[str, Any], engines: Any, behaviour: Any) -> None:
    import trio

    from voxpy.localagent.server import serve_tcp

    async with trio.open_nursery() as nursery:
        serve = functools.partial(
            serve_tcp,
            engines,
            host=options["host"],
            port=options["port"],
            report=click.echo,
            behaviour=behaviour,
        )
        port = await nursery.start(serve)  # first: a taken port need not wait for the models
        click.echo("loading the voice and the recogniser …")
        await engines.run(engines.voice.warm_up)
        await engines.run(engines.ears.warm_up)
        url = f"ws://{options['host']}:{port}/api/v1/realtime/session"
        click.echo(f"listening on {url}?key=<any>&protocol=realtime")
        click.echo(f"try:  voxpy run scenarios/answer.py --agent {url}")
