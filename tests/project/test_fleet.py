"""``fleet:``: the proxy in front of the hosts, which they are, and what they share."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from voxpy.channels.sip.listener import SipListener
from voxpy.cli import main
from voxpy.errors import ConfigError
from voxpy.project.fleet import Fleet
from voxpy.project.project import load_project
from voxpy.project.routing import Routing, parse_routing
from voxpy.project.secrets import Secrets

RULES = "rules: [{name: all, pattern: '.*', scenarios: [a.py]}]\nchannels: {sip: {}}\n"


def fleet(text: str) -> Routing:
    return parse_routing(RULES + f"fleet: {text}")


def test_without_the_section_nothing_is_before_us() -> None:
    assert fleet("").fleet == Fleet()


@pytest.mark.parametrize(
    ("text", "uri", "ours"),
    [
        ("203.0.113.5", "sip:203.0.113.5", "203.0.113.5"),
        ("203.0.113.5:5080", "sip:203.0.113.5:5080", "203.0.113.5"),
        ("'[2001:db8::5]:5080'", "sip:[2001:db8::5]:5080", "2001:db8::5"),
        ("{sip: sip.example.com, from: [10.0.0.0/24]}", "sip:sip.example.com", "10.0.0.77"),
        ("{sip: 203.0.113.5, from: [10.0.0.5]}", "sip:203.0.113.5", "10.0.0.5"),
    ],
)
def test_a_proxy(text: str, uri: str, ours: str) -> None:
    routing = fleet(f"{{proxy: {text}}}")
    proxy = routing.fleet.proxy
    assert proxy is not None
    assert str(proxy.uri) == uri
    assert proxy.is_from(ours)
    assert not proxy.is_from("192.0.2.1")
    (channel,) = routing.channels
    assert isinstance(channel, SipListener)
    assert channel.proxy == proxy


def test_hosts() -> None:
    hosts = fleet("{hosts: [10.0.0.1, 10.0.0.2:5070]}").fleet.hosts
    assert [str(host) for host in hosts] == ["sip:10.0.0.1", "sip:10.0.0.2:5070"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{proxy: sip.example.com}", "sip.example.com is a name; say too where its messages come"),
        ("{proxy: {from: [10.0.0.5]}}", "sip is missing"),
        ("{proxy: {sip: 10.0.0.1, from: [ten]}}", "must be a network"),
        ("{hosts: ['a b']}", "must be a host"),
        ("{proxi: 10.0.0.1}", "did you mean 'proxy'?"),
    ],
)
def test_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"routing.yaml:3: ") as caught:
        fleet(text)
    assert says in str(caught.value)


# -- what the hosts share --------------------------------------------------------------------------

SCENARIO = """
from voxpy import AppEvents, VoxEngine

@VoxEngine.on(AppEvents.CallAlerting)
def alerting(event):
    event.call.answer()
"""
SHARED = "rules: [{name: all, pattern: '.*', scenarios: [a.py]}]\n\nfleet:\n  redis: REDIS_URL\n"


@pytest.mark.parametrize(
    ("secret", "level", "words"),
    [
        ("", "warning", "REDIS_URL is in neither secrets.env nor the environment"),
        ("REDIS_URL=10.0.0.5:6379", "error", "REDIS_URL must be the address of a Redis"),
        ("REDIS_URL=redis://:p@10.0.0.5:6379/0", None, ""),
    ],
)
def test_a_redis_that_cannot_be_meant_is_named(
    tmp_path: Path, secret: str, level: str | None, words: str
) -> None:
    (tmp_path / "routing.yaml").write_text(SHARED)
    (tmp_path / "a.py").write_text(SCENARIO)
    secrets = Secrets(tmp_path / "secrets.env", environ={})
    (tmp_path / "secrets.env").write_text(secret)
    problems = load_project(tmp_path / "routing.yaml", secrets).problems
    assert [(p.level, p.line) for p in problems] == ([(level, 4)] if level else [])
    assert all(words in p.message and "10.0.0.5" not in p.message for p in problems)


def test_no_host_starts_without_it(tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text(SHARED)
    (tmp_path / "a.py").write_text(SCENARIO)
    told = CliRunner().invoke(main, ["serve", "--port", "0", str(tmp_path / "routing.yaml")])
    assert told.exit_code == 2
    assert "routing.yaml:4: fleet: no host starts without its Redis" in told.output


def test_limits_of_rules_and_trunks() -> None:
    trunks = "trunks: {a: {sip: sip.example.com, most_calls: 2}, b: {sip: sip.example.com}}\n"
    routing = parse_routing(RULES.replace("a.py]", "a.py], most_calls: 5") + trunks)
    assert [rule.most_calls for rule in routing.rules] == [5]
    assert [trunk.most_calls for trunk in routing.trunks] == [2, None]
    with pytest.raises(ConfigError, match="most_calls"):
        parse_routing(RULES.replace("a.py]", "a.py], most_calls: 0"))


def test_the_version_is_that_of_what_the_files_say(tmp_path: Path) -> None:
    def version(routing: str, scenario: str = SCENARIO) -> str:
        (tmp_path / "routing.yaml").write_text(routing)
        (tmp_path / "a.py").write_text(scenario)
        project = load_project(tmp_path / "routing.yaml", tmp_path / "secrets.env").project
        assert project is not None
        return project.version

    first = version(RULES)
    assert version(f"# a comment\n{RULES}") == first
    assert version(RULES.replace("all", "each")) != first
    assert version(RULES, SCENARIO + "# new\n") != first
    secrets = Secrets(tmp_path / "secrets.env", environ={})
    told = [secrets.version(b"key"), secrets.version(b"other")]
    (tmp_path / "secrets.env").write_text("A=one")
    told.append(secrets.version(b"key"))
    assert len(set(told)) == 3
