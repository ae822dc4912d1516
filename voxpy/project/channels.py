"""``channels:`` of ``routing.yaml``: what takes calls where. Pure.

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

from voxpy.channels.listener import Listener
from voxpy.channels.mediastream.listener import ProviderListener
from voxpy.engine.userfile import Given
from voxpy.errors import ConfigError

__all__ = ["read_channels"]

RESERVED = ("/health", "/metrics")


def read_channels(given: Given) -> tuple[Listener, ...]:
    """Return the channels of the section."""
    channels: list[Listener] = []
    taken = dict.fromkeys(RESERVED, "the host itself")
    for name, below in given.mapping().items():
        below = below.named(f"channel {str(name)!r}")
        try:
            channel = ProviderListener.read(str(name), below)
            for place in (*channel.paths, *channel.webhooks):
                if place in taken:
                    raise below.error(f"{below.label}: {place} is taken by {taken[place]}")
                taken[place] = f"channel {str(name)!r}"
        except ConfigError as error:
            given.report(error)
        else:
            channels.append(channel)
    return tuple(channels)
