"""Where one endpoint is: the addresses that it writes, and those that are its own."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import attrs

from voxpy.channels.sip.settings import Proxy
from voxpy.sockets.listening import ANYWHERE, own_address
from voxpy.wire.sip.agent import Flow
from voxpy.wire.sip.message import Request
from voxpy.wire.sip.values import Uri

PROOF = "Voxpy-Proof"
"""A header of calls that we make to ourselves."""
SOURCE = "Voxpy-Source"
"""A header of the proxy before us: the address it got a request from."""


class Place:
    """``host`` is where we listen, ``address`` how others reach us if that is another one.

    ``key`` gives a secret that all processes of all our hosts know. ``proxy`` is what everybody
    outside sees of us, if there is one.
    """

    def __init__(
        self,
        host: str,
        address: str,
        port: int,
        tls_port: int,
        key: Callable[[], bytes],
        proxy: Proxy | None = None,
    ) -> None:
        self.address = address or own_address(host)
        self._proxy = proxy
        self._host = host
        self._ours = {self.address, host, address} - {""}
        self._port, self._tls_port = port, tls_port
        self._key = key

    @property
    def domain(self) -> str:
        """What stands behind the @ of our users."""
        return self._written if self._proxy is None else self._proxy.uri.host

    @property
    def _written(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    def sent_by(self, transport: str) -> str:
        """Return what our Via says."""
        port = self._tls_port if transport == "TLS" else self._port
        return f"{self._written}:{port}"

    @property
    def way_out(self) -> Uri | None:
        """By whom a call to somewhere outside goes; None for straight there."""
        return None if self._proxy is None else self._proxy.uri

    def registered_as(self, user: str, transport: str) -> str:
        """Return where a carrier is to send the calls to us."""
        if self._proxy is not None:
            return str(attrs.evolve(self._proxy.uri, user=user))
        return self.contact(transport).replace("sip:voxpy@", f"sip:{user}@", 1)

    def source(self, request: Request, flow: Flow) -> str:
        """Return the address that a request comes from, as the proxy saw it if one is before us."""
        if self._proxy is not None and self._proxy.is_from(flow.host):
            return request.headers.get(SOURCE) or flow.host
        return flow.host

    def contact(self, transport: str) -> str:
        """Return where we are reached, as our Contact says it."""
        kind = "" if transport.upper() == "UDP" else f";transport={transport.lower()}"
        return f"sip:voxpy@{self.sent_by(transport.upper())}{kind}"

    def is_here(self, uri: Uri) -> bool:
        """Return whether an address is one of ours."""
        if self._proxy is not None and uri.is_sip and uri.host == self._proxy.uri.host:
            return (uri.port or 5060) == (self._proxy.uri.port or 5060)
        ports = (None, self._port, self._tls_port)
        return uri.is_sip and uri.host.strip("[]") in self._ours and uri.port in ports

    @property
    def flow(self) -> Flow:
        """The way to ourselves."""
        return Flow("UDP", "127.0.0.1" if self._host in ANYWHERE else self._host, self._port)

    def proof(self, word: str) -> str:
        """Return what shows that a call to ourselves is ours; ``word`` was never used before."""
        return f"{word}.{self.signed(f'ours {word}')}"

    def is_ours(self, request: Request) -> bool:
        """Return whether a scenario of ours sent a request: to a user here, or by a transfer."""
        word, _, proof = (request.headers.get(PROOF) or "").rpartition(".")
        ours = self.signed(f"ours {word}")
        return hmac.compare_digest(ours.encode(), proof.encode("utf-8", "replace"))

    def signed(self, text: str) -> str:
        """Return what only our hosts can make of a text."""
        return hmac.digest(self._key(), text.encode("utf-8", "replace"), "sha256").hex()
