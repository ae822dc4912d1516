"""``call.record``: files in the session's folder, fed by a tap of the media graph."""

from __future__ import annotations

from voxpy.call import Call
from voxpy.engine.callport import RecordParameters
from voxpy.engine.session import Session
from voxpy.events import CallEvents
from voxpy.media.recorder import both_sides
from voxpy.recording.files import choose_file_kind
from voxpy.recording.job import Job, JobOptions, JobReports, Saved
from voxpy.recording.saving import file_name
from voxpy.recording.transcript import TranscriptOptions

__all__ = ["Recordings"]


class Recordings:
    """What a call records: one file at a time, as many as it likes one after another."""

    def __init__(self, session: Session, call: Call) -> None:
        self._session = session
        self._call = call
        self._jobs: list[Job] = []

    def start(self, parameters: RecordParameters) -> None:
        """Begin a recording; one under way is finished first.

        Stereo: left what the call says, right what it hears; else their sum. Raises ScenarioError
        for parameters that contradict each other or a format that does not exist.
        """
        kind = choose_file_kind(
            format=parameters.format,
            hd_audio=parameters.hd_audio,
            lossless=parameters.lossless,
        )
        self.stop("Replaced by another recording")
        if parameters.video:
            self._session.trace.warning(
                "call.record cannot record video; recording the sound", unit=self._call.id()
            )
        words = TranscriptOptions(language=parameters.language, labels=parameters.labels)
        options = JobOptions(
            unit=self._call.id(),
            name=file_name(parameters.record_name_prefix, "record", kind.suffix),
            kind=kind,
            stereo=parameters.stereo,
            transcript=words if parameters.transcribe else None,
        )
        self._begin(options)

    def _begin(self, options: JobOptions) -> None:
        job = Job.begin(
            self._session, options, JobReports(stopped=self._stopped, failed=self._failed)
        )
        if job is None:
            return
        port = self._call.media
        job.on_stop(self._session.graph.tap(port, both_sides(port, job.tape)))
        self._jobs.append(job)
        self._session.post(
            self._call.listeners, CallEvents.RecordStarted(call=self._call, url=job.url)
        )

    def stop(self, reason: str) -> None:
        """Finish what is recorded, if anything; RecordStopped follows when the file is complete."""
        for job in self._jobs:
            job.stop(reason)

    async def saved(self) -> None:
        """Wait until all files are complete."""
        for job in self._jobs:
            await job.saved()

    def _stopped(self, saved: Saved) -> None:
        self._session.post(
            self._call.listeners,
            CallEvents.RecordStopped(
                call=self._call,
                url=saved.url,
                duration=saved.duration_s,
                reason=saved.reason,
                transcript_url=saved.transcript_url,
            ),
        )

    def _failed(self, message: str) -> None:
        self._session.post(
            self._call.listeners, CallEvents.RecordError(call=self._call, error=message)
        )
