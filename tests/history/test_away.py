"""A history in Postgres that is away, comes back, and that several hosts share."""

from __future__ import annotations

import math
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
import trio
from click.testing import CliRunner

from tests.history.conftest import folder_of, url_of
from tests.history.line import Line
from tests.history.test_history import folder, only, over, record
from voxpy.cli import main
from voxpy.errors import ConfigError
from voxpy.history import history as history_module
from voxpy.history import postgres
from voxpy.history.history import INTERRUPTED, SPOOL, History
from voxpy.history.postgres import PostgresStore
from voxpy.history.search import find_one, find_sessions
from voxpy.history.store import STEPS, VERSION, SqliteStore

SOCKET = ".s.PGSQL.5432"


@pytest.fixture
def near() -> Iterator[Path]:
    """Where the host finds the server; pytest's own folder is too long for an address."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def line(near: Path, emptied: str) -> Iterator[Line]:
    """The way to the server."""
    far = folder_of(emptied) / SOCKET
    with closing(Line(socket.AF_UNIX, str(near / SOCKET), str(far))) as made:
        yield made


@pytest.fixture
def url(near: Path, line: Line) -> str:
    return url_of(near)


@pytest.fixture
def there(emptied: str, base: Path) -> Iterator[PostgresStore]:
    """The history as it is in the server, whatever its line does."""
    with closing(PostgresStore(base, emptied)) as made:
        yield made


@pytest.fixture
def host(url: str, base: Path) -> Iterator[History]:
    with host_of(url, base) as made:
        yield made


@contextmanager
def host_of(url: str, base: Path) -> Iterator[History]:
    with closing(History(base, PostgresStore(base, url))) as made:
        yield made


def states(store: PostgresStore) -> dict[str, str]:
    return {row.session_id: row.state for row in find_sessions(store)}


def test_calls_go_on_while_it_is_away_and_are_written_when_it_is_back(
    host: History, there: PostgresStore, line: Line, base: Path
) -> None:
    host.beat()
    host.write(record("s-1"), folder(base, "s-1"))
    line.down()
    host.write(over("s-1"), folder(base, "s-1"))
    for n in (2, 3):
        host.write(record(f"s-{n}"), folder(base, f"s-{n}"))
    host.write(over("s-2", recordings=["file:///x/call.wav"]), folder(base, "s-2"))
    assert "Postgres" in host.away or "server" in host.away
    assert host.spooled == 4
    assert states(there) == {"s-1": "running"}
    host.beat()
    assert host.away, "it still is"
    line.up()
    host.beat()
    assert host.away == ""
    assert states(there) == {"s-1": "ended", "s-2": "ended", "s-3": "running"}
    assert ("recording", "file:///x/call.wav") in find_one(there, "s-2").files
    with closing(SqliteStore(base, SPOOL)) as spool:
        assert find_sessions(spool) == []
    host.write(over("s-3"), folder(base, "s-3"))
    assert states(there)["s-3"] == "ended"
    assert host.spooled == 4


def test_a_server_that_says_nothing_is_given_up(
    url: str, there: PostgresStore, line: Line, base: Path
) -> None:
    store = PostgresStore(base, url, patience_s=0.2)
    with closing(History(base, store)) as host:
        host.write(record("s-1"), folder(base, "s-1"))
        line.hang(True)
        host.write(over("s-1"), folder(base, "s-1"))
        assert host.away
        line.hang(False)
        host.beat()
        assert states(there) == {"s-1": "ended"}


def test_a_server_that_is_not_there_at_the_start(
    host: History, there: PostgresStore, line: Line, base: Path
) -> None:
    line.down()
    host.beat()
    host.write(over(), folder(base))
    assert (host.away != "", states(there)) == (True, {})
    line.up()
    host.beat()
    assert states(there) == {"s-1": "ended"}


def test_much_is_written_in_turns_so_that_sessions_are_too(
    host: History,
    there: PostgresStore,
    line: Line,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_module, "MOST_AT_ONCE", 2)
    line.down()
    for n in range(5):
        host.write(record(f"s-{n}"), folder(base, f"s-{n}"))
    line.up()
    assert host.beat()
    host.write(over("s-4"), folder(base, "s-4"))
    assert states(there) == {"s-0": "running", "s-1": "running"}, "not past what was first"
    assert host.beat()
    assert not host.beat()
    assert states(there)["s-4"] == "ended"
    assert host.away == ""


def test_what_the_dead_left_in_the_spool_is_written_by_who_comes_after(
    url: str, there: PostgresStore, line: Line, base: Path
) -> None:
    line.down()
    with host_of(url, base) as dead:
        dead.write(record("s-1"), folder(base, "s-1"))
    with host_of(url, base) as living, host_of(url, base) as other:
        other.write(record("s-2"), folder(base, "s-2"))
        line.up()
        living.beat()
        assert states(there) == {"s-1": "interrupted"}, "its folder is here; s-2 its host writes"
        other.beat()
        assert states(there) == {"s-1": "interrupted", "s-2": "running"}


def test_a_row_that_the_server_never_takes_holds_nobody_up(
    host: History, there: PostgresStore, line: Line, base: Path
) -> None:
    impossible = over("s-1", recordings=["file:///" + "".join(map(chr, range(0x4E00, 0x9000)))])
    with pytest.raises(ConfigError, match="index row"):
        host.write(impossible, folder(base, "s-1"))
    assert host.away == "", "the server is well"
    line.down()
    host.write(impossible, folder(base, "s-1"))
    host.write(over("s-2"), folder(base, "s-2"))
    line.up()
    host.beat()
    assert (host.away, states(there)) == ("", {"s-2": "ended"})


# -- several hosts ---------------------------------------------------------------------------------


@pytest.fixture
def pair(url: str, tmp_path: Path) -> Iterator[tuple[History, History]]:
    """Two machines, each with a folder of its own."""
    with host_of(url, tmp_path / "one") as one, host_of(url, tmp_path / "two") as two:
        yield one, two


def lose(host: History, there: PostgresStore) -> None:
    """Let the lease of a host have ended."""
    there.do(
        lambda rows: rows.write(
            "UPDATE hosts SET seen = seen - :long WHERE host_id = :host",
            {"long": 2 * postgres.LEASE_S, "host": host.host_id},
        )
    )


def test_another_machines_calls_are_settled_when_its_lease_has_ended(
    pair: tuple[History, History], there: PostgresStore
) -> None:
    one, two = pair
    for host in pair:
        host.beat()
    one.write(record("s-1"), folder(one.base, "s-1"))
    two.beat()
    assert states(there) == {"s-1": "running"}
    lose(one, there)
    two.beat()
    assert states(there) == {"s-1": "running"}, "it may be we who were away"
    two._in_touch = -math.inf
    two.beat()
    row = only(there)
    assert (row.state, row.finish_reason, row.failed) == ("interrupted", INTERRUPTED, True)
    assert row.end_detail == "its host is gone"
    one.write(over("s-1"), folder(one.base, "s-1"))
    assert states(there) == {"s-1": "ended"}, "it was not"


def test_a_machine_that_comes_back_tells_what_its_calls_were(
    url: str, pair: tuple[History, History], there: PostgresStore, tmp_path: Path
) -> None:
    one, two = pair
    one.beat()
    one.write(record("s-1"), folder(one.base, "s-1"))
    (one.base / "sessions" / "s-1" / "trace.jsonl").write_text(
        '{"t": 7.25, "kind": "step", "name": "agent audible", "data": {"reply_ms": 460}}\n'
    )
    one.close()  # as if it had died
    two.beat()
    two._in_touch = -math.inf
    assert two.settle() == 1
    assert only(there).duration_s is None
    with host_of(url, one.base) as again:
        again.beat()
    row = only(there)
    assert (row.state, row.duration_s, row.reply_ms) == ("interrupted", 7.25, (460,))
    assert row.end_detail == "the process died"


def test_who_only_looks_settles_what_died_on_its_own_machine(
    url: str, pair: tuple[History, History], there: PostgresStore
) -> None:
    one, _ = pair
    for host in pair:
        host.write(record(host.base.name), folder(host.base, host.base.name))
        host.close()
    with closing(PostgresStore(one.base, url)) as looking:
        assert History.settle_now(looking, {one.host_id: "killed"}) == 1
    assert states(there) == {"one": "interrupted", "two": "running"}
    assert find_one(there, "one").end_detail == "killed"


def test_a_page_sees_that_another_host_has_written(
    pair: tuple[History, History], there: PostgresStore
) -> None:
    one, two = pair
    one.write(record("s-1"), folder(one.base, "s-1"))
    before = there.changes()
    assert there.changes() == before
    two.write(record("s-2"), folder(two.base, "s-2"))
    assert there.changes() != before


# -- the host's own loop ---------------------------------------------------------------------------


async def test_it_is_said_once_that_it_is_away_and_once_that_it_is_back(
    host: History,
    there: PostgresStore,
    line: Line,
    base: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[str] = []
    host.tell_away = told.append
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.look_after, lambda: 30)
        nursery.start_soon(host.stay_known)
        await trio.sleep(1)
        line.down()
        for n in range(3):
            await host.keep(over(f"s-{n}"), folder(base, f"s-{n}"))
            await trio.sleep(history_module.BEAT_S * 2)
        assert len(told) == 1
        assert told[0].startswith("postgresql://")
        assert "no-secret-at-all" not in told[0]
        line.up()
        await trio.sleep(history_module.BEAT_S * 2)
        assert told[1:] == [""]
        nursery.cancel_scope.cancel()
    assert set(states(there).values()) == {"ended"}


# -- the tables ------------------------------------------------------------------------------------


def test_older_tables_are_brought_up_to_date(
    emptied: str, there: PostgresStore, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(postgres, "STEPS", STEPS[:1])
        before.setattr(postgres, "VERSION", 1)
        with host_of(emptied, base) as old:
            old.write(over("s-1"), folder(base, "s-1"))
    with host_of(emptied, base) as new:
        new.write(over("s-2"), folder(base, "s-2"))
    assert set(states(there)) == {"s-1", "s-2"}
    (row,) = there.do(lambda rows: rows.read("SELECT version FROM version"))
    assert row["version"] == VERSION


def test_tables_of_a_newer_voxpy_are_left_alone(emptied: str, base: Path) -> None:
    with closing(PostgresStore(base, emptied)) as store:
        store.do(lambda rows: rows.write("UPDATE version SET version = 9"))
    with (
        closing(PostgresStore(base, emptied)) as store,
        pytest.raises(ConfigError, match="was written by a newer voxpy"),
    ):
        find_sessions(store)


def test_a_wrong_password_is_told_without_it(emptied: str, base: Path) -> None:
    wrong = unquote(emptied).replace("no-secret-at-all", "guessed-wrong")
    with (
        closing(PostgresStore(base, wrong)) as store,
        pytest.raises(ConfigError, match="password authentication failed") as caught,
    ):
        find_sessions(store)
    assert "guessed-wrong" not in str(caught.value)


# -- the commands ----------------------------------------------------------------------------------


def test_commands_read_the_history_that_the_routing_file_names(
    host: History,
    emptied: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secrets.env").write_text(f"HISTORY_URL={emptied}\n")
    Path("routing.yaml").write_text("history: {keep_days: 3, postgres: HISTORY_URL}\n")
    host.write(over("far-1"), folder(host.base, "far-1"))
    with closing(History(tmp_path / ".voxpy")) as local:
        local.write(over("near-1"), folder(local.base, "near-1"))

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, list(words))
        assert done.exit_code == 0, done.output
        return done.output

    assert "far-1" in run("calls")
    assert "near-1" not in run("calls")
    assert "near-1" in run("calls", "--local")
    assert "+1555 calls +1666" in run("show", "far")
    assert "deleted 0 calls older than 3 days" in run("calls", "--prune")
    host.store.do(lambda rows: rows.write("UPDATE sessions SET start_date = '2020'"))
    assert "deleted 1 call older than 3 days" in run("calls", "--prune")
    Path("secrets.env").write_text("")
    asked = CliRunner().invoke(main, ["calls"])
    assert asked.exit_code == 2
    assert "routing.yaml:1: history: postgres: HISTORY_URL is" in asked.output
