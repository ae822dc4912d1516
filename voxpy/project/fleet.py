"""``fleet:`` of ``routing.yaml``: what the hosts of a fleet know of each other.

::

    fleet:
      redis: REDIS_URL             # the secret with redis://:password@host:6379/0: what they share
      name: production             # fleets of different names in one Redis do not see each other
      proxy: 203.0.113.5           # the Kamailio in front of them: where phones and carriers send
      hosts: [10.0.0.11, 10.0.0.12:5070]   # whom it spreads calls over (voxpy fleet kamailio)

A proxy that reaches the hosts from other addresses, or has a name, says which::

      proxy: {sip: sip.example.com, from: [10.0.0.5]}
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

import attrs

from voxpy.channels.sip.settings import Network, Proxy, read_networks, read_uri
from voxpy.engine.ports import Secrets
from voxpy.engine.userfile import Given
from voxpy.errors import install_command
from voxpy.project.problem import Problem
from voxpy.wire.sip.values import Uri

KEYS = ("redis", "name", "proxy", "hosts")
URLS = ("redis://", "rediss://", "unix://")


@attrs.frozen(kw_only=True)
class Fleet:
    """What the section says. ``hosts`` are the addresses of their SIP.

    ``redis`` is the name of a secret, empty for a host on its own; ``line`` is where it stands.
    """

    redis: str = ""
    name: str = "voxpy"
    line: int = attrs.field(default=0, eq=False)
    proxy: Proxy | None = None
    hosts: tuple[Uri, ...] = ()


def read_fleet(given: Given) -> Fleet:
    """Read the section. Raises ConfigError."""
    fields = given.fields(KEYS)
    return Fleet(
        redis=fields.get("redis", Given.words, ""),
        name=fields.get("name", Given.words, "voxpy"),
        line=fields.section("redis").line,
        proxy=fields.get("proxy", _proxy, None),
        hosts=fields.get("hosts", _hosts, ()),
    )


def unshared(fleet: Fleet, secrets: Secrets, file: str) -> Iterator[Problem]:
    """Yield what keeps a host from sharing with others as the section says.

    What this computer lacks is a warning: scenarios can be tried here all the same.
    """
    if not fleet.redis:
        return
    url = secrets.get(fleet.redis)
    if importlib.util.find_spec("coredis") is None:
        missing = f"redis needs the library coredis; install it: {install_command('fleet')}"
        yield Problem(file, fleet.line, "warning", f"fleet: {missing}")
    if url is None:
        told = f"fleet: no host starts without its Redis: {secrets.missing(fleet.redis)}"
        yield Problem(file, fleet.line, "warning", told)
    elif not url.startswith(URLS):
        wrong = f"fleet: {fleet.redis} must be the address of a Redis, "
        wrong += "as in redis://:password@host:6379/0"
        yield Problem(file, fleet.line, "error", wrong)


def _proxy(given: Given) -> Proxy:
    if isinstance(given.value, Mapping):
        fields = given.fields(("sip", "from"))
        given = fields.need("sip")
        networks: tuple[Network, ...] = fields.get("from", read_networks, ())
    else:
        networks = ()
    uri = read_uri(given)
    try:
        return Proxy(uri=uri, networks=networks or (ip_network(uri.host.strip("[]")),))
    except ValueError:
        raise given.error(
            f"{given.label}: {uri.host} is a name; say too where its messages come from: "
            f"{{sip: {uri.host}, from: [10.0.0.5]}}"
        ) from None


def _hosts(given: Given) -> tuple[Uri, ...]:
    return tuple(read_uri(item) for item in given.items())
