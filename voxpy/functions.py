"""VoxEngine's global functions that are neither timers nor ``require``, and ``Crypto``.

Python has most of what they do; they are here so that a scenario brought over keeps its lines.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from voxpy.errors import HelpsWithNames, ScenarioError
from voxpy.logger import Logger
from voxpy.text.distance import edits
from voxpy.text.octets import octets

__all__ = [
    "Crypto",
    "CryptoNamespace",
    "base64_decode",
    "base64_encode",
    "bytes2hex",
    "bytes2str",
    "get_local_time",
    "hex2bytes",
    "levenshtein_distance",
    "str2bytes",
    "trace",
    "uuidgen",
]


def uuidgen() -> str:
    """Return a new random UUID. VoxEngine: uuidgen."""
    return str(uuid.uuid4())


def base64_encode(data: str | Iterable[int]) -> str:
    """Return text (as UTF-8) or bytes as Base64. VoxEngine: base64_encode."""
    return base64.b64encode(octets("base64_encode", data)).decode()


def base64_decode(data: str) -> list[int]:
    """Return the bytes of a Base64 text as numbers, as VoxEngine does; padding may be missing.

    Raises ScenarioError for what is no Base64. VoxEngine: base64_decode.
    """
    try:
        return list(base64.b64decode(data + "=" * (-len(data) % 4), validate=True))
    except (ValueError, TypeError) as error:
        raise ScenarioError(f"base64_decode: {error}") from None


def str2bytes(data: str, encoding: str = "utf-8") -> list[int]:
    """Return a text as numbers from 0 to 255.

    Raises ScenarioError for an encoding that is unknown or lacks a character. VoxEngine: str2bytes.
    """
    try:
        return list(data.encode(encoding))
    except (LookupError, UnicodeError) as error:
        raise ScenarioError(f"str2bytes: {error}") from None


def bytes2str(data: Iterable[int], encoding: str = "utf-8") -> str:
    """Return bytes as a text.

    Raises ScenarioError for an unknown encoding or what is no text in it. VoxEngine: bytes2str.
    """
    try:
        return octets("bytes2str", data).decode(encoding)
    except (LookupError, UnicodeError) as error:
        raise ScenarioError(f"bytes2str: {error}") from None


def bytes2hex(data: Iterable[int], to_upper_case: bool = False) -> str:
    """Return bytes as hexadecimal digits. VoxEngine: bytes2hex."""
    digits = octets("bytes2hex", data).hex()
    return digits.upper() if to_upper_case else digits


def hex2bytes(data: str) -> list[int]:
    """Return hexadecimal digits as numbers. Raises ScenarioError for others.

    VoxEngine: hex2bytes.
    """
    try:
        return list(bytes.fromhex(data))
    except (ValueError, TypeError) as error:
        raise ScenarioError(f"hex2bytes: {error}") from None


def get_local_time(timezone: str, date: datetime) -> datetime:
    """Return the same moment on the clocks of a time zone: ``"Europe/Berlin"``.

    A ``date`` without a zone is UTC, as everywhere in VoxEngine. Raises ScenarioError for an
    unknown zone. VoxEngine: getLocalTime.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        raise ScenarioError(
            f"get_local_time: {timezone!r} is no time zone; they read like 'Europe/Berlin'"
        ) from None
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).astimezone(zone)


def levenshtein_distance(a: str, b: str) -> int:
    """Return how many letters must be put in, left out or replaced to make ``a`` into ``b``.

    VoxEngine: levenshtein_distance.
    """
    return edits(a, b)


def trace(text: str) -> None:
    """Write a line into the session's log; VoxEngine shows it in its debugger alone.

    VoxEngine: trace.
    """
    Logger.write(str(text))


# -- digests --------------------------------------------------------------------------------------

Data = str | Iterable[int] | Iterable[str]
"""Text, bytes or their numbers, or several texts which count as one."""


class CryptoNamespace(HelpsWithNames):
    """The functions of the Crypto namespace; made once, as ``Crypto``.

    Each raises ScenarioError for what is neither text nor bytes.
    """

    __slots__ = ()

    def md5(self, data: Data) -> str:
        """Return the MD5 digest. VoxEngine: Crypto.md5."""
        return hashlib.md5(octets("Crypto.md5", data), usedforsecurity=False).hexdigest()

    def sha1(self, data: Data) -> str:
        """Return the SHA-1 digest. VoxEngine: Crypto.sha1."""
        return hashlib.sha1(octets("Crypto.sha1", data), usedforsecurity=False).hexdigest()

    def sha256(self, data: Data) -> str:
        """Return the SHA-256 digest. VoxEngine: Crypto.sha256."""
        return hashlib.sha256(octets("Crypto.sha256", data)).hexdigest()

    def hmac_sha256(self, key: str, data: Data) -> str:
        """Return the keyed digest (RFC 2104). VoxEngine: Crypto.hmac_sha256."""
        what = "Crypto.hmac_sha256"
        return hmac.new(octets(what, key), octets(what, data), hashlib.sha256).hexdigest()

    def _title(self) -> str:
        return "Crypto"


Crypto = CryptoNamespace()
