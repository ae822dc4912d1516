"""Units: who listens to what, and what is said of names that do not exist."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxpy.engine.events import Event, Namespace, event_class
from voxpy.engine.units import (
    ListenerTable,
    MediaUnit,
    Unit,
    Waiter,
    describe,
    fitted,
    media_ports,
)
from voxpy.errors import ScenarioError, UnknownName


@event_class
class Ping(Event):
    name: ClassVar[str] = "Ping"


@event_class
class Pong(Event):
    name: ClassVar[str] = "Pong"


KINDS: list[type[Event]] = [Ping, Pong]


def handler_a(event: Event) -> None: ...
def handler_b(event: Event) -> None: ...


HANDLERS = [handler_a, handler_b]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "remove all"]),
            st.sampled_from(KINDS),
            st.sampled_from(HANDLERS),
        )
    )
)
def test_the_table_is_a_list_of_handlers_per_kind(steps: list[tuple[str, Any, Any]]) -> None:
    table = ListenerTable()
    model: list[tuple[type[Event], Any]] = []
    for verb, kind, handler in steps:
        if verb == "add":
            table.add(kind, handler)
            model.append((kind, handler))
        elif verb == "remove":
            table.remove(kind, handler)
            if (kind, handler) in model:
                model.remove((kind, handler))
        else:
            table.remove(kind)
            model = [entry for entry in model if entry[0] is not kind]
        for k in KINDS:
            assert table.snapshot(k) == tuple(h for of, h in model if of is k)
        assert table.kinds == frozenset(k for k, _ in model)


def test_a_waiter_is_taken_once_and_only_by_its_kind() -> None:
    table = ListenerTable()
    ping, pong = Waiter(Ping, lambda e: None), Waiter(Pong, lambda e: None)
    table.add_waiter(ping)
    table.add_waiter(pong)
    assert table.take_waiters(Ping) == [ping]
    assert table.take_waiters(Ping) == []
    table.remove_waiter(pong)
    table.remove_waiter(pong)
    assert table.take_waiters(Pong) == []


class Pings(metaclass=Namespace):
    Ping = Ping


class Pongs(metaclass=Namespace):
    Pong = Pong


class Player(Unit):
    _catalog: ClassVar[Any] = {"Pings": Pings, "Pongs": Pongs}
    _hints: ClassVar[Any] = {"play": "; it plays by itself"}

    def stop_it(self) -> None: ...


class Recording:
    """The part of a session that a unit uses."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, object, float]] = []

    async def wait_event(self, listeners: ListenerTable, kind: type[Any], timeout_s: float) -> Any:
        self.asked.append((listeners, kind, timeout_s))
        return kind()


def make_unit(session: Recording | None = None) -> Player:
    return Player(cast("Any", session or Recording()), "player-1")


def test_subscribing_and_unsubscribing() -> None:
    unit = make_unit()
    unit.add_event_listener(Ping, handler_a)
    unit.add_event_listener(Ping, handler_b)
    unit.remove_event_listener(Ping, handler_a)
    assert unit.listeners.snapshot(Ping) == (handler_b,)
    unit.remove_event_listener(Ping)
    assert unit.listeners.snapshot(Ping) == ()


async def test_wait_event_asks_the_session() -> None:
    session = Recording()
    unit = make_unit(session)
    assert await unit.wait_event(Ping, timeout_s=3) == Ping()
    assert session.asked == [(unit.listeners, Ping, 3)]


@pytest.mark.parametrize("wrong", ["Pang", None, 3, int, Ping(), Event])
async def test_what_is_no_event_is_refused_with_the_catalog(wrong: Any) -> None:
    unit = make_unit()
    for use in (unit.add_event_listener, unit.remove_event_listener):
        with pytest.raises(ScenarioError, match="is not an event: pass a member of Pings or Pongs"):
            use(wrong, handler_a)
    with pytest.raises(ScenarioError, match="is not an event"):
        await unit.wait_event(wrong)


def test_a_handler_is_described_by_name_file_and_line() -> None:
    line = handler_a.__code__.co_firstlineno
    told = f"handler_a ({__file__}:{line})"
    assert describe(handler_a) == told
    assert describe(functools.partial(handler_a, Ping())) == told
    assert describe(functools.wraps(handler_a)(lambda *_: None)) == told
    unit = make_unit()
    assert describe(unit.add_event_listener).startswith("Unit.add_event_listener (")
    assert describe(print) == "print"


def test_a_generator_is_refused_because_calling_it_runs_nothing() -> None:
    def yields(_: Ping) -> Any:
        yield 1

    async def yields_too(_: Ping) -> Any:
        yield 1

    for handler in (yields, yields_too):
        with pytest.raises(ScenarioError, match="contains `yield`"):
            make_unit().add_event_listener(Ping, handler)


@event_class
class Elsewhere(Event):
    name: ClassVar[str] = "Elsewhere"


async def test_an_event_of_another_unit_is_refused_and_says_whose_are_known() -> None:
    unit = make_unit()
    told = "Elsewhere never happens here: the events are those of Pings or Pongs"
    with pytest.raises(ScenarioError, match=told):
        unit.add_event_listener(Elsewhere, handler_a)
    with pytest.raises(ScenarioError, match=told):
        await unit.wait_event(Elsewhere)


def test_a_misspelt_name_gets_the_nearest_or_what_it_is_known_to_mean() -> None:
    unit: Any = make_unit()
    for name, hint in (
        ("stopIt", "; did you mean 'stop_it'?"),
        ("play", "; it plays by itself"),
        ("quux", ""),
    ):
        with pytest.raises(UnknownName) as caught:
            getattr(unit, name)
        assert str(caught.value) == f"Player has no {name!r}{hint}"
    assert not hasattr(unit, "_private")


def test_a_unit_that_only_hears_says_so() -> None:
    ear: Any = MediaUnit(cast("Any", Recording()), "ear-1")
    with pytest.raises(UnknownName, match="'send_media_to': it only hears; send something to it"):
        ear.send_media_to(ear)


class Phone:
    def __init__(self) -> None:
        self.got: list[Any] = []

    def hang_up(self) -> None:
        self.got.append("hung up")

    def ring(self, event: Any) -> None:
        self.got.append(event)

    def any(self, *events: Any) -> None:
        self.got.append(events)

    def maybe(self, event: Any = None) -> None:
        self.got.append(event)


def test_a_listener_is_given_what_it_takes() -> None:
    phone, event = Phone(), Ping()
    for handler, got in (
        (phone.hang_up, "hung up"),
        (phone.ring, event),
        (phone.any, (event,)),
        (phone.maybe, event),
        (lambda: phone.got.append("bare"), "bare"),
        (lambda e: phone.got.append(e), event),
        (functools.partial(phone.ring), event),
        (functools.partial(phone.ring, "bound"), "bound"),
        (functools.wraps(phone.hang_up)(lambda *a: phone.got.append(a)), (event,)),
        (phone.got.append, event),
    ):
        fitted(handler, event)()
        assert phone.got[-1] == got
        make_unit().add_event_listener(Ping, handler)


def test_a_listener_that_needs_more_is_refused_at_the_subscription() -> None:
    def two(event: Any, other: Any) -> None: ...
    def keyword(event: Any, *, call: Any) -> None: ...

    for handler, missing in ((two, "'other'"), (keyword, "'call'")):
        with pytest.raises(ScenarioError, match=rf"\.{handler.__name__} .*, needs {missing}: a"):
            make_unit().add_event_listener(Ping, cast("Any", handler))


def test_media_sent_to_what_was_not_awaited_says_await() -> None:
    async def create_client() -> None: ...

    ear = MediaUnit(cast("Any", Recording()), "ear-1")
    with pytest.raises(
        ScenarioError, match=r"create_client\(\.\.\.\) is not a media unit yet.*await"
    ):
        media_ports(ear, create_client())
    with pytest.raises(ScenarioError, match="NoneType is not a media unit; calls, players"):
        media_ports(None, ear)
