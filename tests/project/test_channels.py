"""The section ``channels:`` of a routing file."""

from __future__ import annotations

import pytest

from voxpy.channels.mediastream.listener import ProviderListener, default_listeners
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine.userfile import load
from voxpy.project.routing import inspect_routing

RULES = "rules:\n  - {name: all, pattern: '.*', scenarios: [a.py]}\n"


def channels(text: str) -> list[ProviderListener]:
    routing, problems = inspect_routing(load(RULES + text, file="routing.yaml"))
    assert problems == []
    return [c for c in routing.channels if isinstance(c, ProviderListener)]


def problems(text: str) -> list[str]:
    return [str(p) for p in inspect_routing(load(RULES + text, file="routing.yaml"))[1]]


def test_without_the_section_every_websocket_provider_is_served() -> None:
    assert channels("") == list(default_listeners())
    assert {c.path for c in default_listeners()} == {
        f"/media/{name}" for name, kind in PROVIDERS.items() if kind.transport == "websocket"
    }


def test_a_name_alone_is_a_provider_with_its_usual_places() -> None:
    (channel,) = channels("channels:\n  twilio:\n")
    assert (channel.path, channel.webhook) == ("/media/twilio", "/twilio/voice")


def test_two_channels_of_one_provider() -> None:
    text = "channels:\n  here: {provider: telnyx, path: /a}\n  there: {provider: telnyx, to: x}\n"
    here, there = channels(text)
    assert (here.provider, here.path) == (there.provider, "/a")
    assert (there.path, there.webhook, there.to) == ("/media/there", "/there/voice", "x")


def test_audiosocket_has_a_port() -> None:
    (channel,) = channels("channels:\n  audiosocket: {port: 9092, host: 10.0.0.1, to: desk}\n")
    assert (channel.host, channel.port, channel.to, channel.path) == ("10.0.0.1", 9092, "desk", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  twilo:\n", "routing.yaml:4: error: channel 'twilo': there is no provider 'twilo'; did"),
        ("  a: {provider: sip}\n", "there is no provider 'sip'"),
        ("  twilio: {pth: /x}\n", "channel 'twilio' has no 'pth'; did you mean 'path'?"),
        (
            "  twilio: {path: x}\n",
            "path must be a path that begins with /",
        ),
        ("  twilio: {path: /health}\n", "/health is taken by the host itself"),
        (
            "  twilio: {to: 49}\n",
            "to must be text, but YAML reads 49 here; put it in single quotes",
        ),
        ("  audiosocket:\n", "channel 'audiosocket': port is missing"),
        (
            "  audiosocket: {port: 70000}\n",
            "port must be a whole number from 0 to 65535, not 70000",
        ),
        ("  twilio: {webhook: /media/twilio}\n", "/media/twilio is taken by channel 'twilio'"),
        ("  twilio:\n  b: {provider: vonage, path: /media/twilio}\n", "is taken by channel"),
        ("  [twilio]\n", "channels must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, told: str) -> None:
    (problem,) = problems("channels:\n" + text)
    assert told in problem
