"""A service that the local agent can be, and the wire it speaks then. Pure.

The local agent is one thing: a session of the Realtime protocol (``voxpy.wire.realtime.server``)
with ears, a brain and a voice. A service with a wire of its own is a ``Dialect`` before it, a
translator without a socket or a clock: what its client sends becomes events of a Realtime client,
what the session sends becomes the service's frames. So every fake hears, speaks, calls tools and
can be interrupted by the same machinery, and the faults of ``--fault`` happen to all of them.

::

    client ─▶ asked ─▶ input_audio_buffer.append, response.create ... ─▶ RealtimeServer
    client ◀─ told  ◀─ response.output_audio.delta, response.done ... ◀─ (faults) ◀┘
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import orjson

from voxpy.text import json
from voxpy.wire.realtime.endpoint import Refusal
from voxpy.wire.realtime.server.faults import Close
from voxpy.wire.realtime.server.quirks import LIKE, Quirks

POLICY_VIOLATION = 1008
INVALID_PAYLOAD = 1007


class Request:
    """The upgrade request of a client."""

    def __init__(self, target: str, headers: Iterable[tuple[str | bytes, str | bytes]]) -> None:
        parts = urlsplit(target)
        self.path = unquote(parts.path)
        self.query = dict(parse_qsl(parts.query))
        self.headers = {_text(name).lower(): _text(value).strip() for name, value in headers}


def _text(raw: str | bytes) -> str:
    return raw if isinstance(raw, str) else raw.decode("latin-1")


class Dialect:
    """Base of the wires. ``ask`` and ``tell`` are for the subclasses, ``take`` for the owner.

    ``quirks`` are those of the session behind it.
    """

    quirks = LIKE["openai"]

    def __init__(self, request: Request) -> None:
        self.request = request
        self._events: list[dict[str, Any]] = []
        self._frames: list[str | bytes | Close] = []
        self._numbers: dict[str, int] = {}

    # -- what a subclass has ---------------------------------------------------------------------

    def opened(self) -> None:
        """The socket is open."""

    def asked(self, frame: Mapping[str, Any]) -> None:
        """Take a JSON object of the client's."""
        raise NotImplementedError

    def heard(self, audio: bytes) -> None:
        """Take a binary frame: audio, where the service has such."""
        self.close(INVALID_PAYLOAD, "this service takes no binary frames")

    def told(self, event: Mapping[str, Any]) -> None:
        """Take an event of the session's."""
        raise NotImplementedError

    def malformed(self, why: str) -> None:
        """The client sent what is no JSON object."""
        self.close(INVALID_PAYLOAD, why)

    # -- for subclasses --------------------------------------------------------------------------

    def ask(self, kind: str, **fields: Any) -> None:
        """Send an event to the session."""
        self._events.append({"type": kind, **fields})

    def ask_session(self, **session: Any) -> None:
        """Change the session."""
        self.ask("session.update", session={"type": "realtime", **session})

    def ask_message(self, text: str, role: str = "user") -> None:
        """Put something written into the conversation."""
        kind = "output_text" if role == "assistant" else "input_text"
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        self.ask("conversation.item.create", item=item)

    def ask_verbatim(self, text: str) -> None:
        """Have the agent say this, word for word."""
        self.ask("response.create", response={"instructions": f'Say exactly: "{text}"'})

    def ask_output(self, call_id: str, output: Any) -> None:
        """Give the output of a function call."""
        written = output if isinstance(output, str) else orjson.dumps(output).decode()
        item = {"type": "function_call_output", "call_id": call_id, "output": written}
        self.ask("conversation.item.create", item=item)

    def append(self, audio: str) -> None:
        """Pass on what the caller says, base64."""
        self.ask("input_audio_buffer.append", audio=audio)

    def tell(self, frame: Mapping[str, Any] | bytes) -> None:
        """Send a JSON object, or a binary frame, to the client."""
        self._frames.append(frame if isinstance(frame, bytes) else orjson.dumps(frame).decode())

    def close(self, code: int, reason: str) -> None:
        """Close the connection behind what was told."""
        self._frames.append(Close(code, reason))

    def new_id(self, kind: str) -> str:
        """Return an id that does not repeat on this connection."""
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind}_{self._numbers[kind]:04d}"

    # -- for the owner ---------------------------------------------------------------------------

    def receive(self, message: str | bytes) -> None:
        """Take a frame of the client's."""
        if isinstance(message, bytes):
            self.heard(message)
            return
        try:
            frame = json.loads(message)
        except ValueError as error:
            self.malformed(f"no JSON: {error}")
            return
        if isinstance(frame, dict):
            self.asked(frame)
        else:
            self.malformed("a frame must be a JSON object")

    def send(self, frame: bytes) -> None:
        """Take a frame of the session's; one that a fault has spoilt goes out as it is."""
        try:
            event = json.loads(frame)
        except ValueError:
            event = None
        if isinstance(event, dict) and isinstance(event.get("type"), str):
            self.told(event)
        else:
            self._frames.append(frame.decode("utf-8", "replace"))

    def take(self) -> tuple[list[dict[str, Any]], list[str | bytes | Close]]:
        """Return the events for the session and the frames for the client, and forget them."""
        events, self._events = self._events, []
        frames, self._frames = self._frames, []
        return events, frames


@attrs.frozen(kw_only=True)
class Fake:
    """A service that the local agent can be.

    path: the addresses at which it is meant, a pattern over the whole path.
    knows: which of the requests at that address are for it, if services share one.
    quirks: what a Realtime session is like there.
    dialect: its own wire, if it has one.
    refuse: why a client is not let in, if it is not.
    address: for people, what follows the host; example: how to try it.
    """

    name: str
    path: re.Pattern[str]
    address: str
    example: str
    refuse: Callable[[Request], Refusal | None]
    quirks: Quirks = attrs.field(factory=Quirks)
    dialect: Callable[[Request], Dialect] | None = None
    knows: Callable[[Request], bool] | None = None

    def is_meant(self, request: Request) -> bool:
        """Return whether a request is for this service."""
        at_home = self.path.fullmatch(request.path) is not None
        return at_home and (self.knows is None or self.knows(request))


def decoded(audio: Any) -> bytes:
    """Return the bytes of base64; none for what is none."""
    try:
        return base64.b64decode(audio, validate=False)
    except (TypeError, ValueError):
        return b""


def needs_key(*names: str) -> Callable[[Request], Refusal | None]:
    """Return a check that a request has one of these headers or query parameters."""

    def refuse(request: Request) -> Refusal | None:
        if any(request.headers.get(name) or request.query.get(name) for name in names):
            return None
        told = {"error": {"code": 401, "message": f"one of {', '.join(names)} is missing"}}
        return Refusal(401, orjson.dumps(told))

    return refuse
