"""What simulated people do, step by step: one class a step, and the table of them all.

A step knows everything about itself: how its author writes it (its *parts*, which are its fields),
what it is called in messages, which sound it needs and what it does with a person. It also knows
what repetitions, random callers and the shrinker do with it. Reading, acting, writing back, varying
and fuzzing go through the table, STEPS. So a new step is one class here and its name in the table::

    @attrs.frozen(kw_only=True)
    class Hum(Step):
        '''Hum for a while.'''

        name = "hum"
        seconds: float = number(2.0, simplest=0.5)

        async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
            await person.say(sounds[self], "[hum]")

In YAML a step is its name alone if every part has a default, its name with the first part, or its
name with a mapping of parts: ``beep``, ``press: '1'``, ``press: {digits: '1', how: inband}``.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import attrs

from voxpy.audio.frame import Samples
from voxpy.channels.simulated import PressedAs
from voxpy.engine.userfile import Given
from voxpy.errors import nearest
from voxpy.simulation.sounds import beep, read_sound

if TYPE_CHECKING:
    from voxpy.simulation.caller import SimulatedCaller

AGENT_WITHIN_S = 30.0
HEARD_WITHIN_S = 15.0
TRANSFERRED_WITHIN_S = 70.0
HIGHEST_BEEP_HZ = 3400
LONGEST_HESITATION_S = 0.6
RANDOM_WORDS = (
    "Yes.",
    "How are you?",
    "What is the weather in Paris today?",
    "Thank you. Goodbye.",
)
SHORT_TEXT = RANDOM_WORDS[0]

Sounds = Mapping["Step", Samples]
"""The audio of every step that makes any, at 8 kHz, made before the call so that nobody waits."""
Speak = Callable[[str], Awaitable[Samples]]
"""Makes speech of a text, at 8 kHz."""


# -- parts -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Part:
    """How a field of a step is written. ``simplest``: what the shrinker tries in its place."""

    read: Callable[[Given, Path], Any]
    form: str
    key: str | None = None
    write: Callable[[Any], Any] = lambda value: value
    simplest: Any = None

    def is_simple(self, value: Any) -> bool:
        """Whether there is nothing simpler to try."""
        if self.simplest is None or value == self.simplest:
            return True
        return isinstance(value, float) and value < self.simplest


def part(default: Any = attrs.NOTHING, **told: Any) -> Any:
    """Return a field of a step, see Part; one without a default must be written."""
    return attrs.field(default=default, metadata={"part": Part(**told)})


def words(default: Any = attrs.NOTHING, *, key: str | None = None, simplest: Any = None) -> Any:
    """Return a field for text with something in it."""
    return part(default, read=_words, form="TEXT", key=key, simplest=simplest)


def number(default: Any = attrs.NOTHING, *, most: float = math.inf, simplest: Any = None) -> Any:
    """Return a field for a number from 0 to ``most``."""

    def read(given: Given, _: Path) -> float:
        return given.number(at_most=most)

    return part(default, read=read, form="NUMBER", simplest=simplest)


def _words(given: Given, _: Path) -> str:
    return given.words()


# -- a step ----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Step:
    """One thing to do. ``line`` is where it stands in the caller's file, 0 if nowhere."""

    name: ClassVar[str]
    has_short_form: ClassVar[bool] = True
    """Whether its first part may stand alone behind its name."""
    needs_voice: ClassVar[bool] = False
    needs_ears: ClassVar[bool] = False
    is_audible: ClassVar[bool] = False
    """Whether ``sound`` makes what it needs before the call."""
    is_farewell: ClassVar[bool] = False
    """Whether nothing of it is missing when the far end has hung up first."""

    line: int = 0

    # -- what a step may say for itself

    @property
    def title(self) -> str:
        """What messages call it."""
        fields = self._parts()
        if not fields:
            return self.name
        (field, told), *_ = fields.items()
        return f"{self.name}: {told.write(getattr(self, field))}"

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        """Do it. Raises StepFailed."""
        raise NotImplementedError

    async def sound(self, speak: Speak) -> Samples:
        """Return its audio, at 8 kHz in whole frames. Raises ConfigError for a bad file."""
        raise NotImplementedError

    def varied(self, lots: random.Random) -> Iterator[Step]:
        """Yield what the same person does on another day."""
        yield self

    def simpler(self) -> Iterator[Step]:
        """Yield what is simpler by one change."""
        for field, told in self._parts().items():
            if not told.is_simple(getattr(self, field)):
                yield attrs.evolve(self, **{field: told.simplest})

    @classmethod
    def examples(cls) -> Sequence[Step]:
        """Return what random callers do of this kind."""
        return ()

    # -- YAML

    @classmethod
    def _parts(cls) -> dict[str, Part]:
        fields = attrs.fields(cls)
        return {f.name: f.metadata["part"] for f in fields if "part" in f.metadata}

    @classmethod
    def can_stand_alone(cls) -> bool:
        """Whether its name alone is the whole step."""
        needed = [f for f in attrs.fields(cls) if f.default is attrs.NOTHING]
        return not needed

    @classmethod
    def form(cls) -> str:
        """Return how it is written."""
        parts = ", ".join(f"{told.key or f}: {told.form}" for f, told in cls._parts().items())
        nothing = "nothing or " if cls.can_stand_alone() else ""
        return f"{cls.name} takes {nothing}{{{parts}}}" if parts else f"{cls.name} takes no value"

    @classmethod
    def read(cls, given: Given, folder: Path) -> Step:
        """Read what stands behind its name. Raises ConfigError."""
        parts = {told.key or field: (field, told) for field, told in cls._parts().items()}
        values: dict[str, Any] = {}
        if given.value is None and cls.can_stand_alone():
            pass
        elif isinstance(given.value, dict):
            written = given.fields(tuple(parts))
            for key, (field, told) in parts.items():
                if key in written or attrs.fields_dict(cls)[field].default is attrs.NOTHING:
                    values[field] = told.read(written.section(key), folder)
        elif parts and cls.has_short_form:
            ((field, told), *_) = parts.values()
            values[field] = told.read(given, folder)
        else:
            raise given.error(cls.form())
        return cls(line=given.line, **values)

    def written(self) -> Any:
        """Return the YAML it is read from: what is as by default is left out."""
        fields = attrs.fields_dict(type(self))
        told = {
            part.key or field: part.write(getattr(self, field))
            for field, part in self._parts().items()
            if getattr(self, field) != fields[field].default
        }
        if not told:
            return self.name
        first = next(iter(self._parts().items()))
        if self.has_short_form and list(told) == [first[1].key or first[0]]:
            (told,) = told.values()
        return {self.name: told}


class _Spoken(Step):
    """A step before which people hesitate, sometimes."""

    def varied(self, lots: random.Random) -> Iterator[Step]:
        yield Pause(line=self.line, seconds=lots.uniform(0.0, LONGEST_HESITATION_S))
        yield self


# -- the steps -------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Wait(Step):
    """Wait until the call is answered, the agent speaks or has finished, or the call is over."""

    name = "wait"
    FOR: ClassVar[Sequence[str]] = ("answered", "agent_speaking", "agent_finished", "hung_up")

    what: str = part(key="for", form="|".join(FOR), read=lambda given, _: given.one_of(Wait.FOR))
    within_s: float = number(AGENT_WITHIN_S)

    @classmethod
    def read(cls, given: Given, folder: Path) -> Step:
        """Read it; ``wait: 2`` and ``wait: {seconds: 2}`` are a Pause."""
        value = given.value
        if isinstance(value, dict) and "seconds" in value:
            return Pause.read(given, folder)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Pause.read(given, folder)
        if not isinstance(value, dict) and value not in cls.FOR:
            known = ", ".join(cls.FOR)
            raise given.error(
                f"wait is for a number of seconds or one of {known}, not {value!r}"
                f"{nearest(str(value), cls.FOR)}"
            )
        return super().read(given, folder)

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        waits = {
            "answered": person.wait_answered,
            "agent_speaking": person.wait_agent_speaking,
            "agent_finished": person.wait_agent_finished,
            "hung_up": person.wait_over,
        }
        await waits[self.what](self.within_s)

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return (Wait(what="agent_finished", within_s=4.0),)


@attrs.frozen(kw_only=True)
class Pause(Step):
    """Stay silent for a while."""

    name = "silence"
    PAUSES: ClassVar[tuple[float, float]] = (0.8, 1.3)

    seconds: float = number(simplest=0.5)

    @property
    def title(self) -> str:
        return f"wait: {self.seconds:g}"

    def written(self) -> Any:
        return {"wait": self.seconds}

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        await person.pause(self.seconds)

    def varied(self, lots: random.Random) -> Iterator[Step]:
        yield attrs.evolve(self, seconds=self.seconds * lots.uniform(*self.PAUSES))

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return tuple(Pause(seconds=s) for s in (0.1, 0.3, 0.5, 1.0, 1.5, 2.5))


@attrs.frozen(kw_only=True)
class Say(_Spoken):
    """Speak, and wait until that is said."""

    name = "say"
    needs_voice = is_audible = True

    text: str = words(simplest=SHORT_TEXT)

    async def sound(self, speak: Speak) -> Samples:
        return await speak(self.text)

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        await person.say(sounds[self], self.text)

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return tuple(Say(text=text) for text in RANDOM_WORDS)


@attrs.frozen(kw_only=True)
class Play(_Spoken):
    """Play a WAV file to the far end, and wait until its end."""

    name = "play"
    is_audible = True

    path: Path = part(  # noqa: RUF009  it makes a field
        form="FILE",
        read=lambda given, folder: _file(given, folder),
        write=lambda path: str(path.absolute()),
    )

    @property
    def title(self) -> str:
        return f"play: {self.path}"

    async def sound(self, speak: Speak) -> Samples:
        return read_sound(self.path)

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        await person.say(sounds[self], f"[{self.path.name}]")


def _file(given: Given, folder: Path) -> Path:
    file = folder / given.words()
    if not file.is_file():
        raise given.error(f"there is no file {file}")
    return file


@attrs.frozen(kw_only=True)
class Beep(Step):
    """Let the far end hear the tone of an answering machine."""

    name = "beep"
    has_short_form = False
    is_audible = True

    hz: float = number(1000.0, most=HIGHEST_BEEP_HZ)
    seconds: float = number(0.5)

    async def sound(self, speak: Speak) -> Samples:
        return beep(self.hz, self.seconds)

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        await person.say(sounds[self], "[beep]")


@attrs.frozen(kw_only=True)
class Interrupt(Step):
    """Wait until the agent speaks, then ``after_s`` seconds, then speak over it.

    Not met if the agent has fallen silent by then: that would be no interruption.
    """

    name = "interrupt"
    has_short_form = False
    needs_voice = is_audible = True
    EARLIER_OR_LATER: ClassVar[tuple[float, float]] = (0.6, 1.4)

    text: str = words(key="say", simplest=SHORT_TEXT)
    after_s: float = number(1.0)
    within_s: float = number(AGENT_WITHIN_S)

    async def sound(self, speak: Speak) -> Samples:
        return await speak(self.text)

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        after_s, within_s = self.after_s, self.within_s
        await person.interrupt(sounds[self], self.text, after_s=after_s, within_s=within_s)

    def varied(self, lots: random.Random) -> Iterator[Step]:
        yield attrs.evolve(self, after_s=self.after_s * lots.uniform(*self.EARLIER_OR_LATER))

    def simpler(self) -> Iterator[Step]:
        yield Say(text=SHORT_TEXT)
        yield from super().simpler()

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return tuple(
            Interrupt(after_s=after_s, text=text, within_s=3.0)
            for after_s, text in product((0.1, 0.4, 1.0), RANDOM_WORDS)
        )


@attrs.frozen(kw_only=True)
class Press(_Spoken):
    """Press digits ``0-9*#``. ``how`` None: as the session wants them."""

    name = "press"

    digits: str = part(form="DIGITS", read=lambda given, _: _digits(given))
    how: PressedAs | None = part(  # noqa: RUF009  it makes a field
        None,
        form="|".join(get_args(PressedAs)),
        read=lambda given, _: given.one_of(get_args(PressedAs)),
    )

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        person.press(self.digits, self.how)

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return tuple(Press(digits=digits) for digits in ("1", "2", "0", "9", "12#"))


def _digits(given: Given) -> str:
    value = given.value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9:
        return str(value)  # longer ones YAML may read as octal (0123) or as 12 (1_2)
    if isinstance(value, str) and value and set(value) <= set("0123456789*#"):
        return value
    raise given.error(f"press takes digits 0-9, * and # in quotes, not {value!r}")


@attrs.frozen(kw_only=True)
class Message(Step):
    """Send a text message inside the call."""

    name = "message"

    text: str = words()

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        person.send_message(self.text)

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return (Message(text="hello"),)


@attrs.frozen(kw_only=True)
class Info(Step):
    """Send a SIP INFO or its equivalent."""

    name = "info"
    has_short_form = False

    mime_type: str = words("text/plain")
    body: str = words()

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        person.send_info(self.mime_type, self.body)


@attrs.frozen(kw_only=True)
class Transfer(Step):
    """Ask to be put through to somebody, and leave when that has worked."""

    name = "transfer"

    to: str = words()
    within_s: float = number(TRANSFERRED_WITHIN_S)

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        from voxpy.simulation.caller import transfer

        await transfer(person, self.to, self.within_s)


@attrs.frozen(kw_only=True)
class Expect(Step):
    """Have heard the agent say something since the caller last spoke or pressed a digit.

    ``heard`` is searched, ignoring case, in what the recogniser made of the audio that reached the
    caller.
    """

    name = "expect"
    needs_ears = True

    heard: re.Pattern[str] = part(  # noqa: RUF009  it makes a field
        form="PATTERN",
        read=lambda given, _: given.pattern(re.IGNORECASE),
        write=lambda pattern: pattern.pattern,
    )
    within_s: float = number(HEARD_WITHIN_S)

    @property
    def title(self) -> str:
        return f"expect: /{self.heard.pattern}/"

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        await person.wait_heard(self.heard, self.within_s)


@attrs.frozen(kw_only=True)
class StayOn(Step):
    """Do nothing until the call is over: somebody else ends it, or a person speaks (``--mic``)."""

    name = "stay_on"

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        await person.wait_over()


@attrs.frozen(kw_only=True)
class HangUp(Step):
    """End the call."""

    name = "hang_up"
    is_farewell = True

    async def act(self, person: SimulatedCaller, sounds: Sounds) -> None:
        person.hang_up()

    @classmethod
    def examples(cls) -> Sequence[Step]:
        return (HangUp(),)


STEPS: Mapping[str, type[Step]] = {
    kind.name: kind
    for kind in (
        Wait,
        Say,
        Play,
        Beep,
        Interrupt,
        Press,
        Pause,
        Message,
        Info,
        Transfer,
        Expect,
        StayOn,
        HangUp,
    )
}
"""Every step by its name in YAML."""


def read_steps(given: Given, folder: Path) -> tuple[Step, ...]:
    """Return a list of steps; files are relative to ``folder``. Raises ConfigError."""
    if not isinstance(given.value, list) or not given.value:
        raise given.error(f"`{given.path[-1]}:` must be a list of at least one step")
    return tuple(_step(item, folder) for item in given.items())


def _step(given: Given, folder: Path) -> Step:
    value = given.value
    if isinstance(value, str) and value in STEPS:
        return STEPS[value].read(given.child(value, None), folder)
    alone = " or ".join(f"`{n}`" for n, kind in STEPS.items() if kind.can_stand_alone())
    if not isinstance(value, dict) or len(value) != 1:
        valued = ", ".join(n for n, kind in STEPS.items() if kind._parts())
        raise given.error(f"a step is {alone}, or one of {valued} with its value, not {value!r}")
    ((name, below),) = given.mapping().items()
    if name not in STEPS:
        known = f"(known: {', '.join(STEPS)})"
        raise given.error(f"unknown step {name!r}{nearest(str(name), STEPS)} {known}")
    return STEPS[name].read(below, folder)
