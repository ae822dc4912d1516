"""Calls out, by whichever channel can make them.

A channel that places calls is a ``Way``. Calls to addresses and users are SIP's, those to
conferences the host's own. Calls to numbers go by the trunks of ``routing.yaml`` whose ``numbers``
match, from the top; the next one when one fails for a reason of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import attrs

from voxpy.channels.hunting import Limited, hunt
from voxpy.engine.ports import (
    SERVICE_UNAVAILABLE,
    DialKind,
    Leg,
    NoDialer,
    OutgoingCall,
    RefusedLeg,
)
from voxpy.engine.userfile import Fields, Given
from voxpy.fleet.membership import Fleet, Member
from voxpy.text.patterns import compile_pattern


@attrs.frozen(kw_only=True)
class Trunk:
    """A way to the telephone network. ``way`` is the name of the channel that knows it."""

    name: str
    way: str
    kind: DialKind = "pstn"
    numbers: re.Pattern[str] = re.compile(".*")
    callerid: str = ""
    most_calls: int | None = None
    """Calls out at once, over all hosts."""

    def carries(self, call: OutgoingCall) -> bool:
        """Return whether it takes a call."""
        return call.kind == self.kind and self.numbers.fullmatch(call.destination) is not None


def read_numbers(fields: Fields) -> re.Pattern[str]:
    """Read which numbers a trunk carries. Raises ConfigError."""
    pattern: re.Pattern[str] = fields.get("numbers", _pattern, re.compile(".*"))
    return pattern


def read_most_calls(fields: Fields) -> int | None:
    """Read how many calls there may be at once, over all hosts. Raises ConfigError."""
    most: int | None = fields.get("most_calls", lambda given: given.whole(at_least=1), None)
    return most


def _pattern(given: Given) -> re.Pattern[str]:
    try:
        return compile_pattern(given.words())
    except ValueError as error:
        raise given.error(f"{given.label} {error}") from error


class Way(Protocol):
    """What a channel does with calls out. Neither raises: what cannot be dialled is RefusedLeg."""

    def dial(self, call: OutgoingCall) -> Leg:
        """Call an address, a user or a conference."""
        ...

    def dial_by(self, trunk: Trunk, call: OutgoingCall) -> Leg:
        """Call a number by a trunk of this channel."""
        ...


class Across(Protocol):
    """Calls from one of our processes to another, of this host or of others."""

    def dial_conference(self, home: Member, call: OutgoingCall) -> Leg:
        """Call a conference that another process has."""
        ...


_WAYS: Mapping[DialKind, str] = {"conference": "conference"}


@attrs.define
class HostDialer:
    """Implements ``voxpy.engine.ports.Dialer`` by the ways that are there by now."""

    trunks: Sequence[Trunk] = ()
    fleet: Fleet | None = None
    ways: dict[str, Way] = attrs.field(factory=dict)
    across: Across | None = None

    def dial(self, call: OutgoingCall) -> Leg:
        """Return the leg of a call that is being set up."""
        if call.kind in ("pstn", "whatsapp"):
            return self._number(call)
        way = self.ways.get(_WAYS.get(call.kind, "sip"))
        return NoDialer().dial(call) if way is None else way.dial(call)

    def _number(self, call: OutgoingCall) -> Leg:
        found = [self._way(trunk, call) for trunk in self.trunks if trunk.carries(call)]
        if found:
            return hunt(call, found)
        if any(trunk.kind == call.kind for trunk in self.trunks):
            reason = f"no trunk carries {call.destination}"
            return RefusedLeg(call, SERVICE_UNAVAILABLE, reason)
        return NoDialer().dial(call)

    def _way(self, trunk: Trunk, call: OutgoingCall) -> Callable[[], Leg] | Limited:
        dial = partial(self._by, trunk, call)
        if trunk.most_calls is None or self.fleet is None:
            return dial
        name = f"calls/trunk/{trunk.name}"
        return Limited(
            dial,
            ask=partial(self.fleet.counts.occupy_soon, name, trunk.most_calls),
            free=partial(self.fleet.counts.free, name),
            full=f"trunk {trunk.name!r} carries its {trunk.most_calls} calls already",
        )

    def _by(self, trunk: Trunk, call: OutgoingCall) -> Leg:
        way = self.ways.get(trunk.way)
        if way is None:
            reason = f"trunk {trunk.name!r}: there is no channel {trunk.way!r}"
            return RefusedLeg(call, SERVICE_UNAVAILABLE, reason)
        return way.dial_by(trunk, attrs.evolve(call, callerid=trunk.callerid or call.callerid))
