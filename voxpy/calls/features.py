"""Which kind of channel supports what, for the message of NotSupported."""

from __future__ import annotations

from typing import NoReturn

from voxpy.errors import NotSupported

__all__ = ["raise_not_supported"]

NEEDS = {
    "answer_direct": "no channel: voxpy always carries the media itself",
    "decline": "every channel, as reject()",
    "handle_blind_transfer": "a SIP leg (REFER, RFC 3515)",
    "monitor_media_statistics": "a leg that receives RTP and RTCP (SIP, browser)",
    "notify_blind_transfer_failed": "a SIP leg (REFER, RFC 3515)",
    "notify_blind_transfer_success": "a SIP leg (REFER, RFC 3515)",
    "transfer_to": "a SIP leg (REFER, RFC 3515)",
}


def raise_not_supported(what: str, channel: str) -> NoReturn:
    """Raise NotSupported for a Call method that ``channel`` cannot do."""
    needs = NEEDS.get(what, "another kind of channel")
    raise NotSupported(f"call.{what}() is not supported on the {channel} channel; it needs {needs}")
