"""``Recorder``: writes down what is sent to it (VoxEngine: Recorder).

Every sender has a place in a mix, and the mix goes onto the tape.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from voxpy.audio.frame import pcm16
from voxpy.engine.session import Session
from voxpy.engine.units import Catalog, MediaUnit
from voxpy.errors import ScenarioError
from voxpy.media.conference import MixMinus
from voxpy.media.recorder import Tape, TapeTrack
from voxpy.media.unit import MediaPort
from voxpy.recording.events import RecorderEvents
from voxpy.recording.files import FileKind, choose_file_kind
from voxpy.recording.job import Job, JobOptions, JobReports, Saved
from voxpy.recording.saving import file_name
from voxpy.recording.transcript import TranscriptOptions

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


class Recorder(MediaUnit):
    """One file of everything that is sent to it (VoxEngine: Recorder).

    Any number of units may send to it, as ``call.send_media_to(recorder)``: they are mixed, unlike
    at a call, which hears one stream only. It sends nothing. Listen with ``RecorderEvents``.
    """

    _catalog: ClassVar[Catalog] = {"RecorderEvents": RecorderEvents}

    def __init__(self, session: Session, options: RecorderOptions) -> None:
        super().__init__(session, session.new_id("recorder"))
        self._options = options
        fmt = pcm16(options.kind.rate_hz)
        tracks = ("/left", "/right") if options.stereo else ("",)
        self._mixes = [MixMinus(fmt, name=f"{self.id()}{track}") for track in tracks]
        self._tracks = [TapeTrack(fmt, then=self._tick) for _ in self._mixes]
        self._left_id: str | None = None
        self._muted = False
        self._pushed = 0
        self._job: Job | None = None

    def mute(self, muted: bool) -> None:
        """Record silence while ``muted``; the time goes on. VoxEngine: Recorder.mute.

        Raises ScenarioError for what is no bool.
        """
        given: Any = muted  # scenarios are not always type checked
        if not isinstance(given, bool):
            raise ScenarioError(f"mute takes True or False, not {given!r}")
        self._session.trace.command("Recorder.mute", unit=self.id(), muted=muted)
        self._muted = muted

    def stop(self) -> None:
        """Finish the file; ``RecorderEvents.Stopped`` follows when it is complete. Idempotent.

        VoxEngine: Recorder.stop.
        """
        self._session.trace.command("Recorder.stop", unit=self.id())
        if self._job is not None:
            self._job.stop("Stopped by the scenario")

    def _media_for(self, peer: MediaUnit, tag: str = "") -> MediaPort | None:
        """Return the place of a sender, or None if nothing is recorded any more."""
        if peer is self:
            raise ScenarioError(f"{self.id()} cannot send media to itself")
        if self._job is None or self._job.stopped:
            return None
        if self._left_id is None:
            self._left_id = peer.id()
        return self._mixes[0 if peer.id() == self._left_id else -1].port(peer.id(), hears=False)

    def _begin(self) -> None:
        options = self._options
        job = Job.begin(
            self._session,
            JobOptions(
                unit=self.id(),
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
        self._session.add_closer(self.id(), self._aclose)
        self._post(RecorderEvents.Started(recorder=self, url=job.url))

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
                recorder=self,
                duration=saved.duration_s,
                url=saved.url,
                reason=saved.reason,
                transcript_url=saved.transcript_url,
            )
        )

    def _failed(self, message: str) -> None:
        self._post(RecorderEvents.RecorderError(recorder=self, error=message))


def create_recorder(
    session: Session,
    *,
    name: str | None,
    format: str | None,
    stereo: bool,
    hd_audio: bool,
    lossless: bool,
    transcribe: bool,
    language: str | None,
    record_name_prefix: str,
    video: bool,
    **others: Any,
) -> Recorder:
    """Return a recorder that records already; see ``VoxEngine.create_recorder``.

    ``others`` concern VoxEngine's cloud storage and are only traced.
    """
    for what, value in (("name", name), ("record_name_prefix", record_name_prefix)):
        given: Any = value  # scenarios are not always type checked
        if given is not None and not isinstance(given, str):
            raise ScenarioError(f"create_recorder: {what} must be a string, not {given!r}")
    options = RecorderOptions(
        name=name or "recorder",
        prefix=record_name_prefix,
        kind=choose_file_kind(format=format, hd_audio=hd_audio, lossless=lossless),
        stereo=stereo,
        transcript=TranscriptOptions(language=language) if transcribe else None,
    )
    recorder = Recorder(session, options)
    session.trace.command(
        "VoxEngine.create_recorder",
        unit=recorder.id(),
        format=options.kind.container,
        rate_hz=options.kind.rate_hz,
        **{key: value for key, value in others.items() if value},
    )
    if video:
        session.trace.warning(
            "a recorder cannot record video; recording the sound", unit=recorder.id()
        )
    recorder._begin()
    return recorder
