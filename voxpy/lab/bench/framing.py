"""WebSocket frames and time stamps for the harness and the floor: the cheapest that is correct.

Only whole text messages in single frames, which is all that the programs here send each other;
control frames are read and told apart, anything else is an error of the benchmark.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable, Iterator

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
NO_MASK = bytes(4)
"""A mask that changes nothing: it costs the sender nothing, and the receiver as much as any."""

STAMP = struct.Struct("<Id")
"""At the head of each frame of audio: which call or which response, and when it was sent.

Twelve bytes, so they are sixteen whole characters of base64 and need not be searched for.
"""
STAMP_CHARACTERS = 16

FRAME_S = 0.02
FRAME_BYTES = 160
_REST = base64.b64encode(bytes((0x55 + n % 7) for n in range(FRAME_BYTES - STAMP.size)))
"""The rest of every frame: loud enough to count as sound, never a mu-law silence."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def stamped(number: int, at_s: float) -> bytes:
    """Return 20 ms of mu-law in base64 that says what it is."""
    return base64.b64encode(STAMP.pack(number, at_s)) + _REST


def read_stamp(text: bytes, at: int) -> tuple[int, float]:
    """Return the stamp of base64 audio that begins at ``at``."""
    number, at_s = STAMP.unpack(base64.b64decode(text[at : at + STAMP_CHARACTERS]))
    return number, at_s


def text_frame(payload: bytes, *, masked: bool, kind: int = TEXT) -> bytes:
    """Return a whole frame; a masked one has the mask that changes nothing."""
    size, bit, mask = len(payload), 0x80 * masked, NO_MASK * masked
    if size < 126:
        return b"%c%c%b%b" % (kind, bit | size, mask, payload)
    if size < 65536:
        return b"%c%c%b%b%b" % (kind, bit | 126, size.to_bytes(2, "big"), mask, payload)
    return b"%c%c%b%b%b" % (kind, bit | 127, size.to_bytes(8, "big"), mask, payload)


class Frames:
    """Cuts a byte stream into frames: feed it, get (kind, payload) of each that is whole."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield what ``data`` completes, unmasked."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, body = data[at + 1] & 0x7F, at + 2
            if size >= 126:
                body += 2 if size == 126 else 8
                if end < body:
                    break
                size = int.from_bytes(data[at + 2 : body], "big")
            mask = data[at + 1] & 0x80
            stop = body + size + (4 if mask else 0)
            if end < stop:
                break
            payload = data[body + 4 : stop] if mask else data[body:stop]
            if mask:
                payload = _unmask(payload, data[body : body + 4])
            yield data[at], payload
            at = stop
        self._rest = data[at:]


def _unmask(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    repeated = int.from_bytes((key * ((size + 3) >> 2))[:size], "little")
    return (int.from_bytes(payload, "little") ^ repeated).to_bytes(size, "little")


def upgrade_request(path: str, host: str = "bench", headers: Iterable[Iterable[str]] = ()) -> bytes:
    """Return the request of a client; the benchmark does not check the answer's key."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"{more}\r\n"
    ).encode()


def upgrade_answer(request: bytes) -> bytes:
    """Return the answer of a server to a client's request."""
    (key,) = [
        line.partition(b":")[2].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
