"""The two media sides of a speech client, the agent's voice (source) and its ear (sink); and what
of the voice was heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import FRAME_MS, FRAME_S, Format
from voxpy.audio.mix import mix
from voxpy.media.playout import Cleared, Playout

if TYPE_CHECKING:
    from voxpy.realtime.wire import Wire

RECENT_FRAMES = 15
"""What a new session is told of the audio before it: as much as speech takes to be noticed."""
ENDED_AFTER_S = 1.0
"""VoxEngine ends a stream after one second of silence, which is not "all audio delivered"."""


@attrs.frozen(kw_only=True)
class VoiceReports:
    """Whom the voice tells that it starts, ends (seconds of audio) and overflows (its limit)."""

    started: Callable[[], None]
    ended: Callable[[float], None]
    overflowed: Callable[[float], None]
    drained: Callable[[], None] = lambda: None
    """All speech that was there has been played."""


def _nobody() -> None:
    """Nobody wants to know."""


SPEECH, MURMUR = 1, 2
"""What a frame on its way is made of: either, or both together."""


class Voice:
    """What the agent says: its speech, and back-channel murmurs on a track of their own.

    A media AheadSource: a carrier that buffers gets it as it comes.
    """

    def __init__(self, fmt: Format, *, limit_s: float, reports: VoiceReports) -> None:
        self.format = fmt
        """The session's output format; changed by ``adopt``."""
        self.speech = Playout(fmt, limit_s=limit_s, on_overflow=reports.overflowed)
        self.backchannel = Playout(fmt, limit_s=limit_s)
        self._reports = reports
        self._streaming = False
        self._silent_ticks = 0
        self._streamed_ticks = 0
        self._on_the_way: deque[int] = deque()
        self.on_audio: Callable[[], None] = _nobody
        self.on_cut: Callable[[], None] = _nobody

    def adopt(self, fmt: Format) -> None:
        """Speak in another format from now on."""
        if fmt != self.format:
            self.format = fmt
            self.speech.adopt(fmt)
            self.backchannel.adopt(fmt)
            self._cut()

    def write(self, data: bytes, *, item_id: str, backchannel: bool) -> None:
        """Append audio from the service."""
        if not self._streaming:
            self._streaming = True
            self._silent_ticks = self._streamed_ticks = 0
            self._reports.started()
        track = self.backchannel if backchannel else self.speech
        track.write(data, item_id=item_id)
        self.on_audio()

    def clear(self) -> list[Cleared]:
        """Drop what waits, murmurs included; return what was lost of the speech."""
        self.backchannel.clear()
        lost = self.speech.clear()
        self._cut()
        return lost

    def clear_speech(self) -> list[Cleared]:
        """Drop what waits of the speech and return what was lost; a murmur goes on."""
        lost = self.speech.clear()
        self.backchannel.take_back()
        self._cut()
        return lost

    @property
    def sounding(self) -> bool:
        """Whether anything waits to be heard."""
        return bool(self.speech.buffered_bytes or self.backchannel.buffered_bytes)

    def pull(self) -> bytes | None:
        """Return the next frame: speech, a murmur, or both mixed."""
        speech = self.speech.pull()
        murmur = self.backchannel.pull() if self.backchannel.buffered_bytes else None
        if speech is not None and not self.speech.buffered_bytes:
            self._reports.drained()
        if self._streaming:
            self._count(speech is not None or murmur is not None)
        return self._both(speech, murmur)

    def pull_ahead(self) -> bytes | None:
        """Return the next whole frame before its time."""
        speech = self.speech.pull_ahead()
        if not self.backchannel.buffered_bytes:  # as nearly always
            if speech is not None:
                self._on_the_way.append(SPEECH)
            return speech
        murmur = self.backchannel.pull_ahead()
        if sound := SPEECH * (speech is not None) | MURMUR * (murmur is not None):
            self._on_the_way.append(sound)
        return self._both(speech, murmur)

    def advance(self) -> None:
        """The oldest frame on its way is being played."""
        sound = self._on_the_way.popleft()
        if sound & SPEECH:
            self.speech.advance()
            if not self.speech.buffered_bytes:
                self._reports.drained()
        if sound & MURMUR:
            self.backchannel.advance()
        if self._streaming:
            self._count(True)

    def take_back(self) -> None:
        """What is on its way will not be played: it waits again."""
        self._on_the_way.clear()
        self.speech.take_back()
        self.backchannel.take_back()

    def _cut(self) -> None:
        self._on_the_way.clear()
        self.on_cut()
        if self.backchannel.buffered_bytes:
            self.on_audio()

    def _both(self, speech: bytes | None, murmur: bytes | None) -> bytes | None:
        if speech and murmur:
            fmt = self.format
            return encode(mix(decode(speech, fmt), decode(murmur, fmt)), fmt)
        return speech or murmur

    def _count(self, audible: bool) -> None:
        self._silent_ticks = 0 if audible else self._silent_ticks + 1
        self._streamed_ticks += audible
        if self._silent_ticks * FRAME_S >= ENDED_AFTER_S:
            self._streaming = False
            self._reports.ended(self._streamed_ticks * FRAME_S)


class Ear:
    """What the agent hears: frames, gathered into batches for the wire."""

    def __init__(self, fmt: Format, *, batch_ms: int, send: Callable[[bytes], None]) -> None:
        self.format = fmt
        """The session's input format; changed by ``adopt``."""
        self._frames_per_batch = max(1, batch_ms // FRAME_MS)
        self._send = send
        self._frames: list[bytes] = []
        self._sent: deque[bytes] = deque(maxlen=RECENT_FRAMES)

    def adopt(self, fmt: Format) -> None:
        """Hear in another format from now on."""
        if fmt != self.format:
            self._frames.clear()  # 20 ms of another format cannot be joined to this one
            self._sent.clear()
            self.format = fmt

    def push(self, frame: bytes) -> None:
        """Take one frame; every full batch is sent."""
        self._frames.append(frame)
        if len(self._frames) >= self._frames_per_batch:
            batch = b"".join(self._frames)
            self._sent.extend(self._frames)
            self._frames.clear()
            self._send(batch)

    def recent(self) -> bytes:
        """Return the last 300 ms that were sent."""
        return b"".join(self._sent)


KEPT_ITEMS = 64

Report = Callable[[str, str, float], None]
"""Called with an item's id, what was heard of its words, and how many milliseconds of it."""


class Heard:
    """What was heard of what the agent said, told when an item is over: played, or cut short.

    Follows the items that sound on one playout; ``report`` is called at the end of each.
    """

    def __init__(self, speech: Playout, *, report: Report) -> None:
        self._speech = speech
        self._report = report
        self._sounding: dict[str, None] = {}
        self._texts: dict[str, str] = {}

    def sounds(self, item_id: str) -> None:
        """Audio of this item was given to the playout."""
        self._sounding[item_id] = None

    def text(self, wire: Wire, item_id: str) -> str:
        """Return about what the listener has heard of an item so far."""
        if item_id in self._texts and item_id not in self._sounding:
            return self._texts[item_id]
        return wire.transcript_heard(item_id, self._speech.played_ms(item_id))

    def settle(self, wire: Wire) -> None:
        """Report the items that are over: no more audio of them comes or waits."""
        for item_id in tuple(self._sounding):
            if wire.playback.is_done(item_id):
                played_ms = self._speech.played_ms(item_id)
                empty = not self._speech.buffered_bytes
                if empty or wire.playback.fully_played(item_id, played_ms):
                    self._over(wire, item_id)

    def cut(self, wire: Wire) -> None:
        """Report every item that was sounding: the playout has been cleared."""
        for item_id in list(self._sounding):
            self._over(wire, item_id)

    def _over(self, wire: Wire, item_id: str) -> None:
        played_ms = self._speech.played_ms(item_id)
        text = wire.transcript_heard(item_id, played_ms)
        del self._sounding[item_id]
        self._texts[item_id] = text
        if len(self._texts) > KEPT_ITEMS:
            del self._texts[next(iter(self._texts))]
        self._report(item_id, text, played_ms)


class ItemOrder:
    """Audio of items that come interleaved goes to the playout one item after the other.

    A service may have two responses under way at once. Mixed as they come, their pieces of a tenth
    of a second alternate; so the first item to sound has the floor until it is over, and the others
    wait for it. One whose end is never told loses the floor when it has nothing more to play, which
    is when not ``sounding()``.
    """

    def __init__(
        self,
        write: Callable[[str, bytes], None],
        *,
        sounding: Callable[[], bool],
        limit_bytes: int,
    ) -> None:
        self._write = write
        self._sounding = sounding
        self._limit_bytes = limit_bytes
        self._floor: str | None = None
        self._waiting: dict[str, list[bytes]] = {}
        self._waiting_bytes = 0

    @property
    def waiting(self) -> bool:
        """Whether an item waits for its turn."""
        return bool(self._waiting)

    def put(self, item_id: str, data: bytes) -> None:
        """Take audio of an item. What waits beyond the limit is dropped."""
        if self._floor is None or self._floor == item_id or not self._sounding():
            self._floor = item_id
            self._write(item_id, data)
        elif self._waiting_bytes + len(data) <= self._limit_bytes:
            self._waiting.setdefault(item_id, []).append(data)
            self._waiting_bytes += len(data)

    def pass_on(self, is_done: Callable[[str], bool]) -> None:
        """Let the next item sound if the one that has the floor is over."""
        while self._floor is not None and (is_done(self._floor) or not self._sounding()):
            self._floor = following = next(iter(self._waiting), None)
            if following is not None:
                for data in self._waiting.pop(following):
                    self._waiting_bytes -= len(data)
                    self._write(following, data)

    def clear(self) -> None:
        """Forget what waits: nobody is to hear it."""
        self._floor = None
        self._waiting.clear()
        self._waiting_bytes = 0
