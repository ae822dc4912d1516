"""What is true of every call to every scenario, with no word from its author.

Each rule looks at the evidence of one call and returns what is wrong, in plain words, or nothing.
They judge only what passed between scenario and voxpy, so that they hold whatever a scenario does.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs
import orjson

from voxpy.engine.ending import EndReason
from voxpy.engine.masking import MASK
from voxpy.engine.trace import Entry, as_json
from voxpy.lab.fuzz.evidence import Evidence

RECORDING_SLACK_S = 0.1
GOOD_CLOSES = (1000, 1001, 1005)
SENDING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@attrs.frozen(kw_only=True)
class Violation:
    """A rule that a call broke. ``told`` is a sentence, ``at_s`` the call's time if it has one."""

    rule: str
    told: str
    at_s: float | None = None

    def __str__(self) -> str:
        when = "" if self.at_s is None else f" (at {self.at_s:.2f} s)"
        return f"{self.rule}: {self.told}{when}"


Found = Iterator[tuple[str, float | None]]


def judge(evidence: Evidence, *, ignore: frozenset[str] = frozenset()) -> list[Violation]:
    """Return every rule of RULES that the call broke, except those to ignore."""
    return [
        Violation(rule=rule, told=told, at_s=at_s)
        for rule, check in RULES.items()
        if rule not in ignore
        for told, at_s in check(evidence)
    ]


# -- the end ---------------------------------------------------------------------------------------


def _ends(evidence: Evidence) -> Found:
    limit_s = evidence.call.hosted.context.settings.limits.session_without_calls_s
    end = evidence.call.end
    if evidence.cut_off or end is None:
        yield "nothing ended the session, although the caller had left", None
    elif end.reason is EndReason.NO_CALLS:
        yield (
            (
                f"after the last call nobody ended the session: {limit_s:g} s later its limit did; "
                "call VoxEngine.terminate() when the call is over"
            ),
            _last(evidence, "call over"),
        )


def _nothing_left(evidence: Evidence) -> Found:
    if evidence.left:
        yield evidence.left, None


def _final_answers(evidence: Evidence) -> Found:
    leg = evidence.call.simulated.leg
    if leg.state != "ended":
        yield f"the caller's leg is still {leg.state}: nobody told the far end", None
    over = [e.unit for e in evidence.entries if e.name == "call over"]
    living = itertools.takewhile(lambda e: e.name != "ending", evidence.entries)
    began = [e.unit for e in living if e.name == "call began"]  # later ones were never dialled
    for unit in sorted(set(over) | set(began)):
        if over.count(unit) != 1:
            yield f"{unit} got {over.count(unit)} final answers in place of one", None


def _silent_afterwards(evidence: Evidence) -> Found:
    ended = next((n for n, e in enumerate(evidence.entries) if _is(e, "session", "ended")), None)
    if ended is None:
        return
    for entry in evidence.entries[ended + 1 :]:
        if entry.kind in ("event", "command", "log"):
            yield f"{entry.name} came after the end of the session", entry.t


# -- what handlers do ------------------------------------------------------------------------------


def _no_errors(evidence: Evidence) -> Found:
    for entry in evidence.entries:
        # That an agent fails is what the plan did to it.
        if entry.kind == "error" and entry.name not in ("caller", "callee", "agent failed"):
            frames = str(entry.data.get("frames") or "").strip()
            told = f"{entry.data.get('message')} in {entry.name}"
            yield told + (f"\n{frames}" if frames else ""), entry.t


def _nothing_blocks(evidence: Evidence) -> Found:
    for entry in evidence.entries:
        if entry.name == "handler blocks the loop":
            yield f"{entry.data.get('handler')} blocks everything else while it runs", entry.t


def _said_once(evidence: Evidence) -> Found:
    """Requests that send something: the same one twice, the first accepted, is sent once too often.

    Only after the caller has left, where nobody can have asked for it a second time.
    """
    over_s = _last(evidence, "call over")
    if over_s is None:
        return
    seen: set[tuple[str, str, bytes]] = set()
    for asked in evidence.requests:
        if asked.method not in SENDING or asked.at_s < over_s:
            continue
        same = (asked.method, asked.url, asked.body)
        if same in seen:
            yield f"{asked.method} {asked.url} was sent twice, with the same content", asked.at_s
        seen.add(same)


# -- the agent -------------------------------------------------------------------------------------


def _nothing_stale(evidence: Evidence) -> Found:
    for stale in evidence.stale:
        told = (
            f"the caller began to speak, and still heard {stale.ms:g} ms of the agent's old words"
        )
        yield f"{told}; clear its audio when InputAudioBufferSpeechStarted comes", stale.at_s


def _not_alone(evidence: Evidence) -> Found:
    for at_s, seconds in evidence.alone:
        told = f"the agent was gone, and the caller heard nothing for {seconds:.0f} s"
        yield f"{told}; when it fails or closes (on_web_socket_close), say so or hang up", at_s


def _goodbye_is_heard(evidence: Evidence) -> Found:
    for at_s, left_ms in evidence.cut:
        told = f"the scenario hung up with {left_ms:.0f} ms of its agent's words still to be heard"
        yield f"{told}; wait until they were (WebSocketMediaEnded)", at_s


def _failures_are_told(evidence: Evidence) -> Found:
    """What went wrong with an agent stands in the record, whatever the scenario made of it."""
    try:
        record = orjson.loads(evidence.files.get("record.json", ""))
    except ValueError:
        return  # that is another rule's
    if record.get("agent_failures") or record.get("errors") or record.get("warnings"):
        return
    for entry in evidence.entries:
        if entry.kind == "session" and entry.name == "ending":
            return
        lost = entry.name == "websocket closed" and entry.data.get("code") not in GOOD_CLOSES
        if lost or (entry.kind == "event" and entry.name.endswith(".HTTPResponse")):
            told = f"{entry.name} of {entry.unit} is in no error or warning of the record"
            yield told, entry.t
            return


def _greets_once(evidence: Evidence) -> Found:
    for at_s, told in repeated_openings(evidence.entries):
        yield told, at_s


def _tools_answered_once(evidence: Evidence) -> Found:
    for at_s, told in twice_answered(evidence.entries):
        yield told, at_s


def _clients_closed(evidence: Evidence) -> Found:
    end = evidence.call.end
    if end is not None and end.reason in (EndReason.TERMINATED, EndReason.NO_CALLS):
        for at_s, told in unclosed_clients(evidence.entries):
            yield told, at_s


# -- what is kept ----------------------------------------------------------------------------------


def _complete(evidence: Evidence) -> Found:
    lines = evidence.files.get("trace.jsonl", "").splitlines()
    broken = sum(not _is_json(line) for line in lines)
    if broken:
        yield f"trace.jsonl has {broken} lines that are not JSON", None
    if len(lines) != len(evidence.entries):
        yield f"trace.jsonl has {len(lines)} of {len(evidence.entries)} lines", None
    if not _is_json(evidence.files.get("record.json", "")):
        yield "record.json is missing or not JSON", None
    if "session.log" not in evidence.files:
        yield "session.log is missing", None
    length_s = evidence.recording_s
    if length_s is None:
        yield "the recording is missing or cannot be read", None
    elif abs(length_s - evidence.call_s) > RECORDING_SLACK_S:
        yield f"the call took {evidence.call_s:.2f} s, its recording has {length_s:.2f} s", None


def _keeps_secrets(evidence: Evidence) -> Found:
    for name, value in evidence.secrets.items():
        for file, text in evidence.files.items():
            if any(form in text for form in _forms(value)):
                yield f"the value of the secret {name} stands in {file}", None
    for entry in evidence.entries:
        if entry.kind == "log" and MASK in str(entry.personal.get("text", "")):
            yield "the scenario writes a secret to its log; only voxpy's mask hides it", entry.t


def _forms(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, secret[::-1], quote(secret, safe=""), encoded}


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _is(entry: Entry, kind: str, name: str) -> bool:
    return entry.kind == kind and entry.name == name


def _last(evidence: Evidence, name: str) -> float | None:
    return next((e.t for e in reversed(evidence.entries) if e.name == name), None)


BLOCKS = "no handler blocks"
RULES: Mapping[str, Callable[[Evidence], Found]] = {
    "no handler fails": _no_errors,
    "the session ends": _ends,
    "nothing is left": _nothing_left,
    "every leg gets its answer": _final_answers,
    "nothing happens after the end": _silent_afterwards,
    BLOCKS: _nothing_blocks,
    "no stale audio": _nothing_stale,
    "nobody is left alone": _not_alone,
    "no goodbye is cut": _goodbye_is_heard,
    "failures are told": _failures_are_told,
    "one greeting": _greets_once,
    "one result per tool call": _tools_answered_once,
    "clients are closed": _clients_closed,
    "nothing is sent twice": _said_once,
    "records are complete": _complete,
    "secrets stay secret": _keeps_secrets,
}
"""By name, in the order of what to look at first."""


AGAIN_WITHIN_S = 3.0
"""Later than that, without a word of the caller's, it may be meant: somebody fell silent."""
AGAIN = (
    "asked for the greeting again, with the same words; SessionUpdated comes more than once in a "
    "session"
)
FRAMEWORK = frozenset({"SessionCreated", "SessionUpdated"})

Told = Iterator[tuple[float, str]]


@attrs.define
class _Opening:
    """How a client made the agent speak first: the items before its first response.create."""

    items: list[bytes] = attrs.field(factory=list)
    first: tuple[bytes, ...] | None = None
    at_s: float = 0.0
    spoken: bool = False
    """Whether the caller, or a tool, has said anything since."""
    configured_s: float | None = None
    """When the service last told of the session."""

    def asks(self, payload: bytes, at_s: float) -> bool:
        """Take a response.create; return whether it greets once more."""
        trigger, self.items = (*self.items, payload), []
        if self.first is None:
            self.first, self.at_s = trigger, at_s
            return False
        if trigger != self.first:
            self.spoken = True  # the talk has moved on
            return False
        at_once = not self.spoken and at_s - self.at_s < AGAIN_WITHIN_S
        # Opening words again in answer to no more than the service's news of the session.
        return at_once or (self.configured_s == at_s and at_s > self.at_s)


def repeated_openings(entries: Sequence[Entry]) -> Told:
    """Yield where a client asked once more for the very response it had opened the call with.

    The same words are asked for again either at once, before the caller has said anything, or
    in the moment of another SessionCreated or SessionUpdated.
    """
    openings: dict[str, _Opening] = {}
    for entry in entries:
        opening = openings.setdefault(entry.unit, _Opening())
        short = entry.name.rpartition(".")[2]
        if entry.kind == "event" and short in FRAMEWORK:
            opening.configured_s = entry.t
        elif entry.kind == "event" and short == "InputAudioBufferSpeechStarted":
            opening.spoken = True
        elif entry.kind == "command" and entry.name == "conversation.item.create":
            opening.items.append(_content(entry))
            opening.spoken |= _is_output(entry)
        elif (
            entry.kind == "command"
            and entry.name == "response.create"
            and opening.asks(_content(entry), entry.t)
        ):
            yield entry.t, f"{entry.unit} {AGAIN}"


def twice_answered(entries: Sequence[Entry]) -> Told:
    """Yield where the result of a tool call was sent a second time."""
    answered: set[tuple[str, str]] = set()
    for entry in entries:
        call_id = _answers(entry)
        if call_id is None:
            continue
        if (entry.unit, call_id) in answered:
            yield entry.t, f"the result of tool call {call_id} was sent twice"
        answered.add((entry.unit, call_id))


def unclosed_clients(entries: Sequence[Entry]) -> Told:
    """Yield clients that a scenario used and left for the end of the session to close.

    One whose connection was closed or lost before that is no longer there to be closed.
    """
    used: dict[str, float] = {}
    gone: set[str] = set()
    for entry in entries:
        if entry.kind == "session" and entry.name == "ending":
            break
        command = entry.kind == "command" and entry.name in ("session.update", "response.create")
        if command or entry.name == "agent ready":
            used.setdefault(entry.unit, entry.t)
        elif entry.name == "websocket closed" or entry.name.endswith("Client.close"):
            gone.add(entry.unit)
    for unit, at_s in used.items():
        if unit not in gone:
            yield at_s, f"{unit} is never closed: call its close() before VoxEngine.terminate()"


def _answers(entry: Entry) -> str | None:
    """Return the id of the tool call that an entry sends the result of."""
    if entry.kind == "step" and entry.name == "tool answered":
        return str(entry.data.get("call_id", ""))
    if entry.kind == "command" and entry.name == "conversation.item.create" and _is_output(entry):
        return str(_item(entry).get("call_id", ""))
    return None


def _is_output(entry: Entry) -> bool:
    return _item(entry).get("type") == "function_call_output"


def _item(entry: Entry) -> Mapping[str, Any]:
    payload = entry.personal.get("payload")
    item = payload.get("item") if isinstance(payload, Mapping) else None
    return item if isinstance(item, Mapping) else {}


def _content(entry: Entry) -> bytes:
    """Return what was sent, without the ids that make any two events differ."""
    payload = dict(entry.personal.get("payload") or {})
    payload.pop("event_id", None)
    item = payload.get("item")
    if isinstance(item, Mapping):
        payload["item"] = {key: value for key, value in item.items() if key != "id"}
    return as_json(payload)
