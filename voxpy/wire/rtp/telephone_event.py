"""Digits as RTP telephone events, in both roles (RFC 4733, which replaces RFC 2833).

A press is an *event*: all its packets carry the RTP timestamp of its beginning, how long it has
lasted so far and, in the last one, the E bit. So any packet of a press is enough to know the digit,
and a press is identified by when it began::

    key down                                   key up
       |  M          .          .        .       |E  E  E     (M: marker bit, E: end bit)
       ts=t,d=160   ts=t,d=320  ...           ts=t,d=800 three times

Timestamps and durations are in units of the RTP clock (8000 Hz where nothing else was negotiated);
timestamps wrap around at 32 bits.
"""

from __future__ import annotations

from collections import deque

import attrs

from voxpy.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError

DIGITS = "0123456789*#ABCD"
"""The DTMF events; a digit's code is its position (RFC 4733 table 3)."""
LONGEST_DURATION = 0xFFFF
"""What fits into the field; longer events are cut into segments (RFC 4733 section 2.5.1.3)."""

MOST_DIGITS = 500
DOWN_TICKS, REST_TICKS, PAUSE_TICKS = 5, 5, 25
_BLOCK_BYTES = 4
_END, _VOLUME = 0x80, 0x3F
_FINAL_COPIES = 3  # RFC 4733 section 2.5.1.4
_TIMESTAMP = 1 << 32
_PATIENCE_S = 0.2
"""Silence after which a press without an end is over: several times the 50 ms of slow senders."""
_MEMORY_S = 10.0
"""How long a press is remembered, so that a packet which comes late does not press it again."""


@attrs.frozen
class TelephoneEvent:
    """One report of an event. ``volume_dbm0`` is 0 to -63; ``duration`` in clock units."""

    event: int
    end: bool
    volume_dbm0: int
    duration: int

    @property
    def digit(self) -> str | None:
        """The digit, or None for an event that is none (a flash, a modem's tone)."""
        return DIGITS[self.event] if self.event < len(DIGITS) else None


@attrs.frozen
class EventPacket:
    """An RTP packet to send, but for what the stream itself adds (sequence number, SSRC, type)."""

    timestamp: int
    marker: bool
    payload: bytes


@attrs.frozen
class EventBegan:
    """A key was pressed at ``timestamp``."""

    digit: str
    timestamp: int


@attrs.frozen
class EventEnded:
    """The key is up; ``duration`` is what was heard of it, in clock units."""

    digit: str
    timestamp: int
    duration: int


def pack(event: TelephoneEvent) -> bytes:
    """Return the payload of one report: 4 bytes (RFC 4733 section 2.3).

    Raises LocalProtocolError for a field that does not fit.
    """
    if not (
        0 <= event.event <= 0xFF
        and -_VOLUME <= event.volume_dbm0 <= 0
        and 0 <= event.duration <= LONGEST_DURATION
    ):
        raise LocalProtocolError(
            f"{event} does not fit: event 0-255, volume_dbm0 -63 to 0, duration 0-65535"
        )
    flags = -event.volume_dbm0 | (_END if event.end else 0)
    return bytes((event.event, flags)) + event.duration.to_bytes(2, "big")


def unpack(payload: bytes) -> list[TelephoneEvent]:
    """Return the reports of a payload: one, or several that follow each other without a gap.

    Raises RemoteProtocolError if it is not a whole number of 4-byte reports. The reserved bit is
    ignored, as RFC 4733 section 2.3.3 wants.
    """
    if not payload or len(payload) % _BLOCK_BYTES:
        raise RemoteProtocolError(
            f"a telephone-event payload of {len(payload)} bytes: expected a multiple of 4"
        )
    blocks = (payload[n : n + _BLOCK_BYTES] for n in range(0, len(payload), _BLOCK_BYTES))
    return [
        TelephoneEvent(
            event=code,
            end=bool(flags & _END),
            volume_dbm0=-(flags & _VOLUME),
            duration=high << 8 | low,
        )
        for code, flags, high, low in blocks
    ]


class EventSender:
    """Makes the packets of presses. Call ``update`` every 20 ms while ``busy``.

    ``volume_dbm0`` is what the receiver is told to play the tones with; it must be 0 to -36 for it
    to be taken as a digit (RFC 4733 section 2.3.4).
    """

    def __init__(self, *, volume_dbm0: int = -10) -> None:
        self._volume_dbm0 = volume_dbm0
        self._code: int | None = None
        self._start = 0
        self._marker = False
        self._again: list[tuple[int, EventPacket]] = []  # how often, what

    @property
    def busy(self) -> bool:
        """Whether a key is down, or packets wait to be repeated."""
        return self._code is not None or bool(self._again)

    def begin(self, digit: str, *, timestamp: int) -> None:
        """Press a key. Raises LocalProtocolError if one is down or ``digit`` is none."""
        if self._code is not None:
            raise LocalProtocolError(f"{digit!r} cannot begin: {DIGITS[self._code]!r} is down")
        if len(digit) != 1 or digit not in DIGITS:
            raise LocalProtocolError(f"{digit!r} is no digit: expected one of {DIGITS}")
        self._code, self._start, self._marker = DIGITS.index(digit), timestamp, True

    def update(self, timestamp: int) -> list[EventPacket]:
        """Return what to send at ``timestamp``: repetitions, then the press as it stands."""
        packets = self._repetitions()
        if self._code is not None:
            packets += self._segments(timestamp)
            if duration := self._lasted(timestamp):  # 0 is reserved for states, section 2.3.5
                packets.append(self._packet(duration))
        return packets

    def end(self, timestamp: int) -> list[EventPacket]:
        """Release the key; the last packet is repeated twice by the next two ``update``.

        Raises LocalProtocolError if no key is down.
        """
        if self._code is None:
            raise LocalProtocolError("no key is down")
        packets = self._repetitions() + self._segments(timestamp)
        final = self._packet(max(1, self._lasted(timestamp)), end=True)
        self._code = None
        self._again.append((_FINAL_COPIES - 1, final))
        return [*packets, final]

    def _lasted(self, timestamp: int) -> int:
        return max(0, _after(timestamp, self._start))

    def _segments(self, timestamp: int) -> list[EventPacket]:
        """Return the last packets of segments that are full, without E (section 2.5.1.3)."""
        packets = []
        while self._lasted(timestamp) > LONGEST_DURATION:
            full = self._packet(LONGEST_DURATION)
            self._again.append((_FINAL_COPIES - 1, full))
            self._start = (self._start + LONGEST_DURATION) % _TIMESTAMP
            packets.append(full)
        return packets

    def _packet(self, duration: int, *, end: bool = False) -> EventPacket:
        assert self._code is not None
        marker, self._marker = self._marker, False
        report = TelephoneEvent(self._code, end, self._volume_dbm0, duration)
        return EventPacket(self._start, marker, pack(report))

    def _repetitions(self) -> list[EventPacket]:
        due = [attrs.evolve(packet, marker=False) for _, packet in self._again]
        self._again = [(times - 1, packet) for times, packet in self._again if times > 1]
        return due


class Typist:
    """Types digits beside the audio, a tick of 20 ms at a time; ``p`` is a pause of half a second.

    Each is down for 100 ms and followed by 100 ms without any. ``clock_hz`` is the clock of the
    events, which may be another than the audio's.
    """

    def __init__(self) -> None:
        self.clock_hz = 8000
        self._waiting: deque[str] = deque()
        self._sender = EventSender()
        self._ticks = 0  # since the key went down, or of rest that are left
        self._is_down = False
        self._stamp = 0

    @property
    def is_busy(self) -> bool:
        """Whether anything waits or is being sent."""
        return bool(self._waiting) or self._is_down or self._sender.busy

    def write(self, digits: str) -> None:
        """Type these after what waits. Raises LimitExceeded."""
        if len(self._waiting) + len(digits) > MOST_DIGITS:
            raise LimitExceeded(f"send_digits: more than {MOST_DIGITS} digits would wait")
        self._waiting += digits

    def tick(self, stamp: int) -> list[EventPacket] | None:
        """Return what to send in place of audio in this tick; None if that goes on.

        ``stamp`` is the timestamp of the audio: what belongs to a press bears that of its beginning
        (RFC 4733 section 2.2).
        """
        units = self.clock_hz // 50
        if self._is_down:
            self._ticks += 1
            if self._ticks < DOWN_TICKS:
                return self._stamped(self._sender.update(self._ticks * units))
            self._is_down, self._ticks = False, REST_TICKS
            return self._stamped(self._sender.end(DOWN_TICKS * units))
        if self._sender.busy:
            return self._stamped(self._sender.update(0))
        if self._ticks:
            self._ticks -= 1
            return None
        digit = self._waiting.popleft() if self._waiting else None
        if digit is None:
            return None
        if digit == "p":
            self._ticks = PAUSE_TICKS
            return None
        self._sender.begin(digit, timestamp=0)
        self._is_down, self._ticks, self._stamp = True, 0, stamp
        return []

    def _stamped(self, packets: list[EventPacket]) -> list[EventPacket]:
        return [attrs.evolve(packet, timestamp=self._stamp) for packet in packets]


@attrs.define(eq=False)
class _Press:
    """What is known of one press: it lasted from ``start`` for at least ``duration``."""

    code: int
    start: int
    duration: int
    over: bool = False

    @property
    def end(self) -> int:
        return (self.start + self.duration) % _TIMESTAMP

    def covers(self, start: int, report: TelephoneEvent, *, marker: bool) -> bool:
        """Return whether a report belongs to this press.

        A key cannot go down again before it is up, so reports that overlap are one press, even from
        a sender that (against the RFC) gives every packet a timestamp of its own. Nor at the very
        moment when it is up, unless an end or a marker says so.
        """
        if report.event != self.code:
            return False
        later = _after(start, self.start)
        if -max(1, report.duration) < later < max(1, self.duration):
            return True
        if later < 0:
            return later % LONGEST_DURATION == 0 and not report.end
        goes_on = later == self.duration or later % LONGEST_DURATION == 0
        return goes_on and not marker and not self.over

    def extend(self, start: int, report: TelephoneEvent) -> None:
        """Take in what a report tells about the beginning and the end."""
        end = (start + report.duration) % _TIMESTAMP
        last = end if _after(end, self.end) > 0 else self.end
        if _after(start, self.start) < 0:
            self.start = start
        self.duration = _after(last, self.start)


class EventReceiver:
    """Tells every press once, whatever the network did to its packets.

    One packet of a press is enough. Lost beginnings and ends, repetitions and any order are
    understood; only packets older than 10 s are not. One receiver for one RTP source: make a new
    one when the SSRC changes, because its timestamps have nothing to do with the former.
    """

    def __init__(self, *, clock_hz: int = 8000) -> None:
        self._patience = round(_PATIENCE_S * clock_hz)
        self._memory = round(_MEMORY_S * clock_hz)
        self._presses: list[_Press] = []  # by when they began
        self.ignored = 0
        """Reports that are no digit, or too old to be told from a repetition."""

    def receive(
        self, timestamp: int, payload: bytes, *, marker: bool = False
    ) -> list[EventBegan | EventEnded]:
        """Take one packet and return what it tells that is new.

        Raises RemoteProtocolError as ``unpack`` does.
        """
        found: list[EventBegan | EventEnded] = []
        start = timestamp
        for report in unpack(payload):
            if report.digit is None or self._is_ancient(start):
                self.ignored += 1
            else:
                self._take(start, report, marker, found)
            start = (start + report.duration) % _TIMESTAMP
            marker = False
        return found

    def expire(self, timestamp: int) -> list[EventEnded]:
        """Return the presses of which nothing has come for 200 ms: their ends were all lost."""
        found: list[EventBegan | EventEnded] = []
        for press in self._presses:
            if _after(timestamp, press.end) > self._patience:
                _finish(press, found)
        return [e for e in found if isinstance(e, EventEnded)]

    def _take(
        self,
        start: int,
        report: TelephoneEvent,
        marker: bool,
        found: list[EventBegan | EventEnded],
    ) -> None:
        press = next((p for p in self._presses if p.covers(start, report, marker=marker)), None)
        if press is None:
            press = self._begin(start, report, found)
        press.extend(start, report)
        if report.end or press is not self._presses[-1]:
            _finish(press, found)

    def _begin(
        self, start: int, report: TelephoneEvent, found: list[EventBegan | EventEnded]
    ) -> _Press:
        press = _Press(report.event, start, report.duration)
        for earlier in self._presses:
            if _after(start, earlier.start) > 0:  # one key at a time: its end was lost
                _finish(earlier, found)
        self._presses = [p for p in self._presses if _after(start, p.end) <= self._memory]
        later = [n for n, p in enumerate(self._presses) if _after(p.start, start) > 0]
        self._presses.insert(later[0] if later else len(self._presses), press)
        found.append(EventBegan(DIGITS[press.code], start))
        return press

    def _is_ancient(self, start: int) -> bool:
        return bool(self._presses) and _after(self._presses[-1].start, start) > self._memory


def _finish(press: _Press, found: list[EventBegan | EventEnded]) -> None:
    if not press.over:
        press.over = True
        found.append(EventEnded(DIGITS[press.code], press.start, press.duration))


def _after(later: int, earlier: int) -> int:
    """Return how far ``later`` is behind ``earlier``, negative if before it, across the wrap."""
    return (later - earlier + _TIMESTAMP // 2) % _TIMESTAMP - _TIMESTAMP // 2
