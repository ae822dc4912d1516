"""SRTP and SRTCP: packets that are encrypted and proven (RFC 3711, RFC 7714), keyed by SDES.

The arithmetic is libsrtp's, an extra: ``pip install 'voxpy[srtp]'``. Each end makes the key of what
it sends and says it in its session description (``a=crypto``), so a call has two keys.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import importlib.util
from typing import Any

import attrs

from voxpy.errors import EngineMissing, RemoteProtocolError, install_command

SUITES = {
    "AES_CM_128_HMAC_SHA1_80": ("SRTP_PROFILE_AES128_CM_SHA1_80", 30),
    "AEAD_AES_256_GCM": ("SRTP_PROFILE_AEAD_AES_256_GCM", 44),
    "AEAD_AES_128_GCM": ("SRTP_PROFILE_AEAD_AES_128_GCM", 28),
    "AES_CM_128_HMAC_SHA1_32": ("SRTP_PROFILE_AES128_CM_SHA1_32", 30),
}
"""In the order in which we offer them: pylibsrtp's name, and the bytes of master key and salt."""
REPLAYED = ("replay check failed (bad index)", "replay check failed (index too old)")


def is_installed() -> bool:
    """Return whether there is a library for it."""
    return importlib.util.find_spec("pylibsrtp") is not None


def _library() -> Any:
    try:
        return importlib.import_module("pylibsrtp")
    except ImportError as error:
        raise EngineMissing(
            f"SRTP needs the library pylibsrtp; install it: {install_command('srtp')}"
        ) from error


def read_key(suite: str, text: str) -> bytes:
    """Return master key and salt of an ``inline:``. Raises RemoteProtocolError."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError("an SRTP key is no base64") from error
    if len(key) != SUITES[suite][1]:
        raise RemoteProtocolError(f"an SRTP key of {len(key)} bytes is none of {suite}")
    return key


@attrs.frozen
class KeyPair:
    """What a call is protected with: ``ours`` for what we send, ``theirs`` for what comes."""

    suite: str
    ours: bytes = attrs.field(repr=False)
    theirs: bytes = attrs.field(repr=False)


class Protection:
    """Both directions of one stream. Raises EngineMissing if the library is absent.

    ``before`` is what held until these keys were agreed upon. A key that stays keeps its count of
    packets: begun anew it would be used twice for the same ones, which gives their sound away.
    """

    def __init__(self, keys: KeyPair, before: Protection | None = None) -> None:
        library = _library()
        self.keys = keys
        self._error = library.Error
        profile = getattr(library.Policy, SUITES[keys.suite][0])

        def session(key: bytes, way: int) -> Any:
            policy = library.Policy(key=key, ssrc_type=way, srtp_profile=profile)
            policy.window_size = 1024  # what a network holds back for 20 s comes all the same
            return library.Session(policy)

        policy = library.Policy
        self._out: Any
        self._in: Any
        kept = before if before is not None and before.keys.suite == keys.suite else None
        if kept is not None and kept.keys.ours == keys.ours:
            self._out = kept._out
        else:
            self._out = session(keys.ours, policy.SSRC_ANY_OUTBOUND)
        if kept is not None and kept.keys.theirs == keys.theirs:
            self._in = kept._in
        else:
            self._in = session(keys.theirs, policy.SSRC_ANY_INBOUND)

    def protect(self, packet: bytes) -> bytes:
        """Return an RTP packet of ours as it goes out."""
        return bytes(self._out.protect(packet))

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return an RTCP packet of ours as it goes out."""
        return bytes(self._out.protect_rtcp(packet))

    def unprotect(self, packet: bytes) -> bytes | None:
        """Return an RTP packet as it was sent; None if it came before.

        Raises RemoteProtocolError for what was not made with their key.
        """
        return self._opened(self._in.unprotect, packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Return an RTCP packet as it was sent; None if it came before. Raises as ``unprotect``."""
        return self._opened(self._in.unprotect_rtcp, packet)

    def _opened(self, unprotect: Any, packet: bytes) -> bytes | None:
        try:
            return bytes(unprotect(packet))
        except self._error as error:
            if str(error) in REPLAYED:
                return None
            raise RemoteProtocolError(f"SRTP: {error}") from error
        except ValueError as error:  # too long for any packet
            raise RemoteProtocolError(f"SRTP: {error}") from error
