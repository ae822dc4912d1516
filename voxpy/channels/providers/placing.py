"""Calls that a provider's API places for us: what is asked, and what it then tells of the call.

The audio comes back on the media stream that the host serves anyway; what becomes of the call
before that comes in status callbacks. Every address that we give for a call ends in a word of its
own, which says which worker of which host has the call. It stands in the path: that is what every
provider leaves as it is (Twilio cuts off the query of a stream), and what a host reads before
anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from voxpy.channels.providers.http import RestContext, RestRequest

OURS = re.compile(r"call-(?:([0-9a-f]{8})-)?([0-9a-f]{2})[0-9a-f]{36}")
"""The word of a call of ours; it begins with the host, in a fleet, and the worker that have it."""
BUSY, NO_ANSWER, DECLINED, NOT_FOUND, UNAVAILABLE, TERMINATED, FAILED = (
    486, 408, 603, 404, 480, 487, 503,
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Placing:
    """A call to place.

    ``stream_url``, ``status_url`` and ``answer_url`` (for those that ask for markup when the callee
    has answered) name the call and bear what lets them in. ``connection`` is what the provider
    calls the way out, if it has one.
    """

    to: str
    caller: str
    stream_url: str
    status_url: str
    answer_url: str
    ring_timeout_s: float
    detect_machines: bool = False
    connection: str = ""


@attrs.frozen
class Progress:
    """What a status callback says. ``code`` is a SIP status: of a call that is over 200 or why not.

    ``identified`` is who answered, HUMAN or VOICEMAIL, of a provider that was asked to find out.
    """

    what: Literal["ringing", "answered", "over", "identified"]
    code: int = 0
    reason: str = ""
    identified: str = ""


@attrs.frozen(kw_only=True)
class Placer:
    """How a provider's API places calls: pure functions; the host sends.

    ``place`` makes the request, ``placed`` reads the call's id out of its answer (a JSON object),
    ``cancel`` ends a call that is not answered yet, ``progress`` reads a status callback, None for
    one that tells nothing new. ``needs_connection``: whether ``connection:`` must be said.
    """

    place: Callable[[RestContext, Placing], RestRequest]
    placed: Callable[[Mapping[str, Any]], str]
    cancel: Callable[[RestContext, str], RestRequest]
    progress: Callable[[Mapping[str, Any]], Progress | None]
    needs_connection: bool = False
    source: str


def ours_in(path: str) -> tuple[str, str]:
    """Return the place that a path is at, and the word of a call of ours behind it, if any."""
    place, _, last = path.rpartition("/")
    return (place, last) if OURS.fullmatch(last) else (path, "")


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a field as text, empty if it is not there."""
    found = fields.get(name)
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def status_told(status: str, ended: Mapping[str, int]) -> Progress | None:
    """Read Twilio's words for the state of a call, which others use too.

    ``ended`` has the SIP status of each that means a call was not made; None for other words.
    """
    if status in ("ringing", "in-progress"):
        return Progress("ringing" if status == "ringing" else "answered")
    if status == "completed":
        return Progress("over", 200, "Hung up by the callee")
    return Progress("over", ended[status], status) if status in ended else None


def sip_code(text: str, otherwise: int) -> int:
    """Return a SIP status that a provider passes on, if it is one of a failure."""
    if text.isascii() and text.isdigit() and len(text) == 3 and 300 <= int(text) <= 699:
        return int(text)
    return otherwise
