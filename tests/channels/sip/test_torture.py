"""RFC 4475's messages to a host, by UDP: each has the answer that the RFC wants, or none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from tests.channels.sip.conftest import SipHosting

TORTURE = next(
    (p / "shared/data/rfc4475" for p in Path(__file__).parents if (p / "shared/data").is_dir()),
    Path("nowhere"),
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not TORTURE.is_dir(), reason="RFC 4475's messages are not beside the project"
    ),
]

ANSWERS: dict[int | None, str] = {
    # Calls that are taken (3.1.1.4, .7; 3.4.1 of RFC 2543), and OPTIONS. Max-Forwards 0
    # (zeromf) does not concern whoever is asked.
    200: "esc01 longreq inv2543 lwsdisp semiuri transports badbranch zeromf",
    # Malformed (3.1.2), or with headers twice (3.3.8, .9).
    400: "clerr ncl scalar02 quotbal ltgtruri lwsruri lwsstart trws escruri baddate badaspec "
    "mismatch01 mismatch02 multi01 mcl01 regbadct",
    # This host has no users, so nobody registers at it; and a method that nobody knows.
    405: "escnull dblreq regaut01 unksm2 cparam01 cparam02 regescrt mpart01 intmeth",
    406: "sdp01",  # takes no session description as an answer
    415: "invut",  # a body of a kind that nobody knows
    416: "unkscm novelsc",  # URIs of other schemes
    420: "bext01",  # requires what nobody supports
    481: "wsinv",  # has a tag in its To, of a call that is not here
    501: "esc02",
    505: "badvers",
    # Responses to requests that we never sent; requests whose answer would find no way (their
    # Via, or what an answer repeats, cannot be read), and one whose headers do not end.
    None: "unreason noreason scalarlg bigcode bcast badinv01 insuf baddn",
}


def ping(number: int) -> bytes:
    return (
        b"OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKping%d\r\nMax-Forwards: 70\r\n"
        b"From: <sip:p@127.0.0.1>;tag=p\r\nTo: <sip:ping@127.0.0.1>\r\nCall-ID: ping%d\r\n"
        b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ) % (number, number)


async def test_every_torture_message(sip_host: SipHosting) -> None:
    wanted = {name: status for status, names in ANSWERS.items() for name in names.split()}
    assert sorted(wanted) == sorted(path.stem for path in TORTURE.glob("*.dat"))
    got: dict[str, int | None] = {}
    async with sip_host() as host:
        for number, name in enumerate(sorted(wanted)):
            with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as phone:
                await phone.bind(("127.0.0.1", 0))
                await phone.connect(("127.0.0.1", host.port))
                data = (TORTURE / f"{name}.dat").read_bytes()
                # Many share one branch: without that they would be repetitions of each other.
                await phone.send(data.replace(b"z9hG4bKkdjuw", b"z9hG4bKkdjuw%d" % number))
                await phone.send(ping(number))
                got[name] = await answer(phone, b"ping%d\r" % number, waits=wanted[name] == 200)
    assert {n: got[n] for n in wanted if got[n] != wanted[n]} == {}


async def answer(phone: trio.socket.SocketType, ping: bytes, *, waits: bool) -> int | None:
    """Return the final status that came before the answer to the ping; after it if ``waits``."""
    found, pinged = None, False
    with trio.fail_after(20):
        while not pinged or (waits and found is None):
            data = await phone.recv(65535)
            status = re.match(rb"SIP/2.0 (\d+)", data)
            assert status is not None, data
            if ping in data:
                pinged = True
            elif int(status[1]) >= 200:
                found = int(status[1])
    return found
