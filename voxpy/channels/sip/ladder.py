"""Messages of a call as the trace shows them: the ladder of its page is drawn of these."""

from __future__ import annotations

from typing import Literal

from voxpy.wire.sdp import without_keys
from voxpy.wire.sip.call import SipCall
from voxpy.wire.sip.message import Request, Response

Way = Literal["in", "out"]

SECRET = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "www-authenticate",
        "proxy-authenticate",
        "voxpy-proof",
    )
)
DTMF_RELAY = ("application/dtmf-relay", "application/dtmf")
"""Digits may be those of a card: their bodies are not shown."""
HIDDEN = "*hidden*"


def title(message: Request | Response) -> str:
    """Return what the ladder says of a message: "INVITE", or "200 OK (INVITE)"."""
    if isinstance(message, Request):
        return message.method
    return f"{message.status} {message.reason} ({message.cseq.method})"


def shown(message: Request | Response) -> str:
    """Return a message without what proves who somebody is, keys of media, and typed digits."""
    first = (
        f"{message.method} {message.uri} SIP/2.0"
        if isinstance(message, Request)
        else f"SIP/2.0 {message.status} {message.reason}"
    )
    lines = [
        f"{name}: {HIDDEN if name.lower() in SECRET else text}" for name, text in message.headers
    ]
    kind = (message.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    body = HIDDEN if kind in DTMF_RELAY else without_keys(message.body.decode("utf-8", "replace"))
    return "\n".join([first, *lines, "", body.replace("\r\n", "\n")])


def is_of(message: Request | Response, way: Way, call: SipCall) -> bool:
    """Return whether a message is one of ``call``: of two calls of one id, the tag tells."""
    if message.call_id != call.call_id:
        return False
    ours = message.from_ if isinstance(message, Request) is (way == "out") else message.to
    return ours.tag == call.tag or (not ours.tag and call.incoming)
