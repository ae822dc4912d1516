"""What both ends have said of the audio of one call: offers, answers, hold, keys (RFC 3264).

``srtp`` is ``off``, ``offer`` or ``require``. With ``offer`` our offers say RTP/AVP with keys, to
be passed over by whoever knows none (RFC 8643), and an offer of either kind is answered; with
``require`` they say RTP/SAVP, and an offer without keys is refused. Keys are made once for each
call, a key of its own for each suite, and are written nowhere but into the description.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Sequence

import attrs

from voxpy.channels.sip.codecs import Codec, named_codec, offered_formats
from voxpy.channels.sip.media import Agreed, RtpMedia
from voxpy.channels.sip.ports import Address
from voxpy.errors import RemoteProtocolError
from voxpy.wire.rtp.srtp import SUITES, KeyPair, is_installed, read_key
from voxpy.wire.sdp import Crypto, Description, MediaFormat, Stream, answer, parse_sdp

OFF, OFFER, REQUIRE = SRTP = ("off", "offer", "require")


@attrs.frozen(kw_only=True)
class Speech:
    """What may be spoken in a call: codecs, the best first, and whether encrypted."""

    codecs: tuple[Codec, ...]
    srtp: str = OFFER

    @property
    def can_encrypt(self) -> bool:
        return self.srtp != OFF and is_installed()


def agreed_codec(offer: bytes, speech: Speech) -> Codec | None:
    """Return the codec an offer would be answered with; our first where there is no offer.

    None if nothing in it can be had. Raises RemoteProtocolError.
    """
    if not offer:
        return speech.codecs[0]
    keys = _new_keys(bytes) if speech.can_encrypt else ()
    found = _answered(parse_sdp(offer), speech.codecs, keys, speech.srtp == REQUIRE)
    audio = found.audio if found is not None else None
    chosen = named_codec(audio.formats) if audio is not None else None
    return chosen[0] if chosen is not None else None


class Negotiation:
    """The descriptions of one call, in both roles; what is agreed goes to ``media`` at once.

    ``new_bytes`` makes keys.
    """

    def __init__(
        self,
        media: RtpMedia,
        speech: Speech,
        *,
        address: str,
        session_id: int,
        new_bytes: Callable[[int], bytes],
    ) -> None:
        self.direction = "sendrecv"
        """What we would like; ``sendonly`` while we hold the other end."""
        self.they_hold = False
        """Whether the other end does not listen."""
        self._media = media
        self._speech = speech
        self._address = address
        self._session_id = session_id
        self._keys = _new_keys(new_bytes) if speech.can_encrypt else ()
        self._version = 0
        self._local: bytes | None = None
        self._ours: Stream | None = None
        self._is_agreed = False

    def offer(self) -> bytes:
        """Return our offer: of what is agreed already, that first."""
        codecs = self._speech.codecs
        if self._is_agreed:
            spoken = self._media.codec
            codecs = (spoken, *(c for c in codecs if c is not spoken))
        stream = Stream(
            port=self._media.port,
            profile="RTP/SAVP" if self._must_be_secure else "RTP/AVP",
            formats=offered_formats(codecs),
            address=self._address,
            direction=self.direction,
            ptime_ms=20,
            cryptos=self._keys,
        )
        return self._said(stream, (stream,))

    def answer(self, offer: bytes) -> bytes | None:
        """Return the answer to an offer, None for none: 488. Raises RemoteProtocolError."""
        theirs = parse_sdp(offer)
        spoken = (self._media.codec,) if self._is_agreed else ()
        for codecs in (spoken, self._speech.codecs):
            found = _answered(
                theirs,
                codecs,
                self._keys,
                self._must_be_secure,
                address=self._address,
                port=self._media.port,
                direction=self.direction,
            )
            if found is not None:
                break
        else:
            return None
        at = next(n for n, s in enumerate(found.streams) if s.port)
        self._agree(theirs.streams[at], found.streams[at])
        return self._said(found.streams[at], found.streams)

    def take(self, answered: bytes) -> None:
        """Take the answer to our offer. Raises RemoteProtocolError if we cannot go on with it."""
        audio = parse_sdp(answered).audio
        if audio is None or self._ours is None:
            raise RemoteProtocolError("the answer has no audio")
        self._agree(audio, self._ours)

    @property
    def _must_be_secure(self) -> bool:
        """What was encrypted stays so, whatever anybody says later."""
        return self._speech.srtp == REQUIRE or self._media.is_secure

    def _said(self, stream: Stream, streams: Sequence[Stream]) -> bytes:
        """Return a description of ours; its version goes up if it is another than before."""
        description = Description(
            address=self._address,
            session_id=self._session_id,
            version=self._version,
            streams=tuple(streams),
        )
        said = description.to_bytes()
        if self._local is not None and said != self._local:
            self._version += 1
            said = attrs.evolve(description, version=self._version).to_bytes()
        self._local, self._ours = said, stream
        return said

    def _agree(self, theirs: Stream, ours: Stream) -> None:
        chosen = named_codec(f for f in theirs.formats if _is_among(f, ours.formats))
        if chosen is None:
            raise RemoteProtocolError("no audio format that both speak")
        codec, spoken = chosen
        keys = self._agreed_keys(theirs, ours)
        if keys is None and (self._must_be_secure or theirs.is_secure):
            raise RemoteProtocolError("no SRTP key that both can use")
        digits = _digits(theirs.formats, codec)
        able_to_send = ours.direction in ("sendrecv", "sendonly")
        able_to_hear = ours.direction in ("sendrecv", "recvonly")
        self.they_hold = theirs.holds
        self._is_agreed = True
        target = _address(theirs, theirs.port)
        rtcp_port = theirs.port if theirs.rtcp_mux else theirs.rtcp_port or theirs.port + 1
        self._media.agree(
            Agreed(
                codec=codec,
                payload_type=spoken.payload_type,
                accepts=frozenset(
                    f.payload_type
                    for f in (*theirs.formats, *ours.formats)
                    if f.is_same(codec.wire)
                ),
                digit_type=digits.payload_type if digits is not None else None,
                digit_hz=digits.clock_hz if digits is not None else codec.wire.clock_hz,
                accepts_digits=frozenset(
                    f.payload_type
                    for f in (*theirs.formats, *ours.formats)
                    if f.name == "TELEPHONE-EVENT"
                ),
                target=target,
                rtcp_target=_address(theirs, rtcp_port),
                rtcp_mux=theirs.rtcp_mux and ours.rtcp_mux,
                packet_ms=_packet_ms(theirs, codec),
                speaks=able_to_send and not theirs.holds,
                hears=able_to_hear and theirs.direction in ("sendrecv", "sendonly"),
                keys=keys,
            )
        )

    def _agreed_keys(self, theirs: Stream, ours: Stream) -> KeyPair | None:
        for their_key in theirs.cryptos:
            for our_key in ours.cryptos:
                if (their_key.suite, their_key.tag) == (our_key.suite, our_key.tag):
                    suite = our_key.suite
                    return KeyPair(
                        suite, read_key(suite, our_key.key), read_key(suite, their_key.key)
                    )
        return None


def _new_keys(new_bytes: Callable[[int], bytes]) -> tuple[Crypto, ...]:
    return tuple(
        Crypto(tag=n, suite=suite, key=base64.b64encode(new_bytes(size)).decode())
        for n, (suite, (_, size)) in enumerate(SUITES.items(), 1)
    )


def _answered(
    offer: Description,
    codecs: Sequence[Codec],
    keys: Sequence[Crypto],
    must_be_secure: bool,
    *,
    address: str = "127.0.0.1",
    port: int = 9,
    direction: str = "sendrecv",
) -> Description | None:
    return answer(
        offer,
        address=address,
        port=port,
        formats=[codec.wire for codec in codecs],
        session_id=0,
        version=0,
        direction=direction,
        cryptos=keys,
        must_be_secure=must_be_secure,
    )


def _is_among(found: MediaFormat, formats: Sequence[MediaFormat]) -> bool:
    return any(found.is_same(other) for other in formats)


def _digits(formats: Sequence[MediaFormat], codec: Codec) -> MediaFormat | None:
    events = [f for f in formats if f.name == "TELEPHONE-EVENT"]
    events.sort(key=lambda f: f.clock_hz != codec.wire.clock_hz)
    return events[0] if events else None


def _packet_ms(theirs: Stream, codec: Codec) -> int:
    """Return how much audio goes into a packet: as they wish, where the codec has such frames."""
    wanted_ms = theirs.packet_ms
    if codec.frame_bytes is not None or wanted_ms in (10, 20, 40, 60):
        return wanted_ms
    return 20


def _address(stream: Stream, port: int) -> Address | None:
    """Return where a stream wants its packets; None for a name, which a tick cannot look up.

    Then the first packet of theirs says it.
    """
    try:
        found = ipaddress.ip_address(stream.address)
    except ValueError:
        return None
    return None if found.is_unspecified else (stream.address, port)
