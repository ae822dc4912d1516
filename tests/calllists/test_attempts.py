"""Rows and attempts among processes that share a store: what may begin when, and that no attempt is
made twice, whoever dies or stalls."""

from __future__ import annotations

import datetime
import io
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleet.conftest import RedisServer, shared_redis
from tests.fleet.test_membership import Line, Server
from tests.fleet.test_store import _redis as opened_redis
from voxpy.calllists.store import Lists, Row
from voxpy.calllists.terms import Terms, Window
from voxpy.calllists.working import DIED, LEASE_S, CannotBegin, ListWork, _Task
from voxpy.engine import clock
from voxpy.engine.ending import EndReason
from voxpy.engine.ports import CallListTask
from voxpy.fleet.port import Store, StoreAway
from voxpy.history.record import CallRecord
from voxpy.host.hostlog import host_log
from voxpy.simulation.virtual import run_virtual

__all__ = ["shared_redis"]  # the fixture
GOOD = EndReason.TERMINATED.value


# -- a row -----------------------------------------------------------------------------------------


def row_of(**fields: Any) -> Row:
    row = Row(data='{"to":"+1","name":"Ann"}', **fields)
    row.begin("a", 0.0)
    return row


def test_a_failure_is_tried_again_later_and_not_for_ever() -> None:
    terms, row = Terms(retry=1, retry_after_s=60.0), row_of()
    row.report("error", {"code": 486}, 1.0)
    row.finish("", 486, terms, 2.0)
    assert (row.state, row.due, row.call_code) == ("waiting", 62.0, 486)
    row.begin("a", 62.0)
    row.finish("no calls", None, terms, 63.0)
    assert (row.state, row.attempts) == ("failed", 2)
    assert row.shown()["error"] == '{"code":486}'


def test_a_result_that_was_reported_counts_whatever_ended_the_session() -> None:
    row = row_of()
    row.report("progress", {"at": "menu"}, 1.0)
    row.report("result", {"answer": "yes"}, 1.0)
    row.finish(DIED, None, Terms(retry=3), 2.0)
    assert (row.state, row.result) == ("done", '{"answer":"yes"}')


def test_nothing_reported_is_a_success_unless_the_session_failed() -> None:
    good, bad = row_of(), row_of()
    good.finish("", None, Terms(), 1.0)
    bad.finish("handler error: oops", None, Terms(), 1.0)
    assert [(r.state, r.error) for r in (good, bad)] == [
        ("done", ""), ("failed", "handler error: oops"),
    ]  # fmt: skip


def test_the_scenario_says_when_it_wants_another_attempt() -> None:
    row = row_of()
    row.report("next attempt", {"start_at": "1970-01-01T01:00:00", "name": "Bob", "x": 1}, 1.0)
    row.finish("", None, Terms(retry=2, retry_after_s=9e9), 2.0)
    assert (row.state, row.due, row.data) == ("waiting", 3600.0, '{"to":"+1","name":"Bob"}')


# -- processes -------------------------------------------------------------------------------------


@attrs.define
class Campaign:
    """A list that processes work on together. Every call is noted by row and attempt."""

    nursery: trio.Nursery
    store: Store
    call_s: Callable[[int], float] = lambda number: 10.0
    reports: Callable[[int], str] = lambda number: "result"
    dialled: Counter[tuple[int, int]] = attrs.field(factory=Counter)
    moments: list[float] = attrs.field(factory=list)
    up: list[tuple[str, int]] = attrs.field(factory=list)
    log: io.StringIO = attrs.field(factory=io.StringIO)

    @property
    def lists(self) -> Lists:
        return Lists(self.store)

    async def add(self, rows: int, **terms: Any) -> int:
        data = [{"to": f"+{n}", "name": f"N{n}"} for n in range(1, rows + 1)]
        return await self.lists.add(data, "people.csv", "remind", Terms(**terms), _now())

    def process(self, name: str, store: Store, **more: Any) -> tuple[ListWork, trio.CancelScope]:
        scope = trio.CancelScope()
        log = host_log(self.log, tuple, as_lines_of_json=True)
        begin = partial(self._begin, name)
        work = ListWork(lists=Lists(store), begin=begin, log=log, now=clock.wall, **more)

        async def live() -> None:
            with scope:
                await work.run()

        self.nursery.start_soon(live)
        return work, scope

    async def _begin(
        self, name: str, rule: str, data: str, task: CallListTask
    ) -> tuple[str, Callable[[], Awaitable[CallRecord]]]:
        assert isinstance(task, _Task)
        attempt = task.attempt
        number, made = attempt.number, attempt.row.attempts
        self.dialled[number, made] += 1
        self.moments.append(clock.now())
        self.up.append((name, number))

        async def ended() -> CallRecord:
            await trio.sleep(self.call_s(number))
            self.up.remove((name, number))
            kind = self.reports(number)
            if kind:
                await task.report(kind, {"by": name, "attempt": made})  # type: ignore[arg-type]
            return CallRecord(
                session_id="s", rule_name=rule, scenarios=[], started_at="", end_reason=GOOD
            )

        return f"{name}-{number}-{made}", ended

    async def done(self) -> list[dict[str, Any]]:
        while (await self.lists.lists())[0].state != "done":  # noqa: ASYNC110
            await trio.sleep(1)
        return await self.lists.results(1)


def _now() -> float:
    return clock.wall().timestamp()


def virtual(test: Callable[[Campaign], Awaitable[None]]) -> Callable[[], None]:
    """Run a test with a campaign on virtual time, in one store that all its processes see."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await test(Campaign(nursery, Server().store))
            nursery.cancel_scope.cancel()

    def run() -> None:
        run_virtual(main)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@virtual
async def test_so_many_at_once_over_all_processes(campaign: Campaign) -> None:
    await campaign.add(20, at_once=4)
    campaign.call_s = lambda number: 5.25 + number % 3
    for name in "abc":
        campaign.process(name, campaign.store)
    most = 0
    for _ in range(40):
        await trio.sleep(0.5)
        most = max(most, len(campaign.up))
    assert most == 4
    rows = await campaign.done()
    assert [row["state"] for row in rows] == ["done"] * 20
    assert set(campaign.dialled.values()) == {1}


@virtual
async def test_no_more_in_a_minute_than_wanted_by_all(campaign: Campaign) -> None:
    await campaign.add(12, at_once=12, per_minute=120.0)
    for name in "ab":
        campaign.process(name, campaign.store)
    await campaign.done()
    apart = [
        later - one for one, later in zip(campaign.moments, campaign.moments[1:], strict=False)
    ]
    assert min(apart) >= 0.499
    assert sum(apart) < 12


@virtual
async def test_only_while_the_window_is_open(campaign: Campaign) -> None:
    began = clock.wall()
    opens = began + datetime.timedelta(minutes=30)
    window = Window.parse(f"{opens:%H:%M}-{opens + datetime.timedelta(hours=1):%H:%M} UTC")
    await campaign.add(1, window=window)
    campaign.process("a", campaign.store)
    await campaign.done()
    assert (
        28 * 60
        <= campaign.moments[0] - clock.now() + (clock.wall() - began).total_seconds()
        < 31 * 60
    )


@virtual
async def test_a_stopped_list_begins_nothing(campaign: Campaign) -> None:
    list_id = await campaign.add(3, at_once=1)
    campaign.process("a", campaign.store)
    await trio.sleep(3)
    await campaign.lists.set_state(list_id, "stopped")
    await trio.sleep(60)
    (told,) = await campaign.lists.lists()
    assert told.counts == {"waiting": 2, "calling": 0, "done": 1, "failed": 0}
    await campaign.lists.set_state(list_id, "running")
    await campaign.done()
    await campaign.lists.set_state(list_id, "stopped")
    assert (await campaign.lists.lists())[0].state == "done"


@virtual
async def test_for_want_of_room_a_row_waits_and_that_is_no_attempt(campaign: Campaign) -> None:
    await campaign.add(1)
    work, _ = campaign.process("a", campaign.store)
    begin, refusals = work.begin, iter(range(3))

    async def full(rule: str, data: str, task: CallListTask) -> Any:
        if next(refusals, None) is not None:
            raise CannotBegin("busy", later=True)
        return await begin(rule, data, task)

    work.begin = full
    (row,) = await campaign.done()
    assert (row["attempts"], row["state"]) == (1, "done")
    assert (await campaign.lists.lists())[0].attempts == 1


@virtual
async def test_a_row_that_cannot_begin_says_why(campaign: Campaign) -> None:
    async def never(rule: str, data: str, task: CallListTask) -> Any:
        raise CannotBegin("there is no rule 'remind'", later=False)

    await campaign.add(1)
    work, _ = campaign.process("a", campaign.store)
    work.begin = never
    (row,) = await campaign.done()
    assert (row["state"], row["error"]) == ("failed", "there is no rule 'remind'")


# -- that die, stall and lose the store ------------------------------------------------------------


@attrs.define
class Host:
    line: Line
    work: ListWork
    scope: trio.CancelScope

    def die(self) -> None:
        self.line.cut = True  # the dead release nothing
        self.scope.cancel()


@attrs.define
class Hosts:
    campaign: Campaign
    server: Server
    living: list[Host] = attrs.field(factory=list)
    _names: int = 0

    def begin(self) -> Host:
        self._names += 1
        line = Line(self.server)
        host = Host(line, *self.campaign.process(f"h{self._names}", line))
        self.living.append(host)
        return host

    def kill(self, host: Host) -> None:
        self.living.remove(host)
        name = host.work.begin.args[0]  # type: ignore[attr-defined]
        self.campaign.up = [(who, row) for who, row in self.campaign.up if who != name]
        host.die()


async def fleet(nursery: trio.Nursery, hosts: int) -> Hosts:
    server = Server()
    made = Hosts(Campaign(nursery, server.store), server)
    for _ in range(hosts):
        made.begin()
    return made


def test_five_hundred_numbers_by_three_hosts_of_which_one_is_killed() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            hosts = await fleet(nursery, 3)
            campaign = hosts.campaign
            await campaign.add(500, at_once=60, retry=1, retry_after_s=5.0)
            await trio.sleep(35)
            cut = {row for who, row in campaign.up if who == "h1"}
            hosts.kill(hosts.living[0])
            rows = await campaign.done()
            again = {n for n, row in enumerate(rows, 1) if row["attempts"] == 2}
            assert cut
            assert again == cut
            assert {row["state"] for row in rows} == {"done"}
            assert set(campaign.dialled.values()) == {1}, "each number once per attempt"
            assert sum(campaign.dialled.values()) == 500 + len(cut)
            (told,) = await campaign.lists.lists()
            assert told.attempts == 500 + len(cut)
            nursery.cancel_scope.cancel()

    run_virtual(main)


def test_without_another_attempt_a_row_whose_host_died_has_failed() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            hosts = await fleet(nursery, 2)
            hosts.campaign.call_s = lambda number: 100.0
            await hosts.campaign.add(2, at_once=2)
            await trio.sleep(10)
            hosts.kill(hosts.living[0])
            rows = await hosts.campaign.done()
            errors = {row["error"] for row in rows}
            nursery.cancel_scope.cancel()
        assert errors <= {"", DIED}
        assert set(hosts.campaign.dialled) == {(1, 1), (2, 1)}

    run_virtual(main)


@pytest.mark.parametrize("away_s", [20.0, 200.0])
def test_a_store_that_is_away_harms_no_call(away_s: float) -> None:
    """Back within the lease nothing is lost; later, whoever has a row takes it again."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            hosts = await fleet(nursery, 1)
            campaign = hosts.campaign
            campaign.call_s = lambda number: 15.0
            await campaign.add(6, at_once=3)
            await trio.sleep(8)
            hosts.server.away = True
            await trio.sleep(away_s)
            hosts.server.away = False
            rows = await campaign.done()
            assert [(row["state"], row["attempts"]) for row in rows] == [("done", 1)] * 6
            assert set(campaign.dialled.values()) == {1}
            assert campaign.log.getvalue().count("cannot be read") == 1
            nursery.cancel_scope.cancel()

    run_virtual(main)


def test_a_host_that_was_away_too_long_writes_nothing_over_anothers_result() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            hosts = await fleet(nursery, 1)
            campaign = hosts.campaign
            campaign.call_s = lambda number: 100.0
            await campaign.add(1, retry=1, retry_after_s=0.0)
            await trio.sleep(10)
            stalled = hosts.living[0]
            stalled.line.cut = True
            campaign.call_s = lambda number: 1.0
            hosts.begin()
            rows = await campaign.done()
            stalled.line.cut = False
            await trio.sleep(200)
            assert rows == await campaign.lists.results(1)
            assert rows[0]["result"] == '{"by":"h2","attempt":2}'
            assert "a row of a list is ours no more" in campaign.log.getvalue()
            nursery.cancel_scope.cancel()

    run_virtual(main)


def test_a_store_that_comes_back_empty_costs_the_list_and_no_call() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            hosts = await fleet(nursery, 2)
            campaign = hosts.campaign
            await campaign.add(20, at_once=4)
            await trio.sleep(5)
            up = len(campaign.up)
            hosts.server.lose_all()
            campaign.store = hosts.server.store
            await trio.sleep(100)
            assert (up, campaign.up) == (4, [])
            assert "a row of a list is ours no more" in campaign.log.getvalue()
            assert await campaign.lists.lists() == []
            assert await campaign.add(3, at_once=4) == 1
            rows = await campaign.done()
            assert [row["state"] for row in rows] == ["done"] * 3
            nursery.cancel_scope.cancel()

    run_virtual(main)


class Stalling(Line):
    """Its host stalls right after it has written down that it calls somebody."""

    async def do(self, operation: str, args: tuple[str | int, ...]) -> Any:
        told = await super().do(operation, args)
        self.cut |= operation == "put" and str(args[0]).startswith("rows-")
        return told


def test_a_host_that_stalls_before_it_dials_does_not_dial_when_it_is_back() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            hosts = await fleet(nursery, 0)
            campaign = hosts.campaign
            await campaign.add(1, retry=1, retry_after_s=0.0)
            line = Stalling(hosts.server)
            campaign.process("stalls", line)
            await trio.sleep(10)
            hosts.begin()
            rows = await campaign.done()
            line.cut = False
            await trio.sleep(100)
            nursery.cancel_scope.cancel()
        assert campaign.dialled == {(1, 2): 1}
        assert [(row["state"], row["attempts"]) for row in rows] == [("done", 2)]

    run_virtual(main)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["host", "die", "cut", "join", "lossy", "sure", "outage", "back", "wait"]),
        st.integers(0, 5),
        st.floats(0.0, 40.0),
    ),
    max_size=12,
)


@settings(max_examples=30)
@given(MOVES, st.integers(0, 2), st.sampled_from([None, 90.0]))
def test_whatever_happens_no_attempt_is_made_twice_and_counts_add_up(
    moves: list[tuple[str, int, float]], retry: int, per_minute: float | None
) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            hosts = await fleet(nursery, 2)
            campaign = hosts.campaign
            campaign.call_s = lambda number: 2.0 + number * 3 % 25
            campaign.reports = lambda number: ("result", "error", "", "next attempt")[number % 4]
            await campaign.add(8, at_once=3, retry=retry, retry_after_s=3.0, per_minute=per_minute)
            for what, which, wait_s in moves:
                host = hosts.living[which % len(hosts.living)] if hosts.living else None
                if what == "host":
                    hosts.begin()
                elif what in ("outage", "back"):
                    hosts.server.away = what == "outage"
                elif host is not None and what == "die":
                    hosts.kill(host)
                elif host is not None and what in ("cut", "join"):
                    host.line.cut = what == "cut"
                elif host is not None and what in ("lossy", "sure"):
                    host.line.loses_answers = what == "lossy"
                await trio.sleep(wait_s)
                if not any((h.line.cut or h.line.loses_answers) for h in hosts.living):
                    assert len(campaign.up) <= 3 or hosts.server.away
            hosts.server.away = False
            for host in hosts.living:
                host.line.cut = host.line.loses_answers = False
            hosts.begin()
            with trio.fail_after(20_000):
                rows = await campaign.done()
            (told,) = await campaign.lists.lists()
            await trio.sleep(60)
            assert rows == await campaign.lists.results(1), "over is over"
            nursery.cancel_scope.cancel()
        assert set(campaign.dialled.values()) <= {1}
        for number, attempt in campaign.dialled:
            assert attempt <= rows[number - 1]["attempts"] <= retry + 1
        for row in rows:
            if row["result"]:
                assert f'"attempt":{row["attempts"]}' in row["result"]
        counted = Counter(row["state"] for row in rows)
        assert {k: v for k, v in told.counts.items() if v} == counted
        assert sum(told.counts.values()) == 8
        assert told.attempts == sum(row["attempts"] for row in rows)

    run_virtual(main)


# -- real stores -----------------------------------------------------------------------------------


async def test_two_processes_share_a_file(tmp_path: Path) -> None:
    one, two = Lists.of_host(tmp_path), Lists.of_host(tmp_path)
    assert not one.exists()
    async with trio.open_nursery() as nursery:
        campaign = Campaign(nursery, one.store, call_s=lambda number: 0.0)
        await one.add([{"to": str(n)} for n in range(30)], "p", "remind", Terms(at_once=8), _now())
        for name, lists in (("a", one), ("b", two)):
            campaign.process(name, lists.store)
        with trio.fail_after(60):
            rows = await campaign.done()
        nursery.cancel_scope.cancel()
    assert [row["state"] for row in rows] == ["done"] * 30
    assert set(campaign.dialled.values()) == {1}
    assert (tmp_path / ".gitignore").exists()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "lists.db").write_text("not a database" * 100)
    with pytest.raises(StoreAway, match=r"lists\.db: file is not a database"):
        await Lists.of_host(tmp_path).lists()


async def test_a_list_in_redis(shared_redis: RedisServer) -> None:
    async with opened_redis(shared_redis) as one, trio.open_nursery() as nursery:
        campaign = Campaign(nursery, one, call_s=lambda number: 0.0)
        await campaign.add(60, at_once=8, retry=1, retry_after_s=0.0)
        campaign.reports = lambda number: "error" if number % 3 else "result"
        for name in "abc":
            campaign.process(name, one)
        with trio.fail_after(60):
            rows = await campaign.done()
        (told,) = await campaign.lists.lists()
        nursery.cancel_scope.cancel()
    assert told.counts == {"waiting": 0, "calling": 0, "done": 20, "failed": 40}
    assert told.attempts == 100
    assert set(campaign.dialled.values()) == {1}
    assert [row["attempts"] for row in rows[:3]] == [2, 2, 1]


assert LEASE_S > 20, "what is promised of an outage"
