"""What a prompt tells the agent to say in so many words: greetings, exact sentences, answers.

Pure. A language model would understand any wording; this reads the few that scenarios really use.
"""

from __future__ import annotations

import re

import attrs

_NAME = r"[A-Z][\w&'-]*(?: (?:[A-Z][\w&'-]*|of|and(?= [A-Z])))*"


@attrs.frozen
class Persona:
    """Who the agent is, as far as its instructions say."""

    name: str | None = None
    company: str | None = None

    def introduction(self) -> str:
        """Return the first sentence of a greeting."""
        who = " from ".join(part for part in (self.name, self.company) if part)
        return f"Hi, this is {who}." if who else "Hello, thank you for calling."


_WHO = re.compile(
    rf"\b[Yy]ou(?: are|'re) (?:the |an? )?({_NAME})(?=[,.;:!\n]| an? | the |,| from | at | for |$)"
)
_EMPLOYER = [
    re.compile(rf"\b(?:from|at|for|of|on behalf of|represent(?:ing)?) (?:the )?({_NAME})"),
    re.compile(rf"\b[Yy]ou(?: are|'re) [^.\n]*?\b(?:an?|the) ({_NAME})"),
]


def persona_of(instructions: str) -> Persona:
    """Return the persona that ``instructions`` begin with: "You are Voxi, a Voximplant expert"."""
    opening = re.search(r"\b[Yy]ou(?: are|'re) [^.!?\n]*", " ".join(instructions.split()))
    if not opening:
        return Persona()
    sentence = opening.group()
    who = _WHO.search(sentence)
    name = who.group(1) if who else None
    for pattern in _EMPLOYER:
        for company in pattern.findall(sentence):
            if company != name:
                return Persona(name, company)
    return Persona(name)


_EXACTLY = re.compile(
    r"\b(?:say (?:only|exactly|just|the following)(?: this)?|repeat the following(?: text)?"
    r"|repeat (?:exactly|after me)|read (?:out )?the following(?: text)?(?: aloud)?"
    r"|say)\s*:\s*(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_QUOTED = re.compile(r"\bsay(?: only| exactly| just)?,? [\"“]([^\"”]+)[\"”]", re.IGNORECASE)
_GREET = re.compile(
    r"\b(?:greet|welcome (?:the|our)|say (?:hello|hi)|introduce yourself)\b", re.IGNORECASE
)
_AS = re.compile(rf"\bas ({_NAME})(?: (?:from|of|at) ({_NAME}))?")
_INVITE = re.compile(
    r"\b(?:invite|ask for|encourage)\b[^.]*?\bquestions? (?:about|on|regarding) ([^.!?]+)",
    re.IGNORECASE,
)
_STILL_THERE = re.compile(
    r"\b(silent|silence|no (?:audio|speech|answer)|still there)\b", re.IGNORECASE
)


def directed_speech(text: str, persona: Persona) -> str | None:
    """Return what the directive ``text`` makes the agent say now, or None if it is no directive.

    Understands "Say only: ...", "Repeat the following text: ...", say "...", "Greet the caller as
    NAME from COMPANY and invite a question about X", and a caller who fell silent.
    """
    text = " ".join(text.split())
    exact = _EXACTLY.search(text) or _QUOTED.search(text)
    if exact:
        return _unquoted(exact.group(1))
    if _GREET.search(text):
        return _greeting(text, persona)
    if re.match(r"the (?:caller|user|customer)\b", text, re.IGNORECASE) and _STILL_THERE.search(
        text
    ):
        return "Are you still there?"
    return None


def _unquoted(text: str) -> str:
    text = text.strip()
    quoted = re.fullmatch(r"[\"“'](.+)[\"”']", text)
    return quoted.group(1).strip() if quoted else text


def _greeting(text: str, persona: Persona) -> str:
    named = _AS.search(text)
    if named:
        persona = Persona(named.group(1), named.group(2) or persona.company)
    invited = _INVITE.search(text)
    question = (
        f"What would you like to know about {invited.group(1).strip()}?"
        if invited
        else "How can I help you?"
    )
    return f"{persona.introduction()} {question}"


@attrs.frozen
class Condition:
    """One "if the caller asks ..., answer ..." of the instructions."""

    keywords: frozenset[str]
    answer: str
    when_unsure: bool = False
    """It says what to do with questions the agent cannot answer."""


_IF = re.compile(
    r"\b(?:if|when|whenever) (?:the |a |an )?(?:caller|user|customer|they|someone|anyone|guest)s? "
    r"(?:asks?|says?|mentions?|wants?|inquires?|requests?)(?: (?:for|about|to know|if|whether))?,? "
    r"(?P<question>.+?),? (?:then )?(?:please )?"
    r"(?:always )?(?:answer|say|reply|respond|tell them)(?: directly| exactly| only| with| that)*"
    r"\s*(?P<colon>:?)\s+(?P<answer>.+)$",
    re.IGNORECASE,
)
_QUESTION_QUOTED = re.compile(r"[\"“]([^\"”]+)[\"”]")
_UNSURE = re.compile(
    r"\b(?:not sure|unsure|don't know|do not know|cannot answer|can't answer)\b", re.I
)
_BLOCK = re.compile(r"\n\s*\n|\n\s*(?=[-*•]|\d+[.)])")
_NEXT_IF = re.compile(
    r"(?<=[.!?\"”]) (?=(?:If|When|Whenever) (?:the |a |an )?\w+ (?:ask|say|mention|want))"
)


def conditions(instructions: str) -> tuple[Condition, ...]:
    """Return the if-asked-answer rules of ``instructions``, in the order written.

    Each is a paragraph or a list item of its own, or a sentence that begins with If or When. Behind
    a colon the answer is the rest of the paragraph, else the rest of the sentence, and ``say you
    would ...`` is turned into the first person. Rules that ask for something other than words are
    ignored.
    """
    found = []
    for block in _BLOCK.split(instructions):
        for part in _NEXT_IF.split(" ".join(block.split())):
            match = _IF.search(part)
            if match and _verb_belongs(match):
                found.append(_condition(match))
    return tuple(found)


def _verb_belongs(match: re.Match[str]) -> bool:
    # "If the caller asks X, transfer them. Never say Y": the verb stands in another sentence.
    outside_quotes = _QUESTION_QUOTED.sub("", match["question"])
    return not re.search(r"[.!?](?:\s|$)", outside_quotes)


def _condition(match: re.Match[str]) -> Condition:
    question, answer = match["question"], match["answer"].strip()
    quoted = _QUESTION_QUOTED.findall(question)
    said = re.match(r"[\"“]([^\"”]+)[\"”]", answer)
    if said:
        answer = said.group(1).strip()
    elif not match["colon"]:
        answer = _first_person(re.split(r"(?<=[.!?])\s", answer)[0])
    answer = answer[:1].upper() + answer[1:]
    unsure = bool(_UNSURE.search(question))
    return Condition(keywords(" ".join(quoted) or question), answer, unsure)


def _first_person(reported: str) -> str:
    reported = re.sub(r"^(?:that )?you(?:'re| are)\b", "I am", reported, flags=re.IGNORECASE)
    return re.sub(r"^(?:that )?(?:you\b|we\b)", "I", reported, flags=re.IGNORECASE)


_FIRST_WORD = re.compile(r"[A-Za-z']+")
_ORDERS = frozenset(
    """
    act add allow always answer apologise apologize as ask at avoid be begin call close collect
    confirm connect continue cover decline describe direct do don't end ensure explain finish focus
    follow gather give greet handle have help hold if ignore include introduce invite keep let
    limit list listen maintain make mention name never no offer once only open please politely
    provide read recommend refer remain remember repeat reply respond return role say send share
    show sound speak start stay stop suggest summarise summarize take talk tell thank transfer treat
    try unless until use wait when whenever where write you you're your
    """.split()
)
"""First words of what is asked of the agent, rather than told it: "Keep it short", "You are"."""
_TELLS = re.compile(
    r"\b(?:is|are|was|were|has|have|had|can|may|will|costs?|opens?|closes?|starts?|ends?|lasts?"
    r"|takes?|offers?|sells?|serves?|delivers?|ships?|accepts?|includes?|needs?|lies|stands?|speaks?"
    r"|works?|provides?|repairs?|makes?|rents?|runs?|refunds?|charges?)\b",
    re.IGNORECASE,
)
_LONGEST_FACT_WORDS = 30


def facts(instructions: str) -> tuple[str, ...]:
    """Return the sentences of ``instructions`` that plainly tell something, in the order written.

    Not what they ask of the agent, not headings, not rules ("If the caller ..."), no questions.
    """
    found: list[str] = []
    for block in _BLOCK.split(instructions):
        line = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", " ".join(block.split()))
        found += filter(_is_fact, re.split(r"(?<=[.!?])\s+(?=[A-Z\"“])", line))
    return tuple(fact if fact[-1] in ".!" else f"{fact}." for fact in found)


def _is_fact(sentence: str) -> bool:
    first = _FIRST_WORD.match(sentence)
    return (
        first is not None
        and first.group().lower() not in _ORDERS
        and not sentence.endswith(("?", ":"))
        and len(sentence.split()) <= _LONGEST_FACT_WORDS
        and _TELLS.search(sentence) is not None
    )


def fact_about(told: tuple[str, ...], asked: str) -> str | None:
    """Return the fact that has most of the words of a question, half of them at least."""
    wanted = {_stem(word) for word in keywords(asked)}
    best, answer = 0.0, None
    for fact in told:
        score = overlap(frozenset(wanted), frozenset(_stem(word) for word in keywords(fact)))
        if score > best:
            best, answer = score, fact
    return answer if best >= _HALF else None


_HALF = 0.5
_SUFFIXES = ("ings", "ing", "ers", "ery", "er", "ed", "es", "s", "y", "e")


def _stem(word: str) -> str:
    """Return what "deliver", "delivery" and "delivered" have in common."""
    while True:
        cut = next((s for s in _SUFFIXES if word.endswith(s) and len(word) - len(s) >= 4), "")
        if not cut:
            return word
        word = word.removesuffix(cut)


_EMPTY_WORDS = frozenset(
    """
    a about all am an and any are as ask at be been broad but by can could did do does for from get
    give had has have hear hello hey hi how i i'd i'm in is it it's its just know let like me mean
    my no of on one or other our please question say similar so some something tell that that's the
    their them there these they thing this to um uh us was we well were what what's when where which
    who why will with would yes you your
    """.split()
)


def keywords(text: str) -> frozenset[str]:
    """Return the words of ``text`` that carry its meaning: lower case, without a plural's s."""
    words = re.findall(r"[a-z0-9][a-z0-9'-]*", text.lower().replace("’", "'"))
    return frozenset(_singular(word) for word in words if word not in _EMPTY_WORDS)


def _singular(word: str) -> str:
    word = word.removesuffix("'s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def overlap(asked: frozenset[str], said: frozenset[str]) -> float:
    """Return which part (0.0 to 1.0) of the words ``asked`` for was ``said``."""
    return len(asked & said) / len(asked) if asked else 0.0
