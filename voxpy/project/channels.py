"""``channels:`` of ``routing.yaml``: which provider calls in where. Pure.

::

    channels:
      twilio:             # a provider; its stream at /media/twilio, its webhook at /twilio/voice
      support-line:
        provider: telnyx
        path: /media/support
      audiosocket:
        port: 9092        # AudioSocket is TCP and has a port of its own
        to: support       # it names no destination; this is what is routed

Without the section every provider with a WebSocket is served at ``/media/<provider>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from voxpy.channels.providers.provider import Provider
from voxpy.channels.providers.providers import PROVIDERS
from voxpy.engine.yaml_lines import YamlPath
from voxpy.errors import nearest
from voxpy.project.settings import Findings

__all__ = ["Channel", "default_channels", "structure_channels"]

WEBSOCKET_KEYS = ("provider", "path", "webhook", "to")
TCP_KEYS = ("provider", "port", "host", "to")
RESERVED = ("/health", "/metrics")


@attrs.frozen(kw_only=True)
class Channel:
    """One way in.

    ``path`` is where the provider opens its WebSocket and ``webhook`` where it asks what to do with
    a call; both are empty for a provider on TCP, which connects to ``host``:``port``. ``to`` is the
    destination of calls that name none.
    """

    name: str
    provider: Provider
    path: str = ""
    webhook: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    to: str = ""


def default_channels() -> tuple[Channel, ...]:
    """Return what is served when nothing is configured: every provider that needs no own port."""
    return tuple(
        _websocket(name, kind.provider)
        for name, kind in PROVIDERS.items()
        if kind.provider.transport == "websocket"
    )


def structure_channels(value: Any, path: YamlPath, *, findings: Findings) -> tuple[Channel, ...]:
    """Return the channels of the section; what is wrong goes into ``findings``."""
    if value is None:
        return default_channels()
    channels: list[Channel] = []
    for name, given in findings.mapping(value, path, what="channels").items():
        where = (*path, name)
        options = findings.mapping(given, where, what=f"channel {name!r}")
        channel = _channel(str(name), options, where, findings)
        if channel is not None:
            _compare(channel, channels, where, findings)
            channels.append(channel)
    return tuple(channels)


def _channel(
    name: str, given: Mapping[str, Any], path: YamlPath, findings: Findings
) -> Channel | None:
    what = f"channel {name!r}"
    provider = given.get("provider", name)
    if provider not in PROVIDERS:
        hint = nearest(str(provider), PROVIDERS) or f"; known are {', '.join(PROVIDERS)}"
        at = (*path, "provider") if "provider" in given else path
        findings.error(at, f"{what}: there is no provider {provider!r}{hint}")
        return None
    kind = PROVIDERS[provider].provider
    tcp = kind.transport == "tcp"
    findings.unknown_keys(given, path, known=TCP_KEYS if tcp else WEBSOCKET_KEYS, what=what)
    channel = Channel(name=name, provider=kind) if tcp else _websocket(name, kind)
    for key in ("path", "webhook", "to", "host"):
        if key in given and _is_word(key, given[key], path, what, findings):
            channel = attrs.evolve(channel, **{key: given[key]})
    return _with_port(channel, given.get("port"), path, findings) if tcp else channel


def _websocket(name: str, provider: Provider) -> Channel:
    return Channel(name=name, provider=provider, path=f"/media/{name}", webhook=f"/{name}/voice")


def _is_word(key: str, value: Any, path: YamlPath, what: str, findings: Findings) -> bool:
    if not isinstance(value, str) or not value:
        quoted = "" if isinstance(value, str) else "; put it in single quotes"
        findings.error((*path, key), f"{what}: {key} must be text, not {value!r}{quoted}")
        return False
    if key in ("path", "webhook") and (not value.startswith("/") or value in RESERVED):
        rule = f"must begin with / and be none of {', '.join(RESERVED)}"
        findings.error((*path, key), f"{what}: {key} {rule}, not {value!r}")
        return False
    return True


def _with_port(channel: Channel, port: Any, path: YamlPath, findings: Findings) -> Channel | None:
    if isinstance(port, int) and not isinstance(port, bool) and 0 <= port <= 65535:
        return attrs.evolve(channel, port=port)
    wrong = "is missing" if port is None else f"must be a port number, not {port!r}"
    findings.error((*path, "port"), f"channel {channel.name!r}: port {wrong}")
    return None


def _compare(channel: Channel, others: list[Channel], path: YamlPath, findings: Findings) -> None:
    taken = {place: c.name for c in others for place in (c.path, c.webhook) if place}
    for place in (channel.path, channel.webhook):
        if place in taken:
            problem = f"{place} is taken by channel {taken[place]!r}"
            findings.error(path, f"channel {channel.name!r}: {problem}")
    if channel.path and channel.path == channel.webhook:
        findings.error(path, f"channel {channel.name!r}: path and webhook must differ")
