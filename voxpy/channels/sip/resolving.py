"""Where a SIP URI leads (RFC 3263): NAPTR says which transports, SRV which hosts, A and AAAA where.

A URI with a transport or a port asks for less, one with an address for nothing. What was found
holds for five minutes at most; a place that did not answer comes last until it had time to recover.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import dns.asyncresolver
import dns.exception
import trio

from voxpy.engine import clock
from voxpy.wire.sip.agent import Flow, transport_of
from voxpy.wire.sip.values import Uri

LOOKUP_S = 3.0
LONGEST_TTL_S, ADDRESS_TTL_S = 300.0, 60.0
NOTHING_TTL_S = 10.0
"""How long it is believed that a name leads nowhere."""
DEAD_S = 60.0
MOST_KNOWN = 1000
NAPTR_SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
SRV_PREFIX = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp"}


@attrs.frozen
class _Known:
    flows: Sequence[Flow]
    until: float


class Resolver:
    """Finds the places of URIs. ``spoken`` are the transports that this endpoint has."""

    def __init__(
        self,
        dns_resolver: dns.asyncresolver.Resolver | None = None,
        *,
        spoken: Iterable[str] = ("UDP", "TCP", "TLS"),
        family: int = socket.AF_UNSPEC,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._dns = dns_resolver
        self._family = family
        self._spoken = frozenset(spoken)
        self._chance = chance
        self._known: dict[tuple[str, str, int | None], _Known] = {}
        self._dead: dict[Flow, float] = {}

    async def locate(self, uri: Uri) -> list[Flow]:
        """Return where a URI leads, the best first; nothing if its name is not known."""
        literal = literal_flow(uri)
        if literal is not None:
            return [literal]
        now = clock.now()
        key = (uri.host.lower(), f"{uri.scheme} {uri.transport}", uri.port)
        known = self._known.get(key)
        if known is None or known.until <= now:
            found, ttl_s = await self._find(uri)
            known = _Known(found, now + (min(ttl_s, LONGEST_TTL_S) if found else NOTHING_TTL_S))
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = known
        self._dead = {flow: until for flow, until in self._dead.items() if until > now}
        return sorted(known.flows, key=lambda flow: flow in self._dead)

    def mark_dead(self, flow: Flow) -> None:
        """Take it that a place does not answer now."""
        self._dead[flow] = clock.now() + DEAD_S

    async def _find(self, uri: Uri) -> tuple[list[Flow], float]:
        transport, host = transport_of(uri), uri.host.strip("[]")
        if uri.port is not None:
            return await self._addresses(host, transport, uri.port)
        if uri.transport:
            found, ttl_s = await self._services(f"{SRV_PREFIX[transport]}.{host}", transport)
            return (found, ttl_s) if found else await self._addresses(host, transport, None)
        every: list[Flow] = []
        for service in await self._naptr(host, secure=uri.scheme == "sips"):
            found, ttl_s = await self._services(*service)
            every += found
        if every:
            return every, ttl_s
        for kind in ("TLS",) if uri.scheme == "sips" else ("UDP", "TCP"):
            if kind in self._spoken:
                found, ttl_s = await self._services(f"{SRV_PREFIX[kind]}.{host}", kind)
                if found:
                    return found, ttl_s
        return await self._addresses(host, transport, None)

    async def _naptr(self, host: str, *, secure: bool) -> list[tuple[str, str]]:
        """Return names of SRV records and their transports, in the order the domain wants."""
        records, _ = await self._ask(host, "NAPTR")
        wanted = []
        for record in sorted(records, key=lambda r: (r.order, r.preference)):
            transport = NAPTR_SERVICES.get(record.service.decode("ascii", "replace").upper())
            if transport in self._spoken and (transport == "TLS" or not secure):
                wanted.append((str(record.replacement).rstrip("."), str(transport)))
        return wanted

    async def _services(self, name: str, transport: str) -> tuple[list[Flow], float]:
        records, ttl_s = await self._ask(name, "SRV")
        flows: list[Flow] = []
        for record in in_order(records, self._chance):
            target = str(record.target).rstrip(".")
            if target:  # a dot alone: the service is not there
                found, shorter_s = await self._addresses(target, transport, record.port)
                flows += found
                ttl_s = min(ttl_s, shorter_s)
        return flows, ttl_s

    async def _addresses(
        self, host: str, transport: str, port: int | None
    ) -> tuple[list[Flow], float]:
        """Return the addresses of a host, as the system knows them: its hosts file counts too."""
        port = port or (5061 if transport == "TLS" else 5060)
        try:
            found = await trio.socket.getaddrinfo(
                host, port, family=self._family, type=socket.SOCK_DGRAM
            )
        except (OSError, UnicodeError):  # a name that no DNS can have
            return [], 0.0
        hosts = dict.fromkeys(str(place[4][0]) for place in found)
        return [Flow(transport, found_at, port) for found_at in hosts], ADDRESS_TTL_S

    async def _ask(self, name: str, kind: str) -> tuple[list[Any], float]:
        """Return the records of a name; none where there are none, or nobody says."""
        if self._dns is None:
            try:
                self._dns = dns.asyncresolver.Resolver()
            except dns.exception.DNSException:  # no resolv.conf
                self._dns = dns.asyncresolver.Resolver(configure=False)
        if not self._dns.nameservers:
            return [], 0.0
        try:
            answer = await self._dns.resolve(name, kind, lifetime=LOOKUP_S)
        except (dns.exception.DNSException, OSError):
            return [], 0.0
        return list(answer), float(answer.rrset.ttl if answer.rrset is not None else 0)


def in_order(records: Sequence[Any], chance: Callable[[], float]) -> list[Any]:
    """Return SRV records by priority, and among equals by chance with their weights (RFC 2782)."""
    ordered: list[Any] = []
    for priority in sorted({record.priority for record in records}):
        left = [record for record in records if record.priority == priority]
        left.sort(key=lambda record: record.weight > 0)
        while left:
            total = sum(record.weight for record in left)
            drawn, running = chance() * total, 0
            for record in left:
                running += record.weight
                if running >= drawn:
                    break
            ordered.append(record)
            left.remove(record)
    return ordered


def literal_flow(uri: Uri) -> Flow | None:
    """Return where a URI leads if its host is an address, None if it has to be asked for."""
    host = uri.host.strip("[]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    transport = transport_of(uri)
    return Flow(transport, host, uri.port or (5061 if transport == "TLS" else 5060))
