"""One end of an open WebSocket, as a pure object: RFC 6455 sections 5 to 7.

Written by hand because the codec is the largest cost of a bridged call on trio: a text message of
700 bytes takes it 1-3 µs, against 10-30 with the libraries (benchmarks/websocket.py). No extension
is offered, so a reserved bit is always an error.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Literal

import attrs
import numpy as np

from voxpy.errors import LocalProtocolError

NORMAL = 1000
PROTOCOL_ERROR = 1002
NO_CODE = 1005
ABNORMAL = 1006
BAD_TEXT = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011

_DEFINED = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""1012 to 1014 were registered after the RFC; 1005, 1006 and 1015 are never on the wire."""
_REASON_BYTES = 123
"""What a control frame's 125 bytes leave beside the code."""


class Violation(Exception):
    """The far side broke the protocol; ``code`` is what it is told (section 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


def _may_be_sent(code: int) -> bool:
    return code in _DEFINED or 3000 <= code <= 4999


def close_body(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame; 1005 gives the empty one.

    A reason of more than 123 bytes of UTF-8 is cut at a character. Raises LocalProtocolError for a
    code that must not be sent.
    """
    if code == NO_CODE:
        return b""
    if not _may_be_sent(code):
        raise LocalProtocolError(
            f"close code {code} cannot be sent; use 1000-1003, 1007-1014 or 3000-4999"
        )
    text = reason.encode("utf-8", "replace")[:_REASON_BYTES].decode("utf-8", "ignore")
    return code.to_bytes(2, "big") + text.encode()


def read_close_body(payload: bytes) -> tuple[int, str]:
    """Return code and reason; 1005 for an empty body. Raises Violation."""
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise Violation(PROTOCOL_ERROR, "a close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not _may_be_sent(code):
        raise Violation(PROTOCOL_ERROR, f"close code {code} must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise Violation(BAD_TEXT, "the reason of a close frame is no UTF-8") from None


MASK_BYTES = 4
NUMPY_FROM_BYTES = 700
"""Where one wide integer and numpy cost the same: 1.7 µs; benchmarks/websocket.py."""


def apply_mask(payload: bytes, key: bytes) -> bytes:
    """Return ``payload`` with every byte XORed with its turn of the four bytes of ``key``.

    The same call masks and unmasks.
    """
    size = len(payload)
    if size < NUMPY_FROM_BYTES:
        repeated = int.from_bytes((key * ((size + 3) >> 2))[:size], "little")
        return (int.from_bytes(payload, "little") ^ repeated).to_bytes(size, "little")
    whole = size & ~3
    words = np.frombuffer(payload, np.uint32, whole >> 2) ^ np.frombuffer(key, np.uint32)
    rest = bytes(a ^ b for a, b in zip(payload[whole:], key, strict=False))
    return words.tobytes() + rest


Role = Literal["client", "server"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FINAL = 0x80
MASKED = 0x80
CONTROL = 0x08
CONTROL_BYTES = 125
LONG, LONGER = 126, 127
WHOLE_TEXT = FINAL | TEXT

_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_MASK_ERRORS = {0: "a server's frame is masked", MASKED: "a client's frame is not masked"}
ALL = 1 << 30
_NO_UTF8 = "a text message is no UTF-8"
_Utf8 = codecs.getincrementaldecoder("utf-8")


@attrs.frozen
class Ping:
    """A ping came; its pong is in ``outgoing``."""

    payload: bytes


@attrs.frozen
class Pong:
    """A pong came, asked for or not."""

    payload: bytes


@attrs.frozen
class Closed:
    """The far side's close frame; nothing follows it. ``code`` is 1005 if it named none."""

    code: int
    reason: str


@attrs.frozen
class Failed:
    """The far side broke the protocol; nothing follows. ``code`` is what it is told."""

    code: int
    reason: str


Event = str | bytes | Ping | Pong | Closed | Failed
"""What was received; a text message is a str, a binary one bytes."""


class WebSocketProtocol:
    """Bytes to events and messages to bytes, in either role.

    ``new_mask`` gives four unpredictable bytes per frame and is asked by clients only.
    ``max_message_bytes`` bounds a message, its fragments together, before it is buffered.
    """

    def __init__(
        self, role: Role, *, new_mask: Callable[[], bytes], max_message_bytes: int
    ) -> None:
        self._new_mask = new_mask if role == "client" else None
        self._max_message_bytes = max_message_bytes
        self._room_bytes = max_message_bytes  # what the message at hand may still have
        self._their_mask = MASKED if role == "server" else 0  # clients mask, servers do not
        self._rest = bytearray()  # of a frame that is not whole yet
        self._need = 2  # how long it must be before another look is worth it
        self._message: bytearray | None = None  # the fragments so far
        self._decoder: codecs.IncrementalDecoder | None = None  # of a text in fragments
        self.replies: list[bytes] = []
        """Frames that receiving made due; ``outgoing`` takes them."""
        self.close_sent = False
        self.over = False
        """The far side has closed or failed: nothing is read any more."""
        self.behind = False
        """Whole frames may wait: ``receive`` again, with nothing, before more is read."""
        self.took = 0
        """How many frames ``receive`` took last, those that complete nothing too."""

    # -- in ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, most_frames: int = ALL) -> list[Event]:
        """Take bytes of the wire, cut anywhere; return what they complete. Never raises.

        Where they complete more than ``most_frames``, the rest is kept and we are ``behind``. After
        Closed or Failed everything is ignored. Pongs, the answer to a close and the close that
        tells of a failure are then in ``outgoing``.
        """
        self.took = 0
        if self.over:
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        events: list[Event] = []
        try:
            self._read(data, events, most_frames)
        except Violation as violation:
            self.over = True
            self._message = None
            self._queue_close(violation.code, violation.reason)
            events.append(Failed(violation.code, violation.reason))
        return events

    def _read(self, data: bytes, events: list[Event], most: int) -> None:
        at, end, need = 0, len(data), 2
        self.behind = False
        took = 0
        while end - at >= 2:
            if took == most:
                self.behind, need = True, 0
                break
            first, second = data[at], data[at + 1]
            if first != WHOLE_TEXT or self._message is not None:
                self._check_first(first, second)
            if second & MASKED != self._their_mask:
                raise Violation(PROTOCOL_ERROR, _MASK_ERRORS[self._their_mask])
            size = second & 0x7F
            body = at + 2
            if size >= LONG:
                body += 2 if size == LONG else 8
                if end < body:
                    need = body - at
                    break
                if size == LONG and data[at + 2]:  # by far the commonest, and surely minimal
                    size = data[at + 2] << 8 | data[at + 3]
                else:
                    size = _long_size(data[at + 2 : body])
            if size > self._room_bytes and not first & CONTROL:
                raise Violation(TOO_BIG, f"a message of more than {self._max_message_bytes} bytes")
            if self._their_mask:
                body += MASK_BYTES
            stop = body + size
            if end < stop:
                need = stop - at
                break
            payload = data[body:stop]
            if self._their_mask:
                payload = apply_mask(payload, data[body - MASK_BYTES : body])
            at = stop
            took += 1
            if first == WHOLE_TEXT:
                try:
                    events.append(payload.decode())
                except UnicodeDecodeError:
                    raise Violation(BAD_TEXT, _NO_UTF8) from None
            else:
                self._take(first, payload, events)
                if self.over:
                    return
        self.took = took
        if at < end:
            self._rest += data[at:]
            self._need = need

    def _check_first(self, first: int, second: int) -> None:
        """Judge all but the mask of a frame's first two bytes (section 5.2). Raises Violation."""
        opcode = first & 0x0F
        if first & 0x70:
            raise Violation(PROTOCOL_ERROR, "a reserved bit is set and no extension was agreed on")
        if opcode not in _OPCODES:
            raise Violation(PROTOCOL_ERROR, f"opcode {opcode} is reserved")
        if opcode & CONTROL:
            if not first & FINAL:
                raise Violation(PROTOCOL_ERROR, "a control frame in fragments")
            if second & 0x7F > CONTROL_BYTES:
                raise Violation(PROTOCOL_ERROR, "a control frame of more than 125 bytes")
        elif opcode == CONTINUATION and self._message is None:
            raise Violation(PROTOCOL_ERROR, "a continuation of no message")
        elif opcode != CONTINUATION and self._message is not None:
            raise Violation(PROTOCOL_ERROR, "a new message inside one in fragments")

    def _take(self, first: int, payload: bytes, events: list[Event]) -> None:
        opcode = first & 0x0F
        if not opcode & CONTROL:
            self._take_fragment(first, payload, events)
        elif opcode == PING:
            if not self.close_sent:
                self.replies.append(self._frame(FINAL | PONG, payload))
            events.append(Ping(payload))
        elif opcode == PONG:
            events.append(Pong(payload))
        else:
            code, reason = read_close_body(payload)
            self.over = True
            self._queue_close(code)
            events.append(Closed(code, reason))

    def _take_fragment(self, first: int, payload: bytes, events: list[Event]) -> None:
        """Take a binary frame or a part of a message in fragments (section 5.4)."""
        opcode, final = first & 0x0F, bool(first & FINAL)
        if self._message is None and final:
            events.append(payload)
            return
        if self._message is None:
            self._message = bytearray()
            self._decoder = _Utf8() if opcode == TEXT else None
        if self._decoder is not None:  # an error is told at once, not after megabytes
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise Violation(BAD_TEXT, _NO_UTF8) from None
        self._message += payload
        self._room_bytes = self._max_message_bytes - len(self._message)
        if final:
            whole = bytes(self._message)
            events.append(whole if self._decoder is None else _text(whole))
            self._message = None
            self._room_bytes = self._max_message_bytes

    # -- out --------------------------------------------------------------------------------------

    def message(self, data: str | bytes, *, as_text: bool = False) -> bytes:
        """Return the frame of a message: a str is text, bytes are binary.

        ``as_text`` sends bytes that are known to be UTF-8 as text, without decoding them.
        Raises LocalProtocolError once a close has been sent.
        """
        if self.close_sent:
            raise LocalProtocolError("a message after the close frame")
        if isinstance(data, str):
            return self._frame(WHOLE_TEXT, data.encode())
        return self._frame(WHOLE_TEXT if as_text else FINAL | BINARY, data)

    def ping(self, payload: bytes = b"") -> bytes:
        """Return the frame of a ping. Raises LocalProtocolError for over 125 bytes."""
        if len(payload) > CONTROL_BYTES:
            raise LocalProtocolError(f"a ping carries up to 125 bytes, not {len(payload)}")
        return self._frame(FINAL | PING, payload)

    def close(self, code: int = NORMAL, reason: str = "") -> bytes:
        """Return the close frame; empty if one was sent. Messages may still come until Closed.

        Raises LocalProtocolError for a code that must not be sent.
        """
        if self.close_sent:
            return b""
        frame = self._frame(FINAL | CLOSE, close_body(code, reason))
        self.close_sent = True
        return frame

    def outgoing(self) -> bytes:
        """Return and forget the frames that receiving made due."""
        due = b"".join(self.replies)
        self.replies.clear()
        return due

    def _queue_close(self, code: int, reason: str = "") -> None:
        if frame := self.close(code, reason):
            self.replies.append(frame)

    def _frame(self, first: int, payload: bytes) -> bytes:
        size = len(payload)
        bit = 0 if self._new_mask is None else MASKED
        if size < LONG:
            header = bytes((first, bit | size))
        elif size < 0x10000:
            header = bytes((first, bit | LONG, size >> 8, size & 0xFF))
        else:
            header = bytes((first, bit | LONGER)) + size.to_bytes(8, "big")
        if self._new_mask is None:
            return header + payload
        key = self._new_mask()
        return header + key + apply_mask(payload, key)


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation(BAD_TEXT, _NO_UTF8) from None


def _long_size(field: bytes) -> int:
    """Return the length in a 16 or 64 bit field. Raises Violation for one not minimal."""
    size = int.from_bytes(field, "big")
    if size < (LONG if len(field) == 2 else 0x10000):
        raise Violation(PROTOCOL_ERROR, "a length in more bytes than it needs")
    if size >> 63:
        raise Violation(PROTOCOL_ERROR, "a length with its highest bit set")
    return size
