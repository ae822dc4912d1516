"""``voxpy agent``: the local realtime server alone, for any client of the protocol."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

__all__ = ["command"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port; 0 takes a free one.")
@click.option("--llm", metavar="URL", help="Let an OpenAI-compatible chat endpoint do the talking.")
@click.option("--llm-model", default="gpt-4o-mini", show_default=True, help="Its model.")
@click.option("--topics", type=click.Path(path_type=Path), help="What the agent knows (YAML).")
def command(**options: Any) -> None:
    """Run a realtime agent on this machine, speaking Inworld's Realtime protocol.

    It hears and speaks with local models and needs no account; any key is accepted.
    """
    import trio

    from voxpy.cli.run import _engines

    trio.run(functools.partial(_serve, options, _engines(options)))


async def _serve(options: dict[str, Any], engines: Any) -> None:
    import numpy as np
    import trio

    from voxpy.localagent.server import serve_tcp

    async with trio.open_nursery() as nursery:
        serve = functools.partial(
            serve_tcp, engines, host=options["host"], port=options["port"], report=click.echo
        )
        port = await nursery.start(serve)  # first: a taken port need not wait for the models
        click.echo("loading the voice and the recogniser …")
        await engines.run(lambda: list(engines.voice.speak("Hello.", speaker="Dennis", speed=1.0)))
        await engines.run(engines.ears.transcribe, np.zeros(8000, np.int16))
        url = f"ws://{options['host']}:{port}/api/v1/realtime/session"
        click.echo(f"listening on {url}?key=<any>&protocol=realtime")
        click.echo(f"try:  voxpy run scenarios/answer.py --agent {url}")
