"""What a server is told by those who hear, think and speak for its agent.

``ServerEars``: the onset, pauses, words and end of the caller's speech. ``ServerVoice``: responses,
and what goes beside them. Where a method of it returns False, what it was called for is over: the
response ended, the back-channel or the filler came too late. Whoever generates it should stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.server.effects import Effect
from voxpy.wire.realtime.server.features import Memory
from voxpy.wire.realtime.server.interjections import Backchannel, Filler
from voxpy.wire.realtime.server.response_writer import ResponseWriter
from voxpy.wire.realtime.server.state import ServerState


class ServerEars:
    """The part of a RealtimeServer that is called by whoever listens to the caller.

    ``now`` may be left out where it is optional: the time of the last call holds then.
    """

    _state: ServerState

    def speech_started(self, audio_start_ms: float, now: float) -> list[Effect]:
        """The caller began to speak, ``audio_start_ms`` into all audio ever received.

        Interrupts the agent if the session says so. Ignored while speech is under way, and without
        turn detection if the quirk says so.
        """
        state = self._state
        state.at(now)
        if not state.turns.speaking and self._told_of_speech:
            state.turns.speaking = True
            state.turns.began_ms = audio_start_ms
            state.turns.item_id = state.turns.item_id or state.conversation.reserve()
            state.outbox.emit(
                se.InputAudioBufferSpeechStarted(
                    audio_start_ms=audio_start_ms, item_id=state.turns.item_id
                )
            )
            detection = state.turn_detection
            if detection is not None and detection["interrupt_response"]:
                state.interrupt(state.now)
            for feature in state.features:
                feature.speech_started()
        return state.take_effects()

    @property
    def _told_of_speech(self) -> bool:
        return self._state.turn_detection is not None or self._state.quirks.manual_vad_events

    def speech_paused(
        self,
        now: float,
        *,
        silence_ms: float,
        probability: float,
        duration_ms: float | None = None,
        inference_ms: float | None = None,
    ) -> None:
        """The caller has been silent for ``silence_ms`` and may have finished.

        Sends Inworld's ``turn_suggestion``: ``probability`` (0 to 1) that the turn is over,
        ``duration_ms`` of the utterance, ``inference_ms`` that the judgement took. Ignored outside
        speech.
        """
        state = self._state
        state.at(now)
        turns = state.turns
        if not turns.speaking or turns.item_id is None:
            return
        if state.quirks.turn_suggestions and not turns.suggested:
            turns.suggested = True
            state.outbox.emit(
                se.InputAudioBufferTurnSuggestion(
                    item_id=turns.item_id,
                    utterance_index=turns.utterances,
                    probability=probability,
                    trailing_silence_ms=silence_ms,
                    audio_duration_ms=duration_ms,
                    inference_ms=inference_ms,
                )
            )
        for feature in state.features:
            feature.speech_paused()

    def speech_resumed(self, now: float) -> None:
        """The caller goes on after a pause: a ``turn_suggestion`` that was sent is revoked."""
        state = self._state
        state.at(now)
        turns = state.turns
        if not turns.speaking or turns.item_id is None:
            return
        if turns.suggested:
            state.outbox.emit(
                se.InputAudioBufferTurnSuggestionRevoked(
                    item_id=turns.item_id, utterance_index=turns.utterances
                )
            )
            turns.suggested = False
            turns.utterances += 1
        for feature in state.features:
            feature.speech_resumed()

    def transcript_delta(self, text: str, now: float | None = None) -> None:
        """All the words recognised so far of what the caller says.

        They belong to the speech under way, else to the oldest turn whose text is awaited. Sent
        whole each time, as Inworld does, or with the quirk only what is new; words that were
        changed since then wait for the final transcript.
        """
        state = self._state
        state.at(now)
        turns = state.turns
        if turns.speaking:
            for feature in state.features:
                feature.words_so_far(text)
        if not state.shows_transcripts:
            return
        if turns.text_item_id is None:
            turns.item_id = state.conversation.reserve()
        delta = text
        if state.quirks.transcript_deltas == "additive":
            if not text.startswith(turns.told) or text == turns.told:
                return
            delta, turns.told = text[len(turns.told) :], text
        state.outbox.emit(
            se.ConversationItemInputAudioTranscriptionDelta(
                item_id=turns.text_item_id or "", content_index=0, delta=delta
            )
        )

    def speech_stopped(self, audio_end_ms: float, now: float | None = None) -> None:
        """The turn is over: the speech becomes a user item whose text is awaited.

        With manual turns only the event is sent, as Inworld does. Ignored without speech.
        """
        state = self._state
        state.at(now)
        turns = state.turns
        if not turns.speaking or turns.item_id is None:
            return
        state.end_speech()
        state.outbox.emit(
            se.InputAudioBufferSpeechStopped(audio_end_ms=audio_end_ms, item_id=turns.item_id)
        )
        detection = state.turn_detection
        if detection is None:
            state.respond_if_due()
        else:
            always = state.quirks.create_response_ignored
            answer = state.answers and (always or detection["create_response"])
            state.commit_turn(answer=answer, from_ms=turns.began_ms, to_ms=audio_end_ms)

    def transcript_completed(
        self, text: str, now: float, *, item_id: str | None = None
    ) -> list[Effect]:
        """The text of a turn is known: of ``item_id``, or the oldest that is awaited.

        Begins the response if the session's turn detection says so and the text is not empty.
        Ignored if no text is awaited.
        """
        self._state.at(now)
        awaited = self._state.turns.take(item_id)
        if awaited is not None:
            self._state.turn_recognised(awaited, text)
        return self._state.take_effects()

    def transcript_failed(
        self, why: str, now: float, *, item_id: str | None = None
    ) -> list[Effect]:
        """The words of a turn cannot be recognised: told, and then as if there were none."""
        self._state.at(now)
        awaited = self._state.turns.take(item_id)
        if awaited is not None:
            self._state.turn_recognised(awaited, "", failed=why)
        return self._state.take_effects()

    def audio_lost(self, lost_ms: float) -> None:
        """Audio was dropped unheard, because the ears are too far behind: the client is told."""
        message = f"{lost_ms:.0f} ms of input audio were lost: they came faster than they are heard"
        self._state.error("server_error", "input_audio_buffer_overflow", message)


class ServerVoice:
    """The part of a RealtimeServer that is called by whoever thinks and speaks for the agent.

    ``now`` may be left out where it is optional: the time of the last call holds then.
    """

    _state: ServerState
    _backchannel: Backchannel
    _filler: Filler
    _memory: Memory

    def _active(self, response_id: str) -> ResponseWriter | None:
        return self._state.writer(response_id)

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
        response = self._active(response_id)
        if response is not None:
            self._state.call(response, name, arguments)
        return response is not None

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
            self._state.end_response("completed", response_id=response_id, usage=usage)
        else:
            details = {"type": "incomplete", "reason": incomplete}
            self._state.end_response(
                "incomplete", response_id=response_id, details=details, usage=usage
            )
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
        details = {"type": "failed", "error": error}
        self._state.end_response("failed", response_id=response_id, details=details)
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
