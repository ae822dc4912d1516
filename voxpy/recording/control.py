"""What drives a Recorder: every sender has a place in a mix, and the mix goes onto the tape."""

from __future__ import annotations

import attrs

from voxpy.audio.frame import pcm16
from voxpy.engine.session import Session
from voxpy.media.conference import MixMinus
from voxpy.media.recorder import Tape, TapeTrack
from voxpy.media.unit import MediaPort
from voxpy.recording.events import RecorderEvent, RecorderEvents
from voxpy.recording.files import FileKind
from voxpy.recording.job import Job, JobOptions, JobReports, Saved
from voxpy.recording.recorder import Recorder
from voxpy.recording.saving import file_name
from voxpy.recording.transcript import TranscriptOptions

__all__ = ["RecorderController", "RecorderOptions"]

TAPE = "tape"
"""The key of the one member of a mix that listens; units of a session are called otherwise."""


@attrs.frozen(kw_only=True)
class RecorderOptions:
    """How to record. Stereo: the first unit that is sent here left, all others right."""

    name: str
    prefix: str
    kind: FileKind
    stereo: bool
    transcript: TranscriptOptions | None


class RecorderController:
    """Implements ``voxpy.recording.recorder.RecorderControl``."""

    def __init__(self, session: Session, options: RecorderOptions) -> None:
        self._session = session
        self._options = options
        self.recorder_id = session.new_id("recorder")
        self.recorder = Recorder(session, self)
        fmt = pcm16(options.kind.rate_hz)
        self._mixes = [
            MixMinus(
                fmt, name=f"{self.recorder_id}/{track}" if options.stereo else self.recorder_id
            )
            for track in (("left", "right") if options.stereo else ("mono",))
        ]
        self._tracks = [TapeTrack(fmt, then=self._tick) for _ in self._mixes]
        self._left_id: str | None = None
        self._muted = False
        self._pushed = 0
        self._job: Job | None = None

    def start(self) -> None:
        """Begin to record; silence, until something is sent here."""
        options = self._options
        job = Job.begin(
            self._session,
            JobOptions(
                unit=self.recorder_id,
                name=file_name(options.prefix, options.name, options.kind.suffix),
                kind=options.kind,
                stereo=options.stereo,
                transcript=options.transcript,
            ),
            JobReports(stopped=self._stopped, failed=self._failed),
        )
        if job is None:
            return
        self._job = job
        job.on_stop(self._unlink)
        for mix, track in zip(self._mixes, self._tracks, strict=True):
            self._session.graph.add_mixer(mix)
            self._session.graph.connect(mix.port(TAPE), MediaPort(name=mix.name, sink=track))
        self._session.add_closer(self.recorder_id, self._aclose)
        self._post(RecorderEvents.Started(recorder=self.recorder, url=job.url))

    def media_for(self, peer_id: str) -> MediaPort | None:
        """Return the place of a sender, or None if nothing is recorded any more."""
        if self._job is None or self._job.stopped:
            return None
        if self._left_id is None:
            self._left_id = peer_id
        return self._mixes[0 if peer_id == self._left_id else -1].port(peer_id, hears=False)

    def mute(self, muted: bool) -> None:
        """Record silence, or sound again."""
        self._muted = muted

    def stop(self) -> None:
        """Finish the file."""
        if self._job is not None:
            self._job.stop("Stopped by the scenario")

    def _tick(self) -> None:
        """Put the tracks onto the tape when all of them have their 20 ms."""
        self._pushed += 1
        if self._pushed % len(self._tracks) == 0 and self._job is not None:
            tape: Tape = self._job.tape
            tape.add(*((t.format, b"" if self._muted else t.frame) for t in self._tracks))

    def _unlink(self) -> None:
        for mix in self._mixes:
            self._session.graph.remove_mixer(mix)

    async def _aclose(self) -> None:
        if self._job is not None:
            self._job.stop("Session ended")
            await self._job.saved()

    def _stopped(self, saved: Saved) -> None:
        self._post(
            RecorderEvents.Stopped(
                recorder=self.recorder,
                duration=saved.duration_s,
                url=saved.url,
                reason=saved.reason,
                transcript_url=saved.transcript_url,
            )
        )

    def _failed(self, message: str) -> None:
        self._post(RecorderEvents.RecorderError(recorder=self.recorder, error=message))

    def _post(self, event: RecorderEvent) -> None:
        self._session.post(self.recorder.listeners, event)
