"""The lower of the two seams: what sets one service of the Realtime protocol apart from another.

::

    scenario ─ RealtimeAPIClient ─┐
                                  ├─ SpeechClient ══ Wire ══ RealtimeWire ─ RealtimeClient ─ socket
    scenario ─ LiveAPIClient ─────┘   (speech.py)  (wire.py) (protocol.py)        ║
                                                                               Service
                                                                             (this file)

OpenAI's Realtime protocol is spoken by many: Inworld, OpenAI, Azure, Grok, Yandex. Everything from
the socket to the scenario's events is the same for all of them, and lies in this folder. What is
not the same is a frozen ``Service``: names, address, who one is to it, formats, and a few habits
that a client must know of. A connector is then one file: its Service, the list of its events
(``voxpy.realtime.events``), and the function that scenarios call. Nothing in this folder asks
*which* service it has before it; a difference that cannot be said in a ``Service`` is a missing
field of it.

Services with a wire of their own meet at the other seam, ``voxpy.realtime.wire``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from voxpy.realtime.envelope import EventNamespace
from voxpy.wire.realtime.endpoint import authorization

Headers = list[tuple[str, str]]

Authentication = Callable[[str], Headers]
"""From a key to the headers of the handshake. Raises LocalProtocolError for a key of no use."""


def bearer(key: str) -> Headers:
    """Authenticate with the key as a bearer token."""
    return [("Authorization", authorization(key, "bearer"))]


Formats = Mapping[str, Mapping[str, Any]]


def _both_ways(wire: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"audio": {side: {"format": wire} for side in ("input", "output")}}


FORMATS: Formats = MappingProxyType(
    {
        "pcm16": _both_ways({"type": "audio/pcm", "rate": 24000}),
        "pcmu": _both_ways({"type": "audio/pcmu"}),
        "pcma": _both_ways({"type": "audio/pcma"}),
    }
)
"""How a session asks for a format: our name, and what is laid under the session object."""


@attrs.frozen(kw_only=True)
class Habits:
    """Where services of one protocol behave differently, and a client must know it.

    mulaw_thirds: its milliseconds of 8 kHz mu-law are a third of the real ones.
    answers_tools: it goes on by itself after a tool's output, where
        ``providerData.auto_tool_response`` says nothing.
    typed_sessions: a session object says its ``type``, as it does since the beta.
    """

    mulaw_thirds: bool = False
    answers_tools: bool = False
    typed_sessions: bool = True


@attrs.frozen(kw_only=True)
class Service:
    """One speech service.

    name: as scenarios write it, ``Inworld``.
    endpoint: where it is, unless the host or the scenario says otherwise.
    secret: the name under which a host keeps its key.
    events, media_events: the connector's namespaces.
    formats: how ``session.update`` asks for a format, by our names.
    refuses: events of the protocol that it does not take, and what to do instead.
    """

    name: str
    endpoint: str
    secret: str
    authentication: Authentication
    events: EventNamespace
    media_events: EventNamespace
    formats: Formats = FORMATS
    habits: Habits = Habits()
    refuses: Mapping[str, str] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Access:
    """Where the connections of one client lead, and who it is there.

    ``address`` gives the URL of the first, second ... connection: a client that is renewed makes
    several, and services want to tell them apart.
    """

    address: Callable[[int], str]
    headers: Headers = attrs.field(repr=False)
