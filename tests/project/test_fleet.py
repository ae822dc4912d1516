"""``fleet:``: the proxy in front of the hosts, and which they are."""

from __future__ import annotations

import pytest

from voxpy.channels.sip.listener import SipListener
from voxpy.errors import ConfigError
from voxpy.project.fleet import Fleet
from voxpy.project.routing import Routing, parse_routing

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
