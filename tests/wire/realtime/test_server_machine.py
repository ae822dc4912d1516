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

from voxpy.wire.realtime import effects as fx
from voxpy.wire.realtime import server_events as se
from voxpy.wire.realtime.codec import parse_server
from voxpy.wire.realtime.server import RealtimeServer
from voxpy.wire.realtime.types import ServerEvent, Unknown

short_text = st.text("ab ", max_size=8)
audio = st.integers(0, 4000).map(lambda samples: b"\1\0" * samples)
turn_detections = st.sampled_from(
    [
        None,
        {"type": "server_vad"},
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
        "providerData": st.fixed_dictionaries({"auto_tool_response": st.booleans()}),
    },
)


class Conversation(RuleBasedStateMachine):
    """Drives a server and reads everything it says."""

    @initialize()
    def connect(self) -> None:
        ids = itertools.count()
        self.server = RealtimeServer(session_id="sess", new_id=lambda kind: f"{kind}_{next(ids)}")
        self.now = 0.0
        self.active: str | None = None
        self.created: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.responding: set[str] = set()
        self.item_ids: list[str] = []
        self.event_ids: list[str] = []
        self.calls: list[str] = []
        self.ever: list[str] = ["resp_none"]
        self.server.open()

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
        self.server.speech_stopped(10)

    @rule(text=short_text)
    def transcript(self, text: str) -> None:
        self.server.transcript_delta(text)

    @rule(text=short_text)
    def completed(self, text: str) -> None:
        self.take(self.server.transcript_completed(text, self.now))

    # -- the brain and the voice, often too late

    @rule(data=st.data(), text=short_text)
    def say(self, data: st.DataObject, text: str) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        assert self.server.text(response_id, text) == (response_id in self.responding)

    @rule(data=st.data(), pcm=audio)
    def voice(self, data: st.DataObject, pcm: bytes) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        taken = self.server.audio(response_id, pcm, self.now)
        assert not taken or response_id in self.responding

    @rule(data=st.data())
    def tool(self, data: st.DataObject) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        taken = self.server.call_tool(response_id, "f", "{}")
        assert taken == (response_id in self.responding)

    @rule(data=st.data(), how=st.sampled_from(["finish", "fail", "incomplete"]))
    def end(self, data: st.DataObject, how: str) -> None:
        response_id = data.draw(st.sampled_from(self.ever[-3:]))
        if how == "fail":
            taken = self.server.fail(response_id, "no")
        else:
            incomplete = "content_filter" if how == "incomplete" else None
            taken = self.server.finish(response_id, self.now, incomplete=incomplete)
        assert taken == (response_id in self.responding)
        self.responding.discard(response_id)
        self.take(self.server.effects())

    @rule(seconds=st.floats(0, 2))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # -- what was said

    @invariant()
    def everything_said_holds(self) -> None:
        for frame in self.server.outgoing():
            event = parse_server(frame)
            assert not isinstance(event, Unknown)
            assert event.event_id is not None
            self.event_ids.append(event.event_id)
            self._follow(event)
        assert self.server.active_response_id == self.active
        assert {self.active} - {None} == self.responding
        assert len(set(self.event_ids)) == len(self.event_ids)
        assert len(set(self.item_ids)) == len(self.item_ids)
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
                self.item_ids.append(event.item["id"])
            case se.ResponseFunctionCallArgumentsDone():
                self.calls.append(str(event.call_id))
        response_id = getattr(event, "response_id", None)
        if response_id is not None:
            assert response_id == self.active, "something of a response that is over"

    @invariant()
    def items_are_in_order_and_final(self) -> None:
        ids = [item["id"] for item in self.server.items]
        assert len(set(ids)) == len(ids)
        if self.active is None:
            assert all(item.get("status") != "in_progress" for item in self.server.items)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
