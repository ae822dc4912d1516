"""``call.record``: a WAV file in the session's folder, fed by a tap of the media graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from voxpy.engine.callport import RecordParameters
from voxpy.engine.session import Session
from voxpy.media.recorder import Recorder
from voxpy.media.unit import MediaPort

__all__ = ["Recording"]

STANDARD_HZ = 8000
HD_HZ = 48000


class Recording:
    """One recording in progress. ``stop`` is idempotent."""

    def __init__(
        self, url: str, file: BinaryIO, recorder: Recorder, untap: Callable[[], None]
    ) -> None:
        self.url = url
        self._file = file
        self._recorder = recorder
        self._untap = untap

    @classmethod
    def start(cls, session: Session, port: MediaPort, parameters: RecordParameters) -> Recording:
        """Start recording ``port``.

        8 kHz, or 48 kHz with ``hd_audio`` (VoxEngine: CallRecordParameters); always WAV. What this
        version cannot do (``transcribe``, ``video``, ``lossless``) is warned about, not refused.
        """
        for name in ("transcribe", "video", "lossless"):
            if getattr(parameters, name):
                session.trace.warning(
                    "call.record cannot do this yet; recording without", option=name
                )
        path = session.around.files.path("record.wav")
        file = path.open("wb")
        rate_hz = HD_HZ if parameters.hd_audio else STANDARD_HZ
        recorder = Recorder(file, port, stereo=parameters.stereo, rate_hz=rate_hz)
        return cls(path.as_uri(), file, recorder, session.graph.tap(port, recorder.write))

    def stop(self) -> float:
        """Finish the file and return its duration in seconds."""
        self._untap()
        self._recorder.close()
        self._file.close()
        return round(self._recorder.duration_s, 3)
