"""``fleet:`` of ``routing.yaml``: what the hosts of a fleet know of each other.

::

    fleet:
      proxy: 203.0.113.5           # the Kamailio in front of them: where phones and carriers send
      hosts: [10.0.0.11, 10.0.0.12:5070]   # whom it spreads calls over (voxpy fleet kamailio)

A proxy that reaches the hosts from other addresses, or has a name, says which::

      proxy: {sip: sip.example.com, from: [10.0.0.5]}
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

import attrs

from voxpy.channels.sip.settings import Network, Proxy, read_networks, read_uri
from voxpy.engine.userfile import Given
from voxpy.wire.sip.values import Uri

KEYS = ("proxy", "hosts")


@attrs.frozen(kw_only=True)
class Fleet:
    """What the section says. ``hosts`` are the addresses of their SIP."""

    proxy: Proxy | None = None
    hosts: tuple[Uri, ...] = ()


def read_fleet(given: Given) -> Fleet:
    """Read the section. Raises ConfigError."""
    fields = given.fields(KEYS)
    return Fleet(proxy=fields.get("proxy", _proxy, None), hosts=fields.get("hosts", _hosts, ()))


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
