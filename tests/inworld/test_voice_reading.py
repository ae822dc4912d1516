"""What a voice makes of what the service sends: lines in, events out. No sockets, no time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.inworld.voice import VoiceEvents as Ev
from voxpy.inworld.voice.config import interrupts
from voxpy.inworld.voice.reading import Cancel, Reading
from voxpy.wire.realtime.client.protocol import RealtimeClient
from voxpy.wire.realtime.events.session import laid_over


class Line:
    """A reading joined to the client it reads from."""

    def __init__(self, **session: Any) -> None:
        self._client = RealtimeClient()
        self._reading = Reading()
        self.take("session.updated", session=session)

    def take(self, kind: str, **fields: Any) -> list[Any]:
        raw = orjson.dumps({"type": kind, "event_id": "e", **fields})
        return [told for item in self._client.receive(raw) for told in self._reading.take(item)]

    def begin(self, response_id: str = "r1") -> list[Any]:
        return self.take("response.created", response={"id": response_id, "status": "in_progress"})

    def end(self, response_id: str = "r1", status: str = "completed") -> list[Any]:
        return self.take("response.done", response={"id": response_id, "status": status})

    def words(self, what: str, text: str, response_id: str = "r1") -> list[Any]:
        ids = {"response_id": response_id, "item_id": "a1"}
        return self.take(f"response.output_{what}.delta", **ids, delta=text)

    def words_end(self, what: str, response_id: str = "r1") -> list[Any]:
        return self.take(f"response.output_{what}.done", response_id=response_id, item_id="a1")


def said(text: str, response_id: str = "r1") -> Ev.Writing:
    return Ev.Writing(text=text, response_id=response_id, role="assistant")


# -- writing --------------------------------------------------------------------------------------

BOTH = ("audio_transcript", "text")


@pytest.mark.parametrize(("first", "second"), [BOTH, BOTH[::-1]])
def test_the_first_kind_of_words_wins(first: str, second: str) -> None:
    line = Line()
    line.begin()
    assert line.words(first, "Hel") == [said("Hel")]
    assert line.words(second, "Hello") == []
    assert line.words(first, "lo") == [said("lo")]
    assert line.words_end(second) == []
    assert line.words_end(first) == [said("\n")]
    line.end()


def test_text_alone_is_written() -> None:
    line = Line()
    line.begin()
    assert line.words("text", "Hi") == [said("Hi")]


def test_each_response_has_its_own_source() -> None:
    line = Line()
    line.begin()
    line.words("text", "one")
    line.end()
    line.begin("r2")
    assert line.words("audio_transcript", "two", "r2") == [said("two", "r2")]
    assert line.words("text", "two", "r2") == []


@given(st.lists(st.tuples(st.sampled_from(BOTH), st.text(min_size=1, max_size=3)), max_size=20))
def test_whatever_the_order_one_kind_is_written_whole(deltas: list[tuple[str, str]]) -> None:
    line = Line()
    line.begin()
    written = "".join(e.text for what, text in deltas for e in line.words(what, text))
    winner = deltas[0][0] if deltas else ""
    assert written == "".join(text for what, text in deltas if what == winner)


# -- the user's words -----------------------------------------------------------------------------

TRANSCRIPTION = "conversation.item.input_audio_transcription"


def test_rolling_transcripts_are_not_written_and_the_final_one_is() -> None:
    line = Line()
    for text in ("Hey", "Hey man", "Hey, man! Hi."):
        assert line.take(f"{TRANSCRIPTION}.delta", item_id="u1", delta=text) == []
    final, end = line.take(f"{TRANSCRIPTION}.completed", item_id="u1", transcript="Hey, man! Hi.")
    assert final == Ev.Writing(text="Hey, man! Hi.", response_id="u1", role="user")
    assert end == Ev.Writing(text="\n", response_id="u1", role="user")


def test_nothing_was_said() -> None:
    assert Line().take(f"{TRANSCRIPTION}.completed", item_id="u1", transcript="") == []


def test_the_voice_profile_comes_with_the_words() -> None:
    profile = {"emotion": [{"label": "happy", "confidence": 0.9}]}
    told = Line().take(
        f"{TRANSCRIPTION}.completed",
        item_id="u1",
        transcript="Hi",
        providerData={"voiceProfile": profile},
    )
    assert [event.voice_profile for event in told] == [profile, profile]


@pytest.mark.parametrize("memory", [[1], "x", 1, True, {"state": 1}, {"state": [{}]}])
def test_a_memory_that_is_none_says_nothing(memory: Any) -> None:
    odd = {"providerData": {"memory": memory}}
    assert Line().take("session.updated", session=odd) == []


# -- interruptions --------------------------------------------------------------------------------


def detection(value: Any) -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": value}}}


STARTED = "input_audio_buffer.speech_started"
INTERRUPTED = Ev.Interrupted(response_id="r1")
SIGNS = st.sampled_from([STARTED, f"{TRANSCRIPTION}.delta"])


def told_by(line: Line, sign: str) -> list[Any]:
    fields = {} if sign == STARTED else {"delta": "x"}
    return [e for e in line.take(sign, item_id="u1", **fields) if type(e) is not Ev.SpeechStarted]


@given(st.lists(SIGNS, min_size=1, max_size=6))
def test_one_interruption_and_one_cancel_a_response(signs: list[str]) -> None:
    line = Line()
    line.begin()
    assert [e for sign in signs for e in told_by(line, sign)] == [INTERRUPTED, Cancel("r1")]
    line.end(status="cancelled")
    assert [e for sign in signs for e in told_by(line, sign)] == []
    line.begin("r2")
    assert told_by(line, signs[0]) == [Ev.Interrupted(response_id="r2"), Cancel("r2")]


def test_nothing_to_interrupt() -> None:
    started = Ev.SpeechStarted(item_id="u1", audio_start_ms=120)
    assert Line().take(STARTED, item_id="u1", audio_start_ms=120) == [started]


@pytest.mark.parametrize(
    "value", [{"interrupt_response": False}, None], ids=["told not to", "manual turns"]
)
def test_interrupted_without_a_cancel(value: Any) -> None:
    line = Line(**detection(value))
    line.begin()
    assert told_by(line, STARTED) == [INTERRUPTED]


def test_late_audio_of_a_cancelled_response_is_not_heard() -> None:
    line = Line()
    delta = {"item_id": "a1", "output_index": 0, "content_index": 0, "delta": "AQID"}
    line.begin()
    (before,) = line.take("response.output_audio.delta", response_id="r1", **delta)
    assert (before.audio, before.response_id) == (b"\1\2\3", "r1")
    told_by(line, STARTED)
    assert line.take("response.output_audio.delta", response_id="r1", **delta) == []


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({}, True),
        (detection({"type": "server_vad"}), True),
        (detection({"interrupt_response": False}), False),
        (detection(None), False),
    ],
)
def test_which_sessions_interrupt(session: dict[str, Any], *, expected: bool) -> None:
    assert interrupts(session) is expected


# -- memory ---------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.none(), st.integers(1, 3)), max_size=8))
def test_memory_is_told_when_its_version_changes(versions: list[int | None]) -> None:
    line = Line()
    told: list[Any] = []
    for version in versions:
        state = {"version": version, "summary": "s"}
        told += line.take("session.updated", session={"providerData": {"memory": {"state": state}}})
    expected = [v for n, v in enumerate(versions) if v is None or n == 0 or v != versions[n - 1]]
    assert [event.state["version"] for event in told] == expected


# -- what is only renamed -------------------------------------------------------------------------

RENAMED: list[tuple[str, dict[str, Any], Any]] = [
    (
        "input_audio_buffer.speech_stopped",
        {"item_id": "u1", "audio_end_ms": 900},
        Ev.SpeechStopped(item_id="u1", audio_end_ms=900),
    ),
    (
        "input_audio_buffer.turn_suggestion",
        {"item_id": "u1", "utterance_index": 0, "probability": 0.83, "trailing_silence_ms": 220},
        Ev.TurnSuggestion(
            item_id="u1", utterance_index=0, probability=0.83, trailing_silence_ms=220
        ),
    ),
    (
        "input_audio_buffer.turn_suggestion_revoked",
        {"item_id": "u1", "utterance_index": 0},
        Ev.TurnSuggestionRevoked(item_id="u1", utterance_index=0),
    ),
    (
        "input_audio_buffer.committed",
        {"item_id": "u1", "previous_item_id": None},
        Ev.InputCommitted(item_id="u1"),
    ),
    ("input_audio_buffer.cleared", {}, Ev.InputCleared()),
    (
        "input_audio_buffer.timeout_triggered",
        {"item_id": "u1", "audio_start_ms": 1, "audio_end_ms": 2},
        Ev.InputTimeout(item_id="u1", audio_start_ms=1, audio_end_ms=2),
    ),
    ("output_audio_buffer.started", {}, Ev.OutputAudioStarted()),
    ("output_audio_buffer.stopped", {}, Ev.OutputAudioStopped()),
    ("output_audio_buffer.cleared", {}, Ev.OutputAudioCleared()),
    (
        "response.output_audio.done",
        {"response_id": "r1", "item_id": "a1"},
        Ev.SpeakingDone(response_id="r1"),
    ),
    (
        "response.backchannel.audio.done",
        {"backchannel_id": "b1", "phrase": "uh-huh"},
        Ev.BackchannelDone(backchannel_id="b1", phrase="uh-huh"),
    ),
    (
        "response.backchannel.skipped",
        {"reason": "min_gap_not_elapsed"},
        Ev.BackchannelSkipped(reason="min_gap_not_elapsed"),
    ),
]


@pytest.mark.parametrize(("kind", "fields", "event"), RENAMED, ids=[row[0] for row in RENAMED])
def test_renamed(kind: str, fields: dict[str, Any], event: Any) -> None:
    assert Line().take(kind, **fields) == [event]


# -- function calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[], ['{"ci', 'ty":"Oslo"}']])
def test_arguments_and_a_name_that_only_the_item_has(pieces: list[str]) -> None:
    line = Line()
    ids = {"response_id": "r1", "item_id": "f1", "call_id": "c1"}
    item = {"id": "f1", "type": "function_call", "name": "get_weather", "call_id": "c1"}
    line.take("response.output_item.added", response_id="r1", item=item)
    for piece in pieces:
        assert line.take("response.function_call_arguments.delta", **ids, delta=piece) == []
    told = line.take("response.function_call_arguments.done", **ids, arguments='{"city":"Oslo"}')
    assert told == [
        Ev.FunctionCallArguments(call_id="c1", function="get_weather", arguments='{"city":"Oslo"}')
    ]


# -- laying over ----------------------------------------------------------------------------------

LEAVES = st.one_of(st.none(), st.integers(), st.lists(st.integers(), max_size=2))
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), st.one_of(LEAVES, inner), max_size=3),
    max_leaves=8,
)


@given(OBJECTS, OBJECTS)
def test_laying_over(base: dict[str, Any], over: dict[str, Any]) -> None:
    merged = laid_over(base, over)
    assert laid_over(merged, over) == merged
    assert merged.keys() == base.keys() | over.keys()
    for name, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            assert merged[name] == laid_over(base[name], value)
        else:
            assert merged[name] == value
    assert all(merged[name] == base[name] for name in base.keys() - over.keys())
