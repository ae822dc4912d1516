"""``callbacks:`` at work: what other programs are told of sessions, signed, and until they took it.

Signed as Standard Webhooks are (standardwebhooks.com), so that their libraries check it:
``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``, the last an HMAC-SHA256 over the
three parts ``id.timestamp.body`` with the secret. An id is the same in every attempt: whoever gets
it twice knows. Nothing of this is waited for by a call.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random_words
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import orjson
import trio

from voxpy.engine import clock
from voxpy.engine.ports import Secrets
from voxpy.engine.trace import Trace
from voxpy.project.api import Callback, CallbackEvent
from voxpy.text.product import product

if TYPE_CHECKING:
    from voxpy.engine.http import Fetch

ATTEMPTS_AFTER_S = (0.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
"""When it is tried: at once, and so long after each failure."""
MOST_WAITING = 1000
AT_ONCE = 4
ANSWER_S = 15.0
LAST_S = 3.0
"""For what is under way when the host stops."""


@attrs.frozen(kw_only=True)
class _Message:
    callback: Callback
    message_id: str
    kind: CallbackEvent
    body: bytes


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return ``webhook-signature``; a secret that begins with ``whsec_`` is base64 behind that."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        with suppress(binascii.Error):
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class Callbacks:
    """Tells other programs. ``run`` it for as long as the host; then ``finish``.

    ``wanted`` are the callbacks of routing.yaml as they are now.
    """

    def __init__(
        self,
        wanted: Callable[[], Sequence[Callback]],
        secrets: Secrets,
        *,
        fetch: Fetch | None,
        log: Trace,
        count: Callable[..., None],
    ) -> None:
        self._wanted = wanted
        self._secrets = secrets
        self._fetch = fetch
        self._log = log
        self._count = count
        self._waiting: deque[_Message] = deque()
        self._under_way = 0
        self._changed = trio.Event()

    def tell(self, kind: CallbackEvent, rule_name: str, data: Mapping[str, Any]) -> None:
        """Tell everybody who wants to know it. Never blocks; beyond a bound it is lost and said."""
        for callback in self._wanted():
            if kind not in callback.events or not callback.wants(rule_name):
                continue
            if len(self._waiting) + self._under_way >= MOST_WAITING:
                self._lost(callback, kind, f"{MOST_WAITING} wait already")
                continue
            told = {"type": kind, "timestamp": clock.calendar().isoformat(), "data": data}
            message = _Message(
                callback=callback,
                message_id=f"msg_{random_words.token_hex(12)}",
                kind=kind,
                body=orjson.dumps(told, default=str),
            )
            self._waiting.append(message)
            self._note()

    async def run(self) -> None:
        """Send what is to be told, until cancelled."""
        async with trio.open_nursery() as nursery:
            limit = trio.CapacityLimiter(AT_ONCE)
            while True:
                while self._waiting:
                    self._under_way += 1
                    nursery.start_soon(self._deliver, self._waiting.popleft(), limit)
                await self._changed.wait()

    async def finish(self) -> None:
        """Wait for what is under way, for a while; what is left then is lost and said."""
        with trio.move_on_after(LAST_S):
            while self._waiting or self._under_way:
                await self._changed.wait()
        left = len(self._waiting) + self._under_way
        if left:
            self._log.warning("callbacks are lost: the host stops", left=left)

    async def _deliver(self, message: _Message, limit: trio.CapacityLimiter) -> None:
        problem = ""
        try:
            for after_s in ATTEMPTS_AFTER_S:
                await trio.sleep(after_s)
                async with limit:
                    problem = await self._send(message)
                if not problem:
                    self._count("voxpy_callbacks", "taken")
                    return
                self._count("voxpy_callbacks", "failed")
            self._lost(message.callback, message.kind, problem)
        finally:
            self._under_way -= 1
            self._note()

    async def _send(self, message: _Message) -> str:
        """Return what went wrong, or nothing."""
        import httpx  # here: a host without callbacks need not wait for it

        from voxpy.engine.http import HttpRequest, fetch

        secret = self._secrets.get(message.callback.secret)
        if not secret:
            return self._secrets.missing(message.callback.secret)
        now = round(clock.calendar().timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": product(),
            "webhook-id": message.message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(secret, message.message_id, now, message.body),
        }
        request = HttpRequest(
            method="POST",
            url=httpx.URL(message.callback.url),
            headers=httpx.Headers(headers),
            body=message.body,
            raw_output=False,
            timeout_s=ANSWER_S,
            connect_s=ANSWER_S,
        )
        result = await (self._fetch or fetch)(request, None)
        if 200 <= result.code < 300:
            return ""
        return result.error or f"HTTP {result.code}"

    def _lost(self, callback: Callback, kind: str, problem: str) -> None:
        self._count("voxpy_callbacks", "lost")
        self._log.warning("a callback is lost", callback=callback.name, of=kind, problem=problem)

    def _note(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
