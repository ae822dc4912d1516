"""Close codes and the body of a close frame: RFC 6455 section 7.4 and IANA's registry."""

from __future__ import annotations

from voxpy.errors import LocalProtocolError

__all__ = [
    "ABNORMAL",
    "BAD_TEXT",
    "INTERNAL_ERROR",
    "NORMAL",
    "NO_CODE",
    "PROTOCOL_ERROR",
    "TOO_BIG",
    "Violation",
    "close_body",
    "read_close_body",
]

NORMAL = 1000
PROTOCOL_ERROR = 1002
NO_CODE = 1005
ABNORMAL = 1006
BAD_TEXT = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011

_DEFINED = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""1012 to 1014 were registered after the RFC; 1005, 1006 and 1015 are never on the wire."""
_REASON_BYTES = 123
"""What a control frame's 125 bytes leave beside the code."""


class Violation(Exception):
    """The far side broke the protocol; ``code`` is what it is told (section 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


def _may_be_sent(code: int) -> bool:
    return code in _DEFINED or 3000 <= code <= 4999


def close_body(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame; 1005 gives the empty one.

    A reason of more than 123 bytes of UTF-8 is cut at a character. Raises LocalProtocolError for a
    code that must not be sent.
    """
    if code == NO_CODE:
        return b""
    if not _may_be_sent(code):
        raise LocalProtocolError(
            f"close code {code} cannot be sent; use 1000-1003, 1007-1014 or 3000-4999"
        )
    text = reason.encode("utf-8", "replace")[:_REASON_BYTES].decode("utf-8", "ignore")
    return code.to_bytes(2, "big") + text.encode()


def read_close_body(payload: bytes) -> tuple[int, str]:
    """Return code and reason; 1005 for an empty body. Raises Violation."""
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise Violation(PROTOCOL_ERROR, "a close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not _may_be_sent(code):
        raise Violation(PROTOCOL_ERROR, f"close code {code} must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise Violation(BAD_TEXT, "the reason of a close frame is no UTF-8") from None
