"""Where a history may be: a file, or a Postgres server that is started for these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote

import pytest

from tests import s3server
from voxpy.history.history import History
from voxpy.history.postgres import PostgresStore
from voxpy.history.search import Filter, SessionRow, find_sessions
from voxpy.history.store import SqliteStore, Store

MakeStore: TypeAlias = Callable[[Path], Store]
SERVERS = Path("/usr/lib/postgresql")
PASSWORD = "no-secret-at-all"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server of our own, on a socket in a folder; Debian's, as it is installed."""
    found = sorted(SERVERS.glob("*/bin/initdb"))
    if not found:
        pytest.skip("there is no Postgres server: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'voxpy[fleet]'")
    with tempfile.TemporaryDirectory() as name, running(found[-1].parent, Path(name)) as url:
        yield url


@contextmanager
def running(programs: Path, folder: Path, *, fsync: bool = False) -> Iterator[str]:
    """Run the server of a folder of programs, its data in ``folder``; yields its URL."""
    user: list[str] = []
    if os.getuid() == 0:  # which Postgres refuses to be
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres", "postgres")
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    data = folder / "data"
    making = [
        *user,
        str(programs / "initdb"),
        "-D",
        str(data),
        "-U",
        "voxpy",
        "--auth=scram-sha-256",
    ]
    making += [f"--pwfile={password}", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run(making, check=True, capture_output=True, cwd=folder)
    options = [
        "-c",
        "listen_addresses=",
        "-c",
        f"fsync={'on' if fsync else 'off'}",
        "-c",
        "log_min_messages=log",
    ]
    options += ["-k", str(folder)]
    server = subprocess.Popen(
        [*user, str(programs / "postgres"), "-D", str(data), *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert server.stderr is not None
    try:
        told = []
        for line in server.stderr:
            told.append(line)
            if "ready to accept connections" in line:
                break
        else:
            pytest.fail("".join(told))
        yield url_of(folder)
    finally:
        server.terminate()
        server.communicate()


def url_of(folder: Path) -> str:
    return f"postgresql://voxpy:{PASSWORD}@/postgres?host={quote(str(folder), safe='')}"


def folder_of(url: str) -> Path:
    return Path(unquote(url.partition("?host=")[2]))


@pytest.fixture
def emptied(postgres: str) -> str:
    """The server without a history."""
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS voxpy CASCADE")
    return postgres


@pytest.fixture(params=["sqlite", "postgres"])
def make_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Make stores of the same history: as each process has one."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("emptied")
    made: list[Store] = []

    def make(base: Path) -> Store:
        made.append(PostgresStore(base, url) if url else SqliteStore(base))
        return made[-1]

    yield make
    for store in made:
        store.close()


def sessions_in(base: Path, wanted: Filter | None = None) -> list[SessionRow]:
    """Return the sessions of the file in a folder."""
    with closing(SqliteStore(base)) as store:
        return find_sessions(store, wanted)


@pytest.fixture(scope="session")
def s3_running() -> Iterator[tuple[Path, int]]:
    with s3server.s3_server() as made:
        yield made


@pytest.fixture
def s3(s3_running: tuple[Path, int]) -> Iterator[s3server.Server]:
    with s3server.emptied(s3_running) as made:
        yield made


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / ".voxpy"


@pytest.fixture
def store(make_store: MakeStore, base: Path) -> Store:
    return make_store(base)


@pytest.fixture
def history(make_store: MakeStore, base: Path) -> Iterator[History]:
    made = History(base, make_store(base))
    yield made
    made.close()
