"""Recordings: of a call, of whatever is sent to a recorder, and their transcripts.

VoxEngine: Call.record, Recorder module.
"""

from __future__ import annotations

from typing import Any

from voxpy.engine.session import Session
from voxpy.errors import ScenarioError
from voxpy.recording.control import RecorderController, RecorderOptions
from voxpy.recording.events import RecorderEvents
from voxpy.recording.files import choose_file_kind
from voxpy.recording.recorder import Recorder
from voxpy.recording.transcript import TranscriptOptions

__all__ = ["Recorder", "RecorderEvents", "create"]


def create(
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
    controller = RecorderController(session, options)
    session.trace.command(
        "VoxEngine.create_recorder",
        unit=controller.recorder_id,
        format=options.kind.container,
        rate_hz=options.kind.rate_hz,
        **{key: value for key, value in others.items() if value},
    )
    if video:
        session.trace.warning(
            "a recorder cannot record video; recording the sound", unit=controller.recorder_id
        )
    controller.start()
    return controller.recorder
