"""Session timers (RFC 4028): a call whose other end is gone without a word ends all the same. Pure.

Who refreshes sends an UPDATE or a re-INVITE at half of the interval; who does not waits for it, and
says BYE shortly before the interval is over.
"""

from __future__ import annotations

import math
import re

import attrs

from voxpy.wire.sip.message import Request, Response

LEAST_S = 90
"""Section 4: no shorter interval is allowed. Whoever asks for one gets a 422."""
_EXPIRES = re.compile(r"\s*([0-9]{1,9})\s*(?:;\s*refresher\s*=\s*(uac|uas))?.*", re.IGNORECASE)


def read_expires(text: str | None) -> tuple[int, str] | None:
    """Return a Session-Expires as seconds and refresher (``uac``, ``uas`` or empty), else None."""
    found = _EXPIRES.fullmatch(text or "")
    return None if found is None else (int(found[1]), (found[2] or "").lower())


@attrs.define
class SessionTimer:
    """The timer of one call; off (``interval_s`` 0) until both ends agreed on one."""

    interval_s: int = 0
    we_refresh: bool = False
    _agreed_at: float = -math.inf

    def agree(self, interval_s: int, *, we_refresh: bool, now: float) -> None:
        """Begin anew, as every refresh does."""
        self.interval_s, self.we_refresh, self._agreed_at = interval_s, we_refresh, now

    def stop(self) -> None:
        """The other end does not want one, or the call is over."""
        self.interval_s = 0

    def ask(self, request: Request) -> None:
        """Ask for the same again, in a request that refreshes."""
        if self.interval_s:
            request.headers.add("Session-Expires", f"{self.interval_s};refresher=uac")

    def answer(self, request: Request, response: Response, now: float) -> None:
        """Write into a 2xx of ours what the request asks for (section 9), and begin."""
        asked = read_expires(request.headers.get("Session-Expires"))
        if asked is None or not request.headers.has("Supported", "timer"):
            return
        seconds, who = max(LEAST_S, asked[0]), asked[1] or "uac"
        response.headers.add("Session-Expires", f"{seconds};refresher={who}")
        if who == "uac":
            response.headers.add("Require", "timer")
        self.agree(seconds, we_refresh=who == "uas", now=now)

    def take(self, response: Response, now: float) -> None:
        """Take what a 2xx to a request of ours says; nothing means no timer (section 7.2)."""
        agreed = read_expires(response.headers.get("Session-Expires"))
        if agreed is None:
            self.stop()
        else:
            self.agree(max(LEAST_S, agreed[0]), we_refresh=agreed[1] != "uas", now=now)

    @property
    def deadline(self) -> float:
        """When to refresh, or when to give up; infinity for never."""
        if not self.interval_s:
            return math.inf
        if self.we_refresh:
            return self._agreed_at + self.interval_s / 2
        # Section 10: a little before the end, by at most 32 seconds
        return self._agreed_at + self.interval_s - min(32.0, self.interval_s / 3)

    def refreshing(self, now: float) -> None:
        """Note that a refresh is on its way: it has until the interval is over."""
        self.we_refresh, self._agreed_at = False, now - self.interval_s / 2
