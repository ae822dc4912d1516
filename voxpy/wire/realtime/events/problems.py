"""What can be wrong with what the other side sent, and how it is told to a person."""

from __future__ import annotations

from typing import Any

from voxpy.errors import RemoteProtocolError

EXCERPT_CHARS = 60
"""Enough to recognise a value in a log line; audio frames are thousands of characters."""


class Rejected(RemoteProtocolError):
    """A well-formed request that cannot be done; a server answers it with an ``error`` event.

    ``message`` is said to the peer as it is; ``param`` names the field on the wire
    (``session.audio.output.speed``), if one is to blame.
    """

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        self.code = code
        self.message = message
        self.param = param
        super().__init__(message)


class InvalidValue(Rejected):
    """A value outside its documented range, enum or kind. Nothing of the request is applied."""

    def __init__(self, param: str, problem: str) -> None:
        self.problem = problem
        super().__init__("invalid_value", f"{param}: {problem}", param=param)


class MalformedEvent(Rejected):
    """A frame that is no event: not JSON, no ``type``, or a field of the wrong kind.

    ``path`` is the JSON path of the fault (``$.item.content[0]``), ``event_id`` the sender's id of
    the frame where it could still be read.
    """

    def __init__(self, path: str, problem: str, *, code: str = "invalid_type") -> None:
        self.path = path
        self.event_id: str | None = None
        param = path.removeprefix("$").removeprefix(".") or None
        super().__init__(code, f"{path}: {problem}", param=param)


def excerpt(value: Any) -> str:
    """Return a short picture of a JSON value or of raw text; never more than about 70 characters.

    Containers are only counted: showing them could recurse as deep as the peer likes.
    """
    match value:
        case dict():
            return f"an object of {len(value)} fields"
        case list():
            return f"an array of {len(value)} elements"
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case bytes() | bytearray() | memoryview():
            return excerpt(bytes(value[: EXCERPT_CHARS * 4]).decode("utf-8", "replace"))
        case str():
            cut = value[:EXCERPT_CHARS].encode("utf-8", "replace").decode()
            return repr(cut) + ("…" if len(value) > EXCERPT_CHARS else "")
    return repr(value)[:EXCERPT_CHARS]
