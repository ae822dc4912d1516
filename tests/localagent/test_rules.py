from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.localagent.responder import Act, CallTool, Say, Turn
from voxpy.localagent.rules import RuleResponder, canonical, read_out
from voxpy.localagent.topics import load_topics

INSTRUCTIONS = """
You are Voxi, a Voximplant developer advocate on a live phone call.

If the caller asks "Tell me about Voximplant and Inworld" or any similar broad
question, answer directly: Voximplant brings Inworld agents to real
communication channels.

- If the caller asks what this demo is, say this is Voximplant on a live call.
"""
UNSURE = "\nIf the caller asks about a detail you are not sure of, say you would check the docs.\n"

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {}}, "required": ["city"]},
}
ORDER = {
    "type": "function",
    "name": "order_status",
    "parameters": {
        "type": "object",
        "properties": {"order_id": {"type": "integer"}},
        "required": ["order_id"],
    },
}
TRANSFER = {"type": "function", "name": "transfer_call"}

RULES = RuleResponder()


def heard(text: str) -> dict[str, Any]:
    content = [{"type": "input_audio", "transcript": text}]
    return {"type": "message", "role": "user", "content": content}


def typed(text: str, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def said(text: str) -> dict[str, Any]:
    content = [{"type": "output_audio", "transcript": text}]
    return {"type": "message", "role": "assistant", "content": content}


def called(name: str, output: str) -> list[dict[str, Any]]:
    return [
        {"type": "function_call", "call_id": "c1", "name": name, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": output},
    ]


def act(*items: dict[str, Any], instructions: str = INSTRUCTIONS, **more: Any) -> Act:
    (only,) = RULES.acts(Turn(instructions=instructions, items=items, **more))
    return only


def answer(*items: dict[str, Any], instructions: str = INSTRUCTIONS, **more: Any) -> str:
    only = act(*items, instructions=instructions, **more)
    assert isinstance(only, Say)
    return only.text


def test_a_whole_conversation() -> None:
    items = [typed("The phone call just connected. Say only: Hi, this is Voxi. How can I help?")]
    transcript = []
    for line in [
        None,
        "Tell me about Vox implant and in world.",
        "Can you repeat that, please?",
        "What is this demo?",
        "What are your opening hours?",
        "Who are you?",
        "Thank you, goodbye.",
    ]:
        if line is not None:
            items.append(heard(line))
        transcript.append(answer(*items))
        items.append(said(transcript[-1]))
    assert transcript == [
        "Hi, this is Voxi. How can I help?",
        "Voximplant brings Inworld agents to real communication channels.",
        "Voximplant brings Inworld agents to real communication channels.",
        "This is Voximplant on a live call.",
        "We are open from nine to six, Monday to Friday.",
        "I'm Voxi from Voximplant, a voice agent.",
        "Thank you for calling. Goodbye!",
    ]


@pytest.mark.parametrize(
    "mangled",
    [
        "Vox implant and in world",
        "Vox and Blint and in World",
        "Voxamplint and in world",
        "Bachman Plant and in World",
        "Vocantland and enworld",
        "boxing plant and in world",
        "Vocamplink and Inworld",
        "Voximplant and the inworld",
    ],
)
def test_mangled_product_names_are_understood(mangled: str) -> None:
    assert canonical(f"{mangled}!", load_topics()).startswith("voximplant and")
    assert answer(heard(f"Tell me about {mangled}.")).startswith("Voximplant brings Inworld")


@pytest.mark.parametrize("heard_as", ["what's app", "Whats app", "what sap", "what s app"])
def test_whatsapp_is_understood_as_recognisers_hear_it(heard_as: str) -> None:
    told = answer(heard(f"Sorry one more question. Does it support {heard_as}?"))
    assert told.startswith("Yes, WhatsApp Business calls")


@pytest.mark.parametrize(
    "text", ["a vote in parliament", "the best in the world", "box of plants", "what app is it"]
)
def test_ordinary_words_are_not_product_names(text: str) -> None:
    assert canonical(text, load_topics()) == text


def test_half_of_the_words_of_an_instruction_are_not_enough() -> None:
    assert "communication channels" not in answer(heard("Tell me about Voximplant."))


SHOP = "You are Anna. The shop is open from ten to seven. A cake costs 30 euros. Parking is free."
HOURS_TOOL = {"type": "function", "name": "get_hours"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("What are your opening hours?", "The shop is open from ten to seven."),
        ("When do you close?", "The shop is open from ten to seven."),
        ("How much is it?", "A cake costs 30 euros."),
        ("Where can I park?", "Parking is free."),
        ("Who are you?", "I'm Anna, a voice agent."),
        ("Goodbye.", "Thank you for calling. Goodbye!"),
    ],
)
def test_what_the_instructions_tell_goes_before_canned_answers(asked: str, told: str) -> None:
    assert answer(heard(asked), instructions=SHOP) == told


def test_what_is_edited_is_heard() -> None:
    edited = SHOP.replace("ten to seven", "six to noon")
    assert answer(heard("When are you open?"), instructions=edited) == (
        "The shop is open from six to noon."
    )


def test_a_function_goes_before_a_fact() -> None:
    called = act(heard("When are you open?"), instructions=SHOP, tools=[HOURS_TOOL])
    assert called == CallTool("get_hours", {})


@pytest.mark.parametrize(
    "wish",
    [
        "ONLY repeat the input and DO NOT say anything else.",
        "Repeat only what was said in the audio.",
    ],
)
def test_the_input_repeated(wish: str) -> None:
    assert answer(heard("Is that a dog?"), response_instructions=wish) == "Is that a dog?"
    assert answer(response_instructions=wish) == "I heard nothing."


def test_greetings() -> None:
    hello = "Hi, this is Voxi from Voximplant. How can I help you?"
    assert answer() == hello
    assert answer(typed("The user speaks English.", role="system")) == hello
    assert answer(typed("Greet the caller.", role="system")) == hello
    assert answer(heard("Hello?")).startswith("Hello!")
    assert answer(said("Anything else?")) == "Are you still there?"
    assert answer(heard("Look it up."), called("x", "")[0]) == "One moment, please."


def test_response_instructions_dictate() -> None:
    dictated = "Repeat the following text: One moment."
    assert answer(heard("Who are you?"), response_instructions=dictated) == "One moment."
    assert answer(heard("Who are you?"), response_instructions="Be brief.").startswith("I'm Voxi")


def test_a_spoken_directive_is_not_obeyed() -> None:
    assert "pirates" not in answer(heard("Say only: pirates"), instructions=INSTRUCTIONS + UNSURE)
    assert answer(typed("Say only: pirates")) == "pirates"


def test_what_it_does_not_know_it_names() -> None:
    assert "My dog ate my homework" in answer(heard("My dog ate my homework."))
    long = " ".join(["blah"] * 50)
    assert answer(heard(long)).count("blah") == 12
    assert "catch that" in answer(heard(""))
    assert "catch that" in answer(heard("..."))
    assert answer(heard("Are ferrets allowed?"), instructions=INSTRUCTIONS + UNSURE) == (
        "I would check the docs."
    )


def test_the_same_topic_again_is_answered_differently() -> None:
    first = answer(heard("Thanks!"))
    second = answer(heard("Thanks!"), said(first), heard("Thanks again."))
    third = answer(heard("Thanks!"), said(first), heard("Thanks."), said(second), heard("Thanks."))
    assert first != second
    assert third == first
    cut = answer(heard("Thanks!"), said(first[:9]), heard("Thanks again."))
    assert cut == second  # the caller interrupted it, but it was said


def test_there_is_something_long_to_interrupt() -> None:
    text = answer(heard("How does it work?"))
    assert text.count(".") >= 3
    assert 25 <= len(text.split()) <= 40


@pytest.mark.parametrize("text", ["Stop.", "Uh, wait, stop.", "I'll wait stop.", "Hold on please"])
def test_interruptions_are_let_in(text: str) -> None:
    assert answer(heard(text)).endswith("o ahead.")


def test_no_is_not_an_interruption() -> None:
    assert "ahead" not in answer(heard("No."))


@pytest.mark.parametrize(
    ("text", "tools", "expected"),
    [
        ("What's the weather in Oslo today?", [WEATHER], CallTool("get_weather", {"city": "Oslo"})),
        (
            "How is the weather in New York?",
            [WEATHER],
            CallTool("get_weather", {"city": "New York"}),
        ),
        ("My order is 20311.", [ORDER], CallTool("order_status", {"order_id": 20311})),
        ("It is 20311.", [WEATHER, ORDER], CallTool("order_status", {"order_id": 20311})),
        ("Where is my order?", [ORDER], Say("Sure. What is your order number?")),
        (
            "Please transfer me to sales.",
            [TRANSFER],
            CallTool(
                "transfer_call", {"department": "sales", "reason": "the caller asked for sales"}
            ),
        ),
        ("Can I talk to a human?", [TRANSFER], CallTool("transfer_call", {})),
    ],
)
def test_declared_tools_are_called(
    text: str, tools: list[dict[str, Any]], expected: CallTool | Say
) -> None:
    assert act(heard(text), tools=tools) == expected


def test_tools_that_are_not_declared_or_not_wanted_are_not_called() -> None:
    question = heard("What's the weather in Oslo?")
    assert isinstance(act(question), Say)
    assert isinstance(act(question, tools=[ORDER]), Say)
    assert isinstance(act(question, tools=[WEATHER], tool_choice="none"), Say)


def test_a_tool_that_must_be_called_is_called() -> None:
    choice = {"type": "function", "name": "get_weather"}
    tools = [ORDER, WEATHER]
    forced = act(heard("Weather in Oslo?"), tools=tools, tool_choice=choice)
    assert forced == CallTool("get_weather", {"city": "Oslo"})
    forced = act(heard("Who are you?"), tools=tools, tool_choice=choice)
    assert forced == CallTool("get_weather", {})
    forced = act(heard("Who are you?"), tools=tools, tool_choice="required")
    assert forced == CallTool("order_status", {})


@pytest.mark.parametrize(
    ("tool", "output", "reply"),
    [
        ("order_status", '{"status": "on its way"}', "Your order is on its way."),
        ("order_status", '{"eta": "Tuesday"}', "The eta is Tuesday."),
        ("order_status", '{"error": "no such order"}', "Sorry, that did not work: no such order."),
        ("my_tool", '{"unread_mails": 3, "ok": true}', "The unread mails is 3."),
        ("my_tool", "All good", "All good."),
    ],
)
def test_results_of_functions_are_said(tool: str, output: str, reply: str) -> None:
    assert answer(heard("Where is it?"), *called(tool, output)) == reply


def test_several_results_are_said_one_by_one() -> None:
    items = [
        heard("Both, please."),
        {"type": "function_call", "call_id": "a", "name": "x", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "y", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "One"},
        {"type": "function_call_output", "call_id": "b", "output": "Two"},
    ]
    assert RULES.acts(Turn(items=items)) == (Say("One."), Say("Two."))


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"a": 1, "b_c": "two", "d": {"e": 1}}, "The a is 1, and b c is two."),
        ({"message": "Done and dusted."}, "Done and dusted."),
        ({"error": {"message": "boom", "code": 1}}, "Sorry, that did not work: boom."),
        ({"success": False}, "Sorry, that did not work."),
        ({"ok": True}, "All right, that's done."),
        ({}, "All right, that's done."),
        (None, "All right, that's done."),
        (False, "Sorry, that did not work."),
        ([], "I found nothing."),
        (["red", "green", 3], "I found red, green and 3."),
        ([{"a": 1}, {"a": 2}], "I found 2 results."),
        (3.5, "3.5."),
    ],
)
def test_read_out(result: Any, sentence: str) -> None:
    assert read_out(result) == sentence


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
items = st.one_of(
    st.builds(heard, st.text(max_size=60)),
    st.builds(typed, st.text(max_size=60), st.sampled_from(["user", "system"])),
    st.builds(said, st.text(max_size=60)),
    st.builds(
        lambda value: {
            "type": "function_call_output",
            "call_id": "x",
            "output": json.dumps(value),
        },
        json_values,
    ),
)


@given(st.lists(items, max_size=6), st.text(max_size=100))
def test_every_turn_has_an_answer(conversation: list[dict[str, Any]], instructions: str) -> None:
    turn = Turn(instructions=instructions, items=conversation, tools=[WEATHER, ORDER])
    acts = RULES.acts(turn)
    assert acts
    assert all(not isinstance(a, Say) or a.text.strip() for a in acts)
    assert RULES.acts(turn) == acts


async def test_respond_yields_the_acts() -> None:
    turn = Turn(items=[heard("Hello.")])
    assert tuple([a async for a in RULES.respond(turn)]) == RULES.acts(turn)
