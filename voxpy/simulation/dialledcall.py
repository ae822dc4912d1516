"""One call from outside to a running host: a person at a phone, as ``voxpy call`` makes.

The host is another process; of the call only what this end says and hears is known here, and that
is what the trace, the record and the recording hold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import attrs
import orjson
import trio

from voxpy.audio.frame import PCMU
from voxpy.channels.providers.provider import Carrier, PhoneCall
from voxpy.engine import clock
from voxpy.engine.ending import End, EndReason
from voxpy.engine.masking import Masker
from voxpy.engine.ports import OpenStream
from voxpy.engine.trace import Entry, FileSink, LogSink, Trace
from voxpy.errors import EngineMissing
from voxpy.history.record import CallRecord, RecordKeeper
from voxpy.localagent.engines import Engines
from voxpy.recording.files import FileKind
from voxpy.recording.saving import Saving
from voxpy.simulation.acting import act, needs_voice, prepare_sounds
from voxpy.simulation.caller import PersonsLine, SimulatedCaller, StepFailed
from voxpy.simulation.dialin import BufferStatistics, ProviderPhone, dial_host
from voxpy.simulation.localcall import LocalCallResult
from voxpy.simulation.script import CallerScript
from voxpy.simulation.soundcard import SoundCard
from voxpy.simulation.sounds import engine_ears
from voxpy.sockets.streams import open_tcp

SETTLE_S = 10.0
"""After the call, for the recogniser to understand what was heard last."""
LEG = "call-1"


class Phone(PersonsLine, Protocol):
    """What the person calls with. ``taps`` get each 20 ms of mu-law that was said and heard.

    ``run`` must be running; ``buffer`` says what a provider's buffer has seen, if there is one.
    """

    taps: list[Callable[[bytes, bytes], None]]

    async def run(self) -> None:
        """Carry the call until it is over."""

    async def aclose(self) -> None:
        """End the call if that was not done, and free everything."""

    @property
    def buffer_statistics(self) -> BufferStatistics | None:
        """What a provider's buffer has seen."""


@attrs.frozen(kw_only=True)
class DialledCallPlan:
    """What to dial, and who calls. ``folder`` is made for what the call leaves.

    ``dial`` returns the phone, off the hook, and raises ConnectFailed. ``make_engines`` is called
    if anything is spoken, and to understand what is heard if it can be. ``sound`` plays the call;
    with a microphone the person at it is the caller.
    """

    url: str
    channel: str
    call: PhoneCall
    dial: Callable[[], Awaitable[Phone]]
    script: CallerScript
    folder: Path
    make_engines: Callable[[], Engines]
    sound: SoundCard | None = None
    headers: Sequence[tuple[str, str]] = ()
    """What the provider proves itself with."""

    @classmethod
    def by_provider(
        cls,
        *,
        url: str,
        carrier: Carrier,
        script: CallerScript,
        headers: Iterable[tuple[str, str]] = (),
        open_stream: OpenStream = open_tcp,
        **rest: Any,
    ) -> DialledCallPlan:
        """Return the plan of a call that a provider brings over its media stream."""

        async def dial() -> Phone:
            line = await dial_host(open_stream, url, carrier, headers=headers)
            to_host, to_phone = script.line.lines()
            return ProviderPhone(line, carrier, to_host=to_host, to_phone=to_phone)

        return cls(
            url=url,
            channel=carrier.provider.name,
            call=carrier.call,
            dial=dial,
            script=script,
            headers=tuple(headers),
            **rest,
        )


@attrs.frozen(kw_only=True)
class DialledCallResult(LocalCallResult):
    """How the call went, and what the provider's buffer saw of it, if there was one."""

    buffer: BufferStatistics | None


class Watcher(Protocol):
    """Whoever watches a call: the terminal, or a test."""

    def progress(self, text: str) -> None:
        """Learn that something long has begun."""

    def note(self, text: str) -> None:
        """Learn something that is no part of the call."""

    def heading(self, text: str) -> None:
        """Learn that the call begins."""

    def entry(self, entry: Entry) -> None:
        """See an entry of the trace as it is written."""


class DialledCall:
    """A call that is about to be made. ``run`` is its life, once; ``interrupt`` hangs it up."""

    def __init__(self, plan: DialledCallPlan, watcher: Watcher) -> None:
        self._plan = plan
        self._speech = cache(plan.make_engines)
        self._watcher = watcher
        self._files: list[BinaryIO | TextIO] = []
        self._caller: SimulatedCaller | None = None
        self._trace: Trace | None = None
        self._interrupted = False
        self._failure = ""
        call = plan.call
        self.record = CallRecord(
            session_id=call.call_id,
            rule_name="",
            scenarios=[],
            started_at=clock.wall().isoformat(timespec="milliseconds"),
            channel=plan.channel,
        )
        self.record.personal.update(callerid=call.caller, destination=call.callee)
        self._keeper = RecordKeeper(self.record)

    def interrupt(self) -> bool:
        """Hang up; return False if there was nothing to hang up any more."""
        if self._caller is None or self._caller.over is not None:
            return False
        self._interrupted = True
        self._caller.hang_up()
        return True

    async def run(self) -> DialledCallResult:
        """Make the call. Raises ConnectFailed if the host does not take the stream, EngineMissing
        for a script that cannot be spoken, ConfigError for a file that cannot be played.
        """
        plan = self._plan
        engines = self._engines()
        if any(step.is_audible for step in plan.script.steps):
            self._watcher.progress("preparing the caller's voice")
        sounds = await prepare_sounds(plan.script, self._speech)
        if engines is not None:
            await engines.run(engines.ears.warm_up)
        phone = await plan.dial()
        plan.folder.mkdir(parents=True)
        self._trace = self._make_trace()
        ears = None if engines is None else engine_ears(engines)
        caller = self._caller = SimulatedCaller(phone, ears=ears, note=self._note)
        call = plan.call
        self._watcher.heading(f"{call.caller} calls {call.callee} · {plan.channel} · {plan.url}")
        if plan.sound is not None:
            phone.taps.append(plan.sound.of_line(phone.mouth))
        saving = self._record_call(phone)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.run)
            nursery.start_soon(phone.run)
            nursery.start_soon(saving.run)
            await self._act(partial(act, caller, plan.script, sounds))
            await caller.wait_over()
            with trio.move_on_after(SETTLE_S):
                await caller.wait_until(lambda: not caller.ear.unheard, SETTLE_S, "")
            saving.stop()
            await saving.saved.wait()
            await phone.aclose()
            nursery.cancel_scope.cancel()
        return self._finish(caller, phone)

    def _engines(self) -> Engines | None:
        """Return what speaks and hears; None if there is nothing to say and nobody to hear it."""
        try:
            return self._speech()
        except EngineMissing as error:
            if needs_voice(self._plan.script):
                raise
            self._watcher.note(f"what the agent says will not be shown: {error}")
            return None

    async def _act(self, perform: Callable[[], Awaitable[None]]) -> None:
        assert self._caller is not None
        try:
            await perform()
        except StepFailed as error:
            if not self._interrupted:
                self._failure = str(error)
                self._note_failure(str(error))
        self._caller.hang_up()

    def _finish(self, caller: SimulatedCaller, phone: Phone) -> DialledCallResult:
        assert self._trace is not None
        assert caller.over is not None
        over, buffer = caller.over, phone.buffer_statistics
        if over.code >= 500 and not self._failure:  # the host broke off: no script allows that
            self._failure = over.reason
            self._note_failure(over.reason)
        reason = EndReason.HOST_SHUTDOWN if self._interrupted else EndReason.TERMINATED
        end = End(reason, f"{over.code} {over.reason}")
        if buffer is not None:
            self._trace.step(
                "provider's buffer",
                most_waiting_ms=round(20 * buffer.most_waiting_frames),
                clears=buffer.clears,
                cleared_ms=round(20 * buffer.cleared_frames),
                gaps=buffer.gaps,
            )
        self.record.personal["caller_failed"] = self._failure
        self._keeper.finish(end)
        self._trace = None
        for file in self._files:
            file.close()
        path = self._plan.folder / "record.json"
        path.write_bytes(orjson.dumps(self.record.to_json(), option=orjson.OPT_INDENT_2))
        return DialledCallResult(
            end=end,
            record=self.record,
            folder=self._plan.folder,
            failure=self._failure,
            interrupted=self._interrupted,
            buffer=buffer,
        )

    # -- what is kept ----------------------------------------------------------------------------

    def _note(self, name: str, **fields: object) -> None:
        if self._trace is None:  # a recogniser in its thread may outlive the call
            return
        self._trace.step(name, unit=LEG, **fields)
        who = {"caller speaks": "caller", "caller heard": "agent"}.get(name)
        if who is not None and fields.get("text"):
            line = {"t": self.record.duration_s, "who": who, "text": fields["text"]}
            self.record.personal["transcript"].append(line)

    def _note_failure(self, text: str) -> None:
        assert self._trace is not None
        self._trace.write("error", "caller", message="the caller's script was not met", text=text)

    def _make_trace(self) -> Trace:
        trace = Trace(now=clock.now, masking=Masker())
        file = (self._plan.folder / "trace.jsonl").open("wb")
        log = (self._plan.folder / "session.log").open("w", encoding="utf-8")
        self._files += [file, log]
        sinks = (FileSink(file), LogSink(log, clock.wall), self._keeper, self._watcher.entry)
        for sink in sinks:
            trace.add_sink(sink)
        return trace

    def _record_call(self, phone: Phone) -> Saving:
        path = self._plan.folder / "call.wav"
        saving = Saving.create(
            path, FileKind("wav", 8000), stereo=True, failed=self._recording_failed
        )
        phone.taps.append(lambda said, heard: saving.tape.add((PCMU, said), (PCMU, heard)))
        self.record.recordings.append(path.absolute().as_uri())
        return saving

    def _recording_failed(self, message: str) -> None:
        if self._trace is not None:
            self._trace.warning("the call is no longer recorded", error=message)
