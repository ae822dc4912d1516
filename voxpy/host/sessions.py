"""From a leg and a rule to a session that runs, with its folder, trace, recording and record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar
from urllib.parse import unquote

import attrs
import orjson
import trio

from voxpy.audio.frame import FRAME_S
from voxpy.call import Call, make_call
from voxpy.engine import clock
from voxpy.engine.context import running
from voxpy.engine.ending import End, EndReason
from voxpy.engine.faults import contained
from voxpy.engine.inputs import Inputs
from voxpy.engine.masking import MASK, Masker
from voxpy.engine.ports import Leg, Secrets
from voxpy.engine.session import Session, SessionContext
from voxpy.engine.trace import Entry, FileSink, LogSink, Trace
from voxpy.errors import ConfigError
from voxpy.events import AppEvents
from voxpy.history.history import History
from voxpy.history.record import RECORDING, CallRecord, RecordKeeper
from voxpy.history.store import make_base
from voxpy.history.uploads import Uploads
from voxpy.host.inputs import (
    INPUTS,
    InputsFile,
    RecordedDialer,
    RecordedLeg,
    begin_inputs,
    recorded,
)
from voxpy.media.graph import Tap
from voxpy.media.recorder import both_sides
from voxpy.media.unit import MediaPort
from voxpy.recording.files import FileKind
from voxpy.recording.saving import Saving

T = TypeVar("T")
LOSSES = {
    "the trace loses a sink that cannot write": "the trace or the log",
    "the call is no longer recorded": "the recording",
    "the session cannot be replayed whole": "the inputs",
    "the call is not in the history": "the history",
}
"""Warnings that say that something of a call was not kept, and what."""
RECORDING_KIND = FileKind("wav", 8000)
STARTED = "api"
"""The channel of a session that was started by a request instead of a call."""


@attrs.frozen
class SessionFolder:
    """Where a session leaves its trace, log, recordings and record.

    ``url`` says where a file of it will be found: here, or in the store that takes it.
    """

    root: Path
    url: Callable[[Path], str] = Path.as_uri

    @classmethod
    def create(
        cls, base: Path, session_id: str, url: Callable[[Path], str] = Path.as_uri
    ) -> SessionFolder:
        """Make the folder. Raises OSError if that is impossible."""
        make_base(base)
        root = (base / "sessions" / session_id).absolute()
        root.mkdir(parents=True, exist_ok=False)
        return cls(root, url)

    def path(self, name: str) -> Path:
        """Return the path of a new file; a taken name gets ``-2``, ``-3`` before its suffix."""
        path, n = self.root / name, 1
        while path.exists():
            n += 1
            path = self.root / f"{Path(name).stem}-{n}{Path(name).suffix}"
        return path

    def here(self, url: str) -> Path | None:
        """Return the file that is meant, if it is one of these."""
        path = self.root / unquote(url.rpartition("/")[2])
        ours = path.parent == self.root and self.url(path) == url
        return path if ours and path.is_file() else None


@attrs.frozen(kw_only=True)
class Keeping:
    """Where goes what is kept of sessions.

    Folders are made below ``base``. ``sinks`` get every entry of a trace; ``taps`` hear what the
    caller says and what it hears. ``needed`` is whether a call is impossible if nothing of it can
    be kept; a host's calls go on, and ``HostedSession.lost`` says what is missing.
    """

    base: Path
    needed: bool = True
    history: History | None = None
    uploads: Uploads | None = None
    sinks: Sequence[Callable[[Entry], None]] = ()
    taps: Sequence[Tap] = ()


class HostedSession:
    """One session and everything that is kept of it. Use ``run`` once.

    ``leg`` is the incoming call; a session that was started by a request has none.
    """

    def __init__(
        self, context: SessionContext, leg: Leg | None, keeping: Keeping, *, channel: str = STARTED
    ) -> None:
        self.leg = leg
        self._keeping = keeping
        self.lost: list[str] = []
        """What could not be kept, and why."""
        self.folder = self._make_folder(context.session_id)
        self.taps = [*keeping.taps]
        """Hear the call from its beginning; more may be added before it runs."""
        self._files: list[BinaryIO | TextIO | Saving | InputsFile] = []
        self._masker = Masker(context.secrets.values())
        self._masker.add(context.access_url.rpartition("/")[2])
        self.record = CallRecord(
            session_id=context.session_id,
            rule_name=context.rule_name,
            scenarios=[str(f.path) for f in context.program.files],
            started_at=clock.wall().isoformat(timespec="milliseconds"),
            channel=channel if leg is None else leg.channel,
        )
        self.record.personal["callerid"] = "" if leg is None else leg.callerid
        self.record.personal["destination"] = "" if leg is None else leg.destination
        self.record.personal["custom_data"] = context.custom_data
        self._keeper = RecordKeeper(self.record)
        self.trace = self._make_trace()
        self._written: list[Saving | InputsFile] = []
        self._writing: trio.Nursery | None = None
        self._inputs = inputs = self._make_inputs(context)
        self.context = attrs.evolve(
            context,
            secrets=_MaskingSecrets(context.secrets, self._masker, inputs),
            trace=self.trace,
            files=_MaskingFiles(self.folder, self._masker),
            inputs=inputs,
            dialer=RecordedDialer(context.dialer, inputs),
            fetch=recorded(context.fetch, inputs),
        )
        self.session = Session(self.context)
        self.call: Call | None = None
        self._alerted = 1
        self._early: list[Leg] | None = []
        """Further calls that came before the scenario was told that it is started; then None."""
        self.over = trio.Event()
        """Set when everything is kept that is kept of it."""

    def _make_folder(self, session_id: str) -> SessionFolder:
        base, uploads = self._keeping.base, self._keeping.uploads
        url = Path.as_uri if uploads is None else uploads.locate
        made = self._kept("the folder", SessionFolder.create, base, session_id, url)
        if uploads is not None:
            self._kept("the mark of the upload", uploads.begin, session_id)
        return made or SessionFolder((base / "sessions" / session_id).absolute(), url)

    def _kept(self, what: str, make: Callable[..., T], *args: Any) -> T | None:
        """Return what ``make`` makes; a disk that is full or gone costs that, and no call."""
        try:
            return make(*args)
        except OSError as error:
            if self._keeping.needed:
                raise
            self.lost.append(f"{what}: {error.strerror or error}")
            return None

    def _open(self, name: str) -> BinaryIO:
        return (self.folder.root / name).open("wb")

    def _see_losses(self, entry: Entry) -> None:
        if entry.kind == "warning" and entry.name in LOSSES:
            self.lost.append(f"{LOSSES[entry.name]}: {entry.data.get('error', '')}")

    @property
    def finished(self) -> bool:
        return self.over.is_set()

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
                if self.leg is not None:
                    self._record(self.leg.media, 0.0)
                end = await self._run_recorded()
            await self._work_afterwards()
            if afterwards is not None:
                await afterwards()
            return end
        finally:
            await self._finish()

    async def _run_recorded(self) -> End:
        async with trio.open_nursery() as nursery:
            for each in self._written:
                nursery.start_soon(self._write, each)
            self._writing = nursery
            nursery.start_soon(self._tell_history)
            try:
                return await self.session.run()
            finally:
                self._writing = None
                for each in self._written:
                    each.stop()

    async def _write(self, what: Saving | InputsFile) -> None:
        with trio.CancelScope(shield=True):  # it ends when the session does, whatever ends that
            await what.run()

    async def _tell_history(self) -> None:
        """Write the session as it is now; a history that cannot be written is only a warning."""
        history = self._keeping.history
        if history is None:
            return
        with trio.CancelScope(shield=True):
            try:
                await history.keep(self._masked_record(), self.folder.root)
            except ConfigError as error:
                self.trace.warning("the call is not in the history", error=str(error))

    async def _work_afterwards(self) -> None:
        """Finish what may outlive a session: nothing the caller waits for."""
        waiting = self.session.afterwards
        for name, work in tuple(waiting.items()):
            with contained(partial(self._note_failed_work, name)):
                await work()
            del waiting[name]

    def _note_failed_work(self, name: str, error: BaseException) -> None:
        self.trace.warning("work after the call failed", work=name, error=str(error))

    def _announce(self) -> None:
        """Make the call, if any, and post the first events; the scenario gets them once loaded."""
        session, leg, context = self.session, self.leg, self.context
        self.trace.write(
            "session",
            "started",
            session_id=session.session_id,
            rule=context.rule_name,
            channel=self.record.channel,
            started_at=self.record.started_at,
        )
        if leg is not None:
            self.call = make_call(session, RecordedLeg(leg, self._inputs))
        session.post(
            session.listeners,
            AppEvents.Started(
                session_id=session.session_id,
                rule_name=context.rule_name,
                custom_data=context.custom_data,
                log_url=context.log_url,
                access_url=context.access_url,
                access_secure_url=context.access_url,
                conference_name=context.conference,
            ),
        )
        if leg is not None and self.call is not None:
            self._tell_of(leg, self.call)
        early, self._early = self._early or [], None
        for further in early:
            self.alert(further)

    def next_call_id(self) -> str:
        """Return the id of one more call that comes in."""
        self._alerted += 1
        return f"call-{self._alerted}"

    def alert(self, leg: Leg) -> None:
        """Let one more call come in, into the session that runs: that of a conference."""
        if self._early is not None:
            self._early.append(leg)
            return
        with running(self.session):
            call = make_call(self.session, RecordedLeg(leg, self._inputs, sound=True))
            self._tell_of(leg, call)

    def _tell_of(self, leg: Leg, call: Call) -> None:
        session = self.session
        session.post(
            session.listeners,
            AppEvents.CallAlerting(
                call=call,
                callerid=leg.callerid,
                destination=leg.destination,
                display_name=leg.display_name,
                headers=dict(leg.headers),
                to_uri=f"sip:{leg.destination}@voxpy.invalid",
                from_uri=f"sip:{leg.callerid}@voxpy.invalid",
            ),
        )

    def _see_first_call(self, entry: Entry) -> None:
        """Record the first call that the scenario makes, if nobody called."""
        if entry.name == "call began" and self._writing is not None and not self.record.recordings:
            media = next(iter(self.session.graph.attached))
            saving = self._record(media, entry.t)
            if saving is not None:
                self._writing.start_soon(self._write, saving)

    def _record(self, media: MediaPort, at_s: float) -> Saving | None:
        """Record a call on the session's own time: what was before it is silence."""
        saving = self._kept(
            "the recording",
            partial(
                Saving.create,
                self.recording,
                RECORDING_KIND,
                stereo=True,
                failed=self._recording_failed,
            ),
        )
        taps = list(self.taps)
        if saving is not None:
            self._files.append(saving)
            self._written.append(saving)
            tap = both_sides(media, saving.tape)
            for _ in range(round(at_s / FRAME_S)):
                tap(b"", b"")
            taps.insert(0, tap)
            self.record.recordings.append(self.folder.url(self.recording))
        for tap in taps:
            self.session.graph.tap(media, tap)
        return saving

    def _recording_failed(self, message: str) -> None:
        self.trace.warning("the call is no longer recorded", error=message)

    def _make_trace(self) -> Trace:
        trace = Trace(now=clock.stopwatch(), masking=self._masker)
        lines = self._kept("the trace", self._open, "trace.jsonl")
        if lines is not None:
            self._files.append(lines)
            trace.add_sink(FileSink(lines))
        log = self._kept(
            "the log", partial(self.folder.root.joinpath("session.log").open, "w", encoding="utf-8")
        )
        if log is not None:
            self._files.append(log)
            trace.add_sink(LogSink(log, clock.wall))
        trace.add_sink(self._keeper)
        trace.add_sink(self._see_losses)
        if self.leg is None:
            trace.add_sink(self._see_first_call)
        for sink in self._keeping.sinks:
            trace.add_sink(sink)
        return trace

    def _make_inputs(self, context: SessionContext) -> Inputs:
        """Begin to keep what comes from outside, if a replay is wanted."""
        if not context.settings.replayable:
            return Inputs()
        opened = self._kept("the inputs", self._open, INPUTS)
        if opened is None:
            return Inputs()
        file = InputsFile(opened, self._inputs_failed)
        self._files.append(file)
        self._written.append(file)
        inputs = Inputs(file.write, now=self.trace.elapsed_s, masking=self._masker)
        begin_inputs(inputs, self.leg, context, files=self.record.scenarios)
        return inputs

    def _inputs_failed(self, message: str) -> None:
        self.trace.warning("the session cannot be replayed whole", error=message)

    async def _finish(self) -> None:
        end = self.session.ended or End(EndReason.INTERNAL_ERROR, "the session never began")
        ticks = self.context.media_clock.statistics()
        self.trace.step(
            "media clock",
            ticks=ticks.ticks,
            skipped=ticks.skipped,
            late_max_ms=round(ticks.late_max_s * 1000, 1),
        )
        for name in self.session.afterwards:
            self.trace.warning("cut off by the end of the host", work=name)
        self._keeper.finish(end)
        self.record.personal["custom_data"] = self.session.custom_data
        record = orjson.dumps(self._masked_record().to_json(), option=orjson.OPT_INDENT_2)
        try:
            self._kept("the record", (self.folder.root / "record.json").write_bytes, record)
            await self._tell_history()
        finally:
            self.over.set()
            for file in self._files:
                self._kept("the last of a file", file.close)
            if self._keeping.uploads is not None:
                self._keeping.uploads.finished(self.context.session_id)

    def _masked_record(self) -> CallRecord:
        return CallRecord.from_json(self._masker.json(self.record.to_json()))


@attrs.frozen
class _MaskingFiles:
    """A session's folder in which no file is called by a secret."""

    folder: SessionFolder
    masker: Masker

    def path(self, name: str) -> Path:
        return self.folder.path(self.masker.text(name).replace(MASK, "masked"))

    def url(self, path: Path) -> str:
        return self.folder.url(path)

    def here(self, url: str) -> Path | None:
        return self.folder.here(url)


@attrs.frozen
class _MaskingSecrets:
    """Secrets of which every value that is handed out is masked from then on."""

    secrets: Secrets
    masker: Masker
    inputs: Inputs

    def get(self, name: str) -> str | None:
        value = self.secrets.get(name)
        self.inputs.note("secret", name, found=value is not None)
        if value is not None:
            self.masker.add(value)
        return value

    def missing(self, name: str) -> str:
        return self.secrets.missing(name)

    def values(self) -> Iterable[str]:
        return self.secrets.values()
