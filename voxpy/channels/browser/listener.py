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

import socket
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import attrs

from voxpy.channels.browser.protocol import BROWSER
from voxpy.channels.listener import ListenerHost, Runs
from voxpy.channels.mediastream.leg import MediaStreamLeg
from voxpy.channels.mediastream.line import Line
from voxpy.channels.mediastream.serving import accept, serve_line
from voxpy.channels.providers.http import Answer, Request
from voxpy.channels.providers.jsonstream import as_json
from voxpy.engine.ports import Secrets
from voxpy.engine.userfile import Given
from voxpy.errors import RemoteProtocolError
from voxpy.sockets.accepting import Upgrade

MEDIA_PATH = "/phone/media"
KEYS = ("to", "ice_servers")
LONGEST_NAME = 200


@attrs.frozen(kw_only=True)
class IceServer:
    """A STUN or TURN server; ``secret`` names the secret with its password."""

    urls: str
    username: str = ""
    secret: str = ""

    def to_json(self, secrets: Secrets) -> dict[str, str]:
        """Return it as a browser wants it."""
        told = {"urls": self.urls}
        if self.username:
            told |= {"username": self.username, "credential": secrets.get(self.secret) or ""}
        return told


@attrs.frozen(kw_only=True)
class BrowserListener:
    """Implements ``voxpy.channels.listener.Listener``. The page itself is the host's."""

    name: str = "browser"
    to: str = ""
    ice_servers: tuple[IceServer, ...] = ()

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
        problem = host.refuses(dict(upgrade.headers), address)
        if problem:
            host.refused("not allowed", f"{MEDIA_PATH}: {problem}", address, channel=self.name)
            await upgrade.refuse(403, body=problem.encode())
            return
        line, stream = await accept(upgrade, BROWSER)
        try:
            await serve_line(line, stream, partial(self.receive, line, host), start_s=host.start_s)
        except* RemoteProtocolError as group:
            host.refused("no call", str(group.exceptions[0]), address, channel=self.name)

    def receive(self, line: Line, host: ListenerHost, leg: MediaStreamLeg) -> Runs:
        """Give a call its session, and tell the page which one that is."""
        leg.callerid = leg.callerid[:LONGEST_NAME]
        leg.destination = (leg.destination or self.to)[:LONGEST_NAME]
        runs = host.router.receive(leg, self.name)
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
