"""``voxpy fleet``: several hosts behind one address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from voxpy.cli.options import secrets_option
from voxpy.cli.terminal.printing import print_json, say
from voxpy.text.plain import plain

if TYPE_CHECKING:
    from voxpy.fleet.membership import Member
    from voxpy.fleet.port import Store
    from voxpy.project.routing import Routing
    from voxpy.wire.sip.values import Uri

PATIENCE_S = 5.0

_routing_argument = click.argument(
    "routing_path",
    metavar="[ROUTING]",
    type=click.Path(path_type=Path),
    default=Path("routing.yaml"),
    required=False,
)
_redis_secrets = secrets_option(
    "secrets_path", "Secrets, as NAME=value lines: for the fleet's Redis."
)


@click.group("fleet")
def command() -> None:
    """Several hosts behind one address: who they are, and files for what stands in front."""


@command.command("kamailio")
@_routing_argument
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="ADDRESS[:PORT]",
    help="The SIP of one host; again for each. Without it those of fleet: hosts:.",
)
@click.option(
    "--listen",
    default="",
    metavar="ADDRESS",
    help="Kamailio's own address, where that is not the one of fleet: proxy:.",
)
@click.option(
    "--websocket",
    "websocket_port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Take phones in pages (SIP over WebSocket, at /sip); by TLS if the channel sip has a "
    "certificate.",
)
@click.option(
    "--rtpengine",
    default="",
    metavar="udp:ADDRESS:PORT",
    help="Let rtpengine turn the WebRTC of such phones into plain RTP for the hosts.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where the files are written; this folder if not given.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where Kamailio will find them, if that is another place than --out.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Go on, and write the list of hosts again whenever those in the fleet's Redis change.",
)
@_redis_secrets
def _kamailio(
    *,
    routing_path: Path,
    hosts: tuple[str, ...],
    listen: str,
    websocket_port: int | None,
    rtpengine: str,
    out: Path,
    folder: Path | None,
    follow: bool,
    secrets_path: Path,
) -> None:
    """Write Kamailio's configuration for the hosts that serve ROUTING.

    Calls are spread in turn over hosts that answer; one that drains (SIGTERM) or is gone gets no
    new ones. Registrations go through with a Path, so that every host that knows of one reaches the
    phone. Who may call is as ROUTING says: trunks: by their addresses, users: by their passwords,
    which the hosts check.

    Without --host and fleet: hosts: the hosts are those in the fleet's Redis.
    """
    import trio

    from voxpy.project.kamailio import CONFIG, HOSTS, Front, kamailio_files
    from voxpy.project.routing import read_routing

    routing = read_routing(routing_path)
    front = Front(
        hosts=_named(hosts) or routing.fleet.hosts,
        folder=folder or out.absolute(),
        listen=listen,
        websocket_port=websocket_port or 0,
        rtpengine=rtpengine,
    )
    told = False

    def write(found: tuple[Uri, ...]) -> None:
        nonlocal told
        made = kamailio_files(routing, attrs.evolve(front, hosts=found))
        out.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            if name == HOSTS or not told:
                (out / name).write_text(text, encoding="utf-8")
        say(f"{HOSTS if told else ', '.join(made)} in {out}: {len(found)} hosts")
        if not told:
            told = True
            say(f"check it: kamailio -c -f {out / CONFIG}")
            say(f"run it:   kamailio -DD -E -f {out / CONFIG}")

    kamailio_files(routing, front)  # what is wrong with them, before hosts are looked for
    if front.hosts and follow:
        raise click.UsageError("--follow is for hosts in Redis: here they are named")
    if front.hosts:
        write(tuple(front.hosts))
    else:
        trio.run(_those_in_redis, routing, secrets_path, write, follow)


def _named(hosts: tuple[str, ...]) -> tuple[Uri, ...]:
    from voxpy.errors import RemoteProtocolError
    from voxpy.wire.sip.values import parse_uri

    try:
        return tuple(parse_uri(f"sip:{host.removeprefix('sip:')}") for host in hosts)
    except RemoteProtocolError as error:
        raise click.BadParameter(str(error), param_hint="--host") from error


async def _those_in_redis(
    routing: Routing, secrets_path: Path, write: Callable[[tuple[Uri, ...]], None], follow: bool
) -> None:
    """Write the hosts that are there now; with ``follow`` again and again."""
    import trio

    from voxpy.errors import ConfigError
    from voxpy.fleet.membership import BEAT_S, find_members
    from voxpy.fleet.port import StoreAway

    if not routing.fleet.redis:
        missing = "fleet: hosts: is missing (or --host, or redis:, which has them)"
        raise ConfigError(missing, file=routing.file)
    had: tuple[Uri, ...] = ()
    async with _store(routing, secrets_path) as store:
        while True:
            try:
                members = await find_members(store)
                found = _named(tuple(sorted({m.sip for m in members.values() if m.sip})))
            except StoreAway as error:
                if not follow:
                    raise
                say(f"{error}; the list stays as it is", err=True)
                found = had
            if not follow and not found:
                raise ConfigError("no host is there in the fleet's Redis", file=routing.file)
            if found and found != had:
                write(found)
                had = found
            if not follow:
                break
            await trio.sleep(BEAT_S)


@asynccontextmanager
async def _store(routing: Routing, secrets_path: Path) -> AsyncIterator[Store]:
    """Give what the hosts share, as the file says. Raises ConfigError."""
    import trio

    from voxpy.errors import ConfigError
    from voxpy.project.fleet import unshared
    from voxpy.project.secrets import Secrets

    secrets, settings = Secrets(secrets_path), routing.fleet
    for problem in unshared(settings, secrets, routing.file):
        raise ConfigError(problem.message, file=problem.file, line=problem.line)
    if not settings.redis:
        missing = "fleet: redis: is missing, which knows the hosts: the name of a secret"
        raise ConfigError(missing, file=routing.file)
    from voxpy.fleet.redis import RedisStore

    store = RedisStore(secrets.get(settings.redis) or "", name=settings.name, deadline_s=PATIENCE_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        yield store
        nursery.cancel_scope.cancel()


# -- how it is -------------------------------------------------------------------------------------


@command.command("status")
@_routing_argument
@_redis_secrets
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list for a script.")
def _status(*, routing_path: Path, secrets_path: Path, as_json: bool) -> None:
    """List the hosts that share the Redis of ROUTING: what they carry, who drains, by what files.

    Exits with 1 if there is none.
    """
    import trio

    from voxpy.fleet.membership import find_members
    from voxpy.project.routing import read_routing

    async def look() -> list[Member]:
        async with _store(read_routing(routing_path), secrets_path) as store:
            return list((await find_members(store)).values())

    hosts = _by_host(trio.run(look))
    if as_json:
        print_json(hosts)
    elif hosts:
        _print(hosts)
    else:
        say("no host is there")
    raise SystemExit(0 if hosts else 1)


def _by_host(members: list[Member]) -> list[dict[str, Any]]:
    """Return a host a row: its processes together, one that was killed and is not yet given up."""
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(member.host, []).append(member)
    return [
        {
            "host": name,
            "url": newest.url,
            "sip": newest.sip,
            "processes": len(its),
            "calls": sum(m.running for m in its),
            "limit": sum(m.limit for m in its),
            "draining": any(m.draining for m in its),
            "version": newest.version,
            "heard_s": round(min(m.silent_s for m in its), 1),
        }
        for name, its in sorted(found.items())
        for newest in [max(its, key=lambda member: member.token)]
    ]


def _print(hosts: list[dict[str, Any]]) -> None:
    from voxpy.cli.terminal.printing import PlainConsole

    rows = [("HOST", "HTTP", "SIP", "PROCESSES", "CALLS", "STATE", "FILES", "HEARD")]
    for host in hosts:
        state = "draining" if host["draining"] else "takes calls"
        calls = f"{host['calls']}/{host['limit']}"
        told = (host["host"], host["url"], host["sip"] or "-", str(host["processes"]), calls, state)
        rows.append((*told, host["version"], f"{host['heard_s']:g} s ago"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    console = PlainConsole()
    for row in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        console.print(plain(line.rstrip()), soft_wrap=True)
    if len({host["version"] for host in hosts}) > 1:
        say("hosts run by different files", err=True)
