"""A phone provider as a channel: its stream, its webhook, or its connections on a port."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio

from voxpy.channels.listener import ListenerHost, Runs
from voxpy.channels.mediastream.credentials import Guard, LineRelease, Released
from voxpy.channels.mediastream.dialling import Addresses, ProviderTrunk, RestDialer, RestLeg
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.line import ByteLine, Line
from voxpy.channels.mediastream.serving import accept, serve_line
from voxpy.channels.providers.http import (
    Answer,
    Outcome,
    Request,
    as_websocket,
    asked,
)
from voxpy.channels.providers.placing import Progress, ours_in
from voxpy.channels.providers.provider import MediaStream, Provider
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine.ports import Secrets
from voxpy.engine.userfile import Given
from voxpy.errors import RemoteProtocolError, nearest
from voxpy.sockets.accepting import Upgrade
from voxpy.sockets.listening import listen

WEBSOCKET_KEYS = ("provider", "path", "webhook", "to")
TCP_KEYS = ("provider", "port", "host", "to")
POLICY = 1008
TWICE = "this call has a stream already"


@attrs.frozen(kw_only=True)
class ProviderListener:
    """Implements ``voxpy.channels.listener.Listener`` for one provider.

    ``path`` is where the provider opens its WebSocket and ``webhook`` where it asks what to do with
    a call; both are empty for a provider on TCP, which connects to ``host``:``port``. ``to`` is the
    destination of calls that name none.
    """

    name: str
    provider: Provider
    path: str = ""
    webhook: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    to: str = ""
    trunks: tuple[ProviderTrunk, ...] = ()
    _awaited: dict[str, RestLeg] = attrs.field(factory=dict, init=False, eq=False, repr=False)

    @classmethod
    def of(cls, name: str, provider: Provider) -> ProviderListener:
        """Return a listener at its provider's usual places."""
        if provider.transport == "tcp":
            return cls(name=name, provider=provider)
        return cls(name=name, provider=provider, path=f"/media/{name}", webhook=f"/{name}/voice")

    @classmethod
    def read(cls, name: str, given: Given) -> ProviderListener:
        """Read a channel's settings. Raises ConfigError."""
        called = given.mapping().get("provider", given.child("provider", name))
        usual = cls.of(name, given_provider(called.named(given.label)))
        tcp = usual.provider.transport == "tcp"
        fields = given.fields(TCP_KEYS if tcp else WEBSOCKET_KEYS)
        listener = attrs.evolve(
            usual,
            path=fields.get("path", _place, usual.path),
            webhook=fields.get("webhook", _place, usual.webhook),
            to=fields.get("to", Given.words, ""),
            host=fields.get("host", Given.words, usual.host),
        )
        if not tcp:
            return listener
        return attrs.evolve(listener, port=fields.need("port").whole(at_most=65535))

    @property
    def paths(self) -> Sequence[str]:
        return [self.path] if self.path else []

    @property
    def webhooks(self) -> Sequence[str]:
        asks = [self.webhook] if self.webhook and self.provider.answer_call is not None else []
        return [*asks, self.status] if self.trunks else asks

    @property
    def status(self) -> str:
        """Where it tells what becomes of the calls that we make by it."""
        return f"{self.webhook.rpartition('/')[0]}/status"

    # -- taking calls ----------------------------------------------------------------------------

    def open(self) -> Sequence[socket.socket]:
        """Listen, if the provider connects to a port of its own."""
        if self.path:
            return []
        return [listen(self.host, self.port, setting=f"channels: {self.name}: port")]

    async def run(self, sockets: Sequence[socket.socket], host: ListenerHost) -> None:
        """Serve every connection to its port, and place the calls of its trunks."""
        for bound in sockets:
            await host.accept(bound, partial(self._serve, host))
        if self.trunks:
            async with trio.open_nursery() as placing:
                addresses = partial(self._addresses, host)
                host.dials(
                    self.name,
                    RestDialer(self.provider, host, placing, addresses, self._awaited),
                )
                await trio.sleep_forever()

    def _addresses(self, host: ListenerHost, word: str) -> Addresses | None:
        base, query = host.public_url, self._guard(host).webhook_query(self.provider)
        if not base:
            return None
        return Addresses(
            stream=self._stream_url(base, host, word),
            status=f"{base}{self.status}/{word}{query}",
            answer=f"{base}{self.webhook}/{word}{query}",
        )

    def _stream_url(self, base: str, host: ListenerHost, word: str) -> str:
        place = f"{self.path}/{word}" if word else self.path
        return as_websocket(base) + place + self._guard(host).stream_query(self.provider)

    def drain(self) -> None:
        """Nothing: a provider cannot be told, and each of its calls is refused by itself."""

    async def _serve(self, host: ListenerHost, stream: trio.SocketStream, address: str) -> None:
        await self._call(ByteLine(stream), self.provider.open_stream(), address, host)

    async def on_upgrade(
        self, upgrade: Upgrade, request: Request, address: str, host: ListenerHost
    ) -> None:
        """Take a stream if it is proven to be the provider's and there is room for a call."""
        problem = self._guard(host).refuse_stream(self.provider, request)
        if problem:
            host.refused("not proven", problem, address, channel=self.name)
            await upgrade.refuse(403, body=f"{self.provider.name}: {problem}".encode())
            return
        _, word = ours_in(urlsplit(request.url).path)
        if word:
            await self._ours(upgrade, word, address, host)
            return
        busy = host.router.refusal(self.name)
        if busy:
            await upgrade.refuse(503, body=busy.encode(), headers=[("Retry-After", "5")])
            return
        await self._call(*await accept(upgrade, self.provider), address, host)

    async def _ours(self, upgrade: Upgrade, word: str, address: str, host: ListenerHost) -> None:
        """Take the stream of a call that we have made."""
        ours = self._awaited.get(word)
        if ours is None:
            host.refused("no call", "the call is over", address, channel=self.name)
            await upgrade.refuse(404, body=b"the call is over")
            return

        def receive(leg: MediaStreamLeg) -> Runs:
            if not ours.attach(leg):
                host.refused("twice", TWICE, address, channel=self.name)
                return _Dismissed(leg)
            host.keep()
            return _Joined(ours)

        await self._serve_line(*await accept(upgrade, self.provider), receive, address, host)

    async def _call(
        self, line: Line, stream: MediaStream, address: str, host: ListenerHost
    ) -> None:
        def receive(leg: MediaStreamLeg) -> Runs:
            call_id = leg.start.call_id
            if call_id and host.once.is_up(f"{self.name} {call_id}", leg):
                host.refused("twice", TWICE, address, channel=self.name)
                return _Dismissed(leg)
            leg.destination = leg.destination or self.to
            host.keep()
            return host.router.receive(leg, self.name)

        await self._serve_line(line, stream, receive, address, host)

    async def _serve_line(
        self,
        line: Line,
        stream: MediaStream,
        receive: Callable[[MediaStreamLeg], Runs],
        address: str,
        host: ListenerHost,
    ) -> None:
        release = LineRelease(
            self.provider, host.secrets, partial(_note_release, host), fetch=host.fetch
        )
        try:
            await serve_line(line, stream, receive, release=release, start_s=host.start_s)
        except* RemoteProtocolError as group:
            host.refused("no call", str(group.exceptions[0]), address, channel=self.name)

    def _guard(self, host: ListenerHost) -> Guard:
        return Guard(host.secrets, host.once)

    def on_request(self, request: Request, base: str, host: ListenerHost) -> Answer:
        """Answer the provider's question what to do with a call."""
        guard = self._guard(host)
        problem = guard.refuse_webhook(self.provider, request)
        if problem:
            host.router.not_proven(self.name, problem)
            return Answer("text/plain", problem.encode(), 403)
        place, word = ours_in(urlsplit(request.url).path)
        ours = self._awaited.get(word)
        if place.endswith(self.status) and self.trunks:
            return self._told(ours, request)
        call = asked(request.fields)
        call = attrs.evolve(call, callee=call.callee or self.to)
        stream_url = self._stream_url(base, host, word)
        assert self.provider.answer_call is not None
        if word:  # a call of ours has been answered: what now?
            if ours is not None:
                ours.told(Progress("answered"))
            outcome: Outcome = "not found" if ours is None else "connect"
            return self.provider.answer_call(outcome, stream_url, call)
        outcome = host.router.judge(call.callee, self.name)
        return self.provider.answer_call(outcome, stream_url, call)

    def _told(self, leg: RestLeg | None, request: Request) -> Answer:
        """Take a status callback; one of a call that is over tells nobody anything."""
        assert self.provider.placer is not None
        progress = self.provider.placer.progress(request.fields)
        if leg is not None and progress is not None:
            leg.told(progress)
        return Answer("text/plain", b"")

    # -- what an operator reads ------------------------------------------------------------------

    def serves(
        self, base: str, sockets: Sequence[socket.socket], secrets: Secrets | None = None
    ) -> str:
        """Return the line to paste from into the provider's console."""
        if not self.path:
            port = sockets[0].getsockname()[1] if sockets else self.port
            return f"{self.name}: TCP {self.host}:{port}"
        guard = Guard(secrets) if secrets is not None else None
        stream = f"stream {as_websocket(base)}{self.path}"
        stream += guard.stream_query(self.provider) if guard is not None else ""
        if not self.webhooks:
            return f"{self.name}: {stream}"
        webhook = f"{base}{self.webhook}"
        webhook += guard.webhook_query(self.provider) if guard is not None else ""
        return f"{self.name}: webhook {webhook}, or {stream}"

    def lacks(self, secrets: Secrets) -> Iterator[str]:
        """Yield what cannot be checked, and whether its lines can be released."""
        yield from Guard(secrets).notes(self.provider)
        yield from LineRelease(self.provider, secrets, lambda outcome: None).notes()


@attrs.frozen
class _Joined:
    """The stream of a call that we have made: its session runs already."""

    leg: RestLeg

    async def run(self) -> None:
        await self.leg.over.wait()


@attrs.frozen
class _Dismissed:
    """A second stream of a call that has one."""

    leg: MediaStreamLeg

    async def run(self) -> None:
        self.leg.abandon(POLICY, TWICE, release=False)
        await self.leg.aclose()


def given_provider(given: Given) -> Provider:
    """Return the provider that is named. Raises ConfigError."""
    if given.value not in PROVIDERS:
        hint = nearest(str(given.value), PROVIDERS) or f"; known are {', '.join(PROVIDERS)}"
        raise given.error(f"{given.label}: there is no provider {given.value!r}{hint}")
    return PROVIDERS[given.value]


def default_listeners() -> tuple[ProviderListener, ...]:
    """Return what is served when nothing is configured: every provider that needs no own port."""
    return tuple(
        ProviderListener.of(name, provider)
        for name, provider in PROVIDERS.items()
        if provider.transport == "websocket"
    )


def _place(given: Given) -> str:
    place = given.words()
    if not place.startswith("/"):
        raise given.expected("a path that begins with /")
    return place


def _note_release(host: ListenerHost, outcome: Released) -> None:
    told: dict[str, Any] = {
        "call": outcome.call_id,
        "status": outcome.status,
        "tries": outcome.tries,
    }
    if outcome.problem:
        host.count("voxpy_lines_not_released", outcome.provider)
        problem = f"{outcome.provider}: {outcome.problem}"
        host.log.warning("the line may still be up", problem=problem, **told)
    else:
        host.log.step("line released", channel=outcome.provider, **told)
