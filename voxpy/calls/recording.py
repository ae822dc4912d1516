"""``call.record``: files in the session's folder, fed by a tap of the media graph."""

from __future__ import annotations

from voxpy.calls.state import CallState
from voxpy.events import CallEvents
from voxpy.media.recorder import both_sides
from voxpy.recording.files import FileKind
from voxpy.recording.job import Job, JobOptions, JobReports, Saved
from voxpy.recording.saving import file_name
from voxpy.recording.transcript import TranscriptOptions


class Recordings:
    """What a call records: one file at a time, as many as it likes one after another."""

    def __init__(self, state: CallState) -> None:
        self._state = state
        self._call = state.call
        self._jobs: list[Job] = []

    def start(
        self, kind: FileKind, *, stereo: bool, prefix: str, transcript: TranscriptOptions | None
    ) -> None:
        """Begin a recording; one under way is finished first.

        Stereo: left what the call says, right what it hears; else their sum.
        """
        self.stop("Replaced by another recording")
        options = JobOptions(
            unit=self._call.id(),
            name=file_name(prefix, "record", kind.suffix),
            kind=kind,
            stereo=stereo,
            transcript=transcript,
        )
        session = self._state.session
        job = Job.begin(session, options, JobReports(stopped=self._stopped, failed=self._failed))
        if job is None:
            return
        port = self._call.media
        job.on_stop(session.graph.tap(port, both_sides(port, job.tape)))
        self._jobs.append(job)
        self._state.post(CallEvents.RecordStarted(call=self._call, url=job.url))

    def stop(self, reason: str) -> None:
        """Finish what is recorded, if anything; RecordStopped follows when the file is complete."""
        for job in self._jobs:
            job.stop(reason)

    async def saved(self) -> None:
        """Wait until all files are complete."""
        for job in self._jobs:
            await job.saved()

    def _stopped(self, saved: Saved) -> None:
        self._state.post(
            CallEvents.RecordStopped(
                call=self._call,
                url=saved.url,
                duration=saved.duration_s,
                reason=saved.reason,
                transcript_url=saved.transcript_url,
            )
        )

    def _failed(self, message: str) -> None:
        self._state.post(CallEvents.RecordError(call=self._call, error=message))
