"""Waiting for the one response that a request of ours brings about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from voxpy.errors import RequestFailed, SpeechInterrupted, VoxpyError
from voxpy.inworld.voice.events import Interrupted
from voxpy.wire.realtime.client.protocol import is_benign
from voxpy.wire.realtime.client.sequencer import is_active_race
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import Error, end_reason


class ResponseWait:
    """From the request's frames to the end of the response.

    The response is the first to begin after ``create_id`` went out. If the service refuses that
    one because another was active, the request goes out again and the guess is taken back.
    """

    def __init__(self, *, create_id: str, item_id: str) -> None:
        self.create_id = create_id
        self._ids = (create_id, item_id)
        self._sent = False
        self._response_id: str | None = None
        self._response: Mapping[str, Any] = {}
        self._failure: VoxpyError | None = None
        self._over = trio.Event()

    async def wait(self) -> Mapping[str, Any]:
        """Return the response as ``response.done`` had it.

        Raises SpeechInterrupted and RequestFailed.
        """
        await self._over.wait()
        if self._failure is not None:
            raise self._failure
        return self._response

    def sent(self, frame: bytes) -> None:
        """See a frame that goes out."""
        if f'"{self.create_id}"'.encode() in frame:
            self._sent = True

    def follow(self, event: object) -> None:
        """See what comes: events of the service, and ``Interrupted``."""
        match event:
            case se.ResponseCreated() if self._sent and self._response_id is None:
                self._response_id = event.response.get("id")
            case se.ResponseDone() if self._mine(event.response.get("id")):
                self._done(event.response)
            case Interrupted() if self._mine(event.response_id):
                self.fail(SpeechInterrupted(f"response {event.response_id} was interrupted"))
            case se.ErrorEvent():
                self._error(event.error)

    def fail(self, failure: VoxpyError) -> None:
        """End the wait; the first end counts."""
        if not self._over.is_set():
            self._failure = failure
            self._over.set()

    def _mine(self, response_id: str | None) -> bool:
        return self._response_id is not None and response_id == self._response_id

    def _done(self, response: Mapping[str, Any]) -> None:
        self._response = response
        status, reason = response.get("status"), end_reason(response)
        if status == "cancelled":
            self.fail(
                SpeechInterrupted(f"the response was cancelled: {reason or 'no reason told'}")
            )
        elif status == "failed":
            self.fail(RequestFailed(f"the response failed: {reason or 'no reason told'}"))
        self._over.set()

    def _error(self, error: Error) -> None:
        if error.event_id is not None and error.event_id not in self._ids:
            return
        if is_active_race(error):
            self._sent, self._response_id = False, None
        elif not is_benign(error):
            self.fail(RequestFailed(error.message, code=error.code))
