"""One recording from its first frame to its transcript, whatever is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from voxpy.engine.session import Session
from voxpy.engine.speech import load_engines
from voxpy.errors import EngineMissing
from voxpy.media.recorder import Tape
from voxpy.recording.files import FileKind
from voxpy.recording.saving import Saving
from voxpy.recording.transcript import Transcription, TranscriptOptions


@attrs.frozen(kw_only=True)
class JobOptions:
    """What to record. ``name`` is the file's, suffix included; ``transcript`` None for none."""

    unit: str
    name: str
    kind: FileKind
    stereo: bool
    transcript: TranscriptOptions | None = None


@attrs.frozen(kw_only=True)
class Saved:
    """A complete file: ``duration_s`` of sound, and why there is no more."""

    url: str
    transcript_url: str
    duration_s: float
    reason: str


@attrs.frozen(kw_only=True)
class JobReports:
    """Whom a recording tells of itself.

    ``stopped`` comes once for every recording that began, when its file is complete. ``failed``,
    with what is wrong, may come before or, for a transcript, after it.
    """

    stopped: Callable[[Saved], None]
    failed: Callable[[str], None]


class Job:
    """A recording under way. Put frames on ``tape``; ``stop`` is idempotent."""

    def __init__(
        self, session: Session, options: JobOptions, path: Path, reports: JobReports
    ) -> None:
        self.url = session.context.files.url(path)
        self._session = session
        self._options = options
        self._path = path
        self._reports = reports
        self._saving = Saving.create(
            path,
            options.kind,
            stereo=options.stereo,
            failed=self._file_failed,
        )
        self._reason = ""
        self._on_stop: list[Callable[[], None]] = []
        self._transcription: Transcription | None = None

    @classmethod
    def begin(cls, session: Session, options: JobOptions, reports: JobReports) -> Job | None:
        """Begin to record, or return None and report why not.

        If the words are wanted and there is no recogniser for them, that is reported and the sound
        is recorded all the same.
        """
        if session.ended is not None:
            session.trace.warning("nothing is recorded after the end", unit=options.unit)
            return None
        path = session.context.files.path(session.trace.masked(options.name))
        try:
            job = cls(session, options, path, reports)
        except OSError as error:
            reports.failed(f"{path.name} cannot be recorded: {error.strerror or error}")
            return None
        session.spawn(f"recording {path.name}", job._run)
        if options.transcript is not None:
            job._prepare_transcript(options.transcript)
        return job

    @property
    def tape(self) -> Tape:
        """Where the frames go."""
        return self._saving.tape

    @property
    def transcript_url(self) -> str:
        """Where the words will be, or the empty string if there will be none."""
        if self._transcription is None:
            return ""
        return self._session.context.files.url(self._transcription.path)

    @property
    def stopped(self) -> bool:
        """Whether it takes no more frames."""
        return bool(self._reason)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call back, at once, when the recording takes no more frames."""
        self._on_stop.append(callback)

    def stop(self, reason: str) -> None:
        """Take no more frames; ``stopped`` is reported when the file is complete."""
        if not self._reason:
            self._reason = reason
            for callback in self._on_stop:
                callback()
            self._saving.stop()

    async def saved(self) -> None:
        """Wait until the file is complete."""
        await self._saving.saved.wait()

    async def _run(self) -> None:
        await self._saving.run()
        if self._saving.lost_s:
            self._session.trace.warning(
                "the disk is too slow: a recording has gaps",
                unit=self._options.unit,
                url=self.url,
                lost_s=round(self._saving.lost_s, 2),
            )
        self._reports.stopped(
            Saved(
                url=self.url,
                transcript_url=self.transcript_url,
                duration_s=round(self._saving.saved_s, 3),
                reason=self._reason,
            )
        )
        if self._transcription is not None:
            # Most calls end before the words are written; then the host waits for them.
            name = f"transcript of {self._path.name}"
            self._session.afterwards[name] = self._transcribe
            await self._transcribe()
            del self._session.afterwards[name]

    def _file_failed(self, message: str) -> None:
        self._reports.failed(f"{self._path.name}: {message}")
        self.stop("Recording failed")

    def _prepare_transcript(self, options: TranscriptOptions) -> None:
        self._transcription = Transcription(
            self._path, self._options.kind, stereo=self._options.stereo, options=options
        )
        self._session.spawn(f"ears for {self._path.name}", self._find_ears)

    async def _find_ears(self) -> None:
        """Say at once, not when the recording is over, that it cannot be transcribed."""
        assert self._transcription is not None
        try:
            engines = await load_engines(self._session.context.speech)
            self._transcription.check(engines)
        except EngineMissing as error:
            self._transcription = None
            self._reports.failed(f"no transcript of {self._path.name}: {error}")

    async def _transcribe(self) -> None:
        """Write the transcript unless that is done; again after a cancellation does all again."""
        transcription = self._transcription
        if transcription is None or transcription.done:
            return
        trace, unit = self._session.trace, self._options.unit
        try:
            engines = await load_engines(self._session.context.speech)
            found = await transcription.run(engines, masked=trace.masked)
        except (EngineMissing, OSError) as error:
            self._transcription = None
            trace.warning("no transcript", unit=unit, url=self.url, error=str(error))
            self._reports.failed(f"no transcript of {self._path.name}: {error}")
            return
        trace.step(
            "recording transcribed",
            unit=unit,
            url=self._session.context.files.url(transcription.path),
            utterances=found,
        )
