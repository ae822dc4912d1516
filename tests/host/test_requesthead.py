"""What a request's head says of how we were reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxpy.errors import ConfigError
from voxpy.host.requesthead import called_base
from voxpy.host.serve import HostOptions


@pytest.mark.parametrize(
    ("public", "headers", "tls", "base"),
    [
        ("https://a.example", {"host": "10.0.0.1"}, False, "https://a.example"),
        ("", {"host": "10.0.0.1:8080"}, False, "http://10.0.0.1:8080"),
        ("", {"host": "b.example"}, True, "https://b.example"),
        (
            "",
            {"host": "h", "x-forwarded-proto": "https", "x-forwarded-host": "c.example"},
            False,
            "https://c.example",
        ),
        ("", {"host": "h", "x-forwarded-proto": "wss"}, False, "https://h"),
        ("", {"host": "h", "x-forwarded-proto": "ws"}, True, "http://h"),
        ("", {"host": "h", "x-forwarded-proto": "WSS"}, False, "https://h"),
        ("", {"host": "h", "x-forwarded-proto": "https, http"}, False, "https://h"),
        ("", {"host": "h", "x-forwarded-host": "d.example, e"}, False, "http://d.example"),
        ("", {"host": "h", "x-forwarded-proto": ""}, True, "https://h"),
    ],
)
def test_the_address_as_the_provider_called_it(
    public: str, headers: dict[str, str], tls: bool, base: str
) -> None:
    assert called_base(headers, public_url=public, tls=tls) == base


def test_a_host_takes_no_public_address_without_a_scheme(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="with its scheme"):
        HostOptions(base=tmp_path, public_url="calls.example")
    assert HostOptions(base=tmp_path, public_url="https://a.example/").public_url == (
        "https://a.example"
    )


@pytest.mark.parametrize("host", ["x:99999", "[", "//[", "x:port"])
def test_a_host_that_is_none_is_not_part_of_an_address(host: str) -> None:
    assert called_base({"host": host}, public_url="", tls=False) == "http://invalid"
