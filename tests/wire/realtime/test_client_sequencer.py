"""The sequencer against a server that is honest, slow, and begins responses of its own."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voxpy.wire.realtime.client.sequencer import ResponseSequencer
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import ConversationItemCreate, ResponseCreate
from voxpy.wire.realtime.events.types import ClientEvent, Error, ServerEvent

RACE = "conversation_already_has_active_response"


class Server:
    """One response at a time; events travel in two queues, so both sides act on old news."""

    def __init__(self, *, names_errors: bool, hasty: bool) -> None:
        self.hasty = hasty
        self.coming: deque[ClientEvent] = deque()
        self.going: deque[ServerEvent] = deque()
        self.active: str | None = None
        self.began: list[tuple[int, str]] = []  # when, and for which voice
        self.outputs: dict[str, int] = {}  # call id -> when it came
        self.log = itertools.count()
        self._ids = itertools.count()
        self._names_errors = names_errors

    def begin(self, voice: str) -> None:
        self.active = f"r{next(self._ids)}"
        self.began.append((next(self.log), voice))
        self.going.append(se.ResponseCreated(response={"id": self.active}))

    def end(self, status: str, calls: list[str]) -> None:
        output = [{"type": "function_call", "call_id": c, "name": "f"} for c in calls]
        self.going.append(
            se.ResponseDone(response={"id": self.active, "status": status, "output": output})
        )
        self.active = None

    def may_end(self) -> bool:
        """A response lasts longer than the way there and back, unless the server is hasty."""
        return self.active is not None and (self.hasty or not (self.coming or self.going))

    def read(self) -> None:
        event = self.coming.popleft()
        if isinstance(event, ConversationItemCreate):
            call_id = event.item["call_id"]
            assert call_id not in self.outputs, "an output came twice"
            self.outputs[call_id] = next(self.log)
            self.going.append(se.ConversationItemAdded(item=event.item))
            return
        assert isinstance(event, ResponseCreate)
        assert event.event_id is not None
        if self.active is None:
            self.begin(_voice(event))
        else:
            name = event.event_id if self._names_errors else None
            self.going.append(se.ErrorEvent(error=Error(message="no", code=RACE, event_id=name)))


class SequencerMachine(RuleBasedStateMachine):
    """Nothing in flight twice, every output once, nothing that was asked for lost."""

    def __init__(self) -> None:
        super().__init__()
        self.sequencer = ResponseSequencer()
        self.server = self.make_server()
        self.asked: list[tuple[int, str]] = []
        self.batches: list[set[str]] = []
        self.unanswered: list[str] = []
        self.call_ids = itertools.count()

    @staticmethod
    def make_server() -> Server:
        return Server(names_errors=True, hasty=False)

    def send(self, events: list[ClientEvent]) -> None:
        self.server.coming.extend(events)

    @rule(voice=st.sampled_from(["a", "b"]))
    def ask(self, voice: str) -> None:
        self.asked.append((next(self.server.log), voice))
        self.send(self.sequencer.ask(ResponseCreate(response={"voice": voice})))

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(self.unanswered))
        self.unanswered.remove(call_id)
        self.send(self.sequencer.answer(call_id, "1", automatic=False))

    @precondition(lambda self: self.server.coming)
    @rule()
    def server_reads(self) -> None:
        self.server.read()

    @precondition(lambda self: self.server.active is None)
    @rule()
    def server_begins(self) -> None:
        self.server.begin("its own")

    @precondition(lambda self: self.server.may_end())
    @rule(n=st.integers(0, 3), status=st.sampled_from(["completed", "completed", "cancelled"]))
    def server_ends(self, n: int, status: str) -> None:
        calls = [f"c{next(self.call_ids)}" for _ in range(n)]
        self.server.end(status, calls)

    @precondition(lambda self: self.server.going)
    @rule()
    def client_reads(self) -> None:
        event = self.server.going.popleft()
        self.send(self.sequencer.follow(event))
        if isinstance(event, se.ResponseDone) and event.response["status"] == "completed":
            calls = [item["call_id"] for item in event.response["output"]]
            if calls:
                self.batches.append(set(calls))
                self.unanswered += calls

    @invariant()
    def at_most_one_create_in_flight(self) -> None:
        if self.server.hasty:
            return
        creates = [e for e in self.server.coming if isinstance(e, ResponseCreate)]
        refusals = [e for e in self.server.going if isinstance(e, se.ErrorEvent)]
        assert len(creates) + len(refusals) <= 1

    @invariant()
    def no_output_is_known_before_its_batch(self) -> None:
        assert set(self.server.outputs) <= set().union(*self.batches, set())

    def teardown(self) -> None:
        for _ in range(10_000):
            if self.unanswered:
                call_id = self.unanswered.pop()
                self.send(self.sequencer.answer(call_id, "1", automatic=False))
            elif self.server.coming:
                self.server.read()
            elif self.server.going:
                self.client_reads()
            elif self.server.may_end():
                self.server.end("completed", [])
            elif self.server.hasty and not self.sequencer.idle:
                self.server.begin("its own")  # whatever it waits for, life goes on
            else:
                break
        assert self.sequencer.idle
        self.check_that_nothing_is_lost()

    def check_that_nothing_is_lost(self) -> None:
        for when, voice in self.asked:
            assert any(at > when and v == voice for at, v in self.server.began)
        for batch in self.batches:
            last = max(self.server.outputs[call_id] for call_id in batch)
            assert any(at > last for at, _ in self.server.began)


class NamelessErrors(SequencerMachine):
    """The same with a server that does not say which event it refuses, as Inworld's sample does."""

    @staticmethod
    def make_server() -> Server:
        return Server(names_errors=False, hasty=False)


class Hasty(SequencerMachine):
    """A server whose responses may be over before a message arrives; but it names its errors."""

    @staticmethod
    def make_server() -> Server:
        return Server(names_errors=True, hasty=True)


TestSequencer = SequencerMachine.TestCase
TestNamelessErrors = NamelessErrors.TestCase
TestHasty = Hasty.TestCase
TestSequencer.settings = TestNamelessErrors.settings = TestHasty.settings = settings(
    max_examples=60, stateful_step_count=40
)


def _voice(event: ResponseCreate) -> str:
    response: dict[str, Any] = event.response or {}
    return str(response.get("voice", "for tools"))
