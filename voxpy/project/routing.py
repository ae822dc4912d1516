"""``routing.yaml``: which scenario answers which destination.

Rules are tried from the top; the first whose pattern matches the **whole** destination (the dialled
number or user name, never the caller) wins and no other runs (VoxEngine:
platform/voxengine/routing-rules). Beside the rules stand settings, for all of them or for one, and
``channels:``, what takes calls where::

    channels:
      twilio:             # a provider; its stream at /media/twilio, its webhook at /twilio/voice
      support-line:
        provider: telnyx
        path: /media/support
      audiosocket:
        port: 9092        # AudioSocket is TCP and has a port of its own
        to: support       # it names no destination; this is what is routed

Without the section the phone in the page is there, and every provider with a WebSocket is served
at ``/media/<provider>``.
Pure, apart from ``read_routing`` and ``read_document``, which read the file.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs

from voxpy.channels.browser.listener import BrowserListener
from voxpy.channels.listener import Listener
from voxpy.channels.mediastream.dialling import ProviderTrunk
from voxpy.channels.mediastream.listener import ProviderListener, default_listeners, given_provider
from voxpy.channels.outgoing import Trunk, read_most_calls, read_numbers
from voxpy.channels.sip.listener import SipListener
from voxpy.channels.sip.settings import SipTrunk, User, read_sip_trunk, read_users
from voxpy.engine.settings import Limits, OnHandlerError, Settings, Watchdogs, may_be_off
from voxpy.engine.userfile import Document, Fields, Given, load
from voxpy.errors import ConfigError, nearest
from voxpy.project.api import USUAL, ApiToken, Callback, read_callbacks, read_tokens
from voxpy.project.fleet import Fleet, read_fleet
from voxpy.project.keeping import (
    HistorySettings,
    KeepingSettings,
    RecordingSettings,
    read_history,
    read_recordings,
)
from voxpy.project.problem import Problem, first_error
from voxpy.text.patterns import compile_pattern, matches_everything

TOP_LEVEL_KEYS = (
    "rules", "settings", "channels", "history", "trunks", "users", "api", "callbacks", "fleet",
    "recordings",
)  # fmt: skip
MOST_BYTES = 1_000_000
"""Twenty thousand rules; YAML of more takes minutes to read."""
T = TypeVar("T")
_ON_HANDLER_ERROR: Mapping[str, OnHandlerError] = {"terminate": "terminate", "continue": "continue"}

Bounds = TypeVar("Bounds", Limits, Watchdogs)
SETTINGS_KEYS = ("limits", "watchdogs", "on_handler_error", "replayable")
RESERVED = ("/", "/calls", "/health", "/login", "/metrics", "/phone.json")
OURS = ("/api/", "/assets/", "/calls/", "/platform_api/", "/request/", "/whip/")
"""Below these the host has places of its own."""
KINDS: Mapping[str, Callable[[str, Given], Listener]] = {
    "browser": BrowserListener.read,
    "sip": SipListener.read,
}
"""Channels by the name of their kind; every other name is a phone provider's."""
RULE_KEYS = ("name", "pattern", "exclude", "scenarios", "most_calls", *SETTINGS_KEYS)


def usual_channels() -> tuple[Listener, ...]:
    """Return what is served where nobody has chosen: the browser phone, and every provider that
    needs no port of its own."""
    return (BrowserListener(), *default_listeners())


@attrs.frozen(kw_only=True)
class Rule:
    """One rule. ``scenarios`` are paths as written, relative to the routing file, run in order.

    ``most_calls`` is how many sessions of it there may be at once, over all hosts.
    """

    name: str
    pattern: re.Pattern[str]
    exclude: re.Pattern[str] | None = None
    scenarios: tuple[str, ...]
    scenario_lines: tuple[int, ...]
    settings: Settings
    line: int
    most_calls: int | None = None

    def try_on(self, destination: str) -> Tried:
        """Say whether this rule takes ``destination``."""
        matched = self.pattern.fullmatch(destination) is not None
        excluded = matched and bool(self.exclude and self.exclude.fullmatch(destination))
        return Tried(
            rule=self.name, pattern=self.pattern.pattern, matched=matched, excluded=excluded
        )

    def paths(self, base: Path) -> tuple[Path, ...]:
        """Return the scenario files; ``base`` is the folder of the routing file."""
        return tuple(base / scenario for scenario in self.scenarios)


@attrs.frozen(kw_only=True)
class Tried:
    """One pattern that was tried on a destination. ``excluded`` only if ``matched``."""

    rule: str
    pattern: str
    matched: bool
    excluded: bool

    def __str__(self) -> str:
        """``'support' (pattern): no match``, as a log line lists it."""
        outcome = "excluded" if self.excluded else "match" if self.matched else "no match"
        return f"{self.rule!r} ({self.pattern}): {outcome}"


@attrs.frozen(kw_only=True)
class Match:
    """``rule`` takes the call; ``tried`` ends with it."""

    rule: Rule
    tried: tuple[Tried, ...]


@attrs.frozen(kw_only=True)
class NoMatch:
    """No rule takes the call: the caller gets 404. ``tried`` has every rule."""

    tried: tuple[Tried, ...]


@attrs.frozen(kw_only=True)
class Routing:
    """A whole routing file. ``keeping`` says where goes what is kept of calls."""

    file: str
    rules: tuple[Rule, ...]
    settings: Settings = attrs.field(factory=Settings)
    channels: tuple[Listener, ...] = attrs.field(factory=usual_channels)
    keeping: KeepingSettings = attrs.field(factory=KeepingSettings)
    trunks: tuple[Trunk, ...] = ()
    users: Mapping[str, User] = attrs.field(factory=dict)
    tokens: tuple[ApiToken, ...] = USUAL
    callbacks: tuple[Callback, ...] = ()
    fleet: Fleet = attrs.field(factory=Fleet)
    version: str = attrs.field(default="", eq=False)
    """The same for files that say the same."""

    def match(self, destination: str) -> Match | NoMatch:
        """Return the first rule that takes ``destination``, and what was tried on the way."""
        tried: list[Tried] = []
        for rule in self.rules:
            tried.append(rule.try_on(destination))
            if tried[-1].matched and not tried[-1].excluded:
                return Match(rule=rule, tried=tuple(tried))
        return NoMatch(tried=tuple(tried))


def read_routing(path: Path) -> Routing:
    """Read and parse a routing file. Raises ConfigError (file, line) for the first error."""
    return _without_errors(read_document(path))


def read_document(path: Path) -> Document:
    """Read a routing file as YAML. Raises ConfigError if it is absent, unreadable or no YAML."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for its writer
            raise ConfigError("cannot be read: it is no file", file=str(path))
        if status.st_size > MOST_BYTES:
            told = f"has {status.st_size} bytes; a routing file has at most {MOST_BYTES}"
            raise ConfigError(told, file=str(path))
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        missing = "there is no such file; --routing names another"
        raise ConfigError(missing, file=str(path)) from None
    except OSError as exc:
        raise ConfigError(f"cannot be read: {exc.strerror}", file=str(path)) from exc
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise ConfigError("this line is not UTF-8 text", file=str(path), line=line) from exc
    return load(text, file=str(path))


def parse_routing(text: str, *, file: str = "routing.yaml") -> Routing:
    """Parse a routing file. Raises ConfigError for the first error; warnings are dropped."""
    return _without_errors(load(text, file=file))


def _without_errors(document: Document) -> Routing:
    routing, problems = inspect_routing(document)
    error = first_error(problems)
    if error is not None:
        raise error
    return routing


def inspect_routing(document: Document) -> tuple[Routing, list[Problem]]:
    """Return what is usable of a routing file, and everything that is wrong with it, by line."""
    problems: list[Problem] = []

    def report(error: ConfigError) -> None:
        problems.append(Problem.from_config_error(error, file=document.file))

    top = attrs.evolve(document.root, report=report).fields(TOP_LEVEL_KEYS)
    settings = read_settings(top.section("settings").fields(SETTINGS_KEYS), Settings())
    rules = tuple(_rules(top.section("rules"), settings))
    usual = usual_channels()
    users: Mapping[str, User] = top.get("users", read_users, {})
    trunks: tuple[Trunk, ...] = top.get("trunks", _trunks, ())
    fleet = top.get("fleet", read_fleet, Fleet())
    problems += _unreachable(rules, document.file)
    routing = Routing(
        file=document.file,
        rules=rules,
        settings=settings,
        channels=_with_callers(top.get("channels", _channels, usual), users, trunks, fleet),
        keeping=KeepingSettings(
            file=document.file,
            history=top.get("history", read_history, HistorySettings()),
            recordings=top.get("recordings", read_recordings, RecordingSettings()),
        ),
        trunks=trunks,
        users=users,
        tokens=_tokens(top, rules),
        callbacks=top.get("callbacks", read_callbacks, ()),
        fleet=fleet,
        version=repr(document.value),
    )
    return routing, sorted(problems, key=lambda p: p.line or 0)


def missing_scenarios(routing: Routing, base: Path) -> list[Problem]:
    """Return an error for every scenario that is no file; ``base`` is the routing file's folder."""
    return [
        Problem(
            routing.file,
            line,
            "error",
            f"rule {rule.name!r}: there is no scenario file {str(path)!r}",
        )
        for rule in routing.rules
        for path, line in zip(rule.paths(base), rule.scenario_lines, strict=True)
        if not path.is_file()
    ]


def _trunks(given: Given) -> tuple[Trunk, ...]:
    """Return the ways to the telephone network, in the order in which they are tried."""
    found: list[Trunk] = []
    for name, below in given.mapping().items():
        below = below.named(f"trunk {str(name)!r}")
        try:
            if isinstance(below.value, Mapping) and "provider" in below.value:
                found.append(ProviderTrunk.read(str(name), below, given_provider, read_numbers))
            else:
                found.append(read_sip_trunk(str(name), below))
        except ConfigError as error:
            given.report(error)
    return tuple(found)


def _with_callers(
    channels: tuple[Listener, ...],
    users: Mapping[str, User],
    trunks: tuple[Trunk, ...],
    fleet: Fleet,
) -> tuple[Listener, ...]:
    """Tell each channel who may call by it, whose calls out it places, and what is before it."""
    by_sip = tuple(t for t in trunks if isinstance(t, SipTrunk))
    made: list[Listener] = []
    for channel in channels:
        if isinstance(channel, SipListener):
            channel = attrs.evolve(channel, users=users, trunks=by_sip, proxy=fleet.proxy)
        elif isinstance(channel, ProviderListener):
            ours = [t for t in trunks if isinstance(t, ProviderTrunk) and t.way == channel.name]
            channel = attrs.evolve(channel, trunks=tuple(ours))
        made.append(channel)
    return tuple(made)


def _tokens(top: Fields, rules: Sequence[Rule]) -> tuple[ApiToken, ...]:
    """Return who may use the API; a rule that is not there is reported."""
    tokens: tuple[ApiToken, ...] = top.get("api", read_tokens, USUAL)
    known = {rule.name for rule in rules}
    for token in tokens:
        for name in sorted((token.rules or frozenset()) - known):
            problem = f"api: token {token.name!r}: there is no rule {name!r}{nearest(name, known)}"
            top.section("api").report(top.section("api").error(problem))
    return tokens


def _rules(given: Given, settings: Settings) -> Iterator[Rule]:
    """Yield the rules that are whole; an unknown key costs only its finding."""
    if not isinstance(given.value, list) or not given.value:
        wrong = "" if given.value in (None, []) else f", not {given.value!r}"
        given.report(given.error(f"rules must be a list of at least one rule{wrong}"))
        return
    named: dict[str, int] = {}
    for n, item in enumerate(given.items(), 1):
        item = item.named(f"rule {n}")
        try:
            if not isinstance(item.value, Mapping):
                raise item.expected("a mapping (name:, pattern:, scenarios:)")
            rule = _rule(item, settings)
        except ConfigError as error:
            given.report(error)
            continue
        if rule is None:
            continue
        if rule.name in named:
            taken = f"rule {rule.name!r}: the name is taken by the rule in line {named[rule.name]}"
            given.report(item.child("name", rule.name).error(taken))
        named.setdefault(rule.name, rule.line)
        yield rule


def _rule(given: Given, settings: Settings) -> Rule | None:
    """Return the rule, or None if it lacks something."""
    name = _reported(given, "name", Given.words)
    if name is not None:
        given = given.named(f"rule {name!r}")
    fields = given.fields(RULE_KEYS)
    pattern = _reported(given, "pattern", _pattern)
    exclude = fields.get("exclude", _pattern, None)
    scenarios = _reported(given, "scenarios", _scenarios)
    settings = read_settings(fields, settings)
    if name is None or pattern is None or scenarios is None:
        return None
    return Rule(
        name=name,
        pattern=pattern,
        exclude=exclude,
        scenarios=tuple(s.value for s in scenarios),
        scenario_lines=tuple(s.line for s in scenarios),
        settings=settings,
        line=given.line,
        most_calls=read_most_calls(fields),
    )


def _reported(owner: Given, key: str, read: Callable[[Given], T]) -> T | None:
    """Return what must be there, or None after having reported what is wrong with it."""
    try:
        return read(owner.child(key, owner.value.get(key)))
    except ConfigError as error:
        owner.report(error)
        return None


def _pattern(given: Given) -> re.Pattern[str]:
    try:
        return compile_pattern(given.words())
    except ValueError as exc:
        raise given.error(f"{given.label} {exc}") from exc


def _scenarios(given: Given) -> list[Given]:
    if given.value in (None, []):
        raise given.error(f"{given.label} is missing: list the files the rule runs")
    if not isinstance(given.value, list):
        hint = f": write [{given.value}]" if isinstance(given.value, str) else ""
        raise given.error(f"{given.label} must be a list of files, not {given.value!r}{hint}")
    for item in given.items():
        if not isinstance(item.value, str) or not item.value:
            raise item.error(f"{given.label}: {item.value!r} is no path of a scenario file")
    return given.items()


def _unreachable(rules: Sequence[Rule], file: str) -> Iterator[Problem]:
    """Yield a warning for every rule whose calls one above it takes."""
    for n, rule in enumerate(rules):
        for other in rules[:n]:
            if other.exclude is None and (
                matches_everything(other.pattern) or other.pattern == rule.pattern
            ):
                never = f"is never reached: {other.name!r} (line {other.line}) takes all its calls"
                yield Problem(file, rule.line, "warning", f"rule {rule.name!r} {never}")
                break


# -- settings and channels -------------------------------------------------------------------------


def read_settings(fields: Fields, base: Settings) -> Settings:
    """Return ``base`` with what the SETTINGS_KEYS among ``fields`` override."""
    return Settings(
        limits=fields.get("limits", partial(_bounds, base=base.limits), base.limits),
        watchdogs=fields.get("watchdogs", partial(_bounds, base=base.watchdogs), base.watchdogs),
        on_handler_error=fields.get("on_handler_error", _policy, base.on_handler_error),
        replayable=fields.get("replayable", Given.flag, base.replayable),
    )


def _policy(given: Given) -> OnHandlerError:
    return _ON_HANDLER_ERROR[given.one_of(tuple(_ON_HANDLER_ERROR))]


def _bounds(given: Given, base: Bounds) -> Bounds:
    known = attrs.fields_dict(type(base))
    for name, number in given.fields(tuple(known)).items():
        if name not in known:
            continue
        value, off = number.value, may_be_off(known[name])
        # YAML 1.1 reads the word off as false; .inf is its way to write infinity.
        if value is False and off:
            value = math.inf
        try:
            base = attrs.evolve(base, **{name: value})
        except (TypeError, ValueError) as exc:
            given.report(number.error(f"{given.label}: {exc}{', or off' if off else ''}"))
    return base


def _channels(given: Given) -> tuple[Listener, ...]:
    """Return the channels of the section."""
    channels: list[Listener] = []
    taken = dict.fromkeys(RESERVED, "the host itself")
    for name, below in given.mapping().items():
        below = below.named(f"channel {str(name)!r}")
        try:
            channel = KINDS.get(str(name), ProviderListener.read)(str(name), below)
            for place in (*channel.paths, *channel.webhooks):
                if place in taken or place.startswith(OURS):
                    taken.setdefault(place, "the host itself")
                    raise below.error(f"{below.label}: {place} is taken by {taken[place]}")
                taken[place] = f"channel {str(name)!r}"
        except ConfigError as error:
            given.report(error)
        else:
            channels.append(channel)
    return tuple(channels)
