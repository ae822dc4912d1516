"""Plans that hypothesis invents: callers, lines, services and what goes wrong when.

Small by construction: a few steps, a few turns, at most one or two things that go wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
from hypothesis import strategies as st

from voxpy.localagent.responder import CallTool
from voxpy.simulation.moments import DEEDS, Moment
from voxpy.simulation.script import CallerScript, LineOptions
from voxpy.simulation.service import ServiceScript
from voxpy.simulation.steps import STEPS, Pause, Step, Wait
from voxpy.wire.realtime.server.faults import Faults

REPLIES = ("Hello.", "It is a fine day.", "There is a great deal that I could tell you of that.")
MOST_EVENTS = 60
EVENTS = (
    "session.created",
    "session.updated",
    "response.created",
    "response.output_audio.delta",
    "response.done",
    "input_audio_buffer.speech_started",
)


@attrs.frozen(kw_only=True)
class ScenarioFacts:
    """What is known of a scenario before it is fuzzed: from one plain call.

    ``realtime``: whether it connects to a realtime service; ``tools``: what it offers there.
    ``events`` is how many it was sent.
    """

    realtime: bool = True
    tools: Sequence[Mapping[str, Any]] = ()
    events: int = MOST_EVENTS


def plans(facts: ScenarioFacts) -> st.SearchStrategy[CallerScript]:
    """Return plans for a scenario."""
    return st.builds(
        partial(CallerScript, speech="tones", may_be_refused=True),
        line=st.one_of(st.just(LineOptions()), st.just(LineOptions()), _lines()),
        service=_services(facts.tools) if facts.realtime else st.just(ServiceScript()),
        moments=st.lists(_moments(facts), max_size=2).map(tuple),
        steps=_steps(),
    )


# -- the caller ------------------------------------------------------------------------------------


def _steps() -> st.SearchStrategy[tuple[Step, ...]]:
    kinds = [st.sampled_from(list(e)) for kind in STEPS.values() if (e := kind.examples())]
    pause = st.sampled_from(list(Pause.examples()))
    talk = st.lists(st.one_of(*kinds, pause), max_size=3)
    answered = st.just(Wait(what="answered"))
    first = st.one_of(answered, answered, answered, pause)
    return st.builds(lambda head, rest: (head, *rest), first, talk)


def _lines() -> st.SearchStrategy[LineOptions]:
    return st.builds(
        LineOptions,
        loss=st.sampled_from((0.0, 0.05, 0.3)),
        jitter_ms=st.sampled_from((0.0, 20.0, 60.0)),
        seed=st.integers(1, 5),
    )


# -- the service -----------------------------------------------------------------------------------


def _services(tools: Sequence[Mapping[str, Any]]) -> st.SearchStrategy[ServiceScript]:
    said = st.sampled_from(REPLIES).map(lambda text: (text,))
    turn: st.SearchStrategy[Any] = said
    if tools:
        calls = _tool_calls(tools)
        turn = st.one_of(
            said,
            calls.map(lambda call: (call,)),
            st.lists(calls, min_size=2, max_size=2).map(tuple),
        )
    return st.builds(
        ServiceScript,
        says=st.lists(turn, min_size=1, max_size=4).map(tuple),
        faults=st.one_of(st.just(Faults()), st.just(Faults()), _faults()),
        seed=st.integers(0, 3),
    )


def _faults() -> st.SearchStrategy[Faults]:
    event = st.sampled_from(EVENTS)
    return st.one_of(
        st.sampled_from((401, 429, 503)).map(lambda status: Faults(refuse_status=status)),
        st.sampled_from((0.3, 2.0, 12.0)).map(lambda s: Faults(handshake_s=s)),
        st.builds(Faults, close_at_event=event, close_code=st.sampled_from((1000, 1011, 4000))),
        st.builds(Faults, stall_at_event=event, stall_s=st.sampled_from((0.5, 3.0))),
        st.builds(
            Faults,
            malformed_every=st.integers(2, 12),
            malformed_how=st.sampled_from(("cut", "untyped", "array")),
        ),
        st.sampled_from((0.1, 0.5)).map(lambda share: Faults(duplicate_share=share)),
        st.sampled_from((2, 4)).map(lambda frames: Faults(reorder_window=frames)),
        st.sampled_from((5.0, 40.0)).map(lambda ms: Faults(delay_ms=ms)),
    )


def _tool_calls(tools: Sequence[Mapping[str, Any]]) -> st.SearchStrategy[CallTool]:
    return st.one_of(
        *(st.builds(CallTool, st.just(str(t["name"])), _arguments(t)) for t in tools),
        st.builds(CallTool, st.just("no_such_tool"), st.just({})),
    )


def _arguments(tool: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return arguments as the schema wants them, others, and text that is no object at all."""
    properties = (tool.get("parameters") or {}).get("properties") or {}
    right = st.fixed_dictionaries({name: _value(schema) for name, schema in properties.items()})
    wrong = st.sampled_from(({}, {"unheard_of": 1}, {name: [None] for name in properties}))
    return st.one_of(right, right, wrong, st.sampled_from(('{"city": "Pa', "[]", "null", "")))


def _value(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if schema.get("enum"):
        return st.sampled_from(list(schema["enum"]))
    kinds: dict[Any, st.SearchStrategy[Any]] = {
        "integer": st.integers(-1, 100),
        "number": st.sampled_from((0.0, -1.5, 1e9)),
        "boolean": st.booleans(),
        "array": st.just([]),
        "object": st.just({}),
    }
    kind = schema.get("type")
    return kinds.get(kind if isinstance(kind, str) else None, st.sampled_from(("Paris", "", "ü")))


# -- what goes wrong when --------------------------------------------------------------------------


def _moments(facts: ScenarioFacts) -> st.SearchStrategy[Moment]:
    deeds = [
        {"does": name, "value": value}
        for name, deed in DEEDS.items()
        if facts.realtime or deed.serve is None
        for value in deed.examples
    ]
    events = st.integers(1, max(1, facts.events)).map(lambda n: {"at_event": n})
    times = st.integers(0, 40).map(lambda tenths: {"at_s": tenths / 10})
    return st.builds(
        lambda deed, when: Moment(**deed, **when), st.sampled_from(deeds), st.one_of(events, times)
    )
