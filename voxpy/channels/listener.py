"""The seam for ways in: what a kind of channel gives a host, and what it gets from it.

::

    network ── Listener ──▶ Leg ──▶ CallRouter ──▶ a rule's session
                  │ run(host), on_upgrade, on_request
                  ▼
            ListenerHost: counts connections, logs, secrets

A new kind of channel is a folder beside this file with a Listener in it, and a line in
``voxpy.project.routing`` that reads its settings; a kind that also places calls has a Dialer
(``voxpy.engine.ports``). The host knows only what stands here.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from voxpy.channels.once import Once
from voxpy.channels.outgoing import HostDialer, Way
from voxpy.channels.providers.http import Answer, Outcome, Request
from voxpy.engine.ports import Leg, Secrets
from voxpy.engine.trace import Trace
from voxpy.fleet.membership import Fleet
from voxpy.sockets.accepting import Upgrade

if TYPE_CHECKING:
    import trio

    from voxpy.engine.http import Fetch


class Runs(Protocol):
    """What a call gets: a session, or an answer that says why there is none."""

    async def run(self) -> Any:
        """Run to its end."""


class Routed(Runs, Protocol):
    """What a call was given. ``session_id`` is empty where there is none."""

    @property
    def session_id(self) -> str: ...


class Asker(Protocol):
    """Whoever calls from a page."""

    def sees(self, rule_name: str) -> bool:
        """Whether a rule is there for this one at all."""
        ...


class CallRouter(Protocol):
    """Gives every call that comes in what it gets; whatever it refuses is logged and counted."""

    def refusal(self, channel: str) -> str:
        """Return why no call at all is taken now, in a sentence, or nothing."""

    def judge(self, destination: str, channel: str) -> Outcome:
        """Say what would become of a call to ``destination`` now."""
        ...

    def receive(self, leg: Leg, channel: str, asker: Asker | None = None) -> Routed:
        """Return what runs the call, once; for an ``asker`` there are only the rules it sees."""
        ...

    def not_proven(self, channel: str, problem: str) -> None:
        """Note a request that did not come from whom it says it is."""


class Meetings(Protocol):
    """The conferences that are at home in this process."""

    async def is_home(self, name: str) -> bool:
        """Return whether a conference is here, or may begin here now: ``meet`` or ``drop`` it."""
        ...

    def meet(self, name: str, make: Callable[[str], Leg]) -> None:
        """Let one more call into a conference; ``make`` makes it when it gets the call's id."""

    def drop(self, name: str) -> None:
        """Let a conference begin elsewhere, if it has not here."""


class ListenerHost(Protocol):
    """What a listener works with while it takes calls."""

    router: CallRouter
    secrets: Secrets
    log: Trace
    once: Once
    fetch: Fetch | None
    """Sends HTTP requests in place of ``voxpy.engine.http.fetch``."""
    outgoing: HostDialer
    """Every call out, whichever channel makes it."""
    meetings: Meetings
    fleet: Fleet
    """This process among those of all hosts."""
    worker: int
    workers: int
    """Which of how many processes this one is that share the ports."""
    public_url: str
    """How networks reach us, ``https://host``; empty if only requests tell."""

    @property
    def start_s(self) -> float:
        """Within which an open connection must become a call."""
        ...

    def asker(self, headers: Mapping[str, str], address: str) -> Asker | str:
        """Return who asks from a page, or why that one may not; header names in lower case."""
        ...

    def count(self, metric: str, *labels: str) -> None:
        """Count one of the host's metrics."""

    def dials(self, name: str, way: Way) -> None:
        """Let scenarios call out by this channel from now on."""

    def registers(self, online: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        """Tell by ``online`` at how many places each user is registered."""

    def keep(self) -> None:
        """Let the connection that this task serves be none of those that make room for others.

        To be called when it has proven its worth: a call began, a user is known.
        """

    def refused(self, cause: str, problem: str, address: str, **fields: object) -> None:
        """Note a connection of which no call came."""

    async def accept(
        self, bound: socket.socket, serve: Callable[[trio.SocketStream, str], Awaitable[None]]
    ) -> None:
        """Serve every connection to ``bound`` until cancelled; ``serve`` gets stream and address.

        Each is counted, and its errors end nothing else.
        """


class Listener(Protocol):
    """One channel of ``routing.yaml`` that takes calls. It is settings only, and may be compared.

    ``paths`` of WebSockets and ``webhooks`` are on the host's HTTP port.
    """

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def paths(self) -> Sequence[str]:
        """Where it takes WebSockets."""
        ...

    @property
    def webhooks(self) -> Sequence[str]:
        """Where it answers requests."""
        ...

    def open(self) -> Sequence[socket.socket]:
        """Bind ports of its own, before any loop runs: workers inherit them. Raises VoxpyError."""
        ...

    async def run(self, sockets: Sequence[socket.socket], host: ListenerHost) -> None:
        """Take calls on those ports until cancelled."""

    def drain(self) -> None:
        """Send new calls elsewhere, if its network can be told; the router refuses them anyway."""

    async def on_upgrade(
        self, upgrade: Upgrade, request: Request, address: str, host: ListenerHost
    ) -> None:
        """Serve a client that asks for a WebSocket at one of its paths."""

    def on_request(self, request: Request, base: str, host: ListenerHost) -> Answer:
        """Answer one of its webhooks; ``base`` is how its network reaches us: ``https://host``."""
        ...

    def serves(
        self, base: str, sockets: Sequence[socket.socket], secrets: Secrets | None = None
    ) -> str:
        """Say what it serves where, for whoever sets up the other side.

        With ``secrets`` the addresses bear the tokens they need: not for logs.
        """
        ...

    def lacks(self, secrets: Secrets) -> Iterator[str]:
        """Yield what cannot be checked or done as things stand, and what to do about it."""
        ...
