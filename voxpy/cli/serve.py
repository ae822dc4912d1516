"""``voxpy serve``: take calls from phone providers."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import click

from voxpy.cli.options import secrets_option
from voxpy.cli.terminal.printing import say

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

AS_WORKER = "--as-worker"


@click.command("serve")
@click.argument(
    "routing", type=click.Path(path_type=Path), default=Path("routing.yaml"), required=False
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port; 0 takes a free one.")
@click.option("--public-url", default="", help="How providers reach this host: https://...")
@click.option(
    "--sip-address",
    default="",
    help="How phones and other hosts reach this one's SIP and audio, in place of address: of the "
    "channel sip: for a routing file that several hosts have.",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key, if in another file.")
@click.option(
    "--agent",
    default="inworld",
    show_default=True,
    help="inworld, the ws:// URL of a realtime server, or local: an agent in this process, for "
    "trying things out.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes that share the port; one per core.",
)
@click.option(
    "--max-calls",
    default=1000,
    show_default=True,
    type=click.IntRange(1),
    help="Calls at once in each process, whatever it could carry; more hear that the line is busy.",
)
@click.option(
    "--max-busy",
    default=0.8,
    show_default=True,
    type=click.FloatRange(0.01),
    help="No new calls while a process needs more than this share of a core.",
)
@click.option(
    "--max-late-ms",
    default=50.0,
    show_default=True,
    type=click.FloatRange(1),
    help="No new calls while audio is later than this (99th percentile).",
)
@click.option(
    "--drain-s",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0),
    help="How long calls may finish after SIGTERM or Ctrl-C.",
)
@click.option(
    "--fleet-name",
    default="",
    help="What this host is called among those that share a Redis (fleet: in ROUTING). Default: "
    "the machine's name.",
)
@click.option(
    "--fleet-url", default="", help="How those hosts reach this one. Default: its own address."
)
@secrets_option("secrets_path", "Secrets, as NAME=value lines.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(".voxpy"),
    show_default=True,
    help="Where the sessions' folders and the history go.",
)
@click.option("--open", "opened", is_flag=True, help="Open the phone in the browser.")
@click.option(
    "--otel",
    is_flag=True,
    help="Send OpenTelemetry spans of sessions, calls, turns and tools to where "
    "OTEL_EXPORTER_OTLP_ENDPOINT says.",
)
@click.option("--json-logs", is_flag=True, help="Log one JSON object per line.")
@click.option("--llm", metavar="URL", help="The local agent's chat endpoint.")
@click.option("--llm-model", default="gpt-4o-mini", show_default=True, help="Its model.")
@click.option("--topics", type=click.Path(path_type=Path), help="What the local agent knows.")
@click.option(AS_WORKER, hidden=True)
def command(**options: Any) -> None:
    """Serve calls of phones, trunks, pages and phone providers, by the rules of ROUTING.

    Binds 127.0.0.1 unless told otherwise. SIGTERM or Ctrl-C drains: no new calls, running ones
    finish; once more ends now.
    """
    from voxpy.engine.trace import Trace
    from voxpy.errors import ConfigError
    from voxpy.host.hostlog import host_log
    from voxpy.host.listening import open_sockets
    from voxpy.project.fleet import unshared
    from voxpy.project.project import ProjectFiles, load_project
    from voxpy.sockets.listening import tls_context

    _check_agent(options["agent"])
    loaded = load_project(options["routing"], options["secrets_path"])
    project = loaded.project
    if project is None:
        for problem in loaded.problems:
            say(str(problem), err=True)
        say("error: not started; voxpy check finds the same", err=True)
        raise SystemExit(EXIT_WRONG_INPUT)
    if options["sip_address"]:
        project = project.reached_at(options["sip_address"])
    secrets = project.secrets
    for problem in unshared(project.routing.fleet, secrets, project.routing.file):
        raise ConfigError(problem.message, file=problem.file, line=problem.line)
    log: Trace = host_log(sys.stdout, secrets.values, as_lines_of_json=options["json_logs"])
    files = ProjectFiles(project, log=log, told=loaded.problems)
    tls = tls_context(options["tls_cert"], options["tls_key"])
    if options["as_worker"] is not None:
        from voxpy.host.workers import Handover

        handover = Handover.from_json(options["as_worker"])
        raise SystemExit(_run(options, files, log, tls, handover.sockets(), handover))
    for warning in loaded.problems:
        log.write(warning.level, warning.text)
    sockets = open_sockets(options["host"], options["port"], project.routing.channels)
    try:
        raise SystemExit(_run(options, files, log, tls, sockets, None))
    finally:
        sockets.close()


def _check_agent(agent: str) -> None:
    if agent not in ("local", "inworld") and not agent.startswith(("ws://", "wss://")):
        raise click.BadParameter(
            f"{agent!r} is not inworld, local or a ws:// or wss:// URL", param_hint="--agent"
        )


def _run(options: dict[str, Any], files: Any, log: Any, tls: Any, sockets: Any, worker: Any) -> int:
    import trio

    from voxpy.cli.options import agent_engines
    from voxpy.history.postgres import store_of
    from voxpy.host.running import Agent, run_host, run_workers, welcome
    from voxpy.host.serve import HostOptions

    is_parent = worker is None and options["workers"] > 1
    host = HostOptions(
        base=options["out"],
        public_url=options["public_url"],
        tls=tls,
        most_calls=options["max_calls"],
        late_s=options["max_late_ms"] / 1000,
        busy_share=options["max_busy"],
        drain_s=options["drain_s"],
        fleet_name=options["fleet_name"],
        fleet_url=options["fleet_url"],
        telemetry=_telemetry() if options["otel"] and not is_parent else None,
    )

    agent = Agent(options["agent"], functools.partial(agent_engines, options))

    def started() -> None:
        for line in welcome(files.project, host, agent, sockets, options["host"]):
            log.step(line)
        if options["opened"]:
            click.launch(f"http{'s' if tls else ''}://{options['host']}:{sockets.port}/")

    if is_parent:
        command = [sys.executable, "-m", "voxpy", "serve", *_arguments(options), AS_WORKER]
        run = functools.partial(
            run_workers,
            options["workers"],
            sockets,
            command,
            store=store_of(files.project.routing.keeping, files.project.secrets, options["out"]),
            log=log,
            started=started,
        )
    else:
        run = functools.partial(
            run_host, files, host, agent, sockets, log=log, started=started, worker=worker
        )
    try:
        return 0 if trio.run(run) else EXIT_FAILED
    finally:
        if host.telemetry is not None:
            host.telemetry.close()


def _telemetry() -> Any:
    from voxpy.history.spans import Telemetry

    return Telemetry()


def _arguments(options: dict[str, Any]) -> list[str]:
    """Return the command line again, for a worker."""
    given = []
    for parameter in command.params:
        value = options.get(parameter.name or "")
        if not isinstance(parameter, click.Option) or value in (None, False, parameter.default):
            continue
        name = parameter.opts[0]
        given += [name] if value is True else [f"{name}={value}"]
    return [str(options["routing"]), *given]
