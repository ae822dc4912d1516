"""``voxpy agent``: the local realtime server alone, for any client of the protocol."""

from __future__ import annotations

import functools
import signal
from pathlib import Path
from typing import Any

import click

from voxpy.cli.terminal.printing import say


def _listed(cls: type) -> str:
    from voxpy.wire.realtime.server.quirks import describe

    return "\n".join(["\b", *(f"  {name}\n      {meaning}" for name, meaning in describe(cls))])


class _FakeName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A service's name; the table is loaded when one is given."""

    name = "service"

    def convert(self, value: str, param: Any, ctx: Any) -> str:
        from voxpy.errors import nearest
        from voxpy.localagent.services import FAKES

        if value not in FAKES:
            self.fail(f"{value!r} is none of {', '.join(FAKES)}{nearest(value, FAKES)}", param, ctx)
        return value


class _Agent(click.Command):
    """A command whose help also lists services and switches, built for ``--help`` alone."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what ``--as``, ``--quirk`` and ``--fault`` take, with the defaults."""
        from voxpy.localagent.services import FAKES
        from voxpy.wire.realtime.server.faults import Faults
        from voxpy.wire.realtime.server.quirks import Quirks

        with formatter.section("Services, each at its own address"):
            formatter.write_dl([(name, fake.address) for name, fake in FAKES.items()])
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
    "--as",
    "like",
    type=_FakeName(),
    default="inworld",
    show_default=True,
    metavar="SERVICE",
    help="Whose service to be where the address does not say; see below.",
)
@click.option(
    "--quirk", "quirks", multiple=True, metavar="NAME=VALUE", help="See below; repeatable."
)
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME=VALUE", help="See below; repeatable."
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path), help="Serve wss:// with this certificate (PEM)."
)
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key, if in another file.")
@click.option("--seed", default=0, show_default=True, help="What chance brings: the same again.")
def command(**options: Any) -> None:
    """Run a speech agent on this machine: it is Inworld, OpenAI, Gemini, ElevenLabs ...

    The address that a client asks for says which. It hears and speaks with local models and needs
    no account; any key is accepted.
    """
    import trio

    from voxpy.cli.options import agent_engines
    from voxpy.sockets.listening import tls_context

    behaviour = _behaviour(options)
    tls = tls_context(options["tls_cert"], options["tls_key"])
    trio.run(functools.partial(_serve, options, agent_engines(options), behaviour, tls))
    raise KeyboardInterrupt  # nothing but a signal ends it


def _behaviour(options: dict[str, Any]) -> Any:
    from voxpy.localagent.connection import Behaviour
    from voxpy.localagent.services import FAKES
    from voxpy.wire.realtime.server.faults import Faults
    from voxpy.wire.realtime.server.quirks import parse_switches

    try:
        given = parse_switches(FAKES[options["like"]].quirks, options["quirks"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--quirk") from error
    try:
        faults = parse_switches(Faults(), options["faults"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from error
    quirks = given if options["quirks"] else None
    return Behaviour(like=options["like"], quirks=quirks, faults=faults, seed=options["seed"])


async def _serve(options: dict[str, Any], engines: Any, behaviour: Any, tls: Any) -> None:
    import trio

    from voxpy.localagent.server import serve_tcp

    async with trio.open_nursery() as nursery:
        serve = functools.partial(
            serve_tcp,
            engines,
            host=options["host"],
            port=options["port"],
            report=say,
            behaviour=behaviour,
            tls=tls,
        )
        nursery.start_soon(_obey_signals, nursery.cancel_scope)
        port = await nursery.start(serve)  # first: a taken port need not wait for the models
        say("loading the voice and the recogniser …")
        await engines.run(engines.voice.warm_up)
        await engines.run(engines.ears.warm_up)
        for line in _told(options, port):
            say(line)


async def _obey_signals(everything: Any) -> None:
    """End at the first signal. Python's own KeyboardInterrupt can strike where nobody hears it."""
    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        await anext(received)
        everything.cancel()


def _told(options: dict[str, Any], port: int) -> list[str]:
    """Return what to say at the start: where it is, and where its answers come from."""
    from voxpy.localagent.services import FAKES

    secure = "s" if options["tls_cert"] else ""
    address = f"{options['host']}:{port}"
    fake = FAKES[options["like"]]
    lines = [f"listening on ws{secure}://{address}{fake.address}"]
    if fake.name.startswith("openai") and secure:  # without it that for Node refuses
        example = f"OPENAI_BASE_URL=https://{address}/v1 with any OpenAI SDK and any key"
    else:
        example = fake.example.format(where=address).replace("ws://", f"ws{secure}://")
    lines += [f"try:  {example}", "other services at their own addresses: voxpy agent --help"]
    if options["llm"]:
        return [*lines, f"answers come from {options['llm_model']} at {options['llm']}"]
    topics = options["topics"] or "voxpy/localagent/topics.yaml"
    return [
        *lines,
        f"answers are canned: the topics of {topics}, and plain facts of the instructions;",
        "for other topics: --topics FILE, for a model: --llm URL --llm-model NAME",
    ]
