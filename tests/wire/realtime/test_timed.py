"""The limits of what the server does by itself: back-channel, filler, memory, idle timeout."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.testing.joined import Talk
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.server import effects as fx

MS = b"\1\0" * 24


def enabled(branch: str, **settings: Any) -> dict[str, Any]:
    return {"providerData": {branch: {"enabled": True, **settings}}}


def asked(talk: Talk, kind: type[Any]) -> list[Any]:
    return [effect for effect in talk.asked if isinstance(effect, kind)]


def seen(talk: Talk, kind: type[Any]) -> list[Any]:
    return [event for event in talk.events if isinstance(event, kind)]


def speaking(**settings: Any) -> Talk:
    """A caller who has begun to speak, words and all, to a session with a back-channel."""
    talk = Talk(session=enabled("backchannel", **settings))
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.transcript_delta("Well you see", talk.now)
    talk.settle()
    return talk


def deliver(talk: Talk, phrase: str = "uh-huh") -> bool:
    backchannel_id = talk.last(fx.ConsiderBackchannel).backchannel_id
    talk.server.backchannel_audio(backchannel_id, MS * 100, talk.now)
    done = talk.server.backchannel_done(backchannel_id, phrase, talk.now)
    talk.settle()
    return done


# -- back-channel --------------------------------------------------------------


def test_min_speech_ms() -> None:
    talk = speaking(min_speech_ms=2000)
    talk.wait(2.3)
    assert not asked(talk, fx.ConsiderBackchannel)
    talk.wait(0.2)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 1


def test_max_per_turn_and_a_new_turn() -> None:
    talk = speaking(max_per_turn=2, min_gap_ms=0)
    for _ in range(6):
        talk.wait(0.8)
        deliver(talk)
    assert len(seen(talk, se.ResponseBackchannelAudioDone)) == 2
    talk.server.speech_stopped(1, talk.now)
    talk.settle(talk.server.transcript_completed("", talk.now))
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.wait(0.8)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 2, "no words of this turn yet"
    talk.server.transcript_delta("And", talk.now)
    talk.wait(0.8)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 3


def test_the_gap_counts_across_turns() -> None:
    talk = speaking(min_gap_ms=4000)
    talk.wait(0.8)
    assert deliver(talk)
    talk.server.speech_stopped(1, talk.now)
    talk.settle(talk.server.transcript_completed("", talk.now))
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.transcript_delta("And", talk.now)
    talk.wait(3.9)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 1
    skipped = seen(talk, se.ResponseBackchannelSkipped)
    assert {(s.backchannel_id, s.reason) for s in skipped} == {(None, "min_gap_not_elapsed")}
    talk.wait(0.2)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 2


def test_require_pause() -> None:
    talk = speaking(require_pause=True)
    talk.wait(2)
    talk.server.speech_paused(talk.now, silence_ms=200, probability=0.6)
    talk.server.speech_resumed(talk.now)
    talk.wait(1)
    assert not asked(talk, fx.ConsiderBackchannel)
    talk.server.speech_paused(talk.now, silence_ms=200, probability=0.6)
    talk.wait(0.8)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 1


def test_only_allowed_phrases_are_said() -> None:
    talk = speaking(allowed_phrases=["mm"], min_gap_ms=0)
    talk.wait(0.8)
    assert talk.last(fx.ConsiderBackchannel).allowed_phrases == ("mm",)
    assert not deliver(talk, "uh-huh")
    assert [s.reason for s in seen(talk, se.ResponseBackchannelSkipped)] == ["no_phrase"]
    talk.wait(0.8)
    assert deliver(talk, "mm")


def test_silence_is_no_back_channel() -> None:
    talk = speaking()
    talk.wait(0.8)
    backchannel_id = talk.last(fx.ConsiderBackchannel).backchannel_id
    assert not talk.server.backchannel_done(backchannel_id, "mm", talk.now)
    talk.settle()
    assert seen(talk, se.ResponseBackchannelSkipped)


def test_nothing_is_said_after_the_deadline_even_if_nobody_ticks() -> None:
    talk = speaking()
    talk.wait(0.8)
    effect = talk.last(fx.ConsiderBackchannel)
    assert effect.deadline == pytest.approx(2.3)
    assert talk.server.backchannel_audio(effect.backchannel_id, MS, 2.2)
    assert not talk.server.backchannel_done(effect.backchannel_id, "mm", 2.3)
    talk.settle()
    assert [s.reason for s in seen(talk, se.ResponseBackchannelSkipped)] == ["deadline_missed"]


def test_the_agent_does_not_interrupt_itself() -> None:
    session = enabled("backchannel")
    session["audio"] = {"input": {"turn_detection": {"interrupt_response": False}}}
    talk = Talk(session=session)
    talk.send("response.create")
    talk.answer("A long story", length_ms=3000)
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.transcript_delta("But", talk.now)
    talk.wait(2.9)
    assert not asked(talk, fx.ConsiderBackchannel)
    talk.wait(0.5)
    assert asked(talk, fx.ConsiderBackchannel)


def test_switching_on_and_off_in_mid_speech() -> None:
    talk = Talk()
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.transcript_delta("Well", talk.now)
    talk.wait(3)
    assert talk.server.next_deadline() is None
    talk.send("session.update", session=enabled("backchannel"))
    talk.wait(0.8)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 1
    talk.send("session.update", session={"providerData": {"backchannel": {"enabled": False}}})
    assert not deliver(talk)
    talk.wait(3)
    assert len(asked(talk, fx.ConsiderBackchannel)) == 1


@given(st.lists(st.floats(0, 5), max_size=12))
def test_however_late_the_clock_is_there_is_one_look_and_no_burst(steps: list[float]) -> None:
    talk = speaking(min_gap_ms=0, max_per_turn=100, hard_deadline_ms=100)
    now = 0.0
    for step in steps:
        now += step
        before = len(asked(talk, fx.ConsiderBackchannel))
        talk.settle(talk.server.tick(now))
        assert len(asked(talk, fx.ConsiderBackchannel)) <= before + 1
        due = talk.server.next_deadline()
        assert due is not None
        assert now < due <= now + 0.8 + 1e-9


# -- filler --------------------------------------------------------------


def test_fillers_keep_their_gap_and_their_number() -> None:
    settings = {
        "enable_filler_on_first_assistant_reply": True,
        "max_initial_per_turn": 2,
        "min_filler_gap_ms": 3000,
    }
    talk = Talk(session=enabled("responsiveness", **settings))
    talk.turn("Hello")
    times = []
    for _ in range(10):
        before = len(asked(talk, fx.Fill))
        talk.wait(1)
        if len(asked(talk, fx.Fill)) > before:
            times.append(talk.now)
            assert talk.server.filler_audio("resp_1", MS * 500, talk.now)
    assert times == [3.0, 7.0]  # 1 s of speech, 1.2 s; 0.5 s of filler, 3 s; looked at each second


def test_the_wait_begins_with_the_end_of_the_turn() -> None:
    settings = {"enable_filler_on_first_assistant_reply": True}
    talk = Talk(session=enabled("responsiveness", **settings))
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.server.speech_stopped(500, talk.now)
    talk.wait(1.0)  # the recogniser is slow
    talk.settle(talk.server.transcript_completed("Hello", talk.now))
    talk.wait(0.25)
    (fill,) = asked(talk, fx.Fill)
    assert fill.deadline == pytest.approx(1.2 + 2.0)


def test_no_filler_for_text_or_after_anything_was_said() -> None:
    settings = {"enable_filler_on_first_assistant_reply": True}
    talk = Talk(session=enabled("responsiveness", **settings))
    talk.send("response.create", response={"output_modalities": ["text"]})
    talk.wait(5)
    talk.answer("Written.")
    talk.send("response.create")
    talk.server.call_tool("resp_2", "f", "{}", talk.now)
    talk.wait(5)
    assert not asked(talk, fx.Fill)


def test_a_filler_is_audio_without_words() -> None:
    """Cut within the filler, nothing was understood; cut after it, words count from its end."""
    for end_ms, understood in ((400, ""), (1000, "one two"), (1500, "one two three four")):
        settings = {"enable_filler_on_first_assistant_reply": True}
        talk = Talk(session=enabled("responsiveness", **settings))
        talk.turn("Count")
        talk.wait(1.2)
        talk.server.filler_audio("resp_1", MS * 500, talk.now)
        talk.server.text("resp_1", "one two three four", talk.now)
        talk.server.audio("resp_1", MS * 1000, talk.now)
        talk.server.finish("resp_1", talk.now)
        talk.settle()
        assert talk.client.produced_ms("item_2") == pytest.approx(1500)
        cut = {"item_id": "item_2", "content_index": 0, "audio_end_ms": end_ms}
        talk.send("conversation.item.truncate", **cut)
        assert talk.server.items[-1]["content"][0]["transcript"] == understood


def test_a_filler_for_another_response_is_refused_and_the_right_one_still_comes() -> None:
    settings = {"enable_filler_on_first_assistant_reply": True}
    talk = Talk(session=enabled("responsiveness", **settings))
    talk.turn("Hello")
    talk.wait(1.2)
    assert not talk.server.filler_audio("resp_9", MS, talk.now)
    assert talk.server.filler_audio("resp_1", MS, talk.now)
    assert not talk.server.filler_audio("resp_1", MS, talk.now)


# -- memory --------------------------------------------------------------


def test_summarised_items_are_trimmed_but_for_the_last_turn() -> None:
    talk = Talk(session=enabled("memory", turn_interval=2, trim_after_summarize=True))
    for n in range(6):
        talk.turn(f"Turn {n}")
        talk.answer("Yes.")
        if n % 2:
            talk.server.memory({"facts": [], "summary": f"{n}"}, talk.now)
            talk.settle()
            assert len(talk.server.items) == 2
    state = talk.client.session["providerData"]["memory"]["state"]
    assert (state["version"], state["total_turns"], state["items_trimmed"]) == (3, 6, 10)
    assert [s.session["providerData"]["memory"]["state"]["version"] for s in _updates(talk)] == [
        1,
        2,
        3,
    ]


def _updates(talk: Talk) -> list[Any]:
    return [
        update
        for update in seen(talk, se.SessionUpdated)
        if update.session["providerData"]["memory"].get("state")
    ]


def test_a_seeded_memory_goes_on() -> None:
    seed = {"version": 7, "facts": ["Ann"], "total_turns": 40, "items_trimmed": 5}
    talk = Talk(session=enabled("memory", turn_interval=1, state=seed))
    talk.turn("Hello again")
    talk.answer("Hello Ann")
    assert talk.last(fx.Summarise).state == seed
    talk.server.memory({"facts": ["Ann", "is back"]}, talk.now)
    talk.settle()
    state = talk.client.session["providerData"]["memory"]["state"]
    assert (state["version"], state["total_turns"], state["items_trimmed"]) == (8, 41, 5)


def test_what_is_a_turn() -> None:
    """Tool rounds, greetings and cancelled responses are none; typed messages are."""
    talk = Talk(session=enabled("memory", turn_interval=3))
    talk.send("response.create")
    talk.answer("Welcome")
    talk.turn("Weather?")
    talk.server.call_tool("resp_2", "f", "{}", talk.now)
    talk.server.finish("resp_2", talk.now)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
    talk.send("conversation.item.create", item=output)
    talk.answer("Rain")
    talk.turn("Oh")
    talk.send("response.cancel")
    content = [{"type": "input_text", "text": "Typed"}]
    message = {"type": "message", "role": "user", "content": content}
    talk.send("conversation.item.create", item=message)
    talk.send("response.create")
    talk.answer("Read")
    assert not asked(talk, fx.Summarise)
    talk.turn("Third")
    talk.answer("Yes")
    assert len(asked(talk, fx.Summarise)) == 1


def test_a_memory_nobody_wants_any_more() -> None:
    talk = Talk(session=enabled("memory", turn_interval=1))
    talk.turn("Hello")
    talk.answer("Hi")
    talk.send("session.update", session={"providerData": {"memory": {"enabled": False}}})
    assert not talk.server.memory({"summary": "s"}, talk.now)
    assert "state" not in talk.client.session["providerData"]["memory"]


# -- idle timeout --------------------------------------------------------------


def idle(timeout_ms: int = 5000) -> Talk:
    detection = {"type": "server_vad", "idle_timeout_ms": timeout_ms}
    talk = Talk(session={"audio": {"input": {"turn_detection": detection}}})
    talk.send("response.create")
    talk.answer("Hello?", length_ms=2000)
    return talk


def test_speech_stops_the_idle_clock_and_a_noise_starts_it_anew() -> None:
    talk = idle()
    talk.wait(4)
    talk.settle(talk.server.speech_started(0, talk.now))
    talk.wait(10)
    assert not seen(talk, se.InputAudioBufferTimeoutTriggered)
    talk.server.speech_stopped(1, talk.now)
    talk.settle(talk.server.transcript_completed("", talk.now))
    talk.wait(4.9)
    assert not seen(talk, se.InputAudioBufferTimeoutTriggered)
    talk.wait(0.2)
    assert len(seen(talk, se.InputAudioBufferTimeoutTriggered)) == 1
    assert talk.server.active_response_id == "resp_2"
    assert any(isinstance(effect, fx.InputCleared) for effect in talk.asked)


def test_clearing_the_output_starts_the_idle_clock_earlier() -> None:
    talk = idle()
    talk.wait(0.5)
    talk.send("output_audio_buffer.clear")
    talk.wait(5)
    assert len(seen(talk, se.InputAudioBufferTimeoutTriggered)) == 1


def test_the_idle_timeout_can_be_changed_while_it_runs() -> None:
    talk = idle()
    talk.wait(4)
    detection: dict[str, Any] = {"type": "server_vad", "idle_timeout_ms": None}
    talk.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    assert talk.server.next_deadline() is None
    detection["idle_timeout_ms"] = 1000
    talk.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    talk.wait(0)
    assert len(seen(talk, se.InputAudioBufferTimeoutTriggered)) == 1


def test_the_silence_told_is_no_longer_than_what_was_appended() -> None:
    talk = idle()
    talk.append(MS * 300)
    talk.wait(7)
    (timeout,) = seen(talk, se.InputAudioBufferTimeoutTriggered)
    assert (timeout.audio_start_ms, timeout.audio_end_ms) == (0, 300)
