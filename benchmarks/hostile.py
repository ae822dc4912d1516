"""Ten good calls beside somebody who means harm: what the calls notice of it.

    python benchmarks/hostile.py                        every flood, a quarter of an hour
    python benchmarks/hostile.py --seconds 6 pings http2-half
    python benchmarks/hostile.py --list

``voxpy serve`` on one core; callers and the realtime service of ``voxpy bench`` on another, and the
flood on that other core too, in what time the callers leave: who floods a host from afar takes none
of its cores. For each flood: the frames that the ten callers were sent and did not get, how late
the others were against the quiet run before it, whether ``/health`` answered, and what the flood
could send before it was stopped. Everything is on 127.0.0.1, bounded in bytes and in time. Needs
Linux and two cores; where it may (root), it goes before the other work of the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import httpx

from voxpy.lab.bench.capacity import Spread, Window, lateness
from voxpy.lab.bench.framing import text_frame, upgrade_request
from voxpy.lab.bench.processes import Part, Served

CALLS = 10
SETTLE_S = 1.5
MOST_BYTES = 4_000_000_000
"""What one flood sends at the very most."""
STRANGER = "+15550006666"
ROUTING = f"""channels:
  twilio: {{}}
  telnyx: {{}}
  sip: {{port: SIP_PORT, rtp_ports: 41000-41999}}
users: {{anna: ANNA}}
rules:
  - {{name: strangers, pattern: '\\{STRANGER}', scenarios: [echo.py]}}
  - {{name: all, pattern: '.*', scenarios: [bridge.py]}}
"""
ECHO = """
from voxpy import AppEvents, CallEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.add_event_listener(CallEvents.Disconnected, lambda e: VoxEngine.terminate())
    event.call.answer()
    event.call.send_media_to(event.call)
"""
"""What a flood's own calls get: the agent is for those that are counted."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
POST_HALF = bytes([0, 0, 4, 1, 4, 0, 0, 0, 1]) + b"\x83\x86\x84\x41"
"""HEADERS of a POST that never ends: END_HEADERS without END_STREAM."""
PRIORITY = bytes([0, 0, 5, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 15])

TWILIO = upgrade_request("/media/twilio")
TELNYX = upgrade_request("/media/telnyx")
EMPTY_BINARY = text_frame(b"", masked=True, kind=0x82)
EMPTY_PART = text_frame(b"", masked=True, kind=0x00)
PING = text_frame(b"", masked=True, kind=0x89)
ODD = text_frame(
    b'{"event":"media","media":{"payload":"?"},"x":[' + b"0," * 50 + b"0]}", masked=True
)


# -- floods ----------------------------------------------------------------------------------------


class Flood:
    """Sockets to one port, each with bytes to say over and over, written as fast as they go."""

    def __init__(self, port: int, sip_port: int, seconds: float) -> None:
        self.port = port
        self.sip_port = sip_port
        self.until_s = time.monotonic() + seconds
        self.sent_bytes = 0
        self.opened = 0

    def open(self, first: bytes) -> socket.socket | None:
        """Connect and say the first words; None if the host did not take it."""
        try:
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=1)
            sock.sendall(first)
        except OSError:
            return None
        self.opened += 1
        sock.setblocking(False)
        return sock

    def pour(self, first: bytes, again: bytes, *, sockets: int = 1, reads: bool = True) -> None:
        """Say ``first`` once, then ``again`` for ever; sockets that end are opened anew."""
        poll = select.poll()
        held: dict[int, socket.socket] = {}
        while time.monotonic() < self.until_s and self.sent_bytes < MOST_BYTES:
            if len(held) < sockets and (sock := self.open(first)) is not None:
                held[sock.fileno()] = sock
                poll.register(sock, select.POLLOUT | select.POLLIN)
            for fd, _ in poll.poll(20):
                try:
                    if reads:
                        self._drain(held[fd])
                    self.sent_bytes += held[fd].send(again)
                except BlockingIOError:
                    continue
                except OSError:
                    poll.unregister(fd)
                    held.pop(fd).close()
        for sock in held.values():
            sock.close()

    @staticmethod
    def _drain(sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(65536):
                raise ConnectionResetError

    def trickle(self, first: bytes, again: bytes, *, sockets: int, pause_s: float) -> None:
        """Hold many sockets open and say a little on each now and then."""
        held: list[socket.socket] = []
        while time.monotonic() < self.until_s:
            while len(held) < sockets and time.monotonic() < self.until_s:
                if (sock := self.open(first)) is None:
                    break
                held.append(sock)
            time.sleep(pause_s)
            for sock in list(held):
                try:
                    self.sent_bytes += sock.send(again)
                except BlockingIOError:
                    continue
                except OSError:
                    held.remove(sock)
                    sock.close()
        for sock in held:
            sock.close()

    def by_sip(self) -> Flood:
        """Turn to the port of SIP."""
        self.port = self.sip_port
        return self

    def datagrams(self, method: str, extra: str = "") -> None:
        """Send SIP requests, each another one, a few at a time: more than anybody reads."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while time.monotonic() < self.until_s:
                for _ in range(20):
                    self.opened += 1
                    data = _sip(method, self.opened, "UDP", extra)
                    with contextlib.suppress(OSError):
                        self.sent_bytes += sock.sendto(data, ("127.0.0.1", self.sip_port))
                time.sleep(0.001)

    def come_and_go(self, first: bytes) -> None:
        """Connect, say it, leave; as often as it goes."""
        while time.monotonic() < self.until_s:
            if (sock := self.open(first)) is not None:
                self.sent_bytes += len(first)
                sock.close()


def _sip(method: str, number: int, transport: str, extra: str = "") -> bytes:
    return (
        f"{method} sip:anna@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;"
        f"branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag={number}\r\n"
        f"To: <sip:anna@127.0.0.1>\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\n{extra}"
        "Content-Length: 0\r\n\r\n"
    ).encode()


WRONG_PASSWORD = (
    'Authorization: Digest username="anna", realm="voxpy", nonce="x", uri="sip:127.0.0.1", '
    f'response="{"0" * 32}"\r\nContact: <sip:anna@127.0.0.1:9>\r\n'
)


def _post(body_bytes: int, sent: bytes) -> bytes:
    head = (
        "POST /twilio/voice HTTP/1.1\r\nHost: h\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {body_bytes}\r\n\r\n"
    )
    return head.encode() + sent


def _started(provider: str) -> bytes:
    """Return the words with which an unsigned stream of a provider begins."""
    start = {
        "streamSid": "MZ9",
        "callSid": "CA9",
        "stream_id": "S9",
        "call_control_id": "C9",
        "to": STRANGER,
        "customParameters": {"to": STRANGER},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    }
    path = {"twilio": TWILIO, "telnyx": TELNYX}[provider]
    said = json.dumps({"event": "start", "stream_id": "S9", "start": start}).encode()
    return path + text_frame(said, masked=True)


def _falling_chunks() -> bytes:
    """Return Telnyx media whose chunk numbers fall: each belongs before all that came."""
    media = (
        '{"event":"media","stream_id":"S9","media":{"track":"inbound","chunk":"%d","payload":""}}'
    )
    return b"".join(
        text_frame((media % n).encode(), masked=True) for n in range(4_000_000, 3_999_000, -1)
    )


DEEP = text_frame(b"[" * 60_000, masked=True)

FLOODS: dict[str, tuple[str, Callable[[Flood], None]]] = {
    "pings": ("one socket that pings", lambda f: f.pour(TWILIO, PING * 500)),
    "empty-frames": (
        "one started stream of empty binary frames",
        lambda f: f.pour(_started("twilio"), EMPTY_BINARY * 500),
    ),
    "fragments": (
        "one message in empty fragments without end",
        lambda f: f.pour(TWILIO + text_frame(b"", masked=True, kind=0x01), EMPTY_PART * 500),
    ),
    "odd-messages": (
        "eight started streams of messages nobody understands",
        lambda f: f.pour(_started("twilio"), ODD * 50, sockets=8),
    ),
    "falling-chunks": (
        "empty media with falling chunk numbers",
        lambda f: f.pour(_started("telnyx"), _falling_chunks()),
    ),
    "depth": ("60,000 brackets in a message", lambda f: f.pour(TWILIO, DEEP, sockets=4)),
    "http2-half": (
        "HTTP/2 requests that never end, one a connection",
        lambda f: f.come_and_go(PREFACE + POST_HALF),
    ),
    "http2-priority": ("HTTP/2 PRIORITY frames", lambda f: f.pour(PREFACE, PRIORITY * 1000)),
    "unsigned-posts": (
        "65 kB webhooks without a signature",
        lambda f: f.pour(b"", _post(65_000, b"a=" + b"b" * 64_998), sockets=8),
    ),
    "trickled-posts": (
        "2,048 webhooks whose body comes byte by byte",
        lambda f: f.trickle(_post(60_000, b"a="), b"b", sockets=2048, pause_s=0.5),
    ),
    "trickled-heads": (
        "2,048 requests whose head comes byte by byte",
        lambda f: f.trickle(b"GET / HTTP/1.1\r\nX: ", b"b", sockets=2048, pause_s=0.5),
    ),
    "idle": (
        "2,048 sockets that say nothing",
        lambda f: f.trickle(b"", b"", sockets=2048, pause_s=1),
    ),
    "heads": (
        "requests of 128 lines, one a connection",
        lambda f: f.come_and_go(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 125 + b"\r\n"),
    ),
    "upgrades": (
        "WebSockets that are opened and left",
        lambda f: f.come_and_go(TWILIO),
    ),
    "come-and-go": ("connections that say nothing and leave", lambda f: f.come_and_go(b"")),
    "sip-options": ("SIP requests by UDP", lambda f: f.datagrams("OPTIONS")),
    "sip-registers": (
        "REGISTER with wrong passwords",
        lambda f: f.datagrams("REGISTER", WRONG_PASSWORD),
    ),
    "sip-invites": ("INVITE from nobody", lambda f: f.datagrams("INVITE")),
    "sip-tcp": (
        "eight SIP connections that ask without end",
        lambda f: f.by_sip().pour(
            b"", b"".join(_sip("OPTIONS", n, "TCP") for n in range(100)), sockets=8
        ),
    ),
    "sip-idle": (
        "2,048 SIP connections that say nothing",
        lambda f: f.by_sip().trickle(b"", b"", sockets=2048, pause_s=1),
    ),
    "slow-readers": (
        "100 streams that never read",
        lambda f: f.pour(TWILIO, PING * 50, sockets=100, reads=False),
    ),
}


def flood(name: str, port: int, sip_port: int, seconds: float) -> None:
    """Be the flood; print what could be sent."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:2] or cores)
    doing = Flood(port, sip_port, seconds)
    FLOODS[name][1](doing)
    print(json.dumps({"sent_bytes": doing.sent_bytes, "opened": doing.opened}))


# -- the calls beside it ---------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Row:
    """One window of the ten calls."""

    lost: float
    late: Spread
    alive: bool
    health_s: float
    sent_mb: float = 0.0
    opened: int = 0


def before_others() -> None:
    """Let what we have started go before all other work of the machine, where we may (root)."""
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(OSError):
            os.sched_setscheduler(int(pid), os.SCHED_RR, os.sched_param(1))


@contextlib.contextmanager
def hosted(sip_port: int) -> Iterator[tuple[Served, Part, Part]]:
    """Start a host with ten calls on it."""
    scenario = Path(__file__).parents[1] / "voxpy/lab/bench/bridge.py.tmpl"
    with TemporaryDirectory(prefix="voxpy-hostile-") as name:
        folder = Path(name)
        (folder / "bridge.py").write_text(scenario.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "echo.py").write_text(ECHO, encoding="utf-8")
        routing = ROUTING.replace("SIP_PORT", str(sip_port))
        (folder / "routing.yaml").write_text(routing, encoding="utf-8")
        secrets = "INWORLD_API_KEY=bench-key\nANNA=secret\n"
        (folder / "secrets.env").write_text(secrets, encoding="utf-8")
        with (
            Part("voxpy.lab.bench.model", cores=[1]) as model,
            Part("voxpy.lab.bench.callers", cores=[1]) as callers,
        ):
            agent = f"ws://127.0.0.1:{model.ready['port']}/session"
            arguments = ["--port", "0", "--agent", agent, "--drain-s", "0"]
            with Served(folder, arguments, cores=[0]) as host:
                before_others()
                calls = list(range(1, CALLS + 1))
                callers.order("open", port=host.port, calls=calls, path="/media/twilio")
                deadline = time.monotonic() + 15
                while callers.order("answered") < CALLS and time.monotonic() < deadline:
                    time.sleep(0.1)
                time.sleep(SETTLE_S)
                yield host, model, callers


def window(host: Served, model: Part, callers: Part, seconds: int) -> Row:
    """Watch the ten calls for some seconds."""
    callers.order("begin")
    model.order("begin")
    seen = Window(host, seconds)
    sent, received = model.order("count"), callers.order("count")
    heard, spoken = callers.order("report"), model.order("report")
    seen.judge([*heard["late"], *spoken["late"]])
    _, late = lateness(heard["delays"], lambda _: True)
    list(spoken["delays"])
    return Row(
        lost=max(0.0, 1 - received / max(1, sent)),
        late=Spread.of(late),
        alive=spoken["open"] == CALLS and not heard["cut_off"],
        health_s=_health_s(host.port),
    )


def _health_s(port: int) -> float:
    began = time.monotonic()
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=5)
    except httpx.HTTPError:
        return math.inf
    return time.monotonic() - began if answer.status_code == 200 else math.inf


def attack(name: str, seconds: int) -> tuple[Row, Row]:
    """Return the ten calls in quiet, and beside a flood."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        sip_port = int(free.getsockname()[1])
    with hosted(sip_port) as (host, model, callers):
        quiet = window(host, model, callers, seconds)
        told = map(str, (host.port, sip_port, seconds + 1))
        mine = [sys.executable, __file__, "flood", name, *told]
        pouring = subprocess.Popen(mine, stdout=subprocess.PIPE)
        beside = window(host, model, callers, seconds)
        answer, _ = pouring.communicate(timeout=seconds + 60)
        poured = json.loads(answer)
        return quiet, attrs.evolve(
            beside, sent_mb=poured["sent_bytes"] / 1e6, opened=poured["opened"]
        )


def main() -> None:
    if sys.argv[1:2] == ["flood"]:
        flood(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
        return
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("floods", nargs="*", metavar="FLOOD", help="which; all by default")
    asked.add_argument("--seconds", type=int, default=20, help="how long each window is")
    asked.add_argument("--list", action="store_true", help="list the floods")
    options = asked.parse_args()
    if options.list:
        for name, (says, _) in FLOODS.items():
            print(f"{name:16} {says}")
        return
    if unknown := set(options.floods) - set(FLOODS):
        asked.error(f"no such flood: {', '.join(sorted(unknown))}; --list tells them")
    print(
        "| flood | frames lost | late p99 ms: quiet, beside | x | calls | /health | opened | MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in options.floods or FLOODS:
        quiet, beside = attack(name, options.seconds)
        quiet_ms, beside_ms = quiet.late.p99, beside.late.p99
        health = f"{beside.health_s * 1000:.0f} ms" if beside.health_s < math.inf else "NO ANSWER"
        cells = [
            FLOODS[name][0],
            f"{beside.lost:.2%}",
            f"{quiet_ms:.1f}, {beside_ms:.1f}",
            f"{beside_ms / max(quiet_ms, 0.1):.1f}",
            "all went on" if beside.alive else "CALLS WERE CUT",
            health,
            f"{beside.opened:,}",
            f"{beside.sent_mb:.1f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
