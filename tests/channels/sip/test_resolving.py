"""Where SIP URIs lead, asked of a real DNS server on this machine (RFC 3263)."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import dns.asyncresolver
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
import trio

from voxpy.channels.sip.resolving import Resolver, in_order
from voxpy.testing.sipphone import sip_phone
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.values import parse_uri

pytestmark = pytest.mark.slow
Zone = Mapping[tuple[str, str], list[str]]


@attrs.define
class Nameserver:
    zone: Zone
    port: int = 0
    asked: list[str] = attrs.field(factory=list)

    def resolver(self, **options: object) -> Resolver:
        asks = dns.asyncresolver.Resolver(configure=False)
        asks.nameservers, asks.port = ["127.0.0.1"], self.port
        return Resolver(asks, family=socket.AF_INET, **options)  # type: ignore[arg-type]

    async def run(self, sock: trio.socket.SocketType) -> None:
        while True:
            data, address = await sock.recvfrom(4096)
            query = dns.message.from_wire(data)
            question = query.question[0]
            name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
            self.asked.append(f"{kind} {name}")
            response = dns.message.make_response(query)
            response.flags |= dns.flags.RA
            for text in self.zone.get((name, kind), ()):
                response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, text))
            await sock.sendto(response.to_wire(), address)


@asynccontextmanager
async def nameserver(zone: Zone) -> AsyncIterator[Nameserver]:
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await sock.bind(("127.0.0.1", 0))
    server = Nameserver(zone, sock.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, sock)
        yield server
        nursery.cancel_scope.cancel()
    sock.close()


ZONE = {
    ("naptr.test.", "NAPTR"): [
        '20 10 "s" "SIP+D2U" "" _sip._udp.naptr.test.',
        '10 10 "s" "SIP+D2T" "" _sip._tcp.naptr.test.',
        '5 10 "s" "SIPS+D2T" "" _sips._tcp.naptr.test.',
    ],
    ("_sip._tcp.naptr.test.", "SRV"): ["1 0 5070 localhost."],
    ("_sip._udp.naptr.test.", "SRV"): ["1 0 5071 localhost."],
    ("_sips._tcp.naptr.test.", "SRV"): ["1 0 5072 localhost."],
    ("_sip._udp.srv.test.", "SRV"): ["20 0 5081 localhost.", "10 0 5080 localhost."],
    ("_sip._tcp.gone.test.", "SRV"): ["0 0 0 ."],
}


NAPTR = ["TLS 127.0.0.1 5072", "TCP 127.0.0.1 5070", "UDP 127.0.0.1 5071"]


@pytest.mark.parametrize(
    ("uri", "spoken", "places"),
    [
        ("sip:a@192.0.2.1", "UDP TCP", ["UDP 192.0.2.1 5060"]),
        ("sips:a@192.0.2.1", "UDP TCP", ["TLS 192.0.2.1 5061"]),
        ("sip:a@localhost:5099", "UDP TCP", ["UDP 127.0.0.1 5099"]),
        ("sip:a@naptr.test", "UDP TCP TLS", NAPTR),
        ("sip:a@naptr.test", "UDP TCP", NAPTR[1:]),
        ("sip:a@naptr.test", "UDP", ["UDP 127.0.0.1 5071"]),
        ("sip:a@naptr.test;transport=udp", "UDP TCP TLS", ["UDP 127.0.0.1 5071"]),
        ("sips:a@naptr.test", "UDP TCP TLS", ["TLS 127.0.0.1 5072"]),
        ("sip:a@srv.test", "UDP TCP", ["UDP 127.0.0.1 5080", "UDP 127.0.0.1 5081"]),
        ("sip:a@gone.test;transport=tcp", "UDP TCP", []),
    ],
)
async def test_where_a_uri_leads(uri: str, spoken: str, places: list[str]) -> None:
    async with nameserver(ZONE) as server:
        resolver = server.resolver(spoken=spoken.split())
        found = await resolver.locate(parse_uri(uri))
        assert [f"{f.transport} {f.host} {f.port}" for f in found] == places
        asked = len(server.asked)
        await resolver.locate(parse_uri(uri))
        assert len(server.asked) == asked, "it is remembered"


async def test_a_place_that_does_not_answer_comes_last() -> None:
    async with nameserver(ZONE) as server:
        resolver = server.resolver()
        resolver.mark_dead(Flow("UDP", "127.0.0.1", 5080))
        found = await resolver.locate(parse_uri("sip:a@srv.test"))
        assert [f.port for f in found] == [5081, 5080]


def test_weights_are_chances() -> None:
    @attrs.frozen
    class Record:
        name: str
        priority: int
        weight: int

    often, seldom, never = Record("o", 1, 90), Record("s", 1, 10), Record("n", 2, 100)
    lots = random.Random(1)
    first = [in_order([never, seldom, often], lots.random)[0].name for _ in range(500)]
    assert 400 < first.count("o") < 490
    assert first.count("n") == 0


async def test_a_call_goes_to_the_second_place_when_the_first_is_shut() -> None:
    """TCP: nobody listens at the first; the phone that is called is at the second."""
    async with sip_phone(user="bert", server="127.0.0.1:9") as bert:
        zone = {
            ("_sip._udp.phones.test.", "SRV"): [f"1 0 {bert.port} localhost."],
            ("_sip._tcp.phones.test.", "SRV"): ["1 0 9 localhost."],
            ("phones.test.", "NAPTR"): [
                '1 1 "s" "SIP+D2T" "" _sip._tcp.phones.test.',
                '2 1 "s" "SIP+D2U" "" _sip._udp.phones.test.',
            ],
        }
        async with (
            nameserver(zone) as server,
            sip_phone(user="anna", server="127.0.0.1:9", resolver=server.resolver()) as anna,
        ):
            call = await anna.connect("sip:bert@phones.test")
            call.hang_up()
