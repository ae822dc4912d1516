"""Transcripts, the history and the floor: what a client gathers from what goes by."""

from __future__ import annotations

from typing import Any

import pytest

from voxpy.wire.realtime.client.playback import Transcripts
from voxpy.wire.realtime.client.renewal import ANSWER_WITHIN_S, KEPT_MESSAGES, Floor, History
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.types import Error, ServerEvent


def audio_words(text: str, item_id: str = "i") -> ServerEvent:
    return se.ResponseOutputAudioTranscriptDelta(response_id="r", item_id=item_id, delta=text)


def text_words(text: str, item_id: str = "i") -> ServerEvent:
    return se.ResponseOutputTextDelta(response_id="r", item_id=item_id, delta=text)


def said(*events: ServerEvent) -> str:
    transcripts = Transcripts()
    for event in events:
        transcripts.follow(event)
    return transcripts.said("i")


def test_words_are_gathered() -> None:
    assert said(audio_words("Hel"), audio_words("lo"), audio_words("x", "other")) == "Hello"


def test_the_kind_that_comes_first_counts() -> None:
    assert said(audio_words("Hi"), text_words("Hi"), text_words(" you")) == "Hi"
    assert said(text_words("Hi"), audio_words("Hi"), text_words(" you")) == "Hi you"


def test_the_end_has_the_last_word_if_it_has_words() -> None:
    done = se.ResponseOutputAudioTranscriptDone(response_id="r", item_id="i", transcript="Hello!")
    silent = se.ResponseOutputAudioTranscriptDone(response_id="r", item_id="i")
    other = se.ResponseOutputTextDone(response_id="r", item_id="i", text="[laugh] Hello!")
    assert said(audio_words("Hell"), done) == "Hello!"
    assert said(audio_words("Hell"), silent) == "Hell"
    assert said(audio_words("Hell"), other) == "Hell"
    assert said(other) == "[laugh] Hello!"


def test_only_the_last_texts_are_kept() -> None:
    transcripts = Transcripts()
    for n in range(200):
        transcripts.follow(audio_words("a", f"i{n}"))
    assert transcripts.said("i0") == ""
    assert transcripts.said("i199") == "a"


# -- the history -----------------------------------------------------------------------------------


def added(item: dict[str, Any], previous: str | None = None) -> ServerEvent:
    return se.ConversationItemAdded(item=item, previous_item_id=previous)


def done(item: dict[str, Any], previous: str | None = None) -> ServerEvent:
    return se.ConversationItemDone(item=item, previous_item_id=previous)


def message(item_id: str, role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": role, "content": list(content)}


def replayed(history: History) -> list[tuple[str, str, str]]:
    """Id, role and text of what would be told, in order."""
    found = []
    for event in history.replay():
        (part,) = event.item["content"]
        assert part["type"] == (
            "output_text" if event.item["role"] == "assistant" else "input_text"
        )
        found.append((event.item["id"], event.item["role"], part["text"]))
    return found


def test_a_conversation_is_told_again_as_text_under_its_own_ids() -> None:
    history = History()
    for event in (
        added(message("s", "system", {"type": "input_text", "text": "Be brief."})),
        added(message("u", "user", {"type": "input_audio", "transcript": None}), "s"),
        se.ConversationItemInputAudioTranscriptionCompleted(item_id="u", transcript="Hello?"),
        added(message("a", "assistant"), "u"),
        done(message("a", "assistant", {"type": "output_audio", "transcript": "Hi there."}), "u"),
        added({"id": "f", "type": "function_call", "name": "n", "call_id": "c", "arguments": ""}),
        added({"id": "o", "type": "function_call_output", "call_id": "c", "output": "1"}, "f"),
        added(message("a2", "assistant", {"type": "output_text", "text": "One."}), "o"),
    ):
        history.follow(event)
    assert replayed(history) == [
        ("s", "system", "Be brief."),
        ("u", "user", "Hello?"),
        ("a", "assistant", "Hi there."),
        ("a2", "assistant", "One."),
    ]


def test_what_was_heard_takes_the_place_of_what_was_said() -> None:
    history = History()
    for item_id in ("a", "b", "c"):
        part = {"type": "output_audio", "transcript": "one two three"}
        history.follow(done(message(item_id, "assistant", part)))
    history.heard("a", "one")
    history.heard("b", "")
    history.heard("unknown", "x")
    assert replayed(history) == [("a", "assistant", "one"), ("c", "assistant", "one two three")]


def test_deleted_and_wordless_items_are_not_told() -> None:
    history = History()
    history.follow(added(message("u", "user", {"type": "input_audio", "transcript": None})))
    history.follow(added(message("v", "user", {"type": "input_text", "text": "x"}), "u"))
    history.follow(se.ConversationItemDeleted(item_id="v"))
    history.follow(se.ConversationItemDeleted(item_id="v"))
    assert history.replay() == []


def test_a_transcript_may_come_before_its_item() -> None:
    history = History()
    history.follow(
        se.ConversationItemInputAudioTranscriptionCompleted(item_id="u", transcript="Hey")
    )
    history.follow(added(message("u", "user", {"type": "input_audio", "transcript": None})))
    assert replayed(history) == [("u", "user", "Hey")]


@pytest.mark.parametrize(
    ("previous", "order"), [("a", "axb"), ("b", "abx"), (None, "abx"), ("gone", "abx")]
)
def test_where_an_item_is_inserted(previous: str | None, order: str) -> None:
    history = History()
    for item_id in "ab":
        history.follow(added(message(item_id, "user", {"type": "input_text", "text": "."})))
    history.follow(added(message("x", "user", {"type": "input_text", "text": "."}), previous))
    assert "".join(item_id for item_id, _, _ in replayed(history)) == order


def test_an_image_is_told_as_it_is() -> None:
    history = History()
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    history.follow(added(message("u", "user", image)))
    (event,) = history.replay()
    assert event.item["content"] == [image]


def test_the_oldest_messages_are_forgotten() -> None:
    history = History()
    for n in range(KEPT_MESSAGES + 50):
        history.follow(added(message(f"u{n}", "user", {"type": "input_text", "text": "."})))
        history.follow(
            se.ConversationItemInputAudioTranscriptionCompleted(item_id=f"x{n}", transcript="?")
        )
    told = replayed(history)
    assert (len(told), told[0][0]) == (KEPT_MESSAGES, "u50")


# -- the floor -------------------------------------------------------------------------------------

STARTED = se.InputAudioBufferSpeechStarted(item_id="u")
STOPPED = se.InputAudioBufferSpeechStopped(item_id="u")
COMMITTED = se.InputAudioBufferCommitted(item_id="u")
CREATED = se.ResponseCreated(response={"id": "r"})
DONE = se.ResponseDone(response={"id": "r", "status": "completed"})


def words(text: str) -> ServerEvent:
    return se.ConversationItemInputAudioTranscriptionCompleted(item_id="u", transcript=text)


@pytest.mark.parametrize(
    ("events", "free"),
    [
        ([], True),
        ([STARTED], False),
        ([STARTED, STOPPED], False),  # an answer is owed
        ([STARTED, STOPPED, COMMITTED, words("hello")], False),
        ([STARTED, STOPPED, COMMITTED, words(" ")], True),  # nothing was said: no answer
        ([STARTED, STOPPED, words("hello"), CREATED], False),
        ([STARTED, STOPPED, words("hello"), CREATED, DONE], True),
        ([CREATED], False),
        ([STARTED, se.InputAudioBufferCleared()], True),
        (
            [
                STARTED,
                STOPPED,
                se.ConversationItemInputAudioTranscriptionFailed(
                    item_id="u", error=Error(message="noise")
                ),
            ],
            True,
        ),
    ],
)
def test_who_has_the_floor(events: list[ServerEvent], free: bool) -> None:
    floor = Floor()
    for event in events:
        floor.follow(event, 10.0)
    assert floor.is_free(10.0) is free


def test_an_answer_that_never_comes_is_waited_for_only_so_long() -> None:
    floor = Floor()
    floor.follow(COMMITTED, 10.0)
    assert not floor.is_free(10.0 + ANSWER_WITHIN_S - 0.01)
    assert floor.is_free(10.0 + ANSWER_WITHIN_S)
