"""What is expected of a call: the ``expect:`` of a caller's script, and what of it was not so.

Each check says what was wanted and what came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from voxpy.engine.ending import EndReason
from voxpy.engine.userfile import Given
from voxpy.errors import VoxpyError, nearest
from voxpy.lab.evaluation.judge import Judge, Verdict
from voxpy.lab.evaluation.measures import Evaluation
from voxpy.lab.evaluation.words import keyword_recall
from voxpy.testing.story import CallStory, ToolCalled
from voxpy.testing.transcript.asserting import describe_difference
from voxpy.testing.transcript.expected import Expected, parse_transcript

EXPECT_KEYS = (
    "transcript", "events", "tools", "log", "recording_s", "end", "latency_ms", "dead_air_s",
    "talk_over_s", "interrupted_within_ms", "keywords", "word_error_rate", "judge",
)  # fmt: skip
LATENCIES = ("p50", "p95", "max")
SPEAKERS = ("agent", "caller", "callee")


@attrs.frozen(kw_only=True)
class ExpectedTool:
    """A function the model must call; ``arguments`` are those that matter, None for any.

    ``result`` is searched in what was sent back, as JSON.
    """

    name: str
    arguments: Mapping[str, Any] | None = None
    result: re.Pattern[str] | None = None


@attrs.frozen(kw_only=True)
class Expectations:
    """What a call must have been. None and empty: not asked."""

    transcript: Expected | None = None
    events: tuple[str, ...] = ()
    tools: tuple[ExpectedTool, ...] | None = None
    log: tuple[re.Pattern[str], ...] = ()
    recording_s: tuple[float, float] | None = None
    end: EndReason | None = None
    latency_ms: Mapping[str, float] = attrs.field(factory=dict)
    dead_air_s: float | None = None
    talk_over_s: float | None = None
    interrupted_within_ms: float | None = None
    keywords: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    word_error_rate: float | None = None
    judge: tuple[str, ...] = ()


def read_expectations(given: Given) -> Expectations:
    """Return what ``expect:`` asks for. Raises ConfigError with file and line."""
    if not isinstance(given.value, dict) or not given.value:
        raise given.error(f"`expect:` must be a mapping of {', '.join(EXPECT_KEYS)}")
    return Expectations(**{k: _READERS[k](g) for k, g in given.fields(EXPECT_KEYS).items()})


def _transcript(given: Given) -> Expected:
    if not isinstance(given.value, str) or not given.value.strip():
        problem = "transcript takes lines: `transcript: |`, and below it, indented, `agent: Hello`"
        raise given.error(problem)
    return parse_transcript(given.value, file=given.document.file, first_line=given.line + 1)


def _texts(given: Given) -> tuple[str, ...]:
    items = given.items() if isinstance(given.value, list) else [given]
    return tuple(item.words() for item in items)


def _patterns(given: Given) -> tuple[re.Pattern[str], ...]:
    items = given.items() if isinstance(given.value, list) else [given]
    return tuple(item.pattern(re.IGNORECASE) for item in items)


def _tools(given: Given) -> tuple[ExpectedTool, ...]:
    if not isinstance(given.value, list):
        raise given.error("tools takes a list of names, or [] for none")
    return tuple(_tool(item) for item in given.items())


def _tool(given: Given) -> ExpectedTool:
    if isinstance(given.value, str):
        return ExpectedTool(name=given.words())
    if not isinstance(given.value, dict):
        raise given.error("a tool is its name, or {name, arguments, result}")
    fields = given.fields(("name", "arguments", "result"))
    arguments = fields.section("arguments")
    if arguments.value is not None and not isinstance(arguments.value, dict):
        raise arguments.error("arguments is a mapping of those that matter")
    result = fields.section("result")
    if result.value is not None:
        result = attrs.evolve(result, value=str(result.value))
    return ExpectedTool(
        name=fields.section("name").words(),
        arguments=arguments.value,
        result=None if result.value is None else result.pattern(re.IGNORECASE),
    )


def _range(given: Given) -> tuple[float, float]:
    if not isinstance(given.value, list) or len(given.value) != 2:
        raise given.error("recording_s takes the shortest and the longest: [5, 60]")
    low, high = (item.number() for item in given.items())
    if high < low:
        raise given.error(f"the longest is less than the shortest: [{low:g}, {high:g}]")
    return low, high


def _end(given: Given) -> EndReason:
    return EndReason(given.one_of([reason.value for reason in EndReason]))


def _latencies(given: Given) -> Mapping[str, float]:
    if not isinstance(given.value, dict):
        return {"max": given.number()}
    return {key: limit.number() for key, limit in given.fields(LATENCIES).items()}


def _keywords(given: Given) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(given.value, dict):
        return {"agent": _words_or_patterns(given)}
    return {who: _words_or_patterns(words) for who, words in given.fields(SPEAKERS).items()}


def _words_or_patterns(given: Given) -> tuple[str, ...]:
    keywords = _texts(given)
    for keyword in keywords:
        if keyword.startswith("/") and keyword.endswith("/"):
            attrs.evolve(given, value=keyword[1:-1]).pattern()
    return keywords


_READERS: Mapping[str, Callable[[Given], Any]] = {
    "transcript": _transcript,
    "events": _texts,
    "tools": _tools,
    "log": _patterns,
    "recording_s": _range,
    "end": _end,
    "latency_ms": _latencies,
    "dead_air_s": Given.number,
    "talk_over_s": Given.number,
    "interrupted_within_ms": Given.number,
    "keywords": _keywords,
    "word_error_rate": Given.number,
    "judge": _texts,
}


# -- what was not so -------------------------------------------------------------------------------


def problems(call: CallStory, measured: Evaluation, expect: Expectations) -> list[str]:
    """Return every problem as a text whose first line is a summary. The judge is asked elsewhere.

    A measure without anything to measure is a problem too: an expectation that cannot fail would
    only look like a test.
    """
    found = [
        *_course(call, expect),
        *_events(call, expect),
        *_tools_called(call, expect),
        *_log(call, expect),
        *_recording(call, expect),
        *_latency(measured, expect),
        *_sound(measured, expect),
        *_words(call, measured, expect),
    ]
    if expect.transcript is not None:
        difference = describe_difference(call, expect.transcript)
        found += [difference] if difference else []
    return found


def judgements(
    call: CallStory, expect: Expectations, judge: Judge
) -> tuple[list[Verdict], list[str]]:
    """Ask the judge; return its verdicts and the problems. Blocks."""
    verdicts: list[Verdict] = []
    found: list[str] = []
    for criterion in expect.judge:
        try:
            verdict = judge.ask(criterion, call)
        except VoxpyError as error:
            found.append(f"judge: {error}")
            continue
        verdicts.append(verdict)
        if not verdict.passed:
            found.append(f"judge: not so: {criterion!r}: {verdict.reason}")
    return verdicts, found


def _course(call: CallStory, expect: Expectations) -> Iterator[str]:
    failure = call.record.personal["caller_failed"]
    if failure:
        yield str(failure)
    end = call.end
    if end is None:
        yield "end: the session has not ended"
    elif expect.end is not None and end.reason is not expect.end:
        yield f"end: expected {expect.end.value!r}, not {end.reason.value!r}: {end.detail}"
    elif expect.end is None and end.reason.is_error:
        yield f"end: {end.reason.value}: {end.detail}"


def _events(call: CallStory, expect: Expectations) -> Iterator[str]:
    """Look for the events in this order; others may come between."""
    names = [event.name for event in call.events]
    place = 0
    for wanted in expect.events:
        places = [
            n for n, name in enumerate(names) if name == wanted or name.endswith("." + wanted)
        ]
        later = [n for n in places if n >= place]
        if later:
            place = later[0] + 1
        elif places:
            yield f"events: {wanted} came, but not after {names[place - 1]}"
        else:
            short = {name.rsplit(".", 1)[-1] for name in names}
            known = short | set(names)
            yield f"events: {wanted} did not come{nearest(wanted, known)}"


def _tools_called(call: CallStory, expect: Expectations) -> Iterator[str]:
    if expect.tools is None:
        return
    called = call.tools
    wanted, got = [t.name for t in expect.tools], [t.name for t in called]
    if wanted != got:
        yield f"tools: expected {_listed(wanted)}, called were {_listed(got)}"
        return
    for tool, call_made in zip(expect.tools, called, strict=True):
        yield from _tool_called(tool, call_made)


def _tool_called(wanted: ExpectedTool, called: ToolCalled) -> Iterator[str]:
    given = called.arguments if isinstance(called.arguments, Mapping) else {}
    for name, value in (wanted.arguments or {}).items():
        if name not in given or given[name] != value:
            came = _json(given[name]) if name in given else "not given"
            yield f"tools: {wanted.name}: expected {name} {_json(value)}, it was {came}"
    if wanted.result is not None and wanted.result.search(_json(called.result)) is None:
        came = _json(called.result)
        yield f"tools: {wanted.name}: expected the result /{wanted.result.pattern}/, it was {came}"


def _log(call: CallStory, expect: Expectations) -> Iterator[str]:
    for pattern in expect.log:
        if not any(pattern.search(line) for line in call.log):
            yield f"log: no line has /{pattern.pattern}/ ({len(call.log)} lines)"


def _recording(call: CallStory, expect: Expectations) -> Iterator[str]:
    if expect.recording_s is None:
        return
    low, high = expect.recording_s
    own = call.recordings[1:]
    if not own:
        yield "recording: the scenario recorded nothing"
    for path in own:
        seconds = _seconds(path)
        if not low <= seconds <= high:
            yield f"recording: {path.name} has {seconds:.1f} s, expected {low:g} to {high:g} s"


def _seconds(path: Any) -> float:
    import soundfile  # loads a C library; few tests look at recordings of their own

    return float(soundfile.info(str(path)).duration) if path.exists() else 0.0


def _latency(measured: Evaluation, expect: Expectations) -> Iterator[str]:
    for which, limit_ms in expect.latency_ms.items():
        came = measured.latency_ms({"p50": 50, "p95": 95}.get(which, 100))
        if came is None:
            yield "latency: the agent never replied to anything the caller said"
            return
        if came > limit_ms:
            slowest = max(measured.replies, key=lambda reply: reply.after_s)
            yield (
                f"latency: {which} is {came} ms, expected {limit_ms:g} at most; the slowest reply "
                f"came at {slowest.at_s:.2f} s"
            )


def _sound(measured: Evaluation, expect: Expectations) -> Iterator[str]:
    quiet = measured.longest_silence
    if expect.dead_air_s is not None and quiet is not None and quiet.seconds > expect.dead_air_s:
        yield (
            f"dead air: {quiet.seconds:.1f} s from {quiet.start_s:.1f} s on, expected "
            f"{expect.dead_air_s:g} s at most"
        )
    if expect.talk_over_s is not None and measured.talk_over_s > expect.talk_over_s:
        longest = max(measured.talk_over, key=lambda span: span.seconds)
        yield (
            f"talk-over: {measured.talk_over_s:.2f} s, expected {expect.talk_over_s:g} s at most; "
            f"the longest at {longest.start_s:.1f} s"
        )
    limit_ms = expect.interrupted_within_ms
    if limit_ms is None:
        return
    if not measured.interruptions:
        yield "interruptions: the caller never spoke while the agent did"
    for one in measured.interruptions:
        if one not in measured.honoured(limit_ms):
            yield (
                f"interruptions: at {one.at_s:.2f} s the agent spoke on for "
                f"{one.silent_after_s * 1000:.0f} ms, expected {limit_ms:g} at most"
            )


def _words(call: CallStory, measured: Evaluation, expect: Expectations) -> Iterator[str]:
    for who, keywords in expect.keywords.items():
        said = " ".join(s.heard_text or s.text for s in call.transcript if s.who == who)
        missing = keyword_recall(keywords, said).missing
        if missing:
            yield f"keywords: the {who} never said {_listed(missing)}"
    limit = expect.word_error_rate
    if limit is None:
        return
    errors = measured.understood
    if errors is None:
        yield "word error rate: nobody wrote down what the caller said"
    elif errors.rate > limit:
        yield (
            f"word error rate: {errors.rate:.1%} of {errors.expected_words} words, expected "
            f"{limit:.1%} at most"
        )


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
