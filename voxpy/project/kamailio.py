"""Kamailio's files for a fleet: what it listens on, whom it lets in, and which hosts it has. Pure.

``kamailio.cfg`` beside this is the same for everybody; before it comes what ``routing.yaml`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path

import attrs

from voxpy.channels.sip.listener import SipListener
from voxpy.channels.sip.settings import SipTrunk
from voxpy.errors import ConfigError
from voxpy.project.routing import Routing
from voxpy.wire.sip.agent import transport_of
from voxpy.wire.sip.values import Uri

CONFIG, HOSTS, TLS = "kamailio.cfg", "dispatcher.list", "tls.cfg"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
ANYWHERE = "0.0.0.0"  # noqa: S104


@attrs.frozen(kw_only=True)
class Front:
    """What is asked for beside ``routing.yaml``.

    ``listen`` is the machine's own address where that is not the proxy's. ``folder`` is where the
    files will be when Kamailio reads them. ``websocket_port`` 0: no phones in pages by it.
    ``rtpengine`` is the address of its control socket (``udp:127.0.0.1:2223``), if there is one.
    """

    hosts: Sequence[Uri]
    folder: Path
    listen: str = ""
    websocket_port: int = 0
    rtpengine: str = ""


def kamailio_files(routing: Routing, front: Front) -> Mapping[str, str]:
    """Return the files by name. Raises ConfigError for what they cannot be made of."""
    channel = next((c for c in routing.channels if isinstance(c, SipListener)), None)
    proxy = routing.fleet.proxy
    if channel is None:
        raise ConfigError("there is no channel sip", file=routing.file)
    if proxy is None:
        missing = "fleet: proxy: is missing: the address of Kamailio, as phones and hosts reach it"
        raise ConfigError(missing, file=routing.file)
    trunks = [trunk for trunk in routing.trunks if isinstance(trunk, SipTrunk)]
    secure = channel.tls_port is not None or any(transport_of(t.uri) == "TLS" for t in trunks)
    port = proxy.uri.port or 5060
    name = proxy.uri.host
    at = front.listen or (name if _is_address(name) else ANYWHERE)
    defines = {
        "WITH_USERS": bool(routing.users),
        "ONLY_KNOWN": bool(routing.users or trunks),
        "WITH_TLS": secure,
        "WITH_WEBSOCKET": bool(front.websocket_port),
        "WITH_RTPENGINE": bool(front.rtpengine),
    }
    values = {
        "THE_PROXY": f"{name}:{port}",
        "THE_HOSTS_FILE": f"{front.folder}/{HOSTS}",
        "THE_TLS_FILE": f"{front.folder}/{TLS}",
        "THE_RTPENGINE": front.rtpengine,
    }
    listening = [("udp", port), ("tcp", port)]
    if channel.tls_port is not None:
        listening.append(("tls", channel.tls_port))
    if front.websocket_port:
        web = "tcp" if channel.certificate is None else "tls"
        listening.append((web, front.websocket_port))
    lines = [
        "#!KAMAILIO",
        f"# Made by voxpy fleet kamailio of {routing.file}: make it again rather than change it.",
        *(f"#!define {name}" for name, wanted in defines.items() if wanted),
        *(f'#!substdef "!{name}!{value}!g"' for name, value in values.items()),
        "",
        # With its port: on one machine a host's address must not be taken for Kamailio's own.
        *(f'alias="{name}:{number}"' for _, number in sorted(set(listening))),
        *(["enable_tls=yes"] if secure else []),
        *(f"listen={kind}:{at}:{number}{_told(name, at, number)}" for kind, number in listening),
        "",
        "route[IS_TRUNK] {",
        *(f"    if (src_ip == {net}) return 1;" for trunk in trunks for net in trunk.networks),
        "    return -1;",
        "}",
    ]
    body = files(__package__).joinpath(CONFIG).read_text(encoding="utf-8")
    made = {CONFIG: "\n".join(lines) + "\n" + body, HOSTS: _hosts(front.hosts)}
    if secure:
        made[TLS] = _tls(channel)
    return made


def _told(name: str, at: str, port: int) -> str:
    """Return how others reach what listens at another address than the proxy's."""
    return "" if at == name else f" advertise {name}:{port}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _hosts(hosts: Sequence[Uri]) -> str:
    lines = [f"1 sip:{host.host}:{host.port or 5060}" for host in hosts]
    return "\n".join(
        ["# set, host: Kamailio reads it again at: kamcmd dispatcher.reload", *lines, ""]
    )


def _tls(channel: SipListener) -> str:
    """Return our certificate for phones, and how carriers prove theirs."""
    lines = ["[client:default]", "method = TLSv1.2+", "verify_certificate = yes"]
    lines += ["require_certificate = yes", f"ca_list = {AUTHORITIES}", ""]
    if channel.certificate is not None:
        key = channel.key or channel.certificate
        lines += ["[server:default]", "method = TLSv1.2+", "verify_certificate = no"]
        lines += [f"certificate = {channel.certificate.absolute()}"]
        lines += [f"private_key = {key.absolute()}", ""]
    return "\n".join(lines)
