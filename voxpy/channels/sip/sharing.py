"""Workers that share the SIP ports: each message reaches the worker that its call lives in.

The kernel gives a datagram, or a connection, to any of them. So every id of ours (tags, branches,
Call-IDs) begins with the worker that made it, and whoever gets a message that is another's hands it
on over a socket in the file system. A call that comes in belongs to a worker by its Call-ID, so
that its repetitions, its CANCEL and the second try with credentials find the first. What is to go
out by a connection that another worker holds goes the same way back. Where users have registered is
told to all.
"""

from __future__ import annotations

import secrets
import socket
import zlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import orjson
import trio

from voxpy.engine import clock
from voxpy.sockets.listening import private_folder
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.message import Message, Request
from voxpy.wire.sip.registrar import Binding, Registrar
from voxpy.wire.sip.transactions import MAGIC
from voxpy.wire.sip.values import parse_uri

ASKS, TELLS = "users?", "user"
CONFERENCE = "conference"
"""The parameter of an address of ours that is a conference; it says whose."""
MOST_BYTES = 128 * 1024
MOST_FLOWS = 20_000


def owner_in(word: str, workers: int) -> int | None:
    """Return the worker that made a word of ours (``w3.…``), None for words of others."""
    name, dot, _ = word.removeprefix("w").partition(".")
    if word.startswith("w") and dot and name.isascii() and name.isdigit() and len(name) < 4:
        return int(name) if int(name) < workers else None
    return None


def owner_of(message: Message, workers: int) -> int:
    """Return the worker a message is for."""
    if isinstance(message, Request):
        replaces = (message.headers.get("Replaces") or "").partition("to-tag=")[2]
        words = [message.to.tag or "", replaces, message.uri.params.get(CONFERENCE) or ""]
    else:
        words = [message.via.branch.removeprefix(MAGIC)]
    for word in words:
        found = owner_in(word, workers)
        if found is not None:
            return found
    return zlib.crc32(message.call_id.encode("utf-8", "replace")) % workers


@attrs.frozen
class Handed:
    """What another worker gives us: a message that is ours, or one to write to a connection."""

    kind: str
    flow: Flow | None
    data: bytes
    sender: int
    more: Any = None


class Sharing:
    """One worker's end. ``take`` gets what the others hand over."""

    def __init__(
        self, worker: int, workers: int, place: str, take: Callable[[Handed], None]
    ) -> None:
        self.worker, self.workers = worker, workers
        self._take = take
        self._folder = private_folder(f"sip-{place}")
        self._held: OrderedDict[Flow, int] = OrderedDict()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        mine = self._folder / str(worker)
        mine.unlink(missing_ok=True)
        self._socket.bind(str(mine))

    def new_id(self) -> str:
        """Return a word that nobody can guess, and that says whose it is."""
        return f"w{self.worker}.{secrets.token_hex(8)}"

    def hands_on(self, message: Message, flow: Flow) -> bool:
        """Give a message to its worker; False if it is ours, or nobody else is there."""
        owner = owner_of(message, self.workers)
        return owner != self.worker and self._send(owner, "message", flow, message.to_bytes())

    def writes(self, flow: Flow, data: bytes) -> bool:
        """Let whoever holds a connection write to it; False if nobody is known to."""
        holder = self._held.get(flow)
        return holder is not None and self._send(holder, "write", flow, data)

    def tell(self, what: str, more: Any) -> None:
        """Tell all others something."""
        for worker in range(self.workers):
            if worker != self.worker:
                self._send(worker, what, None, b"", more)

    def held_by(self, flow: Flow, worker: int) -> None:
        """Note who has a connection."""
        if flow.transport != "UDP":
            self._held[flow] = worker
            self._held.move_to_end(flow)
            if len(self._held) > MOST_FLOWS:
                self._held.popitem(last=False)

    async def run(self) -> None:
        """Take what the others give, until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                with suppress(BlockingIOError):
                    self._receive(self._socket.recv(MOST_BYTES))
                await trio.lowlevel.checkpoint()
        finally:
            self._socket.close()
            (self._folder / str(self.worker)).unlink(missing_ok=True)

    def _receive(self, data: bytes) -> None:
        head, _, rest = data.partition(b"\n")
        told = orjson.loads(head)
        flow = Flow(*told["flow"]) if told["flow"] else None
        if flow is not None and told["kind"] == "message":
            self.held_by(flow, told["by"])
        self._take(Handed(told["kind"], flow, rest, told["by"], told["more"]))

    def _send(self, to: int, kind: str, flow: Flow | None, data: bytes, more: Any = None) -> bool:
        head = {
            "kind": kind,
            "flow": None if flow is None else attrs.astuple(flow),
            "by": self.worker,
            "more": more,
        }
        try:
            self._socket.sendto(orjson.dumps(head) + b"\n" + data, str(self._folder / str(to)))
        except BlockingIOError:
            return True  # it has too much to do: as good as lost on the way, and repeated
        except OSError:
            return False  # it is not there
        return True


class SharedRegistrar:
    """Lets every worker know where users are: what one is told, it tells the others."""

    def __init__(self, registrar: Registrar, sharing: Sharing) -> None:
        self._registrar = registrar
        self._sharing = sharing
        registrar.changed = self._tell
        sharing.tell(ASKS, None)

    def _tell(self, user: str) -> None:
        now = clock.now()
        places = [
            {
                "contact": str(binding.contact),
                "flow": attrs.astuple(binding.flow),
                "left_s": binding.expires_at - now,
                "call_id": binding.call_id,
                "sequence": binding.sequence,
                "path": binding.path,
            }
            for binding in reversed(self._registrar.contacts(user, now))
        ]
        self._sharing.tell(TELLS, {"user": user, "places": places})

    def takes(self, given: Handed) -> bool:
        """Take what another worker tells, or asks; False if it is about something else."""
        if given.kind == ASKS:
            for user in self._registrar.online(clock.now()):
                self._tell(user)
        elif given.kind == TELLS:
            now, told = clock.now(), given.more
            bindings = []
            for place in told["places"]:
                flow = Flow(*place["flow"])
                self._sharing.held_by(flow, given.sender)
                bindings.append(
                    Binding(
                        contact=parse_uri(place["contact"]),
                        flow=flow,
                        expires_at=now + place["left_s"],
                        call_id=place["call_id"],
                        sequence=place["sequence"],
                        path=tuple(place["path"]),
                    )
                )
            self._registrar.adopt(told["user"], bindings)
        else:
            return False
        return True
