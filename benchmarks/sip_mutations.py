"""SIP messages and SDPs, mutated: what a hostile network sends, 100,000 of each and more.

    python benchmarks/sip_mutations.py [--count 100000] [--seed 0] [--torture FOLDER]

Every message is read alone and out of a stream, and given to a user agent with a call that is up;
every description is read, and answered. Nothing may come out but what is meant for it (BadMessage,
RemoteProtocolError), and nothing may take over 10 ms. Prints what became of them and the slowest.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sdp import MediaFormat, answer, parse_sdp
from voxpy.wire.sip.agent import Event, Flow, Transmit, UserAgent
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.dialog import dialog_id
from voxpy.wire.sip.events import Invited
from voxpy.wire.sip.identity import Identity
from voxpy.wire.sip.message import BadMessage, Request, Response, StreamReader, parse_message

LIMIT_S = 0.010
TORTURE = Path(__file__).resolve().parents[2] / "shared" / "data" / "rfc4475"
FLOW = Flow("UDP", "192.0.2.4", 5060)
SDP = b"""v=0\r
o=- 1 1 IN IP4 192.0.2.4\r
s=-\r
c=IN IP4 192.0.2.4\r
t=0 0\r
m=audio 4000 RTP/AVP 0 8 9 101\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r
a=ptime:20\r
a=sendrecv\r
m=video 0 RTP/AVP 96\r
"""
INVITE = b"""INVITE sip:bob@192.0.2.1 SIP/2.0\r
Via: SIP/2.0/UDP 192.0.2.4:5060;rport;branch=z9hG4bKnashds8, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r
Max-Forwards: 70\r
From: "Alice \\"A\\"" <sip:alice@example.com>;tag=1928301774\r
To: Bob <sip:bob@192.0.2.1>\r
Call-ID: a84b4c76e66710@pc33.example.com\r
CSeq: 314159 INVITE\r
Contact: <sip:alice@192.0.2.4;transport=udp>;expires=60, <sip:b@c>;q=0.5\r
Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\r
Authorization: Digest username="alice", realm="voxpy", nonce="84a4cc6f", uri="sip:bob@192.0.2.1",\r
 response="7587245234b3434cc3412213e5f113a5", algorithm=MD5, qop=auth, nc=00000001, cnonce="0a4f"\r
Session-Expires: 1800;refresher=uas\r
Supported: timer, replaces, 100rel\r
Replaces: 12345@example.com;to-tag=w1.ab;from-tag=cd\r
Content-Type: application/sdp\r
Content-Length: 5\r
\r
v=0\r
"""
WORDS = [
    b"\r\n", b"\n", b"\0", b'"', b"\\", b"<", b">", b",", b";", b"=", b":", b"@", b"?", b"%", b" ",
    b"\t", b"tag=", b"branch=z9hG4bK", b"Content-Length: 99999999999", b"l: -1", b"SIP/2.0",
    b"sip:", b"[::1]", b"99999999999999999999", b"\xff\xfe", b"\xc3\xa9", b"*", b"a" * 5000,
    b'"' * 300, b"(" * 300, b"," * 300, b";a" * 300, b"<sip:a>" * 200, b"X: y\r\n" * 300,
]  # fmt: skip


def mutated(data: bytes, corpus: list[bytes], lots: random.Random) -> bytes:
    """Return a message with one to eight things wrong."""
    made = bytearray(data)
    for _ in range(lots.randint(1, 8)):
        at = lots.randrange(len(made) + 1)
        size = min(len(made) - at, lots.choice((1, 1, 2, 5, 20, 200)))
        match lots.randrange(7):
            case 0:
                del made[at : at + size]
            case 1:
                made[at:at] = lots.choice(WORDS)
            case 2 if at < len(made):
                made[at] ^= 1 << lots.randrange(8)
            case 3:
                made[at:at] = made[at : at + size] * lots.choice((1, 2, 10))
            case 4:
                other = lots.choice(corpus)
                begin = lots.randrange(len(other) + 1)
                made[at : at + size] = other[begin : begin + lots.randrange(1, 100)]
            case 5:
                lines = bytes(made).split(b"\r\n")
                lots.shuffle(lines)
                made = bytearray(b"\r\n".join(lines))
            case 6:
                made[at : at + size] = bytes(lots.randrange(256) for _ in range(size))
    return bytes(made[:60_000])


class Agent:
    """A user agent in the middle of a call, which takes whatever comes."""

    def __init__(self) -> None:
        self.ids = 0
        us = Identity(
            product="voxpy",
            sent_by=lambda transport: "192.0.2.1:5060",
            contact=lambda transport: "sip:bob@192.0.2.1",
            new_id=self._new_id,
            jitter=lambda: 0.5,
        )
        self.agent = UserAgent(us, invited=SipCall.invited)
        self.now = 0.0
        self.dialogs: list[bytes] = []
        self.receive(parse_message(INVITE))

    def _new_id(self) -> str:
        self.ids += 1
        return f"w0.{self.ids:x}"

    def receive(self, message: Request | Response | BadMessage) -> None:
        """Take a message, answer calls, and let time pass."""
        self.now += 0.01
        self.agent.receive(message, FLOW, self.now)
        for out in self.agent.take():
            if isinstance(out, Transmit):
                self.dialogs.append(out.message.to_bytes())
            elif isinstance(out, Invited):
                out.call.answer(SDP, self.now)
            else:
                assert isinstance(out, Event)
        del self.dialogs[:-20]
        if self.agent.deadline <= self.now:
            self.agent.tick(self.now)
            self.agent.take()

    def in_the_call(self) -> bytes:
        """Return a request that belongs to a call of ours, for a start."""
        for data in reversed(self.dialogs):
            try:
                message = parse_message(data)
            except BadMessage:  # it says what it was given
                continue
            if isinstance(message, Response) and message.status == 200 and message.to.tag:
                found = dialog_id(message, ours=False)
                head = INVITE.replace(b"INVITE", b"BYE").replace(
                    b"To: Bob <sip:bob@192.0.2.1>",
                    f"To: Bob <sip:bob@192.0.2.1>;tag={found.local_tag}".encode(),
                )
                return head.replace(b"314159", b"314160")
        return INVITE


def timed(what: Callable[[], str], worst: list[tuple[float, bytes]], data: bytes) -> str:
    """Do it; keep the slowest, at the best of three tries: other processes take time too."""
    began = time.thread_time()
    became = what()
    took_s = time.thread_time() - began
    for _ in range(2):
        if took_s <= worst[-1][0]:
            break
        began = time.thread_time()
        what()
        took_s = min(took_s, time.thread_time() - began)
    if took_s > worst[-1][0]:
        worst.append((took_s, data))
    return became


def read_message(agent: Agent, data: bytes) -> str:
    """Give a message to everything that reads messages."""
    reader = StreamReader()
    try:
        for found in reader.feed(data):
            found.to_bytes() if not isinstance(found, BadMessage) else None
    except BadMessage:
        pass
    try:
        message = parse_message(data)
    except BadMessage as bad:
        agent.receive(bad)
        return "refused" if bad.request is not None else "dropped"
    agent.receive(message)
    return "read"


def read_sdp(data: bytes) -> str:
    """Read and answer a description."""
    try:
        found = parse_sdp(data)
        formats = [MediaFormat(payload_type=0, name="PCMU", clock_hz=8000)]
        answer(found, address="192.0.2.1", port=9, formats=formats, session_id=1, version=1)
    except RemoteProtocolError:
        return "refused"
    return "read"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--torture", type=Path, default=TORTURE)
    options = parser.parse_args()
    lots = random.Random(options.seed)
    files = sorted(options.torture.glob("*")) if options.torture.is_dir() else []
    corpus = [INVITE, *(path.read_bytes() for path in files if path.is_file())]
    print(f"{len(corpus)} messages to begin with, {options.count} mutations of each kind")
    agent = Agent()
    for name in ("messages", "descriptions"):
        became: Counter[str] = Counter()
        worst = [(0.0, b"")]
        began = time.perf_counter()
        for n in range(options.count):
            if name == "messages":
                if n % 5000 == 0:
                    agent = Agent()
                seed = agent.in_the_call() if n % 4 == 0 else lots.choice(corpus)
                data = mutated(seed, corpus, lots)
                kind = timed(partial(read_message, agent, data), worst, data)
            else:
                data = mutated(SDP, [SDP, INVITE], lots)
                kind = timed(partial(read_sdp, data), worst, data)
            became[kind] += 1
        took_s = time.perf_counter() - began
        print(
            f"{name}: {dict(became)}; slowest {1000 * worst[-1][0]:.1f} ms "
            f"({len(worst[-1][1])} bytes){' TOO SLOW' if worst[-1][0] > LIMIT_S else ''}; "
            f"{options.count / took_s:.0f} a second"
        )


if __name__ == "__main__":
    main()
