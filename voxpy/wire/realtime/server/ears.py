"""What the ears of a realtime server report: the onset, pauses, words and end of speech."""

from __future__ import annotations

from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.server.effects import Effect
from voxpy.wire.realtime.server.state import ServerState

__all__ = ["ServerEars"]


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
            state.commit_turn(answer=always or detection["create_response"])

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
