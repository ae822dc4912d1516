"""Who asks: the token of whoever uses the API or a page, and what that token may see.

Without a token only somebody on this computer is let in, and that is not the same as a connection
from 127.0.0.1: a proxy or a tunnel on this computer has that address too, and so has the browser of
somebody who reads a stranger's page. So no token is needed only if

- the connection comes from this computer,
- ``Host`` is a name of this computer: a stranger's name that resolves to 127.0.0.1 (DNS rebinding)
  is a stranger's page,
- nothing says that the request was forwarded,
- and the host was not told of a public address.

Whatever a browser sends for a page of another origin (``Origin``, ``Sec-Fetch-Site``) is refused,
token or not: a cookie comes along with requests that its owner never made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

import attrs

from voxpy.channels.providers.http import same
from voxpy.engine.ports import Secrets
from voxpy.project.api import ApiToken

LOCAL = "unix"
"""The address of whoever came by a socket in the file system: its permissions let him in."""
COOKIE = "voxpy_token"
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
UNAUTHORIZED, FORBIDDEN = 401, 403


@attrs.frozen(kw_only=True)
class Identity:
    """Who asks, and of which rules he may see and start sessions; None: of all."""

    name: str
    rules: frozenset[str] | None = None

    def sees(self, rule_name: str) -> bool:
        """Whether sessions of a rule are there for this one at all."""
        return self.rules is None or rule_name in self.rules


OWNER = Identity(name="this computer")


@attrs.frozen
class Refused:
    """Nobody who may ask; ``status`` is HTTP's."""

    status: int
    problem: str


@attrs.frozen(kw_only=True)
class Guard:
    """Knows the tokens. ``public_url`` is how networks reach the host, if that is known."""

    secrets: Secrets
    tokens: Callable[[], Sequence[ApiToken]]
    public_url: str = ""

    def who(self, headers: Mapping[str, str], address: str) -> Identity | Refused:
        """Return who asks. Names of ``headers`` are in lower case; ``address`` is the client's."""
        if problem := self._foreign(headers):
            return Refused(FORBIDDEN, problem)
        given = bearer(headers) or _cookie(headers)
        if given:
            return self.of_token(given) or Refused(UNAUTHORIZED, "no such token")
        if not self.public_url and _is_here(headers, address):
            return OWNER
        names = [token.secret for token in self.tokens()]
        if any(map(self.secrets.get, names)):
            return Refused(UNAUTHORIZED, "a token is needed: Authorization: Bearer ...")
        none = f"a token is needed, and this host has none: {names[0]} in its secrets"
        return Refused(UNAUTHORIZED, none)

    def of_token(self, given: str) -> Identity | None:
        """Return whose token this is."""
        found = None
        for token in self.tokens():  # all of them: the time tells nothing
            wanted = self.secrets.get(token.secret)
            if wanted and same(given, wanted):
                found = Identity(name=token.name, rules=token.rules)
        return found

    def _foreign(self, headers: Mapping[str, str]) -> str:
        """Say what shows that a page of another origin asks."""
        origin = headers.get("origin", "")
        own = {headers.get("host", ""), urlsplit(self.public_url).netloc} - {""}
        if origin and _place(origin) not in own:
            return f"a page of {origin[:100]!r} may not ask this host"
        site, mode = headers.get("sec-fetch-site", ""), headers.get("sec-fetch-mode", "")
        if site in ("cross-site", "same-site") and mode != "navigate":
            return "a page of another site may not ask this host"
        return ""


def bearer(headers: Mapping[str, str]) -> str:
    """Return the token of ``Authorization: Bearer``, or nothing."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Mapping[str, str]) -> str:
    """Return the token that a page was given. http.cookies takes half a second for 14 kB of it."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.partition("=")
        if name.strip() == COOKIE:
            return unquote(value.strip())
    return ""


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _is_here(headers: Mapping[str, str], address: str) -> bool:
    if any(name in headers for name in FORWARDED):
        return False
    return (address == LOCAL or _is_loopback(address)) and _names_here(headers.get("host", ""))


def _names_here(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
