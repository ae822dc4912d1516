"""``Crypto``: digests as VoxEngine gives them, in hexadecimal (VoxEngine: Crypto)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from voxpy.errors import HelpsWithNames
from voxpy.text.octets import octets

__all__ = ["Crypto", "CryptoNamespace"]

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
