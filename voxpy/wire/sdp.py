"""SDP for calls (RFC 8866), and the offer/answer model for one stream of audio (RFC 3264). Pure.

Only what a telephone call says is read; the rest of a description is passed over, as section 5 of
RFC 8866 asks. Streams of other kinds than audio are refused with port 0, in their place.

An answer takes the first format of the offer that we speak, with ``telephone-event`` at the same
clock where it was offered, so that both sides send one thing and may switch to no other. Hold is a
direction (``sendonly``, ``inactive``) or, from old phones, the address 0.0.0.0.

Keys of SRTP stand in the description (SDES, RFC 4568). A stream that wants them says RTP/SAVP; one
that has them and says RTP/AVP would take either (RFC 8643).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import attrs

from voxpy.errors import RemoteProtocolError

MOST_LINES = 512
MOST_STREAMS = 16
MOST_FORMATS = 64
MOST_PACKET_MS = 60

Direction = str
"""``sendrecv``, ``sendonly``, ``recvonly`` or ``inactive``, seen from whoever wrote it."""
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
MIRRORED = {"sendonly": "recvonly", "recvonly": "sendonly"}

STATIC = {0: ("PCMU", 8000), 3: ("GSM", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000)}
"""RFC 3551 table 4. G.722's clock is written as 8000 although it samples at 16000."""

_RTPMAP = re.compile(r"([0-9]{1,3}) +([^/ ]+)/([0-9]{1,6})(?:/([0-9]{1,2}))?")
_FMTP = re.compile(r"([0-9]{1,3}) +(.*)")
_MEDIA = re.compile(r"(\S+) +([0-9]{1,5})(?:/[0-9]{1,3})? +(\S+) +(.+)")
_ADDRESS = re.compile(r"IN +IP([46]) +([0-9A-Za-z.:\-]{1,255})(?:/.*)?")
_CRYPTO = re.compile(r"([0-9]{1,9}) +(\S+) +inline:([A-Za-z0-9+/=]{1,128})(?:\|(\S+))?(?: +(.*))?")
_KEY = re.compile(r"(inline:)[^\s|]+")


@attrs.frozen(kw_only=True)
class MediaFormat:
    """A payload type and what it is. ``name`` is in upper case, ``clock_hz`` the RTP clock."""

    payload_type: int
    name: str
    clock_hz: int
    channels: int = 1
    fmtp: str = ""

    def is_same(self, other: MediaFormat) -> bool:
        """Return whether both mean the same, whatever number each gives it."""
        if (self.name, self.clock_hz) != (other.name, other.clock_hz):
            return False
        # "opus/48000/2" says nothing of what is spoken (RFC 7587 section 7), and some forget it
        return self.channels == other.channels or self.name == "OPUS"


@attrs.frozen(kw_only=True)
class Crypto:
    """SRTP keys in the description (RFC 4568). ``key`` is base64 of master key and salt."""

    tag: int
    suite: str
    key: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Stream:
    """One ``m=`` section. Port 0 means it is not wanted."""

    kind: str = "audio"
    port: int = 0
    profile: str = "RTP/AVP"
    formats: tuple[MediaFormat, ...] = ()
    address: str = ""
    direction: Direction = "sendrecv"
    ptime_ms: int | None = None
    maxptime_ms: int | None = None
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    cryptos: tuple[Crypto, ...] = ()
    raw_formats: str = ""

    @property
    def is_secure(self) -> bool:
        return "SAVP" in self.profile

    @property
    def holds(self) -> bool:
        """Whether whoever wrote this does not listen."""
        return self.direction in ("sendonly", "inactive") or self.address == "0.0.0.0"  # noqa: S104

    @property
    def packet_ms(self) -> int:
        """How much audio whoever wrote this wants in a packet: a multiple of 10, at most 60."""
        wanted_ms = min(self.ptime_ms or 20, self.maxptime_ms or MOST_PACKET_MS, MOST_PACKET_MS)
        return max(10, wanted_ms // 10 * 10)

    def format_named(self, name: str) -> MediaFormat | None:
        """Return the first format of a name, None if there is none."""
        return next((f for f in self.formats if f.name == name.upper()), None)


@attrs.frozen(kw_only=True)
class Description:
    """A whole description. ``version`` goes up by one with every change (RFC 3264 section 8)."""

    address: str
    session_id: int = 0
    version: int = 0
    user: str = "-"
    streams: tuple[Stream, ...] = ()

    @property
    def audio(self) -> Stream | None:
        """The first stream of audio that is wanted."""
        return next((s for s in self.streams if s.kind == "audio" and s.port), None)

    def to_bytes(self) -> bytes:
        """Return it as it goes into a message."""
        family = 6 if ":" in self.address else 4
        lines = [
            "v=0",
            f"o={self.user} {self.session_id} {self.version} IN IP{family} {self.address}",
            "s=-",
            f"c=IN IP{family} {self.address}",
            "t=0 0",
        ]
        for stream in self.streams:
            lines += _stream_lines(stream)
        return ("\r\n".join(lines) + "\r\n").encode()


def parse_sdp(data: bytes) -> Description:
    """Read a description. Raises RemoteProtocolError.

    Attributes that are wrong are passed over; a media or an address line that is wrong is an error,
    because audio would go to the wrong place.
    """
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    pairs = [(line[0], line[2:].strip()) for line in lines[:MOST_LINES] if line[1:2] == "="]
    if not pairs or pairs[0] != ("v", "0"):
        raise RemoteProtocolError("a session description begins with v=0")
    heads = [n for n, (kind, _) in enumerate(pairs) if kind == "m"]
    if len(heads) > MOST_STREAMS:
        raise RemoteProtocolError(f"a session description of more than {MOST_STREAMS} streams")
    general = pairs[: heads[0] if heads else len(pairs)]
    origin = next((text for kind, text in general if kind == "o"), "").split()
    address = _address(general, "")
    direction = _direction(general, "sendrecv")
    streams = [
        _stream(pairs[begin:end], address, direction)
        for begin, end in zip(heads, [*heads[1:], len(pairs)], strict=False)
    ]
    return Description(
        address=address,
        user=origin[0] if origin else "-",
        session_id=_number(origin[1:2]),
        version=_number(origin[2:3]),
        streams=tuple(streams),
    )


def answer(
    offer: Description,
    *,
    address: str,
    port: int,
    formats: Sequence[MediaFormat],
    session_id: int,
    version: int,
    direction: Direction = "sendrecv",
    cryptos: Sequence[Crypto] = (),
    must_be_secure: bool = False,
) -> Description | None:
    """Answer an offer (RFC 3264 section 6); None if nothing in it can be had: a 488.

    ``formats`` is what we speak, ``telephone-event`` left out: it comes with what is chosen.
    ``direction`` is what we would like; an offer that holds is answered with its mirror image.
    ``cryptos`` are a key of ours for each suite we speak; which, the order of the offer decides.
    """
    streams: list[Stream] = []
    taken = False
    for offered in offer.streams:
        crypto = _agreed_crypto(offered, cryptos)
        secured = crypto is not None or not (offered.is_secure or must_be_secure)
        wanted = not taken and _is_wanted(offered) and secured
        chosen = _chosen(offered, formats) if wanted else None
        if chosen is None:
            streams.append(attrs.evolve(offered, port=0, formats=offered.formats[:1], cryptos=()))
            continue
        taken = True
        streams.append(
            Stream(
                port=port,
                profile=offered.profile,
                formats=chosen,
                address=address,
                direction=_agreed(offered, direction),
                ptime_ms=offered.packet_ms,
                rtcp_mux=offered.rtcp_mux,
                cryptos=(crypto,) if crypto is not None else (),
            )
        )
    if not taken:
        return None
    return Description(
        address=address, session_id=session_id, version=version, streams=tuple(streams)
    )


def _is_wanted(offered: Stream) -> bool:
    if offered.kind != "audio" or not offered.port:
        return False
    return offered.profile.startswith("RTP/")  # UDP/TLS/RTP/SAVP has its keys from DTLS


def _chosen(offered: Stream, ours: Sequence[MediaFormat]) -> tuple[MediaFormat, ...] | None:
    for theirs in offered.formats:
        own = next((own for own in ours if theirs.is_same(own)), None)
        if own is not None:
            digits = [f for f in offered.formats if f.name == "TELEPHONE-EVENT"]
            digits.sort(key=lambda f: f.clock_hz != theirs.clock_hz)  # theirs at 8000 will do too
            return (attrs.evolve(theirs, fmtp=own.fmtp), *digits[:1])
    return None


def _agreed(offered: Stream, wanted: Direction) -> Direction:
    theirs = "sendonly" if offered.holds and offered.direction == "sendrecv" else offered.direction
    able = {"sendrecv": {"send", "recv"}, "sendonly": {"send"}, "recvonly": {"recv"}}
    mirrored = able.get(MIRRORED.get(theirs, theirs), set())
    both = mirrored & able.get(wanted, set())
    return next((d for d in DIRECTIONS if able.get(d, set()) == both), "inactive")


def _agreed_crypto(offered: Stream, ours: Sequence[Crypto]) -> Crypto | None:
    for theirs in offered.cryptos:
        for crypto in ours:
            if crypto.suite == theirs.suite:
                return attrs.evolve(crypto, tag=theirs.tag)
    return None


def _stream(pairs: Sequence[tuple[str, str]], address: str, direction: Direction) -> Stream:
    found = _MEDIA.fullmatch(pairs[0][1])
    if found is None or int(found[2]) > 65535:
        raise RemoteProtocolError(f"this is no media line: {pairs[0][1][:80]!r}")
    attributes = [text.partition(":")[::2] for kind, text in pairs if kind == "a"]
    rtcp = _first(attributes, "rtcp").split()
    return Stream(
        kind=found[1].lower(),
        port=int(found[2]),
        profile=found[3].upper(),
        formats=_formats(found[4].split(), attributes) if "RTP/" in found[3].upper() else (),
        address=_address(pairs, address),
        direction=_direction(pairs, direction),
        ptime_ms=_ptime(_first(attributes, "ptime")),
        maxptime_ms=_ptime(_first(attributes, "maxptime")),
        rtcp_port=_number(rtcp[:1]) or None,
        rtcp_mux=any(name == "rtcp-mux" for name, _ in attributes),
        cryptos=tuple(_cryptos(attributes)),
        raw_formats=found[4],
    )


def _formats(
    numbers: Sequence[str], attributes: Sequence[tuple[str, str]]
) -> tuple[MediaFormat, ...]:
    maps = {f[1]: f for n, t in attributes if n == "rtpmap" and (f := _RTPMAP.fullmatch(t))}
    fmtps = {f[1]: f[2] for n, t in attributes if n == "fmtp" and (f := _FMTP.fullmatch(t))}
    formats = []
    for number in numbers[:MOST_FORMATS]:
        if not number.isascii() or not number.isdigit() or int(number) > 127:
            continue
        fmtp = fmtps.get(number, "")
        if (given := maps.get(number)) is not None:
            name, clock_hz, channels = given[2].upper(), int(given[3]), int(given[4] or 1)
        elif int(number) in STATIC:
            (name, clock_hz), channels = STATIC[int(number)], 1
        else:
            continue
        formats.append(
            MediaFormat(
                payload_type=int(number),
                name=name,
                clock_hz=clock_hz,
                channels=channels,
                fmtp=fmtp,
            )
        )
    return tuple(formats)


def _cryptos(attributes: Iterable[tuple[str, str]]) -> Iterable[Crypto]:
    """Yield the keys that can be used: one each, without MKI (6.1), nothing that must be known."""
    for name, text in attributes:
        found = _CRYPTO.fullmatch(text) if name == "crypto" else None
        if found is None:
            continue
        several = ":" in (found[4] or "") or ";" in (found[4] or "")
        conditions = (found[5] or "").upper().split()
        if not several and all(c.startswith(("WSH=", "-")) for c in conditions):
            yield Crypto(tag=int(found[1]), suite=found[2].upper(), key=found[3])


def without_keys(text: str) -> str:
    """Return a description that may be shown to people and written to files."""
    return _KEY.sub(r"\1***", text)


def _address(pairs: Iterable[tuple[str, str]], otherwise: str) -> str:
    for kind, text in pairs:
        if kind == "c":
            found = _ADDRESS.fullmatch(text)
            if found is None:
                raise RemoteProtocolError(f"this is no address: {text[:80]!r}")
            return found[2]
    return otherwise


def _direction(pairs: Iterable[tuple[str, str]], otherwise: Direction) -> Direction:
    return next((t for kind, t in pairs if kind == "a" and t in DIRECTIONS), otherwise)


def _first(attributes: Iterable[tuple[str, str]], name: str) -> str:
    return next((text for found, text in attributes if found == name), "")


def _ptime(text: str) -> int | None:
    whole = text.partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and 0 < int(whole) <= 200 else None


def _number(texts: Sequence[str]) -> int:
    text = texts[0] if texts else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0


def _stream_lines(stream: Stream) -> Iterable[str]:
    numbers = " ".join(str(f.payload_type) for f in stream.formats) or stream.raw_formats or "0"
    yield f"m={stream.kind} {stream.port} {stream.profile} {numbers}"
    if not stream.port:
        return
    for made in stream.formats:
        channels = f"/{made.channels}" if made.channels > 1 else ""
        name = made.name.lower() if made.name in ("TELEPHONE-EVENT", "OPUS") else made.name
        yield f"a=rtpmap:{made.payload_type} {name}/{made.clock_hz}{channels}"
        if made.fmtp:
            yield f"a=fmtp:{made.payload_type} {made.fmtp}"
    if stream.ptime_ms is not None:
        yield f"a=ptime:{stream.ptime_ms}"
    yield f"a={stream.direction}"
    if stream.rtcp_mux:
        yield "a=rtcp-mux"
    for crypto in stream.cryptos:
        yield f"a=crypto:{crypto.tag} {crypto.suite} inline:{crypto.key}"
