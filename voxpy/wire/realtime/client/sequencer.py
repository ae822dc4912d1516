"""When a ``response.create`` may go: one at a time, and one for all tool outputs of a response.

A server has one response under way and refuses a second one: GA's code for that is
``conversation_already_has_active_response``. It also begins responses of its own, so a create may
be refused although we knew of no response. Then it waits for that one to end and is sent again.
Nothing that was asked for is lost; two creates that ask for the same and wait together are one.

::

    ask ──▶ waiting ──idle──▶ sent ──response.created──▶ taken ──response.done──▶ (gone)
               ▲                │                          │
               └── refused: another response is active ────┘     any other error: gone

``taken`` is a guess: the response that began may be the server's own. The refusal that follows then
tells, and the create goes back to waiting. The guess, and with it "one at a time", is sound as long
as a response lasts longer than the way there and back. A server so hasty that it begins and ends
one of its own within that time gets two creates at once and refuses one; if its refusals name the
event they are about, even then nothing is lost.

A response outside the conversation (``conversation: none``) may run beside another one: its create
does not wait, and it is nobody's turn. A response that we gave up (cancelled, or spoken over) holds
nothing back, as its ``response.done`` may never come; if the server does refuse the next create,
that one waits after all.

Once means once: a response ends once, and a call is answered once, however often the server names
it, in one response or in the next.

A create for tool outputs is also answered by a response that the server began of its own accord
after it had those outputs; asking once more would make the agent say it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.errors import LocalProtocolError
from voxpy.wire.realtime.events import server_events as se
from voxpy.wire.realtime.events.client_events import ConversationItemCreate, ResponseCreate
from voxpy.wire.realtime.events.types import (
    ClientEvent,
    Error,
    FunctionCall,
    Response,
    ServerEvent,
    function_calls,
)

KEPT_BATCHES = 16
"""Responses whose calls may still be answered."""

KEPT_CALLS = 512
"""Ids of calls and of ended responses that are known when they come again."""

KEPT_CREATES = 64
"""Creates that a late refusal may name."""

_ACTIVE_CODE = "conversation_already_has_active_response"
_ACTIVE_WORDS = "already has an active response"


def is_active_race(error: Error) -> bool:
    """Return whether an error says that a response is active already. By code, else by message."""
    return error.code == _ACTIVE_CODE if error.code else _ACTIVE_WORDS in error.message.lower()


@attrs.define(eq=False)
class _Wanted:
    """A response somebody wants. ``unacknowledged``: tool outputs the server has not confirmed."""

    event: ResponseCreate
    for_tools: bool = False
    unacknowledged: set[str] = attrs.field(factory=set)
    known_at: int | None = None
    resend: bool = True

    def acknowledge(self, call_id: str, step: int) -> None:
        self.unacknowledged.discard(call_id)
        if self.for_tools and not self.unacknowledged and self.known_at is None:
            self.known_at = step

    def answered_by(self, began_at: int) -> bool:
        return self.for_tools and self.known_at is not None and began_at > self.known_at


@attrs.define(eq=False)
class _Batch:
    """The function calls of one response."""

    unanswered: set[str]
    unacknowledged: set[str]
    silent: bool = True  # so far: nobody wants a response for them


class ResponseSequencer:
    """Follows the session and says what to send: events that a method returns are to be sent.

    ``ask`` and ``answer`` never have two creates in flight. ``passed`` is for a create that
    somebody sent without asking.
    """

    def __init__(self) -> None:
        self._waiting: list[_Wanted] = []
        self._sent: _Wanted | None = None
        self._taken: _Wanted | None = None
        self._recent: dict[str, _Wanted] = {}
        self._active: str | None = None
        self._active_since = 0
        self._given_up = False  # the active one was: it holds nothing back
        self._outside_asked = 0
        self._outside: set[str] = set()
        self._done: dict[str, None] = {}
        self._called: dict[str, None] = {}
        self.new_calls: list[FunctionCall] = []
        self._blocked = False  # refused for a response that we have not seen
        self._batches: dict[str, _Batch] = {}
        self._last_done = ""
        self._step = 0
        self._creates = 0

    @property
    def active_response_id(self) -> str | None:
        """Id of the response under way; empty if it has none."""
        return self._active

    @property
    def idle(self) -> bool:
        """Whether no response is under way, asked for, or due for tools that were just called."""
        active = self._active is not None and not self._given_up
        quiet = not (active or self._outside or self._sent or self._waiting)
        return quiet and self._last_done not in self._batches

    def ask(self, event: ResponseCreate) -> list[ClientEvent]:
        """Want a response. An ``event_id`` is given to it if it has none, to know its refusal."""
        if is_outside(event.response):
            self._outside_asked += 1
            return [event]
        self._want(_Wanted(event), first=False)
        return self._next()

    def passed(self, event_id: str | None, *, outside: bool = False) -> None:
        """A create went out past this sequencer; refused, it is not sent again."""
        if outside:
            self._outside_asked += 1
        elif self._sent is None:
            self._sent = _Wanted(ResponseCreate(event_id=event_id), resend=False)

    def gave_up(self, response_id: str) -> list[ClientEvent]:
        """The response under way is not waited for any more: it was cancelled or spoken over."""
        if self._active is not None and response_id in ("", self._active):
            self._given_up = True
        return self._next()

    def has_ended(self, response_id: str) -> bool:
        """Return whether this response's end has come already."""
        return response_id in self._done

    def awaits(self, call_id: str) -> bool:
        """Return whether a completed response called this and has no output yet."""
        return self._batch_of(call_id) is not None

    def answer(
        self, call_id: str, output: str, *, automatic: bool, silent: bool = False
    ) -> list[ClientEvent]:
        """Give the output of a call; with the last one of its response, ask for the next response.

        ``automatic``: the server begins that response by itself (``auto_tool_response``).
        ``silent``: this output asks for none; with none of them asking there is none. Raises
        LocalProtocolError if no completed response awaits the output of this call.
        """
        response_id = self._batch_of(call_id)
        if response_id is None:
            raise LocalProtocolError(
                f"function call {call_id!r} awaits no output: it was answered, its response did "
                "not complete, or it never was"
            )
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        events: list[ClientEvent] = [ConversationItemCreate(item=item)]
        batch = self._batches[response_id]
        batch.silent = batch.silent and silent
        last = self.answered(call_id)
        if last is not None and not automatic and not batch.silent:
            wanted = _Wanted(ResponseCreate(), for_tools=True, unacknowledged=last)
            self._want(wanted, first=False)
            events += self._next()
        return events

    def answered(self, call_id: str) -> set[str] | None:
        """Note that the output of a call was sent.

        Returns, if it was the last of its response, the calls whose outputs the server has yet to
        confirm; else None. Calls that await nothing are ignored.
        """
        response_id = self._batch_of(call_id)
        if response_id is None:
            return None
        batch = self._batches[response_id]
        batch.unanswered.discard(call_id)
        if batch.unanswered:
            return None
        del self._batches[response_id]
        return batch.unacknowledged

    def follow(self, event: ServerEvent) -> list[ClientEvent]:
        """Take an event of the server's; return what may go now."""
        self._step += 1
        match event:
            case se.ResponseCreated():
                self._began(event.response)
            case se.ResponseDone():
                self._ended(event.response)
            case se.ErrorEvent():
                self._refused(event.error)
            case se.ConversationItemAdded() | se.ConversationItemDone():
                self._acknowledged(event.item)
        return self._next()

    # -- the inside ------------------------------------------------------------------------------

    def _want(self, wanted: _Wanted, *, first: bool) -> None:
        for waiting in self._waiting:
            if _same(waiting.event, wanted.event):
                waiting.for_tools = waiting.for_tools and wanted.for_tools
                waiting.unacknowledged |= wanted.unacknowledged
                waiting.known_at = None
                return
        if wanted.event.event_id is None:
            self._creates += 1
            wanted.event = _named(wanted.event, f"create_{self._creates}")
        self._waiting.insert(0 if first else len(self._waiting), wanted)

    def _next(self) -> list[ClientEvent]:
        active = self._active is not None and not self._given_up
        busy = active or self._sent is not None or self._blocked
        if busy or not self._waiting:
            return []
        self._sent = self._waiting.pop(0)
        name = self._sent.event.event_id or ""
        self._recent.pop(name, None)  # the newest last, sent again or not
        self._recent[name] = self._sent
        if len(self._recent) > KEPT_CREATES:
            del self._recent[next(iter(self._recent))]
        return [self._sent.event]

    def _began(self, response: Response) -> None:
        response_id = response.get("id") or ""
        if self._outside_asked and response.get("conversation_id") is None:
            self._outside_asked -= 1
            self._outside.add(response_id)
            return
        self._given_up = False
        self._active, self._active_since = response_id, self._step
        self._taken, self._sent, self._blocked = self._sent, None, False
        self._waiting = [each for each in self._waiting if not each.answered_by(self._step)]

    def _ended(self, response: Response) -> None:
        response_id = response.get("id") or ""
        if response_id:
            _remember(self._done, response_id)
        if response_id in self._outside:
            self._outside.remove(response_id)
        elif self._active is None:
            self._sent = None  # cut off before it was announced: its created never comes
            self._blocked = False
        elif response_id in ("", self._active):
            self._active = self._taken = None
        self.new_calls = [call for call in function_calls(response) if self._is_new(call)]
        calls = {call.call_id for call in self.new_calls}
        self._last_done = response_id
        if calls:
            self._batches[response_id] = _Batch(set(calls), set(calls))
            if len(self._batches) > KEPT_BATCHES:
                del self._batches[next(iter(self._batches))]

    def _is_new(self, call: FunctionCall) -> bool:
        name = call.call_id or call.item_id
        known = bool(name) and name in self._called
        if name:
            _remember(self._called, name)
        return not known

    def _refused(self, error: Error) -> None:
        race = is_active_race(error)
        wanted = self._refused_create(error, race)
        if wanted is None:
            return
        if wanted is self._sent:
            self._sent = None
        if race:
            self._given_up = False
            self._taken = None if wanted is self._taken else self._taken
            self._again(wanted)

    def _refused_create(self, error: Error, race: bool) -> _Wanted | None:
        if error.event_id is None:
            # It may be about this create. If it is not, the create is answered all the same, and at
            # worst the next one is refused and waits.
            return self._sent or (self._taken if race else None)
        for wanted in (self._sent, self._taken):
            if wanted is not None and wanted.event.event_id == error.event_id:
                return wanted
        return self._recent.get(error.event_id)

    def _again(self, wanted: _Wanted) -> None:
        self._blocked = self._active is None
        known = self._active is not None and wanted.answered_by(self._active_since)
        if wanted.resend and not known:
            self._want(wanted, first=True)

    def _acknowledged(self, item: Mapping[str, object]) -> None:
        if item.get("type") != "function_call_output":
            return
        call_id = str(item.get("call_id"))
        for batch in self._batches.values():
            batch.unacknowledged.discard(call_id)
        for wanted in (*self._waiting, self._sent, self._taken):
            if wanted is not None:
                wanted.acknowledge(call_id, self._step)

    def _batch_of(self, call_id: str) -> str | None:
        for response_id, batch in self._batches.items():
            if call_id in batch.unanswered:
                return response_id
        return None


def is_outside(response: Any) -> bool:
    """Return whether a create asks for a response outside the conversation."""
    return isinstance(response, Mapping) and response.get("conversation") == "none"


def _remember(known: dict[str, None], name: str) -> None:
    known[name] = None
    if len(known) > KEPT_CALLS:
        del known[next(iter(known))]


def _same(one: ResponseCreate, other: ResponseCreate) -> bool:
    return one.response == other.response and dict(one.extra) == dict(other.extra)


def _named(event: ResponseCreate, event_id: str) -> ResponseCreate:
    return ResponseCreate(response=event.response, event_id=event_id, extra=event.extra)
