"""The loudspeaker and the microphone of this machine, for ``voxpy run --play`` and ``--mic``.

sounddevice calls back on a thread of its own; two small buffers lie between it and the tick.
There is no echo cancellation: with both on, use headphones.
"""

from __future__ import annotations

import threading
from typing import Any

from voxpy.audio.convert import decode, encode
from voxpy.audio.frame import PCM16_RATES_HZ, PCMU, Format, pcm16
from voxpy.audio.mix import mix
from voxpy.audio.resample import Resampler
from voxpy.errors import EngineMissing, install_command
from voxpy.media.graph import Tap
from voxpy.media.playout import Playout

LEAD_S = 0.06
"""Audio gathered before playing starts: three frames cover the jitter between two clocks."""
MOST_S = 0.3
"""Audio kept at most on either side; what is older is dropped rather than heard late."""


class SoundCard:
    """Plays both sides of a call, and hears the person in front of the machine.

    ``tap`` is a media tap (see voxpy.media.graph); ``spoken`` gives what the microphone heard.
    """

    def __init__(self, library: Any, *, microphone: bool) -> None:
        self.microphone = microphone
        self._library = library
        self._lock = threading.Lock()
        self._to_play = bytearray()
        self._started = False
        self._heard = bytearray()
        self._streams: list[Any] = []
        self._output = self._open("output")
        self._input = self._open("input") if microphone else None
        for stream in self._streams:
            stream.start()

    def tap(self, said: bytes, heard: bytes) -> None:
        """Queue 20 ms of mu-law for the loudspeaker: with a microphone only the agent's side."""
        sides = [heard] if self._input is not None else [said, heard]
        mixed = mix(*(decode(side or PCMU.silence, PCMU) for side in sides))
        data = encode(self._up.process(mixed), self._output)
        with self._lock:
            self._to_play += data
            del self._to_play[: max(0, len(self._to_play) - self._output.bytes_for(MOST_S))]

    def spoken(self) -> bytes:
        """Return what the microphone has heard since the last time, as whole frames of mu-law."""
        if self._input is None:
            return b""
        with self._lock:
            whole = len(self._heard) // self._input.frame_bytes * self._input.frame_bytes
            data = bytes(self._heard[:whole])
            del self._heard[:whole]
        if not data:
            return b""
        return encode(self._down.process(decode(data, self._input)), PCMU)

    def of_line(self, mouth: Playout) -> Tap:
        """Return a tap that plays each tick, and lets the person here speak into ``mouth``."""

        def tap(said: bytes, heard: bytes) -> None:
            self.tap(said, heard)
            if spoken := self.spoken():
                mouth.write(spoken)

        return tap

    def close(self) -> None:
        """Stop both. Idempotent."""
        while self._streams:
            self._streams.pop().close()

    def _open(self, kind: str) -> Format:
        sd = self._library
        try:
            rate_hz = int(sd.query_devices(kind=kind)["default_samplerate"])
            fmt = pcm16(rate_hz if rate_hz in PCM16_RATES_HZ else 48000)
            make = sd.RawOutputStream if kind == "output" else sd.RawInputStream
            callback = self._play if kind == "output" else self._listen
            stream = make(
                samplerate=fmt.rate_hz,
                channels=1,
                dtype="int16",
                blocksize=fmt.frame_samples,
                callback=callback,
            )
        except (sd.PortAudioError, ValueError) as error:
            raise EngineMissing(f"no usable audio {kind} device: {error}") from error
        self._streams.append(stream)
        if kind == "output":
            self._up = Resampler(PCMU.rate_hz, fmt.rate_hz)
        else:
            self._down = Resampler(fmt.rate_hz, PCMU.rate_hz)
        return fmt

    def _play(self, out: Any, n_samples: int, _time: Any, _status: Any) -> None:
        wanted = n_samples * 2
        with self._lock:
            if not self._started:
                self._started = len(self._to_play) >= self._output.bytes_for(LEAD_S)
            data = bytes(self._to_play[:wanted]) if self._started else b""
            del self._to_play[: len(data)]
            if self._started and len(data) < wanted:
                self._started = False  # ran dry: gather a lead again
        out[:] = data + bytes(wanted - len(data))

    def _listen(self, data: Any, _n_samples: int, _time: Any, _status: Any) -> None:
        most_bytes = self._input.bytes_for(MOST_S) if self._input is not None else 0
        with self._lock:
            self._heard += bytes(data)
            del self._heard[: max(0, len(self._heard) - most_bytes)]


def open_sound_card(*, microphone: bool) -> SoundCard:
    """Open the default devices. Raises EngineMissing, which says how to get what is absent."""
    try:
        import sounddevice
    except ImportError as error:
        raise EngineMissing(
            f"sound needs the sounddevice package: {install_command('play')}"
        ) from error
    except OSError as error:
        raise EngineMissing(
            "sound needs the PortAudio library, which sounddevice brings along except on Linux; "
            "on Debian and Ubuntu: apt install libportaudio2"
        ) from error
    return SoundCard(sounddevice, microphone=microphone)
