"""Any order of client events, ears and voice: what every client relies on must hold."""

from __future__ import annotations

import base64
import itertools
from collections import Counter
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voxpy.wire.realtime.client.protocol import Audio, RealtimeClient
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.codec import parse_server
from voxpy.wire.realtime.events.types import ServerEvent, Unknown
from voxpy.wire.realtime.server import effects as fx
from voxpy.wire.realtime.server.protocol import RealtimeServer
from voxpy.wire.realtime.server.quirks import Quirks

short_text = st.text("ab ", max_size=8)
audio = st.integers(0, 4000).map(lambda samples: b"\1\0" * samples)
turn_detections = st.sampled_from(
    [
        None,
        {"type": "server_vad"},
        {"type": "server_vad", "idle_timeout_ms": 700},
        {"type": "server_vad", "idle_timeout_ms": 50},
        {"type": "semantic_vad", "interrupt_response": True},
        {"interrupt_response": False},
        {"create_response": False},
    ]
)
sessions = st.fixed_dictionaries(
    {},
    optional={
        "output_modalities": st.sampled_from([["audio"], ["text"], ["audio", "text"], []]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "turn_detection": turn_detections,
                        "transcription": st.sampled_from([None, {}]),
                        "format": st.sampled_from(["pcm16", "g711_ulaw", "opus"]),
                    },
                ),
                "output": st.fixed_dictionaries(
                    {}, optional={"format": st.sampled_from(["pcm16", "g711_alaw", "float32"])}
                ),
            },
        ),
        "providerData": st.fixed_dictionaries(
            {},
            optional={
                "auto_tool_response": st.booleans(),
                "backchannel": st.fixed_dictionaries(
                    {"enabled": st.booleans()},
                    optional={
                        "eval_interval_ms": st.sampled_from([0, 100, 800]),
                        "min_speech_ms": st.sampled_from([0, 800]),
                        "min_gap_ms": st.sampled_from([0, 1000]),
                        "max_per_turn": st.integers(0, 3),
                        "decider_kind": st.sampled_from(["llm", "rule"]),
                        "allowed_phrases": st.sampled_from([[], ["mm"], ["aha", "so"]]),
                    },
                ),
                "responsiveness": st.fixed_dictionaries(
                    {"enabled": st.booleans(), "initial_wait_timeout_ms": st.integers(0, 500)},
                    optional={
                        "enable_filler_on_first_assistant_reply": st.booleans(),
                        "min_filler_gap_ms": st.sampled_from([0, 500]),
                        "max_initial_per_turn": st.integers(0, 3),
                    },
                ),
                "memory": st.fixed_dictionaries(
                    {
                        "enabled": st.booleans(),
                        "turn_interval": st.integers(0, 3),
                        "trim_after_summarize": st.booleans(),
                        "max_transcript_items": st.integers(0, 4),
                    }
                ),
            },
        ),
    },
)


EVERYTHING: dict[str, Any] = {
    "audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 900}}},
    "providerData": {
        "backchannel": {"enabled": True, "min_gap_ms": 1000, "hard_deadline_ms": 500},
        "responsiveness": {
            "enabled": True,
            "enable_filler_on_first_assistant_reply": True,
            "initial_wait_timeout_ms": 300,
            "min_filler_gap_ms": 500,
            "max_initial_per_turn": 2,
        },
        "memory": {"enabled": True, "turn_interval": 1, "trim_after_summarize": True},
    },
}
quirks = st.builds(
    Quirks,
    null_call_previous_id=st.booleans(),
    end_padding=st.booleans(),
    transcription=st.sampled_from(["before_response", "after_created", "after_done"]),
    transcript_deltas=st.sampled_from(["cumulative", "additive"]),
    manual_vad_events=st.booleans(),
    ping_interval_s=st.sampled_from([None, 1.0]),
    exhausted_at_response=st.sampled_from([None, 1]),
    create_response_ignored=st.booleans(),
    auto_tool_response=st.booleans(),
)


class Conversation(RuleBasedStateMachine):
    """Drives a server and reads everything it says."""

    @initialize(quirks=quirks, features=st.sampled_from([True, True, True, False]))
    def connect(self, quirks: Quirks, features: bool) -> None:
        ids = itertools.count()
        self.quirks = quirks
        self.server = RealtimeServer(
            session_id="sess", new_id=lambda kind: f"{kind}_{next(ids)}", quirks=quirks
        )
        self.client = RealtimeClient()
        self.attempt: fx.ConsiderBackchannel | None = None
        self.attempts: Counter[str | None] = Counter()
        self.considered: list[str] = []
        self.filling: set[str] = set()
        self.summarising = False
        self.order: list[str] = []
        self.audio_out: Counter[str] = Counter()
        self.audio_in: Counter[str] = Counter()
        self.now = 0.0
        self.active: str | None = None
        self.created: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.responding: set[str] = set()
        self.item_ids: list[str] = []
        self.event_ids: list[str] = []
        self.calls: list[str] = []
        self.recordings: list[str] = []
        self.ever: list[str] = ["resp_none"]
        self.server.open()
        if features:
            self.send("session.update", session=EVERYTHING)

    def send(self, kind: str, **fields: Any) -> None:
        given = {name: value for name, value in fields.items() if value is not None}
        self.take(self.server.receive(orjson.dumps({"type": kind, **given}), self.now))

    def take(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Respond):
                assert not self.responding, "two responses to generate at once"
                self.responding.add(effect.response_id)
                self.ever.append(effect.response_id)
            elif isinstance(effect, fx.Stop):
                self.responding.remove(effect.response_id)
            elif isinstance(effect, fx.ConsiderBackchannel):
                assert self.attempts[effect.backchannel_id] == 0
                assert effect.deadline > self.now
                self.attempt = effect
                self.considered.append(effect.backchannel_id)
            elif isinstance(effect, fx.Fill):
                assert effect.response_id == self.server.active_response_id
                self.filling.add(effect.response_id)
            elif isinstance(effect, fx.ItemAudio):
                self.recordings.append(effect.item_id)
            elif isinstance(effect, fx.Summarise):
                assert not self.summarising, "two summaries at once"
                self.summarising = True

    # -- the client

    @rule(session=sessions)
    def update(self, session: dict[str, Any]) -> None:
        self.send("session.update", session=session)

    @rule(data=audio)
    def append(self, data: bytes) -> None:
        self.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())

    @rule(
        kind=st.sampled_from(
            [
                "input_audio_buffer.commit",
                "input_audio_buffer.clear",
                "output_audio_buffer.clear",
                "response.create",
                "response.cancel",
                "no.such.event",
            ]
        )
    )
    def bare(self, kind: str) -> None:
        self.send(kind, event_id="mine")

    @rule(modalities=st.sampled_from([["text"], ["audio"], ["audio", "text"], ["smell"]]))
    def create_response(self, modalities: list[str]) -> None:
        self.send("response.create", response={"output_modalities": modalities})

    @rule(
        item_id=st.none() | st.sampled_from(["item_5", "mine", "item_9"]),
        after=st.sampled_from([None, "root", "mine"]),
        text=short_text,
    )
    def create_item(self, item_id: str | None, after: str | None, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"id": item_id, "type": "message", "role": "user", "content": content}
        self.send("conversation.item.create", item=item, previous_item_id=after)

    @rule(data=st.data())
    def answer_tool(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from([*self.calls, "call_none"]))
        item = {"type": "function_call_output", "call_id": call_id, "output": "1"}
        self.send("conversation.item.create", item=item)

    @rule(
        data=st.data(),
        verb=st.sampled_from(["truncate", "delete", "retrieve"]),
        end_ms=st.integers(-1, 300),
    )
    def touch_item(self, data: st.DataObject, verb: str, end_ms: int) -> None:
        item_id = data.draw(st.sampled_from([*self.item_ids, "none"]))
        extra = {"audio_end_ms": end_ms} if verb == "truncate" else {}
        self.send(f"conversation.item.{verb}", item_id=item_id, **extra)

    @rule(text=st.binary(max_size=20))
    def garbage(self, text: bytes) -> None:
        self.take(self.server.receive(text, self.now))

    # -- the ears

    @rule()
    def speech_started(self) -> None:
        self.take(self.server.speech_started(0, self.now))

    @rule()
    def speech_stopped(self) -> None:
        self.server.speech_stopped(10, self.now)
        self.take(self.server.effects())

    @rule()
    def pause(self) -> None:
        self.server.speech_paused(self.now, silence_ms=200, probability=0.5)

    @rule()
    def resume(self) -> None:
        self.server.speech_resumed(self.now)

    @rule(text=short_text)
    def transcript(self, text: str) -> None:
        self.server.transcript_delta(text)

    @rule(text=short_text)
    def completed(self, text: str) -> None:
        self.take(self.server.transcript_completed(text, self.now))

    @rule(part=st.sampled_from(["AAAA", "AA", "A"]))
    def recording(self, part: str) -> None:
        """A message of the caller's in sound; a client commits or asks in the same breath."""
        content = [{"type": "input_audio", "audio": part}]
        item = {"type": "message", "role": "user", "content": content}
        self.send("conversation.item.create", item=item)

    @rule(text=short_text, fails=st.booleans())
    def recording_heard(self, text: str, fails: bool) -> None:
        if self.recordings:
            item_id = self.recordings.pop(0)
            if fails:
                self.take(self.server.transcript_failed("no", self.now, item_id=item_id))
            else:
                self.take(self.server.transcript_completed(text, self.now, item_id=item_id))

    # -- stretches of a call that chance alone would hardly bring about

    def on_the_clock(self, until: float) -> None:
        while (due := self.server.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.tick()
        self.now = max(self.now, until)

    @rule(text=st.sampled_from(["so", "so I"]), seconds=st.floats(0.5, 3))
    def talks(self, text: str, seconds: float) -> None:
        self.speech_started()
        self.server.transcript_delta(text, self.now)
        self.on_the_clock(self.now + seconds)

    @rule(pcm=audio)
    def is_listened_to(self, pcm: bytes) -> None:
        """The caller speaks until the server would like an "uh-huh", and then there is one."""
        self.speech_started()
        self.server.transcript_delta("so", self.now)
        asked = len(self.considered)
        for _ in range(6):
            due = self.server.next_deadline()
            if due is not None and len(self.considered) == asked:
                self.now = max(self.now, due)
                self.tick()
        if len(self.considered) > asked:
            self.backchannel(pcm, "mm", "d")

    @rule(text=st.sampled_from(["", "yes"]), seconds=st.floats(0, 2))
    def turn_and_wait(self, text: str, seconds: float) -> None:
        self.speech_started()
        self.speech_stopped()
        self.take(self.server.transcript_completed(text, self.now))
        self.on_the_clock(self.now + seconds)

    @rule(text=st.sampled_from(["yes", "no"]), pcm=audio)
    def whole_turn(self, text: str, pcm: bytes) -> None:
        self.turn_and_wait(text, 0)
        self.answers(pcm)

    @rule(pcm=audio)
    def answers(self, pcm: bytes) -> None:
        for response_id in sorted(self.responding):
            self.server.text(response_id, "yes", self.now)
            if self.server.audio(response_id, pcm, self.now):
                self.audio_in[response_id] += len(pcm)
            self.responding.discard(response_id)
            assert self.server.finish(response_id, self.now)
        self.take(self.server.effects())

    # -- the brain and the voice, often too late

    @rule(data=st.data(), text=short_text)
    def say(self, data: st.DataObject, text: str) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        assert self.server.text(response_id, text) == (response_id == self.active)

    @rule(data=st.data(), pcm=audio, odd=st.binary(max_size=3))
    def voice(self, data: st.DataObject, pcm: bytes, odd: bytes) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        taken = self.server.audio(response_id, pcm + odd, self.now)
        assert not taken or response_id == self.active
        if taken:
            self.audio_in[response_id] += len(pcm + odd)

    @rule(data=st.data())
    def tool(self, data: st.DataObject) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        taken = self.server.call_tool(response_id, "f", "{}")
        assert taken == (response_id == self.active)

    @rule(data=st.data(), how=st.sampled_from(["finish", "fail", "incomplete"]))
    def end(self, data: st.DataObject, how: str) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        if how == "fail":
            taken = self.server.fail(response_id, "no")
        else:
            incomplete = "content_filter" if how == "incomplete" else None
            taken = self.server.finish(response_id, self.now, incomplete=incomplete)
        assert taken == (response_id == self.active)
        self.responding.discard(response_id)
        self.take(self.server.effects())

    # -- beside the response, often too late

    @rule(pcm=audio, phrase=st.sampled_from(["mm", "so", "no"]), how=st.sampled_from("dds"))
    def backchannel(self, pcm: bytes, phrase: str, how: str) -> None:
        if self.attempt is None:
            return
        attempt = self.attempt.backchannel_id
        over = self.attempts[attempt] > 0
        if how == "s":
            assert self.server.backchannel_skipped(attempt, "no_phrase", self.now) <= (not over)
            return
        self.server.backchannel_audio(attempt, pcm, self.now)
        done = self.server.backchannel_done(attempt, phrase, self.now)
        allowed = self.attempt.allowed_phrases
        # What is allowed now may differ from what was allowed when it was asked for.
        backchannel = self.server.session["providerData"].get("backchannel") or {}
        if done:
            assert not over
            assert self.now < self.attempt.deadline
            assert phrase in (backchannel.get("allowed_phrases") or allowed or [phrase])

    @rule(pcm=audio)
    def filler(self, pcm: bytes) -> None:
        for response_id in sorted(self.filling):
            taken = self.server.filler_audio(response_id, pcm, self.now)
            assert not taken or response_id == self.active, "it may wait for words, but it is there"
            if taken:
                self.audio_in[response_id] += len(pcm)
        self.filling.clear()

    @rule(summary=short_text)
    def memory(self, summary: str) -> None:
        wanted = self.server.session["providerData"].get("memory") or {}
        told = self.server.memory({"facts": ["f"], "summary": summary}, self.now)
        assert told == (self.summarising and bool(wanted.get("enabled")))
        self.summarising = False
        self.take(self.server.effects())

    # -- time, kept well or badly

    @rule(seconds=st.floats(0, 2))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def on_time(self) -> None:
        due = self.server.next_deadline()
        if due is not None:
            self.now = max(self.now, due)
        self.tick()

    @rule()
    def tick(self) -> None:
        self.take(self.server.tick(self.now))
        after = self.server.next_deadline()
        assert after is None or after > self.now, "due again at once: the clock would spin"

    # -- what was said

    @invariant()
    def everything_said_holds(self) -> None:
        for frame in self.server.outgoing():
            if b'"errorType"' in frame:
                continue
            for heard in self.client.receive(frame):
                if isinstance(heard, Audio) and not heard.backchannel:
                    self.audio_out[heard.response_id] += len(heard.data)
            event = parse_server(frame)
            assert not isinstance(event, Unknown)
            assert event.event_id is not None
            self.event_ids.append(event.event_id)
            self._follow(event)
        self._items_are_where_the_events_put_them()
        self._audio_is_whole()
        assert self.server.active_response_id == self.active
        asked_for = {self.active} - {None}
        assert self.responding <= asked_for
        assert self.responding == asked_for or self.server._state.turns.awaited
        assert len(set(self.event_ids)) == len(self.event_ids)
        assert self.trimmed or len(set(self.item_ids)) == len(self.item_ids)
        assert all(count == 1 for count in (self.created | self.done).values())
        assert set(self.created) - set(self.done) == {self.active} - {None}

    def _follow(self, event: ServerEvent) -> None:
        match event:
            case se.ResponseCreated():
                assert self.active is None, "two active responses"
                self.active = event.response["id"]
                self.created[event.response["id"]] += 1
            case se.ResponseDone():
                assert self.active == event.response["id"], "done without being active"
                self.done[event.response["id"]] += 1
                self.active = None
            case se.ConversationItemAdded():
                self._follow_item(event)
            case se.ConversationItemDeleted():
                self.order.remove(event.item_id)
            case se.ResponseBackchannelAudioDone() | se.ResponseBackchannelSkipped():
                if event.backchannel_id is not None:
                    self.attempts[event.backchannel_id] += 1
                    assert self.attempts[event.backchannel_id] == 1
            case se.ResponseFunctionCallArgumentsDone():
                self.calls.append(str(event.call_id))
        response_id = getattr(event, "response_id", None)
        if response_id is not None:
            assert response_id == self.active, "something of a response that is over"

    def _follow_item(self, event: se.ConversationItemAdded) -> None:
        """Keep the order that the events tell."""
        item_id, before = event.item["id"], event.previous_item_id
        self.item_ids.append(item_id)
        is_call = event.item["type"] == "function_call"
        if is_call and self.quirks.null_call_previous_id:
            assert before is None
            self.order.append(item_id)
        elif before is None or before not in self.order:
            assert before is None, "follows an item that nobody was told of"
            self.order.insert(0, item_id)
        else:
            self.order.insert(self.order.index(before) + 1, item_id)

    @property
    def trimmed(self) -> int:
        """Items the server forgot once they were summarised; their ids may be used again."""
        memory = self.server.session["providerData"].get("memory") or {}
        return int((memory.get("state") or {}).get("items_trimmed", 0))

    def _items_are_where_the_events_put_them(self) -> None:
        ids = [item["id"] for item in self.server.items]
        if self.trimmed:  # silently, from the front
            self.order = self.order[len(self.order) - len(ids) :]
        assert self.order == ids

    def _audio_is_whole(self) -> None:
        """Nothing is lost but half a sample at the end; nothing is added but the padding."""
        if self.quirks.end_padding:
            return
        for response_id, n_bytes in self.audio_in.items():
            assert 0 <= n_bytes - self.audio_out[response_id] < 4

    @invariant()
    def items_are_in_order_and_final(self) -> None:
        ids = [item["id"] for item in self.server.items]
        assert len(set(ids)) == len(ids)
        if self.active is None:
            assert all(item.get("status") != "in_progress" for item in self.server.items)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=100, stateful_step_count=40)
