"""From a leg and a rule to a session that runs, with its folder, trace, recording and record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

import attrs
import orjson

from voxpy.call import Call
from voxpy.calls.control import make_call
from voxpy.engine import clock
from voxpy.engine.context import running
from voxpy.engine.ending import End, EndReason
from voxpy.engine.loader import Program
from voxpy.engine.masking import Masker
from voxpy.engine.ports import Leg, OpenStream, RealtimeEndpoint
from voxpy.engine.session import Session, Surroundings
from voxpy.engine.settings import Settings
from voxpy.engine.speech import SpeechEngines, no_speech
from voxpy.engine.trace import Entry, FileSink, LogSink, Trace
from voxpy.events import AppEvents
from voxpy.host.folder import SessionFolder
from voxpy.host.record import CallRecord, RecordKeeper
from voxpy.host.secrets import Secrets
from voxpy.media.graph import Tap
from voxpy.media.recorder import Recorder

__all__ = ["HostedSession", "SessionPlan"]

RECORDING = "call.wav"
RECORDING_HZ = 8000


@attrs.frozen(kw_only=True)
class SessionPlan:
    """What is known about a session before it begins."""

    session_id: str
    rule_name: str
    program: Program
    settings: Settings
    secrets: Secrets
    media_clock: clock.MediaClock
    open_stream: OpenStream
    realtime: RealtimeEndpoint
    base: Path
    speech: Callable[[], SpeechEngines] = no_speech
    sinks: Sequence[Callable[[Entry], None]] = ()
    taps: Sequence[Tap] = ()


class HostedSession:
    """One incoming call and everything that is kept of it. Use ``run`` once."""

    def __init__(self, plan: SessionPlan, leg: Leg) -> None:
        self.plan = plan
        self.leg = leg
        self.folder = SessionFolder.create(plan.base, plan.session_id)
        self._files: list[BinaryIO | TextIO] = []
        self._masker = Masker(plan.secrets.values())
        self.record = CallRecord(
            session_id=plan.session_id,
            rule_name=plan.rule_name,
            scenarios=[str(f.path) for f in plan.program.files],
            started_at=clock.wall().isoformat(timespec="milliseconds"),
        )
        self.record.personal["callerid"] = leg.callerid
        self.record.personal["destination"] = leg.destination
        self._keeper = RecordKeeper(self.record)
        self.trace = self._make_trace()
        self.session = Session(
            plan.session_id,
            Surroundings(
                settings=plan.settings,
                secrets=_MaskingSecrets(plan.secrets, self._masker),
                trace=self.trace,
                media_clock=plan.media_clock,
                open_stream=plan.open_stream,
                realtime=plan.realtime,
                files=self.folder,
                speech=plan.speech,
            ),
        )
        self.call: Call | None = None
        self.finished = False

    @property
    def recording(self) -> Path:
        """The stereo recording of the whole call: left the caller, right what it heard."""
        return self.folder.root / RECORDING

    async def run(self, *, afterwards: Callable[[], Awaitable[None]] | None = None) -> End:
        """Run the session to its end. What it leaves is complete whatever ended it.

        ``afterwards`` is awaited when the session is over and its trace and record still are open.
        """
        try:
            with running(self.session):
                self._announce()
                end = await self.session.run(self.plan.program)
            if afterwards is not None:
                await afterwards()
            return end
        finally:
            self._finish()

    def _announce(self) -> None:
        """Make the call and post the first two events; the scenario gets them once it is loaded."""
        session, leg = self.session, self.leg
        self.trace.write(
            "session",
            "started",
            session_id=session.session_id,
            rule=self.plan.rule_name,
            channel=leg.channel,
            started_at=self.record.started_at,
        )
        self.call = make_call(session, leg)
        self._record_call()
        session.post(
            session.listeners,
            AppEvents.Started(session_id=session.session_id, rule_name=self.plan.rule_name),
        )
        session.post(
            session.listeners,
            AppEvents.CallAlerting(
                call=self.call,
                callerid=leg.callerid,
                destination=leg.destination,
                display_name=leg.display_name,
                headers=dict(leg.headers),
                to_uri=f"sip:{leg.destination}@voxpy.invalid",
                from_uri=f"sip:{leg.callerid}@voxpy.invalid",
            ),
        )

    def _record_call(self) -> None:
        file = self._open_binary(RECORDING)
        recorder = Recorder(file, self.leg.media, stereo=True, rate_hz=RECORDING_HZ)
        for tap in (recorder.write, *self.plan.taps):
            self.session.graph.tap(self.leg.media, tap)
        self._recorder = recorder
        self.record.recordings.append(self.recording.as_uri())

    def _make_trace(self) -> Trace:
        trace = Trace(now=clock.now, masking=self._masker)
        trace.add_sink(FileSink(self._open_binary("trace.jsonl")))
        log = (self.folder.root / "session.log").open("w", encoding="utf-8")
        self._files.append(log)
        trace.add_sink(LogSink(log, clock.wall))
        trace.add_sink(self._keeper)
        for sink in self.plan.sinks:
            trace.add_sink(sink)
        return trace

    def _open_binary(self, name: str) -> BinaryIO:
        file = (self.folder.root / name).open("wb")
        self._files.append(file)
        return file

    def _finish(self) -> None:
        end = self.session.ended or End(EndReason.INTERNAL_ERROR, "the session never began")
        self.finished = True
        ticks = self.plan.media_clock.statistics()
        self.trace.step(
            "media clock",
            ticks=ticks.ticks,
            skipped=ticks.skipped,
            late_max_ms=round(ticks.late_max_s * 1000, 1),
        )
        self._keeper.finish(end)
        self._recorder.close()
        for file in self._files:
            file.close()
        masked = self._masker.json(self.record.to_json())
        path = self.folder.root / "record.json"
        path.write_bytes(orjson.dumps(masked, option=orjson.OPT_INDENT_2))


@attrs.frozen
class _MaskingSecrets:
    """Secrets of which every value that is handed out is masked from then on."""

    secrets: Secrets
    masker: Masker

    def get(self, name: str) -> str | None:
        value = self.secrets.get(name)
        if value is not None:
            self.masker.add(value)
        return value

    def missing(self, name: str) -> str:
        return self.secrets.missing(name)
