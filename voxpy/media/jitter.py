"""The adaptive jitter buffer: packets as a network delivers them in, one frame per tick out.

*Place in time.* A frame's index is its RTP timestamp in frames; the sequence number only tells
duplicates, losses and pauses apart (RFC 3550 section 5.1). ``_next`` is the index whose turn the
next tick is, so that all decisions about delay are moves of it:

- a tick without its frame moves on all the same, and the frame is covered up or, in a pause of the
  sender (DTX), silent;
- a frame that comes after its turn is played all the same if nothing after it was: the turn goes
  back to it, and what covered it up has become the added delay. Nothing is lost, and a late packet
  teaches the buffer at once how late packets are;
- a delay that proves too long is shortened by leaving out a silent frame, and one that has shrunk
  to nothing is stretched in silence. Speech is touched only when no silence comes for two seconds,
  or when more than one packet in a hundred is late. Clocks that drift apart need nothing else: to
  the buffer they are such delays;
- what would wait longer than the limit is discarded, the oldest first.

A sender that jumps in time (a new stream after a transfer, a clock that was set) continues with the
next turn. Times are seconds of any clock that goes forward; nothing here raises for what arrives.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Protocol

import attrs

from voxpy.audio.frame import FRAME_S
from voxpy.media.delay import Advice, PlayoutDelay
from voxpy.media.sequence import MISORDER, Place, SequenceTracker, extended

_DECIDE_EVERY_TICKS = 10  # at most one frame in 200 ms is left out, which in a pause nobody hears
_PATIENCE_TICKS = 100
_UNEXPLAINED_TICKS = 3  # nothing is heard of a concealment after 60 ms
_ROUNDING_S = 1e-6  # times are sums of floats


class Gap(enum.Enum):
    """What a tick has if it has no frame."""

    CONCEAL = "conceal"
    """A frame is missing that was sent, or a moment is to be stretched."""
    SILENCE = "silence"
    """The sender is silent (DTX), or nothing has arrived for long."""


class Arrived(Protocol):
    """What a buffer wants to know of a packet; see ``Packet``."""

    @property
    def sequence(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def marker(self) -> bool: ...
    @property
    def comfort_noise(self) -> bool: ...


@attrs.frozen(kw_only=True)
class Packet:
    """What arrived. ``sequence`` is 16, ``timestamp`` 32 bits, as in the RTP header.

    ``marker`` is the M bit, the start of a talk spurt. ``comfort_noise`` says that the payload is
    no audio but its description (RFC 3389), after which a sender is silent until further notice.
    """

    sequence: int
    timestamp: int
    payload: bytes
    marker: bool = False
    comfort_noise: bool = False


@attrs.define
class Frame:
    """A frame to play. ``spliced`` says that audio right before it was left out."""

    payload: bytes
    sequence: int
    """That of the packet, extended beyond 16 bits."""
    arrived_at: float
    comfort_noise: bool = False
    begins: bool = False
    """The marker was set: the start of a talk spurt."""
    spliced: bool = False


@attrs.frozen(kw_only=True)
class JitterSettings:
    """``frame_bytes`` of payload are a frame, and ``frame_units`` of timestamp (8 kHz: 160).

    A packet may hold several whole frames. With ``frame_bytes`` None (codecs of variable size)
    every packet is one. ``min_delay_s`` is kept even on a perfect line. ``start_delay_s`` is what a
    stream begins with: one frame where packets come at any moment between two ticks, so that the
    first that comes on the other side of a tick is no hole. ``frame_s`` is a tick: a sender whose
    packets are of another length than 20 ms has ticks of its own. Raises ValueError if there is not
    at least a frame of room between the shortest and the longest delay.
    """

    frame_bytes: int | None = 160
    frame_units: int = 160
    min_delay_s: float = 0.0
    start_delay_s: float = 0.0
    max_delay_s: float = 0.2
    frame_s: float = FRAME_S

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.min_delay_s <= self.max_delay_s - self.frame_s:
            raise ValueError(
                f"min_delay_s={self.min_delay_s}, max_delay_s={self.max_delay_s}: expected 0 or "
                f"more, and {self.frame_s} s between them"
            )


@attrs.define(kw_only=True)
class JitterStatistics:
    """What a buffer has done so far.

    ``received`` packets, ``duplicate`` ones among them; ``lost`` never came. ``late`` frames came
    after their turn and could not be played, ``discarded`` frames were not played for other reasons
    (too much waited, a frame was left out, nothing of the stream fits). Ticks: ``concealed`` (of
    them ``stretched`` only to lengthen the delay), ``silent``. ``delay_s`` is how long the frame
    played last had waited.
    """

    received: int = 0
    lost: int = 0
    duplicate: int = 0
    late: int = 0
    discarded: int = 0
    concealed: int = 0
    stretched: int = 0
    silent: int = 0
    delay_s: float = 0.0
    jitter_s: float = 0.0


class JitterBuffer:
    """One stream. `put` every packet when it arrives, `pull` once per tick.

    ``silent`` tells whether a payload of one frame is a pause in which nobody hears a cut.
    """

    def __init__(self, settings: JitterSettings, *, silent: Callable[[bytes], bool]) -> None:
        self._settings = settings
        self._silent = silent
        self._frame_s = settings.frame_s
        self._most_frames = round(settings.max_delay_s / settings.frame_s)
        self._delay = PlayoutDelay(min_delay_s=settings.min_delay_s, frame_s=settings.frame_s)
        self._counts = JitterStatistics()
        self._order = SequenceTracker()
        self._oldest = 0  # sequence numbers before it belong to a time before a jump
        self._timestamp = 0  # the newest, extended
        self._base = 0  # the extended timestamp of index 0
        self._frames: dict[int, Frame] = {}
        self._next = 0
        self._played = -self._most_frames - 1  # index of the last frame handed out
        self._last: Frame | None = None
        self._tick_at: float | None = None
        self._hold = 0  # ticks to wait until the first frame's turn
        self._starved = 0  # ticks without a frame
        self._advice = Advice.KEEP
        self._impatience = 0
        self._ticks = 0
        self._cut = False

    @property
    def statistics(self) -> JitterStatistics:
        """A copy of the counters as they stand."""
        lost = self._order.expected - self._order.unique
        return attrs.evolve(self._counts, lost=lost, jitter_s=self._delay.jitter_s)

    # -- in -------------------------------------------------------------------------------------

    def put(self, packet: Arrived, now: float) -> None:
        """Take a packet that arrived at ``now``. What cannot be used is counted, never raised."""
        self._counts.received += 1
        if self._follows(packet, now):
            return
        parts = self._split(packet)
        place = self._order.place(packet.sequence) if parts else Place.FOREIGN
        if place is Place.DUPLICATE:
            self._counts.duplicate += 1
        elif place is Place.FOREIGN:
            self._counts.discarded += max(1, len(parts))
        else:
            index = self._index(packet.timestamp, place, len(parts))
            for offset, part in enumerate(parts):
                begins = packet.marker and offset == 0
                frame = Frame(part, self._order.last, now, packet.comfort_noise, begins)
                self._insert(index + offset, frame)
            self._bound()

    def _follows(self, packet: Arrived, now: float) -> bool:
        """Take the one packet that was expected next, as nearly all are; False for any other."""
        settings, order = self._settings, self._order
        if order.highest is None or packet.sequence != (order.highest + 1) & 0xFFFF:
            return False
        units, payload = settings.frame_units, packet.payload
        full = self._timestamp + units
        if full & 0xFFFFFFFF != packet.timestamp or packet.comfort_noise:
            return False
        if settings.frame_bytes is not None and len(payload) != settings.frame_bytes:
            return False
        index, rest = divmod(full - self._base, units)
        waits = index - self._next
        if rest or waits < 0 or waits + self._hold >= self._most_frames or index in self._frames:
            return False
        self._timestamp = full
        self._delay.note(now - index * self._frame_s)
        self._frames[index] = Frame(payload, order.follow(), now, False, packet.marker)
        return True

    def _split(self, packet: Arrived) -> list[bytes]:
        payload, size = packet.payload, self._settings.frame_bytes
        if packet.comfort_noise or size is None or len(payload) == size:
            return [payload]
        if not payload or len(payload) % size:
            return []
        return [payload[at : at + size] for at in range(0, len(payload), size)]

    def _index(self, timestamp: int, place: Place, n_frames: int) -> int:
        """Return whose turn the packet's first frame is."""
        if place is Place.RESTART:
            return self._jump(timestamp)
        units = self._settings.frame_units
        full = extended(timestamp, 32, near=self._timestamp)
        index = (full - self._base + units // 2) // units
        if place is Place.EARLIER:
            # What was sent before a jump has no place in the time after it.
            fits = self._order.last >= self._oldest and index <= self._newest()
            return index if fits else self._played - n_frames
        back = index <= self._played or index < self._next - self._most_frames
        # More time has passed than packets are missing, and the packet is not in time for it.
        explained = self._order.step * n_frames
        ahead = index - self._next >= self._most_frames and index - self._newest() > explained
        if back or ahead:
            return self._jump(timestamp)
        self._timestamp = full
        return index

    def _newest(self) -> int:
        return max(self._frames, default=self._next - 1)

    def _jump(self, timestamp: int) -> int:
        """Let ``timestamp`` follow right behind what there is, and return its index."""
        if not self._frames:
            delay_s = max(self._settings.min_delay_s, self._settings.start_delay_s)
            self._hold = math.ceil(delay_s / self._frame_s - _ROUNDING_S)
        index = self._newest() + 1
        self._timestamp = timestamp
        self._base = timestamp - index * self._settings.frame_units
        # What the very first packet has overtaken fits all the same.
        at_start = self._last is None and not self._frames
        self._oldest = self._order.last - (MISORDER if at_start else 0)
        self._delay.forget()
        return index

    def _insert(self, index: int, frame: Frame) -> None:
        if index in self._frames:
            self._counts.discarded += 1  # another packet has claimed that turn
            return
        if index >= self._next - self._most_frames:
            self._delay.note(frame.arrived_at - index * self._frame_s)
        if index >= self._next or self._turned_back(index):
            self._frames[index] = frame
        else:
            self._counts.late += 1

    def _turned_back(self, index: int) -> bool:
        """Make it the turn of ``index``, unless something after it was heard or would wait long."""
        if index <= self._played or not self._room_for(self._next - index):
            return False
        self._next = index
        return True

    def _room_for(self, frames: int) -> bool:
        """Whether all that waits can wait that much longer."""
        if self._tick_at is None or not self._frames:
            return True
        turn_at = self._tick_at + self._frame_s * (self._hold + frames + 1)
        most_s = self._settings.max_delay_s + _ROUNDING_S
        return all(
            turn_at + self._frame_s * (index - self._next) - frame.arrived_at <= most_s
            for index, frame in self._frames.items()
        )

    def _bound(self) -> None:
        """Discard the oldest of what waits if it is too much."""
        first = self._newest() - self._most_frames + 1
        if first > self._next:
            old = [index for index in self._frames if index < first]
            for index in old:
                del self._frames[index]
            self._counts.discarded += len(old)
            self._next, self._cut = first, True
            self._delay.forget()  # how they were held up says nothing about those to come
        self._hold = min(self._hold, max(0, self._next - first))

    # -- out ------------------------------------------------------------------------------------

    def pull(self, now: float) -> Frame | Gap:
        """Return what the tick at ``now`` plays; call it once for every tick, in order."""
        self._tick_at = now
        if self._order.highest is None or self._hold:
            self._hold = max(0, self._hold - 1)
            self._counts.silent += 1
            return Gap.SILENCE
        self._ticks += 1
        if self._ticks % _DECIDE_EVERY_TICKS == 0:
            self._advice = self._delay.advice(now - self._next * self._frame_s)
        if self._advice is Advice.SHORTEN:
            self._leave_one_out()
        elif self._advice is not Advice.KEEP and self._may_stretch():
            self._advice = Advice.KEEP
            self._counts.stretched += 1
            return self._gap(stretched=self._next in self._frames)
        frame = self._frames.pop(self._next, None)
        self._next += 1
        return self._gap() if frame is None else self._play(frame, now)

    def _leave_one_out(self) -> None:
        """Shorten the delay by a frame, if this one will not be missed or patience is over."""
        self._impatience += 1
        frame = self._frames.get(self._next)
        if frame is None:
            left_out = self._sender_is_silent()
        else:
            quiet = self._impatience >= _PATIENCE_TICKS or self._silent(frame.payload)
            left_out = quiet and not frame.comfort_noise and self._next + 1 in self._frames
        if left_out:
            self._cut = self._frames.pop(self._next, None) is not None
            self._counts.discarded += self._cut
            self._next += 1
            self._advice, self._impatience = Advice.KEEP, 0

    def _may_stretch(self) -> bool:
        frame = self._frames.get(self._next)
        quiet = frame is None or frame.comfort_noise or self._silent(frame.payload)
        return (quiet or self._advice is Advice.LENGTHEN_NOW) and self._room_for(0)

    def _play(self, frame: Frame, now: float) -> Frame:
        if self._cut:
            frame = attrs.evolve(frame, spliced=True)
        self._played, self._last, self._cut = self._next - 1, frame, False
        self._starved = 0
        self._counts.delay_s = now - frame.arrived_at
        return frame

    def _gap(self, *, stretched: bool = False) -> Gap:
        self._starved += 1
        if not stretched and self._sender_is_silent():
            self._counts.silent += 1
            return Gap.SILENCE
        self._counts.concealed += 1
        return Gap.CONCEAL

    def _sender_is_silent(self) -> bool:
        last = self._last
        if last is None or last.comfort_noise:
            return True
        if not self._frames:
            return self._starved > _UNEXPLAINED_TICKS
        index = min(self._frames)
        then = self._frames[index]
        packets_missing = then.sequence - last.sequence - 1
        return packets_missing <= 0 or (then.begins and index - self._played - 1 > packets_missing)
