"""Hosts that are processes, and a real Redis: found from either, by the command, after a death."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from click.testing import CliRunner, Result

from tests.fleet.conftest import RedisServer
from tests.host.serve.test_processes import ASKED, Served, serving
from voxpy.cli import main

pytestmark = pytest.mark.slow
pytest.importorskip("coredis")

LOOK_EVERY_S = 0.1
ROUTING = """
rules:
  - {name: echo, pattern: '\\\\+1555.*', scenarios: [echo.py], most_calls: 2}
fleet: {redis: REDIS_URL}
"""


def a_fleet(folder: Path, redis: RedisServer) -> list[Path]:
    folders = [folder / name for name in ("one", "two")]
    for each in folders:
        each.mkdir()
        (each / "secrets.env").write_text(f"REDIS_URL={redis.url}\n")
    return folders


def status(folder: Path, *more: str) -> Result:
    files = [str(folder / "routing.yaml"), "--secrets", str(folder / "secrets.env")]
    return CliRunner().invoke(main, ["fleet", "status", *files, *more])


async def seen(folder: Path, **processes: int) -> list[dict[str, object]]:
    """Wait until ``voxpy fleet status`` has just these hosts, with so many processes each."""
    found: list[dict[str, object]] = []

    def there() -> bool:
        found[:] = json.loads(status(folder, "--json").output)
        return {host["host"]: host["processes"] for host in found} == processes

    await when(partial(trio.to_thread.run_sync, there))
    return found


async def when(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so."""
    with trio.fail_after(60):
        while not await condition():  # noqa: ASYNC110  other processes set no Event
            await trio.sleep(LOOK_EVERY_S)


async def test_two_hosts_are_one_for_who_asks_and_the_dead_one_is_given_up(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    one, two = a_fleet(tmp_path, own_redis)
    first = serving(one, "--fleet-name", "one", "--workers", "2", routing=ROUTING, scenario=ASKED)
    second = serving(two, "--fleet-name", "two", routing=ROUTING, scenario=ASKED)
    async with first as a, second as b:
        for served in (a, b):
            await served.said("listening on")
        await b.said("one of a fleet, as two; other hosts reach it at http://127.0.0.1:")
        hosts = await seen(two, one=2, two=1)
        assert hosts[0]["version"] == hosts[1]["version"]
        place = "/platform_api/StartScenarios?rule_name=echo"
        begun = [(await served.post(place)).json() for served in (a, b)]
        for each in begun:
            for served in (a, b):
                path = httpx.URL(each["media_session_access_url"]).path
                told = await _asked(served, path)
                assert (told.status_code, told.text) == (200, "HELLO")
        refused = await a.post(place)
        assert refused.status_code == 503
        assert "rule 'echo' has its 2 calls" in refused.text
        b.process.kill()
        path = httpx.URL(begun[1]["media_session_access_url"]).path
        assert (await _asked(a, path)).status_code == 502
        await seen(one, one=2)

        async def is_given_up() -> bool:  # each worker looks for itself
            told = await _asked(a, path)
            assert told.status_code in (410, 502)
            return told.status_code == 410

        await when(is_given_up)
        assert (await a.post(place)).status_code == 200  # its call is not counted any more
        own_redis.stop()
        await a.said("what hosts share is away")
        assert (await _asked(a, httpx.URL(begun[0]["media_session_access_url"]).path)).text == (
            "HELLO"
        )

        async def is_away() -> bool:
            return bool((await a.get("/health")).json()["fleet"]["store"] == "away")

        await when(is_away)
        own_redis.start()
        await a.said("what hosts share is there again")
        await seen(one, one=2)


async def _asked(served: Served, path: str) -> httpx.Response:
    return await served.post(path, content="hello")


def test_the_command_says_what_is_missing(tmp_path: Path, own_redis: RedisServer) -> None:
    one, _ = a_fleet(tmp_path, own_redis)
    (one / "routing.yaml").write_text(ROUTING)
    told = status(one)
    assert (told.exit_code, told.output) == (1, "no host is there\n")
    (one / "routing.yaml").write_text(ROUTING.replace("fleet: {redis: REDIS_URL}", ""))
    told = status(one)
    assert told.exit_code == 2
    assert "fleet: redis: is missing" in told.output


async def test_workers_of_one_host_share_without_a_redis(tmp_path: Path) -> None:
    alone = ROUTING.replace("fleet: {redis: REDIS_URL}", "")
    async with serving(tmp_path, "--workers", "2", routing=alone, scenario=ASKED) as served:
        await served.said("listening on")
        place = "/platform_api/StartScenarios?rule_name=echo"
        told = [await served.post(place) for _ in range(8)]  # the kernel gives them to any
        assert sorted(each.status_code for each in told) == [200] * 2 + [503] * 6
        assert {each.json()["error"]["msg"] for each in told if each.status_code == 503} == {
            "rule 'echo' has its 2 calls"
        }
