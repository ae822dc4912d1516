"""Digest authentication in both roles (RFC 8760 over RFC 7616 and RFC 3261 section 22).

MD5, SHA-256 and their ``-sess`` forms, ``qop=auth`` or none. As a client we take the strongest that
is asked for. As a server we ask for MD5 unless told otherwise: phones in use (baresip 1.0 of Debian
12 is one) give up at a challenge they do not know, wherever it stands beside one they do.

A nonce carries its own time and proof, so that a registrar keeps no table of them: it is good for
``NONCE_S``, and each count of a nonce once, in the window of the last counts that were seen.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from voxpy.errors import RemoteProtocolError
from voxpy.wire.sip.values import TOKEN, quoted

NONCE_S = 300.0
"""How long a nonce is good. A stale one is answered with ``stale=true`` and a fresh one."""
APART_S = 30.0
"""How far the clocks of two hosts may be apart."""
MOST_NONCES = 10_000
"""Nonces of which the counts are remembered; the oldest is forgotten, and is stale from then on."""

ALGORITHMS = {"md5": hashlib.md5, "sha-256": hashlib.sha256}
PREFERRED = ("sha-256", "md5")

_PARAM = re.compile(rf'({TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
_BETWEEN = re.compile(r"[ \t]*(?:,[ \t]*|$)")
MOST_PARAMS = 32


@attrs.frozen(kw_only=True)
class Challenge:
    """``WWW-Authenticate`` or ``Proxy-Authenticate``: what a server asks for."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    opaque: str | None = None
    qop: tuple[str, ...] = ()
    stale: bool = False

    def __str__(self) -> str:
        parts = [f"realm={quoted(self.realm)}", f"nonce={quoted(self.nonce)}"]
        parts.append(f"algorithm={self.algorithm}")
        if self.opaque is not None:
            parts.append(f"opaque={quoted(self.opaque)}")
        if self.qop:
            parts.append(f"qop={quoted(','.join(self.qop))}")
        if self.stale:
            parts.append("stale=true")
        return f"Digest {', '.join(parts)}"


@attrs.frozen(kw_only=True)
class Credentials:
    """``Authorization`` or ``Proxy-Authorization``: what a client proves itself with."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    opaque: str | None = None
    qop: str | None = None
    cnonce: str | None = None
    nc: str | None = None

    def __str__(self) -> str:
        parts = [
            f"username={quoted(self.username)}",
            f"realm={quoted(self.realm)}",
            f"nonce={quoted(self.nonce)}",
            f"uri={quoted(self.uri)}",
            f"response={quoted(self.response)}",
            f"algorithm={self.algorithm}",
        ]
        if self.opaque is not None:
            parts.append(f"opaque={quoted(self.opaque)}")
        if self.qop is not None:
            parts += [f"qop={self.qop}", f"cnonce={quoted(self.cnonce or '')}", f"nc={self.nc}"]
        return f"Digest {', '.join(parts)}"


def parse_challenge(text: str) -> Challenge:
    """Read a challenge. Raises RemoteProtocolError, also for another scheme than Digest."""
    found = _params(text)
    if "realm" not in found or "nonce" not in found:
        raise RemoteProtocolError("a Digest challenge has a realm and a nonce")
    return Challenge(
        realm=found["realm"],
        nonce=found["nonce"],
        algorithm=found.get("algorithm", "MD5"),
        opaque=found.get("opaque"),
        qop=tuple(q.strip().lower() for q in found.get("qop", "").split(",") if q.strip()),
        stale=found.get("stale", "").lower() == "true",
    )


def parse_credentials(text: str) -> Credentials:
    """Read credentials. Raises RemoteProtocolError, also for another scheme than Digest."""
    found = _params(text)
    needed = ("username", "realm", "nonce", "uri", "response")
    if missing := [name for name in needed if name not in found]:
        raise RemoteProtocolError(f"Digest credentials lack {', '.join(missing)}")
    return Credentials(
        **{name: found[name] for name in needed},
        algorithm=found.get("algorithm", "MD5"),
        opaque=found.get("opaque"),
        qop=found["qop"].lower() if "qop" in found else None,
        cnonce=found.get("cnonce"),
        nc=found.get("nc"),
    )


def best_challenge(texts: Iterable[str]) -> Challenge | None:
    """Return the strongest of several challenges that we can answer, None if there is none."""
    able: list[tuple[int, Challenge]] = []
    for text in texts:
        try:
            challenge = parse_challenge(text)
        except RemoteProtocolError:
            continue
        name = challenge.algorithm.lower().removesuffix("-sess")
        if name in ALGORITHMS and (not challenge.qop or "auth" in challenge.qop):
            able.append((PREFERRED.index(name), challenge))
    return min(able, key=lambda found: found[0], default=(0, None))[1]


def answer(
    challenge: Challenge,
    *,
    method: str,
    uri: str,
    username: str,
    password: str,
    cnonce: str,
    count: int = 1,
) -> Credentials:
    """Return the credentials for a request. ``count`` goes up with each use of one nonce."""
    credentials = Credentials(
        username=username,
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        response="",
        algorithm=challenge.algorithm,
        opaque=challenge.opaque,
        qop="auth" if "auth" in challenge.qop else None,
        cnonce=cnonce,
        nc=f"{count:08x}",
    )
    name = challenge.algorithm.lower().removesuffix("-sess")
    ha1 = hashed_password(username, challenge.realm, password, name)
    return attrs.evolve(credentials, response=_response(credentials, ha1, method))


def hashed_password(username: str, realm: str, password: str, algorithm: str = "md5") -> str:
    """Return H(A1), which can be kept in a password's place (``md5`` or ``sha-256``)."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


@attrs.frozen
class Verdict:
    """What a server makes of credentials. ``stale``: right, but for a nonce that is too old."""

    good: bool
    stale: bool = False
    username: str = ""


class Verifier:
    """The server's role. ``key`` gives what signs the nonces, the same for all who may be asked.

    ``algorithms`` are what is asked for, in this order, and what is taken.
    """

    def __init__(
        self, realm: str, key: Callable[[], bytes], *, algorithms: Sequence[str] = PREFERRED
    ) -> None:
        self.realm = realm
        self._algorithms = algorithms
        self._key = key
        self._made = 0  # two phones may ask in one millisecond
        self._seen: dict[str, int] = {}  # nonce: the highest count that was used
        self._forgotten_s = -1.0  # nonces as old as this are no longer in the table

    def challenges(self, now_s: float, *, stale: bool = False) -> list[Challenge]:
        """Return what to ask for; ``now_s`` is of a clock that all who may be asked have."""
        self._made += 1
        stamp = f"{round(now_s * 1000):x}-{self._made:x}"
        nonce = f"{stamp}.{self._signed(stamp)}"
        return [
            Challenge(
                realm=self.realm, nonce=nonce, algorithm=name.upper(), qop=("auth",), stale=stale
            )
            for name in self._algorithms
        ]

    def check(
        self,
        credentials: Credentials,
        *,
        method: str,
        passwords: Mapping[str, str],
        now_s: float,
    ) -> Verdict:
        """Judge credentials. A user who is not known costs as much as one who is."""
        name = credentials.algorithm.lower().removesuffix("-sess")
        if name not in self._algorithms or credentials.realm != self.realm:
            return Verdict(good=False)
        if credentials.qop not in (None, "auth"):
            return Verdict(good=False)
        password = passwords.get(credentials.username)
        ha1 = hashed_password(credentials.username, self.realm, password or "", name)
        right = _response(credentials, ha1, method).encode()
        given = credentials.response.lower().encode("utf-8", "replace")
        if not hmac.compare_digest(right, given) or password is None:
            return Verdict(good=False)
        fresh = self._is_fresh(credentials, now_s)
        return Verdict(good=fresh, stale=not fresh, username=credentials.username)

    def _is_fresh(self, credentials: Credentials, now_s: float) -> bool:
        stamp, _, proof = credentials.nonce.partition(".")
        if not hmac.compare_digest(self._signed(stamp).encode(), proof.encode("utf-8", "replace")):
            return False
        made_s = _made_s(stamp)
        if not -APART_S <= now_s - made_s <= NONCE_S or made_s <= self._forgotten_s:
            return False
        if credentials.qop is None:
            return True
        try:
            count = int(credentials.nc or "", 16)
        except ValueError:
            return False
        if count <= self._seen.get(credentials.nonce, 0):
            return False
        self._seen.pop(credentials.nonce, None)
        self._seen[credentials.nonce] = count
        if len(self._seen) > MOST_NONCES:
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            made_s = _made_s(oldest)
            self._forgotten_s = max(self._forgotten_s, made_s)
        return True

    def _signed(self, stamp: str) -> str:
        return hmac.new(self._key(), stamp.encode(), "sha256").hexdigest()[:32]


def _made_s(nonce: str) -> float:
    """Return when a nonce was made; our own signature is on it, so there is a number."""
    return int(nonce.partition("-")[0], 16) / 1000


def _response(c: Credentials, ha1: str, method: str) -> str:
    name = c.algorithm.lower().removesuffix("-sess")
    if name != c.algorithm.lower():
        ha1 = _hash(name, f"{ha1}:{c.nonce}:{c.cnonce or ''}")
    ha2 = _hash(name, f"{method}:{c.uri}")
    if c.qop is None:
        return _hash(name, f"{ha1}:{c.nonce}:{ha2}")
    return _hash(name, f"{ha1}:{c.nonce}:{c.nc or ''}:{c.cnonce or ''}:{c.qop}:{ha2}")


def _hash(algorithm: str, text: str) -> str:
    kind = ALGORITHMS[algorithm]
    return kind(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _params(text: str) -> dict[str, str]:
    """Read ``Digest name=value, name="value", ...``; commas inside quotes part nothing."""
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest":
        raise RemoteProtocolError(f"only Digest authentication is spoken here, not {scheme[:20]!r}")
    found: dict[str, str] = {}
    rest, at = rest.strip(), 0
    while at < len(rest):
        param = _PARAM.match(rest, at)
        between = None if param is None else _BETWEEN.match(rest, param.end())
        if param is None or between is None or len(found) >= MOST_PARAMS:
            raise RemoteProtocolError(f"Digest parameters are wrong at {rest[at : at + 40]!r}")
        value = param[3] if param[2] is None else re.sub(r"\\(.)", r"\1", param[2])
        found.setdefault(param[1].lower(), value)
        at = between.end()
    return found
