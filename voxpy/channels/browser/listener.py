"""``channels: {browser: ...}``: calls from the phone in the page.

::

    channels:
      browser:
        to: support                      # what the page offers to call first
        ice_servers:                     # for WebRTC across networks
          - stun:stun.example.org
          - {urls: turn:turn.example.org, username: voxpy, secret: TURN_PASSWORD}
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs

from voxpy.channels.browser.protocol import BROWSER
from voxpy.channels.browser.webrtc import CONNECT_S, FORMAT, IceAddress, RtcLine
from voxpy.channels.listener import Asker, ListenerHost, Runs
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.line import Line
from voxpy.channels.mediastream.serving import accept, serve_line
from voxpy.channels.providers.http import Answer, Request
from voxpy.channels.providers.jsonstream import as_json
from voxpy.engine.faults import contained, explain
from voxpy.engine.ports import Secrets
from voxpy.engine.userfile import Given
from voxpy.errors import ConnectFailed, RemoteProtocolError
from voxpy.sockets.accepting import Upgrade

RTC = attrs.evolve(BROWSER, ahead=False, marks=False)
"""By WebRTC nothing is sent ahead of its time, so there is nothing to clear."""
NAME_BYTES = 16
MOST_LINES = 50
"""Of calls by WebRTC in a process: offers cost sockets before there is a call."""
MEDIA_PATH = "/phone/media"
KEYS = ("to", "ice_servers")
LONGEST_NAME = 200


@attrs.frozen(kw_only=True)
class IceServer:
    """A STUN or TURN server; ``secret`` names the secret with its password."""

    urls: str
    username: str = ""
    secret: str = ""

    def address(self, secrets: Secrets) -> IceAddress:
        """Return it with its password."""
        password = secrets.get(self.secret) if self.secret else None
        return IceAddress(urls=self.urls, username=self.username or None, credential=password)

    def to_json(self, secrets: Secrets) -> dict[str, str]:
        """Return it as a browser wants it."""
        known = attrs.asdict(self.address(secrets))
        return {name: value for name, value in known.items() if value is not None}


@attrs.frozen(kw_only=True)
class Offer:
    """A page's offer of WebRTC; ``spawn`` runs the call that comes of it."""

    sdp: str
    caller: str
    destination: str
    address: str
    asker: Asker
    spawn: Callable[..., None]


@attrs.frozen(kw_only=True)
class BrowserListener:
    """Implements ``voxpy.channels.listener.Listener``. The page itself is the host's."""

    name: str = "browser"
    to: str = ""
    ice_servers: tuple[IceServer, ...] = ()

    _lines: dict[str, RtcLine] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    paths: Sequence[str] = attrs.field(default=(MEDIA_PATH,), init=False)
    webhooks: Sequence[str] = attrs.field(default=(), init=False)

    @classmethod
    def read(cls, name: str, given: Given) -> BrowserListener:
        """Read a channel's settings. Raises ConfigError."""
        fields = given.fields(KEYS)
        return cls(
            name=name,
            to=fields.get("to", Given.words, ""),
            ice_servers=fields.get("ice_servers", _ice_servers, ()),
        )

    def open(self) -> Sequence[socket.socket]:
        """It has no port of its own."""
        return []

    async def run(self, sockets: Sequence[socket.socket], host: ListenerHost) -> None:
        """There is nothing to do between calls."""

    def drain(self) -> None:
        """Each call is refused by itself."""

    async def on_upgrade(
        self, upgrade: Upgrade, request: Request, address: str, host: ListenerHost
    ) -> None:
        """Take the call of a page of ours."""
        asker = host.asker(dict(upgrade.headers), address)
        if isinstance(asker, str):
            host.refused("not allowed", f"{MEDIA_PATH}: {asker}", address, channel=self.name)
            await upgrade.refuse(403, body=asker.encode())
            return
        line, stream = await accept(upgrade, BROWSER)
        try:
            await serve_line(
                line, stream, partial(self.receive, line, host, asker), start_s=host.start_s
            )
        except* RemoteProtocolError as group:
            host.refused("no call", str(group.exceptions[0]), address, channel=self.name)

    async def take_offer(self, offer: Offer, host: ListenerHost) -> tuple[str, str]:
        """Return the answer to an offer of WebRTC, and the name of the call that comes of it.

        Raises ConnectFailed for an offer of which no call can come.
        """
        if len(self._lines) >= MOST_LINES:
            raise ConnectFailed(f"{MOST_LINES} calls by WebRTC are up or being set up")
        start = as_json(
            event="start",
            **{"from": offer.caller, "to": offer.destination},
            rate_hz=FORMAT.rate_hz,
        )
        line = RtcLine(start)
        servers = [each.address(host.secrets) for each in self.ice_servers]
        answer = ""
        try:
            answer = await line.peer.answer(offer.sdp, servers)
        finally:
            if not answer:
                line.peer.close()
        name = secrets.token_urlsafe(NAME_BYTES)
        self._lines[name] = line
        offer.spawn(self._serve_rtc, name, line, offer, host)
        return answer, name

    def hang_up(self, name: str) -> bool:
        """End a call that came by WebRTC, as its page asks; False if there is none."""
        line = self._lines.get(name)
        if line is not None:
            line.hang_up()
        return line is not None

    async def _serve_rtc(self, name: str, line: RtcLine, offer: Offer, host: ListenerHost) -> None:
        stream = RTC.open_stream()
        try:
            with contained(partial(self._failed, offer.address, host)):
                receive = partial(self.receive, line, host, offer.asker)
                await serve_line(line, stream, receive, start_s=CONNECT_S + host.start_s)
        finally:
            del self._lines[name]

    def _failed(self, address: str, host: ListenerHost, error: BaseException) -> None:
        host.refused("no call", explain(error).message, address, channel=self.name)

    def receive(self, line: Line, host: ListenerHost, asker: Asker, leg: MediaStreamLeg) -> Runs:
        """Give a call its session, and tell the page which one that is."""
        leg.callerid = leg.callerid[:LONGEST_NAME]
        leg.destination = (leg.destination or self.to)[:LONGEST_NAME]
        runs = host.router.receive(leg, self.name, asker)
        if runs.session_id:
            host.keep()
            line.send(as_json(event="session", id=runs.session_id))
        return runs

    def on_request(self, request: Request, base: str, host: ListenerHost) -> Answer:
        """There is no webhook of ours."""
        raise NotImplementedError

    def serves(
        self, base: str, sockets: Sequence[socket.socket], secrets: Secrets | None = None
    ) -> str:
        """Return where the page is."""
        return f"{self.name}: a phone in the page {base}/"

    def lacks(self, secrets: Secrets) -> Iterator[str]:
        """Yield the passwords that are not there."""
        for server in self.ice_servers:
            if server.secret and secrets.get(server.secret) is None:
                yield f"{self.name}: {secrets.missing(server.secret)}"


def _ice_servers(given: Given) -> tuple[IceServer, ...]:
    return tuple(_ice_server(item) for item in given.items())


def _ice_server(given: Given) -> IceServer:
    fields: Any = None
    if isinstance(given.value, str):
        urls = given.words()
    else:
        fields = given.fields(("urls", "username", "secret"))
        urls = fields.need("urls").words()
    if not urls.startswith(("stun:", "stuns:", "turn:", "turns:")):
        raise given.expected("the address of a STUN or TURN server, as in stun:stun.example.org")
    if fields is None:
        return IceServer(urls=urls)
    return IceServer(
        urls=urls,
        username=fields.get("username", Given.words, ""),
        secret=fields.get("secret", Given.words, ""),
    )
