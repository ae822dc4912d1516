"""The providers' own sides by name, one for each adapter."""

from __future__ import annotations

from collections.abc import Mapping

from voxpy.channels.providers.binary_carriers import (
    AsteriskCarrier,
    AudioSocketCarrier,
    JambonzCarrier,
    VonageCarrier,
)
from voxpy.channels.providers.carrier import Carrier, PhoneCall
from voxpy.channels.providers.json_carriers import (
    ExotelCarrier,
    PlivoCarrier,
    TelnyxCarrier,
    TwilioCarrier,
    VoximplantCarrier,
)
from voxpy.errors import LocalProtocolError, nearest

__all__ = ["CARRIERS", "carrier"]

CARRIERS: Mapping[str, type[Carrier]] = {
    kind.name: kind
    for kind in (
        TwilioCarrier,
        TelnyxCarrier,
        PlivoCarrier,
        VonageCarrier,
        ExotelCarrier,
        JambonzCarrier,
        VoximplantCarrier,
        AsteriskCarrier,
        AudioSocketCarrier,
    )
}


def carrier(name: str, call: PhoneCall) -> Carrier:
    """Return the side of provider ``name`` for ``call``.

    Raises LocalProtocolError for a provider that is not known or does not carry the call's format.
    """
    if name not in CARRIERS:
        raise LocalProtocolError(
            f"no provider {name!r}{nearest(name, CARRIERS)}; known are {', '.join(CARRIERS)}"
        )
    return CARRIERS[name](call)
