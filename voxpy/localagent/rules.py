"""A brain without a model: readable rules over the conversation, the same answer every time.

Pure once its topics are loaded. What is tried, in this order:

1. ``response_instructions`` that dictate the words ("Repeat the following text: ...", "ONLY repeat
   the input").
2. A function's result, when it is the newest item: the topic's ``reply``, or the result read out.
3. A directive in the newest message ("Say only: ...", "Greet the caller as ..."), or nothing said
   yet by anybody: a greeting.
4. The session's instructions: "If the caller asks ..., answer directly: ...".
5. The topics, which may call a declared function instead of answering. Where a topic only stands in
   for what a business says of itself (hours, prices), a plain sentence of the instructions on it
   goes first: what is edited there is heard.
6. Any other plain sentence of the instructions with at least half of the question's words.
7. The admission that it does not know, with what it understood.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import attrs

from voxpy.localagent.directives import (
    Persona,
    conditions,
    directed_speech,
    fact_about,
    facts,
    keywords,
    overlap,
    persona_of,
)
from voxpy.localagent.responder import Act, CallTool, Item, Say, Turn, last_message, text_of
from voxpy.localagent.topics import Topic, Topics, load_topics
from voxpy.text import json

_ENOUGH_OVERLAP = 0.6  # two words of three, both of two
_LONGEST_ECHO_WORDS = 12
_REPEAT_INPUT = re.compile(
    r"\brepeat (?:only |exactly )?(?:the (?:input|audio|caller|user)|what (?:was|is) said)\b",
    re.IGNORECASE,
)
_LONGEST_READING_CHARS = 300


class RuleResponder:
    """Answers by rules. One instance serves every call; it keeps nothing of any of them."""

    def __init__(self, topics: Topics | None = None) -> None:
        self._topics = load_topics() if topics is None else topics

    async def respond(self, turn: Turn) -> AsyncIterator[Act]:
        """Yield what ``acts`` returns. Never raises; not a checkpoint."""
        for act in self.acts(turn):
            yield act

    def acts(self, turn: Turn) -> tuple[Act, ...]:
        """Return what to do in ``turn``; never empty."""
        persona = persona_of(turn.instructions)
        if turn.response_instructions:
            dictated = directed_speech(turn.response_instructions, persona)
            if dictated:
                return (Say(dictated),)
            if _REPEAT_INPUT.search(turn.response_instructions):
                said = last_message(turn.items, "user")
                return (Say(text_of(said) if said else "I heard nothing."),)
        turn = attrs.evolve(turn, items=_without_notes(turn.items, persona))
        newest = turn.items[-1] if turn.items else None
        if newest is None:
            return (Say(directed_speech("Greet the caller", persona) or ""),)
        if newest.get("type") == "function_call_output":
            return self._replies(turn)
        if newest.get("type") == "function_call":
            return (Say("One moment, please."),)  # its result is still to come
        if newest.get("role") == "assistant":
            return (Say("Are you still there?"),)
        if _is_typed(newest):
            dictated = directed_speech(text_of(newest), persona)
            if dictated:
                return (Say(dictated),)
        return (self._answer(turn, text_of(newest), persona),)

    def _replies(self, turn: Turn) -> tuple[Act, ...]:
        outputs: list[Item] = []
        for item in reversed(turn.items):
            if item.get("type") != "function_call_output":
                break
            outputs.insert(0, item)
        called = {i.get("call_id"): i.get("name") for i in turn.items if "name" in i}
        return tuple(
            Say(self._reply(called.get(o.get("call_id")), o.get("output"))) for o in outputs
        )

    def _reply(self, tool: str | None, output: Any) -> str:
        result = _parsed(output)
        if isinstance(result, dict) and not result.get("error"):
            for topic in self._topics.topics:
                if tool in topic.tool and topic.reply:
                    return _filled(topic.reply, _spoken_fields(result)) or read_out(result)
        return read_out(result)

    def _answer(self, turn: Turn, said: str, persona: Persona) -> Act:
        heard = canonical(said, self._topics)
        forced = _forced_tool(turn)
        if forced is None:
            instructed = self._instructed(turn.instructions, heard)
            if instructed:
                return Say(instructed)
        known = _Known.of(turn, said, persona)
        told = facts(turn.instructions)
        for topic in self._topics.topics:
            act = _from_topic(topic, heard, known, told)
            if act and (forced is None or (isinstance(act, CallTool) and act.name == forced)):
                return act
        if forced is not None:
            return CallTool(forced, {})
        fact = fact_about(told, heard)
        if fact:
            return Say(fact)
        return Say(self._at_a_loss(turn.instructions, known))

    def _instructed(self, instructions: str, heard: str) -> str | None:
        said = keywords(heard)
        best, answer = 0.0, None
        for condition in conditions(instructions):
            wanted = keywords(canonical(" ".join(condition.keywords), self._topics))
            score = overlap(wanted, said)
            if score >= _ENOUGH_OVERLAP and score > best:
                best, answer = score, condition.answer
        return answer

    def _at_a_loss(self, instructions: str, known: _Known) -> str:
        if not known.values["heard"]:
            return _next_of(self._topics.unheard, known) or "Sorry, I didn't catch that."
        for condition in conditions(instructions):
            if condition.when_unsure:
                return condition.answer
        return _next_of(self._topics.unknown, known) or "I don't know about that."


@attrs.frozen
class _Known:
    """What answers and arguments are filled from."""

    turn: Turn
    said: str
    values: dict[str, str]

    @classmethod
    def of(cls, turn: Turn, said: str, persona: Persona) -> _Known:
        last = last_message(turn.items, "assistant")
        values = {
            "persona": persona.name or "",
            "company": persona.company or "",
            "heard": " ".join(said.split()[:_LONGEST_ECHO_WORDS]).rstrip(".,!? "),
            "last_answer": text_of(last) if last else "",
        }
        return cls(turn, said, values)


def canonical(text: str, topics: Topics) -> str:
    """Return ``text`` as topics see it: lower case, without punctuation, product names repaired."""
    words = re.sub(r"[^\w' $%&+-]+", " ", text.lower().replace("’", "'"))
    words = " ".join(words.split())
    for name, patterns in topics.names.items():
        for pattern in patterns:
            words = pattern.sub(name, words)
    return words


def _without_notes(items: Sequence[Item], persona: Persona) -> tuple[Item, ...]:
    """Return what there is to answer: of the system's messages only the directives."""
    return tuple(
        item
        for item in items
        if item.get("type") in ("message", "function_call", "function_call_output")
        and not (item.get("role") == "system" and not directed_speech(text_of(item), persona))
    )


def _is_typed(item: Item) -> bool:
    # What a caller *speaks* is never obeyed word by word, only what a program wrote.
    return any(part.get("type") in ("input_text", "text") for part in item.get("content") or ())


def _declared(turn: Turn) -> dict[str, Mapping[str, Any]]:
    if turn.tool_choice == "none":
        return {}
    return {tool["name"]: tool for tool in turn.tools if isinstance(tool.get("name"), str)}


def _forced_tool(turn: Turn) -> str | None:
    declared = _declared(turn)
    if isinstance(turn.tool_choice, Mapping):
        name = turn.tool_choice.get("name")
        return name if name in declared else None
    return next(iter(declared), None) if turn.tool_choice == "required" else None


def _from_topic(topic: Topic, heard: str, known: _Known, told: tuple[str, ...]) -> Act | None:
    match = next((m for p in topic.match if (m := p.search(heard))), None)
    if match is None:
        return None
    groups = {k: _as_said(v, known.said) for k, v in match.groupdict().items() if v}
    declared = _declared(known.turn)
    for name in topic.tool:
        if name in declared:
            arguments = _arguments(topic, groups, declared[name])
            if arguments is not None:
                return CallTool(name, arguments)
    for fact in told:
        if any(pattern.search(fact) for pattern in topic.fact):
            return Say(fact)
    filling = attrs.evolve(known, values=known.values | groups)
    answer = _next_of(topic.say, filling)
    return Say(answer) if answer else None


def _as_said(group: str, said: str) -> str:
    """Return ``group`` with the capitals the caller's transcript had: "oslo" becomes "Oslo"."""
    at = said.lower().find(group)
    return said[at : at + len(group)] if at >= 0 else group


def _arguments(
    topic: Topic, groups: Mapping[str, str], tool: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the call's arguments, or None when one that the tool requires was not said."""
    parameters = tool.get("parameters")
    schema = parameters if isinstance(parameters, Mapping) else {}
    properties = schema.get("properties") or {}
    arguments: dict[str, Any] = {}
    for name, template in topic.arguments.items():
        value = _filled(template, groups)
        if value is not None and (name in properties or not properties):
            arguments[name] = _typed(value, properties.get(name))
    return arguments if set(schema.get("required") or ()) <= set(arguments) else None


def _typed(value: str, schema: Any) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    digits = re.sub(r"\D", "", value)
    if kind in ("integer", "number") and digits:
        return int(digits)
    return value


_HOLE = re.compile(r"\{(\w+)\}")


def _filled(template: str, values: Mapping[str, str]) -> str | None:
    """Return ``template`` with its holes filled, or None if one of them stays empty."""
    if any(not values.get(hole) for hole in _HOLE.findall(template)):
        return None
    return _HOLE.sub(lambda m: values[m.group(1)], template)


def _next_of(answers: Sequence[str], known: _Known) -> str | None:
    """Return the answer whose turn it is: the next one each time the topic comes up again.

    The first answer that can be filled decides, and those with the same holes take turns with it:
    one that names what the caller said is never followed by one that ignores it.
    """
    filled = [(set(_HOLE.findall(answer)), _filled(answer, known.values)) for answer in answers]
    holes = next((holes for holes, answer in filled if answer), None)
    usable = [answer for own, answer in filled if answer and own == holes]
    if not usable:
        return None
    given = [
        text_of(item)
        for item in known.turn.items
        if item.get("type") == "message" and item.get("role") == "assistant"
    ]
    # An interrupted answer is cut in the conversation, but it was given.
    times = sum(any(text and answer.startswith(text) for answer in usable) for text in given)
    return usable[times % len(usable)]


def _parsed(output: Any) -> Any:
    if not isinstance(output, str):
        return output
    try:
        return json.loads(output)
    except ValueError:
        return output


def _spoken_fields(result: Mapping[str, Any]) -> dict[str, str]:
    simple = {k: v for k, v in result.items() if isinstance(v, str | int | float)}
    return {k: _spoken(v) for k, v in simple.items()}


def _spoken(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def read_out(result: Any) -> str:
    """Return a function's ``result`` (parsed JSON, or a plain string) as a sentence or two."""
    match result:
        case {"error": error} if error:
            detail = error.get("message") if isinstance(error, dict) else error
            return f"Sorry, that did not work: {_ended(str(detail))}"
        case {"message": str(text)} | {"text": str(text)} | {"answer": str(text)} if text:
            return text[:_LONGEST_READING_CHARS]
        case dict():
            return _read_fields(result)
        case list() if result:
            return _read_list(result)
        case False:
            return "Sorry, that did not work."
        case []:
            return "I found nothing."
        case None | True | "":
            return "All right, that's done."
        case _:
            return _ended(str(result)[:_LONGEST_READING_CHARS])


def _read_fields(result: Mapping[str, Any]) -> str:
    if result.get("ok") is False or result.get("success") is False:
        return "Sorry, that did not work."
    fields = {k: v for k, v in _spoken_fields(result).items() if k not in ("ok", "success") and v}
    if not fields:
        return "All right, that's done."
    parts = [f"{name.replace('_', ' ')} is {value}" for name, value in list(fields.items())[:4]]
    text = ", ".join(parts[:-1]) + (", and " if len(parts) > 1 else "") + parts[-1]
    return _ended(f"The {text}")


def _read_list(result: Sequence[Any]) -> str:
    simple = [_spoken(value) for value in result if isinstance(value, str | int | float)]
    if len(simple) < len(result):
        return f"I found {len(result)} results."
    return _ended(
        "I found " + ", ".join(simple[:-1]) + (" and " if len(simple) > 1 else "") + simple[-1]
    )


def _ended(sentence: str) -> str:
    sentence = sentence.strip()
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
