"""All providers by name."""

from __future__ import annotations

from collections.abc import Mapping

from voxpy.errors import ScenarioError, nearest
from voxpy.wire.mediastream.asterisk import Asterisk
from voxpy.wire.mediastream.audiosocket import AudioSocket
from voxpy.wire.mediastream.exotel import Exotel
from voxpy.wire.mediastream.jambonz import Jambonz
from voxpy.wire.mediastream.plivo import Plivo
from voxpy.wire.mediastream.provider import MediaStream
from voxpy.wire.mediastream.telnyx import Telnyx
from voxpy.wire.mediastream.twilio import Twilio
from voxpy.wire.mediastream.vonage import Vonage
from voxpy.wire.mediastream.voximplant import Voximplant

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
