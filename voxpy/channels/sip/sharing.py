"""Workers that share the SIP ports: each message reaches the worker that its call lives in.

The kernel gives a datagram, or a connection, to any of them. So every id of ours (tags, branches,
Call-IDs) begins with the worker that made it, and whoever gets a message that is another's hands it
on over a socket in the file system. A call that comes in belongs to a worker by its Call-ID, so
that its repetitions, its CANCEL and the second try with credentials find the first. What is to go
out by a connection that another worker holds goes the same way back. Where users have registered is
read from what workers and hosts share.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import attrs
import orjson
import trio

from voxpy.engine import clock
from voxpy.fleet.membership import Fleet
from voxpy.fleet.port import Entry, StoreAway
from voxpy.sockets.listening import private_folder
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.edge import Edge
from voxpy.wire.sip.message import Message, Request, Response
from voxpy.wire.sip.registrar import Binding, Registrar
from voxpy.wire.sip.transactions import MAGIC
from voxpy.wire.sip.values import parse_uri

if TYPE_CHECKING:
    from voxpy.channels.listener import Meetings
    from voxpy.channels.sip.leg import SipLeg
    from voxpy.channels.sip.listener import SipEndpoint
    from voxpy.channels.sip.media import RtpMedia
    from voxpy.wire.sip.events import Invited

USERS = "users/"
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
        return holder not in (None, self.worker) and self._send(holder, "write", flow, data)

    def held_by(self, flow: Flow, worker: int) -> None:
        """Note who has a connection."""
        if flow.transport != "UDP":
            self._held[flow] = worker
            self._held.move_to_end(flow)
            if len(self._held) > MOST_FLOWS:
                self._held.popitem(last=False)

    def holder(self, flow: Flow) -> int:
        """Return who has a connection: whoever answers what comes by it need not be the same."""
        return self._held.get(flow, self.worker)

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


class Whereabouts:
    """Where users are, for a registrar that shares that with those of all workers and hosts.

    A registration by a proxy (RFC 3327) is reached from everywhere and outlives us; every other one
    is by a connection or an address that we have, and is gone with us. Another host is the proxy of
    its connections (``voxpy.wire.sip.edge``). What others have told is read before every call to a
    user and before every REGISTER. While it cannot be read a user is where it was last.
    """

    def __init__(
        self,
        registrar: Registrar,
        fleet: Fleet,
        users: Mapping[str, object],
        sharing: Sharing | None,
        edge: Edge | None = None,
    ) -> None:
        self._edge = edge
        self._registrar = registrar
        self._fleet = fleet
        self._users = users
        self._sharing = sharing
        self._turn = trio.Lock()
        registrar.lost = lambda user, binding: fleet.untell(self._key(user, binding))

    async def learn(self, user: str) -> None:
        """Let the registrar know of every place where a user is reached from here."""
        ours = self._fleet.member_id
        try:
            found = await self._fleet.store.find(_folder(user))
        except StoreAway:
            return
        known = [b for b in self._registrar.contacts(user, clock.now())[::-1] if not b.key]
        for entry in found:
            place = orjson.loads(entry.value)
            if place["member"] == ours and not place["path"]:
                continue  # we know that best
            member = await self._fleet.member(place["member"])
            flow = Flow(*place["flow"])
            here = member is not None and member.host == self._fleet.host
            if here and self._sharing is not None:
                self._sharing.held_by(flow, place["holder"])
            if member is not None and not here and flow.transport != "UDP" and not place["path"]:
                if self._edge is None or not member.sip:
                    continue
                place["path"] = [self._edge.path(member.sip, flow, place["holder"])]
            if place["path"] or here or flow.transport == "UDP":
                known = [b for b in known if str(b.contact) != place["contact"]]
                known.append(_binding(place, flow, entry))
        self._registrar.adopt(user, known)

    async def register(self, user: str, register: Callable[[], Response]) -> Response:
        """Let ``register`` answer a REGISTER of a user, and tell what that has changed."""
        if user not in self._users:
            return register()
        async with self._turn:
            await self.learn(user)
            before = self._registrar.contacts(user, clock.now())
            answer = register()
            after = self._registrar.contacts(user, clock.now())
            kept = {binding.key or self._key(user, binding) for binding in after}
            for binding in before:
                if (key := binding.key or self._key(user, binding)) not in kept:
                    await self._forget(key)
            for binding in after:
                if binding not in before:
                    await self._tell(user, binding)
        return answer

    async def online(self) -> Mapping[str, int]:
        """Return at how many places each user is registered, wherever."""
        try:
            found = await self._fleet.store.find(USERS)
        except StoreAway:
            return self._registrar.online(clock.now())
        return Counter(unquote(entry.key.split("/")[1]) for entry in found)

    def _key(self, user: str, binding: Binding) -> str:
        mark = hashlib.blake2b(str(binding.contact).encode(), digest_size=8).hexdigest()
        at = "path" if binding.path else f"{self._fleet.mark}{self._fleet.worker:02x}"
        return f"{_folder(user)}{at}-{mark}"

    async def _tell(self, user: str, binding: Binding) -> None:
        left_s, key = binding.expires_at - clock.now(), self._key(user, binding)
        sharing = self._sharing
        place = {
            "contact": str(binding.contact),
            "flow": attrs.astuple(binding.flow),
            "holder": self._fleet.worker if sharing is None else sharing.holder(binding.flow),
            "call_id": binding.call_id,
            "sequence": binding.sequence,
            "path": binding.path,
            "member": self._fleet.member_id,
        }
        value = orjson.dumps(place).decode()
        if not binding.path:
            self._fleet.tell(key, value, left_s)
            return
        with suppress(StoreAway):  # then it is ours alone, until its phone registers again
            await self._fleet.store.put(key, value, left_s)

    async def _forget(self, key: str) -> None:
        self._fleet.untell(key)
        with suppress(StoreAway):
            await self._fleet.store.remove(key)


def _folder(user: str) -> str:
    return f"{USERS}{quote(user, safe='')}/"


def _binding(place: Mapping[str, Any], flow: Flow, entry: Entry) -> Binding:
    return Binding(
        contact=parse_uri(place["contact"]),
        flow=flow,
        expires_at=clock.now() + entry.left_s,
        call_id=place["call_id"],
        sequence=place["sequence"],
        path=tuple(place["path"]),
        key=entry.key,
    )


async def take_guest(endpoint: SipEndpoint, event: Invited, meetings: Meetings) -> None:
    """Let a call of another of our processes into the conference that it names."""
    name, speech = event.request.uri.user_text, endpoint.speech_with(None)

    def guest(media: RtpMedia, call_id: str) -> SipLeg:
        leg = endpoint.leg_of(event, media, endpoint.negotiation(media, speech), CONFERENCE)
        leg.leg_id, leg.on_closed = call_id, partial(endpoint.forget, leg)
        return leg

    is_home = await meetings.is_home(name)
    if event.call.state == "incoming":  # it was not given up meanwhile
        media = endpoint.audio(event, speech) if is_home else None
        if media is not None:
            meetings.meet(name, partial(guest, media))
        elif not is_home:
            event.call.reject(503, clock.now(), reason="No such conference here")
        endpoint.network.wake()
    meetings.drop(name)
