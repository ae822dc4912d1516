"""What a request's head says of how we were reached."""

from __future__ import annotations

import pytest

from voxpy.host.requesthead import called_base


@pytest.mark.parametrize(
    ("public", "headers", "tls", "base"),
    [
        ("https://a.example/", {"host": "10.0.0.1"}, False, "https://a.example"),
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
    ],
)
def test_the_address_as_the_provider_called_it(
    public: str, headers: dict[str, str], tls: bool, base: str
) -> None:
    assert called_base(headers, public_url=public, tls=tls) == base
