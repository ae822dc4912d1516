"""``voxpy fleet kamailio``: what it writes, and that Kamailio takes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import trio
import trustme
from click.testing import CliRunner, Result

from tests.channels.sip.peers.processes import needs, running, until
from tests.fleet.conftest import RedisServer
from voxpy.cli import main

RULES = "rules: [{name: all, pattern: '.*', scenarios: [a.py]}]\n"
MODULES = Path("/usr/lib/x86_64-linux-gnu/kamailio/modules")
WAYS: dict[str, tuple[str, list[str], list[str]]] = {
    "anybody": ("channels: {sip: {}}\nfleet: {proxy: 127.0.0.1:15060}", [], []),
    "carriers alone": (
        "channels: {sip: {}}\nfleet: {proxy: 127.0.0.1:15060}\n"
        "trunks: {carrier: {sip: 192.0.2.1, from: [192.0.2.0/24, '2001:db8::/32']}}",
        [],
        [],
    ),
    "users, TLS, a private address": (
        "channels: {sip: {tls_port: 15061, certificate: sip.pem}}\nusers: {anna: ANNA}\n"
        "fleet: {proxy: {sip: 'sip.example.com:15060', from: [10.0.0.0/8]}}",
        ["--listen", "127.0.0.1"],
        ["tls"],
    ),
    "pages by wss and rtpengine": (
        "channels: {sip: {tls_port: 15061, certificate: sip.pem}}\nusers: {anna: ANNA}\n"
        "fleet: {proxy: 127.0.0.1:15060}",
        ["--websocket", "15443", "--rtpengine", "udp:127.0.0.1:12223"],
        ["tls", "websocket"],
    ),
    "a carrier by TLS": (
        "channels: {sip: {}}\nfleet: {proxy: '[::1]:15060'}\n"
        "trunks: {carrier: {sip: sip.example.com;transport=tls, from: ['2001:db8::/32']}}",
        [],
        ["tls"],
    ),
}


def make(folder: Path, routing: str, *options: str) -> Result:
    (folder / "routing.yaml").write_text(RULES + routing)
    command = ["fleet", "kamailio", str(folder / "routing.yaml"), "--out", str(folder / "made")]
    return CliRunner().invoke(main, [*command, *options])


@pytest.mark.slow
@needs("kamailio", "kamailio")
@pytest.mark.parametrize("way", WAYS)
def test_kamailio_takes_it(tmp_path: Path, way: str) -> None:
    routing, options, modules = WAYS[way]
    for name in modules:
        if not (MODULES / f"{name}.so").exists():
            pytest.skip(
                f"Kamailio's {name}.so is not here: apt-get install kamailio-{name}-modules"
            )
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "sip.pem"))
    written = make(tmp_path, routing, "--host", "127.0.0.1:15070", "--host", "[::1]", *options)
    assert written.exit_code == 0, written.output
    hosts = (tmp_path / "made" / "dispatcher.list").read_text().splitlines()[1:]
    assert hosts == ["1 sip:127.0.0.1:15070", "1 sip:[::1]:5060"]
    checked = subprocess.run(
        ["kamailio", "-c", "-f", str(tmp_path / "made" / "kamailio.cfg"), "-Y", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_hosts_may_stand_in_the_routing_file(tmp_path: Path) -> None:
    fleet = "fleet: {proxy: 10.0.0.5, hosts: [10.0.0.11, 10.0.0.12:5070]}"
    made = make(tmp_path, f"channels: {{sip: {{}}}}\n{fleet}", "--folder", "/etc/kamailio")
    assert made.exit_code == 0, made.output
    hosts = (tmp_path / "made" / "dispatcher.list").read_text()
    assert hosts.endswith("\n1 sip:10.0.0.11:5060\n1 sip:10.0.0.12:5070\n")
    config = (tmp_path / "made" / "kamailio.cfg").read_text()
    assert '"!THE_HOSTS_FILE!/etc/kamailio/dispatcher.list!g"' in config
    assert "listen=udp:10.0.0.5:5060\n" in config


@pytest.mark.slow
async def test_hosts_are_those_in_redis_as_they_come(
    tmp_path: Path, shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = pytest.importorskip("voxpy.fleet.redis", reason="voxpy[fleet] speaks to Redis")
    monkeypatch.setenv("REDIS_URL", shared_redis.url)
    made = tmp_path / "made" / "dispatcher.list"
    said = tmp_path / "said"
    fleet = "channels: {sip: {}}\nfleet: {proxy: 10.0.0.5, redis: REDIS_URL, name: kamailio}"
    nobody = await trio.to_thread.run_sync(make, tmp_path, fleet)
    assert (nobody.exit_code, "no host is there" in nobody.output) == (2, True)
    store = redis.RedisStore(shared_redis.url, name="kamailio")

    async def add(number: int) -> None:
        told = orjson.dumps({"host": f"h{number}", "sip": f"10.0.0.{number}:5060"}).decode()
        assert await store.claim(f"hosts/h{number}/0/x", told, 60)

    def listed() -> list[str]:
        return made.read_text().splitlines()[1:] if made.exists() else []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        await add(1)
        written = await trio.to_thread.run_sync(make, tmp_path, fleet)
        assert written.exit_code == 0, written.output
        assert listed() == ["1 sip:10.0.0.1:5060"]
        await add(2)
        command = [sys.executable, "-m", "voxpy", "fleet", "kamailio", "--out", "made", "--follow"]
        async with running(command, said, cwd=tmp_path):
            await until(lambda: len(listed()) == 2, said.read_text)
            await add(3)
            await until(lambda: len(listed()) == 3, said.read_text)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("routing", "options", "says"),
    [
        ("", [], "there is no channel sip"),
        ("channels: {sip: {}}", ["--host", "10.0.0.1"], "fleet: proxy: is missing"),
        ("channels: {sip: {}}\nfleet: {proxy: 10.0.0.5}", [], "fleet: hosts: is missing"),
        ("channels: {sip: {}}\nfleet: {proxy: 10.0.0.5}", ["--host", "a b"], "--host: a URI"),
    ],
)
def test_what_it_lacks(tmp_path: Path, routing: str, options: list[str], says: str) -> None:
    made = make(tmp_path, routing, *options)
    assert made.exit_code == 2
    assert says in made.output
