from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

PROMPT = """
You are Mira, a Northwind support engineer on a live call.
Keep answers short.

If the caller asks "What is Northwind Connect" or any similar broad
question, answer directly: Northwind Connect links your phones,
and it takes a minute. It is free.

Rules:
- If the caller asks what this demo is, say this is Northwind on the phone.
- When a customer mentions refunds, tell them that you can only note the request. Then stop.
- If the caller asks about emotion, demonstrate it briefly.
- If the user says "goodbye", transfer them. Never say bye first.
- If someone asks for the manager, reply with "She is out today." and nothing else.

If the caller asks about something you are not sure of, say you would look it up.
"""


@pytest.mark.parametrize(
    ("instructions", "name", "company"),
    [
        (PROMPT, "Mira", "Northwind"),
        ("You are Anna from Blue Bank, be nice.", "Anna", "Blue Bank"),
        ("You are a helpful assistant for Acme Dental.", None, "Acme Dental"),
        ("You're Max.", "Max", None),
        ("Be kind. You are the receptionist of Hotel Sacher.", None, "Hotel Sacher"),
        ("You are a helpful assistant.", None, None),
        ("Answer in rhymes.", None, None),
        ("", None, None),
    ],
)
def test_persona(instructions: str, name: str | None, company: str | None) -> None:
    assert persona_of(instructions) == Persona(name, company)


@pytest.mark.parametrize(
    ("directive", "speech"),
    [
        (
            "The phone call just connected. Say only: Hi, this is Mira. How can I help?",
            "Hi, this is Mira. How can I help?",
        ),
        ("Repeat the following text: One: two. Three!", "One: two. Three!"),
        ('Say exactly: "Good morning."', "Good morning."),
        ("Please say “Welcome back” now", "Welcome back"),
        (
            "The phone call just connected.\n    Greet the caller as Vera from Blue Bank"
            " and invite a question about loans and cards.",
            "Hi, this is Vera from Blue Bank. What would you like to know about loans and cards?",
        ),
        ("Greet the user as Vera.", "Hi, this is Vera from Northwind. How can I help you?"),
        ("Say hello.", "Hi, this is Mira from Northwind. How can I help you?"),
        ("The caller has been silent for ten seconds.", "Are you still there?"),
    ],
)
def test_directives(directive: str, speech: str) -> None:
    assert directed_speech(directive, Persona("Mira", "Northwind")) == speech


@pytest.mark.parametrize(
    "text",
    ["What are your hours?", "You're welcome.", "I am greeting you", "She did say so", ""],
)
def test_ordinary_text_is_no_directive(text: str) -> None:
    assert directed_speech(text, Persona()) is None


def test_a_greeting_without_a_persona() -> None:
    greeting = directed_speech("Greet the caller.", Persona())
    assert greeting == "Hello, thank you for calling. How can I help you?"


def test_conditions_are_read_from_the_prompt() -> None:
    assert [(c.answer, c.when_unsure) for c in conditions(PROMPT)] == [
        ("Northwind Connect links your phones, and it takes a minute. It is free.", False),
        ("This is Northwind on the phone.", False),
        ("I can only note the request.", False),
        ("She is out today.", False),
        ("I would look it up.", True),
    ]
    first, second, third = conditions(PROMPT)[:3]
    assert first.keywords == {"northwind", "connect"}  # the quoted question only
    assert second.keywords == {"demo"}
    assert third.keywords == {"refund"}


def test_keywords_and_their_overlap() -> None:
    assert keywords("Tell me about the Prices of Pete’s boats, please!") == {
        "price",
        "pete",
        "boat",
    }
    assert overlap(keywords("prices of boats"), keywords("a boat")) == 0.5
    assert overlap(frozenset(), keywords("anything")) == 0.0


@given(st.text(alphabet='If the caler aks,say"“:.\n-1You re A', max_size=300))
def test_any_prompt_is_survived(text: str) -> None:
    persona = persona_of(text)
    directed_speech(text, persona)
    for condition in conditions(text):
        assert condition.answer


SHOP = """
You are Anna, who answers the phone of a bakery. We deliver within two days, also on Sundays!
Keep it short. Never promise a refund. Is it loud? Ask for the order number.

What you know:
- Parking is behind the house
- A birthday cake costs 30 euros. Refunds take five days.
If the caller asks for the boss, say that she is in the garden.
When it is late, say good night.
Use a warm voice, as a good baker has.
"""


def test_plain_facts_are_told_from_orders() -> None:
    assert facts(SHOP) == (
        "We deliver within two days, also on Sundays!",
        "Parking is behind the house.",
        "A birthday cake costs 30 euros.",
        "Refunds take five days.",
    )
    assert facts("") == ()


@pytest.mark.parametrize(
    ("asked", "fact"),
    [
        ("do you deliver on a sunday", 0),
        ("how fast is your delivery", 0),
        ("where can i park", 1),
        ("is there any parking", 1),
        ("what does a birthday cake cost", 2),
        ("how long does a refund take", 3),
        ("tell me a joke", None),
        ("is it raining in london today", None),
        ("", None),
    ],
)
def test_a_fact_with_half_of_the_questions_words(asked: str, fact: int | None) -> None:
    told = facts(SHOP)
    assert fact_about(told, asked) == (None if fact is None else told[fact])


@given(st.text(max_size=200) | st.text("-* .!?\nAWeis", max_size=200), st.text(max_size=30))
def test_facts_never_raise(instructions: str, asked: str) -> None:
    fact_about(facts(instructions), asked)
