"""``users:`` and ``trunks:`` of ``routing.yaml``: who can be called by name, and who carries calls.

::

    users:
      anna: ANNA_PASSWORD          # the secret that has her password
    trunks:
      carrier:
        sip: sip.example.com;transport=tls
        numbers: '\\+1[0-9]{10}'    # what it carries, as a whole; without it everything
        user: "4711"
        secret: CARRIER_PASSWORD
        callerid: "+15550100"      # in place of the scenario's
        register: true             # so that it sends calls here
        from: [198.51.100.0/24]    # whose calls are the carrier's
        srtp: require              # in place of the channel's; codecs: too
      whatsapp: {preset: whatsapp, user: "15550100", secret: WHATSAPP_SIP_PASSWORD}

A call to a number tries the trunks whose ``numbers`` match, from the top; the next one when one
fails for a reason of its own (5xx, 408).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from voxpy.channels.outgoing import Trunk, read_most_calls, read_numbers
from voxpy.channels.sip.codecs import CODECS, Codec, named_codecs
from voxpy.channels.sip.negotiation import OFF, REQUIRE, SRTP
from voxpy.engine.ports import Secrets
from voxpy.engine.userfile import Given
from voxpy.errors import EngineMissing, RemoteProtocolError, install_command
from voxpy.wire.rtp import srtp
from voxpy.wire.sip.digest import ALGORITHMS
from voxpy.wire.sip.values import Uri, parse_uri

TRUNK_KEYS = (
    "sip", "preset", "numbers", "user", "secret", "callerid", "register", "from", "srtp", "codecs",
    "most_calls",
)  # fmt: skip
USER_KEYS = ("secret", "srtp")
_RANGE = re.compile(r"([0-9]{1,5})\s*-\s*([0-9]{1,5})")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class User:
    """Somebody with a phone that registers here. ``secret`` names the secret with the password.

    ``srtp`` None: as the channel says.
    """

    name: str
    secret: str
    srtp: str | None = None


class Passwords(Mapping[str, str]):
    """The passwords of users, as the secrets have them now."""

    def __init__(self, users: Mapping[str, User], secrets: Secrets) -> None:
        self._users = users
        self._secrets = secrets

    def __getitem__(self, name: str) -> str:
        password = self._secrets.get(self._users[name].secret)
        if password is None:
            raise KeyError(name)
        return password

    def __iter__(self) -> Iterator[str]:
        return iter(self._users)

    def __len__(self) -> int:
        return len(self._users)


@attrs.frozen(kw_only=True)
class Proxy:
    """A SIP proxy in front of this host: calls come by it, and those to the outside go by it.

    ``networks`` are where its messages come from; what it says of who has sent it one is believed.
    """

    uri: Uri
    networks: tuple[Network, ...]

    def is_from(self, address: str) -> bool:
        """Return whether a message from this address is one of the proxy's."""
        return _is_in(self.networks, address)


@attrs.frozen(kw_only=True)
class SipTrunk(Trunk):
    """A trunk that speaks SIP. ``uri`` is its host."""

    way: str = "sip"
    uri: Uri
    user: str = ""
    secret: str = ""
    register: bool = False
    networks: tuple[Network, ...] = ()
    srtp: str | None = None
    codecs: tuple[Codec, ...] | None = None

    def is_from(self, address: str) -> bool:
        """Return whether a call from this address is the carrier's."""
        return _is_in(self.networks, address)


def _is_in(networks: tuple[Network, ...], address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def read_users(given: Given) -> Mapping[str, User]:
    """Read the section: a secret's name behind each user, or more. Raises ConfigError."""
    return {
        str(name): _user(str(name), below.named(f"user {str(name)!r}"))
        for name, below in given.mapping().items()
    }


def _user(name: str, given: Given) -> User:
    if not isinstance(given.value, Mapping):
        return User(name, given.words())
    fields = given.fields(USER_KEYS)
    return User(name, fields.need("secret").words(), fields.get("srtp", read_srtp, None))


def read_srtp(given: Given) -> str:
    """Read ``off``, ``offer`` or ``require``. Raises ConfigError."""
    if given.value is False:  # what YAML makes of a bare off
        return OFF
    said = given.one_of(SRTP)
    if said == REQUIRE and not srtp.is_installed():
        raise given.error(
            f"{given.label}: require needs the library pylibsrtp; "
            f"install it: {install_command('srtp')}"
        )
    return said


def read_codecs(given: Given) -> tuple[Codec, ...]:
    """Read names of codecs, the best first. Raises ConfigError."""
    found: list[Codec] = []
    for item in given.items():
        try:
            found += named_codecs([item.one_of([name.lower() for name in CODECS])])
        except EngineMissing as error:
            raise item.error(f"{item.label}: {error}") from error
    if not found:
        raise given.expected("a list of codecs, as in [g722, pcmu, pcma]")
    return tuple(dict.fromkeys(found))


def read_sip_trunk(name: str, given: Given) -> SipTrunk:
    """Read one of the section. Raises ConfigError."""
    fields = given.fields(TRUNK_KEYS)
    preset = fields.get("preset", lambda below: below.one_of(("whatsapp",)), None)
    usual = PRESETS.get(preset)
    trunk = SipTrunk(
        name=name,
        kind="pstn" if usual is None else usual.kind,
        uri=read_uri(fields.need("sip"))
        if usual is None
        else fields.get("sip", read_uri, usual.uri),
        numbers=read_numbers(fields),
        user=fields.get("user", Given.words, ""),
        secret=fields.get("secret", Given.words, ""),
        callerid=fields.get("callerid", Given.words, ""),
        most_calls=read_most_calls(fields),
        register=fields.get("register", Given.flag, False),
        networks=fields.get("from", read_networks, ()),
        srtp=fields.get("srtp", read_srtp, None if usual is None else usual.srtp),
        codecs=fields.get("codecs", read_codecs, None),
    )
    if usual is not None and not (trunk.user and trunk.secret):
        raise given.error(f"{given.label}: preset {preset} needs user: and secret:")
    if trunk.srtp == REQUIRE and not srtp.is_installed():
        raise given.error(
            f"{given.label}: its SRTP needs the library pylibsrtp; "
            f"install it: {install_command('srtp')}"
        )
    return trunk


PRESETS: Mapping[str | None, SipTrunk] = {
    "whatsapp": SipTrunk(
        name="whatsapp",
        kind="whatsapp",
        uri=parse_uri("sip:wa.meta.vc;transport=tls"),
        srtp=REQUIRE,
    ),
}
"""WhatsApp Business Calling: SIP over TLS with SRTP, the business number as user.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api/calling/sip
"""


def read_uri(given: Given) -> Uri:
    """Read a host, with or without ``sip:``. Raises ConfigError."""
    text = given.words().strip()
    try:
        found = parse_uri(text if text.startswith(("sip:", "sips:")) else f"sip:{text}")
    except RemoteProtocolError as error:
        raise given.expected(f"a host, as in sip.example.com;transport=tls ({error})") from error
    return found


def read_networks(given: Given) -> tuple[Network, ...]:
    """Read a list of addresses and networks. Raises ConfigError."""
    found = []
    for item in given.items():
        try:
            found.append(ipaddress.ip_network(str(item.value)))
        except ValueError as error:
            raise item.expected(f"a network, as in 198.51.100.0/24 ({error})") from error
    return tuple(found)


def read_algorithms(given: Given) -> tuple[str, ...]:
    """Read how passwords are proven. Raises ConfigError."""
    known = {name.upper(): name for name in ALGORITHMS}
    found = tuple(known[item.one_of(tuple(known))] for item in given.items())
    if not found:
        raise given.expected("a list, as in [SHA-256, MD5]")
    return found


def read_ports(given: Given) -> tuple[int, int]:
    """Read from which port to which. Raises ConfigError."""
    found = _RANGE.fullmatch(given.words().strip())
    if found is None or not 1024 <= int(found[1]) < int(found[2]) <= 65535:
        raise given.expected("two ports from 1024 to 65535, as in 20000-20999")
    return int(found[1]), int(found[2])


def read_path(given: Given) -> Path:
    """Read the name of a file, which starts at the folder of routing.yaml. Raises ConfigError."""
    return Path(given.document.file).parent / given.words()


def is_local(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
