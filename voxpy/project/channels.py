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

import attrs

from voxpy.channels.providers.provider import Provider
from voxpy.channels.providers.table import PROVIDERS
from voxpy.engine.userfile import Given
from voxpy.errors import ConfigError, nearest

__all__ = ["Channel", "default_channels", "read_channels"]

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
        _websocket(name, provider)
        for name, provider in PROVIDERS.items()
        if provider.transport == "websocket"
    )


def read_channels(given: Given) -> tuple[Channel, ...]:
    """Return the channels of the section."""
    channels: list[Channel] = []
    for name, below in given.mapping().items():
        below = below.named(f"channel {str(name)!r}")
        try:
            channel = _channel(str(name), below)
            _compare(channel, channels, below)
        except ConfigError as error:
            given.report(error)
        else:
            channels.append(channel)
    return tuple(channels)


def _channel(name: str, given: Given) -> Channel:
    provider = given.mapping().get("provider", given.child("provider", name))
    if provider.value not in PROVIDERS:
        hint = nearest(str(provider.value), PROVIDERS) or f"; known are {', '.join(PROVIDERS)}"
        raise provider.error(f"{given.label}: there is no provider {provider.value!r}{hint}")
    kind = PROVIDERS[provider.value]
    tcp = kind.transport == "tcp"
    fields = given.fields(TCP_KEYS if tcp else WEBSOCKET_KEYS)
    channel = Channel(name=name, provider=kind) if tcp else _websocket(name, kind)
    channel = attrs.evolve(
        channel,
        path=fields.get("path", _place, channel.path),
        webhook=fields.get("webhook", _place, channel.webhook),
        to=fields.get("to", Given.words, ""),
        host=fields.get("host", Given.words, channel.host),
    )
    if not tcp:
        return channel
    return attrs.evolve(channel, port=fields.need("port").whole(at_most=65535))


def _websocket(name: str, provider: Provider) -> Channel:
    return Channel(name=name, provider=provider, path=f"/media/{name}", webhook=f"/{name}/voice")


def _place(given: Given) -> str:
    place = given.words()
    if not place.startswith("/") or place in RESERVED:
        raise given.expected(f"a path that begins with / and is none of {', '.join(RESERVED)}")
    return place


def _compare(channel: Channel, others: list[Channel], given: Given) -> None:
    taken = {place: c.name for c in others for place in (c.path, c.webhook) if place}
    for place in (channel.path, channel.webhook):
        if place in taken:
            raise given.error(f"{given.label}: {place} is taken by channel {taken[place]!r}")
    if channel.path and channel.path == channel.webhook:
        raise given.error(f"{given.label}: path and webhook must differ")
