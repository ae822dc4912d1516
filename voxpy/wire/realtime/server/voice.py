"""What the brain and the voice of a realtime server produce: responses, and what goes beside them.

Where a method returns False, what it was called for is over: the response ended, the back-channel
or the filler came too late. Whoever generates it should stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.wire.realtime.server.backchannel import Backchannel
from voxpy.wire.realtime.server.filler import Filler
from voxpy.wire.realtime.server.memory import Memory
from voxpy.wire.realtime.server.response_writer import ResponseWriter
from voxpy.wire.realtime.server.state import ServerState

__all__ = ["ServerVoice"]


class ServerVoice:
    """The part of a RealtimeServer that is called by whoever thinks and speaks for the agent.

    ``now`` may be left out where it is optional: the time of the last call holds then.
    """

    _state: ServerState
    _backchannel: Backchannel
    _filler: Filler
    _memory: Memory

    def _active(self, response_id: str) -> ResponseWriter | None:
        response = self._state.response
        return response if response is not None and response.id == response_id else None

    def text(self, response_id: str, delta: str, now: float | None = None) -> bool:
        """The agent says more: transcript, text or both, as the modalities are."""
        self._state.at(now)
        response = self._active(response_id)
        if response is not None:
            response.text(delta)
        return response is not None

    def audio(self, response_id: str, data: bytes, now: float) -> bool:
        """The agent's audio, in the output format of the session in ``Respond``.

        False also if the response is text only.
        """
        self._state.at(now)
        response = self._active(response_id)
        return response is not None and response.audio(data, self._state.now)

    def call_tool(
        self, response_id: str, name: str, arguments: str, now: float | None = None
    ) -> bool:
        """The agent calls a function; ``arguments`` is JSON text."""
        self._state.at(now)
        if self._active(response_id) is None:
            return False
        self._state.call(name, arguments)
        return True

    def finish(
        self,
        response_id: str,
        now: float,
        usage: Mapping[str, Any] | None = None,
        *,
        incomplete: str | None = None,
    ) -> bool:
        """The response is whole, or ``incomplete`` says what cut it short.

        ``incomplete`` is ``max_output_tokens`` or ``content_filter``.
        """
        self._state.at(now)
        if self._active(response_id) is None:
            return False
        if incomplete is None:
            self._state.end_response("completed", usage=usage)
        else:
            details = {"type": "incomplete", "reason": incomplete}
            self._state.end_response("incomplete", details=details, usage=usage)
        return True

    def fail(
        self, response_id: str, message: str, code: str | None = None, now: float | None = None
    ) -> bool:
        """The agent cannot go on: an ``error`` event, then ``response.done`` as failed."""
        self._state.at(now)
        if self._active(response_id) is None:
            return False
        self._state.error("server_error", code, message)
        error = {"type": "server_error", "code": code, "message": message}
        self._state.end_response("failed", details={"type": "failed", "error": error})
        return True

    # -- beside the response ---------------------------------------------------------------------

    def filler_audio(self, response_id: str, data: bytes, now: float) -> bool:
        """All the audio of the filler that ``Fill`` asked for, in the response's output format.

        It goes into the response's audio and into no transcript. False, and nothing is sent, if
        the answer has begun meanwhile or the deadline has passed.
        """
        self._state.at(now)
        return self._filler.audio(response_id, data)

    def backchannel_audio(self, backchannel_id: str, data: bytes, now: float) -> bool:
        """Some audio of a back-channel, in the session's output format, its volume applied.

        It is held back until ``backchannel_done``, so that no half an "uh-huh" is heard.
        """
        self._state.at(now)
        return self._backchannel.audio(backchannel_id, data)

    def backchannel_done(self, backchannel_id: str, phrase: str, now: float) -> bool:
        """The back-channel is whole: it is sent now. False if it is too late or not allowed."""
        self._state.at(now)
        return self._backchannel.done(backchannel_id, phrase)

    def backchannel_skipped(self, backchannel_id: str, reason: str, now: float) -> bool:
        """There is no back-channel after all; ``reason`` is told (``no_phrase``)."""
        self._state.at(now)
        return self._backchannel.skip(backchannel_id, reason)

    def memory(self, state: Mapping[str, Any], now: float | None = None) -> bool:
        """The memory ``Summarise`` asked for: ``facts``, ``summary`` and ``context_text``.

        Told by a ``session.updated`` that nobody asked for. False if it is not wanted any more.
        """
        self._state.at(now)
        return self._memory.take(state)
