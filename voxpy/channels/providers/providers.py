"""All providers by name."""

from __future__ import annotations

from collections.abc import Mapping

from voxpy.channels.providers.asterisk import Asterisk
from voxpy.channels.providers.audiosocket import AudioSocket
from voxpy.channels.providers.exotel import Exotel
from voxpy.channels.providers.jambonz import Jambonz
from voxpy.channels.providers.plivo import Plivo
from voxpy.channels.providers.provider import MediaStream
from voxpy.channels.providers.telnyx import Telnyx
from voxpy.channels.providers.twilio import Twilio
from voxpy.channels.providers.vonage import Vonage
from voxpy.channels.providers.voximplant import Voximplant
from voxpy.errors import ScenarioError, nearest

__all__ = ["PROVIDERS", "media_stream"]

PROVIDERS: Mapping[str, type[MediaStream]] = {
    kind.provider.name: kind
    for kind in (
        Twilio,
        Telnyx,
        Plivo,
        Vonage,
        Exotel,
        Jambonz,
        Voximplant,
        Asterisk,
        AudioSocket,
    )
}


def media_stream(name: str, query: Mapping[str, str] | None = None) -> MediaStream:
    """Return a new stream of the provider ``name``. Raises ScenarioError for an unknown one."""
    if name not in PROVIDERS:
        raise ScenarioError(
            f"no provider {name!r}{nearest(name, PROVIDERS)}; known are {', '.join(PROVIDERS)}"
        )
    return PROVIDERS[name](query)
