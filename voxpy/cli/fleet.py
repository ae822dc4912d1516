"""``voxpy fleet``: several hosts behind one address."""

from __future__ import annotations

from pathlib import Path

import click

from voxpy.cli.printing import say


@click.group("fleet")
def command() -> None:
    """Several hosts behind one address: files for what stands in front of them."""


@command.command("kamailio")
@click.argument(
    "routing_path",
    metavar="[ROUTING]",
    type=click.Path(path_type=Path),
    default=Path("routing.yaml"),
    required=False,
)
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
def _kamailio(
    *,
    routing_path: Path,
    hosts: tuple[str, ...],
    listen: str,
    websocket_port: int | None,
    rtpengine: str,
    out: Path,
    folder: Path | None,
) -> None:
    """Write Kamailio's configuration for the hosts that serve ROUTING.

    Calls are spread in turn over hosts that answer; one that drains (SIGTERM) or is gone gets no
    new ones. Registrations go through with a Path, so that every host that knows of one reaches the
    phone. Who may call is as ROUTING says: trunks: by their addresses, users: by their passwords,
    which the hosts check.
    """
    from voxpy.errors import RemoteProtocolError
    from voxpy.project.kamailio import CONFIG, Front, kamailio_files
    from voxpy.project.routing import read_routing
    from voxpy.wire.sip.values import parse_uri

    routing = read_routing(routing_path)
    try:
        named = tuple(parse_uri(f"sip:{host.removeprefix('sip:')}") for host in hosts)
    except RemoteProtocolError as error:
        raise click.BadParameter(str(error), param_hint="--host") from error
    made = kamailio_files(
        routing,
        Front(
            hosts=named or routing.fleet.hosts,
            folder=folder or out.absolute(),
            base=routing_path.parent.absolute(),
            listen=listen,
            websocket_port=websocket_port or 0,
            rtpengine=rtpengine,
        ),
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (out / name).write_text(text, encoding="utf-8")
    say(f"{', '.join(made)} in {out}: {len(named or routing.fleet.hosts)} hosts")
    say(f"check it: kamailio -c -f {out / CONFIG}")
    say(f"run it:   kamailio -DD -E -f {out / CONFIG}")
